"""The two-dimensional LSTM of Graves et al. for images, read one anti-diagonal at a time.

A cell sees the states of its neighbours above and to the left, zero beyond the border. It has an input gate, an output gate,
and a forget gate for each neighbour; peepholes are left out, as in torch's LSTM. All cells of an anti-diagonal (row + column
the same) need only those of the one before it, so H x W places take H + W - 1 steps (Voigtlaender et al. 2016, Handwriting
Recognition with Large Multidimensional LSTM), and scans from all four corners are one batched computation.

Shape suffixes: B images, K directions, P places of the grid, N places of an anti-diagonal, R rows of a product (N * B),
F values of a patch, H hidden, S all that a cell sees (F + 2H), G gates (5H: input, output, forget above and left, candidate).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import architecture
from bench.architectures.layers import answer_size, linear_count
from bench.errors import ModelError
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec

FLIPS = ((), (1,), (0,), (0, 1))
"""The sides to flip so that each direction begins at the top left: that corner itself, top right, bottom left, bottom right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `mdlstm`."""

    hidden_dim: int = option(32, "size of the state, in each direction", at_least=1)
    patch: int = option(
        1, "side of the square of pixels that a cell reads; zeros fill up an image that it does not divide", at_least=1
    )
    directions: int = option(4, "scans from the top left corner only, or from all four", choices=(1, 4))
    dropout: float = option(0.2, "share dropped in training before the classifier", at_least=0, below=1)


class ImageScan(nn.Module):
    """Patches (P, B, F) of a grid, row by row, to the mean state of each direction, (B, K * H)."""

    order: Tensor  # (K, P)

    def __init__(self, grid: tuple[int, int], patch_values: int, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        directions, hidden = hyperparameters.directions, hyperparameters.hidden_dim
        bound = hidden**-0.5
        weight_KSG = torch.empty(directions, patch_values + 2 * hidden, 5 * hidden).uniform_(-bound, bound)
        self.weight = nn.Parameter(weight_KSG)  # S: the patch, the state above, the state to the left
        # at zero both forget gates are a half; with a larger sum cells grow from step to step (Leifert et al. 2016)
        self.bias = nn.Parameter(torch.zeros(directions, 1, 5 * hidden))
        self.diagonals = diagonals(*grid)
        self.register_buffer("order", scan_order(*grid)[:directions], persistent=False)

    def forward(self, x_PBF: Tensor) -> Tensor:
        """Mean states, the directions side by side."""
        (directions, places), (batch, values) = self.order.shape, x_PBF.shape[1:]
        x_KPBF = x_PBF.index_select(0, self.order.flatten()).view(directions, places, batch, values)
        hidden_KNBH = cell_KNBH = x_PBF.new_zeros(directions, 0, batch, self.bias.shape[2] // 5)
        states_KNBH = []
        # a patch is small beside two states: a product of its own over all places would cost more than it saves
        pieces = torch.split(x_KPBF, [count for _, count in self.diagonals], dim=1)
        for piece_KNBF, (first, _) in zip(pieces, self.diagonals, strict=True):
            hidden_KNBH, cell_KNBH = self._step(piece_KNBF, bordered(hidden_KNBH), bordered(cell_KNBH), first)
            states_KNBH.append(hidden_KNBH)
        return torch.cat(states_KNBH, dim=1).mean(dim=1).transpose(0, 1).flatten(1)

    def _step(self, x_KNBF: Tensor, hidden_KNBH: Tensor, cell_KNBH: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """States and cells of an anti-diagonal from those of the one before it, which has a border at both ends.

        The place at `first` is above the first of the new ones, the next one to its left.
        """
        (count, batch), hidden = x_KNBF.shape[1:3], hidden_KNBH.shape[3]
        above, left = slice(first, first + count), slice(first + 1, first + 1 + count)
        seen_KRS = torch.cat([x_KNBF, hidden_KNBH[:, above], hidden_KNBH[:, left]], dim=3).flatten(1, 2)
        gates_KNBG = torch.baddbmm(self.bias, seen_KRS, self.weight).view(-1, count, batch, 5 * hidden)
        gating, candidate = torch.split(gates_KNBG, [4 * hidden, hidden], dim=3)
        entering, leaving, keep_above, keep_left = gating.sigmoid().chunk(4, dim=3)
        kept = torch.addcmul(keep_above * cell_KNBH[:, above], keep_left, cell_KNBH[:, left])
        cell = torch.addcmul(kept, entering, candidate.tanh())
        return leaving * cell.tanh(), cell


class ImageScanClassifier(nn.Module):
    """(B, C, H, W) images to (B, classes) logits, from the mean over all places of the joined directions.

    The source labels every pixel from the states at it; here the scores of all pixels are averaged.
    """

    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        patch_values, rows, columns = grid_shape(spec, hyperparameters)
        self.patch = hyperparameters.patch
        self.scan = ImageScan((rows, columns), patch_values, hyperparameters)
        self.dropout = nn.Dropout(hyperparameters.dropout)
        joined = hyperparameters.directions * hyperparameters.hidden_dim
        self.classifier = nn.Linear(joined, answer_size(spec))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        return cast(Tensor, self.classifier(self.dropout(self.scan(patches(inputs, self.patch)))))


def bordered(states_KNBH: Tensor) -> Tensor:
    """One zero place before the first and after the last."""
    return functional.pad(states_KNBH, (0, 0, 0, 0, 1, 1))


def diagonals(height: int, width: int) -> list[tuple[int, int]]:
    """Every anti-diagonal: where its first upper neighbour stands in the one before it, border counted; and its places.

    From the top row down, place i of a diagonal lies below i - 1 and to the right of i of the one before; when the right
    border is reached, diagonals lose their top place, and both neighbours move up by one.
    """
    return [
        (int(number >= width), min(number, height - 1) - max(0, number - width + 1) + 1)
        for number in range(height + width - 1)
    ]


def scan_order(height: int, width: int) -> Tensor:
    """(4, P): the places of the grid in the order of each direction's anti-diagonals, each from its own top row down."""
    number_P = (torch.arange(height)[:, None] + torch.arange(width)).flatten()
    by_diagonal_P = number_P.argsort(stable=True)
    grid = torch.arange(height * width).view(height, width)
    return torch.stack([grid.flip(sides).flatten()[by_diagonal_P] for sides in FLIPS])


def patches(images: Tensor, side: int) -> Tensor:
    """(B, C, H, W) to (P, B, F): squares of pixels row by row, with zeros to the right and below where they do not divide."""
    batch, channels, height, width = images.shape
    rows, columns = -(-height // side), -(-width // side)
    filled = functional.pad(images, (0, columns * side - width, 0, rows * side - height))
    squares = filled.reshape(batch, channels, rows, side, columns, side)
    return squares.permute(2, 4, 0, 1, 3, 5).reshape(rows * columns, batch, channels * side * side)


def grid_shape(spec: Spec, hyperparameters: Hyperparameters) -> tuple[int, int, int]:
    """Values of a patch, rows and columns of patches.

    Raises:
        ModelError: the task has no images.
    """
    if spec.image_shape is None:
        raise ModelError("mdlstm: the task's spec gives no image_shape, which it needs; name a task with images")
    channels, height, width = spec.image_shape
    side = hyperparameters.patch
    return channels * side * side, -(-height // side), -(-width // side)


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Five gates of the patch, two neighbours and a bias in each direction; the classifier."""
    patch_values, _, _ = grid_shape(spec, hyperparameters)
    directions, hidden = hyperparameters.directions, hyperparameters.hidden_dim
    cells = directions * linear_count(patch_values + 2 * hidden, 5 * hidden)
    return cells + linear_count(directions * hidden, answer_size(spec))


@architecture(
    "mdlstm",
    summary="two-dimensional LSTM over pixels or patches, from one or four corners, mean state, linear layer",
    source="Graves, Fernandez & Schmidhuber 2007, Multi-Dimensional Recurrent Neural Networks",
    inputs=[InputKind.IMAGE],
    outputs=[OutputKind.CLASSES, OutputKind.VALUE],
    hyperparameters=Hyperparameters,
    width="hidden_dim",
    parameter_count=parameter_count,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A multi-dimensional LSTM classifier of images."""
    return ImageScanClassifier(spec, hyperparameters)
