"""One batch of items, and the one way in which a model is called on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bench.spec import OutputKind, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """B items, padded on the right.

    Attributes:
        inputs: (B, L) int64 (or (B, L, F), F ids a position), (B, L, D), (B, D) or (B, C, H, W) float.
        lengths: (B,) int64 on the CPU; None where items have no length, or where every row is full.
        targets: (B,) classes, (B, L) step classes, (B, T) target tokens, (B, D) values or images; None where nothing is asked.
            Padded steps have the class `PADDED_CLASS`. Target tokens end with `END_ID` and are padded with 0 on the right;
            nothing stands before them.
        references: of each item the texts that are right, where target tokens do not say it all; else none.
        items: number of items, B.
        tokens: positions computed, padding included (B * L); None where items have no length.
        real_tokens: positions without padding; None where items have no length.
    """

    inputs: Tensor
    lengths: Tensor | None = None
    targets: Tensor | None = None
    references: tuple[tuple[str, ...], ...] = ()
    items: int
    tokens: int | None = None
    real_tokens: int | None = None

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> Batch:
        """On another device, floating-point inputs in another precision; `lengths` stay on the CPU."""
        inputs = self.inputs.to(device, dtype if dtype and self.inputs.is_floating_point() else None)
        return replace(self, inputs=inputs, targets=None if self.targets is None else self.targets.to(device))


def asked(batch: Batch) -> Tensor:
    """The targets of a batch that has some.

    Raises:
        ValueError: it has none.
    """
    if batch.targets is None:
        raise ValueError("the batch has no targets")
    return batch.targets


def forward(model: nn.Module, batch: Batch, spec: Spec) -> Tensor:
    """Call the model: `(inputs)`, with `lengths` for sequences, with `targets` where tokens come out (teacher forcing)."""
    arguments: list[Tensor | None] = [batch.inputs]
    if spec.inputs.is_sequence:
        arguments.append(batch.lengths)
    if spec.outputs is OutputKind.TOKENS:
        arguments.append(batch.targets)
    outputs: Tensor = model(*arguments)
    return outputs
