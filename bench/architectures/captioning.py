"""Pictures in, words out: a small convolutional network makes the memory that a recurrent network or a Transformer looks at.

Shape suffixes beside those of `layers`: M places of the last feature map, F its channels, K size of a place of the memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from bench.architectures import State, architecture, rnn_seq2seq, transformer_seq2seq
from bench.architectures.cnn import convolutions, convolutions_count, image_shape
from bench.architectures.layers import linear_count
from bench.architectures.rnn_seq2seq import DecoderHyperparameters, RecurrentDecoder, reads_first
from bench.architectures.transformer import check_heads, widened
from bench.architectures.transformer_seq2seq import TransformerDecoder
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec

PLACE_STD = 0.5
"""Spread of what places start with: where they begin nearly alike it takes long to tell them apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentHyperparameters(DecoderHyperparameters):
    """Of `cnn-rnn`."""

    num_filters: int = option(32, "filters of the first convolution; the second has twice as many", at_least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerHyperparameters(transformer_seq2seq.Hyperparameters):
    """Of `cnn-transformer`."""

    num_filters: int = option(32, "filters of the first convolution; the second has twice as many", at_least=1)


class Places(nn.Module):
    """(B, C, H, W) to (B, M, K): relu(W x + p) of each place of the last feature map, p being its own."""

    def __init__(self, spec: Spec, num_filters: int, width: int) -> None:
        super().__init__()
        self.features = convolutions(image_shape(spec)[0], num_filters)
        self.project = nn.Linear(2 * num_filters, width)
        self.place = nn.Parameter(torch.empty(places(spec), width).normal_(std=PLACE_STD))
        start_wide(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """The memory."""
        feature_BMF = self.features(inputs).flatten(2).transpose(1, 2)
        return cast(Tensor, (self.project(feature_BMF) + self.place).relu())


class Whole(nn.Module):
    """(B, C, H, W) to (B, 1, K): the whole of the last feature map through one layer and relu, a memory of one place."""

    def __init__(self, spec: Spec, num_filters: int, width: int) -> None:
        super().__init__()
        self.features = convolutions(image_shape(spec)[0], num_filters)
        self.project = nn.Linear(places(spec) * 2 * num_filters, width)
        start_wide(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """The memory."""
        return cast(Tensor, self.project(self.features(inputs).flatten(1)).relu()[:, None])


def start_wide(encoder: nn.Module) -> None:
    """Give layers before a relu the spread of He et al. 2015, and no bias.

    From torch's own start the memory differs so little between pictures (by .01) that words are learnt late or never.
    """
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, layer.bias))


def places(spec: Spec) -> int:
    """How many places the last feature map has."""
    _, height, columns = image_shape(spec)
    return (height // 4) * (columns // 4)


def places_count(spec: Spec, num_filters: int, width: int) -> int:
    """Number of parameters of `Places`."""
    seeing = convolutions_count(image_shape(spec)[0], num_filters)
    return seeing + linear_count(2 * num_filters, width) + places(spec) * width


def whole_count(spec: Spec, num_filters: int, width: int) -> int:
    """Number of parameters of `Whole`."""
    seeing = convolutions_count(image_shape(spec)[0], num_filters)
    return seeing + linear_count(places(spec) * 2 * num_filters, width)


class Captioner(nn.Module):
    """(B, C, H, W) pictures and (B, T) target tokens to (B, T, V) logits."""

    def __init__(self, encoder: Places | Whole, decoder: RecurrentDecoder | TransformerDecoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Logits under teacher forcing."""
        return cast(Tensor, self.decoder(targets, self.encoder(inputs)))

    def start(self, inputs: Tensor, lengths: Tensor | None = None) -> State:  # noqa: ARG002 - pictures have none
        """What the decoder begins with and looks at: seen and projected once."""
        return self.decoder.start(self.encoder(inputs))

    def next(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (B, V) after one more token (B,); of a Transformer at most as many as there are target positions."""
        return self.decoder.next(tokens, state)


def recurrent_count(spec: Spec, hyperparameters: RecurrentHyperparameters) -> int:
    """What sees, and what writes."""
    seeing = whole_count if hyperparameters.attention == "none" else places_count
    encoder = seeing(spec, hyperparameters.num_filters, hyperparameters.hidden_dim)
    return encoder + rnn_seq2seq.decoder_count(spec, hyperparameters, hyperparameters.hidden_dim)


def transformer_count(spec: Spec, hyperparameters: TransformerHyperparameters) -> int:
    """What sees, and what writes."""
    encoder = places_count(spec, hyperparameters.num_filters, hyperparameters.embedding_dim)
    return encoder + transformer_seq2seq.decoder_count(spec, hyperparameters)


@architecture(
    "cnn-rnn",
    summary="a small CNN, and a recurrent network (GRU, LSTM or RNN) that writes and attends to what it sees, or does not",
    source="Vinyals et al. 2015, Show and Tell; attention: Xu et al. 2015, Show, Attend and Tell",
    inputs=[InputKind.IMAGE],
    outputs=[OutputKind.TOKENS],
    hyperparameters=RecurrentHyperparameters,
    width="hidden_dim",
    parameter_count=recurrent_count,
    not_streaming=reads_first,
)
def build_recurrent(spec: Spec, hyperparameters: RecurrentHyperparameters) -> nn.Module:
    """A convolutional encoder with a recurrent decoder; what does not look at places starts from all of them in their order."""
    seeing = Whole if hyperparameters.attention == "none" else Places
    encoder = seeing(spec, hyperparameters.num_filters, hyperparameters.hidden_dim)
    return Captioner(encoder, RecurrentDecoder(spec, hyperparameters, hyperparameters.hidden_dim))


@architecture(
    "cnn-transformer",
    summary="a small CNN, and a Transformer decoder (pre-norm) that looks at each place of its last feature map",
    source="Xu et al. 2015, Show, Attend and Tell; decoder: Vaswani et al. 2017, Attention Is All You Need",
    inputs=[InputKind.IMAGE],
    outputs=[OutputKind.TOKENS],
    hyperparameters=TransformerHyperparameters,
    width="embedding_dim",
    widened=widened,
    fine_width="feedforward_dim",
    parameter_count=transformer_count,
    not_streaming=reads_first,
)
def build_transformer(spec: Spec, hyperparameters: TransformerHyperparameters) -> nn.Module:
    """A convolutional encoder with a Transformer decoder.

    Raises:
        ModelError: embedding_dim cannot be shared out between the heads.
    """
    check_heads("cnn-transformer", hyperparameters)
    encoder = Places(spec, hyperparameters.num_filters, hyperparameters.embedding_dim)
    return Captioner(encoder, TransformerDecoder(spec, hyperparameters))
