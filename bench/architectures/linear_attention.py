"""A Transformer whose attention is linear in the length: a recurrent network that can be trained in parallel.

    y_t = sum over s <= t of f(q_t) . f(k_s) v_s, divided by the sum of f(q_t) . f(k_s),    f(a) = elu(a) + 1

Sums of f(k_s) v_s over all earlier positions are all that a query needs of them, and the state of a step. This is the
causal form, which streams; a classifier could also look both ways. In parallel, positions are cut into chunks: inside a
chunk the products of all pairs, before it the sums up to its first position. Layers and positions are those of `transformer`.

Shape suffixes beside those of `layers`: N heads, K size of a head, S chunks, T positions of a chunk, Z = K + 1: a value
and a 1, which adds up to what is divided by.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import State, architecture, streams
from bench.architectures.cells import answered
from bench.architectures.layers import Embedding, answer_size, without_autocast
from bench.architectures.transformer import (
    EncoderHyperparameters,
    EncoderLayer,
    add_positions,
    check_heads,
    encoder_count,
    widened,
)
from bench.spec import InputKind, OutputKind, Spec

CHUNK = 32
"""Most positions of a chunk; on a CPU, at heads of 16, as fast as 16 and faster than 64 and 128."""
EPSILON = 1e-6
"""Added to what is divided by, as by the authors."""


def features(x: Tensor) -> Tensor:
    """elu(x) + 1, exact also where that is small."""
    return x.relu() + x.clamp(max=0).exp()


def divided(sums: Tensor) -> Tensor:
    """The last of Z is what the others are divided by."""
    return sums[..., :-1] / (sums[..., -1:] + EPSILON)


def remembered(key_BNLK: Tensor, value_BNLK: Tensor) -> Tensor:
    """(B, N, K, Z): sums of features and values over all positions, in fp32 at least: in bf16 they would stop growing."""
    dtype = torch.promote_types(key_BNLK.dtype, torch.float32)
    sums_BNKZ = features(key_BNLK).mT.to(dtype) @ functional.pad(value_BNLK, (0, 1), value=1.0).to(dtype)
    return sums_BNKZ.to(dtype)  # autocast multiplies in a lower precision


def causal(query_BNLK: Tensor, key_BNLK: Tensor, value_BNLK: Tensor) -> Tensor:
    """(B, N, L, K): what each position takes from itself and earlier ones."""
    value_BNLZ = functional.pad(value_BNLK, (0, 1), value=1.0)
    query_BNSTK, key_BNSTK, value_BNSTZ = map(_chunked, (features(query_BNLK), features(key_BNLK), value_BNLZ))
    inside_BNSTZ = (query_BNSTK @ key_BNSTK.mT).tril() @ value_BNSTZ
    if inside_BNSTZ.shape[2] > 1:
        sums_BNSKZ = key_BNSTK[:, :, :-1].mT @ value_BNSTZ[:, :, :-1]
        # a CPU adds up bf16 in fp32 by itself, CUDA does not
        before_BNSKZ = sums_BNSKZ.cumsum(2, dtype=torch.promote_types(sums_BNSKZ.dtype, torch.float32))
        with without_autocast(before_BNSKZ.device):  # over thousands of positions these pass what fp16 can hold
            before_BNSTZ = query_BNSTK[:, :, 1:].to(before_BNSKZ.dtype) @ before_BNSKZ
        inside_BNSTZ = inside_BNSTZ + functional.pad(before_BNSTZ, (0, 0, 0, 0, 1, 0))
    return divided(inside_BNSTZ.flatten(2, 3)[:, :, : query_BNLK.shape[2]]).to(value_BNLK.dtype)


def _chunked(x_BNLK: Tensor) -> Tensor:
    """(B, N, S, T, K), chunks of like size; a feature of zero adds nothing where the last is filled up."""
    rows, heads, length, size = x_BNLK.shape
    chunks = -(-length // CHUNK)
    missing = -length % -(-length // chunks)
    if missing:
        x_BNLK = functional.pad(x_BNLK, (0, 0, 0, missing))
    return x_BNLK.reshape(rows, heads, chunks, -1, size)


class LinearAttention(nn.Module):
    """(B, L) tokens or (B, L, D) vectors to (B, C) logits or values, from the last real position.

    L is at most the spec's, unless it has no positions. Where each step has a class, (B, L, C), from each position.
    """

    position_table: Tensor | None

    def __init__(self, spec: Spec, hyperparameters: EncoderHyperparameters) -> None:
        super().__init__()
        size, self.num_heads = hyperparameters.embedding_dim, hyperparameters.num_heads
        self.embedding = Embedding(spec, size)
        add_positions(self, spec, hyperparameters)
        self.dropout = nn.Dropout(hyperparameters.dropout)
        self.layers = nn.ModuleList(EncoderLayer(hyperparameters) for _ in range(hyperparameters.num_layers))
        self.norm = nn.LayerNorm(size)
        self.each_step = spec.outputs is OutputKind.STEP_CLASSES
        self.classifier = nn.Linear(size, answer_size(spec))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits; `lengths` (B,) on the CPU, None where every row is full."""
        x_BLD = self._placed(inputs)
        for layer in self.layers:
            x_BLD = layer(x_BLD, causal)
        return self._answer(answered(x_BLD, lengths, each_step=self.each_step))

    def _placed(self, inputs: Tensor) -> Tensor:
        x_BLD = self.embedding(inputs)
        if self.position_table is not None:
            x_BLD = x_BLD + self.position_table[: inputs.shape[1]]
        return cast(Tensor, self.dropout(x_BLD))

    def _answer(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.classifier(self.norm(x)))

    def init_state(self, prefix: Tensor) -> State:
        """How many positions there were, (), and the sums of each layer, (B, N, K, K + 1), in fp32 at least."""
        sums = []

        def mix(query_BNLK: Tensor, key_BNLK: Tensor, value_BNLK: Tensor) -> Tensor:
            sums.append(remembered(key_BNLK, value_BNLK))
            return causal(query_BNLK, key_BNLK, value_BNLK)

        count = torch.tensor(prefix.shape[1], device=prefix.device)
        if not prefix.shape[1]:
            return count, *self._nothing(len(prefix))
        x_BLD = self._placed(prefix)
        for layer in self.layers:
            x_BLD = layer(x_BLD, mix)
        return count, *sums

    def _nothing(self, rows: int) -> list[Tensor]:
        weight, size = self.classifier.weight, self.classifier.in_features // self.num_heads
        dtype = torch.promote_types(weight.dtype, torch.float32)
        return [weight.new_zeros(rows, self.num_heads, size, size + 1, dtype=dtype) for _ in self.layers]

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits after one more token (B,) or vector (B, D), at most as many as there are positions: one position a layer."""
        x_BD = self.embedding(inputs)
        if self.position_table is not None:
            x_BD = x_BD + functional.embedding(state[0], self.position_table)
        x_B1D = self.dropout(x_BD)[:, None]
        before, after = iter(state[1:]), []

        def mix(query_BN1K: Tensor, key_BN1K: Tensor, value_BN1K: Tensor) -> Tensor:
            after.append(next(before) + remembered(key_BN1K, value_BN1K))
            return divided(features(query_BN1K).to(after[-1].dtype) @ after[-1]).to(query_BN1K.dtype)

        for layer in self.layers:
            x_B1D = layer(x_B1D, mix)
        return self._answer(x_B1D[:, 0]), (state[0] + 1, *after)


@architecture(
    "linear-attention",
    summary="Transformer layers (pre-norm) with causal linear attention, last position, linear layer",
    source="Katharopoulos et al. 2020, Transformers are RNNs: Fast Autoregressive Transformers with Linear Attention",
    inputs=[InputKind.TOKENS, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES, OutputKind.STEP_CLASSES, OutputKind.VALUE],
    hyperparameters=EncoderHyperparameters,
    width="embedding_dim",
    widened=widened,
    fine_width="feedforward_dim",
    parameter_count=encoder_count,
    not_streaming=streams,
)
def build(spec: Spec, hyperparameters: EncoderHyperparameters) -> nn.Module:
    """A classifier with linear attention.

    Raises:
        ModelError: embedding_dim cannot be shared out between the heads.
    """
    check_heads("linear-attention", hyperparameters)
    return LinearAttention(spec, hyperparameters)
