"""Report tables on a terminal: as much as fits into its width, doubts explained below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from bench.report.league import Cell, CellKind, Column

if TYPE_CHECKING:
    from bench.report.league import Table

MARKS = "marks"
_GAP = 2
_STYLES = {CellKind.OUTCOME: "yellow", CellKind.PENDING: "dim"}
EVERY = "*"
# What gives way, in this order, until the table fits: what an interval is over, the detail of a column, a whole column.
_GIVES_WAY = (
    ("latency", "detail"),
    (EVERY, "over"),
    ("over test items", "column"),
    ("peak memory", "detail"),
    ("latency", "column"),
    (EVERY, "detail"),
)
_MEANINGS = {
    "few trials": "fewer trials than the suite asks for; raise measure.budget",
    "never became steady": "calls were still getting faster when warm-up ended; raise measure.warmup_cap",
    "noisy": "calls of one trial, or trials of one case, spread by more than 15 %; close other programs, or see docs/method.md",
    "wide interval": "the interval is wider than the target; give it more rounds or a larger budget",
    "disturbed": "other work reached into every trial, so none could be left out; close other programs and measure it again",
    "rejection matters": "leaving disturbed trials out moves the latency by more than 3 %; measure it again on a quiet machine",
    "breaks a contract": "a right model would not do this; docs/method.md tells what each name means",
    "size not matched": "the suite scales variants to one size, but this one has no width to scale; docs/method.md tells why",
    "diverged": "the loss became infinite or NaN; try a lower learning rate",
    "does not fit": "it ran out of memory",
    "timed out": "it took longer than measure.timeout_s",
    "failed": "it raised an error; the report has the reason",
}


@dataclass(frozen=True, slots=True)
class Grid:
    """The columns of a table that are shown, each with its cells."""

    labels: Sequence[Cell]
    columns: Sequence[tuple[Column, Sequence[Cell]]]

    @property
    def width(self) -> int:
        """Characters that it needs beside each other."""
        return sum(_GAP + _width(column, cells) for column, cells in self.columns) + _width(
            Column(title=""), self.labels
        )


def _width(column: Column, cells: Sequence[Cell]) -> int:
    return max(len(column.title), len(column.group), *(len(str(cell)) for cell in cells), 1)


def shown(table: Table, width: int) -> Group:
    """A report table with its title, its note, and its marks below, within a number of characters."""
    whole = Grid(
        labels=[Cell(text=_short(row.label, max(12, width // 4)), kind=CellKind.WORDS) for row in table.rows],
        columns=[(column, [_brief(row.cells[n]) for row in table.rows]) for n, column in enumerate(table.columns)],
    )
    marks = next((cells for column, cells in whole.columns if column.title == MARKS), [])
    if marks:
        whole = _starred(whole, marks)
    parts: list[RenderableType] = [Text(table.title, style="bold")]
    parts += [Padding(_drawn(grid), (0, 0, 1, 0)) for grid in _fitted(whole, width)]
    parts += [Text(line, style="dim") for line in (table.note, *_marked(table, marks)) if line]
    return Group(*parts)


def _brief(cell: Cell) -> Cell:
    """An outcome without its reason, which the summary tells once."""
    return replace(cell, text=cell.text.partition(":")[0]) if cell.kind is CellKind.OUTCOME else cell


def _short(label: str, most: int) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"


def _starred(grid: Grid, marks: Sequence[Cell]) -> Grid:
    """A star at each label that has a mark, instead of the words and of stars at single figures."""
    pairs = zip(grid.labels, marks, strict=True)
    labels = [replace(label, text=f"{label.text} *" if mark.text else label.text) for label, mark in pairs]
    columns = [(column, [replace(cell, marks=()) for cell in cells]) for column, cells in grid.columns]
    return Grid(labels=labels, columns=[(column, cells) for column, cells in columns if column.title != MARKS])


def _fitted(grid: Grid, width: int) -> Iterator[Grid]:
    """The grid without what gives way; where even that is too wide, in several, one below the other."""
    for title, what in _GIVES_WAY:
        if grid.width > width:
            grid = replace(grid, columns=list(_without(grid, title, what)))
    return iter([grid]) if grid.width <= width else _parts(grid, width)


def _without(grid: Grid, title: str, what: str) -> Iterator[tuple[Column, Sequence[Cell]]]:
    for column, cells in grid.columns:
        if title not in (EVERY, column.title):
            yield column, cells
        elif what != "column":
            yield column, _less(cells, what)


def _parts(grid: Grid, width: int) -> Iterator[Grid]:
    """As many columns of one group as fit, then the next."""
    part: list[tuple[Column, Sequence[Cell]]] = []
    for entry in grid.columns:
        fits = replace(grid, columns=[*part, entry]).width <= width
        if part and (not fits or entry[0].group != part[0][0].group):
            yield replace(grid, columns=part)
            part = []
        part.append(entry)
    yield replace(grid, columns=part)


def _less(cells: Sequence[Cell], what: str) -> list[Cell]:
    return [replace(cell, detail=cell.detail.partition(" over ")[0] if what == "over" else "") for cell in cells]


def _drawn(grid: Grid) -> RichTable:
    made = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    made.add_column("", no_wrap=True)
    grouped = any(column.group for column, _ in grid.columns)
    for column, _ in grid.columns:
        made.add_column(
            Text(f"{column.group}\n{column.title}" if grouped else column.title), justify="right", overflow="fold"
        )
    for place, label in enumerate(grid.labels):
        made.add_row(Text(label.text), *(_text(cells[place]) for _, cells in grid.columns))
    return made


def _text(cell: Cell) -> Text:
    style = "bold" if cell.best else _STYLES.get(cell.kind, "")
    text = Text(cell.text, style=style)
    if cell.detail:
        text.append(f" {cell.detail}", style="dim not bold")
    if cell.marks and cell.kind is CellKind.VALUE:
        text.append("*", style="yellow not bold")
    return text


def _marked(table: Table, marks: Sequence[Cell]) -> Iterator[str]:
    """`* noisy (lstm, gru)`, one line a doubt."""
    who: dict[str, list[str]] = {}
    for row, cell in zip(table.rows, marks, strict=bool(marks)):
        for mark in cell.text.split("; ") if cell.text else []:
            who.setdefault(mark, []).append(row.label)
    for mark, labels in who.items():
        yield f"* {mark} ({', '.join(labels)})"


def meanings(tables: Sequence[Table]) -> list[str]:
    """What each doubt means that stands in these tables, and what to do about it."""
    cells = [cell for table in tables for row in table.rows for cell in row.cells]
    marks = {mark.partition(":")[0] for cell in cells for mark in cell.marks}
    marks |= {word.partition(":")[0] for cell in cells if cell.kind is CellKind.WORDS for word in cell.text.split("; ")}
    return [f"{mark}: {meaning}" for mark, meaning in _MEANINGS.items() if mark in marks]
