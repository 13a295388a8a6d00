"""A task over all its axes: throughput and memory as grids of length and batch size, and every case as a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from bench import estimates
from bench.frames import memory_metric
from bench.records import Case
from bench.report import view as views
from bench.report.blocks import Block
from bench.report.tables import (
    Cell,
    CellKind,
    Column,
    Row,
    Table,
    empty,
    latency_cell,
    marks_cell,
    metric_cell,
    metric_column,
    value_cell,
)
from bench.report.view import Setting, Shown, View
from bench.trust import used_trials

Kind = tuple[str, Setting]
"""A workload in one setting of the seldom swept axes."""


def speed_of(view: View, task: str) -> list[Table]:
    """Throughput tables of one task."""
    return [
        grid(
            view,
            task,
            kind,
            lambda cases: metric_column(cases, "throughput_items_per_s"),
            "Throughput in items per second",
        )
        for kind in kinds(view, task)
    ]


def kinds(view: View, task: str) -> list[Kind]:
    """What may share a table or chart of a task: its workloads, in each of their settings."""
    return list(dict.fromkeys(kind_of(shown) for shown in view.timed(task)))


def of_kind(view: View, task: str, kind: Kind) -> list[Shown]:
    """The speed cases of one workload and setting."""
    workload, setting = kind
    return [shown for shown in view.timed(task) if shown.case.workload == workload and shown.setting == setting]


def grid(view: View, task: str, kind: Kind, column: Callable[[Sequence[Shown | None]], list[Cell]], what: str) -> Table:
    """One figure of every case of a kind: a row a variant, a column a batch size and length."""
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
        note=f"{what}, {kind[1]}." + (f" Marked *: {doubts}." if doubts else ""),
    )


# ── every case ─────────────────────────────────────────────────────────────────────────────────────────────────────

Fact = tuple[str, Callable[[Shown], Cell]]

# what sets the cases of an architecture apart: each is a column where cases differ in it
_AXES: tuple[tuple[str, str, Callable[[Case], object]], ...] = (
    ("workload", "workload", lambda case: case.workload),
    ("sequence_length", "length", lambda case: case.sequence_length or ""),
    ("batch_size", "batch", lambda case: case.batch_size),
    ("precision", "precision", lambda case: case.precision),
    ("device", "device", lambda case: case.device),
    ("threads", "threads", lambda case: case.threads),
    ("compile", "compiled", lambda case: "no" if case.compile == "none" else case.compile),
    ("length_distribution", "lengths", lambda case: case.length_distribution.value),
    ("new_tokens", "new tokens", lambda case: case.new_tokens or ""),
)
_SPEED: tuple[Fact, ...] = (
    ("throughput", lambda shown: _with_reason(shown, "throughput_items_per_s")),
    ("tokens", lambda shown: _plain(shown, "throughput_tokens_per_s")),
    ("latency", lambda shown: latency_cell(shown)),
    ("first call", lambda shown: _plain(shown, "first_call_s")),
    ("peak memory", lambda shown: _plain(shown, memory_metric(shown.case))),
    ("trials", lambda shown: Cell(text=str(len(used_trials(shown.result))))),
)
_MARKS: Fact = ("marks", lambda shown: marks_cell(shown))


def every_case(view: View, task: str) -> list[Block]:
    """A row for every case of a task: its speed cases in one table, its fits in another; columns that hold nothing left out."""
    timed, fits = view.timed(task), view.fits(task)
    tables = [case_table(task, by_size(timed), (*_SPEED, _MARKS))] if timed else []
    if fits:
        score = view.headline(task)
        others = {name for shown in fits for name in shown.found} - {"weights_bytes", score.name}
        scores: list[Fact] = [(score.title, partial(_with_reason, name=score.name))]
        scores += [
            (views.metric(name).title, partial(_beside, name=name)) for name in estimates.metric_order(list(others))
        ]
        tables.append(case_table(task, by_size(fits), (*scores, _MARKS)))
    count = len(timed) + len(fits)
    brief = f"{count} case{'s' * (count != 1)}"
    return [Block(title="Every case", tables=tuple(tables), folded=True, brief=brief)]


def kind_of(shown: Shown) -> Kind:
    """What a case shares charts with."""
    return shown.case.workload, shown.setting


def by_size(cases: Sequence[Shown]) -> list[Shown]:
    """Cases of one kind by batch size, then by length; alike ones, and kinds, as they stand in the plan."""
    order = {kind: place for place, kind in enumerate(dict.fromkeys(map(kind_of, cases)))}
    return sorted(cases, key=lambda one: (order[kind_of(one)], one.case.batch_size, one.case.sequence_length or 0))


def case_table(task: str, cases: Sequence[Shown], facts: Iterable[Fact], footnotes: Iterable[str] = ()) -> Table:
    """One row a case, in the order given, with what sets it apart from the others; columns that hold nothing are left out."""
    found = {name: [str(of(shown.case)) for shown in cases] for name, _, of in _AXES}
    varying = {name for name, texts in found.items() if len(set(texts)) > 1}
    places = [
        (Column(title=title, fact=True), [Cell(text=text) for text in found[name]])
        for name, title, _ in _AXES
        if name in varying | {"sequence_length", "batch_size"}
    ]
    figures = [(Column(title=name), [fact(shown) for shown in cases]) for name, fact in facts]
    kept = [(column, cells) for column, cells in (*places, *figures) if any(cell.text for cell in cells)]
    workloads = dict.fromkeys(found["workload"])
    return Table(
        title=f"{task}: {', '.join(workloads)}",
        task=task,
        columns=tuple(column for column, _ in kept),
        rows=tuple(
            Row(
                label=shown.case.variant.label,
                variant_id=shown.case.variant.variant_id,
                cells=tuple(cells[place] for _, cells in kept),
            )
            for place, shown in enumerate(cases)
        ),
        note=f"{views.setting(cases[0].case).words(without=varying)}.",
        footnotes=tuple(footnotes),
    )


def _with_reason(shown: Shown, name: str) -> Cell:
    cell = metric_cell(shown, name)
    return replace(cell, detail=shown.reason) if cell.kind is CellKind.OUTCOME else cell


def _plain(shown: Shown, name: str) -> Cell:
    """A value alone: its interval follows from one that stands in the same row."""
    return replace(_beside(shown, name), detail="")


def _beside(shown: Shown, name: str) -> Cell:
    estimate = shown.figure(name)
    return value_cell(estimate, views.metric(name).unit) if estimate else empty()
