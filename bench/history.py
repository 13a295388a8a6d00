"""How the figures of a suite moved over its stored runs, and where they jumped. Pure, no torch; it reports and gates nothing.

The replicate is the run: one machine drifts by some per cent from run to run, all cases together, so intervals inside a
run say little about the next one. Runs of different machines or definitions are never put into one series.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from bench.compare import EXACT, POINT, judged_score
from bench.compare_times import LEVEL, TIME_THRESHOLD
from bench.estimates import estimates, good_fits
from bench.frames import Runs
from bench.observations import CaseResult
from bench.quantity import METRICS
from bench.records import Case, Gate
from bench.stats import Estimate, pooled
from bench.verdicts import TIME

TIMED = "latency_p10_s"
"""The time that is followed: what is lowest in a run is what other work on the machine moves least."""

LEAST_RUNS = 3
"""On each side of a jump of anything that has noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run's figure."""

    run_id: str
    created: str
    commit: str | None
    estimate: Estimate

    @property
    def value(self) -> float:
        """The figure itself; a series has no points without one."""
        assert self.estimate.value is not None
        return self.estimate.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """Where a series changed its level.

    Attributes:
        at: the place of the first point of the new level.
        change: relative (0.05 = 5 % more), for scores the difference; from the level before to the level after.
        low: end of its 95 % interval over runs; None for what has no noise.
        high: the other end.
    """

    at: int
    change: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric of one case on one machine, the oldest run first."""

    machine: str
    fingerprint: str
    case: Case
    metric: str
    points: tuple[Point, ...]
    jumps: tuple[Jump, ...] = ()

    @property
    def is_score(self) -> bool:
        """Whether its changes are differences, in the unit of the metric."""
        return self.metric != TIMED and self.metric not in EXACT

    @property
    def can_jump(self) -> bool:
        """Whether it has enough runs for a jump to be told at all."""
        return len(self.points) >= (2 if self.metric in EXACT else 2 * LEAST_RUNS)

    def levels(self) -> Iterator[Sequence[Point]]:
        """The points between jumps."""
        ends = [0, *(jump.at for jump in self.jumps), len(self.points)]
        for start, end in pairwise(ends):
            yield self.points[start:end]


def history(runs: Runs) -> list[Series]:
    """The series of some runs, in any order, by machine, case and metric, with their jumps.

    What has noise is tested at 5 % over all series together (Bonferroni), at the thresholds of the newest run's `[gate]`.
    """
    if not runs:
        return []
    ordered = sorted(runs, key=lambda one: (one[0].created, one[0].run_id))
    gate = ordered[-1][0].plan.gate
    series = list(_series(ordered))
    noisy = sum(one.can_jump and one.metric not in EXACT for one in series)
    return [replace(one, jumps=tuple(_jumps(one, gate, LEVEL / max(1, noisy)))) for one in series]


def _series(ordered: Runs) -> list[Series]:
    found: dict[tuple[str, str, str], Series] = {}
    for run, results in ordered:
        for result in results:
            for metric, estimate in _followed(result):
                key = (run.machine.fingerprint, result.case.definition_hash, metric)
                point = Point(run_id=run.run_id, created=run.created, commit=run.commit, estimate=estimate)
                so_far = found[key].points if key in found else ()
                found[key] = Series(
                    machine=run.machine.name,
                    fingerprint=run.machine.fingerprint,
                    case=result.case,
                    metric=metric,
                    points=(*so_far, point),
                )
    machines = list(dict.fromkeys(fingerprint for fingerprint, _, _ in found))
    return sorted(found.values(), key=lambda one: machines.index(one.fingerprint))


def _followed(result: CaseResult) -> Iterator[tuple[str, Estimate]]:
    """The metrics that are followed: the time, the score that is judged, and all that has no noise."""
    known, fits = estimates(result), good_fits(result)
    for name in (TIMED, judged_score(list(fits[0].metrics)) if fits else "", *EXACT):
        if name in known and name in METRICS and known[name].value is not None:
            yield name, known[name]


def _jumps(series: Series, gate: Gate, level: float) -> Iterator[Jump]:
    kind = EXACT.get(series.metric)
    usual = kind.threshold if kind else POINT if series.is_score else TIME_THRESHOLD
    threshold = gate.threshold(series.case.id, TIME if series.metric == TIMED else series.metric, usual)
    values = [point.value for point in series.points]
    if threshold is None:
        return iter(())
    if kind:
        return _steps(values, threshold, kind.resolution)
    if series.is_score:
        return _told(values, threshold, level)
    return map(_relative, _told([math.log(value) for value in values], math.log1p(threshold), level))


def _relative(jump: Jump) -> Jump:
    low, high = (None if end is None else math.expm1(end) for end in (jump.low, jump.high))
    return Jump(at=jump.at, change=math.expm1(jump.change), low=low, high=high)


def _steps(values: Sequence[float], threshold: float, resolution: float) -> Iterator[Jump]:
    """Every change of what has no noise, against the first value of the level."""
    level = values[0]
    for place, value in enumerate(values):
        if abs(value - level) > max(threshold * level, resolution):
            yield Jump(at=place, change=value / level - 1 if level else math.inf)
            level = value


def _told(values: Sequence[float], threshold: float, level: float) -> Iterator[Jump]:
    """The jumps of a series with noise, with their size and its interval."""
    ends = [0, *change_points(values, threshold, level), len(values)]
    for start, at, end in zip(ends, ends[1:], ends[2:], strict=False):
        difference = pooled(values[start:at], values[at:end])
        half = difference.half_width()
        yield Jump(at=at, change=difference.mean, low=difference.mean - half, high=difference.mean + half)


def change_points(values: Sequence[float], threshold: float, level: float, start: int = 0) -> list[int]:
    """Where independent values change their mean: binary segmentation (Scott & Knott 1974) by t tests.

    Of the places with at least three values on each side the one with the smallest p counts, where that is below `level`
    after Bonferroni over the places, and the means are further apart than `threshold`; then both sides are searched alike.
    """
    places = range(LEAST_RUNS, len(values) - LEAST_RUNS + 1)
    if not places:
        return []
    p, apart, place = min((*_p(values[:place], values[place:]), place) for place in places)
    if p * len(places) >= level or -apart <= threshold:
        return []
    before = change_points(values[:place], threshold, level, start)
    return [*before, start + place, *change_points(values[place:], threshold, level, start + place)]


def _p(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    """The p of a two-sided test that the means are equal, and the negative of how far they are apart: less is clearer."""
    difference = pooled(before, after)
    apart = difference if difference.mean >= 0 else difference.mirrored()
    return min(1.0, 2 * apart.p_above(0.0)), -apart.mean
