"""Tables as data: titled columns of formatted cells. No torch, pandas or charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bench.quantity import Better, Unit, format_half_width, format_value
from bench.records import PassKind
from bench.report import view as views
from bench.report.ranking import leaders, tolerated, widest
from bench.report.view import Shown, View
from bench.stats import Estimate

PENDING = "…"


class CellKind(StrEnum):
    """What stands in a cell."""

    VALUE = "value"
    OUTCOME = "outcome"  # words instead of a figure: does not fit, skipped, failed
    PENDING = "pending"  # not measured yet
    EMPTY = "empty"  # nothing belongs here
    WORDS = "words"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: what is read first, and what is said beside it more quietly.

    Attributes:
        marks: doubts about the case behind it, in words.
        best: the best of its column, or not to be told apart from it.
        estimate: the figure itself, by which a page sorts and compares; None where the text is all there is.
        unit: of the estimate; without it a page compares it with nothing.
    """

    text: str
    detail: str = ""
    kind: CellKind = CellKind.VALUE
    marks: tuple[str, ...] = ()
    best: bool = False
    estimate: Estimate | None = None
    unit: Unit | None = None

    def __str__(self) -> str:
        return f"{self.text} {self.detail}".rstrip() + ("*" if self.marks and self.kind is CellKind.VALUE else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column's head; columns of one group stand under a common head.

    Attributes:
        fact: it says which case a row is of, not what the case did: a page filters by it, and compares rows that agree in it.
    """

    title: str
    group: str = ""
    fact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A variant (or a case of it) and its cells, one a column."""

    label: str
    variant_id: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A titled table; `note` says in one line what a reader must know of it, `footnotes` why it has no figure somewhere.

    `head` says what its rows are; of rows that are no variant the `variant_id` is empty.
    """

    title: str
    task: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    head: str = "architecture"
    note: str = ""
    footnotes: tuple[str, ...] = ()


def empty() -> Cell:
    """A cell that says nothing."""
    return Cell(text="", kind=CellKind.EMPTY)


def value_cell(estimate: Estimate | None, unit: Unit, marks: tuple[str, ...] = ()) -> Cell:
    """A value and the half-width of its interval."""
    if estimate is None or estimate.value is None:
        return Cell(text=format_value(None, unit), marks=marks)
    half = format_half_width(estimate.value, estimate.low, estimate.high, unit)
    return Cell(text=format_value(estimate.value, unit), detail=half, marks=marks, estimate=estimate, unit=unit)


def metric_cell(shown: Shown, name: str) -> Cell:
    """A metric of a case: its value and interval, or in words why there is none.

    What is compared is the value in its widest interval, so that nothing is told apart here that the ranking does not.
    """
    if shown.outcome is None:
        return Cell(text=PENDING, kind=CellKind.PENDING)
    if not shown.good:
        return Cell(text=views.outcome_words(shown.outcome), kind=CellKind.OUTCOME, marks=shown.marks)
    cell = value_cell(shown.figure(name), views.metric(name).unit, shown.marks)
    return replace(cell, estimate=widest(shown, name))


def latency_cell(shown: Shown) -> Cell:
    """The latency of a case with its quartiles within trials."""
    latency = shown.figure("latency_s")
    if latency is None:
        return empty()
    low, high = (format_value(shown.found[f"latency_iqr_{end}_s"].value, Unit.SECONDS) for end in ("low", "high"))
    text = format_value(latency.value, Unit.SECONDS)
    return Cell(text=text, detail=f"{low} to {high}", estimate=latency, unit=Unit.SECONDS)


def memory_cell(view: View, shown: Shown) -> Cell:
    """The peak memory of a case, or what became of measuring it."""
    if shown.memory is not None:
        return value_cell(shown.memory, Unit.BYTES)
    if not shown.good or PassKind.MEMORY not in view.run.plan.measure.passes:
        return empty()
    if shown.memory_outcome is not None:
        return Cell(text=views.outcome_words(shown.memory_outcome), kind=CellKind.OUTCOME)
    if shown.memory_too_small:
        return Cell(text="too small", kind=CellKind.OUTCOME)
    # there are systems on which it cannot be measured
    return empty() if shown.result.attempts(PassKind.MEMORY) else Cell(text=PENDING, kind=CellKind.PENDING)


def marks_cell(*cases: Shown | None) -> Cell:
    """Every mark of some cases of one variant, once."""
    words = dict.fromkeys(mark for shown in cases if shown for mark in shown.marks)
    return Cell(text="; ".join(words), kind=CellKind.WORDS)


def metric_column(cases: Sequence[Shown | None], name: str) -> list[Cell]:
    """A metric of one case of each variant, the best told from the rest."""
    cells = [metric_cell(shown, name) if shown else empty() for shown in cases]
    found = {place: shown.figure(name) for place, shown in enumerate(cases) if shown}
    return with_best(cells, found, views.metric(name).better)


def memory_column(view: View, cases: Sequence[Shown | None]) -> list[Cell]:
    """The peak memory of one case of each variant; figures that repeats could exchange are equally good."""
    cells = [memory_cell(view, shown) if shown else empty() for shown in cases]
    found = {place: tolerated(shown.memory) for place, shown in enumerate(cases) if shown}
    return with_best(cells, found, Better.LOWER)


def with_best(cells: Sequence[Cell], found: Mapping[int, Estimate | None], better: Better) -> list[Cell]:
    """The cells of a column, those marked that no other is better than; a lone figure is not the best of anything."""
    best = leaders(found, better) if sum(one is not None for one in found.values()) > 1 else []
    return [replace(cell, best=place in best) for place, cell in enumerate(cells)]
