"""All about one architecture, or one task: what it is, what it costs, what it keeps, what it fits. No data are needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from inspect import getdoc
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench import contracts, suite
from bench.architectures import Architecture
from bench.architectures.foreign import fitting, lookup
from bench.batch import forward
from bench.blueprints import on_meta
from bench.errors import BenchError, SuiteError, UsageError
from bench.options import fill
from bench.passes.cost import per_item
from bench.probes.flops import count
from bench.quantity import Metric
from bench.spec import LengthAxis, Spec
from bench.tasks import TASKS, Task

REPRESENTATIVE = ("imdb", "images", "tabular")
"""The tasks that stand for the others: cost and contracts are told of the first of them that fits, else of the next task."""

USUAL_LENGTH = 256
"""Tokens or steps, of tasks whose length is free."""


class State(StrEnum):
    """What came of holding an architecture to a contract."""

    GREEN = "green"
    RED = "red"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A hyperparameter, or an option of a task, with what it takes; `below` is exclusive."""

    name: str
    default: Any
    required: bool
    at_least: float | None
    below: float | None
    choices: tuple[Any, ...]
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A contract, and why it is red or was not asked."""

    name: str
    what: str
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """Whether it runs on a task with the defaults of both; None where that cannot be told. `reason` says why not."""

    name: str
    fits: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a model with the defaults costs on one task; `reasons` says of each None why nobody knows.

    Attributes:
        closed_form: whether `parameters` comes from a formula; else they were counted on a model on `meta`.
        flops_per_item: of one forward of one item; a FLOP as in `bench.probes.flops`.
    """

    parameters: int | None = None
    closed_form: bool = False
    flops_per_item: float | None = None
    reasons: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchitectureSheet:
    """All about one architecture.

    Attributes:
        given: hyperparameters that are not at their default in all that is told here.
        needs: hyperparameters without a default that were not given; no model can be built without them.
        streams: whether a model does; None where none can be built.
        task, sequence_length: of which `cost` and `contracts` are told; None where no task fits.
        suites: those with a name that compare it.
    """

    name: str
    summary: str
    source: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    width: str | None
    hyperparameters: tuple[Setting, ...]
    given: Mapping[str, Any]
    needs: tuple[str, ...]
    streams: bool | None
    not_streaming: str
    task: str | None
    sequence_length: int | None
    cost: Cost
    contracts: tuple[Held, ...]
    tasks: tuple[Fitting, ...]
    suites: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSheet:
    """All about one task; what depends on options that have no default is None, and `reason` names them."""

    name: str
    summary: str
    source: str
    options: tuple[Setting, ...]
    reason: str = ""
    inputs: str | None = None
    outputs: str | None = None
    length_axis: str | None = None
    classes: int | None = None
    metrics: tuple[Metric, ...] | None = None
    headline: str | None = None
    chance: float | None = None
    folds: int | None = None
    architectures: tuple[str, ...] | None = None
    suites: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """A task with its default options at its usual length, on which something is asked."""

    name: str
    task: Task
    spec: Spec


def settings_of(record: type[Any]) -> tuple[Setting, ...]:
    """Every field of an options record."""
    return tuple(
        Setting(
            name=field.name,
            default=None if field.default is dataclasses.MISSING else field.default,
            required=field.default is dataclasses.MISSING,
            at_least=field.metadata.get("at_least"),
            below=field.metadata.get("below"),
            choices=tuple(field.metadata.get("choices") or ()),
            help=field.metadata.get("help", ""),
        )
        for field in dataclasses.fields(record)
    )


# ── an architecture ────────────────────────────────────────────────────────────────────────────────────────────────


def of_architecture(reference: str, folder: Path, given: Mapping[str, Any] | None = None) -> ArchitectureSheet:
    """All about the architecture of a name or reference, as suites in `folder` write it; `given` replaces defaults.

    Raises:
        UsageError: nobody registers that name, or what was given is wrong.
        ModelError: the reference leads nowhere, or to something that is no model.
    """
    architecture, given = lookup(reference, folder), given or {}
    values, problems = fill(architecture.hyperparameters, given)
    needs = _needs(architecture.hyperparameters, given)
    if len(problems) > len(needs):
        raise UsageError(f"{reference}: {'; '.join(problems)}")
    grounds = {name: _ground(name) for name in sorted(TASKS.names(), key=_rank)}
    tasks = tuple(_fitting(architecture, values, name, ground, needs) for name, ground in grounds.items())
    otherwise = _needing(needs) if needs else "it fits no task that is here"
    chosen = next((grounds[one.name] for one in tasks if one.fits), otherwise)
    not_streaming = "" if values is None else architecture.not_streaming(values)
    return ArchitectureSheet(
        name=reference,
        summary=architecture.summary,
        source=architecture.source,
        inputs=tuple(sorted(architecture.inputs)),
        outputs=tuple(sorted(architecture.outputs)),
        width=architecture.width,
        hyperparameters=settings_of(architecture.hyperparameters),
        given=given,
        needs=needs,
        streams=None if values is None else not not_streaming,
        not_streaming=not_streaming,
        task=None if isinstance(chosen, str) else chosen.name,
        sequence_length=None if isinstance(chosen, str) else chosen.spec.sequence_length,
        cost=_cost(architecture, values, chosen),
        contracts=tuple(_held(architecture, values, chosen)),
        tasks=tasks,
        suites=_suites(reference, "architectures"),
    )


def _needs(record: type[Any], given: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(one.name for one in settings_of(record) if one.required and one.name not in given)


def _needing(names: Sequence[str]) -> str:
    return f"needs {', '.join(names)}"


def _rank(name: str) -> tuple[int, str]:
    return (REPRESENTATIVE.index(name) if name in REPRESENTATIVE else len(REPRESENTATIVE)), name


def _ground(name: str) -> _Ground | str:
    """The task as it is asked of, or why it cannot be."""
    try:
        kind = TASKS.get(name)
        options, _ = fill(kind.options, {})
        if options is None:
            return _needing(_needs(kind.options, {}))
        task = kind.make(options)
        return _Ground(
            name=name, task=task, spec=task.spec(USUAL_LENGTH if task.length_axis is LengthAxis.FREE else None)
        )
    except BenchError as error:
        return str(error)


def _fitting(
    architecture: Architecture, values: Any, name: str, ground: _Ground | str, needs: Sequence[str]
) -> Fitting:
    if isinstance(ground, str):
        return Fitting(name=name, fits=None, reason=ground)
    if not architecture.supports(ground.spec):
        return Fitting(name=name, fits=False, reason=f"{ground.spec.inputs} in, {ground.spec.outputs} out")
    if needs:
        return Fitting(name=name, fits=None, reason=_needing(needs))
    try:
        contracts.subject(architecture, ground.task, ground.spec, values)
    except BenchError as error:
        return Fitting(name=name, fits=False, reason=str(error))
    return Fitting(name=name, fits=True)


def _cost(architecture: Architecture, values: Any, ground: _Ground | str) -> Cost:
    if isinstance(ground, str):
        return Cost(reasons=dict.fromkeys(("parameters", "flops_per_item"), ground))
    closed_form = architecture.parameter_count
    parameters = flops = None
    try:  # a user's own code may raise anything
        if closed_form is not None:
            parameters = closed_form(ground.spec, values)
        model = on_meta(architecture, ground.spec, values)
        if parameters is None:
            parameters = sum(parameter.numel() for parameter in model.parameters())
        flops, why = _forward_flops(model, ground)
    except Exception as error:
        why = f"it does not run on `meta`, where cost is counted: {type(error).__name__}: {error}"
    reasons = {name: why for name, value in (("parameters", parameters), ("flops_per_item", flops)) if value is None}
    return Cost(parameters=parameters, closed_form=closed_form is not None, flops_per_item=flops, reasons=reasons)


@torch.inference_mode()
def _forward_flops(model: nn.Module, ground: _Ground) -> tuple[float | None, str]:
    batch = ground.task.random_batch(ground.spec, 1, seed=0).to(torch.device("meta"))
    return per_item(count(lambda: forward(model.eval(), batch, ground.spec)), batch.items)


def _held(architecture: Architecture, values: Any, ground: _Ground | str) -> Iterator[Held]:
    """Every contract; asked with the defaults, on a small batch."""
    red = {} if isinstance(ground, str) else contracts.check(architecture, ground.task, ground.spec, values)
    for name, contract in contracts.CONTRACTS.items():
        unasked = ground if isinstance(ground, str) else contracts.not_asked(name, architecture, ground.spec, red)
        state = State.RED if name in red else State.NOT_ASKED if unasked else State.GREEN
        what = (getdoc(contract) or "").partition("\n")[0]
        yield Held(name=name, what=what, state=state, reason=red.get(name, unasked))


def _suites(name: str, kind: str) -> tuple[str, ...]:
    """Names of suites that name it among their `architectures` or `tasks`."""
    found = []
    for entry in suite.catalogue():
        with suppress(SuiteError):  # `bench list suites` tells why it cannot be read
            if any(one.name == name for one in getattr(suite.load(entry.path), kind).values()):
                found.append(entry.name)
    return tuple(found)


# ── a task ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def of_task(name: str) -> TaskSheet:
    """All about a task, with its default options.

    Raises:
        UsageError: nobody registers that name.
    """
    kind = TASKS.get(name)
    ground = _ground(name)
    bare = TaskSheet(
        name=name,
        summary=kind.summary,
        source=kind.source,
        options=settings_of(kind.options),
        suites=_suites(name, "tasks"),
    )
    if isinstance(ground, str):
        return replace(bare, reason=ground)
    return replace(
        bare,
        inputs=ground.spec.inputs,
        outputs=ground.spec.outputs,
        length_axis=ground.task.length_axis,
        classes=ground.spec.classes,
        metrics=ground.task.metrics,
        headline=ground.task.headline,
        chance=ground.task.chance,
        folds=ground.task.folds,
        architectures=tuple(fitting(ground.spec)),
    )
