"""minGRU and minLSTM: recurrent networks whose gates see the input alone, so that all steps can be computed at once.

    h' = (1 - z) * h + z * g(V x),    g(a) = a + .5 where a >= 0, sigmoid(a) elsewhere
    minGRU:  z = sigmoid(U x + b)
    minLSTM: f, i = sigmoid(U x + b), made to sum to 1: z = i / (f + i)

States start at 0, gates as torch's linear layers do. Layers are plainly stacked, as in the authors' synthetic tasks; the
convolutions and feed-forward parts that they add for language are left out. One layer cannot choose by what it has read,
a second can, so there are two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import State, architecture, streams
from bench.architectures.cells import answered
from bench.architectures.layers import Embedding, answer_size, embedding_count, linear_count
from bench.architectures.linear_scan import LinearScan
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `mingru` and `minlstm`."""

    embedding_dim: int = option(128, "size of a word's vector", at_least=1)
    hidden_dim: int = option(128, "size of the state", at_least=1)
    num_layers: int = option(2, "stacked recurrent layers", at_least=1)
    dropout: float = option(
        0.5, "share dropped in training between layers and before the classifier", at_least=0, below=1
    )


def update_gate(gates: Sequence[Tensor]) -> Tensor:
    """How much of a state is new: of one gate (minGRU), or of a forget and an input gate (minLSTM), before their sigmoids."""
    if len(gates) == 1:
        return gates[0].sigmoid()
    forget, enter = gates
    # i / (f + i), also where both are too small to be told from 0
    return (functional.logsigmoid(enter) - functional.logsigmoid(forget)).sigmoid()


GATES = {"mingru": 1, "minlstm": 2}


class Layer(nn.Module):
    """(B, L, D) to the state after each step, (B, L, H), from a state of zeros."""

    def __init__(self, inputs: int, size: int, gates: int) -> None:
        super().__init__()
        self.entering = nn.Linear(inputs, (gates + 1) * size)
        self.gates = gates

    def forward(self, x_BLD: Tensor) -> Tensor:
        """All states."""
        update_BLH, candidate_BLH = self._opened(x_BLD)
        state_BLH = LinearScan.apply(1 - update_BLH, update_BLH * candidate_BLH)  # type: ignore[no-untyped-call]
        return cast(Tensor, state_BLH)

    def step(self, x_BD: Tensor, state_BH: Tensor) -> Tensor:
        """The state (B, H) after one more step."""
        update_BH, candidate_BH = self._opened(x_BD)
        return torch.lerp(state_BH, candidate_BH, update_BH)

    def _opened(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The update gate and the candidate, in fp32 at least: a state moves by small parts of itself."""
        entering = self.entering(x)
        entering = entering.to(torch.promote_types(entering.dtype, torch.float32))
        *gates, candidate = entering.chunk(self.gates + 1, dim=-1)
        # the same as the two cases of g: the line is above the sigmoid from 0 on, and below it before
        return update_gate(gates), torch.maximum(candidate + 0.5, candidate.sigmoid())


class MinimalRNN(nn.Module):
    """(B, L) tokens or (B, L, D) vectors to (B, C) logits or values, from the state after the last real position.

    Where each step has a class, (B, L, C), from the state after each.
    """

    def __init__(self, cell: str, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        size = hyperparameters.hidden_dim
        self.embedding = Embedding(spec, hyperparameters.embedding_dim)
        below = [hyperparameters.embedding_dim] + [size] * (hyperparameters.num_layers - 1)
        self.layers = nn.ModuleList(Layer(inputs, size, GATES[cell]) for inputs in below)
        self.dropout = nn.Dropout(hyperparameters.dropout)
        self.each_step = spec.outputs is OutputKind.STEP_CLASSES
        self.classifier = nn.Linear(size, answer_size(spec))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits; `lengths` (B,) on the CPU, None where every row is full."""
        state_BLH = self._states(inputs)[-1]
        return self._answer(answered(state_BLH, lengths, each_step=self.each_step))

    def _states(self, inputs: Tensor) -> list[Tensor]:
        """The states (B, L, H) of every layer, from the lowest."""
        x_BLD = self.embedding(inputs)
        states: list[Tensor] = []
        for layer in self.layers:
            states.append(layer(x_BLD))
            x_BLD = self.dropout(states[-1].to(x_BLD.dtype))
        return states

    def _answer(self, state: Tensor) -> Tensor:
        return cast(Tensor, self.classifier(self.dropout(state.to(self.classifier.weight.dtype))))

    def init_state(self, prefix: Tensor) -> State:
        """The states of all layers, (layers, B, H), in fp32 at least."""
        if prefix.shape[1]:
            return (torch.stack([state_BLH[:, -1] for state_BLH in self._states(prefix)]),)
        weight = self.classifier.weight
        dtype = torch.promote_types(weight.dtype, torch.float32)
        return (weight.new_zeros(len(self.layers), len(prefix), weight.shape[1], dtype=dtype),)

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits after one more token (B,) or vector (B, D): one product of input and weight a layer."""
        x_BD, after = self.embedding(inputs), []
        for layer, state_BH in zip(self.layers, state[0], strict=True):
            after.append(cast(Layer, layer).step(x_BD, state_BH))
            x_BD = self.dropout(after[-1].to(x_BD.dtype))
        return self._answer(after[-1]), (torch.stack(after),)


def parameter_count(cell: str, spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Embedding; per layer gates and candidate; classifier."""
    size, hidden = hyperparameters.embedding_dim, hyperparameters.hidden_dim
    below = [size] + [hidden] * (hyperparameters.num_layers - 1)
    layers = sum(linear_count(inputs, (GATES[cell] + 1) * hidden) for inputs in below)
    return embedding_count(spec, size) + layers + linear_count(hidden, answer_size(spec))


register = partial(
    architecture,
    source="Feng et al. 2024, Were RNNs All We Needed?; scan by chunks instead of Heinsen 2023",
    inputs=[InputKind.TOKENS, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES, OutputKind.STEP_CLASSES, OutputKind.VALUE],
    hyperparameters=Hyperparameters,
    width="hidden_dim",
    not_streaming=streams,
)


@register(
    "mingru",
    summary="GRU with an update gate that sees the input alone: all steps at once, last state, linear layer",
    parameter_count=partial(parameter_count, "mingru"),
)
def build_mingru(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A minGRU classifier."""
    return MinimalRNN("mingru", spec, hyperparameters)


@register(
    "minlstm",
    summary="LSTM with gates that see the input alone and sum to 1: all steps at once, last state, linear layer",
    parameter_count=partial(parameter_count, "minlstm"),
)
def build_minlstm(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A minLSTM classifier."""
    return MinimalRNN("minlstm", spec, hyperparameters)
