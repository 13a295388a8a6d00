"""How a plan is measured under pytest: by our own runner, as a stored run, with its progress on pytest's screen."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from typing import IO, TYPE_CHECKING, cast

import pytest
from rich.console import Console

from bench import store
from bench.cli.check import calibration, design_of
from bench.cli.fetching import bring_data
from bench.cli.judging import asked
from bench.cli.measuring import keep, new_run
from bench.cli.screen import PlainScreen
from bench.compare import to_confirm
from bench.runner import confirm, measure

if TYPE_CHECKING:
    from bench.records import Plan
    from bench.runner import Event
    from bench.store import RunFolder
    from bench.suite import Suite


def why_not(config: pytest.Config) -> str:
    """Why nothing may be measured in this session; empty where it may."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return "nothing is measured under pytest-xdist, whose workers would disturb each other; add -n 0"
    if config.getoption("benchmark_disable", False) and not config.getoption("benchmark_enable", False):
        return "--benchmark-disable"
    return ""


def measured(
    config: pytest.Config, suite: Suite, plan: Plan, *, command: str, base: RunFolder | None = None
) -> RunFolder:
    """Measure a plan from its beginning to its end, and store it.

    Args:
        config: says where runs are stored, and has the screen.
        suite: what the plan was made of.
        plan: what is measured.
        command: measures it again, from a shell; empty where none does.
        base: what it will be judged against: calibrated alike, and what then is flagged is measured afresh.

    Raises:
        BenchError: it cannot be measured, or not be stored.
        KeyboardInterrupt: it was interrupted; what was finished is kept.
    """
    bring_data(plan)
    run = replace(new_run(suite, plan, seed=base.run.seed if base else 0), command=command)
    folder = store.create(config.getoption("bench_results"), run)
    with closing(folder), _uncaptured(config):
        view = PlainScreen(folder, _console(config))
        for pilot in calibration(base, plan) if base else ():
            folder.append(pilot)
        _keep(folder, view, measure(run, folder.observations, folder.path))
        if base is not None:
            asked_for = design_of(base.run, run, exact=False, confirms=True)
            flagged = to_confirm(*asked(base, folder, None), plan.gate, asked_for)
            _keep(folder, view, confirm(run, folder.observations, folder.path, flagged))
    return folder


def _keep(folder: RunFolder, view: PlainScreen, events: Generator[Event, None, None]) -> None:
    if not keep(folder, view, events):
        raise KeyboardInterrupt


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    """Where what is written reaches the screen at once, instead of the report of a test that fails."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    disabled: AbstractContextManager[None] = capture.global_and_fixture_disabled() if capture else nullcontext()
    return disabled


def _console(config: pytest.Config) -> Console:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.get_verbosity() < 0:
        return Console(quiet=True)
    reporter.ensure_newline()
    return Console(file=cast(IO[str], _Reporter(reporter)), force_terminal=False, color_system=None, highlight=False)


class _Reporter:
    """What a console needs of a file, written where pytest itself writes."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter

    def write(self, text: str) -> None:
        """Write as pytest does."""
        self._reporter.write(text)

    def flush(self) -> None:
        """Show it now."""
        self._reporter.flush()
