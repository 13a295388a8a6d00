"""A judgement as a part of the page: what it comes to, what must be known, and a row for all that is not unchanged."""

from __future__ import annotations

from bench.report.blocks import Block
from bench.report.judgement import Row, remarks, rows, summary
from bench.report.tables import Cell, CellKind, Column, Table
from bench.report.tables import Row as TableRow
from bench.verdicts import Judgement

MOST_ROWS = 100
_COLUMNS = ("case", "metric", "base", "head", "change", "why", "measure it again")


def against(judgement: Judgement, title: str) -> Block:
    """How one run differs from another."""
    found = rows(judgement)
    words = summary(judgement)
    says = (f"{judgement.title}: {words}.", *(f"{remark[:1].upper()}{remark[1:]}." for remark in remarks(judgement)))
    if not found:
        return Block(title=title, says=says)
    left = len(found) - MOST_ROWS
    table = Table(
        title="What is not unchanged",
        task="",
        head="verdict",
        columns=tuple(Column(title=name) for name in _COLUMNS),
        rows=tuple(TableRow(label=row.verdict, variant_id="", cells=_cells(row)) for row in found[:MOST_ROWS]),
        note="What needs a look comes first. Of times the medians stand here; their change is that of the low quantile (p10), "
        "which other work disturbs least, with its 95 % interval.",
        footnotes=(f"And {left} more; `bench compare` shows all.",) if left > 0 else (),
    )
    return Block(title=title, says=says, tables=(table,))


def _cells(row: Row) -> tuple[Cell, ...]:
    words = CellKind.WORDS
    return (
        Cell(text=row.case, kind=words),
        Cell(text=row.metric, kind=words),
        Cell(text=row.base),
        Cell(text=row.head),
        Cell(text=row.change),
        Cell(text=row.why, detail=row.advice, kind=words),
        Cell(text=row.command, kind=CellKind.COMMAND),
    )
