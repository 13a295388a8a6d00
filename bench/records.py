"""The nouns that are written to disk: cases, what was observed of them, runs and machines. No torch.

A run folder holds `run.json` (one `Run`) and `cases.jsonl` (one observation a line). Raw before derived: observations keep
samples and counts; estimates are computed again on load (`bench.estimates`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bench.codec import digest

# Schema history. Old files are fixtures in tests/golden/.
# 1  first release
SCHEMA_VERSION = 1

# Part of every definition hash: a change that moves numbers (see CHANGELOG, "Measurement") raises it.
METHOD_VERSION = 1


class Outcome(StrEnum):
    """How a case, trial or fit ended."""

    OK = "ok"
    SKIPPED = "skipped"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    DIVERGED = "diverged"
    FAILED = "failed"

    @property
    def is_finding(self) -> bool:
        """A result in its own right (exit code 0), where the others mean that something is missing (exit code 5)."""
        return self not in (Outcome.TIMED_OUT, Outcome.FAILED)


class LengthDistribution(StrEnum):
    """How long the sequences of a speed case are; `fixed` fills every row."""

    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """An architecture with resolved hyperparameters; the label is for people and part of no hash."""

    architecture: str
    label: str
    hyperparameters: Mapping[str, Any]

    @property
    def variant_id(self) -> str:
        """Same architecture and hyperparameters, same id, on every machine."""
        return digest({"architecture": self.architecture, "hyperparameters": dict(self.hyperparameters)})


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """How a model is trained to accuracy; alike for every variant of a suite."""

    epochs: int
    batch_size: int
    optimizer: str = "adamw"
    learning_rates: tuple[float, ...] = (1e-3,)
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    train_items: int | None = None
    target: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One variant x task x workload x point on the axes. Seed and fold are not part of it.

    Attributes:
        id: readable and unique within a run.
        definition_hash: what makes two cases of two runs the same case; covers everything below, the task's spec and
            METHOD_VERSION, but neither id, label nor `skip`.
        skip: why this case cannot be measured on this device at all; empty where it can.
    """

    id: str
    definition_hash: str
    task: str
    task_options: Mapping[str, Any] = field(default_factory=dict)
    variant: Variant
    workload: str
    sequence_length: int | None = None
    batch_size: int
    precision: str
    device: str
    threads: int
    compile: str = "none"
    length_distribution: LengthDistribution = LengthDistribution.FIXED
    new_tokens: int | None = None
    fit: FitSettings | None = None
    skip: str = ""

    @property
    def task_key(self) -> str:
        """The task with its options: `imdb`, `text-classification[file=mine.csv]`."""
        return task_key(self.task, self.task_options)


def task_key(name: str, options: Mapping[str, Any]) -> str:
    """A task's name with the options that were given to it."""
    given = ",".join(f"{key}={options[key]}" for key in sorted(options))
    return f"{name}[{given}]" if given else name


# ── observations: one line of cases.jsonl each ─────────────────────────────────────────────────────────────────────


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
        evidence: what was seen from outside: context switches, CPU seconds, steal.
    """

    case_id: str
    round: int
    outcome: Outcome
    reason: str = ""
    started: str = ""
    samples_s: tuple[float, ...] = ()
    iterations: int | None = None
    items: int | None = None
    tokens: int | None = None
    real_tokens: int | None = None
    start_s: float | None = None
    first_call_s: float | None = None
    warmup_s: float | None = None
    warmup_calls: int | None = None
    steady: bool | None = None
    wall_s: float | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One memory pass of a timed case, in a worker of its own; `values` holds metrics by name, in bytes, None with a reason."""

    case_id: str
    outcome: Outcome
    reason: str = ""
    attempt: int = 0
    values: Mapping[str, float | None] = field(default_factory=dict)
    wall_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One pass over the training items within a fit."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """One training with one seed (and fold), reported once on the test split.

    Attributes:
        metrics: the task's own metrics on the test split.
        correct, total: test items (or steps) that were right, for the test-sampling interval.
        confusion: counts, rows are true classes; None where the task has no classes.
        predictions: one per test item, in the order of the test split, for paired tests between architectures.
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


Observation = Preflight | Pilot | Trial | Memory | Epoch | Fit | Stopped | End
OBSERVATIONS: dict[str, type[Observation]] = {
    kind.__name__.lower(): kind for kind in (Preflight, Pilot, Trial, Memory, Epoch, Fit, Stopped, End)
}


# ── the run and its machine ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Hardware and software, without host, user or folder names.

    Attributes:
        hard: what must match before two runs are compared.
        soft: what is said, and widens thresholds.
        state: what is only recorded (load, clocks, temperature).
    """

    name: str
    hard: Mapping[str, Any]
    soft: Mapping[str, Any]
    state: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Equal on machines whose runs may be compared."""
        return digest(dict(self.hard))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How long and how precisely to measure; METHOD.md gives the reasons for the defaults."""

    budget_s: float | None = None
    min_rounds: int = 5
    max_rounds: int = 20
    target: float = 0.02
    samples: int = 10
    warmup_s: float = 0.2
    warmup_calls: int = 20
    warmup_cap_s: float = 3.0
    timeout_s: float = 120.0
    fit_timeout_s: float = 14_400.0
    memory: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """The speed case that stands beside an accuracy in tables and charts."""

    workload: str = "inference"
    sequence_length: int | None = None
    batch_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A resolved suite: all that is needed to measure it, and to go on with it after an interruption.

    Attributes:
        folds: number of folds of each task (by task key) that is cross-validated.
        imports: modules of the user's to import in every child, as the user wrote them.
        folder: where paths in the suite start from, relative to the working folder where that is possible.
    """

    suite: str
    description: str = ""
    cases: tuple[Case, ...]
    seeds: tuple[int, ...] = ()
    folds: Mapping[str, int] = field(default_factory=dict)
    measure: Measure = field(default_factory=Measure)
    operating_point: OperatingPoint = field(default_factory=OperatingPoint)
    imports: tuple[str, ...] = ()
    folder: str = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One invocation of `bench run`."""

    run_id: str
    created: str
    plan: Plan
    machine: Machine
    seed: int
    command: str = ""
    commit: str | None = None
    dirty: bool | None = None
    suite_text: str = ""
    bench_version: str = ""
    schema: int = SCHEMA_VERSION
    method: int = METHOD_VERSION


# ── what belongs together ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """A case with all that was observed of it so far."""

    case: Case
    preflight: Preflight | None = None
    pilots: tuple[Pilot, ...] = ()
    trials: tuple[Trial, ...] = ()
    memory: tuple[Memory, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    fits: tuple[Fit, ...] = ()
    criterion: str = ""

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


def repeated_failure(attempts: Sequence[Pilot | Trial | Memory]) -> Pilot | Trial | Memory | None:
    """The second of two attempts in a row that failed alike: such a case is not tried again."""
    for before, after in itertools.pairwise(attempts):
        if after.outcome is not Outcome.OK and after.outcome is before.outcome:
            return after
    return None


def gather(plan: Plan, observations: Iterable[Observation]) -> list[CaseResult]:
    """Group observations by case, in the order of the plan."""
    by_case: dict[str, dict[str, Any]] = {case.id: {} for case in plan.cases}
    preflights: dict[tuple[str, str], Preflight] = {}
    places = {Pilot: "pilots", Trial: "trials", Memory: "memory", Epoch: "epochs", Fit: "fits"}
    for observation in observations:
        match observation:
            case Preflight():
                preflights[observation.task_key, observation.variant_id] = observation
            case End():
                pass
            case Stopped():
                by_case[observation.case_id]["criterion"] = observation.criterion
            case _:
                place = places[type(observation)]
                known = by_case[observation.case_id]
                known[place] = (*known.get(place, ()), observation)
    return [
        CaseResult(case=case, preflight=preflights.get((case.task_key, case.variant.variant_id)), **by_case[case.id])
        for case in plan.cases
    ]
