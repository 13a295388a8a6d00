"""Tables as data: titled columns of formatted cells, for the page, Markdown and the screen alike. No torch, pandas, charts.

`league` gives one table a task, at the operating point; `speed` throughput over every length and batch size; `every_case` one
row a case. The live view calls the first two again and again while results come in, so they stay cheap; what is not
measured yet reads `…`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bench import estimates
from bench.frames import memory_metric
from bench.quantity import Better, Unit, format_half_width, format_value
from bench.records import CaseResult, Run, Variant
from bench.report import view as views
from bench.report.view import Point, Setting, Shown, View
from bench.stats import Estimate

PENDING = "…"

Kind = tuple[str, Setting]
"""A workload in one setting of the seldom swept axes."""


class CellKind(StrEnum):
    """What stands in a cell."""

    VALUE = "value"
    OUTCOME = "outcome"  # words instead of a figure: does not fit, skipped, failed
    PENDING = "pending"  # not measured yet
    EMPTY = "empty"  # nothing belongs here
    WORDS = "words"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: what is read first, and what is said beside it more quietly.

    Attributes:
        marks: doubts about the case behind it, in words.
        best: the best of its column, or not to be told apart from it.
    """

    text: str
    detail: str = ""
    kind: CellKind = CellKind.VALUE
    marks: tuple[str, ...] = ()
    best: bool = False

    def __str__(self) -> str:
        return f"{self.text} {self.detail}".rstrip() + ("*" if self.marks and self.kind is CellKind.VALUE else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column's head; columns of one group stand under a common head."""

    title: str
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A variant (or a case of it) and its cells, one a column."""

    label: str
    variant_id: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A titled table; `note` says in one line what a reader must know of it."""

    title: str
    task: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""


def league(run: Run, results: Sequence[CaseResult]) -> list[Table]:
    """One table a task: every variant's speed, memory, size and accuracy at the operating point."""
    view = views.view(run, results)
    return [league_of(view, task) for task in view.tasks]


def speed(run: Run, results: Sequence[CaseResult]) -> list[Table]:
    """One table a task, workload and setting: throughput of every variant over lengths and batch sizes."""
    view = views.view(run, results)
    return [table for task in view.tasks for table in speed_of(view, task)]


# ── the league ─────────────────────────────────────────────────────────────────────────────────────────────────────


def league_of(view: View, task: str) -> Table:
    """The league table of one task."""
    timed, fits = view.timed(task), view.fits(task)
    place = views.point(view.run, (shown.case for shown in timed))
    at = views.at(timed, place) if place else {}
    fitted = views.fits_for(fits, place.sequence_length if place else None)
    variants = [variant for variant in view.variants if variant.variant_id in at or variant.variant_id in fitted]
    columns: list[tuple[Column, list[Cell]]] = []
    if place:
        columns += _speed_columns(view, [at.get(variant.variant_id) for variant in variants])
    columns.append((Column(title="parameters"), [_parameters(at, fitted, variant) for variant in variants]))
    if fits:
        columns += _accuracy_columns(view, task, [fitted.get(variant.variant_id) for variant in variants])
    doubts = [_doubts(at.get(variant.variant_id), fitted.get(variant.variant_id)) for variant in variants]
    if any(cell.text for cell in doubts):
        columns.append((Column(title="marks"), doubts))
    return Table(
        title=task,
        task=task,
        columns=tuple(column for column, _ in columns),
        rows=tuple(
            Row(label=variant.label, variant_id=variant.variant_id, cells=tuple(cells[place] for _, cells in columns))
            for place, variant in enumerate(variants)
        ),
        note=_note(place, list(fitted.values())),
    )


def _note(place: Point | None, fitted: Sequence[Shown]) -> str:
    parts = []
    if place:
        where = views.place_words(place.sequence_length, place.batch_size)
        parts.append(f"Speed and memory: {place.workload}, {where}, {place.setting}.")
    lengths = {shown.case.sequence_length for shown in fitted if shown.case.sequence_length}
    if lengths:
        parts.append(f"Accuracy: trained at length {' and '.join(map(str, sorted(lengths)))}.")
    return " ".join(parts)


def _speed_columns(view: View, cases: Sequence[Shown | None]) -> list[tuple[Column, list[Cell]]]:
    columns = [
        (Column(title="throughput"), _column(cases, "throughput_items_per_s")),
        (Column(title="latency"), [_latency(shown) for shown in cases]),
    ]
    if view.run.plan.measure.memory:
        columns.append((Column(title="peak memory"), _memory_column(view, cases)))
    return columns


def _memory_column(view: View, cases: Sequence[Shown | None]) -> list[Cell]:
    found = {str(place): views.tolerated(_good(shown, shown.memory)) for place, shown in enumerate(cases) if shown}
    return _with_best([_memory(view, shown) for shown in cases], found, Better.LOWER)


def _with_best(cells: Sequence[Cell], found: Mapping[str, Estimate | None], better: Better) -> list[Cell]:
    best = views.leaders(found, better) if len(found) > 1 else []
    return [replace(cell, best=str(place) in best) for place, cell in enumerate(cells)]


def _good(shown: Shown, estimate: Estimate | None) -> Estimate | None:
    return estimate if shown.good else None


def _column(cases: Sequence[Shown | None], name: str) -> list[Cell]:
    found = {str(place): _good(shown, shown.found.get(name)) for place, shown in enumerate(cases) if shown}
    cells = [cell_of(shown, name) if shown else _empty() for shown in cases]
    return _with_best(cells, found, views.metric(name).better)


def cell_of(shown: Shown, name: str) -> Cell:
    """A metric of a case: its value and interval, or in words why there is none."""
    if shown.outcome is None:
        return Cell(text=PENDING, kind=CellKind.PENDING)
    if not shown.good:
        text = views.outcome_words(shown.outcome)
        return Cell(text=text, kind=CellKind.OUTCOME, marks=shown.marks)
    return _value(shown.found.get(name), views.metric(name).unit, shown.marks)


def _value(estimate: Estimate | None, unit: Unit, marks: tuple[str, ...] = ()) -> Cell:
    if estimate is None or estimate.value is None:
        return Cell(text=format_value(None, unit), marks=marks)
    half = format_half_width(estimate.value, estimate.low, estimate.high, unit)
    return Cell(text=format_value(estimate.value, unit), detail=half, marks=marks)


def _empty() -> Cell:
    return Cell(text="", kind=CellKind.EMPTY)


def _latency(shown: Shown | None) -> Cell:
    latency = shown.found.get("latency_s") if shown and shown.good else None
    if shown is None or latency is None:
        return _empty()
    low, high = (shown.found[f"latency_iqr_{end}_s"].value for end in ("low", "high"))
    detail = f"{format_value(low, Unit.SECONDS)} to {format_value(high, Unit.SECONDS)}"
    return Cell(text=format_value(latency.value, Unit.SECONDS), detail=detail)


def _memory(view: View, shown: Shown | None) -> Cell:
    if shown is None or not shown.good:
        return _empty()
    if shown.memory is not None:
        return _value(shown.memory, Unit.BYTES)
    if shown.memory_outcome is not None:
        return Cell(text=views.outcome_words(shown.memory_outcome), kind=CellKind.OUTCOME)
    return Cell(text=PENDING, kind=CellKind.PENDING) if view.run.plan.measure.memory else _empty()


def _parameters(at: Mapping[str, Shown], fitted: Mapping[str, Shown], variant: Variant) -> Cell:
    shown = at.get(variant.variant_id) or fitted[variant.variant_id]
    estimate = shown.found.get("parameters")
    if estimate is None:
        return Cell(text=PENDING, kind=CellKind.PENDING) if shown.result.preflight is None else _value(None, Unit.COUNT)
    return _value(estimate, Unit.COUNT)


def _accuracy_columns(view: View, task: str, fits: Sequence[Shown | None]) -> list[tuple[Column, list[Cell]]]:
    metric = view.headline(task)
    found = {str(place): _good(shown, views.widest(shown, metric.name)) for place, shown in enumerate(fits) if shown}
    cells = [cell_of(shown, metric.name) if shown else _empty() for shown in fits]
    cells = _with_best(cells, found, metric.better)
    return [
        (Column(title=metric.title), [_with_replicates(cell, shown) for cell, shown in zip(cells, fits, strict=True)]),
        (Column(title="over test items"), [_items(shown) for shown in fits]),
    ]


def _with_replicates(cell: Cell, shown: Shown | None) -> Cell:
    """Beside the interval, what it is over; beside a lone value, why it has none."""
    if shown is None or cell.kind is not CellKind.VALUE:
        return cell
    fits = estimates.good_fits(shown.result)
    seeds, folds = len({fit.seed for fit in fits}), len({fit.fold for fit in fits})
    words = [f"{seeds} seed{'s' * (seeds != 1)}"] + ([f"{folds} folds"] if folds > 1 else [])
    return replace(cell, detail=f"{cell.detail} over {', '.join(words)}" if cell.detail else ", ".join(words))


def _items(shown: Shown | None) -> Cell:
    items = estimates.item_interval(shown.result) if shown and shown.good else None
    return Cell(text=views.range_words(items, Unit.SHARE)) if items else _empty()


def _doubts(*cases: Shown | None) -> Cell:
    words = dict.fromkeys(mark for shown in cases if shown for mark in shown.marks)
    return Cell(text="; ".join(words), kind=CellKind.WORDS)


# ── speed over the axes ────────────────────────────────────────────────────────────────────────────────────────────


def speed_of(view: View, task: str) -> list[Table]:
    """Throughput tables of one task."""
    return [
        _grid(
            view, task, kind, lambda cases: _column(cases, "throughput_items_per_s"), "Throughput in items per second"
        )
        for kind in kinds(view, task)
    ]


def memory_of(view: View, task: str) -> list[Table]:
    """Peak-memory tables of one task."""
    return [
        _grid(view, task, kind, lambda cases: _memory_column(view, cases), "Peak memory") for kind in kinds(view, task)
    ]


def kinds(view: View, task: str) -> list[Kind]:
    """What may share a table or chart of a task: its workloads, in each of their settings."""
    return list(dict.fromkeys((shown.case.workload, views.setting(shown.case)) for shown in view.timed(task)))


def of_kind(view: View, task: str, kind: Kind) -> list[Shown]:
    """The speed cases of one workload and setting."""
    return [shown for shown in view.timed(task) if (shown.case.workload, views.setting(shown.case)) == kind]


def _grid(
    view: View, task: str, kind: Kind, column: Callable[[Sequence[Shown | None]], list[Cell]], what: str
) -> Table:
    cases = of_kind(view, task, kind)
    places = sorted({(shown.case.batch_size, shown.case.sequence_length or 0) for shown in cases})
    by_place = {(s.case.variant.variant_id, s.case.batch_size, s.case.sequence_length or 0): s for s in cases}
    met = {shown.case.variant.variant_id for shown in cases}
    variants = [variant for variant in view.variants if variant.variant_id in met]
    columns = [column([by_place.get((variant.variant_id, *place)) for variant in variants]) for place in places]
    doubts = views.counted(mark for shown in cases if shown.good for mark in shown.marks)
    return Table(
        title=f"{task}: {kind[0]}",
        task=task,
        columns=tuple(
            Column(title=f"length {length}", group=f"batch {batch}") if length else Column(title=f"batch {batch}")
            for batch, length in places
        ),
        rows=tuple(
            Row(label=variant.label, variant_id=variant.variant_id, cells=cells)
            for variant, cells in zip(variants, zip(*columns, strict=True), strict=True)
        ),
        note=f"{what}, {kind[1]}." + (f" * marks {doubts}." if doubts else ""),
    )


# ── every case ─────────────────────────────────────────────────────────────────────────────────────────────────────

_FACTS: tuple[tuple[str, Callable[[Shown], Cell]], ...] = (
    ("length", lambda shown: Cell(text=str(shown.case.sequence_length or "none"))),
    ("batch", lambda shown: Cell(text=str(shown.case.batch_size))),
    ("throughput", lambda shown: _with_reason(shown)),
    ("tokens", lambda shown: _plain(shown, "throughput_tokens_per_s")),
    ("latency", lambda shown: _latency(shown)),
    ("first call", lambda shown: _plain(shown, "first_call_s")),
    ("peak memory", lambda shown: _plain(shown, memory_metric(shown.case))),
    ("trials", lambda shown: Cell(text=str(len(estimates.good_trials(shown.result))))),
    ("stopped by", lambda shown: Cell(text=shown.result.criterion, kind=CellKind.WORDS)),
    ("marks", lambda shown: _doubts(shown)),
)


def _with_reason(shown: Shown) -> Cell:
    cell = cell_of(shown, "throughput_items_per_s")
    return replace(cell, detail=shown.reason) if cell.kind is CellKind.OUTCOME else cell


def _plain(shown: Shown, name: str) -> Cell:
    estimate = _good(shown, shown.found.get(name))
    return Cell(text=format_value(estimate.value, views.metric(name).unit)) if estimate else _empty()


def every_case(view: View, task: str) -> list[Table]:
    """One table a workload and setting of a task, one row a case, columns that hold nothing left out."""
    return [_case_table(task, kind, of_kind(view, task, kind)) for kind in kinds(view, task)]


def _case_table(task: str, kind: Kind, cases: Iterable[Shown]) -> Table:
    order = sorted(cases, key=lambda shown: (shown.case.batch_size, shown.case.sequence_length or 0))
    columns = [(name, [fact(shown) for shown in order]) for name, fact in _FACTS]
    kept = [(name, cells) for name, cells in columns if any(cell.text not in ("", "none") for cell in cells)]
    return Table(
        title=f"{task}: {kind[0]}",
        task=task,
        columns=tuple(Column(title=name) for name, _ in kept),
        rows=tuple(
            Row(
                label=shown.case.variant.label,
                variant_id=shown.case.variant.variant_id,
                cells=tuple(cells[number] for _, cells in kept),
            )
            for number, shown in enumerate(order)
        ),
        note=f"{kind[1]}.",
    )
