from __future__ import annotations

import dataclasses
import io
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_run import golden, made_quick_run, made_run
from rich.console import Console

from bench.cli import screen
from bench.cli.screen import DRAWING_SHARE, FIT_REDRAW_S, REDRAW_S, LiveScreen, PlainScreen, console, summary
from bench.observations import CaseResult, Fit, Trial
from bench.progress import Progress
from bench.records import Outcome, Run
from bench.store import RunFolder

Made = tuple[Run, list[CaseResult]]


class Told(RunFolder):
    """A run folder whose results are made up."""

    def results(self) -> list[CaseResult]:
        return self.told

    told: list[CaseResult]


def told(made: Made) -> Told:
    run, results = made
    folder = Told(path=Path("results") / run.run_id, run=run)
    folder.told = results
    return folder


def output(width: int, terminal: bool = False) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        height=60,
        force_terminal=terminal,
        color_system="standard" if terminal else None,
    )


def printed(made: Made, width: int) -> str:
    console = output(width)
    summary(told(made), console, Path("reports/page.html"))
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("made", [made_run, made_quick_run])
def test_summary_is_as_it_was(made: Callable[[], Made], width: int) -> None:
    text = printed(made(), width)
    assert text == golden(f"screen_{made.__name__}_{width}.txt", text)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_nothing_is_wider_than_the_screen_and_no_name_is_lost(width: int) -> None:
    text = printed(made_run(), width)
    paths = ("results  ", "report   ")
    assert max(len(line) for line in text.splitlines() if not line.startswith(paths)) <= width
    for label in ("nbow", "transformer", "gru"):
        assert text.count(label) >= 3


def test_intervals_stay_at_80_columns() -> None:
    league = printed(made_run(labels=("nbow", "lstm", "BiLSTM x2", "transformer")), 80).partition("imdb: inference")[0]
    row = next(line for line in league.splitlines() if line.startswith("lstm"))
    assert row.count("±") == 2


def test_marks_are_explained() -> None:
    text = printed(made_run(), 120)
    assert "* breaks a contract: padding (<script>alert(1)</script>)" in text
    for mark in ("breaks a contract", "wide interval", "never became steady", "diverged"):
        assert re.search(rf"^{mark}: \w", text, re.MULTILINE)
    assert not re.search(r"^few trials: ", text, re.MULTILINE)


def test_new_doubts_are_explained_and_what_was_left_out_is_said_once() -> None:
    run, results = made_run(labels=("lstm",))
    busy = {"wall_s": 0.5, "steal_s": 0.1}
    trials = tuple(dataclasses.replace(trial, evidence=busy) for trial in results[0].trials)
    text = printed((run, [dataclasses.replace(results[0], trials=trials), *results[1:]]), 200)
    assert re.search(r"^disturbed: other work reached", text, re.MULTILINE)
    assert not re.search(r"^rejection matters: ", text, re.MULTILINE)
    # where every trial was disturbed none is left out
    assert text.count("were disturbed from outside") + text.count("was disturbed from outside") == 1
    assert "1 of 81 trials was disturbed from outside and left out: steal (1)" in text
    assert "left out" not in printed(made_quick_run(), 200)


def test_failures_are_named_with_their_reason() -> None:
    text = printed(made_run(), 200)
    assert "imdb, BiLSTM x2, training, length 512, batch 1: failed: RuntimeError: made to fail" in text
    assert "skipped: made to be skipped (1 case)" in text


def test_a_long_reason_does_not_widen_the_table() -> None:
    run, results = made_run(labels=("nbow", "lstm"))
    worse = (
        "RuntimeError: a sentence that goes on for much longer than any screen is wide, and then some, and some more"
    )
    trials = tuple(Trial(case_id="", round=n, outcome=Outcome.FAILED, reason=worse) for n in (0, 1))
    results = [dataclasses.replace(one, trials=trials) if one.trials else one for one in results]
    league = printed((run, results), 80).partition("imdb: inference")[0]
    row = next(line for line in league.splitlines() if line.startswith("lstm"))
    assert "failed" in row
    assert "85.1 % ±0.9" in row


class Ticks:
    """A clock that shows what it is told."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.drawing_s = 0.0

    def __call__(self) -> float:
        self.now_s += self.drawing_s
        return self.now_s


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LiveScreen, Ticks, list[str]]]:
    ticks, drawn = Ticks(), []
    with LiveScreen(told(made_run()), output(100, terminal=True), now=ticks) as view:
        monkeypatch.setattr(view._live, "update", lambda renderable, refresh: drawn.append(refresh))
        yield view, ticks, drawn


def _at(view: LiveScreen, ticks: Ticks, now_s: float, **more: object) -> None:
    ticks.now_s = now_s
    case = next(c for c in view._folder.run.plan.cases if (c.fit is not None) == (more.get("phase") == "fits"))
    view.progress(Progress(**({"phase": "round 1", "done": 1, "total": 9, "case": case} | more)))  # type: ignore[arg-type]


def test_live_view_is_drawn_only_on_events_and_not_too_often(live: tuple[LiveScreen, Ticks, list[str]]) -> None:
    view, ticks, drawn = live
    _at(view, ticks, 0.0)
    _at(view, ticks, REDRAW_S / 2)
    assert len(drawn) == 1
    _at(view, ticks, REDRAW_S)
    assert len(drawn) == 2
    _at(view, ticks, REDRAW_S + 0.01, phase="fits")
    assert len(drawn) == 3
    _at(view, ticks, REDRAW_S + FIT_REDRAW_S - 0.1, phase="fits", detail="epoch 2")
    assert len(drawn) == 3
    _at(view, ticks, REDRAW_S + FIT_REDRAW_S + 0.1, phase="fits", detail="epoch 3")
    assert len(drawn) == 4
    assert all(drawn)


def test_a_view_that_is_slow_to_draw_is_drawn_less_often(live: tuple[LiveScreen, Ticks, list[str]]) -> None:
    view, ticks, drawn = live
    ticks.drawing_s = 0.1
    _at(view, ticks, 0.0)
    ticks.drawing_s = 0.0
    _at(view, ticks, 0.1 * DRAWING_SHARE)
    assert len(drawn) == 1
    _at(view, ticks, 0.1 * DRAWING_SHARE + 0.3)
    assert len(drawn) == 2


def test_live_view_has_no_thread_and_fits_into_80_columns() -> None:
    folder, console = told(made_run()), output(80, terminal=True)
    before = threading.active_count()
    case = folder.run.plan.cases[3]
    with LiveScreen(folder, console) as view:
        view.progress(Progress(phase="round 2", done=120, total=400, case=case, detail="trial", remaining_s=123.0))
        assert threading.active_count() == before
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())  # type: ignore[attr-defined]
    assert "120 of 400 steps" in text
    assert "at most 2 min 03 s left" in text
    assert "round 2 · imdb, BiLSTM x2, inference, length 64, batch 1 · trial" in text
    assert "throughput" in text
    assert max(len(line) for line in text.replace("\r", "\n").splitlines()) <= 80


def test_plain_output_has_one_line_a_phase_and_a_fit() -> None:
    folder, console = told(made_run()), output(80)
    case = folder.run.plan.cases[-1]
    with PlainScreen(folder, console) as view:
        for done in range(3):
            view.progress(Progress(phase="round 1", done=done, total=9, case=case, remaining_s=61.0))
            view.observed(Trial(case_id=folder.run.plan.cases[0].id, round=1, outcome=Outcome.OK))
        view.observed(
            Trial(case_id=folder.run.plan.cases[0].id, round=1, outcome=Outcome.TIMED_OUT, reason="after 3 s")
        )
        view.progress(Progress(phase="training", done=3, total=9, case=case))
        view.observed(
            Fit(case_id=case.id, seed=1, fold=None, outcome=Outcome.OK, metrics={"accuracy": 0.86}, fit_s=4.0)
        )
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "sentiment: 136 cases on Made Processor 3000, 2 cores",
        "round 1, 0 of 9 steps done, at most 1 min 01 s left",
        "  imdb, nbow, inference, length 64, batch 1: timed out: after 3 s",
        "training, 3 of 9 steps done",
        "  imdb, <script>alert(1)</script>, fit, length 256, seed 1: accuracy 0.860 in 4 s",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "settings", "kind", "colour"),
    [
        (True, {"TERM": "xterm-256color"}, LiveScreen, True),
        (True, {"TERM": "xterm-256color", "NO_COLOR": "1"}, LiveScreen, False),
        (True, {"TERM": "xterm-256color", "CI": "true"}, PlainScreen, False),
        (True, {"TERM": "dumb"}, PlainScreen, False),
        (False, {"TERM": "xterm-256color", "FORCE_COLOR": "1"}, PlainScreen, False),
    ],
)
def test_live_only_where_somebody_watches(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, settings: dict[str, str], kind: type, colour: bool
) -> None:
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TERM", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    made = console()
    assert isinstance(screen.screen(told(made_quick_run()), made), kind)
    made.print("text", style="red")
    assert ("\x1b[31m" in stream.getvalue()) is colour
    if kind is PlainScreen:
        assert "\x1b" not in stream.getvalue()
