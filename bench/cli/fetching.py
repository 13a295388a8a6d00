"""Bringing data sets before anything is measured, with a bar where somebody watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.records import Plan
    from bench.tasks.data import Found, Source


def bring_data(plan: Plan) -> None:
    """Fetch what is not here of what a plan needs: data to train on, or for the lengths of its texts, and pretrained weights.

    Raises:
        DataError: nobody could bring it.
    """
    from bench.records import LengthDistribution
    from bench.tasks.data import needed, needed_by

    cases = [case for case in plan.cases if not case.skip]
    read = [case for case in cases if case.fit is not None or case.length_distribution is LengthDistribution.DATA]
    sources = [needed_by(case.task, case.task_options) for case in read]
    for source in dict.fromkeys([*sources, *map(needed, plan.pretrained)]):
        if source is not None:
            fetch(source)


def fetch(source: Source) -> Found:
    """Fetch one data set, if it is not here, and show how far it is.

    Raises:
        DataError: nobody could bring it.
    """
    from bench.cli.screen import console, is_plain
    from bench.tasks import data

    found = data.status(source)
    if found is not None:
        return found
    output = console()
    if is_plain():
        output.print(f"fetching {source.name}", markup=False)
        return data.fetch(source)
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("fetching {task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=output, transient=True) as bar:
        task = bar.add_task(source.name, total=source.size_bytes)
        return data.fetch(source, lambda _, done, total: bar.update(task, completed=done, total=total))
