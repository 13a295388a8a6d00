"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

FILE_WIDTH = 120


class Format(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="For people or for programs.")]


def show(rows: Sequence[Mapping[str, Any]], format: Format) -> None:
    """Print rows that share their keys; JSON is an array of objects."""
    if format is Format.JSON:
        import json

        from bench.codec import to_json

        print(json.dumps([to_json(row) for row in rows], indent=1, ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console

    if rows:
        Console().print(table(list(rows[0]), [[text(value) for value in row.values()] for row in rows]))
    else:
        print("none")


def text(value: object) -> str:
    """One cell for people."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(str(item) for item in value)
        case _:
            return str(value)


def print_parts(parts: Iterable[RenderableType]) -> None:
    """Print one part below the other, for people."""
    from bench.cli.screen import console

    output = console()
    for part in parts:
        output.print(part)


def as_text(parts: Iterable[RenderableType]) -> str:
    """The same for a file: without colours, `FILE_WIDTH` characters wide."""
    import io

    from rich.console import Console

    made = io.StringIO()
    page = Console(file=made, width=FILE_WIDTH, color_system=None, highlight=False)
    for part in parts:
        page.print(part, crop=False)
    return made.getvalue()


def grid(rows: Iterable[tuple[str | Text, str | Text]]) -> RenderableType:
    """Names and what is to be said of them, without lines between."""
    from rich.table import Table
    from rich.text import Text

    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(min_width=12, no_wrap=True)
    made.add_column()
    for row in rows:
        made.add_row(*(part if isinstance(part, Text) else Text(part) for part in row))
    return made


def table(head: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> Table:
    """A plain table; cells are text, never markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in head:
        made.add_column(Text(name), overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return made
