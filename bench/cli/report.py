"""`bench report`: stored runs as a page, or as the tidy table."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.planning import ReportsOption, ResultsOption
from bench.errors import BenchError, StoreError, UsageError

if TYPE_CHECKING:
    from bench.frames import Runs
    from bench.records import Case, Run
    from bench.report.recommendation import Limits


class ReportFormat(StrEnum):
    """What a run is turned into."""

    HTML = "html"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    TRUST = "trust"
    PYTEST_BENCHMARK = "pytest-benchmark"
    GITHUB_ACTION_BENCHMARK = "github-action-benchmark"
    GITHUB_ACTION_BENCHMARK_BIGGER = "github-action-benchmark-bigger"
    BENCHER = "bencher"


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Path, run id, unique beginning of one, or latest.", show_default="latest"),
    ] = None,
    format: Annotated[
        ReportFormat,
        typer.Option("--format", help="A page, the tidy table, trust records, or a file for another tool."),
    ] = ReportFormat.HTML,
    output: Annotated[
        Path | None, typer.Option("--output", help="File to write; tables go to the screen if none is named.")
    ] = None,
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
) -> None:
    """Tell about stored runs, several side by side."""
    from bench import store

    folders = [store.open_run(store.find(results, reference)) for reference in runs or ["latest"]]
    for folder in folders:
        if folder.torn:
            print(f"note: {folder.path}: its last line is half-written and is left out", file=sys.stderr)
    if format is ReportFormat.HTML and output is None:
        output = reports / f"{folders[0].run.run_id}.html"
    if format is ReportFormat.PARQUET and output is None:
        raise UsageError("--format parquet: a binary file needs a name; add --output FILE")
    content = _made([(folder.run, folder.results()) for folder in folders], format)
    if output is None:
        sys.stdout.write(content.decode())
    else:
        write(output, content, "--output")
        print(output)


def _made(runs: Runs, format: ReportFormat) -> bytes:
    if format is ReportFormat.HTML:
        return html(runs)
    from bench.report import FORMATS

    content = FORMATS[format.value](runs)
    return content if isinstance(content, bytes) else content.encode()


def html(runs: Runs, limits: Mapping[str, Limits] | None = None) -> bytes:
    """The HTML page of some runs, with chance levels and the origin of data and of pretrained weights.

    `limits` are those of the recommendation, by task.
    """
    from bench.report import render
    from bench.tasks.data import needed, needed_by

    fits = {case.task_key: (case, run) for run, _ in runs for case in run.plan.cases if case.fit is not None}
    chances = {key: chance for key, (case, run) in fits.items() if (chance := _chance(case, run)) is not None}
    found = {key: needed_by(case.task, case.task_options) for key, (case, _) in fits.items()}
    found |= {weights: needed(weights) for run, _ in runs for weights in run.plan.pretrained}
    sources = [
        (key, f"{source.summary}. {_unlinked(source.origin)}. Licence: {source.licence}")
        for key, source in found.items()
        if source is not None
    ]
    return render(runs, chance=chances, sources=sources, limits=limits).encode()


def _unlinked(text: str) -> str:
    """An origin without addresses that a browser could open: the page names nothing outside itself."""
    return text.replace("https://", "").replace("http://", "")


def _chance(case: Case, run: Run) -> float | None:
    """What a predictor that knows nothing scores; None where the task, its file or torch is not on this machine."""
    if find_spec("torch") is None:
        return None
    from bench.subjects import open_task

    try:
        return open_task(case, Path(run.plan.folder).expanduser()).chance
    except BenchError:
        return None  # a task of the user's own, or a file of theirs that is elsewhere: the page does without the line


def write(path: Path, content: bytes, option: str) -> None:
    """Write a file and the folders above it.

    Raises:
        StoreError: that cannot be; it names the option that gives another place.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}); name another place with {option}") from error
