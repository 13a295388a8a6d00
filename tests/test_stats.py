"""Quantiles and intervals against scipy and against their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from bench.stats import (
    IntervalKind,
    log_t_estimate,
    mean_t_estimate,
    quantile,
    relative_half_width,
    t_half_width,
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
