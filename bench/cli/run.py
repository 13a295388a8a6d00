"""`bench run`: measure a suite, or go on with a run that was interrupted."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.fetching import bring_data
from bench.cli.planning import DeviceOption, FilterOption, ImportOption, SetOption, planned
from bench.errors import ExitCode, StoreError, UsageError

if TYPE_CHECKING:
    from bench.cli.screen import Screen
    from bench.records import Plan
    from bench.store import RunFolder
    from bench.suite import Suite

DEFAULT_SUITE = "quick"
LATEST = "latest"
_SOME_ROOM = 16 * 2**20


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
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TIME", help="End the timing after 90s, 2m or 1h, at a round's end."),
    ] = None,
    filter: FilterOption = None,
    set_: SetOption = None,
    device: DeviceOption = None,
    results: Annotated[Path, typer.Option("--results", help="Folder that holds the runs.")] = Path("results"),
    reports: Annotated[Path, typer.Option("--reports", help="Folder for the page.")] = Path("reports"),
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder with data sets of your own; also BENCH_DATA.")
    ] = None,
    import_: ImportOption = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the order of trials and of made inputs.")] = None,
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
    }
    if data is not None:
        os.environ["BENCH_DATA"] = str(data.resolve())  # workers inherit it
    expect_writable(reports, "--reports")
    expect_writable(results, "--results")
    if resume is not None:
        given = [name for name, value in changes.items() if value is not None]
        if given:
            raise UsageError(
                f"{given[0]}: a run goes on as it was planned; leave it out, or start a new run without --resume"
            )
        folder = _resumed(results, resume, suite)
    else:
        overrides = _overrides(set_ or [], budget)
        loaded, plan = planned(
            suite or DEFAULT_SUITE, filter=filter, device=device, overrides=overrides, imports=import_ or []
        )
        bring_data(plan)
        folder = _created(results, loaded, plan, seed or 0)
    code = _measure(folder, reports, _resume_command(folder, results, reports, data))
    raise typer.Exit(int(code))


def with_resume_value(arguments: Sequence[str]) -> list[str]:
    """Give a bare `--resume` the value `latest`: Typer knows no option whose value may be left out."""
    made = list(arguments)
    for place, (word, following) in enumerate(zip(made, [*made[1:], "-"], strict=True)):
        if word == "--resume" and following.startswith("-"):
            made[place] = f"--resume={LATEST}"
    return made


def expect_writable(folder: Path, option: str) -> None:
    """Fail now rather than after an hour.

    Raises:
        StoreError: no file can be written there; names the option that gives another folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_SOME_ROOM))
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be written ({error.strerror}); free some space or name another folder with {option}"
        ) from error


def _overrides(given: Sequence[str], budget: str | None) -> list[str]:
    if budget is None:
        return list(given)
    from bench.suite import parse_duration

    try:
        parse_duration(budget)
    except ValueError as error:
        raise UsageError(f"--budget: {error}") from error
    return [*given, f'measure.budget="{budget}"']


def _created(results: Path, suite: Suite, plan: Plan, seed: int) -> RunFolder:
    from datetime import UTC, datetime

    import bench
    from bench import store
    from bench.probes import machine
    from bench.records import Run

    created = datetime.now(UTC).isoformat(timespec="seconds")
    commit, dirty = _source()
    run = Run(
        run_id=store.run_id(created, plan.suite),
        created=created,
        plan=plan,
        machine=machine.snapshot(plan.cases[0].device),
        seed=seed,
        command=_without_home(shlex.join(["bench", *sys.argv[1:]])),
        commit=commit,
        dirty=dirty,
        suite_text=_without_home(suite.text),
        bench_version=bench.__version__,
    )
    return store.create(results, run)


def _source() -> tuple[str | None, bool | None]:
    """The commit that is measured: of this package where it runs from a checkout, else of the folder one works in."""
    import bench
    from bench.probes.machine import source_state

    ours = source_state(Path(bench.__file__).parent)
    return ours if ours[0] else source_state(Path())


def _without_home(text: str) -> str:
    return text.replace(str(Path.home()), "~")


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
    store.compatible(folder.run, machine.snapshot(folder.run.plan.cases[0].device), _source()[0])
    bring_data(folder.run.plan)
    folder.take()
    return folder


def _measure(folder: RunFolder, reports: Path, resume: str) -> ExitCode:
    """Measure what is missing, keep each observation before the next is taken, and tell what came of it."""
    from bench.cli.outcomes import exit_code, worst
    from bench.cli.report import html, write
    from bench.cli.screen import console, screen, summary, summary_so_far

    output = console()
    with closing(folder), screen(folder, output) as view:
        interrupted = _interrupted(folder, view)
    code = exit_code(folder.results())
    if interrupted:
        summary_so_far(folder, output, resume)
        return worst([ExitCode.INTERRUPTED, code])
    page = reports / f"{folder.run.run_id}.html"
    write(page, html([(folder.run, folder.results())]), "--reports")
    summary(folder, output, page)
    return code


def _interrupted(folder: RunFolder, view: Screen) -> bool:
    from bench.progress import Progress
    from bench.runner import measure

    events = measure(folder.run, folder.observations, folder.path)
    try:
        for event in events:
            if isinstance(event, Progress):
                view.progress(event)
            else:
                folder.append(event)
                view.observed(event)
    except KeyboardInterrupt:
        return True
    finally:
        events.close()  # its workers end with it
    return False


def _resume_command(folder: RunFolder, results: Path, reports: Path, data: Path | None) -> str:
    words = ["python", "-m", "bench"] if Path(sys.argv[0]).name == "__main__.py" else ["bench"]
    words += ["run", "--resume", folder.run.run_id]
    for option, value, default in (("--results", results, Path("results")), ("--reports", reports, Path("reports"))):
        words += [option, str(value)] if value != default else []
    words += ["--data", str(data)] if data is not None else []
    return shlex.join(words)
