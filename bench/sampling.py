"""Warm-up, calibration, samples and when to stop: pure logic over a clock, so that a fake clock tests it exactly."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from bench.records import Measure

Call = Callable[[], object]
Mark = Callable[[str], None]
"""Says what ran since the last mark."""
MarkedCall = Callable[[Mark], object]

STEADY_WITHIN = 0.02
WINDOW_CALLS = 5
WINDOW_S = 0.05
MOST_SAMPLES = 375


class Clock(Protocol):
    """Owns time and synchronisation; nothing else synchronises."""

    @property
    def least_sample_s(self) -> float:
        """The shortest sample that this clock can be trusted with."""

    def time(self, call: Call, iterations: int) -> float:
        """Seconds that `iterations` calls took together."""

    def parts(self, call: MarkedCall) -> Mapping[str, float]:
        """Seconds of the parts of one call, by the names that it marks them with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """What came before the samples; `call_s` is the median of its last window."""

    first_call_s: float
    seconds: float
    calls: int
    steady: bool
    call_s: float


def warm_up(clock: Clock, call: Call, measure: Measure, rotation: int = 1) -> WarmUp:
    """Call until times are steady; calls over batches of different sizes are timed by whole rotations.

    At least `warmup_s` and `warmup_calls`; then until the medians of two successive windows (5 calls and 50 ms at least)
    differ by less than 2 %. The cap, counted from the third call on, ends both; what has not settled by then is not steady.
    """
    times = [clock.time(call, 1)]
    seconds, calls = times[0], 1
    while True:
        taken = clock.time(call, rotation)
        times.append(taken / rotation)
        seconds, calls = seconds + taken, calls + rotation
        capped = seconds - sum(times[:3]) >= measure.warmup_cap_s
        enough = seconds >= measure.warmup_s and calls >= measure.warmup_calls
        if not (capped or enough):
            continue
        size = _window(times, shrink=capped)
        settled = size is not None and _settled(times, size)
        if settled or capped:
            last = times[-(size or 1) :]
            return WarmUp(first_call_s=times[0], seconds=seconds, calls=calls, steady=settled, call_s=median(last))


def _window(times: Sequence[float], shrink: bool) -> int | None:
    """Calls in a window, counted from the end; None while two of them do not fit (slow calls get smaller ones at the cap)."""
    size, seconds = 0, 0.0
    for seconds_of_call in reversed(times):
        if size >= WINDOW_CALLS and seconds >= WINDOW_S:
            break
        size, seconds = size + 1, seconds + seconds_of_call
    # the first call is never part of a window
    most = (len(times) - 1) // 2
    if size <= most:
        return size
    return most if shrink and most >= 2 else None


def _settled(times: Sequence[float], size: int) -> bool:
    before, after = median(times[-2 * size : -size]), median(times[-size:])
    return abs(after - before) < STEADY_WITHIN * before


def calibrate(clock: Clock, call: Call, call_s: float, rotation: int = 1) -> int:
    """Calls per sample, so that a sample lasts as long as the clock needs; done once per case, in its pilot.

    Calls over batches of different sizes come in whole rotations, so that all samples are of the same work.
    """
    rotations = max(1, math.ceil(clock.least_sample_s / max(call_s, 1e-9) / rotation))
    while clock.time(call, rotations * rotation) < clock.least_sample_s * 0.9:
        rotations *= 2
    return rotations * rotation


def samples_per_trial(sample_s: float, measure: Measure) -> int:
    """Samples in every trial of a case whose samples last this long: as many as `trial_s` holds, within limits."""
    return max(measure.samples, min(MOST_SAMPLES, round(measure.trial_s / max(sample_s, 1e-9))))


def collect(clock: Clock, call: Call, iterations: int, samples: int) -> list[float]:
    """Seconds per call, one value a sample; the garbage collector rests meanwhile."""
    with at_rest():
        return [clock.time(call, iterations) / iterations for _ in range(samples)]


def single_calls(clock: Clock, call: Call, most: int, most_s: float) -> list[float]:
    """Seconds of single calls: `most` of them, but none begun after `most_s` seconds."""
    times: list[float] = []
    seconds = 0.0
    with at_rest():
        while len(times) < most and seconds < most_s:
            times.append(clock.time(call, 1))
            seconds += times[-1]
    return times


@contextmanager
def at_rest() -> Iterator[None]:
    """The garbage collector rests."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def stop_criterion(half_width: float | None, kept: int, taken: int, measure: Measure) -> str | None:
    """Why a case needs no further trial, or None; looks at precision only, never at who is faster.

    Args:
        half_width: of the interval over the trials that figures are made of.
        kept: trials that nothing speaks against.
        taken: good trials in all; disturbed ones are repeated at most once each.
        measure: the target, and the least and the most trials.
    """
    precise = half_width is not None and half_width <= measure.target
    if precise and kept >= measure.min_rounds:
        return f"precision of {measure.target:.1%} reached"
    if kept >= measure.max_rounds:
        return f"cap of {measure.max_rounds} trials"
    disturbed = taken - kept
    if precise and taken >= 2 * measure.min_rounds:
        return f"precision of {measure.target:.1%} reached, {disturbed} of {taken} trials disturbed"
    if taken >= 2 * measure.max_rounds:
        return f"cap of {taken} trials, {disturbed} of them disturbed"
    return None
