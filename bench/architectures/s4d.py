"""S4D: a diagonal state space in every channel, trained as one long convolution and streamed as a recurrence.

    s' = A s + u,    y = Re(C s) + D u,    A = -exp(a) + i w    (P complex states, each for itself and its conjugate)

Held over steps of length dt (zero-order hold) that is s_t = exp(dt A) s_(t-1) + u_t with C (exp(dt A) - 1) / A in the place of
C; so y is u convolved with the kernel K_l = 2 Re(sum over P of C (exp(dt A) - 1) / A exp(dt A)^l). It starts as S4D-Lin:
A = -1/2 + i pi n, dt between .001 and .1, B = 1.

The convolution takes three real FFTs, and what they cost is counted (see probes/flops.py). The kernel is a product of
matrices: exp(dt A)^l for l = q S + s is that of q S times that of s, and only these 2 sqrt(L) powers are computed. Both are in
fp32 at least, whatever the weights are in: a phase of hundreds of radians has no meaning in bf16.

Shape suffixes: P pairs of complex states, S positions of a stretch, Q stretches, R 2 P real and imaginary parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import State, architecture, streams
from bench.architectures.layers import Kept, answer_size, at_least_fp32, embedding_count, linear_count, without_autocast
from bench.architectures.state_space import StateSpaceClassifier
from bench.errors import ModelError
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec

SHORTEST_STEP, LONGEST_STEP = 0.001, 0.1
STRETCH = 64
"""Positions of a prefix that are read into a state at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `s4d`."""

    embedding_dim: int = option(64, "size of a word's vector and of every layer", at_least=1)
    state_dim: int = option(64, "states of each channel, an even number: they come in conjugate pairs", at_least=2)
    num_layers: int = option(2, "stacked layers", at_least=1)
    dropout: float = option(0.2, "share dropped in training after the embedding and in each layer", at_least=0, below=1)


class DiagonalStateSpace(nn.Module):
    """(B, L, D) to (B, L, D): every channel by itself, from a state of zeros."""

    def __init__(self, size: int, state_dim: int) -> None:
        super().__init__()
        self._kept = Kept[tuple[Tensor, Tensor]]()
        pairs = state_dim // 2
        bounds = math.log(SHORTEST_STEP), math.log(LONGEST_STEP)
        self.log_step = nn.Parameter(torch.empty(size).uniform_(*bounds))
        self.log_decay = nn.Parameter(torch.full((size, pairs), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(pairs).repeat(size, 1))
        self.output = nn.Parameter(torch.empty(size, pairs, 2).normal_(std=0.5**0.5))
        self.skip = nn.Parameter(torch.empty(size).normal_())

    def discrete(self) -> tuple[Tensor, Tensor]:
        """What a state is multiplied by in a step, as its logarithm, and its weight in the output; complex (D, P)."""
        rate_DP = torch.complex(-at_least_fp32(self.log_decay).exp(), at_least_fp32(self.frequency))
        exponent_DP = at_least_fp32(self.log_step).exp()[:, None] * rate_DP
        output_DP = torch.view_as_complex(at_least_fp32(self.output))
        return exponent_DP, 2 * output_DP * (exponential(exponent_DP) - 1) / rate_DP

    def kernel(self, positions: int) -> Tensor:
        """What an input is worth after 0, 1, ... steps; (D, L)."""
        exponent_DP, weight_DP = self.discrete()
        stretch = math.isqrt(positions - 1) + 1
        within_DPS = powers(exponent_DP, torch.arange(stretch, device=exponent_DP.device))
        starts_Q = torch.arange(0, positions, stretch, device=exponent_DP.device)
        before_DPQ = weight_DP[..., None] * powers(exponent_DP, starts_Q)
        # Re(a b) is the dot product of conj(a) and b
        before_DQR = torch.view_as_real(before_DPQ.conj().resolve_conj()).transpose(1, 2).flatten(2)
        within_DRS = torch.view_as_real(within_DPS).transpose(2, 3).flatten(1, 2)
        with without_autocast(before_DQR.device):
            kernel_DL = torch.matmul(before_DQR, within_DRS).flatten(1)
        return kernel_DL[:, :positions]

    def forward(self, u_BLD: Tensor) -> Tensor:
        """The convolution."""
        u_BDL, length = at_least_fp32(u_BLD).transpose(1, 2), u_BLD.shape[1]
        size = transform_size(length)
        spectrum_BDF = torch.fft.rfft(u_BDL, n=size) * torch.fft.rfft(self.kernel(length), n=size)
        y_BDL: Tensor = torch.fft.irfft(spectrum_BDF, n=size)[..., :length]
        return (y_BDL + u_BDL * self.skip[:, None]).transpose(1, 2).to(u_BLD.dtype)

    def zeros(self, rows: int) -> Tensor:
        """The state (B, D, P) before anything was read."""
        exponent_DP, _ = self.discrete()
        return exponent_DP.new_zeros(rows, *exponent_DP.shape)

    def state_after(self, u_BLD: Tensor) -> Tensor:
        """The state (B, D, P) after L steps: sums of what each input is still worth, a stretch at a time."""
        exponent_DP, _ = self.discrete()
        state_BDP = self.zeros(len(u_BLD))
        for u_BSD in torch.split(at_least_fp32(u_BLD), STRETCH, dim=1):
            ages_S = torch.arange(u_BSD.shape[1], device=u_BSD.device).flip(0)
            worth_DSR = torch.view_as_real(powers(exponent_DP, ages_S)).transpose(1, 2).flatten(2)
            with without_autocast(u_BSD.device):
                added_DBR = u_BSD.permute(2, 0, 1) @ worth_DSR
            added_BDP = torch.view_as_complex(torch.unflatten(added_DBR.transpose(0, 1), 2, (-1, 2)).contiguous())
            state_BDP = state_BDP * exponential(exponent_DP * u_BSD.shape[1]) + added_BDP
        return state_BDP

    def _stepwise(self) -> tuple[Tensor, Tensor]:
        """What a state is multiplied by in a step, and its weight in the output."""
        exponent_DP, weight_DP = self.discrete()
        return exponential(exponent_DP), weight_DP

    def step(self, u_BD: Tensor, state_BDP: Tensor) -> tuple[Tensor, Tensor]:
        """The recurrence: the output (B, D) for one more input, and the state after it."""
        decay_DP, weight_DP = self._kept.get(self.parameters(), self._stepwise)
        full_BD = at_least_fp32(u_BD)
        state_BDP = state_BDP * decay_DP + full_BD[..., None]
        y_BD = (state_BDP * weight_DP).sum(dim=2).real + full_BD * self.skip
        return y_BD.to(u_BD.dtype), state_BDP


def powers(exponent_DP: Tensor, times: Tensor) -> Tensor:
    """exp(exponent * time) for every time; (D, P, times)."""
    return exponential(exponent_DP[..., None] * times)


def exponential(exponent: Tensor) -> Tensor:
    """Exp of complex numbers in real parts, which torch computes 8 times as fast on a CPU."""
    size = exponent.real.exp()
    return torch.complex(size * exponent.imag.cos(), size * exponent.imag.sin())


def transform_size(positions: int) -> int:
    """Length of the FFTs: a convolution must not reach around to its beginning, and large prime factors are slow.

    The smallest product of 2, 3 and 5 from 2 L - 1 on.
    """
    size = 2 * positions - 1
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 1


class Layer(nn.Module):
    """x + GLU(linear(dropout(GELU(S4D(norm(x)))))); (B, L, D) to (B, L, D)."""

    def __init__(self, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        size = hyperparameters.embedding_dim
        self.norm = nn.LayerNorm(size)
        self.space = DiagonalStateSpace(size, hyperparameters.state_dim)
        self.dropout = nn.Dropout(hyperparameters.dropout)
        self.mix = nn.Linear(size, 2 * size)

    def forward(self, x_BLD: Tensor) -> Tensor:
        """All positions at once."""
        return self._join(x_BLD, self.space(self.norm(x_BLD)))

    def zeros(self, rows: int) -> State:
        """The state before anything was read."""
        return (self.space.zeros(rows),)

    def begin(self, x_BLD: Tensor) -> tuple[Tensor, State]:
        """What it makes of a prefix, and the state after it."""
        return self(x_BLD), (self.space.state_after(self.norm(x_BLD)),)

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        """One more position."""
        y_BD, state_BDP = self.space.step(self.norm(x_BD), state[0])
        return self._join(x_BD, y_BD), (state_BDP,)

    def _join(self, x: Tensor, y: Tensor) -> Tensor:
        return x + functional.glu(self.mix(self.dropout(functional.gelu(y))), dim=-1)


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Embedding; per layer norm, step, skip, decays, frequencies and outputs of all pairs, linear map; norm, classifier."""
    size = hyperparameters.embedding_dim
    space = size * (2 + 2 * hyperparameters.state_dim)
    layers = hyperparameters.num_layers * (2 * size + space + linear_count(size, 2 * size))
    return embedding_count(spec, size) + layers + 2 * size + linear_count(size, answer_size(spec))


@architecture(
    "s4d",
    summary="diagonal state space (S4D-Lin): a convolution over the whole text, last position, linear layer",
    source="Gu et al. 2022, On the Parameterization and Initialization of Diagonal State Space Models",
    inputs=[InputKind.TOKENS, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES, OutputKind.STEP_CLASSES, OutputKind.VALUE],
    hyperparameters=Hyperparameters,
    width="embedding_dim",
    parameter_count=parameter_count,
    not_streaming=streams,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """An S4D classifier.

    Raises:
        ModelError: states cannot be paired.
    """
    if hyperparameters.state_dim % 2:
        raise ModelError(f"s4d: state_dim is {hyperparameters.state_dim}; expected an even number, for conjugate pairs")
    return StateSpaceClassifier(
        spec,
        hyperparameters.embedding_dim,
        hyperparameters.dropout,
        [Layer(hyperparameters) for _ in range(hyperparameters.num_layers)],
        nn.LayerNorm(hyperparameters.embedding_dim),
    )
