"""`bench data`: which data sets are here, where they come from and under which licence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.output import Format, FormatOption, show
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.tasks.data import Source

app = typer.Typer(help="Show, fetch and verify data sets.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="A data set, as `bench data list` names it.")]


@app.command("list")
def list_sets(format: FormatOption = Format.TABLE) -> None:
    """List data sets: what they are, whether they are here, their origin and licence."""
    from bench.quantity import Unit, format_value
    from bench.tasks.data import sources, status

    rows: list[dict[str, object]] = []
    for source in sources():
        found = status(source)
        here = found.where if found else None
        if format is Format.JSON:
            providers = [provider.title for provider in source.providers]
            row = {"name": source.name, "tasks": source.tasks, "here": here, "size_bytes": source.size_bytes}
            row |= {"summary": source.summary, "origin": source.origin, "licence": source.licence}
            rows.append(row | {"providers": providers})
        else:
            size = "" if source.size_bytes is None else f", {format_value(source.size_bytes, Unit.BYTES)} to fetch"
            about = f"{source.summary}\norigin: {source.origin}\nlicence: {source.licence}\n"
            rows.append({"name": source.name, "here": here or f"no{size}", "what, whence, licence": about})
    show(rows, format)


@app.command("fetch")
def fetch(name: NameArgument) -> None:
    """Fetch a data set into the cache, unless it is here already."""
    from bench.cli import fetching

    found = fetching.fetch(_source(name))
    print(f"{name}: here ({found.where})")


@app.command("verify")
def verify(name: NameArgument) -> None:
    """Hold a data set that is here against its checksum."""
    from bench.tasks import data

    found = data.verify(_source(name))
    print(f"{name}: as expected ({found.where}, {found.identity[:12]})")


def _source(name: str) -> Source:
    from bench.registry import did_you_mean
    from bench.tasks.data import sources

    known = {source.name: source for source in sources()}
    if name not in known:
        raise UsageError(f"data set '{name}' is unknown; {did_you_mean(name, known)}")
    return known[name]
