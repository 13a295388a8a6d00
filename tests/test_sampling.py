"""Warm-up, calibration and stopping over scripted times."""

from __future__ import annotations

import gc

import pytest
from scripted import FakeClock

from bench.records import Measure
from bench.sampling import calibrate, collect, samples_per_trial, single_calls, stop_criterion, warm_up

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
    assert samples_per_trial(0.001, Measure()) == 375
    assert samples_per_trial(0.010, Measure()) == 75
    assert samples_per_trial(1.0, Measure()) == 10
    assert samples_per_trial(0.010, Measure(trial_s=0.2)) == 20


@pytest.mark.parametrize(
    ("width", "kept", "taken", "found"),
    [
        (0.019, 5, 5, "precision of 2.0% reached"),
        (0.019, 4, 4, None),
        (0.021, 5, 5, None),
        (0.021, 20, 20, "cap of 20 trials"),
        (None, 5, 5, None),
        # disturbed trials are repeated, at most once each
        (0.019, 4, 9, None),
        (0.019, 4, 10, "precision of 2.0% reached, 6 of 10 trials disturbed"),
        (0.021, 19, 39, None),
        (0.021, 19, 40, "cap of 40 trials, 21 of them disturbed"),
        (0.021, 20, 33, "cap of 20 trials"),
    ],
)
def test_stopping_looks_at_precision_and_the_caps_only(
    width: float | None, kept: int, taken: int, found: str | None
) -> None:
    assert stop_criterion(width, kept, taken, Measure()) == found


def test_a_bimodal_call_is_steady_when_both_modes_are_in_every_window() -> None:
    # windows of five calls hold two or three slow ones in turns: medians differ, and it is not steady
    warm = warm_up(FakeClock([0.01, 0.02] * 500), nothing, MEASURE)
    assert not warm.steady
    # one slow call in five leaves every median alone
    assert warm_up(FakeClock([0.01, 0.01, 0.01, 0.01, 0.02] * 500), nothing, MEASURE).steady


def test_samples_over_batches_of_several_sizes_hold_whole_rotations() -> None:
    # four batches of 1, 1, 1 and 5 ms: 2 ms on average, so one rotation of 8 ms is a sample
    script = [0.001, 0.001, 0.001, 0.005] * 10
    assert calibrate(FakeClock(script), nothing, 0.002, rotation=4) == 4
    assert calibrate(FakeClock([1e-5]), nothing, 1e-5, rotation=4) == 200


def test_calls_over_batches_of_several_sizes_are_steady_by_rotations() -> None:
    script = [0.07, 0.02, 0.05, 0.02] * 200
    assert not warm_up(FakeClock(script), nothing, MEASURE).steady
    warm = warm_up(FakeClock([0.5, *script]), nothing, MEASURE, rotation=4)
    assert warm.steady
    assert warm.call_s == pytest.approx(0.04)
    assert (warm.first_call_s, warm.calls % 4) == (0.5, 1)


def test_single_calls_end_at_their_number_or_at_the_time() -> None:
    assert len(single_calls(FakeClock([0.001]), nothing, 1000, 2.0)) == 1000
    assert len(single_calls(FakeClock([0.5]), nothing, 1000, 2.0)) == 4
    # one very slow call is kept, and the last
    assert single_calls(FakeClock([0.001, 30.0]), nothing, 1000, 2.0) == [0.001, 30.0]
