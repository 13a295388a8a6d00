"""The shape of a suite file: its tables and keys, their types and ranges. Names are resolved by `bench.plan`."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from bench import records
from bench.quantity import parse_bytes, parse_duration

T = TypeVar("T")


def _wrong(expected: str) -> PydanticCustomError:
    """An error whose text is what was expected; `bench.suite_check` puts place and finding before it."""
    return PydanticCustomError("expected", "{expected}", {"expected": expected})


def _distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise _wrong(f"each value once, but {value} stands there twice")
    return values


def _printable(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise _wrong("a line of text that can be seen")
    return text


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(one) if not isinstance(one, list) else _reject() for one in value]
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _reject()


def _reject() -> object:
    raise _wrong("a finite number, text, true or false, or a list of these")


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_duration(value)
    except ValueError as error:
        raise _wrong('a number of seconds, or a time such as "150s", "2m" or "1h"') from error


def _bytes(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_bytes(value)
    except ValueError as error:
        raise _wrong('a number of bytes, or a size such as "512MiB" or "2GiB"') from error


def as_entries(value: object) -> object:
    """`task = "imdb"` is short for one `[[task]]`; anything else is left as it is."""
    return [{"name": value}] if isinstance(value, str) else value


Line = Annotated[str, Field(max_length=100), AfterValidator(_printable)]
Size = Annotated[int, Field(ge=1, le=1_000_000_000)]
Axis = Annotated[tuple[T, ...], Field(strict=False, min_length=1), AfterValidator(_distinct)]
PassName = Literal["memory", "cost", "split", "tails", "compile", "energy"]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Bytes = Annotated[int, BeforeValidator(_bytes), Field(ge=1, le=2**50)]
Positive = Annotated[float, Field(gt=0)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _OpenTable(_Table):
    """A table whose further keys are options that only a registered thing can judge."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[Any, AfterValidator(_plain)]] = Field(init=False)

    @property
    def options(self) -> dict[str, Any]:
        """The keys beside the fixed ones, as the user wrote them."""
        return dict(self.__pydantic_extra__)


class Speed(_Table):
    """`[speed]`, or the part of it that one `[[architecture]]` replaces."""

    workloads: Axis[Line] | None = None
    sequence_lengths: Axis[Size] | None = None
    batch_sizes: Axis[Size] | None = None
    precisions: Axis[Literal["fp32", "tf32", "bf16", "fp16"]] = ("fp32",)
    threads: Axis[Annotated[int, Field(ge=1, le=4096)]] | None = None
    length_distributions: Axis[Literal["fixed", "data", "uniform"]] = ("fixed",)
    compile: Axis[Literal["none", "default", "reduce-overhead"]] = ("none",)
    new_tokens: Axis[Size] | None = None


class TaskEntry(_OpenTable):
    """`[[task]]`: further keys are options of the task."""

    name: Annotated[Line, Field(examples=['name = "imdb"'])]


class ArchitectureEntry(_OpenTable):
    """`[[architecture]]`: further keys are hyperparameters."""

    name: Annotated[Line, Field(examples=['name = "lstm"'])]
    label: Line | None = None
    speed: Speed | None = None


class Accuracy(_Table):
    """`[accuracy]`: how models are trained, for every architecture alike; what is not given has its default in `records`."""

    sequence_lengths: Axis[Size] | None = None
    seeds: Axis[Annotated[int, Field(ge=0, le=2**31 - 1)]] = (0,)
    folds: Annotated[int, Field(ge=0)] | None = None
    epochs: Annotated[Size, Field(examples=["epochs = 3"])]
    batch_size: Size = 32
    optimizer: Literal["adamw", "sgd"] | None = None
    learning_rates: Axis[Positive] | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    clip_norm: Annotated[float, Field(ge=0)] | None = None
    train_items: Size | None = None
    target: float | None = None

    def settings(self) -> records.FitSettings:
        """The same as a record; a `clip_norm` of 0 switches clipping off."""
        given = self.model_dump(exclude_none=True, exclude={"sequence_lengths", "seeds", "folds"})
        if self.clip_norm == 0:
            given["clip_norm"] = None
        return records.FitSettings(**given)


class Fairness(_Table):
    """`[fairness]`: what is made alike before anything is measured."""

    match_parameters: Size | None = None


class Measure(_Table):
    """`[measure]`: what is not given has its default in `records.Measure`."""

    budget: Seconds | None = None
    min_rounds: Size | None = None
    max_rounds: Size | None = None
    target: Annotated[float, Field(gt=0, lt=1)] | None = None
    samples: Size | None = None
    trial: Seconds | None = None
    warmup: Seconds | None = None
    warmup_calls: Size | None = None
    warmup_cap: Seconds | None = None
    timeout: Seconds | None = None
    fit_timeout: Seconds | None = None
    tails: Seconds | None = None
    passes: Annotated[tuple[PassName, ...], Field(strict=False), AfterValidator(_distinct)] | None = None
    limits: bool | None = None
    limit_bytes: Bytes | None = None

    @model_validator(mode="after")
    def _rounds_in_order(self) -> Measure:
        record = self.record()
        if record.min_rounds > record.max_rounds:
            expected = f"min_rounds ({record.min_rounds}) not above max_rounds ({record.max_rounds})"
            raise PydanticCustomError("at_odds", "{expected}", {"expected": expected})
        return self

    def record(self) -> records.Measure:
        """The same as a record, where times carry their unit in the name."""
        known = {entry.name for entry in dataclasses.fields(records.Measure)}
        given = self.model_dump(exclude_none=True)
        if self.passes is not None:
            given["passes"] = tuple(records.PassKind(name) for name in self.passes)
        return records.Measure(**{key if key in known else f"{key}_s": value for key, value in given.items()})


class _GateRule(_Table):
    """What counts in practice; `bench.plan.resolve` looks the metrics up."""

    thresholds: dict[str, Annotated[float, Field(ge=0, lt=10)]] = {}
    ignore: Annotated[tuple[Line, ...], Field(strict=False), AfterValidator(_distinct)] = ()
    allow_missing: bool = False

    def rule(self, match: str = "*") -> records.GateRule:
        """The same as a record, of the cases whose id matches."""
        return records.GateRule(
            match=match, thresholds=dict(self.thresholds), ignore=self.ignore, allow_missing=self.allow_missing
        )


class GateCase(_GateRule):
    """`[[gate.case]]`: what holds for the cases whose id matches."""

    match: Annotated[Line, Field(examples=['match = "*/lstm/*"'])]


class Gate(_GateRule):
    """`[gate]`: what two arms are judged by. Later entries win over earlier ones, and all of them over `[gate]` itself."""

    max_pairs: Annotated[int, Field(ge=2, le=1000)] | None = None
    case: Annotated[tuple[GateCase, ...], Field(strict=False)] = ()

    def record(self) -> records.Gate:
        """The same as a record."""
        rules = (self.rule(), *(entry.rule(entry.match) for entry in self.case))
        said = tuple(rule for rule in rules if rule != records.GateRule(match=rule.match))
        return (
            records.Gate(rules=said) if self.max_pairs is None else records.Gate(rules=said, max_pairs=self.max_pairs)
        )


class OperatingPoint(_Table):
    """`operating_point` of `[report]`."""

    workload: Line | None = None
    sequence_length: Size | None = None
    batch_size: Size | None = None


class Report(_Table):
    """`[report]`."""

    operating_point: OperatingPoint = OperatingPoint()


class SuiteFile(_Table):
    """The whole file. The name becomes part of folder names, so it is kept plain."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60, examples=['name = "my-suite"'])]
    description: str = ""
    imports: Axis[Line] | None = Field(default=None, alias="import")
    task: Annotated[
        tuple[TaskEntry, ...],
        BeforeValidator(as_entries),
        Field(strict=False, min_length=1, examples=['task = "imdb"']),
    ]
    architecture: Annotated[
        tuple[ArchitectureEntry, ...],
        Field(strict=False, min_length=1, examples=['[[architecture]] with name = "lstm"']),
    ]
    speed: Speed | None = None
    accuracy: Accuracy | None = None
    fairness: Fairness = Fairness()
    measure: Measure = Measure()
    gate: Gate = Gate()
    report: Report = Report()
