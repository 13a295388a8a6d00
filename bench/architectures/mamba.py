"""Mamba: a state space whose steps, inputs and outputs are chosen by what it reads (S6), in a gated residual layer.

    x, z = W norm(input);  x = SiLU(conv(x));  dt, B, C = linear in x;  dt = softplus(dt)
    h_t = exp(dt_t A) h_(t-1) + dt_t B_t x_t;  y_t = C_t h_t + D x_t;  output = input + W' (y * SiLU(z))

A = -(1 ... N) at the start and dt between .001 and .1. As published: twice as many channels inside, a causal convolution
over 4 positions a channel, dt through a bottleneck of a sixteenth of the layer's size. The recurrence is in fp32 at least.

Shape suffixes: I inner channels, N states of a channel, W positions that the convolution looks back, R size of dt's bottleneck.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import State, architecture, streams
from bench.architectures.layers import answer_size, at_least_fp32, embedding_count, linear_count
from bench.architectures.selective_scan import selective_scan
from bench.architectures.state_space import StateSpaceClassifier
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec

EXPANSION = 2
KERNEL_SIZE = 4
STEP_SHARE = 16
SHORTEST_STEP, LONGEST_STEP, LEAST_STEP = 0.001, 0.1, 1e-4
NORM_EPSILON = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `mamba`."""

    embedding_dim: int = option(64, "size of a word's vector and of every layer", at_least=1)
    state_dim: int = option(16, "states of each of the 2 * embedding_dim channels inside", at_least=1)
    num_layers: int = option(2, "stacked layers", at_least=1)
    dropout: float = option(0.2, "share dropped in training after the embedding and each layer", at_least=0, below=1)


def step_rank(embedding_dim: int) -> int:
    """Size of the bottleneck before dt."""
    return math.ceil(embedding_dim / STEP_SHARE)


class Layer(nn.Module):
    """One residual layer; (B, L, D) to (B, L, D)."""

    def __init__(self, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        size, states = hyperparameters.embedding_dim, hyperparameters.state_dim
        inner, rank = EXPANSION * size, step_rank(size)
        self.norm = nn.RMSNorm(size, eps=NORM_EPSILON)
        self.entrance = nn.Linear(size, 2 * inner, bias=False)
        self.convolution = nn.Conv1d(inner, inner, KERNEL_SIZE, groups=inner)
        self.selection = nn.Linear(inner, rank + 2 * states, bias=False)
        self.step_size = nn.Linear(rank, inner)
        self.log_rate = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(inner, 1))
        self.skip = nn.Parameter(torch.ones(inner))
        self.exit = nn.Linear(inner, size, bias=False)
        self.dropout = nn.Dropout(hyperparameters.dropout)
        with torch.no_grad():
            self.step_size.weight.uniform_(-(rank**-0.5), rank**-0.5)
            steps_I = torch.empty(inner).uniform_(math.log(SHORTEST_STEP), math.log(LONGEST_STEP)).exp()
            steps_I.clamp_(min=LEAST_STEP)
            # softplus of this is the step
            self.step_size.bias.copy_(steps_I + (-(-steps_I).expm1()).log())

    def forward(self, x_BLD: Tensor) -> Tensor:
        """All positions at once."""
        return self.begin(x_BLD)[0]

    def zeros(self, rows: int) -> State:
        """What the convolution looks back at (B, I, W), and the state (B, N, I), before anything was read."""
        rate = at_least_fp32(self.log_rate)
        window = self.convolution.weight.new_zeros(rows, len(rate), KERNEL_SIZE - 1)
        return window, rate.new_zeros(rows, *rate.T.shape)

    def begin(self, x_BLD: Tensor) -> tuple[Tensor, State]:
        """What it makes of a prefix, and the state after it."""
        return self._read(x_BLD, self.zeros(len(x_BLD)))

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        """One more position."""
        window_BIW, state_BNI = state
        entering_BI, gate_BI = self.entrance(self.norm(x_BD)).chunk(2, dim=1)
        seen_BIK = torch.cat([window_BIW.to(entering_BI.dtype), entering_BI[..., None]], dim=2)
        inner_BI = functional.silu(self.convolution(seen_BIK)).squeeze(2)
        step_BI, drive_BI, into_BN, out_BN, rate_NI = self._chosen(inner_BI)
        state_BNI = (step_BI[:, None] * rate_NI).exp() * state_BNI + into_BN[..., None] * drive_BI[:, None]
        y_BI = (out_BN[..., None] * state_BNI).sum(dim=1)
        return self._leaving(x_BD, y_BI, inner_BI, gate_BI), (seen_BIK[..., 1:], state_BNI)

    def _read(self, x_BLD: Tensor, state: State) -> tuple[Tensor, State]:
        window_BIW, start_BNI = state
        entering_BLI, gate_BLI = self.entrance(self.norm(x_BLD)).chunk(2, dim=2)
        seen_BIL = torch.cat([window_BIW.to(entering_BLI.dtype), entering_BLI.transpose(1, 2)], dim=2)
        inner_BLI = functional.silu(self.convolution(seen_BIL)).transpose(1, 2).contiguous()
        step_BLI, drive_BLI, into_BLN, out_BLN, rate_NI = self._chosen(inner_BLI)
        y_BLI, last_BNI = selective_scan(step_BLI, drive_BLI, into_BLN, out_BLN, rate_NI, start_BNI)
        return self._leaving(x_BLD, y_BLI, inner_BLI, gate_BLI), (seen_BIL[..., 1 - KERNEL_SIZE :], last_BNI)

    def _chosen(self, inner: Tensor) -> tuple[Tensor, ...]:
        """From (..., I): dt and what drives the states (..., I), B and C (..., N), and A (N, I), all in fp32 at least."""
        states = self.log_rate.shape[1]
        sizes = [self.step_size.in_features, states, states]
        low, into, out = self.selection(inner).split(sizes, dim=-1)
        step = functional.softplus(at_least_fp32(self.step_size(low)))
        rate_NI = -at_least_fp32(self.log_rate).exp().T.contiguous()
        return step, step * at_least_fp32(inner), at_least_fp32(into), at_least_fp32(out), rate_NI

    def _leaving(self, x: Tensor, y: Tensor, inner: Tensor, gate: Tensor) -> Tensor:
        """What the layer makes of (..., D), from what its states say (..., I)."""
        skipped = (y + at_least_fp32(inner) * self.skip).to(inner.dtype)
        return x + cast(Tensor, self.dropout(self.exit(skipped * functional.silu(gate))))


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Embedding; per layer norm, entrance, convolution, selection, steps, rates, skip and exit; norm, classifier."""
    size, states = hyperparameters.embedding_dim, hyperparameters.state_dim
    inner, rank = EXPANSION * size, step_rank(size)
    chosen = inner * (rank + 2 * states) + linear_count(rank, inner) + inner * states + inner
    layer = size + 3 * size * inner + (KERNEL_SIZE + 1) * inner + chosen
    head = size + linear_count(size, answer_size(spec))
    return embedding_count(spec, size) + hyperparameters.num_layers * layer + head


@architecture(
    "mamba",
    summary="selective state space (S6) behind a gate and a short convolution, last position, linear layer",
    source="Gu & Dao 2023, Mamba: Linear-Time Sequence Modeling with Selective State Spaces",
    inputs=[InputKind.TOKENS, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES, OutputKind.STEP_CLASSES, OutputKind.VALUE],
    hyperparameters=Hyperparameters,
    width="embedding_dim",
    parameter_count=parameter_count,
    not_streaming=streams,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A Mamba classifier."""
    return StateSpaceClassifier(
        spec,
        hyperparameters.embedding_dim,
        hyperparameters.dropout,
        [Layer(hyperparameters) for _ in range(hyperparameters.num_layers)],
        nn.RMSNorm(hyperparameters.embedding_dim, eps=NORM_EPSILON),
    )
