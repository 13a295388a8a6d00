"""`bench history`: how the figures of a suite moved over its stored runs, and where they jumped; it gates nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.output import Format, FormatOption, show
from bench.cli.planning import FilterOption, ReportsOption, ResultsOption
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.frames import Runs


def history(
    suite: Annotated[str, typer.Argument(help="Name of a suite that was measured here.")],
    filter: FilterOption = None,
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
    format: FormatOption = Format.TABLE,
) -> None:
    """Show where the figures of a suite jumped over its stored runs, and draw them all on one page."""
    from bench.cli.report import write
    from bench.history import history as series_of
    from bench.report import history as told

    series = series_of(_runs(results, suite, filter))
    if format is Format.JSON:
        show(told.to_document(series), format)
        return
    for part in told.parts(series):
        for row in part.rows:
            print("{}\n  {}".format(*row.lines))
        print(told.summary(part))
    path = reports / f"history-{suite}.html"
    write(path, told.page(suite, series).encode(), "--reports")
    print(path)


def _runs(results: Path, suite: str, filter: str | None) -> Runs:
    """The runs of a suite with the results of the cases that are asked for.

    Raises:
        UsageError: there is no such run, or no such case.
    """
    from bench import store
    from bench.records import matching

    paths = store.run_folders(results)
    suites = {path: store.read_run(path).plan.suite for path in paths}
    folders = [store.open_run(path) for path in paths if suites[path] == suite]
    if not folders:
        there = ", ".join(sorted(set(suites.values()))) or "none"
        raise UsageError(f"{results}: holds no run of suite '{suite}'; those with runs: {there}")
    runs = []
    for folder in folders:
        wanted = {case.id for case in matching(folder.run.plan.cases, filter or "*")}
        runs.append((folder.run, [result for result in folder.results() if result.case.id in wanted]))
    if not any(found for _, found in runs):
        raise UsageError(f"--filter {filter}: fits no case of suite '{suite}'; `bench list cases {suite}` shows them")
    return runs
