"""What is observed of cases - one line of `cases.jsonl` each - and what belongs together. No torch.

Raw before derived: observations keep samples and counts; estimates are computed again on load (`bench.estimates`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.records import Case, Outcome, PassKind, Plan

# the kernel counts resident pages per processor and adds them up in batches; what is smaller it may not see at all
MEMORY_RESOLUTION_BYTES = 64 * 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """The contracts of one variant on one task, and its size."""

    task_key: str
    variant_id: str
    outcome: Outcome
    reason: str = ""
    red: tuple[str, ...] = ()
    parameters: int | None = None
    weights_bytes: int | None = None
    wall_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """The one calibration of a timed case: `iterations` and `samples` are used unchanged in every trial."""

    case_id: str
    outcome: Outcome
    reason: str = ""
    attempt: int = 0
    iterations: int | None = None
    samples: int | None = None
    call_s: float | None = None
    wall_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One launch of one timed case in a fresh process.

    Attributes:
        samples_s: seconds per call, one value a sample (the mean over its `iterations` calls), in order of time.
        start_s: from the fork to the first call of the model.
        confirming: taken afresh of a case that was flagged, to see whether it is found again.
        evidence: what was seen from outside: context switches, CPU seconds, steal.
    """

    case_id: str
    round: int
    outcome: Outcome
    reason: str = ""
    confirming: bool = False
    started: str = ""
    samples_s: tuple[float, ...] = ()
    iterations: int | None = None
    items: int | None = None
    tokens: float | None = None
    real_tokens: float | None = None
    state_bytes: int | None = None
    start_s: float | None = None
    first_call_s: float | None = None
    warmup_s: float | None = None
    warmup_calls: int | None = None
    steady: bool | None = None
    wall_s: float | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.samples_s and min(self.samples_s) <= 0:
            raise ValueError(f"samples_s: found {min(self.samples_s):g} s, expected more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One pass over a timed case beside its trials, in a worker of its own.

    Attributes:
        values: metrics by name, in base units; None where unknown.
        reasons: why a value is unknown, by metric.
        samples_s: seconds of single calls, or of parts of a call, by what they are of.
    """

    case_id: str
    name: PassKind
    outcome: Outcome
    reason: str = ""
    attempt: int = 0
    values: Mapping[str, float | None] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    samples_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    wall_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One try of a search for the largest batch or the longest sequence.

    Attributes:
        metric: what is searched for, `max_batch_size` or `max_sequence_length`.
        size: the batch size or length that was tried.
        bytes_asked: the allocation that failed; None where it fitted, or where the error does not say.
    """

    case_id: str
    metric: str
    size: int
    outcome: Outcome
    reason: str = ""
    bytes_asked: int | None = None
    wall_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What this machine can do at most at a precision and number of threads: a large matmul, a large copy."""

    device: str
    precision: str
    threads: int
    outcome: Outcome
    reason: str = ""
    flops_per_s: float | None = None
    bytes_per_s: float | None = None
    wall_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One pass over the training items within a fit.

    Attributes:
        losses: mean training loss of each phase by its name, where a step has several; `train_loss` is that of the last.
    """

    case_id: str
    seed: int
    fold: int | None
    learning_rate: float
    epoch: int
    train_loss: float | None
    validation_loss: float | None
    validation_score: float | None
    seconds: float
    items: int
    losses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Values at whole steps, for a chart: `x` in steps, `y` in the exhibit's unit."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """Something of a fit's test split that people look at: examples in a table, a picture, or lines.

    Attributes:
        title, says: its heading, and how to read it.
        columns, rows: examples; a cell that is a picture begins with `PICTURE` and goes on in base64.
        picture: a PNG in base64 after `PICTURE`; `says` is its text alternative.
        lines: drawn in one chart, the truth first; `x_title` and `unit` name its axes.
    """

    title: str
    says: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    picture: str = ""
    lines: tuple[Line, ...] = ()
    x_title: str = ""
    unit: str = ""


PICTURE = "data:image/png;base64,"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """One training with one seed (and fold), reported once on the test split.

    Attributes:
        metrics: the task's own metrics on the test split.
        correct, total: test items (or steps) that were right, for the test-sampling interval.
        confusion: counts, rows are true classes; None where the task has no classes.
        predictions: one per test item, in the order of the test split, for paired tests between architectures; none where
            a task keeps none.
        floors: what simple rules score by the task's headline metric on the same test split, by their names.
        exhibits: what people look at to see how well it does.
        fit_s: seconds of training alone, summed over every learning rate that was tried.
    """

    case_id: str
    seed: int
    fold: int | None
    outcome: Outcome
    reason: str = ""
    started: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    correct: int | None = None
    total: int | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    classes: tuple[str, ...] = ()
    predictions: tuple[Any, ...] = ()
    floors: Mapping[str, float] = field(default_factory=dict)
    exhibits: tuple[Exhibit, ...] = ()
    best_epoch: int | None = None
    learning_rate: float | None = None
    fit_s: float | None = None
    items: int | None = None
    time_to_target_s: float | None = None
    data_fingerprint: str = ""
    wall_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Why sampling of a case ended: its precision was reached, the cap on trials, the budget, or it kept failing."""

    case_id: str
    criterion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The last line of a complete run."""

    finished: str
    wall_s: float


Observation = Preflight | Pilot | Trial | Pass | Probe | Ceiling | Epoch | Fit | Stopped | End
OBSERVATIONS: dict[str, type[Observation]] = {
    kind.__name__.lower(): kind for kind in (Preflight, Pilot, Trial, Pass, Probe, Ceiling, Epoch, Fit, Stopped, End)
}


# ── what belongs together ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """A case with all that was observed of it so far."""

    case: Case
    preflight: Preflight | None = None
    pilots: tuple[Pilot, ...] = ()
    trials: tuple[Trial, ...] = ()
    passes: tuple[Pass, ...] = ()
    probes: tuple[Probe, ...] = ()
    ceiling: Ceiling | None = None
    epochs: tuple[Epoch, ...] = ()
    fits: tuple[Fit, ...] = ()
    criterion: str = ""

    def attempts(self, kind: PassKind) -> list[Pass]:
        """Every pass of a kind, in order of time."""
        return [one for one in self.passes if one.name is kind]

    @property
    def verdict(self) -> tuple[Outcome | None, str]:
        """How the case ended, with the reason; None while nothing has been observed."""
        if self.case.skip:
            return Outcome.SKIPPED, self.case.skip
        given_up = repeated_failure(self.trials or self.pilots)
        if given_up is not None:
            return given_up.outcome, given_up.reason
        if self.preflight is not None and self.preflight.outcome is not Outcome.OK:
            return self.preflight.outcome, self.preflight.reason
        attempts: Sequence[Pilot | Trial | Fit] = self.fits or self.trials
        if any(attempt.outcome is Outcome.OK for attempt in attempts):
            return Outcome.OK, ""
        # a pilot that went well measured nothing yet
        attempts = attempts or [pilot for pilot in self.pilots if pilot.outcome is not Outcome.OK]
        return (attempts[-1].outcome, attempts[-1].reason) if attempts else (None, "not measured yet")


def repeated_failure(attempts: Sequence[Pilot | Trial]) -> Pilot | Trial | None:
    """The second of two attempts in a row that failed alike: such a case is not tried again."""
    for before, after in itertools.pairwise(attempts):
        if after.outcome is not Outcome.OK and after.outcome is before.outcome:
            return after
    return None


def gather(plan: Plan, observations: Iterable[Observation]) -> list[CaseResult]:
    """Group observations by case, in the order of the plan."""
    by_case: dict[str, dict[str, list[Observation]]] = {case.id: {} for case in plan.cases}
    criteria: dict[str, str] = {}
    preflights: dict[tuple[str, str], Preflight] = {}
    ceilings: dict[tuple[str, str, int], Ceiling] = {}
    places = {Pilot: "pilots", Trial: "trials", Pass: "passes", Probe: "probes", Epoch: "epochs", Fit: "fits"}
    for observation in observations:
        match observation:
            case Pilot() | Trial() | Pass() | Probe() | Epoch() | Fit():
                by_case[observation.case_id].setdefault(places[type(observation)], []).append(observation)
            case Preflight():
                preflights[observation.task_key, observation.variant_id] = observation
            case Ceiling():
                ceilings[observation.device, observation.precision, observation.threads] = observation
            case Stopped():
                criteria[observation.case_id] = observation.criterion
            case End():
                pass
    return [
        CaseResult(
            case=case,
            preflight=preflights.get((case.task_key, case.variant.variant_id)),
            ceiling=ceilings.get((case.device, case.precision, case.threads)),
            criterion=criteria.get(case.id, ""),
            **{name: tuple(known) for name, known in by_case[case.id].items()},  # type: ignore[arg-type]
        )
        for case in plan.cases
    ]
