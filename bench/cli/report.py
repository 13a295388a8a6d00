"""`bench report`: stored runs as a page, or as the tidy table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.beside import beside_baseline, beside_each_other, beside_own_baseline
from bench.cli.planning import ReportsOption, ResultsOption
from bench.errors import BenchError, StoreError, UsageError

if TYPE_CHECKING:
    from bench.frames import Runs
    from bench.records import Case, Run
    from bench.report.recommendation import Limits
    from bench.store import RunFolder
    from bench.verdicts import Judgement


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
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline", metavar="NAME", help="Judge against this baseline or run, in a page or in Markdown."
        ),
    ] = None,
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
) -> None:
    """Tell about stored runs, several side by side; those of one machine are judged against the first of them."""
    if format is ReportFormat.PARQUET and output is None:
        raise UsageError("--format parquet: a binary file needs a name; add --output FILE")
    if baseline is not None and format not in (ReportFormat.HTML, ReportFormat.MARKDOWN):
        raise UsageError(f"--baseline: --format {format} has no place for it; expected html or markdown")
    folders = _opened(results, runs or ["latest"])
    if format is ReportFormat.HTML and output is None:
        output = reports / f"{folders[0].run.run_id}.html"
    content = _made(folders, format, results, baseline)
    if output is None:
        sys.stdout.write(content.decode())
    else:
        write(output, content, "--output")
        print(output)


def _opened(results: Path, references: Sequence[str]) -> list[RunFolder]:
    """The runs that are meant, each of them once."""
    from bench import store

    folders: dict[Path, RunFolder] = {}
    for reference in references:
        path = store.find(results, reference)
        if path.resolve() in folders:
            print(f"note: {path}: named twice, told once", file=sys.stderr)
            continue
        folder = folders[path.resolve()] = store.open_run(path)
        if folder.torn:
            print(f"note: {folder.path}: its last line is half-written and is left out", file=sys.stderr)
    return list(folders.values())


def _made(folders: Sequence[RunFolder], format: ReportFormat, results: Path, baseline: str | None) -> bytes:
    if format is ReportFormat.HTML:
        return page(folders, results, baseline)
    from bench.report import FORMATS, to_markdown

    runs = [(folder.run, folder.results()) for folder in folders]
    if format is ReportFormat.MARKDOWN:
        baselines = [] if baseline is None else beside_baseline(results, baseline, folders)
        return to_markdown(runs, baselines=baselines, changes=beside_each_other(folders)).encode()
    content = FORMATS[format.value](runs)
    return content if isinstance(content, bytes) else content.encode()


def page(folders: Sequence[RunFolder], results: Path, baseline: str | None = None) -> bytes:
    """The HTML page of some stored runs, judged against a baseline and each other.

    A run alone is judged against the only baseline of its machine and suite, if no other is named.
    """
    if baseline is not None:
        baselines = beside_baseline(results, baseline, folders)
    else:
        baselines = beside_own_baseline(results, folders[0]) if len(folders) == 1 else []
    runs = [(folder.run, folder.results()) for folder in folders]
    return html(runs, baselines=baselines, changes=beside_each_other(folders))


def html(
    runs: Runs,
    *,
    baselines: Sequence[Judgement] = (),
    changes: Sequence[Judgement] = (),
    limits: Mapping[str, Limits] | None = None,
) -> bytes:
    """The HTML page of some runs, with chance levels and the origin of data and of pretrained weights.

    The rest is as in `bench.report.beside.Beside`.
    """
    from bench.report import render
    from bench.report.beside import Beside
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
    told = Beside(chance=chances, sources=sources, limits=limits or {}, baselines=baselines, changes=changes)
    return render(runs, told).encode()


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
