"""Every verdict on times, and what leads to it, on scripted trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.compare_times import EFFECT, LEVEL, POWER, TIME_THRESHOLD, Design, compare_times, control, planned_pairs
from bench.differences import PAIRS_MARGIN, taken_in_pairs
from bench.observations import CaseResult
from bench.records import Gate, GateRule
from bench.stats import Difference, holm, smallest_seen
from bench.verdicts import TIME, Comparison, Reason, Verdict
from tests.arms import NOISE, arm, around, fitted, pair

AB = Design(paired=True, confirms=True)
CHECK = Design(paired=False, confirms=False)
WIDE = [20 * noise for noise in NOISE]


def judged(arms: tuple[CaseResult, ...], design: Design = AB, *rules: GateRule) -> Comparison:
    base, head = arms
    (found,) = compare_times([(base, head)], Gate(rules=rules), design)
    assert (found.case_id, found.metric) == (head.case.id, TIME)
    return found


def ends_in(comparison: Comparison) -> tuple[Verdict, Reason]:
    return comparison.verdict, comparison.reason


# ── in pairs ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("first", "again", "verdict", "reason"),
    [
        (around(0.0), (), Verdict.UNCHANGED, Reason.WITHIN_THRESHOLD),
        # beyond doubt 2 % slower or faster, which does not count in practice
        (around(0.02), (), Verdict.UNCHANGED, Reason.WITHIN_THRESHOLD),
        (around(-0.02), (), Verdict.UNCHANGED, Reason.WITHIN_THRESHOLD),
        (around(0.029), (), Verdict.INCONCLUSIVE, Reason.WIDE_INTERVAL),
        (WIDE, (), Verdict.INCONCLUSIVE, Reason.WIDE_INTERVAL),
        # beyond the threshold by the look of it, but in doubt
        ([0.06 + value for value in WIDE], (), Verdict.INCONCLUSIVE, Reason.WIDE_INTERVAL),
        (around(0.05), (), Verdict.INCONCLUSIVE, Reason.NOT_CONFIRMED),
        (around(0.05), around(0.05), Verdict.REGRESSED, Reason.CONFIRMED),
        # found again beyond doubt above the margin: there is no second threshold
        (around(0.05), around(0.02), Verdict.REGRESSED, Reason.CONFIRMED),
        (around(0.05), around(0.01), Verdict.INCONCLUSIVE, Reason.NOT_CONFIRMED),
        (around(0.05), around(-0.05), Verdict.INCONCLUSIVE, Reason.NOT_CONFIRMED),
        (around(-0.05), (), Verdict.INCONCLUSIVE, Reason.NOT_CONFIRMED),
        (around(-0.05), around(-0.05), Verdict.IMPROVED, Reason.CONFIRMED),
        (around(-0.05), around(0.05), Verdict.INCONCLUSIVE, Reason.NOT_CONFIRMED),
    ],
)
def test_what_pairs_end_in(first: Sequence[float], again: Sequence[float], verdict: Verdict, reason: Reason) -> None:
    assert ends_in(judged(pair(first, again=again))) == (verdict, reason)


def test_the_change_shown_is_that_of_the_fresh_pairs_alone() -> None:
    first = judged(pair(around(0.08)))
    assert first.change == pytest.approx(0.08)
    for again in (0.05, 0.001):
        fresh = judged(pair(around(0.08), again=around(again)))
        assert fresh.change == pytest.approx(again)
        assert fresh.low is not None
        assert fresh.high is not None
        assert fresh.low < again < fresh.high
        assert fresh.p == first.p
    assert first.base == pytest.approx(1.02e-3)
    assert first.head == pytest.approx(1.02e-3 * 1.08, rel=0.01)
    assert first.count == 10


def test_without_confirmation_what_is_flagged_is_judged_at_once() -> None:
    assert ends_in(judged(pair(around(0.05)), replace(AB, confirms=False))) == (Verdict.REGRESSED, Reason.BEYOND_DRIFT)


def test_p10_and_median_that_point_in_opposite_directions_decide_nothing() -> None:
    base = arm([0.0] * 10, medians=[0.5] * 10)
    head = arm(around(0.05), medians=[0.45] * 10)
    found = judged((base, head))
    assert ends_in(found) == (Verdict.INCONCLUSIVE, Reason.MEDIAN_DISAGREES)
    assert found.p90 == pytest.approx(math.expm1(-0.05))
    # where nothing was flagged, the signs of two small numbers mean nothing
    assert judged((base, arm(around(0.0), medians=[0.499] * 10))).verdict is Verdict.UNCHANGED


def test_rejection_that_moves_the_answer_decides_nothing() -> None:
    half = {1, 2, 3, 4, 5}
    slower = [0.0] * 5 + [0.05, 0.051, 0.049, 0.05, 0.05]
    assert ends_in(judged(pair(slower, disturbed=half))) == (Verdict.INCONCLUSIVE, Reason.REJECTION_MATTERS)
    same = [0.08] * 5 + [0.0, 0.001, -0.001, 0.0, 0.0]
    assert ends_in(judged(pair(same, disturbed=half))) == (Verdict.INCONCLUSIVE, Reason.REJECTION_MATTERS)
    # disturbed trials that say the same change nothing
    alike = [0.052] * 5 + [0.05, 0.051, 0.049, 0.05, 0.05]
    assert judged(pair(alike, disturbed=half)).reason is Reason.NOT_CONFIRMED


def test_a_failed_control_takes_what_is_slower_but_not_what_is_faster() -> None:
    design = replace(AB, control_failed=True)
    assert ends_in(judged(pair(around(0.2), again=around(0.2)), design)) == (
        Verdict.INCONCLUSIVE,
        Reason.CONTROL_FAILED,
    )
    assert judged(pair(around(-0.2), again=around(-0.2)), design).verdict is Verdict.IMPROVED
    assert judged(pair(around(0.0)), design).verdict is Verdict.UNCHANGED


def test_one_pair_is_too_few() -> None:
    found = judged(pair([0.5]))
    assert ends_in(found) == (Verdict.INCONCLUSIVE, Reason.FEW_TRIALS)
    assert (found.count, found.change, found.smallest) == (1, None, None)


def test_cases_that_are_trained_have_no_time_to_judge() -> None:
    assert list(compare_times([(fitted({0: 0.8}), fitted({0: 0.8}))], Gate(), AB)) == []


# ── several together ───────────────────────────────────────────────────────────────────────────────────────────────


def test_p_values_are_adjusted_for_all_cases_that_are_judged_together() -> None:
    logs = {f"case{number}": around(0.011 + 0.002 * number, scale=2) for number in range(5)}
    arms = [pair(values, name) for name, values in logs.items()]
    together = list(compare_times([(base, head) for base, head in arms], Gate(), AB))
    alone = [judged(one).p for one in arms]
    assert [one.p for one in together] == pytest.approx(holm([p for p in alone if p is not None]))
    assert together[-1].p == pytest.approx(5 * (alone[-1] or 0.0))


def test_what_is_flagged_alone_may_be_luck_among_many() -> None:
    doubtful = pair(around(0.035, scale=5.5), "doubtful")
    assert judged(doubtful).reason is Reason.NOT_CONFIRMED
    others = [pair(around(0.0), f"case{number}") for number in range(19)]
    among = list(compare_times([(base, head) for base, head in [doubtful, *others]], Gate(), AB))
    assert ends_in(among[0]) == (Verdict.INCONCLUSIVE, Reason.WIDE_INTERVAL)
    assert among[0].smallest is not None
    assert among[0].smallest > (judged(doubtful).smallest or 0.0)


def test_confirmation_is_adjusted_for_the_flagged_cases_alone() -> None:
    # found again at p = .04: enough for one, too little for one of two
    again = around(0.022, scale=3.9)
    barely = pair(around(0.10), "barely", again=again)
    p = Difference.p_above(_again(barely), PAIRS_MARGIN)
    assert LEVEL / 2 < p < LEVEL
    assert judged(barely).verdict is Verdict.REGRESSED
    unflagged = [pair(around(0.0), f"case{number}") for number in range(5)]
    alone, *_ = compare_times([(base, head) for base, head in [barely, *unflagged]], Gate(), AB)
    assert alone.verdict is Verdict.REGRESSED
    lost = pair(around(-0.10), "lost", again=around(0.0))
    first, second = compare_times([(base, head) for base, head in [barely, lost]], Gate(), AB)
    assert (first.reason, second.reason) == (Reason.NOT_CONFIRMED, Reason.NOT_CONFIRMED)


def _again(arms: tuple[CaseResult, ...]) -> Difference:
    found = taken_in_pairs(*arms, confirming=True)
    assert found is not None
    return found.p10


# ── a stored run ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        (0.0, Verdict.UNCHANGED, Reason.WITHIN_THRESHOLD),
        (0.07, Verdict.UNCHANGED, Reason.WITHIN_THRESHOLD),
        (0.10, Verdict.INCONCLUSIVE, Reason.WIDE_INTERVAL),
        (0.12, Verdict.REGRESSED, Reason.BEYOND_DRIFT),
        (-0.12, Verdict.IMPROVED, Reason.BEYOND_DRIFT),
    ],
)
def test_a_stored_run_must_be_exceeded_by_more_than_machines_drift(
    change: float, verdict: Verdict, reason: Reason
) -> None:
    assert ends_in(judged((arm(NOISE), arm(around(change))), CHECK)) == (verdict, reason)


def test_a_check_that_confirms_takes_the_fresh_trials() -> None:
    arms = arm(NOISE), arm(around(0.3), again=around(0.2))
    found = judged(arms, replace(CHECK, confirms=True))
    assert ends_in(found) == (Verdict.REGRESSED, Reason.CONFIRMED)
    assert found.change == pytest.approx(0.2)


def test_soft_differences_double_what_must_be_exceeded() -> None:
    arms = arm(NOISE), arm(around(0.18))
    assert judged(arms, CHECK).verdict is Verdict.REGRESSED
    soft = judged(arms, replace(CHECK, widen=2.0))
    assert soft.verdict is Verdict.UNCHANGED
    assert soft.threshold == pytest.approx(1.1**2 - 1)
    assert judged((arm(NOISE), arm(around(0.25))), replace(CHECK, widen=2.0)).verdict is Verdict.REGRESSED
    paired = judged(pair(around(0.05), again=around(0.05)), replace(AB, widen=2.0))
    assert paired.threshold == pytest.approx(2 * TIME_THRESHOLD)
    assert paired.verdict is Verdict.UNCHANGED


# ── thresholds ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rules", "threshold"),
    [
        ((), 0.03),
        ((GateRule(thresholds={TIME: 0.06}),), 0.06),
        ((GateRule(thresholds={"accuracy": 0.06}),), 0.03),
        ((GateRule(match="imdb/gru/*", thresholds={TIME: 0.06}),), 0.03),
        ((GateRule(match="*/ls?m/*", thresholds={TIME: 0.06}),), 0.06),
        # the last that names it decides
        ((GateRule(thresholds={TIME: 0.06}), GateRule(match="*/lstm/*", thresholds={TIME: 0.08})), 0.08),
        ((GateRule(match="*/lstm/*", thresholds={TIME: 0.08}), GateRule(thresholds={TIME: 0.06})), 0.06),
        ((GateRule(ignore=(TIME,)), GateRule(match="*/lstm/*", thresholds={TIME: 0.08})), 0.08),
        # nothing is called slower below the margin
        ((GateRule(thresholds={TIME: 0.001}),), 0.01),
    ],
)
def test_the_threshold_of_a_case(rules: tuple[GateRule, ...], threshold: float) -> None:
    assert judged(pair(around(0.0)), AB, *rules).threshold == pytest.approx(threshold)


def test_a_threshold_decides_what_counts_and_ignored_times_are_not_judged() -> None:
    arms = pair(around(0.05), again=around(0.05))
    assert judged(arms, AB, GateRule(thresholds={TIME: 0.06})).verdict is Verdict.UNCHANGED
    assert (
        judged(pair(around(0.02), again=around(0.02)), AB, GateRule(thresholds={TIME: 0.015})).reason
        is Reason.CONFIRMED
    )
    assert list(compare_times([arms], Gate(rules=(GateRule(ignore=(TIME,)),)), AB)) == []


def test_what_would_have_been_seen_is_told_by_the_spread_alone() -> None:
    found = [judged(pair(around(change))) for change in (0.0, 0.02)]
    assert found[0].smallest == pytest.approx(found[1].smallest or 0.0)
    seen = taken_in_pairs(*pair(around(0.0)))
    assert seen is not None
    expected = smallest_seen(
        seen.p10, margin=PAIRS_MARGIN, threshold=math.log(1.03), level=LEVEL, power=math.sqrt(POWER)
    )
    assert found[0].smallest == pytest.approx(math.expm1(expected))
    assert (judged(pair(WIDE)).smallest or 0.0) > 0.1


# ── pairs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def planned(logs: Sequence[float], usual: float = TIME_THRESHOLD, together: int = 20) -> int:
    times = taken_in_pairs(*pair(logs))
    assert times is not None
    return planned_pairs(times, usual, together, least=10, most=30)


def test_pairs_are_planned_by_their_spread_and_never_by_what_was_found() -> None:
    assert planned(around(0.0)) == 10
    assert planned(WIDE) == 30
    counts = [planned(around(0.0, scale=scale)) for scale in (1, 3, 5, 6, 20)]
    assert counts == sorted(counts)
    assert 10 < counts[2] < 30
    assert planned(around(0.1, scale=5)) == counts[2]
    assert planned(around(0.0, scale=5), together=1) < counts[2]
    # what counts is larger, and so is what is to be found
    assert planned(around(0.0, scale=5), 0.10) == 10
    assert planned(around(0.0), 0.0001) == 10


def test_the_pairs_that_are_planned_would_see_the_effect_that_they_are_planned_for() -> None:
    logs = around(0.0, scale=8)
    count = planned(logs, together=1)
    # the very same spread, in as many pairs as were planned
    times = taken_in_pairs(*pair(logs))
    assert times is not None
    spread = times.p10.error * math.sqrt(times.p10.count)
    for pairs, enough in ((count, True), (count - 1, False)):
        seen = Difference(mean=0.0, error=spread / math.sqrt(pairs), freedom=pairs - 1, count=pairs)
        smallest = smallest_seen(
            seen, margin=PAIRS_MARGIN, threshold=math.log(1.03), level=LEVEL, power=math.sqrt(POWER)
        )
        assert (smallest <= math.log1p(EFFECT)) is enough


# ── the control ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("logs", "failed"),
    [
        (around(0.0), False),
        # a difference that a 99.9 % interval still holds
        (around(0.003), False),
        (around(0.015), True),
        (around(-0.015), True),
        # too wide to see anything
        (WIDE, True),
    ],
)
def test_a_control_fails_where_identical_code_differs_or_too_little_is_seen(
    logs: Sequence[float], failed: bool
) -> None:
    base, again = pair(logs)
    found = control(base, again, Gate())
    assert (found.case_id, found.failed) == (base.case.id, failed)
    assert found.change == pytest.approx(math.expm1(math.fsum(logs) / 10))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.change < found.high


def test_a_control_may_be_as_wide_as_what_counts_for_its_case() -> None:
    base, again = pair(around(0.0, scale=5))
    assert control(base, again, Gate()).failed
    assert not control(base, again, Gate(rules=(GateRule(thresholds={TIME: 0.10}),))).failed
    assert control(base, again, Gate(rules=(GateRule(ignore=(TIME,)),))).failed


def test_a_control_without_pairs_has_failed() -> None:
    found = control(*pair([0.0]), Gate())
    assert (found.failed, found.change, found.low, found.high) == (True, None, None, None)


# ── whatever the times are ─────────────────────────────────────────────────────────────────────────────────────────

LOGS = st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=12)
EVERY_TIME_ALIKE = settings(derandomize=True, deadline=None, database=None)
MIRRORED: Mapping[Verdict, Verdict] = {Verdict.REGRESSED: Verdict.IMPROVED, Verdict.IMPROVED: Verdict.REGRESSED}


@EVERY_TIME_ALIKE
@given(logs=LOGS, design=st.sampled_from([AB, CHECK, replace(AB, confirms=False)]))
def test_a_case_against_itself_is_unchanged(logs: list[float], design: Design) -> None:
    same = arm(logs, again=logs)
    assert judged((same, same), design).verdict not in (Verdict.REGRESSED, Verdict.IMPROVED)
    if design.paired:
        assert judged((same, same), design).verdict is Verdict.UNCHANGED


@EVERY_TIME_ALIKE
@given(
    base=st.lists(st.floats(-0.1, 0.1), min_size=6, max_size=6),
    change=st.floats(-0.2, 0.2),
    noise=st.lists(st.floats(-0.02, 0.02), min_size=6, max_size=6),
    again=st.booleans(),
)
def test_mirrored_arms_have_mirrored_verdicts(
    base: list[float], change: float, noise: list[float], again: bool
) -> None:
    head = [before + change + value for before, value in zip(base, noise, strict=True)]
    arms = arm(base, again=base if again else ()), arm(head, again=head if again else ())
    there, back = judged(arms), judged((arms[1], arms[0]))
    assert back.verdict is MIRRORED.get(there.verdict, there.verdict)
    assert back.reason is there.reason
    assert there.change is not None
    assert back.change is not None
    assert (1 + there.change) * (1 + back.change) == pytest.approx(1.0)
    assert back.smallest == pytest.approx(there.smallest or 0.0)


@EVERY_TIME_ALIKE
@given(logs=LOGS, faster=st.floats(-1.0, -0.02))
def test_faster_is_never_a_regression(logs: list[float], faster: float) -> None:
    head = [log + faster for log in logs]
    for design in (AB, CHECK):
        assert judged((arm(logs, again=logs), arm(head, again=head)), design).verdict is not Verdict.REGRESSED
