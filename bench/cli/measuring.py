"""What every command that measures shares: a plan becomes a run on disk, and each observation is kept before the next."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import StoreError, UsageError

if TYPE_CHECKING:
    from bench.cli.screen import Screen
    from bench.records import Plan, Run
    from bench.runner import Event
    from bench.store import RunFolder
    from bench.suite import Suite

_SOME_ROOM = 16 * 2**20


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


def use_data(folder: Path | None) -> None:
    """Look for data sets in this folder as well, here and in workers, which inherit it."""
    if folder is not None:
        os.environ["BENCH_DATA"] = str(folder.resolve())


def overrides(given: Sequence[str], budget: str | None) -> list[str]:
    """What `--set` was given, with the budget as one more.

    Raises:
        UsageError: the budget is not a time.
    """
    if budget is None:
        return list(given)
    from bench.quantity import parse_duration

    try:
        parse_duration(budget)
    except ValueError as error:
        raise UsageError(f"--budget: {error}") from error
    return [*given, f'measure.budget="{budget}"']


def new_run(suite: Suite, plan: Plan, seed: int) -> Run:
    """A run of this plan, here and now."""
    from datetime import UTC, datetime

    import bench
    from bench import store
    from bench.probes import machine
    from bench.records import Run

    created = datetime.now(UTC).isoformat(timespec="seconds")
    commit, dirty = source()
    return Run(
        run_id=store.run_id(created, plan.suite),
        created=created,
        plan=plan,
        machine=machine.snapshot(plan.cases[0].device),
        seed=seed,
        command=without_home(shlex.join(["bench", *sys.argv[1:]])),
        commit=commit,
        dirty=dirty,
        suite_text=without_home(suite.text),
        bench_version=bench.__version__,
    )


def source() -> tuple[str | None, bool | None]:
    """The commit that is measured: of this package where it runs from a checkout, else of the folder one works in."""
    import bench
    from bench.probes.machine import source_state

    ours = source_state(Path(bench.__file__).parent)
    return ours if ours[0] else source_state(Path())


def without_home(text: str) -> str:
    """A text as a record may hold it: it does not say whose home this is."""
    return text.replace(str(Path.home()), "~")


def keep(folder: RunFolder, view: Screen, events: Generator[Event, None, None]) -> bool:
    """Store each observation before the next is taken, and show it; whether it went on to the end, not to Ctrl-C."""
    from bench.progress import Progress

    try:
        for event in events:
            if isinstance(event, Progress):
                view.progress(event)
            else:
                folder.append(event)
                view.observed(event)
    except KeyboardInterrupt:
        return False
    finally:
        events.close()  # its workers end with it
    return True
