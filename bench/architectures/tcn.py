"""Temporal convolutional network: dilated convolutions that see no later position, in residual blocks.

    block(x) = relu(residual(x) + part(part(x))),    part(x) = dropout(relu(convolution(x)))

Block i has two convolutions of K positions, 2^i apart, so n blocks see 1 + 2 (K - 1) (2^n - 1) positions: 13 for two blocks of
K = 3, 253 for six, 509 for seven. What is answered at a position depends on so many up to it, and on nothing before: a
network that is to judge a whole text must see as far as the text is long, which is the default. The residual is a
convolution of one position where sizes differ. Before the first position stand zeros.

Convolutions are weight-normalised: each filter is a direction and a length of its own. As in the authors' code, which
drops single values and starts from torch's own convolutions (the smaller start that it asks for is overwritten by the
normalisation).

Shape suffixes beside those of `layers`: F filters, K positions of a filter, W positions that a filter looks back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import State, architecture, streams
from bench.architectures.cells import answered
from bench.architectures.layers import Embedding, Kept, answer_size, embedding_count, known, linear_count
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `tcn`."""

    embedding_dim: int = option(128, "size of a word's vector", at_least=1)
    hidden_dim: int = option(128, "filters of every convolution", at_least=1)
    kernel_size: int = option(3, "positions that a filter looks at", at_least=2)
    num_layers: int = option(
        0, "residual blocks; 0 for as many as it takes to see the longest sequence from its end", at_least=0
    )
    dropout: float = option(0.2, "share dropped in training after each convolution", at_least=0, below=1)


def receptive_field(num_layers: int, kernel_size: int) -> int:
    """How many positions, up to its own, an answer depends on."""
    return 1 + 2 * (kernel_size - 1) * ((1 << num_layers) - 1)


def block_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """How many blocks there are: as many as asked for, else the fewest that see the longest sequence."""
    if hyperparameters.num_layers:
        return hyperparameters.num_layers
    length, blocks = known(spec.sequence_length, "sequence_length"), 1
    while receptive_field(blocks, hyperparameters.kernel_size) < length:
        blocks += 1
    return blocks


class CausalConvolution(nn.Module):
    """(B, D, L) to (B, F, L): each position from itself and K - 1 earlier ones, `dilation` apart, zeros before the first."""

    def __init__(self, inputs: int, filters: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        start = nn.Conv1d(inputs, filters, kernel_size)
        self.direction = nn.Parameter(start.weight.detach())
        self.length = nn.Parameter(start.weight.detach().flatten(1).norm(dim=1))
        self.bias = nn.Parameter(cast(Tensor, start.bias).detach())
        self.dilation = dilation
        self.reach = (kernel_size - 1) * dilation
        self._kept = Kept[Tensor]()

    def weight(self) -> Tensor:
        """The filters, (F, D, K)."""
        norm_F: Tensor = self.direction.flatten(1).norm(dim=1)
        return self.direction * (self.length / norm_F)[:, None, None]

    def forward(self, x_BDL: Tensor) -> Tensor:
        """All positions."""
        return functional.conv1d(
            functional.pad(x_BDL, (self.reach, 0)), self.weight(), self.bias, dilation=self.dilation
        )

    def window(self, x_BDL: Tensor) -> Tensor:
        """The last inputs that the next step still looks at, (B, W, D)."""
        missing = self.reach - x_BDL.shape[2]
        if missing > 0:
            return functional.pad(x_BDL, (missing, 0)).transpose(1, 2).contiguous()
        # a view would keep all of them
        return x_BDL[:, :, -self.reach :].transpose(1, 2).clone(memory_format=torch.contiguous_format)

    def step(self, x_BD: Tensor, before_BWD: Tensor) -> tuple[Tensor, Tensor]:
        """The answer (B, F) to one more input, and the window from there on."""
        window = torch.cat([before_BWD, x_BD[:, None]], dim=1)
        seen_BK = window[:, :: self.dilation].flatten(1)
        weight_FK = self._kept.get((self.direction, self.length), self._flat_weight)
        return functional.linear(seen_BK, weight_FK, self.bias), window[:, 1:]

    def _flat_weight(self) -> Tensor:
        """(F, K * D), as a step multiplies by it."""
        return self.weight().transpose(1, 2).flatten(1)


class Block(nn.Module):
    """Two convolutions and the residual; (B, D, L) to (B, H, L)."""

    def __init__(self, inputs: int, hyperparameters: Hyperparameters, dilation: int) -> None:
        super().__init__()
        size, kernel = hyperparameters.hidden_dim, hyperparameters.kernel_size
        self.first = CausalConvolution(inputs, size, kernel, dilation)
        self.second = CausalConvolution(size, size, kernel, dilation)
        self.residual = nn.Conv1d(inputs, size, 1) if inputs != size else nn.Identity()
        self.dropout = nn.Dropout(hyperparameters.dropout)

    def forward(self, x_BDL: Tensor) -> Tensor:
        """All positions."""
        return self.read(x_BDL)[0]

    def read(self, x_BDL: Tensor) -> tuple[Tensor, Tensor]:
        """All positions, and what the second convolution has read."""
        between_BHL = self.dropout(self.first(x_BDL).relu())
        part_BHL = self.dropout(self.second(between_BHL).relu())
        return (self.residual(x_BDL) + part_BHL).relu(), between_BHL

    def step(self, x_BD: Tensor, first_BWD: Tensor, second_BWH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One more position (B, H), and both windows from there on."""
        between_BH, first_BWD = self.first.step(x_BD, first_BWD)
        between_BH = self.dropout(between_BH.relu())
        part_BH, second_BWH = self.second.step(between_BH, second_BWH)
        residual_BH = self.residual(x_BD[:, :, None]).squeeze(2)
        return (residual_BH + self.dropout(part_BH.relu())).relu(), first_BWD, second_BWH


class TCNClassifier(nn.Module):
    """(B, L) tokens or (B, L, D) vectors to (B, C) logits or values, from the last real position.

    Where each step has a class, (B, L, C), from each position.
    """

    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        size = hyperparameters.hidden_dim
        self.embedding = Embedding(spec, hyperparameters.embedding_dim)
        below = [hyperparameters.embedding_dim] + [size] * (block_count(spec, hyperparameters) - 1)
        self.blocks = nn.ModuleList(Block(inputs, hyperparameters, 2**place) for place, inputs in enumerate(below))
        self.each_step = spec.outputs is OutputKind.STEP_CLASSES
        self.classifier = nn.Linear(size, answer_size(spec))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits; `lengths` (B,) on the CPU, None where every row is full."""
        x_BDL = self.embedding(inputs).transpose(1, 2)
        for block in self.blocks:
            x_BDL = block(x_BDL)
        return cast(Tensor, self.classifier(answered(x_BDL.transpose(1, 2), lengths, each_step=self.each_step)))

    @torch.no_grad()
    def init_state(self, prefix: Tensor) -> State:
        """Of every convolution the last inputs that it still looks at, (B, W, D)."""
        x_BDL, windows = self.embedding(prefix).transpose(1, 2), []
        for block in cast(list[Block], self.blocks):
            if prefix.shape[1]:
                after_BHL, between_BHL = block.read(x_BDL)
            else:
                after_BHL = between_BHL = x_BDL.new_zeros(len(prefix), self.classifier.in_features, 0)
            windows += [block.first.window(x_BDL), block.second.window(between_BHL)]
            x_BDL = after_BHL
        return tuple(windows)

    @torch.no_grad()
    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits after one more token (B,) or vector (B, D), without a gradient: one product a convolution."""
        x_BD, after = self.embedding(inputs), []
        for block, first, second in zip(cast(list[Block], self.blocks), state[::2], state[1::2], strict=True):
            x_BD, *windows = block.step(x_BD, first, second)
            after += windows
        return cast(Tensor, self.classifier(x_BD)), tuple(after)


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Embedding; per block two convolutions, of each filter a direction, a length and a bias, and the residual; classifier."""
    size, hidden, kernel = hyperparameters.embedding_dim, hyperparameters.hidden_dim, hyperparameters.kernel_size
    below = [size] + [hidden] * (block_count(spec, hyperparameters) - 1)
    convolutions = sum((kernel * (inputs + hidden) + 4) * hidden for inputs in below)
    residual = linear_count(size, hidden) if size != hidden else 0
    return embedding_count(spec, size) + convolutions + residual + linear_count(hidden, answer_size(spec))


@architecture(
    "tcn",
    summary="dilated causal convolutions in residual blocks, last position, linear layer",
    source="Bai, Kolter & Koltun 2018, An Empirical Evaluation of Generic Convolutional and Recurrent Networks",
    inputs=[InputKind.TOKENS, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES, OutputKind.STEP_CLASSES, OutputKind.VALUE],
    hyperparameters=Hyperparameters,
    width="hidden_dim",
    parameter_count=parameter_count,
    not_streaming=streams,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A TCN classifier."""
    return TCNClassifier(spec, hyperparameters)
