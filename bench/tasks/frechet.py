"""How far two sets of feature vectors are apart, each taken for a Gaussian: what is known as FID, in features of ours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.floating[Any]]
Values = NDArray[np.float64]


def frechet_distance(one_ND: Features, other_ND: Features) -> float:
    """Squared Fréchet (2-Wasserstein) distance of the Gaussians with the means and covariances of two samples.

    |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^(1/2)), in float64. The trace of the root is that of (C1^(1/2) C2 C1^(1/2))^(1/2),
    which is symmetric and so needs no ridge where a covariance is singular. Few items are said to be further apart than
    many would be: only distances over as many items compare.

    Source: Dowson & Landau 1982, The Fréchet Distance between Multivariate Normal Distributions; Heusel et al. 2017.

    Returns:
        At least 0; not a number where a feature is none. Each sample has at least two vectors, of one length.
    """
    if not (np.isfinite(one_ND).all() and np.isfinite(other_ND).all()):
        return math.nan
    (mean, covariance), (other_mean, other_covariance) = _moments(one_ND), _moments(other_ND)
    root = symmetric_root(covariance)
    crossed = np.sqrt(np.linalg.eigvalsh(root @ other_covariance @ root).clip(min=0)).sum()
    between = np.square(mean - other_mean).sum()
    return max(0.0, float(between + covariance.trace() + other_covariance.trace() - 2 * crossed))


def _moments(sample_ND: Features) -> tuple[Values, Values]:
    sample = sample_ND.astype(np.float64)
    return sample.mean(axis=0), np.atleast_2d(np.cov(sample, rowvar=False))


def symmetric_root(covariance_DD: Values) -> Values:
    """The symmetric square root of a covariance; what rounding made negative counts as 0."""
    values, vectors = np.linalg.eigh(covariance_DD)
    root: Values = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root
