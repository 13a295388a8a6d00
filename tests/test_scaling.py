"""Exponents and what fits: by hand, against scipy, and against data whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import scipy.stats

from bench.scaling import Level, budgets, exponent, freedom_of, level, level_within, reach, within

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)
DRAWS = 1_000
ENOUGH = 0.93


def power(k: float) -> Callable[[int], float]:
    return lambda length: k * math.log(length) - 9


def affine(constant: float) -> Callable[[int], float]:
    return lambda length: math.log(constant + length)


def exact(curve: Callable[[int], float], lengths: Sequence[int] = LENGTHS, count: int = 3) -> list[Level]:
    return [level(length, [curve(length)] * count) for length in lengths]


def drawn(
    generator: np.random.Generator,
    curve: Callable[[int], float],
    lengths: Sequence[int],
    count: int,
    spreads: Sequence[float],
) -> list[Level]:
    return [
        level(length, list(curve(length) + generator.normal(0, spread, count)))
        for length, spread in zip(lengths, spreads, strict=True)
    ]


def test_a_level_is_a_mean_with_its_variance() -> None:
    values = [1.0, 2.0, 4.0, 7.0]
    known = level(64, values)
    assert (known.mean, known.freedom) == (3.5, 3)
    assert math.sqrt(known.variance) == pytest.approx(scipy.stats.sem(values))
    assert level(64, [1.5]) == Level(length=64, mean=1.5, variance=0, freedom=0)


def test_a_tolerance_is_a_half_width() -> None:
    known = level_within(64, 1000.0, 0.02)
    assert math.exp(known.mean + 1.959964 * math.sqrt(known.variance)) == pytest.approx(1020)


def test_degrees_of_freedom_of_a_sum() -> None:
    assert freedom_of([(0.3, 4)]) == 4
    assert freedom_of([(1.0, 4), (1.0, 4)]) == pytest.approx(7)
    assert freedom_of([(1.0, 4), (0.01, 2)]) == pytest.approx(1.01**2 / (1 / 4 + 1e-4 / 2) - 1)
    assert freedom_of([(1.0, 2), (1e-9, 2)]) == 2
    assert freedom_of([(1e-200, 4), (1e-200, 4)]) == pytest.approx(7)
    assert freedom_of([(0.0, 4), (0.0, 2)]) == 2
    assert freedom_of([(1.0, math.inf), (1.0, math.inf)]) > 1e6


@pytest.mark.parametrize("lengths", [LENGTHS, LENGTHS[:2], LENGTHS[:3][::-1], (512, 64, 128, 256)])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_an_exact_power_law_has_an_exact_exponent(lengths: tuple[int, ...], k: int) -> None:
    found = exponent(exact(power(k), lengths))
    assert (found.value, found.low, found.high) == pytest.approx((k, k, k), abs=1e-12)
    assert (found.first, found.last, found.bent) == (min(lengths), max(lengths), False)
    assert found.reason == ("two lengths" if len(lengths) == 2 else "")


def test_the_slope_is_that_of_least_squares_and_its_interval_adds_variances() -> None:
    levels = [level(64, [0.0, 0.3]), level(128, [0.4, 0.9, 0.8]), level(512, [2.2, 2.0, 2.1])]
    found = exponent(levels)
    places = np.log([64, 128, 512])
    assert found.value == pytest.approx(scipy.stats.linregress(places, [one.mean for one in levels]).slope)
    weights = (places - places.mean()) / np.square(places - places.mean()).sum()
    parts = [(weight**2 * one.variance, one.freedom) for weight, one in zip(weights, levels, strict=True)]
    half = scipy.stats.t.ppf(0.975, freedom_of(parts)) * math.sqrt(sum(variance for variance, _ in parts))
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))


def test_memory_has_an_interval_from_its_repeats() -> None:
    found = exponent([level_within(64, 1e6, 0.02), level_within(256, 4e6, 0.02)])
    assert found.value == pytest.approx(1)
    assert found.high == pytest.approx(1 + math.sqrt(2) * math.log(1.02) / math.log(4))


def test_short_lengths_that_a_constant_rules_are_dropped() -> None:
    quiet = drawn(np.random.default_rng(0), affine(20), LENGTHS, 5, [0.01] * 7)
    found = exponent(quiet)
    assert found.first is not None
    assert found.first > 64
    assert found.last == 4096
    assert not found.bent
    assert 0.95 < exponent(quiet[3:]).value < 1  # type: ignore[operator]


def test_what_stays_bent_has_the_wider_interval_and_is_told_as_bent() -> None:
    levels = exact(affine(500))
    found = exponent(levels)
    assert (found.bent, found.first, found.last) == (True, 1024, 4096)
    line = scipy.stats.linregress(np.log(LENGTHS[4:]), [one.mean for one in levels[4:]])
    half = scipy.stats.t.ppf(0.975, 1) * line.stderr
    assert (found.low, found.high) == pytest.approx((line.slope - half, line.slope + half))
    assert found.early == pytest.approx(math.log2(2548 / 1524))
    assert found.late == pytest.approx(math.log2(4596 / 2548))


def test_noise_wider_than_the_bend_keeps_its_interval() -> None:
    """A step between two neighbours, beside a far length of which hardly anything is known."""
    known = [(64, 0.0, 1e-6), (65, 0.1, 1e-6), (65536, 0.0, 100.0)]
    found = exponent([Level(length=at, mean=mean, variance=variance, freedom=4) for at, mean, variance in known])
    assert found.bent
    assert found.value is not None
    assert found.high is not None
    assert found.high - found.value == pytest.approx(
        10 * scipy.stats.t.ppf(0.975, 4) / math.log(65536 / 64.5), rel=0.01
    )


@pytest.mark.parametrize(
    ("levels", "reason"),
    [
        ([], "one length"),
        ([level(64, [1.0, 2.0])], "one length"),
        ([level(64, [1.0]), level(128, [2.0])], "a single trial a length has no interval"),
        ([level(64, [1.0, 1.1]), level(128, [2.0])], "a single trial a length has no interval"),
    ],
)
def test_too_little_has_no_exponent_but_a_reason(levels: list[Level], reason: str) -> None:
    found = exponent(levels)
    assert (found.value, found.low, found.first, found.reason) == (None, None, None, reason)


def test_a_length_with_a_single_trial_is_left_out() -> None:
    levels = [level(64, [9.0]), *exact(power(2), LENGTHS[1:4])]
    found = exponent(levels)
    assert (found.first, found.last, found.points, found.value) == (128, 512, 3, pytest.approx(2))


def test_degrees_of_freedom_are_few_where_spreads_are_unlike_and_seen_seldom() -> None:
    """Between two lengths of two curves, 3 replicates each, spreads 10 to 1: without the one that is taken off it is 93.8 %."""
    generator = np.random.default_rng(0)
    shares = np.array([0.1, 0.1, 0.9, 0.9])
    taken = generator.normal(size=(20_000, 4, 3)) * np.array([1, 0.1, 1, 0.1])[:, None]
    means = taken.mean(axis=2) @ (shares * [1, -1, 1, -1])
    variances = taken.var(axis=2, ddof=1) / 3 * shares**2
    freedom = [freedom_of([(one, 2) for one in parts]) for parts in variances.tolist()]
    half = scipy.stats.t.ppf(0.975, freedom) * np.sqrt(variances.sum(axis=1))
    assert (np.abs(means) <= half).mean() >= 0.95


# ── coverage ───────────────────────────────────────────────────────────────────────────────────────────────────────


def share(curve: Callable[[int], float], lengths: Sequence[int], count: int, spreads: Sequence[float]) -> float:
    """How often the interval holds the slope of the line nearest to the true curve, over the lengths it was fitted on."""
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(DRAWS):
        found = exponent(drawn(generator, curve, lengths, count, spreads))
        assert found.first
        assert found.low is not None
        assert found.high is not None
        kept = [length for length in lengths if length >= found.first]
        truth = np.polyfit(np.log(kept), [curve(length) for length in kept], 1)[0]
        held += bool(found.low <= truth <= found.high)
    return held / DRAWS


@pytest.mark.slow
@pytest.mark.parametrize("spread", ["alike", "falling", "rising"])
@pytest.mark.parametrize("lengths", [2, 3, 4, 7])
@pytest.mark.parametrize("trials", [3, 5, 10])
def test_the_interval_of_an_exponent_holds_the_truth(trials: int, lengths: int, spread: str) -> None:
    spreads = {
        "alike": [0.02] * lengths,
        "falling": list(np.geomspace(0.1, 0.005, lengths)),
        "rising": list(np.geomspace(0.005, 0.1, lengths)),
    }
    assert share(power(1.5), LENGTHS[:lengths], trials, spreads[spread]) >= ENOUGH


@pytest.mark.slow
@pytest.mark.parametrize("constant", [20, 100, 500])
@pytest.mark.parametrize(("trials", "spread"), [(3, 0.005), (5, 0.02), (10, 0.1)])
def test_of_a_curve_it_holds_the_slope_over_the_range_that_is_told(trials: int, spread: float, constant: float) -> None:
    assert share(affine(constant), LENGTHS, trials, [spread] * 7) >= ENOUGH


@pytest.mark.parametrize("spreads", [[0.02] * 4, [0.1, 0.05, 0.01, 0.005], [0.005, 0.01, 0.05, 0.1]])
def test_a_power_law_is_seldom_called_bent(spreads: list[float]) -> None:
    generator = np.random.default_rng(0)
    found = [exponent(drawn(generator, power(1), LENGTHS[:4], 3, spreads)) for _ in range(DRAWS)]
    assert sum(one.first != 64 for one in found) / DRAWS <= 0.07


def test_a_strong_bend_is_found() -> None:
    generator = np.random.default_rng(0)
    found = [exponent(drawn(generator, affine(500), LENGTHS, 5, [0.02] * 7)) for _ in range(100)]
    assert sum(one.first != 64 for one in found) >= 99


# ── what fits ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_reach_is_the_largest_that_fits_and_the_next_that_does_not() -> None:
    tried = [(256, True), (2048, False), (512, True), (1024, False)]
    assert (reach(tried).fits, reach(tried).fails) == (512, 1024)
    assert (reach(tried[::2]).fits, reach(tried[::2]).fails) == (512, None)
    assert (reach([(64, False), (128, False)]).fits, reach([(64, False), (128, False)]).fails) == (None, 64)
    # what failed below what fits says nothing of what lies above
    assert (reach([(64, False), (128, True)]).fits, reach([(64, False), (128, True)]).fails) == (128, None)
    assert (reach([]).fits, reach([]).fails) == (None, None)


def test_within_a_budget_is_the_largest_that_needs_no_more() -> None:
    needs = {64: 10.0, 256: 40.0, 128: 20.0}
    assert [within(needs, budget) for budget in (5, 10, 39, 40, 1000)] == [None, 64, 128, 256, 256]


def test_budgets_are_powers_of_two_around_what_is_needed() -> None:
    assert budgets([3.0, 33.0, 0.0], 6) == [4, 8, 16, 32, 64]
    assert budgets([4.0, 64.0], 6) == [4, 8, 16, 32, 64]
    assert budgets([3.0, 33.0], 2) == [32, 64]
    assert budgets([7.0], 6) == [8]
    assert budgets([], 6) == []
