"""Pieces of Markdown as GitHub shows it: text that shows as it was written, tables, and what stands behind a fold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from markupsafe import Markup, escape

from bench.report.tables import Cell, CellKind, Table

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$])")
_STRONG = re.compile(r"<strong>(.*?)</strong>", re.DOTALL)


def escaped(text: str) -> str:
    """A text in one line that shows as it is written, in a cell too."""
    return _plain(text).strip()


def sentence(text: str | Markup) -> str:
    """A sentence of the page, its strong words bold."""
    if not isinstance(text, Markup):
        return escaped(text)
    # every other part stood between the tags
    parts = [_plain(Markup(part).unescape()) for part in _STRONG.split(text)]
    return "".join(f"**{part.strip()}**" if place % 2 else part for place, part in enumerate(parts)).strip()


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", re.sub(r"\s+", " ", text))


def table(table: Table) -> Iterator[str]:
    """The rows of a table, then its note and footnotes."""
    titles = ["<br>".join(escaped(part) for part in (column.group, column.title) if part) for column in table.columns]
    yield f"| | {' | '.join(titles)} |"
    words = [all(row.cells[place].kind is CellKind.WORDS for row in table.rows) for place in range(len(titles))]
    yield f"|:--|{''.join(':--|' if one else '--:|' for one in words)}"
    starred = not any(column.title == "marks" for column in table.columns)
    for row in table.rows:
        yield f"| {escaped(row.label)} | {' | '.join(_cell(cell, starred=starred) for cell in row.cells)} |"
    yield ""
    best = any(cell.best for row in table.rows for cell in row.cells) and "Bold:" not in table.note
    bold = ["Bold: the best, and what cannot be told apart from it."] if best else []
    said = " ".join([*([escaped(table.note)] if table.note else []), *bold])
    for line in (said, *map(escaped, table.footnotes)):
        if line:
            yield line
            yield ""


def _cell(cell: Cell, *, starred: bool) -> str:
    text = f"**{escaped(cell.text)}**" if cell.best else escaped(cell.text)
    if starred and cell.marks and cell.kind is CellKind.VALUE:
        text += r"\*"
    detail = escaped(cell.detail)
    return f"{text} {detail if detail.startswith('±') else f'({detail})'}" if detail else text


def folded(title: str, lines: Iterable[str]) -> Iterator[str]:
    """What only those see who open it."""
    yield f"<details><summary>{escape(' '.join(title.split()))}</summary>"
    yield ""
    yield from lines
    yield "</details>"
    yield ""
