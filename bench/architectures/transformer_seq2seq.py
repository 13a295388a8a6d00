"""A Transformer that reads and one that writes, both in pre-norm form: each layer of the second looks at all that was read.

Under teacher forcing all target tokens are answered at once, each from itself and those before it. One token at a time, the
keys and values of earlier ones are kept, and those of what was read are made once.

Shape suffixes beside those of `layers`: T target tokens, M places of the memory, N heads, K size of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import State, architecture
from bench.architectures.decoding import shifted
from bench.architectures.layers import Embedding, answer_size, linear_count, real_mask, writing_spec
from bench.architectures.rnn_seq2seq import reads_first
from bench.architectures.transformer import (
    EncoderHyperparameters,
    EncoderLayer,
    Mix,
    add_positions,
    check_heads,
    stack_count,
    widened,
)
from bench.errors import ModelError
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters(EncoderHyperparameters):
    """Of every Transformer that writes."""

    embedding_dim: int = option(128, "size of a word's vector and of every layer; a multiple of num_heads", at_least=1)
    num_layers: int = option(2, "layers that write, and as many that read where a Transformer reads", at_least=1)
    feedforward_dim: int = option(512, "inner size of the feed-forward part", at_least=1)
    dropout: float = option(0.1, "share dropped in training after the embedding and each sublayer", at_least=0, below=1)


class Entrance(nn.Module):
    """(B, L) tokens, the first of them at a place of its own, to (B, L, D): embedding and position."""

    position_table: Tensor | None

    def __init__(self, spec: Spec, hyperparameters: EncoderHyperparameters) -> None:
        super().__init__()
        self.embedding = Embedding(spec, hyperparameters.embedding_dim)
        add_positions(self, spec, hyperparameters)
        self.dropout = nn.Dropout(hyperparameters.dropout)

    def forward(self, inputs: Tensor, first: int = 0) -> Tensor:
        """Vectors of positions `first` and on.

        Raises:
            ModelError: there are not so many positions.
        """
        x_BLD, end = self.embedding(inputs), first + inputs.shape[1]
        if self.position_table is not None:
            if end > len(self.position_table):
                raise ModelError(
                    f"position {end} of a Transformer that was built for {len(self.position_table)}; ask for fewer tokens, "
                    "or set positions = 'none'"
                )
            x_BLD = x_BLD + self.position_table[first:end]
        return cast(Tensor, self.dropout(x_BLD))


class DecoderLayer(nn.Module):
    """An encoder layer that looks at the memory between its halves, `x + dropout(look(norm(x)))`; (B, T, D) to (B, T, D)."""

    def __init__(self, hyperparameters: EncoderHyperparameters) -> None:
        super().__init__()
        size = hyperparameters.embedding_dim
        self.own = EncoderLayer(hyperparameters)
        self.memory_norm = nn.LayerNorm(size)
        self.query = nn.Linear(size, size)
        self.key_value = nn.Linear(size, 2 * size)
        self.output = nn.Linear(size, size)
        self.dropout = nn.Dropout(hyperparameters.dropout)

    def project(self, memory_BMD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, N, M, K) of the memory."""
        parts_BM2NK = self.key_value(memory_BMD).unflatten(2, (2, self.own.num_heads, -1))
        key_BNMK, value_BNMK = parts_BM2NK.permute(2, 0, 3, 1, 4).unbind()
        return key_BNMK, value_BNMK

    def forward(self, x_BTD: Tensor, mix: Mix, key_BNMK: Tensor, value_BNMK: Tensor, mask_BM: Tensor | None) -> Tensor:
        """One layer; `mask_BM` is true where the memory is not padding."""
        x_BTD = self.own.attend(x_BTD, mix)
        query_BNTK = self.query(self.memory_norm(x_BTD)).unflatten(2, (self.own.num_heads, -1)).transpose(1, 2)
        mask_B11M = None if mask_BM is None else mask_BM[:, None, None]
        seen_BNTK = functional.scaled_dot_product_attention(query_BNTK, key_BNMK, value_BNMK, attn_mask=mask_B11M)
        return self.own.feed(x_BTD + self.dropout(self.output(seen_BNTK.transpose(1, 2).flatten(2))))


causal: Mix = partial(functional.scaled_dot_product_attention, is_causal=True)


class TransformerDecoder(nn.Module):
    """(B, T) target tokens to (B, T, V) logits, from a memory (B, M, D)."""

    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        size = hyperparameters.embedding_dim
        self.entrance = Entrance(writing_spec(spec), hyperparameters)
        self.layers = nn.ModuleList(DecoderLayer(hyperparameters) for _ in range(hyperparameters.num_layers))
        self.norm = nn.LayerNorm(size)
        self.classifier = nn.Linear(size, answer_size(spec))

    def forward(self, targets: Tensor, memory_BMD: Tensor, mask_BM: Tensor | None = None) -> Tensor:
        """Logits of every target token under teacher forcing; `mask_BM` is true where the memory is not padding."""
        x_BTD = self.entrance(shifted(targets))
        for layer in self._layers():
            x_BTD = layer(x_BTD, causal, *layer.project(memory_BMD), mask_BM)
        return self._answer(x_BTD)

    def start(self, memory_BMD: Tensor, mask_BM: Tensor | None = None) -> State:
        """Keys and values of each layer: first of the memory, then of tokens (none yet); the mask, where there is one."""
        memory = tuple(part for layer in self._layers() for part in layer.project(memory_BMD))
        mask = () if mask_BM is None else (mask_BM,)
        return *memory, *(part[:, :, :0] for part in memory), *mask

    def next(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (B, V) after one more token (B,); that token alone is computed."""
        count = 2 * len(self.layers)
        memory, before, mask = state[:count], iter(state[count : 2 * count]), state[2 * count :]
        after: list[Tensor] = []

        def mix(query_BN1K: Tensor, *new: Tensor) -> Tensor:
            key_BNTK, value_BNTK = (torch.cat([next(before), one], dim=2) for one in new)
            after.extend([key_BNTK, value_BNTK])
            return functional.scaled_dot_product_attention(query_BN1K, key_BNTK, value_BNTK)

        x_B1D = self.entrance(tokens[:, None], state[count].shape[2])
        for place, layer in enumerate(self._layers()):
            x_B1D = layer(x_B1D, mix, *memory[2 * place : 2 * place + 2], mask[0] if mask else None)
        return self._answer(x_B1D)[:, 0], (*memory, *after, *mask)

    def _layers(self) -> list[DecoderLayer]:
        return [cast(DecoderLayer, layer) for layer in self.layers]

    def _answer(self, x_BTD: Tensor) -> Tensor:
        return cast(Tensor, self.classifier(self.norm(x_BTD)))


class TransformerSeq2Seq(nn.Module):
    """(B, L) tokens and (B, T) target tokens to (B, T, V) logits; L and T at most the spec's, unless without positions."""

    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        self.entrance = Entrance(spec, hyperparameters)
        self.layers = nn.ModuleList(EncoderLayer(hyperparameters) for _ in range(hyperparameters.num_layers))
        self.norm = nn.LayerNorm(hyperparameters.embedding_dim)
        self.decoder = TransformerDecoder(spec, hyperparameters)

    def forward(self, inputs: Tensor, lengths: Tensor | None, targets: Tensor) -> Tensor:
        """Logits under teacher forcing; `lengths` (B,) on the CPU, None where every row is full."""
        return cast(Tensor, self.decoder(targets, *self._read(inputs, lengths)))

    def start(self, inputs: Tensor, lengths: Tensor | None = None) -> State:
        """What the decoder looks at: read and projected once."""
        return self.decoder.start(*self._read(inputs, lengths))

    def next(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (B, V) after one more token (B,), at most as many as there are target positions."""
        return self.decoder.next(tokens, state)

    def _read(self, inputs: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The memory (B, L, D), and where it is real."""
        mask_BL = None if lengths is None else real_mask(lengths, inputs.shape[1], inputs.device)
        mask_B11L = None if mask_BL is None else mask_BL[:, None, None]
        mix = partial(functional.scaled_dot_product_attention, attn_mask=mask_B11L)
        x_BLD = self.entrance(inputs)
        for layer in self.layers:
            x_BLD = layer(x_BLD, mix)
        return self.norm(x_BLD), mask_BL


def decoder_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Number of parameters of `TransformerDecoder`: a stack, in each layer a norm and four maps more, and the classifier."""
    size = hyperparameters.embedding_dim
    look = 2 * size + 2 * linear_count(size, size) + linear_count(size, 2 * size)
    stack = stack_count(writing_spec(spec), hyperparameters)
    return stack + hyperparameters.num_layers * look + linear_count(size, answer_size(spec))


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """What reads, and what writes."""
    return stack_count(spec, hyperparameters) + decoder_count(spec, hyperparameters)


@architecture(
    "transformer-seq2seq",
    summary="Transformer encoder and decoder (pre-norm), causal, with attention to what was read",
    source="Vaswani et al. 2017, Attention Is All You Need; pre-norm: Xiong et al. 2020, On Layer Normalization",
    inputs=[InputKind.TOKENS],
    outputs=[OutputKind.TOKENS],
    hyperparameters=Hyperparameters,
    width="embedding_dim",
    widened=widened,
    fine_width="feedforward_dim",
    parameter_count=parameter_count,
    not_streaming=reads_first,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A Transformer encoder-decoder.

    Raises:
        ModelError: embedding_dim cannot be shared out between the heads.
    """
    check_heads("transformer-seq2seq", hyperparameters)
    return TransformerSeq2Seq(spec, hyperparameters)
