"""How far a case can be believed: which trials outside evidence speaks against, and the record that stands beside every figure.

Pure. A trial is thrown away only for what was seen outside of it - never for its times: that would select on the outcome,
and punish models that are bimodal by nature.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from bench.observations import CaseResult, Trial
from bench.records import Case, Outcome

# Of one thread alone: several threads of one process take turns with each other. Two threads on two quiet processors were
# switched 30 times a second in inference and 90 to 160 times in training, while others used a hundredth of a processor.
MOST_SWITCHES_PER_S = 40.0
MOST_WAITING = 1.03
LEAST_STEAL_S = 0.02  # two ticks of the kernel's usual clock
MOST_STEAL = 0.01
# others' time is known to a tick per processor: a tenth of one is well above that in half a second
SPARE_PROCESSORS = 0.1
LEAST_CLOCK = 0.75
# bits of NVML's clock event reasons: software and hardware thermal slowdown, hardware power brake
THROTTLING = {0x20: "thermal (software)", 0x40: "thermal (hardware)", 0x80: "power brake"}


class Disturbance(StrEnum):
    """What outside evidence can say against a trial."""

    SWITCHES = "context_switches"
    WAITING = "waiting"
    FOREIGN = "foreign_cpu"
    STEAL = "steal"
    CLOCK = "clock"
    THROTTLED = "throttled"


def disturbance(trial: Trial, case: Case) -> Disturbance | None:
    """The first rule that outside evidence breaks, or None; what was not recorded breaks none."""
    seen = trial.evidence
    wall_s = seen.get("wall_s", 0.0)
    if wall_s <= 0:
        return None
    if case.device != "cpu":
        return _on_a_gpu(seen)
    if case.threads == 1 and seen.get("involuntary_switches", 0.0) / wall_s > MOST_SWITCHES_PER_S:
        return Disturbance.SWITCHES
    if case.threads == 1 and wall_s > MOST_WAITING * seen.get("cpu_s", wall_s):
        return Disturbance.WAITING
    steal_s = seen.get("steal_s", 0.0)
    if steal_s >= LEAST_STEAL_S and steal_s > MOST_STEAL * wall_s:
        return Disturbance.STEAL
    # one thread that never waited had a processor to itself, whatever the others did
    spare = seen.get("processors", float("inf")) - case.threads + SPARE_PROCESSORS
    if case.threads > 1 and seen.get("foreign_cpu_s", 0.0) > spare * wall_s:
        return Disturbance.FOREIGN
    return None


def _on_a_gpu(seen: Mapping[str, float]) -> Disturbance | None:
    if int(seen.get("clock_event_reasons", 0)) & sum(THROTTLING):
        return Disturbance.THROTTLED
    if seen.get("sm_clock_mhz", float("inf")) < LEAST_CLOCK * seen.get("sm_clock_max_mhz", 0.0):
        return Disturbance.CLOCK
    return None


def good_trials(result: CaseResult) -> list[Trial]:
    """The trials that ended well, with samples."""
    return [trial for trial in result.trials if trial.outcome is Outcome.OK and trial.samples_s]


def undisturbed(result: CaseResult) -> list[Trial]:
    """The good trials that nothing speaks against."""
    return [trial for trial in good_trials(result) if disturbance(trial, result.case) is None]


def used_trials(result: CaseResult) -> list[Trial]:
    """The trials that figures are made of: the undisturbed ones; all good ones where there is no other, never none."""
    return undisturbed(result) or good_trials(result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under which conditions the good trials of a case were taken.

    Attributes:
        taken, used: good trials in all, and those that figures are made of.
        thrown_away: good trials by the rule that they broke; told even where all of them had to be used.
        foreign_processors: CPU seconds of others in a second, the mean over trials.
        steal_share: of the time, what the hypervisor gave to others.
        switches_per_s: involuntary context switches.
        nice: -20 is the highest scheduling priority, 0 the usual one.
        clock_share: lowest SM clock over its maximum.
        throttled: why the GPU was slowed down.
        warmup_s, warmup_calls: the mean over trials.
        not_steady: trials whose warm-up never settled.
    """

    taken: int
    used: int
    thrown_away: Mapping[Disturbance, int]
    foreign_processors: float | None = None
    steal_share: float | None = None
    switches_per_s: float | None = None
    nice: int | None = None
    clock_share: float | None = None
    throttled: tuple[str, ...] = ()
    warmup_s: float | None = None
    warmup_calls: float | None = None
    not_steady: int = 0


def conditions(result: CaseResult) -> Conditions:
    """What was seen from outside while a case was timed."""
    trials = good_trials(result)
    found = Counter(found for trial in trials if (found := disturbance(trial, result.case)) is not None)
    clocks = [
        trial.evidence["sm_clock_mhz"] / trial.evidence["sm_clock_max_mhz"]
        for trial in trials
        if trial.evidence.get("sm_clock_max_mhz") and "sm_clock_mhz" in trial.evidence
    ]
    reasons = [int(trial.evidence.get("clock_event_reasons", 0)) for trial in trials]
    nices = [int(trial.evidence["nice"]) for trial in trials if "nice" in trial.evidence]
    return Conditions(
        taken=len(trials),
        used=len(used_trials(result)),
        thrown_away=dict(found),
        foreign_processors=_per_second(trials, "foreign_cpu_s"),
        steal_share=_per_second(trials, "steal_s"),
        switches_per_s=_per_second(trials, "involuntary_switches"),
        nice=max(nices, default=None),
        clock_share=min(clocks, default=None),
        throttled=tuple(name for bit, name in THROTTLING.items() if any(reason & bit for reason in reasons)),
        warmup_s=_mean([trial.warmup_s for trial in trials]),
        warmup_calls=_mean([trial.warmup_calls for trial in trials]),
        not_steady=sum(trial.steady is False for trial in trials),
    )


def _per_second(trials: Sequence[Trial], name: str) -> float | None:
    return _mean([trial.evidence[name] / trial.evidence["wall_s"] for trial in trials if name in trial.evidence])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
