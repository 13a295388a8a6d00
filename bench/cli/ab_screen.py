"""What `bench ab` shows while it measures: one view on a terminal, plain lines elsewhere; nothing is drawn during a trial."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, Self

from rich.console import Console, Group
from rich.text import Text

from bench.ab import Told, aligned
from bench.cli.output import table
from bench.cli.screen import Drawn, bar, console, is_plain, place
from bench.differences import taken_in_pairs
from bench.lanes import Arm
from bench.progress import Progress
from bench.quantity import format_change, format_duration
from bench.records import Outcome
from bench.store import RunFolder

Folders = Mapping[Arm, RunFolder]


class Screen(AbstractContextManager["Screen"], Protocol):
    """Shows how a session goes on."""

    def progress(self, progress: Progress) -> None:
        """Something is about to be done."""

    def observed(self, told: Told) -> None:
        """Something was measured and stored."""


def screen(title: str, folders: Folders, *, errors: bool) -> Screen:
    """The view that suits where the output goes; `errors` is the stream for errors."""
    output = console(errors=errors)
    return PlainScreen(title, folders, output) if is_plain() else LiveScreen(title, folders, output)


def _left(progress: Progress) -> str:
    # more pairs may turn out to be needed, or fresh ones of what is flagged
    return "" if progress.remaining_s is None else f"about {format_duration(progress.remaining_s)} left"


def _heading(title: str, folders: Folders) -> str:
    run = folders[Arm.BASE].run
    count = len(run.plan.cases)
    return f"{title}, {count} case{'s' * (count != 1)} on {run.machine.name}"


class PlainScreen:
    """A line for each phase and round, and one for everything that went wrong."""

    def __init__(self, title: str, folders: Folders, output: Console) -> None:
        self._output = output
        self._cases = {arm: {case.id: place(case) for case in one.run.plan.cases} for arm, one in folders.items()}
        self._phase = ""
        self._say(_heading(title, folders))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is left open."""

    def progress(self, progress: Progress) -> None:
        """Say when a new phase or round begins."""
        if progress.phase != self._phase:
            self._phase = progress.phase
            parts = (progress.phase, f"{progress.done} of {progress.total} steps done", _left(progress))
            self._say(", ".join(part for part in parts if part))

    def observed(self, told: Told) -> None:
        """Say what did not end well."""
        outcome = getattr(told.observation, "outcome", Outcome.OK)
        if outcome is not Outcome.OK:
            what = self._cases[told.arm].get(getattr(told.observation, "case_id", ""), "pre-flight")
            reason = getattr(told.observation, "reason", "")
            self._say(f"  {told.arm.value}: {what}: {outcome.value.replace('_', ' ')}: {reason}")

    def _say(self, line: str) -> None:
        self._output.print(Text(line), soft_wrap=True)


class LiveScreen(Drawn):
    """Progress, the case in work, and how far apart the arms of each case are so far."""

    def __init__(
        self, title: str, folders: Folders, output: Console, now: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(output, now)
        self._title, self._folders = title, folders

    def observed(self, told: Told) -> None:
        """Wait: what comes next is told first."""

    def progress(self, progress: Progress) -> None:
        """Draw what is about to be done."""
        self.draw(progress.phase, lambda: self.view(progress))

    def view(self, progress: Progress) -> Group:
        """The whole view as it stands."""
        doing = [progress.phase] + ([place(progress.case)] if progress.case else []) + [progress.detail]
        rows = list(self._rows())
        return Group(
            Text(_heading(self._title, self._folders), style="bold", no_wrap=True, overflow="ellipsis"),
            bar(progress, self._output.width, _left(progress)),
            Text(" · ".join(part for part in doing if part), no_wrap=True, overflow="ellipsis"),
            Text(),
            *([table(("case", "pairs", "so far"), rows)] if rows else []),
        )

    def _rows(self) -> Iterator[list[str]]:
        base = self._folders[Arm.BASE].results()
        for before, now in zip(base, aligned(base, self._folders[Arm.HEAD].results()), strict=True):
            times = taken_in_pairs(before, now)
            if times is not None:
                mean, half = times.p10.mean, times.p10.half_width()
                change, low, high = (math.expm1(value) for value in (mean, mean - half, mean + half))
                yield [place(before.case), str(times.p10.count), format_change(change, low, high)]
