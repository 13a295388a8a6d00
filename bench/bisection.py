"""The search for the largest batch and the longest sequence that fit: pure functions of what was tried so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.observations import Probe
from bench.quantity import Unit, format_value
from bench.records import Case, Outcome
from bench.stats import Estimate

AXES = {"max_batch_size": "batch_size", "max_sequence_length": "sequence_length"}
# where a search ends though everything fits
LARGEST = {"max_batch_size": 2**20, "max_sequence_length": 2**17}
# at the end the largest size that fits and the smallest that does not are this close, or neighbours
CLOSE = 0.02
# 20 double and 6 halve the gap: more are needed only where answers contradict each other
MOST_TRIES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is searched for, and the case that it is told of."""

    metric: str
    case: Case

    @property
    def start(self) -> int:
        """The size to try first: that of the case itself."""
        size: int = getattr(self.case, AXES[self.metric])
        return min(size, LARGEST[self.metric])

    def case_at(self, size: int) -> Case:
        """The case at another size; it keeps its id, under which the answer is recorded."""
        return _sized(self.case, self.metric, size)


def searches(cases: Iterable[Case]) -> list[Search]:
    """A search for each metric and each group of timed cases that differ in that size alone, told of the largest of them.

    Only the lengths of a task that leaves them free are searched.
    """
    timed = [case for case in cases if case.fit is None and not case.skip]
    largest: dict[tuple[str, str], Case] = {}
    for metric, axis in AXES.items():
        for case in sorted(timed, key=lambda case: getattr(case, axis) or 0):
            if getattr(case, axis) is not None:
                group = repr(replace(_sized(case, metric, 1), id="", definition_hash=""))
                largest[metric, group] = case
    return [Search(metric=metric, case=case) for (metric, _), case in largest.items()]


def _sized(case: Case, metric: str, size: int) -> Case:
    changes: dict[str, Any] = {AXES[metric]: size}
    return replace(case, **changes)


def next_size(search: Search, probes: Iterable[Probe]) -> int | None:
    """The size to try next, or None where the search is over.

    From the start up by doubling, or down by halving, until one size fits and another does not; then halfway between them.
    A try that ended otherwise than by memory (too slow, failed) ends the search: what lies beyond it would tell no more.
    """
    tried = _tried(search, probes)
    if not tried:
        return search.start
    return None if len(tried) >= MOST_TRIES else _between(search, *_bounds(tried))


def limit(search: Search, probes: Iterable[Probe]) -> Estimate:
    """The largest size that fitted, and what kept larger ones from fitting; None where nothing fitted."""
    tried = _tried(search, probes)
    fits, fails = _bounds(tried)
    if fails is None:
        reason = f"all sizes up to {fits:,} fit"
    elif fails.outcome is Outcome.OUT_OF_MEMORY:
        asked = "" if fails.bytes_asked is None else f"{format_value(fails.bytes_asked, Unit.BYTES)} asked for at once"
        reason = f"{fails.size:,} does not fit: {asked or fails.reason}"
    elif fails.outcome is Outcome.TIMED_OUT:
        reason = f"too slow beyond {fits:,}: {fails.size:,} gave {fails.reason}"
    else:
        reason = f"{fails.size:,} {fails.outcome.value}: {fails.reason}"
    if _between(search, fits, fails) is not None:
        reason += f"; the search is not finished ({len(tried)} tries)"
    return Estimate(value=fits or None, reason=reason)


def _tried(search: Search, probes: Iterable[Probe]) -> list[Probe]:
    return [one for one in probes if one.metric == search.metric]


def _bounds(tried: Sequence[Probe]) -> tuple[int, Probe | None]:
    """The largest size that fitted, 0 if none did, and the smallest above it that did not."""
    fits = max((one.size for one in tried if one.outcome is Outcome.OK), default=0)
    above = [one for one in tried if one.outcome is not Outcome.OK and one.size > fits]
    return fits, min(above, key=lambda one: one.size, default=None)


def _between(search: Search, fits: int, fails: Probe | None) -> int | None:
    """A size that narrows the bounds, or None where they are narrow enough or cannot be narrowed."""
    if fails is None:
        most = LARGEST[search.metric]
        return min(2 * fits, most) if fits < most else None
    if fails.outcome is not Outcome.OUT_OF_MEMORY:
        return None
    if fits == 0:
        return fails.size // 2 or None
    return None if fails.size - fits <= max(1, CLOSE * fits) else (fits + fails.size) // 2
