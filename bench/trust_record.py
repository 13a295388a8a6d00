"""The trust record: what stands beside the figures of a case, so that a reader can judge them and take them again. Pure."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from bench.estimates import estimates, flags, good_fits, latency_of_all, rejection_matters
from bench.observations import CaseResult
from bench.records import Case, Outcome, Run
from bench.stats import Estimate
from bench.trust import Conditions, Disturbance, conditions

# of the machine's facts, the settings of torch that every worker is given
BACKENDS = ("cudnn_benchmark", "deterministic", "sdpa")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRecord:
    """How far one case can be believed.

    Attributes:
        outcome, reason: how the case ended; None while it has not been measured.
        conditions: trials taken, used and thrown away, and what was seen from outside of them.
        latency_s, latency_of_all_s: without the trials that were thrown away, and over all of them.
        rejection_matters: the two differ by more than the margin: then neither decides anything.
        fits_taken, fits_used: of a case that is trained to accuracy.
        stopped_by: why no further trial was taken.
        backends: settings of torch in every worker.
        command: measures this case again, alone.
        unknown: why a value is None, by its name.
    """

    case: str
    run: str
    outcome: Outcome | None
    reason: str
    conditions: Conditions
    latency_s: Estimate | None
    latency_of_all_s: Estimate | None
    rejection_matters: bool
    fits_taken: int
    fits_used: int
    stopped_by: str | None
    threads: int
    backends: Mapping[str, Any]
    flags: tuple[str, ...]
    command: str | None
    unknown: Mapping[str, str]

    @property
    def left_out(self) -> Mapping[Disturbance, int]:
        """The trials that no figure is made of, by the rule that they broke; none where all had to be used."""
        return self.conditions.thrown_away if self.conditions.used < self.conditions.taken else {}


def trust_record(run: Run, result: CaseResult) -> TrustRecord:
    """What is known about the measuring of a case."""
    outcome, reason = result.verdict
    seen = conditions(result)
    command = repeat_command(run.command, result.case)
    return TrustRecord(
        case=result.case.id,
        run=run.run_id,
        outcome=outcome,
        reason=reason,
        conditions=seen,
        latency_s=estimates(result).get("latency_s"),
        latency_of_all_s=latency_of_all(result),
        rejection_matters=rejection_matters(result),
        fits_taken=len(result.fits),
        fits_used=len(good_fits(result)),
        stopped_by=result.criterion or None,
        threads=result.case.threads,
        backends={name: run.machine.hard[name] for name in BACKENDS if name in run.machine.hard},
        flags=flags(result, run.plan.measure),
        command=command,
        unknown=dict(_unknown(result, seen, command)),
    )


def _unknown(result: CaseResult, seen: Conditions, command: str | None) -> Iterator[tuple[str, str]]:
    """Each value that is None, with its reason."""
    if result.case.fit is not None:
        untimed = "this case is trained to accuracy, not timed"
    else:
        untimed = "" if seen.taken else "no trial ended well"
    for entry in fields(seen):
        if getattr(seen, entry.name) is None:
            on_gpus = entry.name == "clock_share" and result.case.device == "cpu"
            yield f"conditions.{entry.name}", untimed or ("read on GPUs only" if on_gpus else "not recorded")
    if untimed:
        yield "latency_s", untimed
        yield "latency_of_all_s", untimed
    if not result.criterion:
        yield "stopped_by", untimed or "sampling has not ended"
    if command is None:
        yield "command", "the run does not say how it was started"


def left_out(records: Iterable[TrustRecord]) -> tuple[Counter[Disturbance], int]:
    """How many trials of some cases were left out, by the rule that they broke, and how many were taken in all."""
    found: Counter[Disturbance] = Counter()
    taken = 0
    for record in records:
        found.update(record.left_out)
        taken += record.conditions.taken
    return found, taken


# ── the command ────────────────────────────────────────────────────────────────────────────────────────────────────


# what says which cases are measured, and where files go that tell of all of them
_OF_THE_WHOLE = ("--filter", "--resume", "--output", "--junit")


def repeat_command(command: str, case: Case) -> str | None:
    """The command of a run, changed to measure one of its cases in a new run; None where the run tells no command."""
    return repeat_commands(command, [case.id]).get(case.id)


def repeat_commands(command: str, names: Iterable[str]) -> dict[str, str]:
    """What measures each of these cases alone, by its id; nothing where the run tells no command."""
    kept = " ".join(_quoted(word) for word in _without(shlex.split(command), _OF_THE_WHOLE))
    return {name: f"{kept} --filter {shlex.quote(name)}" for name in names} if kept else {}


def _without(words: Sequence[str], options: Sequence[str]) -> Iterator[str]:
    """The words without these options and their values."""
    value_follows = False
    for word in words:
        # --resume may stand without its value
        if value_follows and not word.startswith("-"):
            value_follows = False
            continue
        value_follows = word in options
        if word.partition("=")[0] not in options:
            yield word


def _quoted(word: str) -> str:
    """A word for the shell; the home folder that records leave out stays one that the shell knows."""
    return f"~/{shlex.quote(word[2:])}" if word.startswith("~/") and word[2:] else shlex.quote(word)
