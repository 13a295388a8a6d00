"""An encoder-decoder of recurrent networks: one reads, its outputs are the memory, another writes from its last state.

Attention is asked by the states of the decoder after its recurrence (Luong's order), so that under teacher forcing all
target tokens go through one fused cell. What it finds is joined with the state that asked, tanh(W [context; state]).

Shape suffixes beside those of `layers`: T target tokens, M places of the memory, K size of a place, A size of a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from bench.architectures import State, architecture
from bench.architectures.attention_rnn import Additive
from bench.architectures.cells import (
    FORGET_BIAS,
    Hyperparameters,
    Recurrent,
    read,
    read_real,
    set_forget_bias,
    stacked,
    stacked_count,
    stacked_width,
    unpacked,
)
from bench.architectures.decoding import shifted
from bench.architectures.layers import (
    Embedding,
    answer_size,
    embedding_count,
    linear_count,
    mean_over_real,
    real_mask,
    writing_spec,
)
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderHyperparameters:
    """Of every recurrent decoder."""

    cell: str = option("gru", "what writes; the forget gates of an lstm start at 1", choices=("gru", "lstm", "rnn"))
    attention: str = option(
        "additive",
        "fit of a state and a place: by a layer of their own (Bahdanau), their product (Luong); or no look at places",
        choices=("additive", "dot", "none"),
    )
    embedding_dim: int = option(128, "size of a word's vector", at_least=1)
    hidden_dim: int = option(256, "size of the state, in each direction", at_least=1)
    num_layers: int = option(1, "stacked recurrent layers, of each network that is recurrent", at_least=1)
    dropout: float = option(0.1, "share dropped in training between layers and before the output", at_least=0, below=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seq2SeqHyperparameters(DecoderHyperparameters):
    """Of `rnn-seq2seq`."""

    cell: str = option("gru", "what reads, and what writes; forget gates start at 1", choices=("gru", "lstm", "rnn"))
    bidirectional: bool = option(True, "the encoder reads in both directions; what writes has one")


class Product(nn.Module):
    """Luong's score q . W_k o ("general"): a key per place, as long as the query."""

    def __init__(self, query_width: int, width: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, query_width, bias=False)

    def forward(self, query_BTH: Tensor, key_BMH: Tensor) -> Tensor:
        """Scores (B, T, M)."""
        return query_BTH @ key_BMH.mT


class RecurrentDecoder(nn.Module):
    """(B, T) target tokens to (B, T, V) logits, from a memory (B, M, K).

    A summary of it, (B, K), becomes the first state of each layer (and cell), through tanh: the mean over places, if it is
    not given. Without attention it is all that is used.
    """

    def __init__(self, spec: Spec, hyperparameters: DecoderHyperparameters, memory_width: int) -> None:
        super().__init__()
        hidden, tokens = hyperparameters.hidden_dim, writing_spec(spec)
        self.embedding = Embedding(tokens, hyperparameters.embedding_dim)
        self.recurrent: Recurrent = stacked(hyperparameters.cell, _sizes(hyperparameters))
        self.cells = 2 if hyperparameters.cell == "lstm" else 1
        self.bridge = nn.Linear(memory_width, self.cells * hyperparameters.num_layers * hidden)
        self.score: Additive | Product | None = None
        self.join: nn.Linear | None = None
        if hyperparameters.attention != "none":
            additive = hyperparameters.attention == "additive"
            self.score = Additive(hidden, memory_width, hidden) if additive else Product(hidden, memory_width)
            self.join = nn.Linear(memory_width + hidden, hidden)
        self.dropout = nn.Dropout(hyperparameters.dropout)
        self.classifier = nn.Linear(hidden, answer_size(spec))
        if hyperparameters.cell == "lstm":
            set_forget_bias(self.recurrent, FORGET_BIAS)

    def forward(
        self, targets: Tensor, memory_BMK: Tensor, mask_BM: Tensor | None = None, summary_BK: Tensor | None = None
    ) -> Tensor:
        """Logits of every target token under teacher forcing; `mask_BM` is true where the memory is not padding."""
        before, memory = self._split(self.start(memory_BMK, mask_BM, summary_BK))
        state_BTH, _ = read(self.recurrent, self.embedding(shifted(targets)), before)
        return self._speak(state_BTH, memory)

    def start(self, memory_BMK: Tensor, mask_BM: Tensor | None = None, summary_BK: Tensor | None = None) -> State:
        """First states (B, layers, H), one or two tensors; with attention memory, keys and, where there is one, mask."""
        if summary_BK is None:
            summary_BK = mean_over_real(memory_BMK, mask_BM)
        sizes = (len(summary_BK), self.cells, self.recurrent.num_layers, self.recurrent.hidden_size)
        first = torch.tanh(self.bridge(summary_BK)).view(sizes).unbind(dim=1)
        if self.score is None:
            return tuple(first)
        mask = () if mask_BM is None else (mask_BM,)
        return *first, memory_BMK, self.score.key(memory_BMK), *mask

    def next(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (B, V) after one more token (B,): one turn of the cells."""
        before, memory = self._split(state)
        state_B1H, after = read(self.recurrent, self.embedding(tokens)[:, None], before)
        return self._speak(state_B1H, memory)[:, 0], (*(one.transpose(0, 1) for one in after), *memory)

    def _split(self, state: State) -> tuple[State, State]:
        """States as torch's cells take them, layers first; and what is kept of the memory."""
        return tuple(one.transpose(0, 1).contiguous() for one in state[: self.cells]), state[self.cells :]

    def attend(self, state_BTH: Tensor, memory: State) -> Tensor:
        """Weights (B, T, M): how much of each place is in the context; none of padding."""
        _, key_BMA, *mask = memory
        assert self.score is not None
        score_BTM = self.score(state_BTH, key_BMA)
        if mask:
            score_BTM = score_BTM.masked_fill(~mask[0][:, None], float("-inf"))
        return cast(Tensor, score_BTM.softmax(dim=2))

    def _speak(self, state_BTH: Tensor, memory: State) -> Tensor:
        if self.join is not None:
            memory_BMK = memory[0]
            context_BTK = self.attend(state_BTH, memory).to(memory_BMK.dtype) @ memory_BMK
            state_BTH = torch.tanh(self.join(torch.cat([context_BTK, state_BTH], dim=2)))
        return cast(Tensor, self.classifier(self.dropout(state_BTH)))


class RecurrentSeq2Seq(nn.Module):
    """(B, L) tokens and (B, T) target tokens to (B, T, V) logits."""

    def __init__(self, spec: Spec, hyperparameters: Seq2SeqHyperparameters) -> None:
        super().__init__()
        self.embedding = Embedding(spec, hyperparameters.embedding_dim)
        sizes = _sizes(hyperparameters, bidirectional=hyperparameters.bidirectional)
        self.encoder = stacked(hyperparameters.cell, sizes)
        self.decoder = RecurrentDecoder(spec, hyperparameters, stacked_width(sizes))
        if hyperparameters.cell == "lstm":
            set_forget_bias(self.encoder, FORGET_BIAS)

    def forward(self, inputs: Tensor, lengths: Tensor | None, targets: Tensor) -> Tensor:
        """Logits under teacher forcing; `lengths` (B,) on the CPU, None where every row is full."""
        return cast(Tensor, self.decoder(targets, *self._read(inputs, lengths)))

    def start(self, inputs: Tensor, lengths: Tensor | None = None) -> State:
        """The decoder's first states, and what it may look at: read and projected once."""
        return self.decoder.start(*self._read(inputs, lengths))

    def next(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (B, V) after one more token (B,)."""
        return self.decoder.next(tokens, state)

    def _read(self, inputs: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor]:
        """Outputs at each position, where they are real, and last states."""
        last_BK, output = read_real(self.encoder, self.embedding(inputs), lengths)
        mask_BL = None if lengths is None else real_mask(lengths, inputs.shape[1], inputs.device)
        return unpacked(output, inputs.shape[1]), mask_BL, last_BK


def _sizes(hyperparameters: DecoderHyperparameters, *, bidirectional: bool = False) -> Hyperparameters:
    """Of one of the recurrent networks."""
    return Hyperparameters(
        embedding_dim=hyperparameters.embedding_dim,
        hidden_dim=hyperparameters.hidden_dim,
        num_layers=hyperparameters.num_layers,
        bidirectional=bidirectional,
        dropout=hyperparameters.dropout,
    )


def decoder_count(spec: Spec, hyperparameters: DecoderHyperparameters, memory_width: int) -> int:
    """Number of parameters of `RecurrentDecoder`: embedding, cells, bridge, score, joining layer, classifier."""
    hidden, attention = hyperparameters.hidden_dim, hyperparameters.attention
    first = (2 if hyperparameters.cell == "lstm" else 1) * hyperparameters.num_layers * hidden
    score = {"additive": memory_width + hidden + 1, "dot": memory_width, "none": 0}[attention] * hidden
    join = linear_count(memory_width + hidden, hidden) if attention != "none" else 0
    cells = stacked_count(hyperparameters.cell, _sizes(hyperparameters))
    table = embedding_count(writing_spec(spec), hyperparameters.embedding_dim)
    return table + cells + linear_count(memory_width, first) + score + join + linear_count(hidden, answer_size(spec))


def parameter_count(spec: Spec, hyperparameters: Seq2SeqHyperparameters) -> int:
    """Embedding and cells of the encoder, and the decoder."""
    sizes = _sizes(hyperparameters, bidirectional=hyperparameters.bidirectional)
    encoder = embedding_count(spec, hyperparameters.embedding_dim) + stacked_count(hyperparameters.cell, sizes)
    return encoder + decoder_count(spec, hyperparameters, stacked_width(sizes))


def reads_first(_: object) -> str:
    """Why what writes does not stream."""
    return "it writes only when it has read everything"


@architecture(
    "rnn-seq2seq",
    summary="a recurrent encoder and a recurrent decoder (GRU, LSTM or RNN) that attends to what was read, or does not",
    source="Sutskever et al. 2014, Sequence to Sequence Learning; Cho et al. 2014; attention: Bahdanau 2015, Luong 2015",
    inputs=[InputKind.TOKENS],
    outputs=[OutputKind.TOKENS],
    hyperparameters=Seq2SeqHyperparameters,
    width="hidden_dim",
    parameter_count=parameter_count,
    not_streaming=reads_first,
)
def build(spec: Spec, hyperparameters: Seq2SeqHyperparameters) -> nn.Module:
    """A recurrent encoder-decoder."""
    return RecurrentSeq2Seq(spec, hyperparameters)
