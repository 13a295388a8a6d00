"""Quantiles and intervals against scipy and against their coverage."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean

import numpy as np
import pytest
import scipy.stats

from bench.stats import (
    Difference,
    Estimate,
    IntervalKind,
    difference,
    holm,
    log_t_estimate,
    mean_t_estimate,
    paired,
    pairs_needed,
    pooled,
    quantile,
    ratio,
    relative_half_width,
    smallest_seen,
    t_half_width,
    welch,
    wilson,
)


def test_the_t_interval_equals_scipys() -> None:
    values = [1.0, 2.0, 4.0, 7.0]
    low, high = scipy.stats.t.interval(0.95, 3, loc=np.mean(values), scale=scipy.stats.sem(values))
    half = t_half_width(values)
    assert half == pytest.approx((high - low) / 2)
    estimate = mean_t_estimate(values)
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert estimate.interval is IntervalKind.T95_SEEDS


@pytest.mark.parametrize(("successes", "total"), [(0, 5), (5, 5), (4338, 5000), (1, 114)])
def test_the_wilson_interval_equals_scipys(successes: int, total: int) -> None:
    expected = scipy.stats.binomtest(successes, total).proportion_ci(method="wilson")
    assert wilson(successes, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_proportion_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one item"):
        wilson(0, 0)


def test_one_replicate_has_a_value_and_no_interval() -> None:
    estimate = log_t_estimate([0.5])
    assert (estimate.value, estimate.low, estimate.high) == (0.5, None, None)
    assert estimate.interval is IntervalKind.NONE
    assert estimate.reason
    assert t_half_width([1.0]) is None


def test_the_log_interval_covers_its_median_and_is_symmetric_in_logs() -> None:
    values = [1.0, 1.1, 1.21]
    estimate = log_t_estimate(values)
    assert estimate.value == pytest.approx(1.1)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low * estimate.high == pytest.approx(1.1**2)
    assert math.log(estimate.high / 1.1) == pytest.approx(relative_half_width(values))
    skewed = log_t_estimate([1.0, 1.0, 1.0, 1.0, 50.0])
    assert skewed.low is not None
    assert skewed.low <= 1.0 <= (skewed.high or 0)


def test_a_throughput_turns_the_interval_of_its_latency_round() -> None:
    latency = log_t_estimate([0.1, 0.11, 0.12])
    throughput = latency.inverted(32)
    assert throughput.value == pytest.approx(32 / 0.11)
    assert throughput.low == pytest.approx(32 / (latency.high or 1))
    assert throughput.high == pytest.approx(32 / (latency.low or 1))


def test_quantiles_interpolate() -> None:
    assert quantile([1.0, 2.0], 0.5) == 1.5
    assert quantile(list(range(11)), 0.1) == pytest.approx(1.0)


def test_ninety_five_per_cent_intervals_hold_the_truth_about_that_often() -> None:
    random = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        estimate = log_t_estimate(np.exp(random.normal(0.0, 0.05, size=5)).tolist())
        held += (estimate.low or 0) <= 1.0 <= (estimate.high or 0)
    # the widening to the median can only add; four standard errors of .95 over 2,000 draws are .02
    assert 0.93 <= held / 2000 <= 0.98


# ── differences ────────────────────────────────────────────────────────────────────────────────────────────────────

BASE, HEAD = [0.01, -0.02, 0.0, 0.015, 0.004], [0.03, 0.05, 0.02]


@pytest.mark.parametrize("margin", [-0.01, 0.0, 0.02, 0.05])
def test_a_paired_difference_equals_scipys(margin: float) -> None:
    found = paired(HEAD)
    assert found is not None
    expected = scipy.stats.ttest_1samp(HEAD, margin, alternative="greater")
    assert found.p_above(margin) == pytest.approx(expected.pvalue)
    assert (found.count, found.freedom) == (3, 2)


@pytest.mark.parametrize("count", [5, 10, 20, 30])
def test_pairs_are_judged_by_their_trimmed_mean_as_scipy_has_it(count: int) -> None:
    values = np.random.default_rng(count).standard_t(2, count)
    found = paired(values.tolist())
    assert found is not None
    interval = scipy.stats.mstats.trimmed_mean_ci(values, limits=(0.2, 0.2), alpha=0.01)
    half = found.half_width(0.99)
    assert (found.mean - half, found.mean + half) == pytest.approx(tuple(interval))
    assert (found.count, found.freedom) == (count, count * 0.6 - 1)


def test_a_fifth_of_the_pairs_may_lie_anywhere_on_either_side() -> None:
    calm = [0.050, 0.051, 0.049, 0.052, 0.048, 0.050, 0.051, 0.049]
    near, far = paired([*calm, 0.053, 0.053]), paired([*calm, 0.9, 3.0])
    assert near is not None
    assert far is not None
    # what is beyond the outermost that is kept may be anything
    assert far.mean == pytest.approx(near.mean, abs=0.001)
    assert far.p_above(0.01) < 1e-5
    assert scipy.stats.ttest_1samp([*calm, 0.9, 3.0], 0.01, alternative="greater").pvalue > 0.05


@pytest.mark.parametrize(("base", "head"), [(BASE, HEAD), (HEAD, BASE)])
def test_a_pooled_difference_equals_scipys(base: list[float], head: list[float]) -> None:
    found, expected = pooled(base, head), scipy.stats.ttest_ind(head, base, alternative="greater")
    assert found.p_above(0.0) == pytest.approx(expected.pvalue)
    interval = scipy.stats.ttest_ind(head, base).confidence_interval(0.95)
    assert found.mean + found.half_width() == pytest.approx(interval.high)
    assert (found.count, found.freedom) == (3, 6)


@pytest.mark.parametrize("margin", [-0.01, 0.0, 0.02, 0.05])
@pytest.mark.parametrize(("base", "head"), [(BASE, HEAD), (HEAD, BASE)])
def test_a_welch_difference_equals_scipys(base: list[float], head: list[float], margin: float) -> None:
    found = welch(base, head)
    assert found is not None
    moved = [value - margin for value in head]
    expected = scipy.stats.ttest_ind(moved, base, equal_var=False, alternative="greater")
    assert found.p_above(margin) == pytest.approx(expected.pvalue)
    assert found.freedom == pytest.approx(expected.df)
    low, high = scipy.stats.ttest_ind(head, base, equal_var=False).confidence_interval(0.999)
    half = found.half_width(0.999)
    assert (found.mean - half, found.mean + half) == pytest.approx((low, high))


def test_one_value_on_a_side_is_no_difference() -> None:
    assert paired([1.0]) is None
    assert welch([1.0], HEAD) is None
    assert welch(HEAD, [1.0]) is None


def test_a_difference_without_spread_is_decided() -> None:
    for found in (paired([1.0, 1.0]), welch([0.0, 0.0], [1.0, 1.0])):
        assert found is not None
        assert (found.p_above(0.5), found.p_above(1.0), found.p_above(1.5)) == (0.0, 1.0, 1.0)
        assert found.half_width() == 0.0


def test_spreads_too_small_to_be_squared_do_no_harm() -> None:
    found = welch([0.0, 1e-160], [0.0, 2e-160])
    assert found is not None
    assert 1 < found.freedom < 2
    # all of the spread on one side leaves that side's degrees of freedom
    one_sided = welch([0.0, 0.0, 0.0], [0.0, 1.0])
    assert one_sided is not None
    assert one_sided.freedom == pytest.approx(1)


def test_a_mirrored_difference_is_the_other_way_round() -> None:
    there, back = welch(BASE, HEAD), welch(HEAD, BASE)
    assert there is not None
    assert back is not None
    turned = there.mirrored()
    assert (turned.mean, turned.error, turned.count) == (back.mean, back.error, back.count)
    assert turned.freedom == pytest.approx(back.freedom)


# ── many tests ─────────────────────────────────────────────────────────────────────────────────────────────────────


def rejected(ps: list[float], level: float) -> list[bool]:
    """Holm's procedure as he describes it: the smallest first, at level / tests left, until the first that fails."""
    out = [False] * len(ps)
    for done, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        if ps[place] >= level / (len(ps) - done):
            break
        out[place] = True
    return out


@pytest.mark.parametrize("seed", range(20))
def test_adjusted_p_values_reject_what_holms_procedure_rejects(seed: int) -> None:
    random = np.random.default_rng(seed)
    ps = (random.uniform(0, 1, size=random.integers(1, 12)) ** 3).tolist()
    adjusted = holm(ps)
    for level in (0.001, 0.01, 0.05, 0.2, 0.9):
        assert [p < level for p in adjusted] == rejected(ps, level)
    assert all(p <= after <= 1 for p, after in zip(ps, adjusted, strict=True))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


# ── power ──────────────────────────────────────────────────────────────────────────────────────────────────────────

DRAWS = 40_000


def called(
    effect: float, spread: float, pairs: int, *, margin: float, threshold: float, level: float, cut: int = 0
) -> float:
    """The share of made comparisons in which an effect is called one, the outermost `cut` on either side left out."""
    values = np.sort(np.random.default_rng(pairs).normal(effect, spread, size=(DRAWS, pairs)))
    kept = pairs - 2 * cut
    means = values[:, cut : pairs - cut].mean(axis=1)
    winsorized = np.clip(values, values[:, [cut]], values[:, [pairs - cut - 1]])
    errors = winsorized.std(axis=1, ddof=1) * math.sqrt(pairs) / kept
    ps = scipy.stats.t.sf((means - margin) / errors, kept - 1)
    return float(np.mean((ps < level) & (means > threshold)))


@pytest.mark.parametrize("pairs", [5, 10, 30])
@pytest.mark.parametrize("level", [0.05, 0.0025])
@pytest.mark.parametrize("spread", [0.004, 0.05])
@pytest.mark.parametrize("power", [0.8, 0.95])
def test_the_smallest_that_is_seen_is_seen_as_often_as_it_says(
    pairs: int, level: float, spread: float, power: float
) -> None:
    limits = {"margin": 0.01, "threshold": 0.03, "level": level}
    seen = Difference(mean=0.0, error=spread / math.sqrt(pairs), freedom=pairs - 1, count=pairs)
    effect = smallest_seen(seen, power=power, **limits)
    # the approximation is good to a hundredth or two; two conditions at once may cost as much again
    assert power - 0.03 <= called(effect, spread, pairs, **limits) <= power + 0.02


@pytest.mark.parametrize(("spread", "level"), [(0.035, 0.05), (0.025, 0.0025), (0.04, 0.05)])
def test_the_pairs_that_are_needed_find_the_effect_and_fewer_do_not(spread: float, level: float) -> None:
    limits = {"margin": 0.01, "threshold": 0.03, "level": level}
    luck = np.random.default_rng(3)
    drawn = [paired(luck.normal(0, spread, 30).tolist()) for _ in range(2_000)]
    typical = fmean(one.error for one in drawn if one is not None) * math.sqrt(30)
    pairs = pairs_needed(typical, 0.05, power=0.95, least=5, most=60, **limits)
    assert pairs is not None
    assert pairs > 8
    assert 0.93 <= called(0.05, spread, pairs, cut=pairs // 5, **limits) <= 0.97
    fewer = pairs - 4
    assert called(0.05, spread, fewer, cut=fewer // 5, **limits) < 0.94


def test_pairs_are_at_least_the_least_and_unknown_beyond_the_most() -> None:
    limits = {"effect": 0.05, "margin": 0.01, "threshold": 0.03, "level": 0.05, "power": 0.95}
    assert pairs_needed(0.0, least=5, most=30, **limits) == 5
    assert pairs_needed(0.001, least=5, most=30, **limits) == 5
    assert pairs_needed(0.2, least=5, most=30, **limits) is None
    # what is called one only beyond 3 % is never sure to be called one at 3 %
    assert pairs_needed(0.001, least=5, most=30, **(limits | {"effect": 0.03})) is None


# ── two estimates put together ──


def test_the_difference_of_two_proportions_is_newcombes() -> None:
    """56 of 70 and 48 of 80: method 10 of Newcombe (1998) gives 0.0524 to 0.3339."""
    one, other = (
        Estimate(value=right / total, low=wilson(right, total)[0], high=wilson(right, total)[1])
        for right, total in ((56, 70), (48, 80))
    )
    found = difference(one, other)
    assert found.interval is IntervalKind.MOVER95
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    back = difference(other, one)
    assert (back.value, back.low, back.high) == pytest.approx((-0.2, -0.3339, -0.0524), abs=5e-5)


def test_a_ratio_turned_over_is_the_other_ratio() -> None:
    one, other = Estimate(value=3.0, low=2.0, high=3.5), Estimate(value=1.5, low=1.2, high=1.6)
    found, back = ratio(one, other), ratio(other, one)
    assert found.value == pytest.approx(2.0)
    assert found.low == pytest.approx(2 * math.exp(-math.hypot(math.log(1.5), math.log(1.6 / 1.5))))
    assert (found.low, found.high) == pytest.approx((1 / back.high, 1 / back.low))
    # the intervals lie apart
    assert found.low > 1


@pytest.mark.parametrize("together", [ratio, difference])
def test_what_has_no_interval_gives_none(together: Callable[[Estimate, Estimate], Estimate]) -> None:
    whole, lone = Estimate(value=2.0, low=1.0, high=3.0), Estimate(value=2.0, reason="a single trial has no interval")
    for found in (together(whole, lone), together(lone, whole)):
        assert (found.low, found.high, found.reason) == (None, None, "a single trial has no interval")
        assert found.value is not None
    unknown = together(whole, Estimate(value=None, reason="not measured"))
    assert (unknown.value, unknown.reason) == (None, "not measured")


def test_a_ratio_covers_the_true_one() -> None:
    draw, hits, count = np.random.default_rng(5), 0, 1000
    for _ in range(count):
        # of unlike spread, five trials each, log-normal as times are
        one, other = (np.exp(draw.normal(mean, spread, 5)).tolist() for mean, spread in ((0.4, 0.1), (0.1, 0.02)))
        found = ratio(log_t_estimate(one), log_t_estimate(other))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= math.exp(0.3) <= found.high
    assert 0.93 <= hits / count <= 0.98


def test_a_difference_covers_the_true_one() -> None:
    draw, hits, count = np.random.default_rng(6), 0, 1000
    for _ in range(count):
        found = difference(
            mean_t_estimate(draw.normal(0.9, 0.02, 4).tolist()), mean_t_estimate(draw.normal(0.8, 0.02, 4).tolist())
        )
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.1 <= found.high
    assert 0.93 <= hits / count <= 0.99
