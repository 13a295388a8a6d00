"""Grid LSTM over time and depth: LSTM cells, each with a memory of its own, along both dimensions.

The block of layer l at time t gets (h, m) of the time dimension from t - 1, and (h, m) of the depth dimension from l - 1.
Both of its LSTM transforms see both h; each works on its own memory. The input becomes the (h, m) that enters the bottom
layer, and the answer is read from the h that leaves the top.

What goes along time needs nothing of its own layer's depth cells, so a layer is torch's fused LSTM over the h from below, and
then all its depth cells at once. Anti-diagonals of time x depth would be fewer steps (their sum, not their product), but
steps of Python, each a dozen operators. The transform is therefore torch's, h = o * tanh(m); the paper has h = tanh(o * m).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from bench.architectures import State, architecture, streams
from bench.architectures.cells import answered
from bench.architectures.layers import Embedding, answer_size, embedding_count, linear_count
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec

FORGET_BIAS = 1.0
"""Initial bias of all forget gates: a fresh cell remembers (Gers 2000), as that of `lstm` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `grid-lstm`."""

    embedding_dim: int = option(128, "size of a word's vector", at_least=1)
    hidden_dim: int = option(128, "size of the state and of the memory, in each dimension", at_least=1)
    num_layers: int = option(2, "layers along depth", at_least=1)
    tied: bool = option(False, "all layers have the same weights")
    dropout: float = option(
        0.5, "share dropped in training between layers and before the classifier", at_least=0, below=1
    )


class GridClassifier(nn.Module):
    """(B, L) tokens or (B, L, D) vectors to (B, C) logits or values, from the top of the grid at the last real position.

    Where each step has a class, (B, L, C), from the top of every column.
    """

    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        size = hyperparameters.hidden_dim
        own_weights = 1 if hyperparameters.tied else hyperparameters.num_layers
        self.num_layers = hyperparameters.num_layers
        self.embedding = Embedding(spec, hyperparameters.embedding_dim)
        self.entrance = nn.Linear(hyperparameters.embedding_dim, 2 * size)
        self.time = nn.ModuleList(nn.LSTM(size, size, batch_first=True) for _ in range(own_weights))
        self.depth = nn.ModuleList(nn.Linear(2 * size, 4 * size) for _ in range(own_weights))
        self.dropout = nn.Dropout(hyperparameters.dropout)
        self.each_step = spec.outputs is OutputKind.STEP_CLASSES
        self.classifier = nn.Linear(size, answer_size(spec))
        with torch.no_grad():
            for name, parameter in [*self.time.named_parameters(), *self.depth.named_parameters()]:
                if "bias" in name:
                    # torch's LSTM adds two bias vectors; gates lie in the order input, forget, cell, output
                    parameter[size : 2 * size].fill_(0.0 if "_hh_" in name else FORGET_BIAS)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits; `lengths` (B,) on the CPU, None where every row is full."""
        seen_BLS, memory_BLH, _ = self._climb(inputs)
        return self._answer(*(answered(each, lengths, each_step=self.each_step) for each in (seen_BLS, memory_BLH)))

    def init_state(self, prefix: Tensor) -> State:
        """Hidden states and memories of the time dimension, (layers, B, H) each."""
        if prefix.shape[1]:
            return self._climb(prefix)[2]
        zeros = self.classifier.weight.new_zeros(self.num_layers, len(prefix), self.classifier.in_features)
        return zeros, zeros

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits after one more token (B,) or vector (B, D): one column of the grid."""
        seen_B1S, memory_B1H, after = self._climb(inputs[:, None], state)
        return self._answer(seen_B1S[:, 0], memory_B1H[:, 0]), after

    def _climb(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, Tensor, State]:
        """Everything but the depth cells of the top layer, which only positions with an answer need.

        Returns:
            Both h that they see, (B, L, 2H); the memory that comes up to them, (B, L, H); the state after the last position.
        """
        hidden_BLH, memory_BLH = self.entrance(self.embedding(inputs)).chunk(2, dim=2)
        if state is None:
            zeros = hidden_BLH.new_zeros(self.num_layers, len(inputs), hidden_BLH.shape[2])
            state = zeros, zeros
        after: list[State] = []
        for layer in range(self.num_layers):
            before = state[0][layer : layer + 1], state[1][layer : layer + 1]
            along_BLH, last = self.time[layer % len(self.time)](hidden_BLH, before)
            arriving_BLH = torch.cat([before[0].transpose(0, 1), along_BLH[:, :-1]], dim=1)
            seen_BLS = torch.cat([arriving_BLH, hidden_BLH], dim=2)
            after.append(last)
            if layer + 1 < self.num_layers:
                hidden_BLH, memory_BLH = lstm_cell(self._depth_gates(layer, seen_BLS), memory_BLH)
                hidden_BLH = self.dropout(hidden_BLH)
        return seen_BLS, memory_BLH, tuple(torch.cat(parts) for parts in zip(*after, strict=True))

    def _answer(self, seen: Tensor, memory: Tensor) -> Tensor:
        """Logits (..., C) from the depth cells of the top layer, which see (..., 2H) and a memory (..., H)."""
        hidden, _ = lstm_cell(self._depth_gates(self.num_layers - 1, seen), memory)
        return cast(Tensor, self.classifier(self.dropout(hidden)))

    def _depth_gates(self, layer: int, seen: Tensor) -> Tensor:
        return cast(Tensor, self.depth[layer % len(self.depth)](seen))


def lstm_cell(gates: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """One LSTM transform: the next h and memory, (..., H), from gates (..., 4H) in torch's order."""
    entering, forgetting, candidate, leaving = gates.chunk(4, dim=-1)
    memory = torch.addcmul(forgetting.sigmoid() * memory, entering.sigmoid(), candidate.tanh())
    return leaving.sigmoid() * memory.tanh(), memory


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Embedding, entrance, per layer a cell along time (torch's, with two bias vectors) and one along depth, classifier."""
    size, hidden = hyperparameters.embedding_dim, hyperparameters.hidden_dim
    layer = 4 * hidden * (2 * hidden + 2) + linear_count(2 * hidden, 4 * hidden)
    layers = (1 if hyperparameters.tied else hyperparameters.num_layers) * layer
    ends = linear_count(size, 2 * hidden) + linear_count(hidden, answer_size(spec))
    return embedding_count(spec, size) + layers + ends


@architecture(
    "grid-lstm",
    summary="LSTM cells along time and along depth, top of the last column, linear layer",
    source="Kalchbrenner, Danihelka & Graves 2015, Grid Long Short-Term Memory",
    inputs=[InputKind.TOKENS, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES, OutputKind.STEP_CLASSES, OutputKind.VALUE],
    hyperparameters=Hyperparameters,
    width="hidden_dim",
    parameter_count=parameter_count,
    not_streaming=streams,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A Grid LSTM classifier."""
    return GridClassifier(spec, hyperparameters)
