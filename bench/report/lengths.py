"""What changes with length: who is the fastest, how time and memory grow, where curves cross, what fits. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.quantity import Better, format_difference, format_exponent, format_length, format_ratio
from bench.report import view as views
from bench.report.blocks import Block
from bench.report.crossings import crossings
from bench.report.grids import Kind
from bench.report.over_length import Sweep, sweeps
from bench.report.ranking import MEMORY_REPEATS, leaders
from bench.report.sizes import what_fits
from bench.report.tables import Cell, CellKind, Column, Row, Table, empty, metric_cell
from bench.report.view import Shown, View
from bench.scaling import Exponent, exponent, level_within
from bench.stats import Estimate, ratio


def lengths(view: View, task: str) -> list[Block]:
    """All that can be said over the lengths of a task; nothing where fewer than two were measured."""
    found = sweeps(view, task)
    if not found:
        return []
    blocks = [_fastest(task, found), crossings(task, found), _growth(view, task, found), what_fits(view, task, found)]
    return [block for block in blocks if block.says or block.tables]


# ── the fastest at each size ───────────────────────────────────────────────────────────────────────────────────────


def _fastest(task: str, found: Mapping[Kind, Sequence[Sweep]]) -> Block:
    facts = ("batch", "length")
    columns = (*facts, "not told apart from it", "throughput", "latency", "ahead of the next")
    tables = []
    for kind, members in found.items():
        rows = [row for one in members for length in one.lengths if (row := _fastest_row(one, length))]
        if not rows or all(len(one.cases) == 1 for one in members):
            continue
        kept = [place for place in range(len(columns)) if any(row.cells[place].text for row in rows)]
        table = Table(
            title=f"{task}: {kind[0]}",
            task=task,
            columns=tuple(Column(title=columns[place], fact=columns[place] in facts) for place in kept),
            rows=tuple(replace(row, cells=tuple(row.cells[place] for place in kept)) for row in rows),
            note=f"{kind[1]}.",
        )
        tables.append(table)
    says = (
        "Each row names the one with the highest throughput, of those that have a figure at this size, and all whose intervals "
        "overlap with its own. How far it is ahead of the next is the ratio of their throughputs, with its 95 % "
        "interval from theirs (MOVER); it stands only where the row names one alone."
    )
    return Block(title="The fastest at each size", says=(says,) if tables else (), tables=tuple(tables))


def _fastest_row(one: Sweep, length: int) -> Row | None:
    cases, known = one.at(length), one.throughputs(length)
    ahead = leaders(known, Better.HIGHER)
    if not ahead:
        return None
    first, *tied = ahead
    rest = {variant_id: figure for variant_id, figure in known.items() if variant_id != first}
    second = leaders(rest, Better.HIGHER)[0] if rest else first
    alone = Cell(text="has the only figure", kind=CellKind.WORDS)
    cells = (
        Cell(text=str(one.batch)),
        Cell(text=format_length(length)),
        Cell(text=", ".join(map(one.label, tied)), kind=CellKind.WORDS) if rest else alone,
        metric_cell(cases[first], "throughput_items_per_s"),
        metric_cell(cases[first], "latency_s"),
        empty() if tied or not rest else _lead(known[first], rest[second], one.label(second)),
    )
    return Row(label=one.label(first), variant_id=first, cells=cells)


def _lead(first: Estimate, second: Estimate, name: str) -> Cell:
    """How many times as fast one is as another, by their throughputs."""
    found = ratio(first, second)
    if found.value is None:
        return empty()
    text = format_ratio(found.value, found.low, found.high)
    return Cell(text=text, detail=f"as fast as {name}", estimate=found)


# ── growth ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _growth(view: View, task: str, found: Mapping[Kind, Sequence[Sweep]]) -> Block:
    says = (
        "The k in y = c L^k, of the time of a call and of its peak memory: twice the length takes 2^k times as much. 1 is "
        "linear, 2 quadratic, 0 no growth. In small: its 95 % interval, from the noise of the trials (of memory, from "
        f"repeats that agree within {format_difference(MEMORY_REPEATS)}), and the lengths that it was fitted on, where that "
        "is not all of them: short ones are dropped while a constant cost bends the curve. Bent: what is left is no power "
        "law either; k then is an average without an interval, and beside it stands how steep the curve is at the short end "
        "and at the long one."
    )
    tables = tuple(_growth_table(view, task, kind, members) for kind, members in found.items())
    return Block(
        title="Growth with length", says=(says,), tables=tables, folded=True, brief="exponents of time and memory"
    )


def _growth_table(view: View, task: str, kind: Kind, members: Sequence[Sweep]) -> Table:
    met = {variant_id for one in members for variant_id in one.cases}
    variants = [variant for variant in view.variants if variant.variant_id in met]
    columns: list[tuple[Column, list[Cell]]] = []
    for one in members:
        batch, ids = views.place_words(None, one.batch), [variant.variant_id for variant in variants]
        columns.append((Column(title="time", group=batch), [_time_cell(one, variant_id) for variant_id in ids]))
        if any(shown.memory for cases in one.cases.values() for shown in cases.values()):
            columns.append((Column(title="peak memory", group=batch), [_memory_cell(one, each) for each in ids]))
    return Table(
        title=f"{task}: {kind[0]}",
        task=task,
        columns=tuple(column for column, _ in columns),
        rows=tuple(
            Row(label=variant.label, variant_id=variant.variant_id, cells=cells)
            for variant, cells in zip(variants, zip(*(cells for _, cells in columns), strict=True), strict=True)
        ),
        note=f"{kind[1]}.",
    )


def _time_cell(one: Sweep, variant_id: str) -> Cell:
    cell = _exponent_cell(exponent(one.times.get(variant_id, ())), one)
    cases = one.cases.get(variant_id, {}).values()
    return replace(cell, marks=tuple(_marks(cases))) if cell.kind is CellKind.VALUE else cell


def _memory_cell(one: Sweep, variant_id: str) -> Cell:
    levels = [
        level_within(length, shown.memory.value, MEMORY_REPEATS)
        for length, shown in one.cases.get(variant_id, {}).items()
        if shown.memory and shown.memory.value
    ]
    return _exponent_cell(exponent(levels), one) if levels else empty()


def _marks(cases: Iterable[Shown]) -> list[str]:
    """The marks of all cases behind a figure, once each and without particulars."""
    return list(dict.fromkeys(mark.partition(":")[0] for shown in cases for mark in shown.marks))


def _exponent_cell(found: Exponent, one: Sweep) -> Cell:
    if found.value is None or found.low is None or found.high is None:
        return Cell(text="n/a", detail=found.reason, kind=CellKind.OUTCOME)
    if found.early is not None and found.late is not None:
        said = [f"bent from {format_exponent(found.early)} to {format_exponent(found.late)}"]
        figure = Estimate(value=found.value, reason="no power law")
    else:
        said = [f"{format_exponent(found.low)} to {format_exponent(found.high)}"]
        figure = Estimate(value=found.value, low=found.low, high=found.high)
    if found.points < len(one.lengths):
        said.append(f"on {found.points} lengths, {found.first} to {found.last}")
    elif found.reason:
        said.append(found.reason)
    return Cell(text=format_exponent(found.value), detail=", ".join(said), estimate=figure)
