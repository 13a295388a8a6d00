"""Warm-up, calibration and stopping over scripted times."""

from __future__ import annotations

import gc

import pytest
from scripted import FakeClock

from bench.records import Measure
from bench.sampling import calibrate, collect, samples_per_trial, stop_criterion, warm_up

MEASURE = Measure(warmup_s=0.2, warmup_calls=20, warmup_cap_s=3.0)


def nothing() -> None:
    return None


def test_a_steady_call_is_warm_after_the_least_time_and_two_equal_windows() -> None:
    clock = FakeClock([0.09] + [0.01] * 1000)
    warm = warm_up(clock, nothing, MEASURE)
    assert warm.first_call_s == 0.09
    assert warm.calls == 20
    assert warm.seconds == pytest.approx(0.09 + 19 * 0.01)
    assert warm.steady
    assert warm.call_s == 0.01


def test_quick_calls_warm_up_for_the_least_seconds_and_not_only_for_the_least_calls() -> None:
    warm = warm_up(FakeClock([0.001]), nothing, MEASURE)
    assert warm.seconds == pytest.approx(0.2)
    assert warm.steady


def test_a_call_that_becomes_faster_is_waited_for() -> None:
    clock = FakeClock([0.01 * 0.97**place for place in range(200)] + [0.01 * 0.97**200])
    warm = warm_up(clock, nothing, MEASURE)
    assert warm.steady
    # windows of 5 falling by 3 % a call differ by 14 %: only the flat end settles
    assert warm.calls > 200


def test_one_slow_call_does_not_unsettle_a_median() -> None:
    script = [0.01] * 18 + [0.5] + [0.01] * 100
    warm = warm_up(FakeClock(script), nothing, MEASURE)
    assert warm.steady
    assert warm.call_s == 0.01


def test_what_never_settles_ends_at_the_cap_and_says_so() -> None:
    script = [0.1 * 1.05**place for place in range(100)]
    warm = warm_up(FakeClock(script), nothing, MEASURE)
    assert not warm.steady
    after_third = warm.seconds - sum(script[:3])
    assert 3.0 <= after_third < 3.0 + script[warm.calls]


def test_a_slow_first_call_does_not_use_up_the_cap() -> None:
    warm = warm_up(FakeClock([20.0] + [0.01] * 100), nothing, MEASURE)
    assert warm.calls == 20
    assert warm.steady


def test_very_slow_calls_stop_at_the_cap_with_smaller_windows() -> None:
    warm = warm_up(FakeClock([1.0]), nothing, MEASURE)
    assert warm.calls == 6
    assert warm.steady
    slower = warm_up(FakeClock([10.0]), nothing, MEASURE)
    assert slower.calls == 4
    assert not slower.steady


@pytest.mark.parametrize(("call_s", "iterations"), [(5e-4, 4), (3e-3, 1), (1.9e-3, 2), (7e-6, 286)])
def test_a_sample_lasts_as_long_as_the_clock_needs(call_s: float, iterations: int) -> None:
    assert calibrate(FakeClock([call_s]), nothing, call_s) == iterations


def test_calibration_does_not_trust_a_call_that_was_slow_by_chance() -> None:
    assert calibrate(FakeClock([1e-4]), nothing, 1e-3) == 32


def test_samples_are_seconds_per_call_and_the_collector_rests() -> None:
    states: list[bool] = []
    samples = collect(FakeClock([0.001, 0.003]), lambda: states.append(gc.isenabled()), 2, 3)
    assert samples == pytest.approx([0.002, 0.003, 0.003])
    assert states == [False] * 6
    assert gc.isenabled()


def test_the_collector_works_again_after_a_call_that_raised() -> None:
    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        collect(FakeClock([0.001]), broken, 1, 1)
    assert gc.isenabled()


def test_quick_cases_take_more_samples_than_slow_ones() -> None:
    assert samples_per_trial(0.001, 10) == 250
    assert samples_per_trial(0.010, 10) == 50
    assert samples_per_trial(1.0, 10) == 10


@pytest.mark.parametrize(
    ("width", "trials", "found"),
    [
        (0.019, 5, "precision of 2.0% reached"),
        (0.019, 4, None),
        (0.021, 5, None),
        (0.021, 20, "cap of 20 trials"),
        (None, 5, None),
    ],
)
def test_stopping_looks_at_precision_and_the_cap_only(width: float | None, trials: int, found: str | None) -> None:
    assert stop_criterion(width, trials, Measure()) == found
