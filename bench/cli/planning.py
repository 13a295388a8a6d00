"""From a suite's name to a plan for this machine, and the options that shape it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.records import Plan
    from bench.suite import Suite


FilterOption = Annotated[
    str | None,
    typer.Option("--filter", metavar="TEXT", help="Only cases whose id contains this, or matches it (with * or ?)."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the suite: --set accuracy.epochs=1")
]
ImportOption = Annotated[
    list[str] | None, typer.Option("--import", metavar="MODULE", help="Module that registers things of yours.")
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda or cuda:N; the best there is if not given.")
]
BudgetOption = Annotated[
    str | None,
    typer.Option("--budget", metavar="TIME", help="End the timing after 90s, 2m or 1h, at a round's end."),
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of the order of trials and of made inputs.")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder with data sets of your own; also BENCH_DATA.")]
ResultsOption = Annotated[Path, typer.Option("--results", help="Folder that holds the runs.")]
ReportsOption = Annotated[Path, typer.Option("--reports", help="Folder for the page.")]


def planned(
    suite: str,
    *,
    filter: str | None = None,
    device: str | None = None,
    overrides: Sequence[str] = (),
    imports: Sequence[str] = (),
    threads: int | None = None,
) -> tuple[Suite, Plan]:
    """Load a suite and resolve it for a device (the best there is, if none is named).

    `threads` holds where the suite sets none: as many as there are physical cores, if None.

    Raises:
        UsageError, SuiteError: there is no such suite, or something in it is wrong.
    """
    from bench.suite import find, load

    loaded = load(find(suite), overrides)
    from bench.plan import resolve  # torch: only once the file is known to be sound
    from bench.probes.machine import cores

    plan = resolve(
        loaded,
        device=device or "auto",
        threads=threads or cores(),
        filter=filter,
        imports=imports,
    )
    return loaded, plan
