"""What there is to choose between speed and score: the front of the figures, and who is beaten beyond doubt."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bench.quantity import Better
from bench.report.ranking import beyond
from bench.stats import Estimate

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a variant stands: its throughput (higher is better) and its score, both with values."""

    throughput: Estimate
    score: Estimate


def front(places: Mapping[K, Place], better: Better) -> list[K]:
    """Whom no other's figures beat, from the best score to the highest throughput; empty if no way of the score is better.

    By the figures alone, intervals aside: a line to draw, not a claim. One figure beats another that it is not below in either
    quantity and above in one.
    """
    if better is Better.NEITHER:
        return []
    sign = 1 if better is Better.HIGHER else -1
    figures = {key: (sign * (one.score.value or 0.0), one.throughput.value or 0.0) for key, one in places.items()}
    kept: list[K] = []
    for key in sorted(figures, key=figures.__getitem__, reverse=True):
        # whoever comes later has no better score
        if not kept or figures[key][1] > figures[kept[-1]][1] or figures[key] == figures[kept[-1]]:
            kept.append(key)
    return kept


def beaten(places: Mapping[K, Place], better: Better) -> dict[K, K]:
    """Who is beaten beyond doubt, and by whom: another's whole intervals lie beyond theirs, in throughput and in score."""
    found: dict[K, K] = {}
    for key, one in places.items():
        for other_key, other in places.items():
            faster = beyond(other.throughput, one.throughput, Better.HIGHER)
            if faster and beyond(other.score, one.score, better):
                found[key] = other_key
                break
    return found
