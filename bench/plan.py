"""A suite becomes a plan: names looked up, every case of its matrix spelled out, all problems told at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bench.architectures.foreign import import_module
from bench.blueprints import unbuildable
from bench.choices import ChosenTask, ChosenVariant, choose_tasks, choose_variants, misfits
from bench.compare import EXACT, judged_score
from bench.errors import BenchError, SuiteError, UsageError
from bench.fairness import matched
from bench.matrix import expand
from bench.records import Case, OperatingPoint, Plan, matching
from bench.registry import did_you_mean
from bench.verdicts import TIME

if TYPE_CHECKING:
    from bench.suite import Suite
    from bench.suite_file import Accuracy, Gate, GateCase
    from bench.suite_file import OperatingPoint as AskedPoint

_DEVICES = ("auto", "cpu", "cuda")
_SHOWN_IDS = 5


def resolve(
    suite: Suite,
    *,
    threads: int,
    device: str = "auto",
    filter: str | None = None,
    imports: Sequence[str] = (),
    folder: Path | None = None,
) -> Plan:
    """Spell out every case of a suite; nothing is measured, and no data set is needed.

    Args:
        suite: as `bench.suite.load` gives it.
        threads: for cases whose suite sets none.
        device: `cpu`, `cuda`, or `auto` for the best there is.
        filter: keep only the case of this id, else cases whose id contains it or, with `*`, `?` or `[`, matches it; small
            letters and capitals alike.
        imports: modules to import beside those that the suite names.
        folder: where paths in the suite start from; its own folder if None.

    Raises:
        SuiteError: everything that is wrong with the suite.
        UsageError: there is no such device, or the filter leaves nothing.
    """
    device = choose_device(device)
    folder = suite.path.parent if folder is None else folder
    modules = tuple(dict.fromkeys((*suite.imports, *imports)))
    unimportable = _import(modules, folder)
    tasks, wrong_tasks = choose_tasks(suite, folder)
    variants, wrong_variants = choose_variants(suite, folder)
    problems = [*unimportable, *wrong_tasks, *wrong_variants, *misfits(tasks, variants)]
    content = suite.content
    variants, wrong_sizes = matched(content, tasks, variants)
    # what cannot be built has no size either, for the same reason
    problems += dict.fromkeys((*wrong_sizes, *unbuildable(content, tasks, variants)))
    if content is None:
        raise SuiteError([suite.sentence(problem) for problem in (*suite.problems, *problems)])
    cases, wrong_axes = expand(content, tasks, variants, device=device, threads=threads)
    folds, wrong_folds = _folds(tasks, content.accuracy)
    point, wrong_point = _operating_point(content.report.operating_point, cases)
    # what is judged of a task that is not there nobody knows
    problems += [*wrong_axes, *wrong_folds, *wrong_point, *([] if wrong_tasks else _unjudged(content.gate, tasks))]
    if problems:
        raise SuiteError([suite.sentence(problem) for problem in problems])
    kept = _kept(cases, filter)
    return Plan(
        suite=content.name,
        description=content.description,
        cases=kept,
        seeds=content.accuracy.seeds if content.accuracy else (),
        folds=folds,
        measure=content.measure.record(),
        gate=content.gate.record(),
        operating_point=point,
        imports=modules,
        pretrained=_pretrained(kept, variants),
        headlines={task.key: task.task.headline for task in tasks} if content.accuracy else {},
        # a suite that names no file of the user's does not say where it lay: records hold no folder without need
        folder=_recorded(folder) if modules or _name_files(tasks, variants) else ".",
    )


def _name_files(tasks: Sequence[ChosenTask], variants: Sequence[ChosenVariant]) -> bool:
    return any(task.has_paths for task in tasks) or any(":" in entry.variant.architecture for entry in variants)


def _pretrained(cases: Sequence[Case], variants: Sequence[ChosenVariant]) -> tuple[str, ...]:
    """The pretrained weights that cases start from, of those that are not skipped."""
    measured = {case.variant.variant_id for case in cases if not case.skip}
    names = [one.architecture.pretrained(one.settings) for one in variants if one.variant.variant_id in measured]
    return tuple(dict.fromkeys(name for name in names if name))


def _recorded(folder: Path) -> str:
    """A folder as a record may hold it: relative where it lies within the working folder, else without whose home it is."""
    relative = os.path.relpath(folder)
    if not relative.startswith(os.pardir):
        return relative
    absolute, home = folder.resolve(), Path.home()
    return f"~/{absolute.relative_to(home)}" if absolute.is_relative_to(home) else str(absolute)


def choose_device(asked: str) -> str:
    """The device to measure on.

    Raises:
        UsageError: it is unknown, or not here.
    """
    if asked not in _DEVICES:
        raise UsageError(f"device '{asked}' is unknown; {did_you_mean(asked, _DEVICES)}")
    if asked == "cpu":
        return asked
    if torch.cuda.is_available():
        return "cuda"
    if asked == "auto":
        return "cpu"
    raise UsageError("device 'cuda' is not here: torch finds no GPU that it can use; take --device cpu")


def _import(modules: Iterable[str], folder: Path) -> list[str]:
    problems = []
    for module in modules:
        try:
            import_module(module, folder)
        except BenchError as error:
            problems.append(f"'import': {error}")
    return problems


def _folds(tasks: Sequence[ChosenTask], accuracy: Accuracy | None) -> tuple[dict[str, int], list[str]]:
    """How many folds of each task are fitted, by task key; tasks with one fixed split are left out."""
    if accuracy is None:
        return {}, []
    asked = accuracy.folds
    offered = {task.key: task.task.folds for task in tasks if task.task.folds}
    if asked and tasks and not offered:
        return {}, [f"'accuracy.folds' is {asked}, but task '{tasks[0].key}' has one fixed split; remove it"]
    problems = [
        f"'accuracy.folds' is {asked}; expected at most {most}, the number of folds of task '{key}'"
        for key, most in offered.items()
        if asked is not None and asked > most
    ]
    return {} if asked == 0 else {key: asked or most for key, most in offered.items()}, problems


def _operating_point(asked: AskedPoint, cases: Sequence[Case]) -> tuple[OperatingPoint, list[str]]:
    """Which speed case stands beside an accuracy: as asked, else inference at the longest length that is also fitted."""
    timed = [case for case in cases if case.fit is None]
    if not timed:
        return OperatingPoint(), []
    problems = []
    for key in ("workload", "sequence_length", "batch_size"):
        value, known = getattr(asked, key), dict.fromkeys(getattr(case, key) for case in timed)
        if value is not None and value not in known:
            names = ", ".join(str(one) for one in known if one is not None) or "none"
            problems.append(f"'report.operating_point.{key}' is {value!r}; expected one that is timed: {names}")
    workloads = [case.workload for case in timed]
    workload = asked.workload or ("inference" if "inference" in workloads else workloads[0])
    there = [case for case in timed if case.workload == workload]
    lengths = {case.sequence_length for case in there if case.sequence_length is not None}
    fitted = lengths & {case.sequence_length for case in cases if case.fit is not None}
    return OperatingPoint(
        workload=workload,
        sequence_length=asked.sequence_length or max(fitted or lengths, default=None),
        batch_size=asked.batch_size or max((case.batch_size for case in there), default=None),
    ), problems


def _unjudged(gate: Gate, tasks: Sequence[ChosenTask]) -> list[str]:
    """One sentence for each name in `[gate]` that nothing is judged by: it would silently be without effect."""
    scores = (judged_score([metric.name for metric in task.task.metrics]) for task in tasks)
    judged = {TIME, *EXACT, *scores} - {""}
    tables: list[tuple[str, Gate | GateCase]] = [("'gate.", gate)]
    tables += [(f"[[gate.case]] {place} ({entry.match}): '", entry) for place, entry in enumerate(gate.case, 1)]
    found = [
        (f"{front}thresholds.{name}' is unknown", name) for front, table in tables for name in table.thresholds
    ] + [
        (f"{front}ignore' entry {place} is '{name}'", name)
        for front, table in tables
        for place, name in enumerate(table.ignore, 1)
    ]
    return [f"{problem}; {did_you_mean(name, judged)}" for problem, name in found if name not in judged]


def _kept(cases: Sequence[Case], pattern: str | None) -> tuple[Case, ...]:
    if not pattern:
        return tuple(cases)
    kept = matching(cases, pattern)
    if not kept:
        shown = ", ".join(case.id for case in cases[:_SHOWN_IDS])
        raise UsageError(f"--filter '{pattern}' leaves none of the {len(cases)} cases; their ids look like {shown}")
    return kept
