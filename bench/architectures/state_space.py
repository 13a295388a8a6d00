"""What classifiers on state spaces share: a stack of residual layers, read at the last real position, and streaming.

A layer reads (B, L, D) and keeps a state of fixed size; the model's state is that of all its layers, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from bench.architectures import State
from bench.architectures.cells import answered
from bench.architectures.layers import Embedding, answer_size
from bench.spec import OutputKind, Spec


class Layer(Protocol):
    """One layer, its residual connection included."""

    def zeros(self, rows: int) -> State:
        """The state before anything was read."""

    def begin(self, x_BLD: Tensor) -> tuple[Tensor, State]:
        """What it makes of the first L positions, at least one, and the state after them; without a gradient."""

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        """What it makes of one more position; without a gradient."""


class StateSpaceClassifier(nn.Module):
    """(B, L) tokens or (B, L, D) vectors to (B, C) logits or values, from the top layer at the last real position.

    Where each step has a class, (B, L, C), from each. What stands to the right of a position never reaches it. Gu et al. pool
    by the mean: the last position, as recurrent classifiers are read, also tells what a state still knows of the first one.

    Args:
        norm: after the last layer.
    """

    def __init__(
        self, spec: Spec, embedding_dim: int, dropout: float, layers: Sequence[nn.Module], norm: nn.Module
    ) -> None:
        super().__init__()
        self.embedding = Embedding(spec, embedding_dim)
        self.layers = nn.ModuleList(layers)
        self.norm = norm
        self.dropout = nn.Dropout(dropout)
        self.each_step = spec.outputs is OutputKind.STEP_CLASSES
        self.classifier = nn.Linear(embedding_dim, answer_size(spec))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits; `lengths` (B,) on the CPU, None where every row is full."""
        x_BLD = self._entering(inputs)
        for layer in self.layers:
            x_BLD = layer(x_BLD)
        return self._answer(answered(x_BLD, lengths, each_step=self.each_step))

    def _entering(self, inputs: Tensor) -> Tensor:
        """What the layers add to, in the precision of the weights, also where autocast has mapped vectors in a lower one."""
        return cast(Tensor, self.dropout(self.embedding(inputs)).to(self.classifier.weight.dtype))

    def _answer(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.classifier(self.norm(x)))

    @torch.no_grad()
    def init_state(self, prefix: Tensor) -> State:
        """The states of all layers, each one or more tensors (B, ...)."""
        if not prefix.shape[1]:
            return tuple(part for layer in self._each() for part in layer.zeros(len(prefix)))
        x_BLD = self._entering(prefix)
        state: list[Tensor] = []
        for layer in self._each():
            x_BLD, parts = layer.begin(x_BLD)
            state += parts
        return tuple(state)

    @torch.no_grad()
    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits after one more token (B,) or vector (B, D), without a gradient; its cost does not depend on the prefix."""
        x_BD, share = self._entering(inputs), len(state) // len(self.layers)
        after: list[Tensor] = []
        for place, layer in enumerate(self._each()):
            x_BD, parts = layer.step(x_BD, state[place * share : (place + 1) * share])
            after += parts
        return self._answer(x_BD), tuple(after)

    def _each(self) -> Sequence[Layer]:
        return cast(Sequence[Layer], self.layers)
