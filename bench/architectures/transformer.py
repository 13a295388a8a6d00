"""A Transformer encoder with a classifier on top, in its pre-norm form.

Normalising before each sublayer lets it train from scratch at a learning rate of 1e-3 without warm-up, which the
original post-norm order does not (Xiong et al. 2020). Attention weights are not dropped: torch has no fused attention
with dropout on CPU, and training and inference would run different code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import State, architecture, streams
from bench.architectures.layers import (
    EMBEDDING_STD,
    Embedding,
    answer_size,
    embedding_count,
    known,
    linear_count,
    mean_over_real,
    real_mask,
)
from bench.errors import ModelError
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderHyperparameters:
    """Of every stack of encoder layers, beside its own."""

    embedding_dim: int = option(64, "size of a word's vector and of every layer; a multiple of num_heads", at_least=1)
    num_layers: int = option(2, "encoder layers", at_least=1)
    num_heads: int = option(4, "attention heads", at_least=1)
    feedforward_dim: int = option(256, "inner size of the feed-forward part", at_least=1)
    dropout: float = option(0.2, "share dropped in training after the embedding and each sublayer", at_least=0, below=1)
    positions: str = option("learned", "how a layer knows word order", choices=("learned", "sinusoidal", "none"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters(EncoderHyperparameters):
    """Of `transformer`."""

    pooling: str = option("mean", "mean over words, or a classifier token before them", choices=("mean", "cls"))


Mix = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From the queries, keys and values of each head to what positions take from one another, all (B, N, L, K)."""


class EncoderLayer(nn.Module):
    """Attention and feed-forward part, each `x + dropout(part(norm(x)))`; (B, L, D) to (B, L, D)."""

    def __init__(self, hyperparameters: EncoderHyperparameters) -> None:
        super().__init__()
        size = hyperparameters.embedding_dim
        self.num_heads = hyperparameters.num_heads
        self.attention_norm = nn.LayerNorm(size)
        self.query_key_value = nn.Linear(size, 3 * size)
        self.attention_output = nn.Linear(size, size)
        self.feedforward_norm = nn.LayerNorm(size)
        self.feedforward = nn.Sequential(
            nn.Linear(size, hyperparameters.feedforward_dim),
            nn.ReLU(),
            nn.Linear(hyperparameters.feedforward_dim, size),
        )
        self.dropout = nn.Dropout(hyperparameters.dropout)

    def forward(self, x_BLD: Tensor, mix: Mix) -> Tensor:
        """One layer."""
        return self.feed(self.attend(x_BLD, mix))

    def attend(self, x_BLD: Tensor, mix: Mix) -> Tensor:
        """The first half of a layer: what positions take from one another is added."""
        parts_BL3NK = self.query_key_value(self.attention_norm(x_BLD)).unflatten(2, (3, self.num_heads, -1))
        query_BNLK, key_BNLK, value_BNLK = parts_BL3NK.permute(2, 0, 3, 1, 4).unbind()
        mixed_BNLK = mix(query_BNLK, key_BNLK, value_BNLK)
        return cast(Tensor, x_BLD + self.dropout(self.attention_output(mixed_BNLK.transpose(1, 2).flatten(2))))

    def feed(self, x_BLD: Tensor) -> Tensor:
        """The second half: what each position makes of itself is added."""
        return cast(Tensor, x_BLD + self.dropout(self.feedforward(self.feedforward_norm(x_BLD))))


class TransformerClassifier(nn.Module):
    """(B, L) tokens or (B, L, D) vectors to (B, C) logits or values; L at most the spec's, unless it has no positions.

    Where each step has a class, (B, L, C), and nothing is pooled; a classifier token is then one more to look at.
    """

    position_table: Tensor | None

    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        size = hyperparameters.embedding_dim
        self.embedding = Embedding(spec, size)
        add_positions(self, spec, hyperparameters)
        token_D = torch.empty(size).normal_(std=EMBEDDING_STD)
        self.classifier_token = nn.Parameter(token_D) if hyperparameters.pooling == "cls" else None
        self.dropout = nn.Dropout(hyperparameters.dropout)
        self.layers = nn.ModuleList(EncoderLayer(hyperparameters) for _ in range(hyperparameters.num_layers))
        self.norm = nn.LayerNorm(size)
        self.each_step = spec.outputs is OutputKind.STEP_CLASSES
        self.classifier = nn.Linear(size, answer_size(spec))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits; `lengths` (B,) on the CPU, None where every row is full."""
        x_BLD = self.embedding(inputs)
        mask_BL = None if lengths is None else real_mask(lengths, inputs.shape[1], inputs.device)
        if self.position_table is not None:
            x_BLD = x_BLD + self.position_table[: inputs.shape[1]]
        if self.classifier_token is not None:
            x_BLD = torch.cat([self.classifier_token.expand(x_BLD.shape[0], 1, -1), x_BLD], dim=1)
            mask_BL = None if mask_BL is None else functional.pad(mask_BL, (1, 0), value=True)
        x_BLD = self.dropout(x_BLD)
        mask_B11L = None if mask_BL is None else mask_BL[:, None, None, :]
        mix = partial(functional.scaled_dot_product_attention, attn_mask=mask_B11L)
        for layer in self.layers:
            x_BLD = layer(x_BLD, mix)
        x_BLD = self.norm(x_BLD)
        if self.each_step:
            return cast(Tensor, self.classifier(x_BLD[:, -inputs.shape[1] :]))
        pooled_BD = mean_over_real(x_BLD, mask_BL) if self.classifier_token is None else x_BLD[:, 0]
        return cast(Tensor, self.classifier(pooled_BD))

    def init_state(self, prefix: Tensor) -> State:
        """The tokens (B, n) or vectors (B, n, D) so far: an encoder that looks both ways keeps nothing else of use."""
        return (prefix,)

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits after one more token (B,) or vector (B, D), at most as many as there are positions.

        A new last word changes what every earlier word looks at, so all of them are read again.
        """
        so_far = torch.cat([state[0], inputs[:, None]], dim=1)
        answer = self.forward(so_far)
        return answer[:, -1] if self.each_step else answer, (so_far,)


def add_positions(model: nn.Module, spec: Spec, hyperparameters: EncoderHyperparameters) -> None:
    """Give a model its `position_table` (L, D), which is learned, kept as it is, or None."""
    if hyperparameters.positions == "none":
        model.register_parameter("position_table", None)
        return
    length, size = known(spec.sequence_length, "sequence_length"), hyperparameters.embedding_dim
    if hyperparameters.positions == "learned":
        positions_LD = torch.empty(length, size).normal_(std=EMBEDDING_STD)
        model.register_parameter("position_table", nn.Parameter(positions_LD))
    else:
        model.register_buffer("position_table", sinusoids(length, size), persistent=False)


def sinusoids(positions: int, size: int) -> Tensor:
    """(L, D) sines and cosines of falling frequency, scaled to the spread of fresh embeddings."""
    place_L1 = torch.arange(positions)[:, None]
    angle_LD = place_L1 / 10_000 ** (torch.arange(0, size, 2) / size)
    both_LD = torch.stack([angle_LD.sin(), angle_LD.cos()], dim=2).flatten(1)[:, :size]
    return both_LD * (EMBEDDING_STD * math.sqrt(2))


def stack_count(spec: Spec, hyperparameters: EncoderHyperparameters) -> int:
    """Number of parameters of embedding, positions, layers of two norms, attention and feed-forward part, and last norm."""
    size, inner = hyperparameters.embedding_dim, hyperparameters.feedforward_dim
    attention = linear_count(size, 3 * size) + linear_count(size, size)
    layer = 4 * size + attention + linear_count(size, inner) + linear_count(inner, size)
    positions = known(spec.sequence_length, "sequence_length") * size if hyperparameters.positions == "learned" else 0
    return embedding_count(spec, size) + positions + hyperparameters.num_layers * layer + 2 * size


def encoder_count(spec: Spec, hyperparameters: EncoderHyperparameters) -> int:
    """Number of parameters of a stack and a classifier."""
    return stack_count(spec, hyperparameters) + linear_count(hyperparameters.embedding_dim, answer_size(spec))


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """An encoder, and a classifier token where there is one."""
    token = hyperparameters.embedding_dim if hyperparameters.pooling == "cls" else 0
    return encoder_count(spec, hyperparameters) + token


def check_heads(name: str, hyperparameters: EncoderHyperparameters) -> None:
    """See that the heads of an architecture can share its width.

    Raises:
        ModelError: they cannot.
    """
    if hyperparameters.embedding_dim % hyperparameters.num_heads:
        raise ModelError(
            f"{name}: embedding_dim {hyperparameters.embedding_dim} is not a multiple of "
            f"num_heads {hyperparameters.num_heads}; change one of them"
        )


def widened(hyperparameters: EncoderHyperparameters, embedding_dim: int) -> EncoderHyperparameters:
    """About as wide, in whole numbers for every head; the feed-forward part keeps its ratio to the width."""
    heads = hyperparameters.num_heads
    size = heads * max(1, round(embedding_dim / heads))
    inner = max(1, round(hyperparameters.feedforward_dim * size / hyperparameters.embedding_dim))
    return replace(hyperparameters, embedding_dim=size, feedforward_dim=inner)


@architecture(
    "transformer",
    summary="Transformer encoder (pre-norm), mean or classifier-token pooling, linear layer",
    source="Vaswani et al. 2017, Attention Is All You Need; pre-norm: Xiong et al. 2020, On Layer Normalization",
    inputs=[InputKind.TOKENS, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES, OutputKind.STEP_CLASSES, OutputKind.VALUE],
    hyperparameters=Hyperparameters,
    width="embedding_dim",
    widened=widened,
    fine_width="feedforward_dim",
    parameter_count=parameter_count,
    not_streaming=streams,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A Transformer classifier.

    Raises:
        ModelError: embedding_dim cannot be shared out between the heads.
    """
    check_heads("transformer", hyperparameters)
    return TransformerClassifier(spec, hyperparameters)
