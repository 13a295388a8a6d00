"""The nouns of `run.json`: cases, how they are measured, the run and its machine. No torch.

What is observed of cases is in `bench.observations`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from bench.codec import digest

# Schema history. Old files are fixtures in tests/golden/.
# 1  first release
# 2  memory passes are one kind of `pass`; `probe` and `ceiling` lines; measure.passes instead of measure.memory
SCHEMA_VERSION = 2

# Part of every definition hash: a change that moves numbers (see CHANGELOG, "Measurement") raises it.
METHOD_VERSION = 2


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
    """How long the sequences of a speed case are, at most its sequence length; see `bench.lengths`."""

    FIXED = "fixed"  # every row is full
    DATA = "data"  # as long as the texts of the task's training split
    UNIFORM = "uniform"  # every length as often as any other


class PassKind(StrEnum):
    """What is observed of a timed case beside its trials, each in a worker of its own."""

    MEMORY = "memory"  # peak of one step and what it is made of
    COST = "cost"  # FLOPs and traffic on `meta`, operators and kernels of one step
    SPLIT = "split"  # forward, backward and optimizer seconds
    TAILS = "tails"  # p90 and p99 of single calls
    COMPILE = "compile"  # one cold compilation
    ENERGY = "energy"  # the driver's counter over a second


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedSize:
    """What came of scaling a variant to a number of parameters beside its tables; see `bench.fairness`.

    Attributes:
        parameters: what it has; None where it was left as it is, because it has no width to scale.
    """

    target: int
    parameters: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """An architecture with resolved hyperparameters.

    Attributes:
        label: for people, and part of no hash.
        size: None where the suite does not ask for equal sizes; part of no hash, but the hyperparameters it led to are.
    """

    architecture: str
    label: str
    hyperparameters: Mapping[str, Any]
    size: MatchedSize | None = None

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
    given = ",".join(f"{key}={written(options[key])}" for key in sorted(options))
    return f"{name}[{given}]" if given else name


def written(value: object) -> str:
    """An option's value as people read it in labels and keys: `true` as in a suite, several joined by commas."""
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def matching(cases: Sequence[Case], pattern: str) -> tuple[Case, ...]:
    """The cases of this id, else those whose id contains the pattern or, where it has `*`, `?` or `[`, matches it.

    Small letters and capitals are alike.
    """
    wanted = pattern.lower()
    glob = wanted if any(sign in wanted for sign in "*?[") else f"*{wanted}*"
    alone = tuple(case for case in cases if case.id == pattern)
    return alone or tuple(case for case in cases if fnmatchcase(case.id.lower(), glob))


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
    """How long and how precisely to measure; docs/method.md gives the reasons for the defaults.

    Attributes:
        samples: in a trial, at least.
        trial_s: how long a trial samples, after its warm-up.
        tails_s: the longest that single calls are timed for p90 and p99.
        passes: what is observed beside trials, where it applies to a case.
        limits: whether the largest batch and the longest sequence are searched for.
        limit_bytes: memory that such a search may use; None for what is free.
    """

    budget_s: float | None = None
    min_rounds: int = 5
    max_rounds: int = 20
    target: float = 0.02
    samples: int = 10
    trial_s: float = 0.75
    warmup_s: float = 0.2
    warmup_calls: int = 20
    warmup_cap_s: float = 3.0
    timeout_s: float = 120.0
    fit_timeout_s: float = 14_400.0
    tails_s: float = 2.0
    passes: tuple[PassKind, ...] = tuple(PassKind)
    limits: bool = False
    limit_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRule:
    """What counts in practice for the cases whose id matches.

    Attributes:
        match: a pattern with `*` and `?`; every case by default.
        thresholds: by metric; relative for time, bytes and counts, in absolute terms (0.01 = one point) for scores.
        ignore: metrics that are not judged.
        allow_missing: whether such a case may be missing on one side.
    """

    match: str = "*"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    allow_missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What two arms are judged by; of several rules that match a case, the last that names a metric decides.

    Attributes:
        max_pairs: the most pairs that one case of `ab` gets before confirmation.
    """

    rules: tuple[GateRule, ...] = ()
    max_pairs: int = 30

    def threshold(self, case_id: str, metric: str, usual: float) -> float | None:
        """What counts in practice for a metric of a case: `usual` if no rule names it; None where it is not judged."""
        found: float | None = usual
        for rule in self._of(case_id):
            if metric in rule.ignore:
                found = None
            elif metric in rule.thresholds:
                found = rule.thresholds[metric]
        return found

    def allows_missing(self, case_id: str) -> bool:
        """Whether a case may be missing on one side."""
        return any(rule.allow_missing for rule in self._of(case_id))

    def _of(self, case_id: str) -> list[GateRule]:
        return [rule for rule in self.rules if fnmatchcase(case_id, rule.match)]


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
        pretrained: names of the weights that some of its models start from.
        headlines: the metric that stands for each task that is trained, by task key.
        save_models: whether every finished fit keeps its best weights.
        folder: where paths in the suite start from, relative to the working folder where that is possible.
    """

    suite: str
    description: str = ""
    cases: tuple[Case, ...]
    seeds: tuple[int, ...] = ()
    folds: Mapping[str, int] = field(default_factory=dict)
    measure: Measure = field(default_factory=Measure)
    gate: Gate = field(default_factory=Gate)
    operating_point: OperatingPoint = field(default_factory=OperatingPoint)
    imports: tuple[str, ...] = ()
    pretrained: tuple[str, ...] = ()
    headlines: Mapping[str, str] = field(default_factory=dict)
    save_models: bool = False
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
