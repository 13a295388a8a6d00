"""`bench run`: measure a suite, or go on with a run that was interrupted."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.fetching import bring_data
from bench.cli.measuring import expect_writable, keep, new_run, overrides, source, use_data
from bench.cli.planning import (
    BudgetOption,
    DataOption,
    DeviceOption,
    FilterOption,
    ImportOption,
    ReportsOption,
    ResultsOption,
    SeedOption,
    SetOption,
    planned,
)
from bench.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from bench.records import Plan
    from bench.store import RunFolder

DEFAULT_SUITE = "quick"
LATEST = "latest"


def run(
    suite: Annotated[
        str | None, typer.Argument(help=f"Name or path of a suite; {DEFAULT_SUITE} if none.", show_default=False)
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="[RUN]",
            help="Go on with an unfinished run: the newest (of the suite), or the one named.",
        ),
    ] = None,
    budget: BudgetOption = None,
    filter: FilterOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    results: ResultsOption = Path("results"),
    reports: ReportsOption = Path("reports"),
    data: DataOption = None,
    import_: ImportOption = None,
    seed: SeedOption = None,
    save_models: Annotated[
        bool, typer.Option("--save-models", help="Keep the best weights of every finished fit, for `bench predict`.")
    ] = False,
) -> None:
    """Measure a suite: speed, memory and accuracy; ends with a table and one HTML page.

    Every finished measurement is on disk at once. After Ctrl-C, --resume goes on with what is missing.
    """
    changes = {
        "--budget": budget,
        "--filter": filter,
        "--set": set_,
        "--device": device,
        "--import": import_,
        "--seed": seed,
        "--save-models": save_models or None,
    }
    use_data(data)
    expect_writable(reports, "--reports")
    expect_writable(results, "--results")
    if resume is not None:
        _refuse(name for name, value in changes.items() if value is not None)
        folder = _resumed(results, resume, suite)
    else:
        from bench import store

        loaded, plan = planned(
            suite or DEFAULT_SUITE,
            filter=filter,
            device=device,
            overrides=overrides(set_ or [], budget),
            imports=import_ or [],
        )
        plan = _saving(plan) if save_models else plan
        bring_data(plan)
        folder = store.create(results, new_run(loaded, plan, seed or 0))
    code = _measure(folder, reports, _resume_command(folder, results, reports, data))
    raise typer.Exit(int(code))


def _refuse(given: Iterable[str]) -> None:
    """Options that would change a run have no place where one goes on."""
    for name in given:
        raise UsageError(f"{name}: a run goes on as it was planned; leave it out, or start a new run without --resume")


def _saving(plan: Plan) -> Plan:
    """The same plan, whose fits keep their models."""
    if all(case.fit is None for case in plan.cases):
        raise UsageError(
            f"--save-models: suite '{plan.suite}' trains nothing here; add [accuracy] to it, or leave it out"
        )
    return replace(plan, save_models=True)


def with_resume_value(arguments: Sequence[str]) -> list[str]:
    """Give a bare `--resume` the value `latest`: Typer knows no option whose value may be left out."""
    made = list(arguments)
    for place, (word, following) in enumerate(zip(made, [*made[1:], "-"], strict=True)):
        if word == "--resume" and following.startswith("-"):
            made[place] = f"--resume={LATEST}"
    return made


def _resumed(results: Path, reference: str, suite: str | None) -> RunFolder:
    from bench import store
    from bench.probes import machine
    from bench.suite import catalogue

    if suite is None and reference in {entry.name for entry in catalogue()}:
        suite, reference = reference, LATEST  # `--resume smoke` can only mean the suite
    folder = store.open_run(store.find(results, reference, suite=suite, unfinished=True))
    if suite is not None and reference != LATEST and folder.run.plan.suite != suite:
        raise UsageError(
            f"run '{folder.run.run_id}' is of suite '{folder.run.plan.suite}', not '{suite}'; leave the suite out"
        )
    store.compatible(folder.run, machine.snapshot(folder.run.plan.cases[0].device), source()[0])
    bring_data(folder.run.plan)
    folder.take()
    return folder


def _measure(folder: RunFolder, reports: Path, resume: str) -> ExitCode:
    """Measure what is missing, keep each observation before the next is taken, and tell what came of it."""
    from bench.cli.outcomes import exit_code, worst
    from bench.cli.report import page, write
    from bench.cli.screen import console, screen, summary, summary_so_far
    from bench.runner import measure

    output = console()
    with closing(folder), screen(folder, output) as view:
        finished = keep(folder, view, measure(folder.run, folder.observations, folder.path))
    code = exit_code(folder.results())
    if not finished:
        summary_so_far(folder, output, resume)
        return worst([ExitCode.INTERRUPTED, code])
    place = reports / f"{folder.run.run_id}.html"
    write(place, page([folder], folder.path.parent), "--reports")
    summary(folder, output, place)
    return code


def _resume_command(folder: RunFolder, results: Path, reports: Path, data: Path | None) -> str:
    words = ["python", "-m", "bench"] if Path(sys.argv[0]).name == "__main__.py" else ["bench"]
    words += ["run", "--resume", folder.run.run_id]
    for option, value, default in (("--results", results, Path("results")), ("--reports", reports, Path("reports"))):
        words += [option, str(value)] if value != default else []
    words += ["--data", str(data)] if data is not None else []
    return shlex.join(words)
