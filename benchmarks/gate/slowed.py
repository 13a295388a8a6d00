"""A built-in architecture that does more work in every forward: a slowdown that is computed, not slept."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES, architecture
from bench.errors import ModelError
from bench.options import fill, option
from bench.spec import InputKind, OutputKind, Spec

NAME = "slowed"
# a row is a vector times a matrix: 8 kFLOP, well under a microsecond
SIZE = 64
# rows at once: what they are multiplied into stays in the caches
MOST_ROWS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `slowed`."""

    inner: str = option("lstm", "the architecture that is slowed down")
    hidden_dim: int = option(0, "its hidden_dim; 0 for its own default", at_least=0)
    work: int = option(0, "extra rows of a matrix product in every forward", at_least=0)


class Slowed(nn.Module):
    """What the inner model answers, after some work of no use."""

    rows: Tensor
    square: Tensor
    product: Tensor

    def __init__(self, inner: nn.Module, work: int) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("rows", torch.randn(MOST_ROWS, SIZE))
        self.register_buffer("square", torch.randn(SIZE, SIZE))
        self.register_buffer("product", torch.empty(MOST_ROWS, SIZE))
        self.parts = [MOST_ROWS] * (work // MOST_ROWS) + ([work % MOST_ROWS] if work % MOST_ROWS else [])

    def forward(self, *inputs: Tensor | None) -> Tensor:
        """The inner model's output."""
        for count in self.parts:
            torch.mm(self.rows[:count], self.square, out=self.product[:count])
        outputs: Tensor = self.inner(*inputs)
        return outputs


@architecture(
    NAME,
    summary="another architecture with more work in every forward",
    source="benchmarks/gate",
    inputs=list(InputKind),
    outputs=list(OutputKind),
    hyperparameters=Hyperparameters,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """The inner model in its default size, or in another width, with its extra work."""
    inner = ARCHITECTURES.get(hyperparameters.inner)
    given = {"hidden_dim": hyperparameters.hidden_dim} if hyperparameters.hidden_dim else {}
    filled, problems = fill(inner.hyperparameters, given)
    if problems:
        raise ModelError(f"architecture '{inner.name}': {'; '.join(problems)}")
    return Slowed(inner.build(spec, filled), hyperparameters.work)
