"""`bench recommend`: which architecture of a stored run to take, within limits."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from bench.cli.planning import ReportsOption, ResultsOption
from bench.errors import UsageError
from bench.quantity import parse_bytes, parse_duration, parse_score
from bench.registry import did_you_mean

if TYPE_CHECKING:
    from rich.console import RenderableType

    from bench.report.recommendation import Limits, Recommendation
    from bench.report.view import View
    from bench.store import RunFolder

T = TypeVar("T", int, float)


class RecommendFormat(StrEnum):
    """What a recommendation is turned into; html is the run's whole page, which has it as a section."""

    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"
    HTML = "html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The limits as they were typed."""

    max_latency: str | None
    max_memory: str | None
    min_score: str | None
    max_score: str | None
    length: int | None
    batch: int | None
    workload: str | None


def recommend(
    run: Annotated[
        str, typer.Argument(help="Path, run id, unique beginning of one, or latest.", show_default=True)
    ] = "latest",
    max_latency: Annotated[
        str | None, typer.Option(metavar="TIME", help="Longest median time of a call: 5ms, 80us, 2s.")
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Most memory, weights counted: 512MiB, 2GB (10^9), 2GiB (2^30)."),
    ] = None,
    min_score: Annotated[
        str | None,
        typer.Option(
            "--min-accuracy",
            "--min-score",
            metavar="SCORE",
            help="Lowest accuracy, or whatever else the task is judged by: 85%, 0.85.",
        ),
    ] = None,
    max_score: Annotated[
        str | None, typer.Option(metavar="SCORE", help="Highest score of a task where lower is better.")
    ] = None,
    length: Annotated[int | None, typer.Option(help="Sequence length; it must have been measured.")] = None,
    batch: Annotated[int | None, typer.Option(help="Batch size; it must have been measured.")] = None,
    workload: Annotated[str | None, typer.Option(help="inference, training, ...: one that was measured.")] = None,
    task: Annotated[str | None, typer.Option(help="One task of the run; all if not given.")] = None,
    format: Annotated[
        RecommendFormat,
        typer.Option("--format", help="For people, for pull requests, for programs, or the whole page."),
    ] = RecommendFormat.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", help="File to write; all but the page go to the screen if none is named.")
    ] = None,
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
) -> None:
    """Say which architecture of a run to take: of those within the limits the most accurate, the fastest, the smallest."""
    from bench import store
    from bench.report import view as views
    from bench.report.recommendation import recommend as made_of

    folder = store.open_run(store.find(results, run))
    view = views.view(folder.run, folder.results())
    asked = Asked(
        max_latency=max_latency,
        max_memory=max_memory,
        min_score=min_score,
        max_score=max_score,
        length=length,
        batch=batch,
        workload=workload,
    )
    limits = {name: _limits(view, name, asked) for name in _tasks(view, task)}
    made = [made_of(view, name, each) for name, each in limits.items()]
    if format is RecommendFormat.HTML:
        output = output or reports / f"{folder.run.run_id}.html"
    if output is None and format is RecommendFormat.TABLE:
        _print(made)
    else:
        _put(output, _page(folder, limits) if format is RecommendFormat.HTML else _made(made, format).encode())


def _put(output: Path | None, content: bytes) -> None:
    from bench.cli.report import write

    if output is None:
        sys.stdout.write(content.decode())
    else:
        write(output, content, "--output")
        print(output)


def _tasks(view: View, asked: str | None) -> list[str]:
    """The task that is asked for, or all that have speed cases.

    Raises:
        UsageError: there is no such task.
    """
    if asked is not None:
        if asked not in view.tasks:
            raise UsageError(f"--task {asked}: this run has no such task; {did_you_mean(asked, view.tasks)}")
        return [asked]
    found = [task for task in view.tasks if view.timed(task)]
    if not found:
        raise UsageError(f"{view.run.run_id}: has no speed cases, so there is nothing to choose by; measure some")
    return found


def _limits(view: View, task: str, asked: Asked) -> Limits:
    from bench.report.recommendation import Limits

    unit = view.headline(task).unit
    return Limits(
        max_latency_s=_above_nothing("--max-latency", asked.max_latency, parse_duration),
        max_memory_bytes=_above_nothing("--max-memory", asked.max_memory, parse_bytes),
        min_score=_parsed("--min-accuracy", asked.min_score, lambda text: parse_score(text, unit)),
        max_score=_parsed("--max-score", asked.max_score, lambda text: parse_score(text, unit)),
        length=asked.length,
        batch=asked.batch,
        workload=asked.workload,
    )


def _parsed(option: str, text: str | None, parse: Callable[[str], T]) -> T | None:
    """A quantity as it was typed.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _above_nothing(option: str, text: str | None, parse: Callable[[str], T]) -> T | None:
    value = _parsed(option, text, parse)
    if value is not None and value <= 0:
        raise UsageError(f"{option}: found {text}, which nothing can keep to; expected more than 0")
    return value


def _print(made: Sequence[Recommendation]) -> None:
    from bench.cli.output import print_parts
    from bench.cli.screen import console

    print_parts(_all_parts(made, console().width))


def _all_parts(made: Sequence[Recommendation], width: int) -> Iterator[RenderableType]:
    for number, one in enumerate(made):
        yield from [""] if number else []
        yield from _parts(one, width)


def _parts(made: Recommendation, width: int) -> Iterator[RenderableType]:
    """The choice first, then why, the table, who comes next and what would change it."""
    from rich.text import Text

    from bench.cli import tables
    from bench.report import advice, reasons

    yield Text(reasons.choice(made), style="bold")
    for line in reasons.reasons(made):
        yield Text(line)
    yield ""
    yield tables.shown(advice.table(made), width)
    yield ""
    for line in (*reasons.runners_up(made), *reasons.changes(made)):
        yield Text(line)


def _made(made: Sequence[Recommendation], format: RecommendFormat) -> str:
    from bench.cli.output import FILE_WIDTH, as_text
    from bench.report import advice, markdown

    match format:
        case RecommendFormat.JSON:
            return json.dumps([advice.told(one) for one in made], indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        case RecommendFormat.MARKDOWN:
            return "".join(f"{line}\n" for one in made for line in markdown.block(advice.block_of(one)))
        case _:
            return as_text(_all_parts(made, FILE_WIDTH))


def _page(folder: RunFolder, limits: dict[str, Limits]) -> bytes:
    from bench.cli.report import html

    return html([(folder.run, folder.results())], limits=limits)
