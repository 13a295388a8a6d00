"""The studies of the gate on made recordings: what is read, grouped, drawn and counted; and a real recording in small."""

from __future__ import annotations

import itertools
import json
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import scipy.stats

from bench.differences import taken_in_pairs
from bench.errors import NotComparableError, StoreError
from bench.observations import Trial
from bench.records import Machine, Outcome
from bench.verdicts import Reason, Verdict
from benchmarks.gate import accuracy, detections, false_alarms, record, rivals
from benchmarks.gate.recording import (
    BLOCKS_FILE,
    BURNERS,
    IDLE,
    SECTIONS,
    Block,
    Calibrated,
    Recording,
    Setting,
    append,
    groups,
    log_ratios,
    read,
    read_blocks,
    results,
    windows,
    write_setting,
)
from benchmarks.gate.sessions import Slot, drawn, pools, session, size_of, upper_limit
from tests.arms import DISTURBED, trial
from tests.scripted import case

CASE = case("lstm")
SETTING = Setting(
    machine=Machine(name="a machine", hard={"cpu": "a"}, soft={}),
    cases=(Calibrated(case=CASE, call_s=1e-3, iterations=4, work={"0.05": 61}),),
)


def block(
    base: float = 0.0,
    head: float = 0.0,
    number: int = 1,
    *,
    section: str = IDLE,
    evidence: int | None = None,
    **more: object,
) -> Block:
    """A block whose trials take exp(base) and exp(head) ms; the trial at the place `evidence` was disturbed."""
    swapped = bool(more.get("swapped"))
    logs = [head, base, base, head] if swapped else [base, head, head, base]
    trials = tuple(
        trial(log, 0, wall_s=0.5, started="2026", evidence=DISTURBED if place == evidence else {"wall_s": 1.0})
        for place, log in enumerate(logs)
    )
    return Block(case_id=CASE.id, section=section, round=number, trials=trials, **more)  # type: ignore[arg-type]


def noisy(count: int, change: float = 0.0, spread: float = 0.004, *, seed: int = 1, **more: object) -> list[Block]:
    """Blocks whose pairs differ by a change, with some luck."""
    luck = random.Random(seed)
    blocks = []
    for number in range(1, count + 1):
        made = block(0.0, math.log1p(change), number, **more)  # type: ignore[arg-type]
        scaled = tuple(
            replace(one, samples_s=tuple(sample * math.exp(by) for sample in one.samples_s))
            for one in made.trials
            for by in [luck.gauss(0, spread)]
        )
        blocks.append(replace(made, trials=scaled))
    return blocks


def recording(*blocks: Block) -> Recording:
    return Recording(setting=SETTING, blocks=blocks)


# ── on disk ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_block_comes_back_as_it_was_with_four_digits(tmp_path: Path) -> None:
    write_setting(tmp_path, SETTING)
    samples = (1.23456e-3, 1.99999e-3)
    first = block(evidence=2, slowdown=0.05, swapped=True)
    first = replace(
        first, trials=tuple(replace(one, samples_s=samples, steady=False, iterations=4) for one in first.trials)
    )
    append(tmp_path, first)
    append(tmp_path, block(number=2))
    found = read(tmp_path)
    assert found.setting == SETTING
    assert found.case(CASE.id) == CASE
    back = found.blocks[0]
    assert replace(back, trials=()) == replace(first, trials=())
    assert [one.samples_s for one in back.trials] == [(1.235e-3, 2e-3)] * 4
    assert [replace(one, samples_s=samples) for one in back.trials] == list(first.trials)


def test_a_torn_line_is_cut_off_and_the_next_block_stands_on_a_line_of_its_own(tmp_path: Path) -> None:
    append(tmp_path, block())
    path = tmp_path / BLOCKS_FILE
    path.write_bytes(path.read_bytes() + b'{"case_id": "im')
    assert len(read_blocks(tmp_path)) == 1
    append(tmp_path, block(number=2))
    assert [one.round for one in read_blocks(tmp_path)] == [1, 2]


def test_a_damaged_line_is_named_and_no_recording_is_an_error(tmp_path: Path) -> None:
    (tmp_path / BLOCKS_FILE).write_text('{"case_id": 3}\n')
    with pytest.raises(StoreError, match="line 1: is damaged"):
        read_blocks(tmp_path)
    with pytest.raises(StoreError, match="holds no recording"):
        read(tmp_path / "nowhere")


# ── grouping ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("swapped", [False, True])
def test_the_arms_of_a_block_stand_in_pairs(swapped: bool) -> None:
    one = noisy(1, 0.1, swapped=swapped)[0]
    base, head = one.arms()
    # the two first are a pair, and so are the two last
    pairs = [{one.trials.index(taken) for taken in pair} for pair in zip(base, head, strict=True)]
    assert sorted(map(sorted, pairs)) == [[0, 1], [2, 3]]
    assert (one.trials[0] in head) is swapped
    assert log_ratios([one]) == pytest.approx([0.1, 0.1], abs=0.02)


def test_identical_code_may_be_turned_and_slowed_code_may_not() -> None:
    one = block(0.0, 0.1)
    assert log_ratios([one.turned()]) == pytest.approx([-0.1, -0.1])
    with pytest.raises(AssertionError):
        block(slowdown=0.05).turned()


def test_blocks_are_grouped_by_what_may_stand_in_for_each_other() -> None:
    lost = block()
    lost = replace(lost, trials=(replace(lost.trials[0], outcome=Outcome.FAILED, samples_s=()), *lost.trials[1:]))
    made = [block(number=1), block(section=BURNERS), block(slowdown=0.05), lost, block(number=2)]
    found = groups(made)
    assert {key: [one.round for one in blocks] for key, blocks in found.items()} == {
        (CASE.id, IDLE, 0.0): [1, 2],
        (CASE.id, BURNERS, 0.0): [1],
        (CASE.id, IDLE, 0.05): [1],
    }


def test_windows_do_not_overlap_and_leave_the_rest_out() -> None:
    blocks = [block(number=number) for number in range(1, 13)]
    assert [[one.round for one in run] for run in windows(blocks, 5)] == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
    assert windows(blocks[:4], 5) == []


def test_results_are_what_ab_would_have_measured() -> None:
    first = [block(0.0, 0.1), block(0.2, 0.3, evidence=1)]
    base, head = results(CASE, first, [block(0.0, 0.5)])
    found, fresh = taken_in_pairs(base, head), taken_in_pairs(base, head, confirming=True)
    assert found is not None
    assert fresh is not None
    # the disturbed pair has left
    assert (found.p10.count, found.of_all.count, fresh.p10.count) == (3, 4, 2)
    assert (found.p10.mean, fresh.p10.mean) == pytest.approx((0.1, 0.5))
    assert sorted(one.round for one in base.trials) == sorted(one.round for one in head.trials) == [1, 2, 3, 4, 5, 6]


# ── sessions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def slot(first: Sequence[Block], again: Sequence[Block], number: int = 0) -> Slot:
    return Slot(case=replace(CASE, id=f"{CASE.id}#{number}"), first=first, again=again)


def test_a_session_flags_confirms_and_tells_what_it_took() -> None:
    slower, same = noisy(5, 0.08), noisy(5)
    found, still, luck = session(
        [slot(slower, noisy(9, 0.05, seed=2), 0), slot(same, same, 1), slot(slower, noisy(5, 0.0, seed=3), 2)],
        plan=False,
    )
    assert (found.comparison.verdict, found.flagged, found.red) == (Verdict.REGRESSED, True, True)
    assert found.comparison.change == pytest.approx(0.05, abs=0.005)
    assert (found.pairs, found.fresh, found.trials_s) == (10, 10, pytest.approx(40 * 0.5))
    assert (still.comparison.verdict, still.flagged, still.fresh) == (Verdict.UNCHANGED, False, 0)
    assert (luck.comparison.reason, luck.flagged, luck.looked_slower) == (Reason.NOT_CONFIRMED, True, True)
    faster = session([slot(noisy(5, -0.08), noisy(5, -0.08, seed=2))], plan=False)[0]
    assert (faster.comparison.verdict, faster.flagged, faster.looked_slower, faster.red) == (
        Verdict.IMPROVED,
        True,
        False,
        False,
    )


def test_a_planned_session_takes_as_many_pairs_as_the_spread_asks_for() -> None:
    (quiet,) = session([slot(noisy(40), noisy(40))])
    (loud,) = session([slot(noisy(40, spread=0.05), noisy(40))])
    (short,) = session([slot(noisy(7, spread=0.05), noisy(40))])
    assert (quiet.pairs, loud.pairs, short.pairs) == (10, 30, 14)
    # pairs that are disturbed are measured anew, twice as many at most
    disturbed = [block(number=number, evidence=1) for number in range(40)]
    assert session([slot(disturbed, [])])[0].pairs == 20
    half = [*noisy(4), *[block(number=9, evidence=1)] * 4, *noisy(9, seed=2)]
    assert session([slot(half, [])])[0].pairs == 12


def test_drawn_blocks_confirm_with_others_than_were_seen_first() -> None:
    pool = [block(number=number) for number in range(80)]
    found = drawn(CASE, pool, 7, random.Random(1))
    assert found.case.id == f"{CASE.id}#7"
    first, again = ({one.round for one in blocks} for blocks in (found.first, found.again))
    assert (len(first), len(first | again), first & again) == (30, 80, set())
    # fresh pairs come in reversed order
    assert all(one.swapped for one in found.again)
    assert not any(one.swapped for one in found.first)
    slowed = drawn(CASE, [block(slowdown=0.05)] * 20, 0, random.Random(1))
    assert (len(slowed.first), len(slowed.again)) == (10, 10)
    assert not any(one.swapped for one in slowed.again)


@pytest.mark.parametrize(("found", "of"), [(0, 300), (1, 300), (7, 20), (20, 20), (0, 0)])
def test_the_upper_limit_is_clopper_and_pearsons(found: int, of: int) -> None:
    if of == found:
        assert upper_limit(found, of) == 1.0
        return
    expected = scipy.stats.binomtest(found, of).proportion_ci(0.90, method="exact").high
    assert upper_limit(found, of) == pytest.approx(expected)
    if not found:
        assert upper_limit(found, of) == pytest.approx(3 / of, rel=0.01)


# ── false alarms ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_independent_comparisons_are_counted_once_each_and_confirmed_by_their_neighbours() -> None:
    # blocks 6 to 10 look slower, and those after them do not
    odd = noisy(5, 0.08, seed=2)
    blocks = [*noisy(5), *odd, *noisy(8, seed=3), *noisy(4, seed=4, section=BURNERS), *noisy(20, 0.2, slowdown=0.2)]
    found = list(false_alarms.independent(recording(*blocks), IDLE))
    count = false_alarms.Count.over(found)
    assert (count.of, count.slower, count.faster, count.red, count.green) == (3, 1, 0, 0, 0)
    assert [one.flagged for one in found] == [False, True, False]
    assert list(false_alarms.independent(recording(*blocks), BURNERS)) == []


def test_a_false_alarm_that_is_confirmed_is_counted_as_red_and_its_mirror_as_green() -> None:
    blocks = [*noisy(5, 0.08), *noisy(5, -0.08)]  # fresh pairs are turned, so that these say the same again
    count = false_alarms.Count.over(false_alarms.independent(recording(*blocks), IDLE))
    assert (count.of, count.slower, count.faster, count.red, count.green) == (2, 1, 1, 1, 1)
    assert "flagged slower 1 (<= 97.47%)" in count.line()


def test_resampled_comparisons_and_sessions_are_as_many_as_asked_and_alike_every_time() -> None:
    whole = recording(*noisy(40), *noisy(20, seed=2, section=BURNERS))
    for section in SECTIONS:
        twice = [list(false_alarms.resampled(whole, section, 6, 1)) for _ in range(2)]
        assert twice[0] == twice[1]
        assert len(twice[0]) == 6
        assert not any(one.red for one in twice[0])
    found = list(false_alarms.sessions(whole, 2, 1))
    assert [len(judged) for judged in found] == [20, 20]
    assert not any(one.red for judged in found for one in judged)
    assert list(false_alarms.sessions(recording(*noisy(9)), 2, 1)) == []


# ── detections ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_slowed_case_among_twenty_is_found_and_told() -> None:
    same = recording(*noisy(40))
    slowed = recording(*noisy(24, 0.10, seed=2, slowdown=0.1), *noisy(24, 0.01, seed=3, slowdown=0.01))
    large = list(detections.sessions(same, slowed, IDLE, 0.1, 4, 1))
    small = list(detections.sessions(same, slowed, IDLE, 0.01, 4, 1))
    assert [(one.judged.red, one.false) for one in large] == [(True, 0)] * 4
    assert [one.judged.red for one in small] == [False] * 4
    told = detections.line(IDLE, 0.1, slowed, large)
    assert "100.0% (51.0% to 100.0%)" in told
    assert "10.0 + 10.0" in told
    assert "10%" in told
    assert list(detections.sessions(same, slowed, BURNERS, 0.1, 4, 1)) == []


def test_identical_code_is_slowed_by_arithmetic_where_no_other_was_recorded() -> None:
    same = recording(*noisy(24))
    slowed = detections.made(same)
    assert {block.slowdown for block in slowed.blocks} == set(detections.MADE)
    for slowdown in detections.MADE:
        ((_, pool),) = pools(slowed, IDLE, slowdown)
        assert len(pool) == 24
    ratios = log_ratios(block for block in slowed.blocks if block.slowdown == 0.05)
    assert ratios == pytest.approx([ratio + math.log(1.05) for ratio in log_ratios(same.blocks)])


@pytest.mark.parametrize("swapped", [False, True])
def test_work_that_was_calibrated_badly_is_moved_to_its_size_and_its_spread_stays(swapped: bool) -> None:
    blocks = noisy(24, 0.13, seed=4, slowdown=0.1, swapped=swapped)
    ((name, moved),) = pools(recording(*blocks), IDLE, 0.1)
    assert name == CASE.id
    assert math.expm1(size_of(moved)) == pytest.approx(0.10)
    by = math.log(1.10) - size_of(blocks)
    assert log_ratios(moved) == pytest.approx([ratio + by for ratio in log_ratios(blocks)])
    assert pools(recording(*blocks), IDLE) == []


# ── rivals ─────────────────────────────────────────────────────────────────────────────────────────────────────────

SAMPLES = np.random.default_rng(1).normal(1.0, 0.02, size=(10, 2, 30))


def pairs_of(samples: np.ndarray) -> list[tuple[Trial, Trial]]:
    return [tuple(trial(0.0, 1, samples_s=tuple(values)) for values in pair) for pair in samples]  # type: ignore[misc]


def test_pytest_benchmarks_rule() -> None:
    samples = np.ones((3, 2, 30))
    samples[0, 1] *= 1.049
    samples[1, 1] *= 1.051
    samples[2, 1, 0] = 4.0  # one slow round lifts the mean by ten per cent, and not the median
    assert rivals.pytest_benchmark(pairs_of(samples), fmean) == [False, True, True]
    assert rivals.RULES["pytest-benchmark median:5%"](pairs_of(samples)) == [False, True, False]


def test_pyperfs_rule_is_students_test_over_all_values() -> None:
    for factor in (1.0, 1.005, 1.01, 0.9):
        samples = SAMPLES * np.array([1.0, factor])[:, None]
        expected = []
        for half in (samples[:5], samples[5:]):
            base, head = (half[:, arm].reshape(5, 3, 10).mean(axis=2).ravel() for arm in (0, 1))
            expected.append(bool(scipy.stats.ttest_ind(head, base, alternative="greater").pvalue <= 0.025))
        assert rivals.pyperf(pairs_of(samples)) == expected


def test_asvs_rule_wants_medians_apart_and_a_small_p() -> None:
    for factor, expected in ((1.09, False), (1.12, True), (0.8, False)):
        assert rivals.asv(pairs_of(SAMPLES * np.array([1.0, factor])[:, None])) == [expected] * 5
    # medians apart, but nothing that a test would call different
    wide = np.random.default_rng(3).lognormal(0.0, 1.0, size=(2, 2, 5))
    wide[:, 1] *= 1.12
    assert rivals.asv(pairs_of(wide)) == [False]
    base, head = SAMPLES[0, 0], SAMPLES[0, 1]
    expected = scipy.stats.mannwhitneyu(base, head, method="asymptotic", use_continuity=False).pvalue
    assert rivals._mann_whitney(base, head) == pytest.approx(expected)
    assert rivals._mann_whitney(base, base) == 1.0


def test_benchmatrixs_rule_wants_the_whole_interval_beyond_its_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "RESAMPLES", 2000)
    for factor, expected in ((1.0, False), (1.04, False), (1.1, True), (0.9, False)):
        assert rivals.benchmatrix(pairs_of(SAMPLES * np.array([1.0, factor])[:, None]), 20) == [expected]
    wild = SAMPLES.copy()
    wild[:, 1] *= np.linspace(0.9, 1.25, 10)[:, None]  # 7.5 per cent in the middle, and anything around it
    assert rivals.benchmatrix(pairs_of(wild), 1) == [False]


def test_the_interval_of_benchmatrix_is_scipys_bca_where_there_is_one_stratum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "RESAMPLES", 20_000)
    luck = np.random.default_rng(5)
    values = luck.lognormal(0, 0.1, size=(15, 2))
    expected = scipy.stats.bootstrap(
        (values[:, 0], values[:, 1]),
        lambda base, head, axis: (1 - np.median(head, axis=axis) / np.median(base, axis=axis)) * 100,
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="BCa",
        rng=np.random.default_rng(6),
    ).confidence_interval
    assert rivals._bca([values], 0.95) == pytest.approx((expected.low, expected.high), abs=1.0)


def test_rivals_are_counted_side_by_side(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(rivals, "RESAMPLES", 1000)
    same, slowed = recording(*noisy(12)), recording(*noisy(12, 0.2, seed=2, slowdown=0.2))
    quiet = rivals.tally(same, rivals._consecutive(same, IDLE))
    assert {name: one.of for name, one in quiet.items()} == {
        "pytest-benchmark mean:5%": 20,
        "pytest-benchmark median:5%": 20,
        "pyperf t test": 4,
        "asv continuous": 10,
        "benchmatrix, 20 cells": 2,
        "benchmatrix, alone": 2,
        rivals.FLAGGED: 2,
        rivals.CONFIRMED: 2,
    }
    assert quiet[rivals.FLAGGED].slower == 0
    loud = rivals.tally(slowed, rivals._drawn(slowed, IDLE, 0.2, 3, random.Random(1)))
    assert all(one.slower == one.of for one in loud.values())
    rivals.tell(IDLE, {"same": quiet, "+20%": loud})
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 9
    assert told[-1].split() == ["ours,", "confirmed", "0", "of", "2", "(<=", "77.64%)", "100%"]
    rivals.tell(BURNERS, {"same": rivals.tally(same, rivals._consecutive(same, BURNERS))})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("swapped", [False, True])
def test_pairs_are_handed_over_with_the_one_first_in_which_base_came_first(swapped: bool) -> None:
    one = noisy(1, 0.1, swapped=swapped)[0]
    (first, _), (second, _) = rivals.in_order(one)
    assert one.trials.index(first) == (2 if swapped else 0)
    assert one.trials.index(second) == (1 if swapped else 3)


# ── recording ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sections_and_slowdowns_take_turns() -> None:
    assert [record.section_of(number, SECTIONS) for number in (1, 10, 11, 20, 21)] == [
        IDLE,
        IDLE,
        BURNERS,
        BURNERS,
        IDLE,
    ]
    assert record.section_of(15, (IDLE,)) == IDLE
    assert [record.turn_of(number, (0.0,)) for number in (1, 2)] == [(0.0, False)] * 2
    turns = [record.turn_of(number, (0.04, 0.05)) for number in range(1, 6)]
    assert turns == [(0.04, False), (0.05, False), (0.04, True), (0.05, True), (0.04, False)]


def test_work_is_on_the_line_through_what_was_measured() -> None:
    # an overhead of a hundredth, and a hundredth for every hundred rows
    assert record.rows_for([(400, 0.05), (1600, 0.17)], (0.04, 0.05, 0.1, 0.005)) == {
        "0.04": 300,
        "0.05": 400,
        "0.1": 900,
        "0.005": 1,
    }


@pytest.mark.parametrize("seen", [(0.05, 0.06), (0.05, -0.01), (-0.02, 0.2)])
def test_luck_that_is_larger_than_the_work_calibrates_nothing(seen: tuple[float, float]) -> None:
    assert record.rows_for(list(zip((400, 1600), seen, strict=True)), (0.05,)) == {}


def test_cases_differ_and_extra_work_changes_nothing_but_the_work() -> None:
    plain, slowed = record.cases(slowed=False), record.cases(slowed=True)
    assert [one.id for one in plain] == [one.id for one in slowed]
    assert len({one.id for one in plain}) == len(record.SHAPES)
    worked = record.with_work(slowed[0], 7)
    assert worked.variant.hyperparameters == {"inner": "lstm", "work": 7}
    assert replace(worked, variant=slowed[0].variant) == slowed[0]


def test_a_recording_goes_on_on_the_same_machine_with_the_same_slowdowns_alone(tmp_path: Path) -> None:
    with pytest.raises(NotComparableError, match="slowdowns"):
        record._same(tmp_path, SETTING, (0.0,))
    with pytest.raises(NotComparableError, match="another machine"):
        record._same(tmp_path, SETTING, (0.05,))


pytestmark_real = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")


@pytest.mark.long
@pytestmark_real
def test_a_real_recording_can_be_stopped_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shapes = (("mlp", "inference", None, 64, 0), ("nbow", "inference", 64, 8, 0))
    monkeypatch.setattr(record, "SHAPES", shapes)
    monkeypatch.setattr(record, "TRIAL_S", 0.03)
    monkeypatch.setattr(record, "ROUNDS_IN_SECTION", 1)
    record.record(tmp_path, 3, (0.0,), burners=True)
    before = (tmp_path / BLOCKS_FILE).read_bytes()
    record.record(tmp_path, 4, (0.0,), burners=True)
    assert (tmp_path / BLOCKS_FILE).read_bytes().startswith(before)
    found = read(tmp_path)
    assert [(one.round, one.section) for one in found.blocks] == [(1, IDLE), (1, IDLE), (2, BURNERS), (2, BURNERS)]
    assert len({(one.round, one.case_id) for one in found.blocks}) == 4
    for one in itertools.chain.from_iterable(block.trials for block in found.blocks):
        assert one.outcome is Outcome.OK
        assert len(one.samples_s) == record.SAMPLES
        assert {"wall_s", "cpu_s", "involuntary_switches"} <= set(one.evidence)
    assert "4 blocks are recorded" in capsys.readouterr().out
    assert json.loads((tmp_path / "recording.json").read_text())["machine"]["hard"]


@pytest.mark.long
@pytestmark_real
def test_extra_work_slows_a_real_model_by_about_as_much_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "SHAPES", (("mlp", "inference", None, 256, 512),))
    monkeypatch.setattr(record, "TRIAL_S", 0.05)
    monkeypatch.setattr(record, "CALIBRATION_BLOCKS", 2)
    record.record(tmp_path, 2, (0.5,), burners=False)
    found = read(tmp_path)
    assert 0.2 < math.expm1(fmean(log_ratios(found.blocks))) < 0.9
    assert [one.swapped for one in found.blocks] == [False, True]


# ── accuracy ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.long
def test_a_broken_padding_mask_is_found_and_mending_it_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    accuracy.write_texts(tmp_path / "texts.csv")
    seeds = itertools.count()
    sound, broken = (accuracy.result(tmp_path, seeds, blind=blind) for blind in (False, True))
    assert accuracy.judged(sound, broken).verdict is Verdict.REGRESSED
    assert accuracy.judged(broken, sound).verdict is Verdict.IMPROVED
    assert accuracy.judged(sound, accuracy.result(tmp_path, seeds)).verdict is not Verdict.REGRESSED
