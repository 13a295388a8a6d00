"""The LSTM of 1997, before the forget gate: c_t = c_{t-1} + i_t * g_t, h_t = o_t * tanh(c_t).

torch has no such cell, and its LSTM with the forget gate held at 1 pays for a fourth gate that never learns. Whatever need
not wait for the step before is taken out of the loop over time: the input's share of the gates before it; on the way back
the slopes of the gates before it, and the gradient of the recurrent matrix after it. Both directions go through one loop.

Shape suffixes beside those of `layers`: N directions; G = 3H gates: output, input, candidate, so that sigmoids lie side by
side and so does what reaches the cell; E = 2H, the sigmoids; K = N * H; M = L * B.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

GATES = 3
Ends = tuple[Tensor, Tensor]
"""Hidden states and cells."""


class ForgetlessLSTM(nn.Module):
    """(B, L, D) to (B, L, K): `nn.LSTM` with `batch_first`, its initial spread and its two biases, but for the forget gate."""

    def __init__(
        self, input_size: int, hidden_size: int, *, num_layers: int, bidirectional: bool, dropout: float
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.directions = 2 if bidirectional else 1
        sizes = [input_size] + [self.directions * hidden_size] * (num_layers - 1)
        self.layers = nn.ModuleList(Layer(size, hidden_size, self.directions) for size in sizes)

    def forward(self, x_BLD: Tensor, state: Ends | None = None, lengths: Tensor | None = None) -> tuple[Tensor, Ends]:
        """All outputs; hidden states and cells after the last step, padding or not, each (layers * N, B, H).

        It goes on from `state`, by default from zeros. A second direction begins at `lengths`, (B,) on the CPU, or at the last
        column where they are None.
        """
        x_LBD = x_BLD.transpose(0, 1)
        turned_M = _turned(lengths, x_LBD) if lengths is not None and self.bidirectional else None
        hidden, cell = self.zeros(len(x_BLD)) if state is None else state
        ends: list[Ends] = []
        for place, layer in enumerate(self.layers):
            if place:
                x_LBD = functional.dropout(x_LBD, self.dropout, self.training)
            own = slice(place * self.directions, (place + 1) * self.directions)
            x_LBD, end = layer(x_LBD, (hidden[own], cell[own]), turned_M)
            ends.append(end)
        last_hidden, last_cell = zip(*ends, strict=True)
        return x_LBD.transpose(0, 1), (torch.cat(last_hidden), torch.cat(last_cell))

    def zeros(self, rows: int) -> Ends:
        """The state before the first step.

        Cells are kept in fp32 at least: nothing is ever taken off such a sum, and in bf16 it would soon stop growing.
        """
        weight = self.layers[0].get_parameter("weight_hh")
        hidden = weight.new_zeros(self.num_layers * self.directions, rows, self.hidden_size)
        return hidden, hidden.to(torch.promote_types(hidden.dtype, torch.float32))


class Layer(nn.Module):
    """One layer in N directions, (L, B, D) to (L, B, K)."""

    def __init__(self, input_size: int, hidden_size: int, directions: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(hidden_size)

        def parameter(*sizes: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(directions, GATES * hidden_size, *sizes).uniform_(-bound, bound))

        self.weight_ih = parameter(input_size)
        self.weight_hh = parameter(hidden_size)
        self.bias_ih = parameter()
        self.bias_hh = parameter()

    def forward(self, x_LBD: Tensor, state: Ends, turned_M: Tensor | None) -> tuple[Tensor, Ends]:
        """All outputs and the last states, each (N, B, H); `turned_M` as `_turned` makes it."""
        bias = (self.bias_ih + self.bias_hh).flatten()
        gates_LBE = functional.linear(x_LBD, self.weight_ih.flatten(0, 1), bias)
        gates_LBNG = gates_LBE.view(*gates_LBE.shape[:2], *self.bias_ih.shape)
        forward_LBG, *backward_LBG = gates_LBNG.unbind(2)
        ways_LBG = [forward_LBG, *(_reversed(one, turned_M) for one in backward_LBG)]
        gates_LNBG = torch.stack(ways_LBG, dim=1) if backward_LBG else forward_LBG[:, None]
        # under autocast the product above has chosen the precision of all that follows
        weight_NHG = self.weight_hh.to(gates_LNBG.dtype).transpose(1, 2)
        arguments = gates_LNBG, weight_NHG, state[0].to(gates_LNBG.dtype), state[1]
        if torch.is_grad_enabled():
            hidden_LNBH, cell_NBH = cast(Ends, Scan.apply(*arguments))  # type: ignore[no-untyped-call]
        else:
            hidden_LNBH, cell_NBH = _scan(*arguments)
        forward_LBH, *backward_LBH = hidden_LNBH.unbind(1)
        ways_LBH = [forward_LBH, *(_reversed(one, turned_M) for one in backward_LBH)]
        output_LBK = torch.cat(ways_LBH, dim=2) if backward_LBH else forward_LBH
        return output_LBK, (hidden_LNBH[-1], cell_NBH)


def _turned(lengths: Tensor, x_LBD: Tensor) -> Tensor:
    """(M,) places in a flattened (L, B) that turn each row's real part round and leave its padding where it is."""
    positions, rows = x_LBD.shape[:2]
    place_L1, ends_B = torch.arange(positions)[:, None], lengths.clamp(min=1)
    place_LB = torch.where(place_L1 < ends_B, ends_B - 1 - place_L1, place_L1)
    return (place_LB * rows + torch.arange(rows)).flatten().to(x_LBD.device)


def _reversed(x_LBG: Tensor, turned_M: Tensor | None) -> Tensor:
    """Each row turned round in time; the same again turns it back."""
    if turned_M is None:
        return x_LBG.flip(0)
    return x_LBG.flatten(0, 1).index_select(0, turned_M).view_as(x_LBG)


# ── the loop over time ─────────────────────────────────────────────────────────────────────────────────────────────


Kept = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor]
"""Where a step puts its sigmoids (N, B, E), candidate, cell and hidden state; None where nobody will ask."""


def _run(gates_LNBG: Tensor, weight_NHG: Tensor, state: Ends, kept: Iterable[Kept]) -> Tensor:
    """The loop over time, from the input's share of the gates; returns the last cell (N, B, H)."""
    hidden_NBH, cell_NBH = state
    size = hidden_NBH.shape[2]
    for share_NBG, (open_out, candidate_out, cell_out, hidden_out) in zip(gates_LNBG.unbind(), kept, strict=True):
        gates_NBG = torch.baddbmm(share_NBG, hidden_NBH, weight_NHG)
        open_NBE, candidate_NBH = torch.split(gates_NBG, [2 * size, size], dim=2)
        open_NBE = torch.sigmoid(open_NBE, out=open_out)
        candidate_NBH = torch.tanh(candidate_NBH, out=candidate_out)
        output_NBH, input_NBH = torch.chunk(open_NBE, 2, dim=2)
        cell_NBH = torch.addcmul(cell_NBH, input_NBH, candidate_NBH, out=cell_out)
        hidden_NBH = torch.mul(output_NBH, torch.tanh(cell_NBH), out=hidden_out)
    return cell_NBH


def _scan(gates_LNBG: Tensor, weight_NHG: Tensor, hidden_NBH: Tensor, cell_NBH: Tensor) -> Ends:
    """All hidden states (L, N, B, H), and the last cell (N, B, H)."""
    hidden_LNBH = hidden_NBH.new_empty(len(gates_LNBG), *hidden_NBH.shape)
    kept = ((None, None, None, one_NBH) for one_NBH in hidden_LNBH.unbind())
    return hidden_LNBH, _run(gates_LNBG, weight_NHG, (hidden_NBH, cell_NBH), kept)


class Scan(torch.autograd.Function):
    """`_scan` with its derivative written out: autograd's own would add up the recurrent matrix's gradient step by step."""

    @staticmethod
    def forward(ctx: Any, gates_LNBG: Tensor, weight_NHG: Tensor, hidden_NBH: Tensor, cell_NBH: Tensor) -> Ends:
        """As `_scan`, keeping what each step opened and held."""
        steps, (*rows, size) = len(gates_LNBG), hidden_NBH.shape
        open_LNBE = hidden_NBH.new_empty(steps, *rows, 2 * size)
        candidate_LNBH, hidden_LNBH = (hidden_NBH.new_empty(steps, *rows, size) for _ in range(2))
        cell_LNBH = cell_NBH.new_empty(steps, *rows, size)
        buffers = (open_LNBE, candidate_LNBH, cell_LNBH, hidden_LNBH)
        last_NBH = _run(
            gates_LNBG, weight_NHG, (hidden_NBH, cell_NBH), zip(*(one.unbind() for one in buffers), strict=True)
        )
        ctx.save_for_backward(*buffers, weight_NHG, hidden_NBH)
        return hidden_LNBH, last_NBH.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above_LNBH: Tensor, d_cell_NBH: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of all four arguments."""
        open_LNBE, candidate_LNBH, cell_LNBH, hidden_LNBH, weight_NHG, first_NBH = ctx.saved_tensors
        weight_NGH = weight_NHG.transpose(1, 2)
        to_cell_LNBH, slope_LNBG = _slopes(open_LNBE, candidate_LNBH, cell_LNBH)
        d_gates_LNBG = hidden_LNBH.new_empty(slope_LNBG.shape)
        inputs = (above_LNBH, to_cell_LNBH, slope_LNBG, d_gates_LNBG)
        after_NBG: Tensor | None = None
        for d_hidden_NBH, to_cell_NBH, slope_NBG, d_gates_NBG in zip(
            *(reversed(one.unbind()) for one in inputs), strict=True
        ):
            if after_NBG is not None:
                d_hidden_NBH = torch.baddbmm(d_hidden_NBH, after_NBG, weight_NGH)
            d_cell_NBH = torch.addcmul(d_cell_NBH, d_hidden_NBH, to_cell_NBH)
            reached_NBG = torch.cat([d_hidden_NBH, d_cell_NBH, d_cell_NBH], dim=2)
            after_NBG = torch.mul(reached_NBG, slope_NBG, out=d_gates_NBG)
        before_LNBH = torch.cat([first_NBH[None], hidden_LNBH[:-1]])
        before_NHM = before_LNBH.permute(1, 3, 0, 2).flatten(2)
        d_weight_NHG = before_NHM @ d_gates_LNBG.transpose(0, 1).flatten(1, 2)
        d_first_NBH = d_gates_LNBG[0] @ weight_NGH if ctx.needs_input_grad[2] else None
        return d_gates_LNBG, d_weight_NHG, d_first_NBH, d_cell_NBH


def _slopes(open_LNBE: Tensor, candidate_LNBH: Tensor, cell_LNBH: Tensor) -> tuple[Tensor, Tensor]:
    """Of each step: by how much its hidden state moves with its cell, and hidden state and cell with the gates (L, N, B, G)."""
    output_LNBH, input_LNBH = torch.chunk(open_LNBE, 2, dim=3)
    squashed_LNBH = cell_LNBH.tanh()
    aten = torch.ops.aten
    to_cell_LNBH = aten.tanh_backward(output_LNBH, squashed_LNBH)
    open_LNBE = aten.sigmoid_backward(torch.cat([squashed_LNBH, candidate_LNBH], dim=3), open_LNBE)
    return to_cell_LNBH, torch.cat([open_LNBE, aten.tanh_backward(input_LNBH, candidate_LNBH)], dim=3)
