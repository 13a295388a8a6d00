"""Crossovers: by hand, and how often they are right about curves whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import scipy.stats

from bench.crossover import Crossover, Order, crossover
from bench.scaling import Level, level

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)
DRAWS = 1_000
ENOUGH = 0.93


def levels(
    means: Sequence[float], error: float = 0.01, lengths: Sequence[int] = LENGTHS, count: int = 5
) -> list[Level]:
    """Levels of exactly these means and standard errors."""
    return [
        Level(length=length, mean=mean, variance=error**2, freedom=count - 1)
        for length, mean in zip(lengths, means, strict=False)
    ]


def flat(count: int) -> list[Level]:
    return levels([0.0] * count)


def test_two_power_laws_cross_where_they_do() -> None:
    one, other = (
        levels([math.log(length) for length in LENGTHS]),
        levels([0.5 * math.log(500 * length) for length in LENGTHS]),
    )
    found = crossover(one, other)
    assert found.order is Order.CROSSES
    assert (found.first, found.last, found.short, found.long) == (64, 4096, -1, 1)
    (crossing,) = found.crossings
    assert crossing.at == pytest.approx(500)
    assert crossing.low < 500 < crossing.high
    assert crossing.rising
    # half the difference of the exponents, an error of about 1 % on either side
    assert 0.9 < crossing.low / crossing.at < 0.97
    turned = crossover(other, one)
    assert turned.crossings[0].at == pytest.approx(500)
    assert (turned.short, turned.long, turned.crossings[0].rising) == (1, -1, False)


def test_the_ends_are_where_a_t_test_loses_the_difference() -> None:
    """Fieller by hand, with one noisy curve and freedom known: |d| = t se, with d linear in log length."""
    exact = levels([0.0, 0.0], error=0.0, lengths=(100, 200))
    noisy = levels([1.0, -1.0], error=0.05, lengths=(100, 200))
    (crossing,) = crossover(noisy, exact).crossings
    share = math.log(crossing.low / 100) / math.log(2)
    squares = [(1 - share) ** 2, share**2]
    freedom = max(sum(squares) ** 2 / sum(one**2 / 4 for one in squares) - 1, 4)
    assert 1 - 2 * share == pytest.approx(scipy.stats.t.ppf(0.975, freedom) * 0.05 * math.sqrt(sum(squares)), rel=1e-4)
    assert crossing.low * crossing.high == pytest.approx(100 * 200)
    assert crossing.at == pytest.approx(math.sqrt(100 * 200))


@pytest.mark.parametrize(("sign", "short"), [(-1, -1), (1, 1)])
def test_one_is_faster_throughout(sign: int, short: int) -> None:
    found = crossover(levels([sign * 0.5] * 4), flat(4))
    assert (found.order, found.first, found.last) == (Order.SAME, 64, 512)
    assert (found.short, found.long, found.crossings) == (short, short, ())


@pytest.mark.parametrize(
    ("means", "low", "high", "short", "long"),
    [
        ([0.5, 0.5, 0.5, 0.0], (256, 512), None, 1, 0),
        ([0.0, 0.5, 0.5, 0.5], None, (64, 128), 0, 1),
        ([0.0, 0.0, 0.0, 0.0], None, None, 0, 0),
        ([0.5, 0.0, 0.5, 0.5], (64, 128), (128, 256), 1, 1),
        ([0.0, 0.5, -0.0, 0.0], None, None, 0, 0),
    ],
)
def test_where_it_cannot_be_told(
    means: list[float], low: tuple[int, int] | None, high: tuple[int, int] | None, short: int, long: int
) -> None:
    found = crossover(levels(means), flat(4))
    assert (found.order, found.short, found.long) == (Order.UNKNOWN, short, long)
    for end, within in ((found.low, low), (found.high, high)):
        assert (end is None) == (within is None)
        if end is not None and within is not None:
            assert within[0] < end < within[1]


def test_a_difference_within_noise_at_one_end_is_no_crossing() -> None:
    # beyond doubt at the short end; at the long end the other way, and significant only if one looked at no other length
    means = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, -0.04]
    lone = crossover(levels([0.5, -0.04]), flat(2))
    many = crossover(levels(means), flat(7))
    assert (lone.order, many.order) == (Order.CROSSES, Order.UNKNOWN)
    assert (many.short, many.long) == (1, -1)
    assert many.low is not None
    assert many.high is not None
    assert 2048 < many.low < many.high < 4096


def test_curves_may_cross_more_than_once() -> None:
    found = crossover(levels([-0.5, 0.5, 0.5, -0.5]), flat(4))
    assert [crossing.rising for crossing in found.crossings] == [True, False]
    assert found.crossings[0].at == pytest.approx(math.sqrt(64 * 128))
    assert found.crossings[1].at == pytest.approx(math.sqrt(256 * 512))
    assert (found.short, found.long) == (-1, -1)


def test_a_crossing_through_lengths_in_doubt_is_one() -> None:
    found = crossover(levels([-0.5, -0.01, 0.005, -0.005, 0.01, 0.5]), flat(6))
    (crossing,) = found.crossings
    assert 64 < crossing.low < 128
    assert 1024 < crossing.high < 2048
    assert crossing.at == pytest.approx(
        math.sqrt(256 * 512)
    )  # the middle one of three places where the means are equal


def test_without_noise_the_point_is_all() -> None:
    exact = [level(length, [0.0] * 3) for length in (64, 256)]
    found = crossover([level(64, [-1.0] * 3), level(256, [1.0] * 3)], exact)
    (crossing,) = found.crossings
    assert (crossing.low, crossing.at, crossing.high) == pytest.approx((128, 128, 128), rel=1e-5)
    assert crossover(exact, exact).order is Order.UNKNOWN
    assert crossover([level(64, [-1.0] * 3), level(256, [-1.0] * 3)], exact).order is Order.SAME


def test_only_common_lengths_count_in_any_order() -> None:
    one = levels([-0.5, -0.5, 0.5, 0.5])[::-1]
    other = [*levels([0.0], lengths=(32,)), *flat(3)]
    found = crossover(one, other)
    assert (found.order, found.first, found.last) == (Order.CROSSES, 64, 256)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        ([], "fewer than two lengths in common"),
        (levels([1.0]), "fewer than two lengths in common"),
        (levels([1.0, 1.0], lengths=(1, 2)), "fewer than two lengths in common"),
        ([level(64, [1.0]), level(128, [1.0])], "single trials"),
        ([level(64, [1.0, 1.1]), level(128, [1.0])], "single trials"),
    ],
)
def test_too_little_says_why(one: list[Level], reason: str) -> None:
    for found in (crossover(one, flat(4)), crossover(flat(4), one)):
        assert (found.order, found.reason) == (Order.UNKNOWN, reason)
        assert not found.crossings


# ── coverage ───────────────────────────────────────────────────────────────────────────────────────────────────────


def answers(
    gap: Callable[[int], float], lengths: Sequence[int], count: int, spreads: tuple[float, float]
) -> list[Crossover]:
    """What is said of draws of two curves, the second of which lies above the first by the log `gap`."""
    generator = np.random.default_rng(1)

    def drawn(curve: Callable[[int], float], spread: float) -> list[Level]:
        return [level(length, list(curve(length) + generator.normal(0, spread, count))) for length in lengths]

    return [
        crossover(drawn(math.log, spreads[0]), drawn(lambda length: math.log(length) + gap(length), spreads[1]))
        for _ in range(DRAWS)
    ]


def holds(found: Crossover, truth: float) -> bool:
    """Whether an answer allows for the true crossing: `faster throughout` does not, a range in doubt may."""
    if found.order is Order.CROSSES:
        return any(crossing.low <= truth <= crossing.high for crossing in found.crossings)
    return found.order is Order.UNKNOWN and (found.low or 0) <= truth <= (found.high or math.inf)


SETTINGS = {
    "mid-range": (500.0, LENGTHS),
    "at a measured length": (256.0, LENGTHS),
    "near the short end": (75.0, LENGTHS),
    "near the long end": (500.0, LENGTHS[:4]),
    "two lengths": (180.0, (64, 512)),
}


@pytest.mark.slow
@pytest.mark.parametrize("spreads", [(0.005, 0.005), (0.02, 0.02), (0.1, 0.1), (0.02, 0.002)], ids=str)
@pytest.mark.parametrize("trials", [3, 5, 10])
@pytest.mark.parametrize("where", SETTINGS)
def test_what_is_said_of_curves_that_cross_holds_the_truth(
    where: str, trials: int, spreads: tuple[float, float]
) -> None:
    truth, lengths = SETTINGS[where]
    found = answers(lambda length: 0.3 * math.log(length / truth), lengths, trials, spreads)
    assert sum(holds(one, truth) for one in found) / DRAWS >= ENOUGH


def test_a_plain_crossing_is_found() -> None:
    found = answers(lambda length: 0.3 * math.log(length / 500), LENGTHS, 5, (0.02, 0.02))
    assert sum(one.order is Order.CROSSES for one in found) / DRAWS >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("trials", [3, 5, 10])
@pytest.mark.parametrize(
    "gap",
    [
        pytest.param(lambda _: 0.0, id="equal"),
        pytest.param(lambda _: 0.02, id="close"),
        pytest.param(lambda length: 0.1 * (length < 70), id="equal but at the shortest"),
        pytest.param(lambda length: 0.1 * (length < 500), id="equal from the middle on"),
        pytest.param(lambda length: 0.3 * math.log(length / 64), id="meeting at the shortest"),
    ],
)
@pytest.mark.parametrize("lengths", [LENGTHS[:2], LENGTHS[:4], LENGTHS])
def test_curves_that_do_not_cross_are_seldom_said_to(
    lengths: tuple[int, ...], gap: Callable[[int], float], trials: int
) -> None:
    found = answers(gap, lengths, trials, (0.02, 0.02))
    assert sum(one.order is Order.CROSSES for one in found) / DRAWS <= 0.05
    if gap(64) == gap(4096) == 0:
        assert sum(one.order is Order.SAME for one in found) / DRAWS <= 0.05
