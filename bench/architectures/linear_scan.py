"""First-order linear recurrences over time, h_t = a_t * h_{t-1} + b_t, by chunks side by side.

A sequence of L steps is cut into about sqrt(L) chunks of as many steps. All chunks are read at once from a state of zeros,
then what enters each is carried from chunk to chunk, then all are read again from there: some 3 sqrt(L) operators instead
of L. With decays between 0 and 1 nothing can overflow, and nothing is divided: the logarithms of Heinsen 2023 and Feng et
al. 2024, which at L 4096 cost one to four digits of fp32, are not needed.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


class LinearScan(torch.autograd.Function):
    """Decays a and inputs b, both (B, L, H), to all states (B, L, H), from a state of zeros."""

    @staticmethod
    def forward(ctx: Any, decay_BLH: Tensor, entering_BLH: Tensor) -> Tensor:
        """All states; keeps them and the decays for the way back."""
        state_BLH = scan(decay_BLH, entering_BLH)
        ctx.save_for_backward(decay_BLH, state_BLH)
        return state_BLH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BLH: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of decays and inputs, by a scan from the end: a state acts on the next one by the decay between them."""
        decay_BLH, state_BLH = ctx.saved_tensors
        next_BLH = functional.pad(decay_BLH[:, 1:], (0, 0, 0, 1))
        total_BLH = scan(next_BLH, gradient_BLH, from_end=True)
        return functional.pad(total_BLH[:, 1:] * state_BLH[:, :-1], (0, 0, 1, 0)), total_BLH


def scan(decay_BLH: Tensor, entering_BLH: Tensor, *, from_end: bool = False) -> Tensor:
    """All states (B, L, H), without a gradient; from the end, h_t = a_t * h_{t+1} + b_t."""
    length = entering_BLH.shape[1]
    decay_BNTH, entering_BNTH = _chunked(decay_BLH), _chunked(entering_BLH)
    decays, entering = _steps(decay_BNTH, 2, from_end), _steps(entering_BNTH, 2, from_end)
    end_BNH = entering[0]
    for decay_BNH, entering_BNH in zip(decays[1:], entering[1:], strict=True):
        end_BNH = torch.addcmul(entering_BNH, decay_BNH, end_BNH)
    before_BNH = _carried(decay_BNTH.prod(dim=2), end_BNH, from_end)
    states = []
    for decay_BNH, entering_BNH in zip(decays, entering, strict=True):
        before_BNH = torch.addcmul(entering_BNH, decay_BNH, before_BNH)
        states.append(before_BNH)
    return torch.stack(states[::-1] if from_end else states, dim=2).flatten(1, 2)[:, :length]


def _chunked(x_BLH: Tensor) -> Tensor:
    """(B, N, T, H): N chunks of T steps; what is filled up at the end is zero, and changes nothing in either direction."""
    rows, length, size = x_BLH.shape
    steps = math.isqrt(length - 1) + 1
    if length % steps:
        x_BLH = functional.pad(x_BLH, (0, 0, 0, -length % steps))
    return x_BLH.reshape(rows, -1, steps, size)


def _carried(product_BNH: Tensor, end_BNH: Tensor, from_end: bool) -> Tensor:
    """The state before each chunk: by how much a chunk multiplies what enters it, and what it ends with by itself."""
    products, ends = _steps(product_BNH, 1, from_end), _steps(end_BNH, 1, from_end)
    before = [torch.zeros_like(ends[0])]
    for product_BH, end_BH in zip(products[:-1], ends[:-1], strict=True):
        before.append(torch.addcmul(end_BH, product_BH, before[-1]))
    return torch.stack(before[::-1] if from_end else before, dim=1)


def _steps(x: Tensor, dim: int, from_end: bool) -> tuple[Tensor, ...]:
    steps = x.unbind(dim)
    return steps[::-1] if from_end else steps
