"""A run as Markdown for a pull request: the first paragraph, and one row a variant at the operating point."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markupsafe import Markup

from bench.frames import Runs
from bench.report import doubts, summary
from bench.report import view as views
from bench.report.blocks import Block
from bench.report.league import league_of
from bench.report.tables import Cell, Table

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$])")


def render(runs: Runs) -> str:
    """The league tables of some runs; labels show as they were written, whatever they hold."""
    return "\n".join(line for run, results in runs for line in _run(views.view(run, results)))


def _run(view: views.View) -> Iterator[str]:
    run = view.run
    yield f"## {escaped(run.plan.suite)}"
    yield ""
    commit = f", commit {run.commit[:10]}{' with changes' if run.dirty else ''}" if run.commit else ""
    yield escaped(f"{run.machine.name}, {run.created}{commit}, bench {run.bench_version}")
    yield ""
    for note in summary.notes(view):
        yield f"> {escaped(note)}"
        yield ""
    for task in view.tasks:
        yield from _table(league_of(view, task))
        if words := doubts.left_out_words(doubts.records_of(view, task).values()):
            yield f"{escaped(words)}."
            yield ""


def block(block: Block) -> Iterator[str]:
    """A part of the page, without its charts."""
    for line in block.says:
        yield escaped(line.striptags() if isinstance(line, Markup) else line)
        yield ""
    for table in block.tables:
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield f"### {escaped(table.title)}"
    yield ""
    yield f"| | {' | '.join(escaped(column.title) for column in table.columns)} |"
    yield f"|:--|{''.join(':--|' if column.title == 'marks' else '--:|' for column in table.columns)}"
    for row in table.rows:
        yield f"| {escaped(row.label)} | {' | '.join(_cell(cell) for cell in row.cells)} |"
    yield ""
    if any(cell.best for row in table.rows for cell in row.cells):
        yield f"{escaped(table.note)} Bold: the best, and what cannot be told apart from it."
    else:
        yield escaped(table.note)
    yield ""


def _cell(cell: Cell) -> str:
    text = f"**{escaped(cell.text)}**" if cell.best else escaped(cell.text)
    detail = escaped(cell.detail)
    return f"{text} {detail if detail.startswith('±') else f'({detail})'}" if detail else text


def escaped(text: str) -> str:
    """A text in one line that shows as it is written, in a cell too."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
