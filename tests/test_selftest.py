"""The rule on scripted ratios, the order of jobs on a scripted server, and the command, also interrupted."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count, islice

import pytest

import bench.selftest
from bench import worker
from bench.cli import main
from bench.errors import ExitCode, WorkerError
from bench.jobs import Job, JobKind
from bench.observations import Observation
from bench.records import Outcome
from bench.selftest import CASE, SLOWDOWNS, Pair, is_slower, rates, selftest
from bench.stats import wilson
from tests.scripted import ScriptedServer, trial, usual

NOISE = (0.004, -0.006, 0.001, 0.006, -0.004, -0.001)


def around(change: float, scale: float = 1.0) -> list[float]:
    """Log ratios that scatter about a change."""
    return [math.log1p(change) + scale * noise for noise in NOISE]


# ── the rule ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ratios", "slower"),
    [
        (around(0.0), False),
        (around(0.05), True),
        (around(0.10), True),
        (around(-0.10), False),
        # beyond doubt more than 1 %, but not by 3 %
        (around(0.02), False),
        # beyond doubt slower, but not beyond doubt by more than 1 %
        (around(0.035, scale=5.5), False),
        (around(0.035, scale=4.0), True),
        # by 5 %, but in doubt
        (around(0.05, scale=20), False),
        # one pair in which the second arm was hit hard
        ([*around(0.0)[1:], math.log(1.5)], False),
        # one in which the first arm was
        ([*around(0.05)[1:], -math.log(1.5)], True),
        ([0.0] * 6, False),
        ([math.log(1.04)] * 6, True),
    ],
)
def test_what_is_called_slower(ratios: list[float], slower: bool) -> None:
    assert is_slower(ratios) is slower


def made(comparison: int, slowdown: float, ratios: Sequence[float]) -> list[Pair]:
    return [Pair(comparison=comparison, slowdown=slowdown, log_ratio=ratio, call_s=1e-3) for ratio in ratios]


def test_rates_count_whole_comparisons_of_each_slowdown() -> None:
    taken = [*made(0, 0.0, around(0.0)), *made(1, 0.05, around(0.05)), *made(2, 0.10, around(0.11))]
    taken += [*made(3, 0.0, around(0.08)), *made(4, 0.05, around(0.0)[:4])]
    same, five, ten = rates(taken, 6)
    assert (same.slowdown, same.flagged, same.comparisons) == (0.0, 1, 2)
    assert (same.low, same.high) == pytest.approx(wilson(1, 2))
    assert (five.slowdown, five.flagged, five.comparisons) == (0.05, 1, 1)
    assert five.change == pytest.approx(0.05)
    assert ten.change == pytest.approx(0.11)


def test_nothing_finished_is_unknown_and_not_zero() -> None:
    for rate in rates(made(0, 0.0, around(0.0)[:5]), 6):
        assert (rate.comparisons, rate.low, rate.high, rate.change) == (0, None, None, None)


# ── the order of jobs ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Drifting(ScriptedServer):
    """Every trial takes a little longer than the one before, and a slowed one as much longer as it was asked."""

    drift: float = 0.001
    trials: int = 0

    def run(self, job: Job) -> Iterator[Observation | str]:
        if job.kind is not JobKind.TRIAL:
            yield from super().run(job)
            return
        self.jobs.append(job)
        seconds = 0.001 * math.exp(self.drift * self.trials) + job.slowdown_s
        self.trials += 1
        yield "a word of news"
        yield trial(job, seconds)


def test_blocks_are_abba_each_from_a_fresh_server() -> None:
    server = Drifting()
    taken = list(selftest(2, 4, server))
    pilot, *trials = server.jobs
    assert pilot.kind is JobKind.PILOT
    # 2 comparisons x 3 slowdowns x 2 blocks, and one server for the pilot
    assert (server.started, server.running, len(trials)) == (13, 0, 48)
    blocks = [trials[at : at + 4] for at in range(0, 48, 4)]
    for number, block in enumerate(blocks):
        slow_s = SLOWDOWNS[number // 2 % 3] * 0.001  # the pilot's call takes a millisecond
        assert [job.slowdown_s for job in block] == pytest.approx([0.0, slow_s, slow_s, 0.0])
        assert len({(job.seed, job.iterations, job.samples) for job in block}) == 1
    assert len({block[0].seed for block in blocks}) == 12
    assert {job.samples for job in trials} == {30}
    assert {job.iterations for job in trials} == {4}
    assert [(pair.comparison, pair.slowdown) for pair in taken[::4]] == list(enumerate(SLOWDOWNS * 2))


def test_drift_cancels_within_a_block_and_the_slowdown_stays() -> None:
    taken = list(selftest(1, 2, Drifting()))
    assert [pair.log_ratio for pair in taken[:2]] == pytest.approx([0.001, -0.001])
    same, five, ten = (rate.change for rate in rates(taken, 2))
    assert same == pytest.approx(0.0, abs=1e-9)
    assert (five, ten) == pytest.approx((0.05, 0.10), abs=2e-3)


def test_stopping_ends_the_server_and_keeps_what_was_seen() -> None:
    server = ScriptedServer()
    with closing(selftest(1, 4, server)) as events:
        taken = list(islice(events, 3))
    assert len(taken) == 3
    assert server.running == 0


def test_an_interrupt_in_the_middle_of_a_trial_ends_the_server() -> None:
    def answer(job: Job) -> None:
        if len(server.jobs) == 4:
            raise KeyboardInterrupt

    server = ScriptedServer(answer=answer)
    with pytest.raises(KeyboardInterrupt):
        list(selftest(1, 2, server))
    assert server.running == 0


@pytest.mark.parametrize("kind", [JobKind.PILOT, JobKind.TRIAL])
def test_what_does_not_end_well_is_an_error(kind: JobKind) -> None:
    def answer(job: Job) -> Sequence[Observation | str]:
        return [job.ended(Outcome.TIMED_OUT, "no answer")] if job.kind is kind else usual(job)

    with pytest.raises(WorkerError, match=f"a {kind} ended as timed_out: no answer"):
        list(selftest(1, 2, ScriptedServer(answer=answer)))


def test_pairs_that_make_no_blocks_are_an_error() -> None:
    with pytest.raises(ValueError, match="blocks of 2, found 3"):
        next(selftest(1, 3, ScriptedServer()))


# ── the slowdown ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_slowed_call_waits_as_long_as_asked_and_gives_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count(1_000, 10)
    read: list[int] = []

    def now() -> int:
        read.append(next(ticks))
        return read[-1]

    monkeypatch.setattr(worker.time, "perf_counter_ns", now)
    assert worker.slowed(lambda: "result", 45e-9)() == "result"
    # from the end of the call to the first reading at or after 45 ns
    assert read[-1] - read[0] == 50


def test_only_a_trial_that_is_asked_to_is_slowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    slowed = worker.slowed
    monkeypatch.setattr(worker, "slowed", lambda call, seconds: asked.append(seconds) or slowed(call, seconds))
    measure = bench.selftest.MEASURE
    for slowdown_s in (0.0, 2e-3):
        job = Job(kind=JobKind.TRIAL, case=CASE, measure=measure, iterations=1, samples=5, slowdown_s=slowdown_s)
        found = worker._trial(job, 0.0)
        assert (min(found.samples_s) >= 2e-3) or not slowdown_s
    assert asked == [2e-3]


# ── the command ────────────────────────────────────────────────────────────────────────────────────────────────────


def leave(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return int(exit_info.value.code or 0)


def follow(monkeypatch: pytest.MonkeyPatch, *, interrupt_after: int | None = None) -> None:
    """Let the command measure on a scripted server, and be interrupted after some pairs."""

    def scripted(comparisons: int, pairs: int) -> Iterator[Pair]:
        yield from islice(selftest(comparisons, pairs, Drifting()), interrupt_after)
        if interrupt_after is not None:
            raise KeyboardInterrupt

    monkeypatch.setattr(bench.selftest, "selftest", scripted)
    monkeypatch.setenv("COLUMNS", "100")


def test_the_command_tells_what_was_called_slower(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    follow(monkeypatch)
    assert leave("doctor", "--selftest", "--comparisons", "2", "--pairs", "4") == ExitCode.OK
    out, err = capsys.readouterr()
    lines = [line.split("  ") for line in out.splitlines()]
    counts = [next(part.strip() for part in line[1:] if part) for line in lines if " of 2" in "  ".join(line)]
    assert counts == ["0 of 2", "2 of 2", "2 of 2"]
    assert "comparison 6 of 6" in err


def test_ctrl_c_keeps_what_was_seen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    follow(monkeypatch, interrupt_after=10)
    assert leave("doctor", "--selftest", "--pairs", "4", "--format", "json") == ExitCode.INTERRUPTED
    document = json.loads(capsys.readouterr().out)
    assert document["interrupted"] is True
    assert [rate["comparisons"] for rate in document["rates"]] == [1, 1, 0]


def test_ctrl_c_before_the_first_pair_has_nothing_to_tell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    follow(monkeypatch, interrupt_after=0)
    assert leave("doctor", "--selftest") == ExitCode.INTERRUPTED
    assert capsys.readouterr().out.count("none finished") == 3


@pytest.mark.slow
def test_a_real_selftest_is_stopped_by_ctrl_c_and_leaves_nothing_running() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "doctor", "--selftest", "--pairs", "2", "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell starts what runs in the background with this signal ignored, and processes inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    while "comparison 4 of" not in process.stderr.readline():
        assert process.poll() is None
    children = subprocess.run(["ps", "--ppid", str(process.pid), "-o", "pid="], capture_output=True, text=True)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == ExitCode.INTERRUPTED, err
    document = json.loads(out)
    same, five, ten = document["rates"]
    assert [rate["comparisons"] for rate in (five, ten)] == [1, 1]
    assert None not in (same["change"], five["change"], ten["change"])
    for child in children.stdout.split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(child), 0)
