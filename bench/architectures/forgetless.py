"""The LSTM of 1997, before the forget gate: c_t = c_{t-1} + i_t * g_t, h_t = o_t * tanh(c_t).

torch has no such cell. Its fused LSTM with a forget gate whose weights are 0 and whose bias is so large that it is always 1
is the same function and 2 to 3 times as fast as a loop over time of three gates, forward and backward, on CPU; so that is
what runs. The fourth gate is no parameter and never learns, but its products are computed, and counted as FLOPs.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from bench.architectures.layers import Kept

GATES = 3
ALWAYS_OPEN = 60.0
"""A bias at which the sigmoid is 1 to the last digit of a double."""

Ends = tuple[Tensor, Tensor]
"""Hidden states and cells, each (layers * directions, B, H)."""


class ForgetlessLSTM(nn.Module):
    """`nn.LSTM` with `batch_first`, over items or packed, but for the forget gate.

    Parameters have torch's names, spread and order of gates: input, candidate, output.
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, num_layers: int, bidirectional: bool, dropout: float
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        directions = ("", "_reverse") if bidirectional else ("",)
        self.suffixes = [f"_l{layer}{direction}" for layer in range(num_layers) for direction in directions]
        self._kept = Kept[list[Tensor]]()
        bound = 1 / math.sqrt(hidden_size)
        for place, suffix in enumerate(self.suffixes):
            below = input_size if place < len(directions) else len(directions) * hidden_size
            for name, sizes in (
                ("weight_ih", (below,)),
                ("weight_hh", (hidden_size,)),
                ("bias_ih", ()),
                ("bias_hh", ()),
            ):
                values = torch.empty(GATES * hidden_size, *sizes).uniform_(-bound, bound)
                self.register_parameter(name + suffix, nn.Parameter(values))

    def forward(self, x: Tensor | PackedSequence, state: Ends | None = None) -> tuple[Tensor | PackedSequence, Ends]:
        """Outputs at all positions, (B, L, K) or packed as `x` is, and the last states; from `state`, or from zeros."""
        data = x.data if isinstance(x, PackedSequence) else x
        rows = int(x.batch_sizes[0]) if isinstance(x, PackedSequence) else len(x)
        zeros = data.new_zeros(len(self.suffixes), rows, self.hidden_size)
        start = (zeros, zeros) if state is None else state
        settings = (self._kept_weights(), True, self.num_layers, self.dropout, self.training, self.bidirectional)
        if not isinstance(x, PackedSequence):
            output, hidden, cell = _lstm(data, start, *settings, True)
            return output, (hidden, cell)
        hidden, cell = _reordered(start, x.sorted_indices)
        output, hidden, cell = _lstm(data, x.batch_sizes, (hidden, cell), *settings)
        packed = PackedSequence(output, x.batch_sizes, x.sorted_indices, x.unsorted_indices)
        return packed, _reordered((hidden, cell), x.unsorted_indices)

    def _kept_weights(self) -> list[Tensor]:
        """As `_weights`; where no gradient is asked for, made anew only if one of them has changed."""
        if torch.is_grad_enabled():
            return self._weights()
        return self._kept.get(self.parameters(), self._weights)

    def _weights(self) -> list[Tensor]:
        """What torch takes: of each layer and direction both matrices and both biases, with the fourth gate in its place."""
        found = []
        for suffix in self.suffixes:
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                entering, *others = getattr(self, name + suffix).chunk(GATES)
                forget = torch.full_like(entering, ALWAYS_OPEN if name == "bias_ih" else 0.0)
                found.append(torch.cat([entering, forget, *others]))
        return found


def _lstm(data: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    if not data.is_cuda:
        return torch.lstm(data, *arguments)
    with warnings.catch_warnings():
        # cuDNN wants all weights in one piece, and says so at every call; here they are put together anew for each
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")
        return torch.lstm(data, *arguments)


def _reordered(ends: Ends, rows: Tensor | None) -> Ends:
    hidden, cell = ends
    return ends if rows is None else (hidden.index_select(1, rows), cell.index_select(1, rows))
