"""A model that writes what it is told, for tasks whose models write."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import State
from bench.tasks.target_tokens import padded_targets


class Writes(nn.Module):
    """Of item i it writes `rows[i]` and the end, whatever it reads; a `Decoder`, as sure of each token as of any other."""

    def __init__(self, rows: Sequence[Sequence[int]], size: int) -> None:
        super().__init__()
        self.said_BTV = functional.one_hot(padded_targets(rows), size).float() * 50

    def forward(self, inputs: Tensor, *rest: Tensor | None) -> Tensor:
        """Logits at as many places as there are targets."""
        assert rest[-1] is not None
        missing = rest[-1].shape[1] - self.said_BTV.shape[1]
        return functional.pad(self.said_BTV, (0, 0, 0, max(0, missing)))[:, : rest[-1].shape[1]]

    def start(self, inputs: Tensor, lengths: Tensor | None = None) -> State:
        return self.said_BTV, torch.zeros(len(inputs), dtype=torch.int64)

    def next(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        said_BTV, place_B = state
        last = said_BTV.shape[1] - 1
        return said_BTV[torch.arange(len(said_BTV)), place_B.clamp(max=last)], (said_BTV, place_B + 1)
