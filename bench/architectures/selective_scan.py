"""Mamba's recurrence, over every channel and every state by itself, and its gradient.

    h_t = exp(dt_t A) h_(t-1) + u_t B_t,    y_t = sum over states of C_t h_t

Decays and states of all positions would be L times as large as the state, so they are made a block at a time, in the same
few buffers, and made again on the way back from the state at the start of each block, which is all that is kept. Within a
block all decays, all inputs and all outputs are computed at once; what waits for the position before is one
multiply-add a position. On a GPU, where such small steps cost a launch each, stretches of a block run side by side, and
what arrives at each is added later: some 2 sqrt(L) steps, more where a layer is wide. Only decays are multiplied, never
their inverses, so nothing can overflow. Powers are of 2 (A is scaled by log2 e): torch computes these 4 times as fast as
those of e on a CPU.

Shape suffixes: B items, L positions, T positions of a block, I channels, N states of a channel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.architectures.layers import without_autocast

SPAN = 16
"""Positions of a block at least: one state of SPAN is kept for the way back."""


class Blocks(NamedTuple):
    """How the work is cut: into so many rows and positions a block, and stretches that run side by side within it."""

    rows: int
    span: int
    parts: int


def blocks(step_BLI: Tensor, states: int) -> Blocks:
    """As large as a buffer of fp32 takes 2 MiB of a CPU's caches, or on other devices 512 MiB; there are up to four."""
    rows, positions, channels = step_BLI.shape
    on_cpu = step_BLI.device.type == "cpu"
    room, wide = (2**19, 2**14) if on_cpu else (2**27, 2**22)
    row = max(1, states * channels)
    block_rows = max(1, min(rows, room // (row * SPAN)))
    span = max(1, min(positions, max(SPAN, room // (row * block_rows))))
    return Blocks(block_rows, span, max(1, min(math.isqrt(span), wide // (row * block_rows))))


def selective_scan(
    step_BLI: Tensor, drive_BLI: Tensor, into_BLN: Tensor, out_BLN: Tensor, rate_NI: Tensor, start_BNI: Tensor
) -> tuple[Tensor, Tensor]:
    """Outputs (B, L, I) and the state after the last position (B, N, I), which has no gradient; nor has the start.

    Args:
        step_BLI: dt, positive.
        drive_BLI: u.
        into_BLN: B.
        out_BLN: C.
        rate_NI: A, negative.
        start_BNI: the state before the first position.
    """
    return cast(
        tuple[Tensor, Tensor],
        SelectiveScan.apply(step_BLI, drive_BLI, into_BLN, out_BLN, rate_NI, start_BNI),  # type: ignore[no-untyped-call]
    )


class SelectiveScan(torch.autograd.Function):
    """`selective_scan`, keeping its inputs and a state a block."""

    @staticmethod
    def forward(
        ctx: Any,
        step_BLI: Tensor,
        drive_BLI: Tensor,
        into_BLN: Tensor,
        out_BLN: Tensor,
        rate_NI: Tensor,
        start_BNI: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Outputs and the last state."""
        cut = blocks(step_BLI, len(rate_NI))
        decay_BTNI, state_BTNI = _buffers(2, cut, step_BLI, rate_NI)
        y_BLI, last_BNI, starts = torch.empty_like(step_BLI), start_BNI.clone(), []
        for place in _places(cut, step_BLI):
            starts.append(last_BNI[place[0]].clone())
            decays, states = (_part(buffer, step_BLI[place]) for buffer in (decay_BTNI, state_BTNI))
            _read(step_BLI[place], drive_BLI[place], into_BLN[place], rate_NI, starts[-1], decays, states, cut.parts)
            y_BLI[place] = _product(out_BLN[place][:, :, None], states).squeeze(2)
            last_BNI[place[0]] = states[:, -1]
        ctx.cut = cut
        ctx.save_for_backward(step_BLI, drive_BLI, into_BLN, out_BLN, rate_NI, *starts)
        ctx.mark_non_differentiable(last_BNI)
        return y_BLI, last_BNI

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope_BLI: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of all but the start, a block at a time from the last to the first."""
        *sequences, rate_NI = ctx.saved_tensors[:5]
        starts, cut = ctx.saved_tensors[5:], cast(Blocks, ctx.cut)
        buffers = _buffers(3, cut, sequences[0], rate_NI)
        gradients = [torch.empty_like(sequence) for sequence in sequences]
        rate_gradient_NI, arriving_BNI = torch.zeros_like(rate_NI), rate_NI.new_zeros(len(slope_BLI), *rate_NI.shape)
        places = list(_places(cut, slope_BLI))
        for place, start_BNI in zip(reversed(places), reversed(starts), strict=True):
            step, drive, into, out = (sequence[place] for sequence in sequences)
            decays, states, slopes = (_part(buffer, step) for buffer in buffers)
            _read(step, drive, into, rate_NI, start_BNI, decays, states, cut.parts)
            # what the loss owes each state: by its own output, and through the states after it
            torch.matmul(out[..., None], slope_BLI[place][:, :, None], out=slopes)
            slopes[:, -1] += arriving_BNI[place[0]]
            accumulate(slopes[:, :-1], decays[:, 1:], slopes[:, -1], cut.parts, backwards=True)
            arriving_BNI[place[0]] = decays[:, 0] * slopes[:, 0]
            gradients[3][place] = _product(slope_BLI[place][:, :, None], states.transpose(2, 3)).squeeze(2)
            # of dt A, in the place of the decays; the buffer of the states is free from here on
            decays.mul_(slopes)
            decays[:, 1:].mul_(states[:, :-1])
            decays[:, 0].mul_(start_BNI)
            gradients[0][place] = torch.mul(decays, rate_NI, out=states).sum(dim=2)
            rate_gradient_NI += torch.mul(decays, step[:, :, None], out=states).sum(dim=(0, 1))
            gradients[1][place] = torch.mul(slopes, into[..., None], out=states).sum(dim=2)
            gradients[2][place] = torch.mul(slopes, drive[:, :, None], out=states).sum(dim=3)
        return *gradients, rate_gradient_NI, None


def accumulate(
    values_BTNI: Tensor, decays_BTNI: Tensor, carry_BNI: Tensor, parts: int, *, backwards: bool = False
) -> Tensor:
    """Add to each value, in place, what is left of the one before it, from a carry on; returns the last (B, N, I).

    So many `parts` run side by side, and positions that are left over after them; `backwards` goes from the last position.
    """
    way, length = -1 if backwards else 1, values_BTNI.shape[1]
    rest = length % parts if parts > 1 else length
    if rest < length:
        beside = slice(rest, None) if backwards else slice(0, length - rest)
        values, decays = (torch.unflatten(each[:, beside], 1, (parts, -1)) for each in (values_BTNI, decays_BTNI))
        carry_BNI = _beside(values, decays.clone(), carry_BNI, way)
    alone = slice(0, rest) if backwards else slice(length - rest, None)
    values_of, decays_of = (each[:, alone].unbind(1)[::way] for each in (values_BTNI, decays_BTNI))
    for value_BNI, decay_BNI in zip(values_of, decays_of, strict=True):
        carry_BNI = value_BNI.addcmul_(decay_BNI, carry_BNI)
    return carry_BNI


def _beside(values_BPSNI: Tensor, decays_BPSNI: Tensor, carry_BNI: Tensor, way: int) -> Tensor:
    """P stretches of S positions at once; turns decays into what is left of what arrives at a stretch."""
    positions = list(zip(values_BPSNI.unbind(2), decays_BPSNI.unbind(2), strict=True))[::way]
    for (value_before, decay_before), (value, decay) in pairwise(positions):
        value.addcmul_(decay, value_before)
        decay.mul_(decay_before)
    arriving = [carry_BNI]
    for end_BNI, left_BNI in list(zip(*(each.unbind(1) for each in positions[-1]), strict=True))[::way]:
        arriving.append(torch.addcmul(end_BNI, left_BNI, arriving[-1]))
    carry_BNI = arriving.pop()
    values_BPSNI.addcmul_(decays_BPSNI, torch.stack(arriving[::way], dim=1)[:, :, None])
    return carry_BNI


def _read(
    step_BTI: Tensor,
    drive_BTI: Tensor,
    into_BTN: Tensor,
    rate_NI: Tensor,
    start_BNI: Tensor,
    decays_BTNI: Tensor,
    states_BTNI: Tensor,
    parts: int,
) -> None:
    """Write the decays and the states of a block into their buffers."""
    torch.mul(step_BTI[:, :, None], rate_NI * math.log2(math.e), out=decays_BTNI).exp2_()
    torch.mul(into_BTN[..., None], drive_BTI[:, :, None], out=states_BTNI)
    accumulate(states_BTNI, decays_BTNI, start_BNI, parts)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Not in a lower precision, where the caller is under autocast."""
    with without_autocast(left.device):
        return torch.matmul(left, right)


def _places(cut: Blocks, step_BLI: Tensor) -> Iterator[tuple[slice, slice]]:
    """Rows and positions of all blocks; those of the same rows follow each other."""
    for row in range(0, step_BLI.shape[0], cut.rows):
        for position in range(0, step_BLI.shape[1], cut.span):
            yield slice(row, row + cut.rows), slice(position, position + cut.span)


def _buffers(number: int, cut: Blocks, step_BLI: Tensor, rate_NI: Tensor) -> list[Tensor]:
    return [step_BLI.new_empty(cut.rows, cut.span, *rate_NI.shape) for _ in range(number)]


def _part(buffer_BTNI: Tensor, step_BTI: Tensor) -> Tensor:
    """Of a buffer, what a block needs that has fewer rows or positions."""
    rows, positions, _ = step_BTI.shape
    return buffer_BTNI[:rows, :positions]
