"""Orthogonal matrices made of free parameters: orthogonal to rounding, whatever values the parameters take.

Both forms are matrix products and elementwise work alone: they build on `meta`, and their FLOPs are counted, which those of
a solver, a decomposition or a matrix exponential are not. They are computed in fp32 at least, under autocast as well.

Shape suffixes: H size of the matrix, K reflections or layers of rotations, N blocks or columns, M size of a block.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures.layers import at_least_fp32, without_autocast


class Reflections(nn.Module):
    """Any orthogonal (H, H) matrix of determinant (-1)^H: a product of H Householder reflections (Mhammedi et al. 2017)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        # their lengths do not matter, but to AdamW: at this one, its steps turn a vector by as much as they do an angle
        self.vectors = nn.Parameter(torch.empty(size, size).normal_())

    def forward(self) -> Tensor:
        """The matrix, with a gradient; (H, H)."""
        with without_autocast(self.vectors.device):
            return product_of_reflections(at_least_fp32(self.vectors))


class Rotations(nn.Module):
    """Orthogonal (H, H) matrices of tunable capacity: K layers of H/2 rotations of two coordinates each (Jing et al. 2016)."""

    def __init__(self, size: int, layers: int) -> None:
        super().__init__()
        self.size = size
        self.angles = nn.Parameter(torch.empty(layers, size // 2).uniform_(-math.pi, math.pi))

    def forward(self) -> Tensor:
        """The matrix, with a gradient; (H, H)."""
        angles_KP = at_least_fp32(self.angles)
        return rotate(torch.eye(self.size, dtype=angles_KP.dtype, device=angles_KP.device), angles_KP)


def product_of_reflections(vectors_KH: Tensor) -> Tensor:
    """(H, H): the product, in their order, of the reflections I - 2 v v' / |v|^2; a row v of zeros reflects nothing.

    Not one after the other, but as I - V T V' with V the unit vectors and T triangular (the compact WY form: Schreiber &
    Van Loan 1989).
    """
    unit_KH = functional.normalize(vectors_KH, dim=1)
    factor_KK = _triangular_factor(unit_KH @ unit_KH.T)
    identity_HH = torch.eye(vectors_KH.shape[1], dtype=unit_KH.dtype, device=unit_KH.device)
    return identity_HH - unit_KH.T @ (factor_KK @ unit_KH)


def _triangular_factor(products_KK: Tensor) -> Tensor:
    """T of the compact WY form, from all dot products of the unit vectors; (K, K).

    Two neighbouring products of reflections become one, I - [V W] [[T, -T (V'W) S], [0, S]] [V W]': all neighbours at once,
    log2 K times. Vectors of zeros fill K up to a power of two.
    """
    count = len(products_KK)
    filled = 1 << (count - 1).bit_length()
    products = functional.pad(products_KK, (0, filled - count, 0, filled - count))
    factors_NMM = products.new_full((filled, 1, 1), 2.0)
    while (size := factors_NMM.shape[1]) < filled:
        left_NMM, right_NMM = factors_NMM[0::2], factors_NMM[1::2]
        blocks = products.reshape(len(left_NMM), 2 * size, len(left_NMM), 2 * size).diagonal(dim1=0, dim2=2)
        between_NMM = blocks[:size, size:].permute(2, 0, 1)
        above_NMM = -(left_NMM @ between_NMM @ right_NMM)
        upper = torch.cat([left_NMM, above_NMM], dim=2)
        lower = torch.cat([torch.zeros_like(above_NMM), right_NMM], dim=2)
        factors_NMM = torch.cat([upper, lower], dim=1)
    return factors_NMM[0, :count, :count]


def rotate(x_HN: Tensor, angles_KP: Tensor) -> Tensor:
    """Turn vectors, the columns of x, by K layers of rotations, the first layer first; (H, N).

    Even layers turn the planes (0, 1), (2, 3), ..., odd ones (1, 2), (3, 4), ..., of which the last one holds the last and
    the first coordinate (Jing et al. leave these two alone). With an odd H each layer leaves one coordinate as it is.
    """
    paired = 2 * angles_KP.shape[1]
    turns = zip(angles_KP.cos()[:, :, None], angles_KP.sin()[:, :, None], strict=True)
    for place, (cos_P1, sin_P1) in enumerate(turns):
        x_HN = x_HN.roll(-(place % 2), 0)
        first_PN, second_PN = x_HN[0:paired:2], x_HN[1:paired:2]
        turned_P2N = torch.stack(
            [cos_P1 * first_PN - sin_P1 * second_PN, sin_P1 * first_PN + cos_P1 * second_PN], dim=1
        )
        x_HN = torch.cat([turned_P2N.flatten(0, 1), x_HN[paired:]]).roll(place % 2, 0)
    return x_HN
