"""The distance between Gaussians: closed forms, and what it does where there is no inverse, or no number."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg

from bench.tasks.frechet import frechet_distance, symmetric_root


def exactly(mean: list[float], covariance: np.ndarray, items: int = 400) -> np.ndarray:
    """A sample that has just this mean and covariance."""
    drawn = np.random.RandomState(0).standard_normal((items, len(mean)))
    drawn -= drawn.mean(axis=0)
    white = drawn @ np.linalg.inv(np.linalg.cholesky(np.cov(drawn, rowvar=False))).T
    return np.asarray(mean) + white @ symmetric_root(np.asarray(covariance, dtype=np.float64))


SPREAD = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, -0.3], [0.1, -0.3, 0.7]])


def test_equal_gaussians_are_nowhere_apart() -> None:
    sample = exactly([1, 2, 3], SPREAD)
    assert frechet_distance(sample, sample[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(sample, exactly([1, 2, 3], SPREAD, items=150)) == pytest.approx(0, abs=1e-9)


def test_a_shifted_mean_counts_squared() -> None:
    assert frechet_distance(exactly([0, 0, 0], SPREAD), exactly([3, -4, 0], SPREAD)) == pytest.approx(25)


def test_of_diagonal_covariances_it_is_the_difference_of_spreads_squared() -> None:
    one, other = np.diag([1.0, 4.0, 0.25]), np.diag([9.0, 1.0, 0.25])
    found = frechet_distance(exactly([0, 0, 1], one), exactly([0, 2, 1], other))
    assert found == pytest.approx(4 + (1 - 3) ** 2 + (2 - 1) ** 2)


def test_of_any_covariances_it_is_what_a_root_of_their_product_gives() -> None:
    other = np.array([[1.0, -0.4, 0.0], [-0.4, 3.0, 0.8], [0.0, 0.8, 0.5]])
    crossed = scipy.linalg.sqrtm(SPREAD @ other).real
    expected = 1 + np.trace(SPREAD + other - 2 * crossed)
    found = frechet_distance(exactly([0, 0, 0], SPREAD), exactly([0, 1, 0], other))
    assert found == pytest.approx(expected, rel=1e-9)
    assert found == pytest.approx(frechet_distance(exactly([0, 1, 0], other), exactly([0, 0, 0], SPREAD)), rel=1e-9)


def test_singular_covariances_need_no_ridge() -> None:
    one, other = (np.zeros((50, 4)) for _ in range(2))
    one[:, 0], other[:, 1] = np.linspace(-1, 1, 50), np.linspace(-2, 2, 50)
    expected = one[:, 0].var(ddof=1) + other[:, 1].var(ddof=1)
    assert frechet_distance(one, other) == pytest.approx(expected)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_what_is_no_number_has_no_distance() -> None:
    sample = exactly([0, 0, 0], SPREAD)
    broken = sample.copy()
    broken[3, 1] = np.nan
    assert math.isnan(frechet_distance(broken, sample))
    assert math.isnan(frechet_distance(sample, np.where(broken == broken, broken, np.inf)))


def test_single_precision_is_computed_in_double() -> None:
    far = exactly([1e4, 0, 0], SPREAD).astype(np.float32)
    assert frechet_distance(far, far + np.float32([1, 0, 0])) == pytest.approx(1, abs=1e-3)
