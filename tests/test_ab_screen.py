"""What `bench ab` shows while it measures."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.ab import Told
from bench.cli.ab_screen import LiveScreen, PlainScreen
from bench.lanes import Arm
from bench.observations import Preflight, Trial
from bench.progress import Progress
from bench.records import Outcome
from bench.store import RunFolder
from tests.arms import around, pair
from tests.scripted import case, run_of

TITLE = "ci: HEAD (1a2b3c4d) against main (5e6f7a8b)"


def folders() -> dict[Arm, RunFolder]:
    """One case measured ten times in both arms, 5 % apart, and one that was not yet."""
    run = run_of(case("lstm"), case("gru"))
    base, head = pair(around(0.05))
    trials = {Arm.BASE: base.trials, Arm.HEAD: head.trials}
    return {arm: RunFolder(path=Path(arm), run=run, observations=list(trials.get(arm, ()))) for arm in Arm}


def output(width: int = 100) -> Console:
    return Console(file=io.StringIO(), width=width, height=40, color_system=None)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


PROGRESS = Progress(phase="round 6", done=40, total=60, case=case("gru"), detail="control", remaining_s=75.0)


@pytest.mark.parametrize("width", [60, 100, 200])
def test_the_view_tells_how_far_it_is_and_how_far_apart_the_arms_are(width: int) -> None:
    console = output(width)
    console.print(LiveScreen(TITLE, folders(), console).view(PROGRESS))
    lines = printed(console).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("ci: HEAD (1a2b3c4d) against main")
    text = " ".join(" ".join(lines).split())
    for said in ("66 %", "40 of 60 steps", "about 1 min 15 s left", "round 6 · imdb, gru", "10 +5.0 %"):
        assert said in text
    assert text.count("imdb, lstm, inference") == 1


def test_a_view_is_drawn_again_only_after_a_while_or_in_a_new_phase() -> None:
    seconds = [0.0]
    view = LiveScreen(TITLE, folders(), output(), now=lambda: seconds[0])
    drawn = []
    view._live.update = lambda *_, **__: drawn.append(seconds[0])  # type: ignore[method-assign]
    for phase, moment in (("a", 0.0), ("a", 0.1), ("b", 0.2), ("b", 0.6), ("b", 0.8)):
        seconds[0] = moment
        view.progress(replace(PROGRESS, phase=phase))
    assert drawn == [0.0, 0.2, 0.8]


def test_plain_lines_tell_each_phase_once_and_what_failed_in_which_arm() -> None:
    console = output()
    with PlainScreen(TITLE, folders(), console) as view:
        for phase in ("round 6", "round 6", "round 7"):
            view.progress(replace(PROGRESS, phase=phase))
        trial = Trial(case_id=case("gru").id, round=1, outcome=Outcome.FAILED, reason="I will not")
        view.observed(Told(arm=Arm.HEAD, observation=trial))
        view.observed(Told(arm=Arm.BASE, observation=replace(trial, outcome=Outcome.OK)))
        check = Preflight(task_key="imdb", variant_id="x", outcome=Outcome.TIMED_OUT, reason="no answer")
        view.observed(Told(arm=Arm.BASE, observation=check))
    assert printed(console).splitlines() == [
        f"{TITLE}, 2 cases on a machine",
        "round 6, 40 of 60 steps done, about 1 min 15 s left",
        "round 7, 40 of 60 steps done, about 1 min 15 s left",
        "  head: imdb, gru, inference, length 64, batch 8: failed: I will not",
        "  base: pre-flight: timed out: no answer",
    ]
