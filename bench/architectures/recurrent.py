"""Recurrent classifiers on torch's fused cells: Elman's RNN, LSTM and GRU, stacked, in one or both directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from bench.architectures import State, architecture
from bench.architectures.layers import Embedding, embedding_count, known, linear_count
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `rnn` and `gru`."""

    embedding_dim: int = option(128, "size of a word's vector", at_least=1)
    hidden_dim: int = option(128, "size of the state, in each direction", at_least=1)
    num_layers: int = option(1, "stacked recurrent layers", at_least=1)
    bidirectional: bool = option(False, "read in both directions and join the two last states")
    dropout: float = option(
        0.5, "share dropped in training between layers and before the classifier", at_least=0, below=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMHyperparameters(Hyperparameters):
    """Of `lstm`."""

    forget_bias: float = option(1.0, "initial bias of the forget gate; 1 lets a fresh cell remember (Gers 2000)")


Cell = Callable[..., nn.RNNBase]


class RecurrentClassifier(nn.Module):
    """(B, L) tokens or (B, L, D) vectors to (B, C) logits, from the state after the last real position.

    A second direction starts at the last real position and ends at the first one.
    """

    def __init__(self, cell: Cell, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        self.embedding = Embedding(spec, hyperparameters.embedding_dim)
        self.recurrent = cell(
            hyperparameters.embedding_dim,
            hyperparameters.hidden_dim,
            num_layers=hyperparameters.num_layers,
            bidirectional=hyperparameters.bidirectional,
            # torch warns where there is no second layer to drop for
            dropout=hyperparameters.dropout if hyperparameters.num_layers > 1 else 0.0,
            batch_first=True,
        )
        self.dropout = nn.Dropout(hyperparameters.dropout)
        directions = 2 if hyperparameters.bidirectional else 1
        self.classifier = nn.Linear(directions * hyperparameters.hidden_dim, known(spec.classes, "classes"))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits; `lengths` (B,) on the CPU, None where every row is full."""
        x_BLD = self.embedding(inputs)
        if lengths is None:
            _, state = self.recurrent(x_BLD)
            last_BH = self._top(state)
        elif self.recurrent.bidirectional:
            # only packing starts the backward half at each row's own end, in every layer
            packed = pack_padded_sequence(x_BLD, lengths.clamp(min=1), batch_first=True, enforce_sorted=False)
            _, state = self.recurrent(packed)
            last_BH = self._top(state)
        else:
            output_BLH, _ = self.recurrent(x_BLD)
            place_B11 = (lengths.clamp(min=1) - 1).to(inputs.device)[:, None, None]
            last_BH = output_BLH.gather(1, place_B11.expand(-1, 1, output_BLH.shape[2])).squeeze(1)
        return cast(Tensor, self.classifier(self.dropout(last_BH)))

    def init_state(self, prefix: Tensor) -> State:
        """The hidden states of all layers, (layers, B, H), and an LSTM's cells; for one direction only."""
        if prefix.shape[1]:
            _, state = self.recurrent(self.embedding(prefix))
            return state if isinstance(state, tuple) else (state,)
        zeros = self.classifier.weight.new_zeros(self.recurrent.num_layers, len(prefix), self.recurrent.hidden_size)
        return (zeros, zeros) if isinstance(self.recurrent, nn.LSTM) else (zeros,)

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits after one more token (B,) or vector (B, D): one turn of the cells."""
        x_B1D = self.embedding(inputs)[:, None]
        _, after = self.recurrent(x_B1D, state if isinstance(self.recurrent, nn.LSTM) else state[0])
        logits_BC = cast(Tensor, self.classifier(self.dropout(self._top(after))))
        return logits_BC, after if isinstance(after, tuple) else (after,)

    def _top(self, state: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Last states of the top layer, both directions side by side; `state` is (layers * directions, B, H)."""
        hidden = state[0] if isinstance(state, tuple) else state
        return torch.cat([hidden[-2], hidden[-1]], dim=1) if self.recurrent.bidirectional else hidden[-1]


def parameter_count(gates: int, spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Embedding, `gates` matrices per layer and direction with torch's two bias vectors each, classifier."""
    size, hidden = hyperparameters.embedding_dim, hyperparameters.hidden_dim
    directions = 2 if hyperparameters.bidirectional else 1
    below = [size] + [directions * hidden] * (hyperparameters.num_layers - 1)
    cells = sum(directions * gates * hidden * (inputs + hidden + 2) for inputs in below)
    return embedding_count(spec, size) + cells + linear_count(directions * hidden, known(spec.classes, "classes"))


def not_streaming(hyperparameters: Hyperparameters) -> str:
    """Why a variant does not stream, or an empty text."""
    return "one of its directions begins with the last word" if hyperparameters.bidirectional else ""


register = partial(
    architecture,
    inputs=[InputKind.TOKENS, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES],
    width="hidden_dim",
    not_streaming=not_streaming,
)


@register(
    "rnn",
    summary="Elman's recurrent network (tanh), last state, linear layer",
    source="Elman 1990, Finding Structure in Time; bidirectional: Schuster & Paliwal 1997",
    hyperparameters=Hyperparameters,
    parameter_count=partial(parameter_count, 1),
)
def build_rnn(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """An RNN classifier."""
    return RecurrentClassifier(nn.RNN, spec, hyperparameters)


@register(
    "gru",
    summary="gated recurrent unit, last state, linear layer",
    source="Cho et al. 2014, Learning Phrase Representations using RNN Encoder-Decoder",
    hyperparameters=Hyperparameters,
    parameter_count=partial(parameter_count, 3),
)
def build_gru(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A GRU classifier."""
    return RecurrentClassifier(nn.GRU, spec, hyperparameters)


@register(
    "lstm",
    summary="long short-term memory, last state, linear layer",
    source="Hochreiter & Schmidhuber 1997, Long Short-Term Memory; forget gate: Gers et al. 2000",
    hyperparameters=LSTMHyperparameters,
    parameter_count=partial(parameter_count, 4),
)
def build_lstm(spec: Spec, hyperparameters: LSTMHyperparameters) -> nn.Module:
    """An LSTM classifier whose forget gates start at `forget_bias`."""
    model = RecurrentClassifier(nn.LSTM, spec, hyperparameters)
    hidden = hyperparameters.hidden_dim
    with torch.no_grad():
        for name, parameter in model.recurrent.named_parameters():
            if name.startswith("bias"):
                # torch adds two bias vectors; gates lie in the order input, forget, cell, output
                parameter[hidden : 2 * hidden].fill_(hyperparameters.forget_bias if "_ih_" in name else 0.0)
    return model
