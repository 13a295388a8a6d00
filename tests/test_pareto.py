"""The front between speed and score, on made figures."""

from __future__ import annotations

import random

import pytest

from bench.quantity import Better
from bench.report.pareto import Place, beaten, front
from bench.report.ranking import beyond
from bench.stats import Estimate


def _place(throughput: float, score: float, half: float = 0.0) -> Place:
    def around(value: float) -> Estimate:
        return Estimate(value=value, low=value - half, high=value + half)

    return Place(throughput=around(throughput), score=around(score))


PLACES = {
    "best": _place(10, 0.9),
    "between": _place(20, 0.8),
    "fastest": _place(40, 0.5),
    "below": _place(15, 0.7),
    "slow": _place(10, 0.8),
}


def test_the_front_runs_from_the_best_score_to_the_highest_throughput() -> None:
    assert front(PLACES, Better.HIGHER) == ["best", "between", "fastest"]
    # of an error the lowest is the best
    assert front(PLACES, Better.LOWER) == ["fastest"]
    assert front(PLACES, Better.NEITHER) == []
    assert front({}, Better.HIGHER) == []


def test_equals_are_both_on_the_front() -> None:
    assert front({"one": _place(1, 1), "other": _place(1, 1)}, Better.HIGHER) == ["one", "other"]


def test_beaten_beyond_doubt_takes_both_intervals() -> None:
    # "between" is no faster than "slow" by its score alone, nor is "slow" beaten by "best", which is as slow
    assert beaten(PLACES, Better.HIGHER) == {"below": "between"}
    wide = {name: _place(one.throughput.value or 0, one.score.value or 0, half=0.06) for name, one in PLACES.items()}
    assert beaten(wide, Better.HIGHER) == {}


def test_a_single_trial_beats_nobody() -> None:
    lone = Estimate(value=100, reason="a single trial has no interval")
    places = {"lone": Place(throughput=lone, score=Estimate(value=1, low=1, high=1)), "other": _place(1, 0.1)}
    assert beaten(places, Better.HIGHER) == {}


@pytest.mark.parametrize("seed", range(20))
def test_who_is_beaten_is_not_on_the_front(seed: int) -> None:
    draw = random.Random(seed)
    places = {
        number: _place(draw.uniform(1, 9), draw.uniform(1, 9), half=draw.choice([0, 0.5])) for number in range(12)
    }
    for better in (Better.HIGHER, Better.LOWER):
        kept = front(places, better)
        for loser, winner in beaten(places, better).items():
            assert loser not in kept
            assert beyond(places[winner].throughput, places[loser].throughput, Better.HIGHER)
            assert beyond(places[winner].score, places[loser].score, better)
        values = [(places[key].score.value, places[key].throughput.value) for key in kept]
        assert values == sorted(values, reverse=better is Better.HIGHER, key=lambda pair: pair[0] or 0)
