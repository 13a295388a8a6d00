"""Recurrent classifiers: Elman's RNN, LSTM and GRU on torch's fused cells, and the LSTM of 1997."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

from torch import Tensor, nn

from bench.architectures import State, architecture
from bench.architectures.cells import (
    FORGET_BIAS,
    Hyperparameters,
    not_streaming,
    read,
    read_real,
    set_forget_bias,
    stacked,
    stacked_count,
    stacked_width,
    unpacked,
)
from bench.architectures.layers import Embedding, answer_size, embedding_count, linear_count
from bench.errors import ModelError
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec

IDENTITY_INPUT_STD = 1e-3
"""Of Le 2015: nothing that was ever added to a state leaves it, and in a second layer such sums are added up again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RNNHyperparameters(Hyperparameters):
    """Of `rnn`."""

    nonlinearity: str = option("tanh", "what a state goes through", choices=("tanh", "relu"))
    init: str = option(
        "default",
        "torch's own; or the identity as recurrent matrix, small input weights, no biases: with relu the IRNN of Le 2015",
        choices=("default", "identity"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMHyperparameters(Hyperparameters):
    """Of `lstm`."""

    forget_gate: bool = option(
        True, "false for the cell of 1997: input and output gate only, nothing is ever forgotten"
    )
    forget_bias: float = option(
        FORGET_BIAS, "initial bias of the forget gate, where there is one; 1 lets a fresh cell remember (Gers 2000)"
    )


class RecurrentClassifier(nn.Module):
    """(B, L) tokens or (B, L, D) vectors to (B, C) logits or values, from the state after the last real position.

    A second direction starts at the last real position and ends at the first one. Where each step has a class, (B, L, C).
    """

    def __init__(self, cell: str, spec: Spec, hyperparameters: Hyperparameters, **more: object) -> None:
        super().__init__()
        self.embedding = Embedding(spec, hyperparameters.embedding_dim)
        self.recurrent = stacked(cell, hyperparameters, **more)
        self.dropout = nn.Dropout(hyperparameters.dropout)
        self.each_step = spec.outputs is OutputKind.STEP_CLASSES
        self.classifier = nn.Linear(stacked_width(hyperparameters), answer_size(spec))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits; `lengths` (B,) on the CPU, None where every row is full."""
        last_BK, output = read_real(self.recurrent, self.embedding(inputs), lengths)
        answered = unpacked(output, inputs.shape[1]) if self.each_step else last_BK
        return cast(Tensor, self.classifier(self.dropout(answered)))

    def init_state(self, prefix: Tensor) -> State:
        """The hidden states of all layers, (layers, B, H), and an LSTM's cells; for one direction only."""
        return read(self.recurrent, self.embedding(prefix))[1]

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits after one more token (B,) or vector (B, D): one turn of the cells."""
        output_B1H, after = read(self.recurrent, self.embedding(inputs)[:, None], state)
        return cast(Tensor, self.classifier(self.dropout(output_B1H[:, 0]))), after


def parameter_count(cell: str, spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Embedding, cells, classifier."""
    classifier = linear_count(stacked_width(hyperparameters), answer_size(spec))
    return embedding_count(spec, hyperparameters.embedding_dim) + stacked_count(cell, hyperparameters) + classifier


register = partial(
    architecture,
    inputs=[InputKind.TOKENS, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES, OutputKind.STEP_CLASSES, OutputKind.VALUE],
    width="hidden_dim",
    not_streaming=not_streaming,
)


@register(
    "rnn",
    summary="Elman's recurrent network (tanh or ReLU), last state, linear layer",
    source="Elman 1990, Finding Structure in Time; bidirectional: Schuster & Paliwal 1997; identity: Le et al. 2015",
    hyperparameters=RNNHyperparameters,
    parameter_count=partial(parameter_count, "rnn"),
)
def build_rnn(spec: Spec, hyperparameters: RNNHyperparameters) -> nn.Module:
    """An RNN classifier."""
    model = RecurrentClassifier("rnn", spec, hyperparameters, nonlinearity=hyperparameters.nonlinearity)
    if hyperparameters.init == "identity":
        for name, parameter in model.recurrent.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.normal_(parameter, std=IDENTITY_INPUT_STD)
            elif name.startswith("weight_hh"):
                nn.init.eye_(parameter)
            else:
                nn.init.zeros_(parameter)
    return model


@register(
    "gru",
    summary="gated recurrent unit, last state, linear layer",
    source="Cho et al. 2014, Learning Phrase Representations using RNN Encoder-Decoder",
    hyperparameters=Hyperparameters,
    parameter_count=partial(parameter_count, "gru"),
)
def build_gru(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A GRU classifier."""
    return RecurrentClassifier("gru", spec, hyperparameters)


def _lstm_cell(hyperparameters: LSTMHyperparameters) -> str:
    return "lstm" if hyperparameters.forget_gate else "forgetless"


@register(
    "lstm",
    summary="long short-term memory with or without a forget gate, last state, linear layer",
    source="Hochreiter & Schmidhuber 1997, Long Short-Term Memory; forget gate: Gers et al. 2000",
    hyperparameters=LSTMHyperparameters,
    parameter_count=lambda spec, settings: parameter_count(_lstm_cell(settings), spec, settings),
)
def build_lstm(spec: Spec, hyperparameters: LSTMHyperparameters) -> nn.Module:
    """An LSTM classifier whose forget gates start at `forget_bias`, or that has none.

    Raises:
        ModelError: a bias is asked for of a gate that is not there.
    """
    if not hyperparameters.forget_gate and hyperparameters.forget_bias != FORGET_BIAS:
        raise ModelError(
            f"lstm: forget_bias is {hyperparameters.forget_bias}, but forget_gate is false; remove one of them"
        )
    model = RecurrentClassifier(_lstm_cell(hyperparameters), spec, hyperparameters)
    if hyperparameters.forget_gate:
        set_forget_bias(model.recurrent, hyperparameters.forget_bias)
    return model
