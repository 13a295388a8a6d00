"""What `bench run` shows: a live view on a terminal, plain lines elsewhere, and the same summary at the end.

Nothing is drawn while a trial runs: there is no thread, and the view is drawn only when the runner hands something over.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table as RichTable
from rich.text import Text

from bench.cli.outcomes import is_incomplete
from bench.cli.tables import meanings, shown
from bench.observations import CaseResult, Fit, Observation, Probe
from bench.quantity import format_duration
from bench.records import Case, Outcome
from bench.report.doubts import left_out_words
from bench.report.league import league, speed
from bench.trust_record import trust_record

if TYPE_CHECKING:
    from bench.progress import Progress
    from bench.report.league import Table
    from bench.store import RunFolder

FIT_REDRAW_S = 5.0
REDRAW_S = 0.5
DRAWING_SHARE = 100  # a view that took 20 ms to draw is drawn again after two seconds at the earliest
MOST_FAILURES = 10


class Screen(AbstractContextManager["Screen"], Protocol):
    """Shows how a run goes on."""

    def progress(self, progress: Progress) -> None:
        """The runner is about to do something."""

    def observed(self, observation: Observation) -> None:
        """Something was measured and stored."""


def console(*, errors: bool = False) -> Console:
    """Where people read: plain text, without a single escape code, unless it is a terminal of theirs.

    `errors` is the stream for errors: for what people read while a program reads the other one.
    """
    if is_plain():
        return Console(force_terminal=False, color_system=None, highlight=False, stderr=errors)
    return Console(highlight=False, stderr=errors)


def is_plain() -> bool:
    """Whether there is nobody before the screen who could see it change."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return in_ci or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb"


def screen(folder: RunFolder, output: Console) -> Screen:
    """The view that suits where the output goes."""
    return PlainScreen(folder, output) if is_plain() else LiveScreen(folder, output)


def place(case: Case) -> str:
    """A case in words: `imdb, lstm, inference, length 256, batch 32`."""
    parts = [case.task_key, case.variant.label, case.workload]
    parts += [f"length {case.sequence_length}"] if case.sequence_length else []
    parts += [] if case.fit else [f"batch {case.batch_size}"]
    parts += [f"{case.new_tokens} new tokens"] if case.new_tokens else []
    return ", ".join(parts)


def _left(progress: Progress) -> str:
    return "" if progress.remaining_s is None else f"at most {format_duration(progress.remaining_s)} left"


class PlainScreen:
    """A line for each phase, each round and each fit, and one for everything that went wrong."""

    def __init__(self, folder: RunFolder, output: Console) -> None:
        self._output = output
        self._cases = {case.id: case for case in folder.run.plan.cases}
        self._phase = ""
        self._say(heading(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is left open."""

    def progress(self, progress: Progress) -> None:
        """Say when a new phase or round begins."""
        if progress.phase != self._phase:
            self._phase = progress.phase
            parts = [progress.phase, f"{progress.done} of {progress.total} steps done", _left(progress)]
            self._say(", ".join(part for part in parts if part))

    def observed(self, observation: Observation) -> None:
        """Say how a fit ended, and what did not end well."""
        outcome = getattr(observation, "outcome", Outcome.OK)
        case = self._cases.get(getattr(observation, "case_id", ""))
        what = place(case) if case else "pre-flight"
        if isinstance(observation, Probe):
            return  # that a size does not fit is an answer, and the search goes on
        if outcome is not Outcome.OK:
            self._say(f"  {what}: {outcome.value.replace('_', ' ')}: {getattr(observation, 'reason', '')}")
        elif isinstance(observation, Fit):
            self._say(f"  {what}, {fit_words(observation)}" + (f"; {observation.reason}" if observation.reason else ""))

    def _say(self, line: str) -> None:
        self._output.print(Text(line), soft_wrap=True)


def fit_words(fit: Fit) -> str:
    """`seed 0, fold 2: accuracy 0.961 in 12 s`."""
    which = f"seed {fit.seed}" + ("" if fit.fold is None else f", fold {fit.fold}")
    scores = ", ".join(f"{name} {value:.3f}" for name, value in list(fit.metrics.items())[:1])
    took = "" if fit.fit_s is None else f" in {format_duration(fit.fit_s)}"
    return f"{which}: {scores}{took}"


class Drawn:
    """What is drawn and drawn again: without a thread, and never so often that it takes more than a hundredth of the time."""

    def __init__(self, output: Console, now: Callable[[], float]) -> None:
        self._output, self._now = output, now
        self._live = Live(console=output, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._next_s = 0.0
        self._phase = ""

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the view away; what came of it takes its place."""
        self._live.stop()

    def draw(self, phase: str, view: Callable[[], RenderableType], every_s: float = REDRAW_S) -> None:
        """Draw, unless that was done a moment ago in the same phase."""
        began = self._now()
        if began < self._next_s and phase == self._phase:
            return
        self._phase = phase
        self._live.update(view(), refresh=True)
        done = self._now()
        self._next_s = done + max(every_s, DRAWING_SHARE * (done - began))


class LiveScreen(Drawn):
    """Progress, the case in work, and the league table filling."""

    def __init__(self, folder: RunFolder, output: Console, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(output, now)
        self._folder = folder

    def observed(self, observation: Observation) -> None:
        """Wait: the runner says next what it does with it."""

    def progress(self, progress: Progress) -> None:
        """Draw what is about to be done."""
        fitting = progress.case is not None and progress.case.fit is not None
        self.draw(progress.phase, lambda: self.view(progress), FIT_REDRAW_S if fitting else REDRAW_S)

    def view(self, progress: Progress) -> Group:
        """The whole view as it stands."""
        width = self._output.width
        tables = league(self._folder.run, self._folder.results())
        doing = [progress.phase] + ([place(progress.case)] if progress.case else []) + [progress.detail]
        return Group(
            Text(heading(self._folder), style="bold", no_wrap=True, overflow="ellipsis"),
            bar(progress, width, _left(progress)),
            Text(" · ".join(part for part in doing if part), no_wrap=True, overflow="ellipsis"),
            Text(),
            *(shown(table, width) for table in tables),
        )


def bar(progress: Progress, width: int, left: str) -> RichTable:
    """How far it is, drawn and in figures, and what is left in words."""
    total = max(progress.total, 1)
    words = f"{100 * progress.done // total:3d} %  {progress.done} of {progress.total} steps"
    line = RichTable.grid(padding=(0, 2, 0, 0))
    drawn = ProgressBar(total=total, completed=progress.done, width=max(10, min(40, width - 60)))
    line.add_row(drawn, Text(words), Text(left))
    return line


def heading(folder: RunFolder) -> str:
    """What is measured, and on which machine."""
    plan = folder.run.plan
    count = len(plan.cases)
    return f"{plan.suite}: {count} case{'s' * (count != 1)} on {folder.run.machine.name}"


def summary(folder: RunFolder, output: Console, page: Path) -> None:
    """The tables, what their marks mean, what failed, and where it all is."""
    run, results = folder.run, folder.results()
    tables = [*league(run, results), *speed(run, results)]
    _print_tables(tables, output)
    left_out = left_out_words(trust_record(run, result) for result in results)
    lines = [*meanings(tables), *_reasons(results), *([left_out] if left_out else [])]
    if run.plan.measure.min_rounds < 5:
        lines.append(f"a quick look: {run.plan.measure.min_rounds} rounds where a careful run has at least 5")
    for line in lines:
        output.print(Text(line, style="dim"))
    for line in (f"results  {folder.path}", f"report   {page}"):
        output.print(Text(line), soft_wrap=True)


def summary_so_far(folder: RunFolder, output: Console, resume: str) -> None:
    """What an interrupted run has, and the command that goes on with it."""
    _print_tables(league(folder.run, folder.results()), output)
    for line in (f"Interrupted; what was finished is kept in {folder.path}. To go on:", f"  {resume}"):
        output.print(Text(line), soft_wrap=True)


def _print_tables(tables: Sequence[Table], output: Console) -> None:
    for table in tables:
        output.print(shown(table, output.width))
        output.print()


def _reasons(results: Sequence[CaseResult]) -> list[str]:
    """Why cases have no figures: each that went wrong by name, skipped ones by their reason."""
    failed = [(result.case, *result.verdict) for result in results if is_incomplete(result)]
    lines = [_reason(case, outcome, reason) for case, outcome, reason in failed[:MOST_FAILURES]]
    if len(failed) > MOST_FAILURES:
        lines.append(f"and {len(failed) - MOST_FAILURES} more, which the report names")
    skipped = Counter(
        reason for outcome, reason in (result.verdict for result in results) if outcome is Outcome.SKIPPED
    )
    return lines + [f"skipped: {reason} ({count} case{'s' * (count != 1)})" for reason, count in skipped.items()]


def _reason(case: Case, outcome: Outcome | None, reason: str) -> str:
    if outcome in (None, Outcome.OK):
        return f"{place(case)}: missing: nothing was measured of it"
    return f"{place(case)}: {outcome}: {reason}"
