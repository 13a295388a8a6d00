"""How far two arms are apart: which trials make a pair, which leave, and the same numbers as scipy's."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from bench.differences import PAIRS_MARGIN, Times, stored, taken_in_pairs
from bench.observations import CaseResult
from bench.records import Outcome
from tests.arms import NOISE, arm, around, pair


def of_pairs(base: CaseResult, head: CaseResult, *, confirming: bool = False) -> Times:
    found = taken_in_pairs(base, head, confirming=confirming)
    assert found is not None
    return found


def of_stored(base: CaseResult, head: CaseResult, *, confirming: bool = False) -> Times:
    found = stored(base, head, confirming=confirming)
    assert found is not None
    return found


# ── in pairs ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pairs_are_judged_by_the_trimmed_mean_of_the_logs_of_p10() -> None:
    drift = [0.1 * number for number in range(10)]
    base = arm(drift)
    head = arm([before + change for before, change in zip(drift, around(0.05), strict=True)])
    found = of_pairs(base, head)
    low, high = scipy.stats.mstats.trimmed_mean_ci(np.array(around(0.05)), limits=(0.2, 0.2))
    half = found.p10.half_width()
    assert (found.p10.mean - half, found.p10.mean + half) == pytest.approx((low, high))
    assert found.p10.count == 10
    assert found.margin == pytest.approx(math.log(1.01))


def test_the_median_and_p90_stand_beside_p10_and_times_are_medians_of_medians() -> None:
    base = arm([0.0] * 3, medians=[0.5, 0.6, 0.7])
    head = arm([0.05] * 3, medians=[0.4, 0.5, 0.6])
    found = of_pairs(base, head)
    assert (found.p10.mean, found.median.mean, found.p90.mean) == pytest.approx((0.05, -0.1, -0.1))
    assert (found.base, found.head) == pytest.approx((1e-3 * math.exp(0.6), 1e-3 * math.exp(0.5)))


def test_a_pair_is_what_has_the_same_round_and_a_lost_trial_leaves_no_pair() -> None:
    base, head = arm([0.0, 1.0, 2.0]), arm([0.1, 1.1, 2.1])
    head = replace(head, trials=tuple(reversed(head.trials)))
    assert of_pairs(base, head).p10.mean == pytest.approx(0.1)
    first, *others = head.trials
    failed = replace(head, trials=(replace(first, outcome=Outcome.FAILED, samples_s=()), *others))
    assert of_pairs(base, failed).p10.count == 2
    assert taken_in_pairs(base, replace(head, trials=head.trials[:1])) is None


@pytest.mark.parametrize("side", [0, 1])
def test_of_a_disturbed_pair_both_trials_leave(side: int) -> None:
    logs = [0.0, 0.09, 0.01, 0.02]
    arms = [arm([0.0] * 4), arm(logs)]
    arms[side] = arm(logs if side else [0.0] * 4, disturbed={2})
    found = of_pairs(*arms)
    assert found.p10.count == 3
    assert found.p10.mean == pytest.approx(0.01)
    assert found.of_all.count == 4
    assert found.of_all.mean == pytest.approx(0.03)
    assert found.rejection_matters


def test_where_fewer_than_two_pairs_are_calm_all_of_them_stay() -> None:
    base, head = pair([0.0, 0.1, 0.2], disturbed={1, 3})
    assert of_pairs(base, head).p10.count == 3
    assert not of_pairs(base, head).rejection_matters


def test_rejection_matters_beyond_the_margin_only() -> None:
    def moved(by: float) -> Times:
        # two of four pairs are disturbed: the mean over all of them moves by half of what they differ by
        return of_pairs(*pair([0.0, 0.0, 2 * by, 2 * by], disturbed={3, 4}))

    assert not moved(0.99 * PAIRS_MARGIN).rejection_matters
    assert moved(1.01 * PAIRS_MARGIN).rejection_matters
    assert moved(-1.01 * PAIRS_MARGIN).rejection_matters


def test_what_was_taken_to_confirm_is_apart_from_what_was_taken_first() -> None:
    base, head = pair(around(0.0), again=around(0.05))
    assert of_pairs(base, head).p10.mean == pytest.approx(0.0)
    assert of_pairs(base, head, confirming=True).p10.mean == pytest.approx(math.log1p(0.05))
    assert taken_in_pairs(*pair(around(0.0)), confirming=True) is None


# ── a stored run ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_stored_trials_are_judged_like_welchs_test_of_scipy() -> None:
    before, after = [0.01, -0.02, 0.0, 0.015], [0.3, 0.31, 0.27]
    found = of_stored(arm(before), arm(after))
    expected = scipy.stats.ttest_ind(
        [value - found.margin for value in after], before, equal_var=False, alternative="greater"
    )
    assert found.p10.p_above(found.margin) == pytest.approx(expected.pvalue)
    low, high = scipy.stats.ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
    half = found.p10.half_width()
    assert (found.p10.mean - half, found.p10.mean + half) == pytest.approx((low, high))
    assert found.p10.count == 3


@pytest.mark.parametrize(("spread", "margin"), [(1.0, 0.10), (10.0, 3 * 10 * float(np.std(NOISE, ddof=1)))])
def test_what_a_stored_run_must_be_exceeded_by_grows_with_its_own_spread(spread: float, margin: float) -> None:
    base = arm([spread * noise for noise in NOISE])
    # the spread of the later run says nothing about the drift of machines
    assert of_stored(base, arm([30 * noise for noise in NOISE])).margin == pytest.approx(math.log1p(margin))


def test_each_stored_arm_loses_its_own_disturbed_trials() -> None:
    base = arm([0.0, 0.0, 0.5], disturbed={3})
    found = of_stored(base, arm([0.1, 0.1, 0.1, 0.1]))
    assert found.p10.mean == pytest.approx(0.1)
    assert found.p10.count == 2
    # one calm trial says nothing about its spread, so that all are used
    assert of_stored(arm([0.0, 0.3, 0.6], disturbed={2, 3}), arm([0.3] * 3)).p10.count == 3


def test_a_later_run_is_confirmed_against_the_same_stored_trials() -> None:
    base = arm([0.0] * 3)
    head = arm([0.2] * 3, again=[0.1] * 4)
    assert of_stored(base, head).p10.mean == pytest.approx(0.2)
    assert of_stored(base, head, confirming=True).p10.mean == pytest.approx(0.1)


def test_a_single_trial_on_a_side_is_too_little() -> None:
    assert stored(arm([0.0]), arm([0.0] * 3)) is None
    assert stored(arm([0.0] * 3), arm([0.0])) is None
