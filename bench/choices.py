"""The names of a suite looked up: tasks with their options, variants with resolved hyperparameters, and whether they fit."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from bench.architectures import Architecture
from bench.architectures.foreign import fitting, lookup
from bench.errors import BenchError, DataError
from bench.options import fill
from bench.records import Variant, task_key, written
from bench.spec import LengthAxis, Spec
from bench.tasks import TASKS, Task, TaskKind

if TYPE_CHECKING:
    from bench.suite import Suite
    from bench.suite_file import ArchitectureEntry, Speed, TaskEntry

AXES = {
    "sequence_length": "sequence_lengths",
    "batch_size": "batch_sizes",
    "precision": "precisions",
    "threads": "threads",
    "new_tokens": "new_tokens",
    "length_distribution": "length_distributions",
    "workload": "workloads",
    "device": "",
    "compile": "compile",
}
"""Names that no hyperparameter may take, with the key under `[speed]` that sweeps them."""

# Kinds of inputs and outputs do not depend on the length, so any will do to see whether an architecture fits.
_ANY_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenTask:
    """A task of the suite.

    Attributes:
        given: its options as the user wrote them.
        resolved: all its options, of files the name alone: where a file lies does not make another case.
        has_paths: whether some of its options are names of files.
        kinds: its spec at some length, for what it takes and gives.
    """

    title: str
    name: str
    given: Mapping[str, Any]
    resolved: Mapping[str, Any]
    has_paths: bool
    task: Task
    kinds: Spec

    @property
    def key(self) -> str:
        """The task with its options, as records have it."""
        return task_key(self.name, self.given)

    @property
    def has_free_length(self) -> bool:
        """Whether suites may sweep its sequence length."""
        return self.task.length_axis is LengthAxis.FREE


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenVariant:
    """A variant of the suite, with the axes that its entry sets for itself."""

    title: str
    architecture: Architecture
    variant: Variant
    speed: Speed | None

    @property
    def settings(self) -> Any:
        """Its hyperparameters, as its architecture takes them."""
        return fill(self.architecture.hyperparameters, self.variant.hyperparameters)[0]


def choose_tasks(suite: Suite, folder: Path) -> tuple[list[ChosenTask], list[str]]:
    """The tasks of a suite, and one sentence for everything wrong with them; file names start at `folder`."""
    chosen: list[ChosenTask] = []
    problems: list[str] = []
    for place, entry in suite.tasks.items():
        title = f"[[task]] {place + 1} ({entry.name})"
        try:
            kind = TASKS.get(entry.name)
            one = _open(kind, entry, title, folder)
        except BenchError as error:
            problems.append(f"{title}: {error}")
            continue
        if isinstance(one, list):
            problems += one
            continue
        same = next((other for other in chosen if (other.name, other.resolved) == (one.name, one.resolved)), None)
        if same is not None:
            problems.append(f"{title}: is the same as {same.title}; remove one or change its options")
            continue
        chosen.append(one)
    return chosen, problems


def _open(kind: TaskKind, entry: TaskEntry, title: str, folder: Path) -> ChosenTask | list[str]:
    given = entry.options
    paths = {name: str(folder / given[name]) for name in kind.asked_paths if isinstance(given.get(name), str)}
    options, problems = fill(kind.options, {**given, **paths})
    if options is None:
        return [f"{title}: {problem}" for problem in problems]
    task = kind.make(options)
    names = {name: PurePath(path).name for name, path in paths.items()}
    return ChosenTask(
        title=title,
        name=entry.name,
        given=given,
        resolved={**dataclasses.asdict(options), **names},
        has_paths=bool(paths),
        task=task,
        kinds=_kinds(task),
    )


def _kinds(task: Task) -> Spec:
    """Its spec at some length; a user's file may be too short for the usual one."""
    if task.length_axis is not LengthAxis.FREE:
        return task.spec(None)
    try:
        return task.spec(_ANY_LENGTH)
    except DataError:
        return task.spec(1)


def choose_variants(suite: Suite, folder: Path) -> tuple[list[ChosenVariant], list[str]]:
    """The variants of a suite, and one sentence for everything wrong with them; references to files start at `folder`."""
    found: list[tuple[str, ArchitectureEntry, Architecture, dict[str, Any]]] = []
    problems: list[str] = []
    for place, entry in suite.architectures.items():
        title = f"[[architecture]] {place + 1} ({entry.label or entry.name})"
        wrong = [
            f"{title}: '{name}' is an axis, no hyperparameter; {_where(name)}" for name in entry.options if name in AXES
        ]
        try:
            architecture = lookup(entry.name, folder)
        except BenchError as error:
            problems += [*wrong, f"{title}: {error}"]
            continue
        given = {name: value for name, value in entry.options.items() if name not in AXES}
        filled, more = fill(architecture.hyperparameters, given)
        problems += [*wrong, *(f"{title}: {problem}" for problem in more)]
        if filled is not None:
            found.append((title, entry, architecture, dataclasses.asdict(filled)))
    matching = suite.content is not None and suite.content.fairness.match_parameters is not None
    labels = _labels([(entry, one, _kept(one, values) if matching else values) for _, entry, one, values in found])
    problems += [
        f"[[architecture]]: label '{label}' stands {count} times; give each entry a label of its own"
        for label, count in Counter(labels).items()
        if count > 1
    ]
    return [
        ChosenVariant(
            title=title,
            architecture=architecture,
            variant=Variant(architecture=entry.name, label=label, hyperparameters=values),
            speed=entry.speed,
        )
        for label, (title, entry, architecture, values) in zip(labels, found, strict=True)
    ], problems


def _kept(architecture: Architecture, values: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that matching leaves as they were asked for; the others as if nothing had been said of them."""
    solved = (architecture.width, architecture.fine_width)
    return {name: architecture.defaults()[name] if name in solved else value for name, value in values.items()}


def _where(axis: str) -> str:
    return f"sweep it with {AXES[axis]} under [speed] or [architecture.speed]" if AXES[axis] else "remove it"


def _labels(entries: Sequence[tuple[ArchitectureEntry, Architecture, Mapping[str, Any]]]) -> list[str]:
    """Labels as given, else the name, with what differs between entries of one architecture and is no default."""
    labels = []
    for entry, architecture, values in entries:
        alike = [other for twin, _, other in entries if twin.name == entry.name]
        defaults = architecture.defaults()
        differing = [
            f"{name}={written(value)}"
            for name, value in values.items()
            if value != defaults.get(name) and any(other[name] != value for other in alike)
        ]
        labels.append(entry.label or " ".join([entry.name.rpartition(":")[2], *differing]))
    return labels


def misfits(tasks: Sequence[ChosenTask], variants: Sequence[ChosenVariant]) -> list[str]:
    """One sentence for each pair that cannot be: it names the architectures that would fit."""
    return [
        f"{variant.title}: does not fit task '{task.key}' ({task.kinds.inputs} in, {task.kinds.outputs} out); "
        f"architectures that do: {', '.join(fitting(task.kinds)) or 'none yet'}"
        for task in tasks
        for variant in variants
        if not variant.architecture.supports(task.kinds)
    ]
