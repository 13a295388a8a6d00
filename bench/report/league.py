"""The league: one table a task, every variant at the operating point. No torch, pandas or charts.

The live view calls `league` and `speed` again and again while results come in, so they stay cheap; what is not measured yet
reads `…`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench import estimates
from bench.observations import CaseResult
from bench.quantity import Unit, format_change, format_exact, format_value
from bench.records import PassKind, Run, Variant
from bench.report import view as views
from bench.report.grids import speed_of
from bench.report.ranking import widest
from bench.report.tables import (
    PENDING,
    Cell,
    CellKind,
    Column,
    Row,
    Table,
    empty,
    latency_cell,
    marks_cell,
    memory_column,
    metric_cell,
    metric_column,
    value_cell,
    with_best,
)
from bench.report.view import Point, Shown, View

__all__ = ["Cell", "CellKind", "Column", "Row", "Table", "league", "league_of", "speed"]


def league(run: Run, results: Sequence[CaseResult]) -> list[Table]:
    """One table a task: every variant's speed, memory, size and accuracy at the operating point."""
    view = views.view(run, results)
    return [league_of(view, task) for task in view.tasks]


def speed(run: Run, results: Sequence[CaseResult]) -> list[Table]:
    """One table a task, workload and setting: throughput of every variant over lengths and batch sizes."""
    view = views.view(run, results)
    return [table for task in view.tasks for table in speed_of(view, task)]


def league_of(view: View, task: str) -> Table:
    """The league table of one task."""
    timed, fits = view.timed(task), view.fits(task)
    place = views.point(view.run, (shown.case for shown in timed))
    at = views.at(timed, place) if place else {}
    fitted = views.fits_for(fits, place.sequence_length if place else None)
    variants = [variant for variant in view.variants if variant.variant_id in at or variant.variant_id in fitted]
    either = [at.get(variant.variant_id) or fitted[variant.variant_id] for variant in variants]
    columns: list[tuple[Column, list[Cell]]] = []
    if place:
        columns += _speed_columns(view, [at.get(variant.variant_id) for variant in variants])
    columns.append((Column(title="parameters"), [_parameters(one) for one in either]))
    if targets := _targets(variants):
        columns.append((Column(title="matched"), [_matched(variant) for variant in variants]))
    if fits:
        columns += _accuracy_columns(view, task, [fitted.get(variant.variant_id) for variant in variants])
    marks = [marks_cell(at.get(variant.variant_id), fitted.get(variant.variant_id)) for variant in variants]
    if any(cell.text for cell in marks):
        columns.append((Column(title="marks"), marks))
    return Table(
        title=task,
        task=task,
        columns=tuple(column for column, _ in columns),
        rows=tuple(
            Row(label=variant.label, variant_id=variant.variant_id, cells=tuple(cells[place] for _, cells in columns))
            for place, variant in enumerate(variants)
        ),
        note=_note(place, list(fitted.values()), targets, _floor_words(view, task)),
    )


def _note(place: Point | None, fitted: Sequence[Shown], targets: Sequence[int], floors: str) -> str:
    parts = []
    if place:
        where = views.place_words(place.sequence_length, place.batch_size)
        parts.append(f"Speed and memory: {place.workload}, {where}, {place.setting}.")
    lengths = {shown.case.sequence_length for shown in fitted if shown.case.sequence_length}
    if lengths:
        parts.append(f"Accuracy: trained at length {' and '.join(map(str, sorted(lengths)))}.")
    parts += [f"Simple rules on the same test items: {floors}."] if floors else []
    parts += [f"Sizes: matched to {target:,} parameters, embedding tables apart." for target in targets]
    return " ".join(parts)


def _floor_words(view: View, task: str) -> str:
    """`most frequent tag 88.5 %, ...`: what simple rules score."""
    known = view.floors(task)
    unit = view.headline(task).unit if known else Unit.NUMBER
    return ", ".join(f"{name} {format_value(value, unit)}" for name, value in known.items())


def _targets(variants: Sequence[Variant]) -> list[int]:
    return list(dict.fromkeys(variant.size.target for variant in variants if variant.size is not None))


def _matched(variant: Variant) -> Cell:
    """What matching made of a variant's size, and how far that is from the target."""
    size = variant.size
    if size is None:
        return empty()
    if size.parameters is None:
        return Cell(text="no", kind=CellKind.OUTCOME)
    return Cell(text=format_exact(size.parameters, Unit.COUNT), detail=format_change(size.parameters / size.target - 1))


def _speed_columns(view: View, cases: Sequence[Shown | None]) -> list[tuple[Column, list[Cell]]]:
    columns = [
        (Column(title="throughput"), metric_column(cases, "throughput_items_per_s")),
        (Column(title="latency"), [latency_cell(shown) if shown else empty() for shown in cases]),
    ]
    if PassKind.MEMORY in view.run.plan.measure.passes:
        columns.append((Column(title="peak memory"), memory_column(view, cases)))
    return columns


def _parameters(shown: Shown) -> Cell:
    estimate = shown.found.get("parameters")
    if estimate is None and shown.result.preflight is None:
        return Cell(text=PENDING, kind=CellKind.PENDING)
    return value_cell(estimate, Unit.COUNT)


def _accuracy_columns(view: View, task: str, fits: Sequence[Shown | None]) -> list[tuple[Column, list[Cell]]]:
    metric = view.headline(task)
    found = {place: widest(shown, metric.name) for place, shown in enumerate(fits) if shown}
    cells = with_best([_score(shown, metric.name) if shown else empty() for shown in fits], found, metric.better)
    columns = [(Column(title=metric.title), cells)]
    if metric.name == "accuracy":
        columns.append((Column(title="over test items"), [_items(shown) if shown else empty() for shown in fits]))
    return columns


def _score(shown: Shown, name: str) -> Cell:
    """A score; beside its interval what that is over, beside a lone value why it has none."""
    cell = metric_cell(shown, name)
    if cell.kind is not CellKind.VALUE:
        return cell
    fits = estimates.good_fits(shown.result)
    seeds, folds = len({fit.seed for fit in fits}), len({fit.fold for fit in fits})
    words = f"{seeds} seed{'s' * (seeds != 1)}" + (f", {folds} folds" if folds > 1 else "")
    return replace(cell, detail=f"{cell.detail} over {words}" if cell.detail else words)


def _items(shown: Shown) -> Cell:
    items = estimates.item_interval(shown.result) if shown.good else None
    return Cell(text=views.range_words(items, Unit.SHARE)) if items else empty()
