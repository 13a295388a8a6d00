"""Attention over everything that a recurrent network has put out, asked by its last state.

The last state is the query: its fit with each position's output becomes a weight, the outputs weighted so are the context,
and tanh(W [context; last state]) is what is classified. Local attention looks at the last so many positions only.

Shape suffixes beside those of `layers`: S positions that are looked at, K size of an output (2H in two directions),
A size of a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

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
from bench.architectures.layers import Embedding, answer_size, embedding_count, linear_count, real_mask
from bench.errors import ModelError
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionHyperparameters(Hyperparameters):
    """Of `attention-rnn`."""

    cell: str = option("lstm", "what reads; the forget gates of an lstm start at 1", choices=("lstm", "gru", "rnn"))
    score: str = option(
        "additive",
        "fit of a position and the last state: by a layer of their own (Bahdanau), or their product (Luong)",
        choices=("additive", "dot"),
    )
    window: int = option(0, "look at the last so many positions, at least 2; 0 looks at all of them", at_least=0)


class Additive(nn.Module):
    """Bahdanau's score v . tanh(W_q q + W_k o): a key per position, which does not depend on the query."""

    def __init__(self, query_width: int, width: int, size: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, size, bias=False)
        self.query = nn.Linear(query_width, size, bias=False)
        # no bias: what is added to every score changes no weight
        self.fit = nn.Linear(size, 1, bias=False)

    def keys(self, output_BSK: Tensor) -> tuple[Tensor, ...]:
        """One (B, S, A) tensor: what is kept beside outputs."""
        return (self.key(output_BSK),)

    def forward(self, query_BTK: Tensor, key_BSA: Tensor) -> Tensor:
        """Scores (B, T, S) of T queries."""
        return cast(Tensor, self.fit(torch.tanh(key_BSA[:, None] + self.query(query_BTK)[:, :, None])).squeeze(3))


class Dot(nn.Module):
    """Luong's score q . o: outputs are their own keys."""

    def keys(self, _: Tensor) -> tuple[Tensor, ...]:
        """None beside outputs."""
        return ()

    def forward(self, query_BTK: Tensor, output_BSK: Tensor) -> Tensor:
        """Scores (B, T, S) of T queries."""
        return query_BTK @ output_BSK.mT


class AttentionRNN(nn.Module):
    """(B, L) tokens or (B, L, D) vectors to (B, C) logits."""

    def __init__(self, spec: Spec, hyperparameters: AttentionHyperparameters) -> None:
        super().__init__()
        width = stacked_width(hyperparameters)
        self.embedding = Embedding(spec, hyperparameters.embedding_dim)
        self.recurrent = stacked(hyperparameters.cell, hyperparameters)
        additive = hyperparameters.score == "additive"
        self.score: Additive | Dot = Additive(width, width, hyperparameters.hidden_dim) if additive else Dot()
        self.window = hyperparameters.window
        self.join = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(hyperparameters.dropout)
        self.classifier = nn.Linear(width, answer_size(spec))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits; `lengths` (B,) on the CPU, None where every row is full."""
        last_BK, output_BSK, weight_BS, _ = self._look(inputs, lengths)
        return self._judged(last_BK, output_BSK, weight_BS)

    def attend(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, L) weights: how much of each position is in the context; they sum to 1 over real ones, padding has exactly 0."""
        _, _, weight_BS, place_BS = self._look(inputs, lengths)
        if place_BS is None:
            return functional.pad(weight_BS, (inputs.shape[1] - weight_BS.shape[1], 0))
        return weight_BS.new_zeros(inputs.shape[:2]).scatter_add(1, place_BS, weight_BS)

    def _look(self, inputs: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Last states, outputs that are looked at, their weights, their places; for the last columns None as places."""
        last_BK, output = read_real(self.recurrent, self.embedding(inputs), lengths)
        output_BLK = unpacked(output, inputs.shape[1])
        output_BSK, place_BS, mask_BS = output_BLK, None, None
        if 0 < self.window < inputs.shape[1]:
            if lengths is None:
                output_BSK = output_BLK[:, -self.window :]
            else:
                place_BS = lengths.clamp(min=1)[:, None] + torch.arange(-self.window, 0)
                mask_BS, place_BS = (place_BS >= 0).to(inputs.device), place_BS.clamp(min=0).to(inputs.device)
                output_BSK = output_BLK.gather(1, place_BS[:, :, None].expand(-1, -1, output_BLK.shape[2]))
        elif lengths is not None:
            mask_BS = real_mask(lengths, inputs.shape[1], inputs.device)
        weight_BS = self._weights(last_BK, (output_BSK, *self.score.keys(output_BSK)), mask_BS)
        return last_BK, output_BSK, weight_BS, place_BS

    def _weights(self, last_BK: Tensor, memory: tuple[Tensor, ...], mask_BS: Tensor | None = None) -> Tensor:
        """Softmax (B, S) of the scores where the mask is true; `memory` ends with what the score compares to."""
        score_BS = self.score(last_BK[:, None], memory[-1])[:, 0]
        if mask_BS is not None:
            score_BS = score_BS.masked_fill(~mask_BS, float("-inf"))
        return cast(Tensor, score_BS.softmax(dim=1))

    def _judged(self, last_BK: Tensor, output_BSK: Tensor, weight_BS: Tensor) -> Tensor:
        context_BK = (weight_BS[:, None].to(output_BSK.dtype) @ output_BSK).squeeze(1)
        joined_BK = torch.tanh(self.join(torch.cat([context_BK, last_BK], dim=1)))
        return cast(Tensor, self.classifier(self.dropout(joined_BK)))

    def init_state(self, prefix: Tensor) -> State:
        """The recurrent state, the outputs (B, n, H) that may still be looked at and, for additive scores, their keys."""
        output_BLK, state = read(self.recurrent, self.embedding(prefix))
        kept_BSK = self._kept(output_BLK).clone()  # a view would keep all of them
        return *state, kept_BSK, *self.score.keys(kept_BSK)

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits after one more token (B,) or vector (B, D): one turn of the cells, and attention to all that is kept."""
        count = 2 if isinstance(self.recurrent, nn.LSTM) else 1
        output_B1K, after = read(self.recurrent, self.embedding(inputs)[:, None], state[:count])
        new = (output_B1K, *self.score.keys(output_B1K))
        memory = tuple(torch.cat(both, dim=1) for both in zip(state[count:], new, strict=True))
        last_BK = output_B1K[:, 0]
        logits_BC = self._judged(last_BK, memory[0], self._weights(last_BK, memory))
        return logits_BC, (*after, *(self._kept(one) for one in memory))

    def _kept(self, x_BSK: Tensor) -> Tensor:
        """What the next step may look at beside its own output."""
        return x_BSK[:, max(0, x_BSK.shape[1] - self.window + 1) :] if self.window else x_BSK


def parameter_count(spec: Spec, hyperparameters: AttentionHyperparameters) -> int:
    """Embedding, cells, score, joining layer, classifier."""
    width, size = stacked_width(hyperparameters), hyperparameters.hidden_dim
    score = (2 * width + 1) * size if hyperparameters.score == "additive" else 0
    head = linear_count(2 * width, width) + linear_count(width, answer_size(spec))
    cells = stacked_count(hyperparameters.cell, hyperparameters)
    return embedding_count(spec, hyperparameters.embedding_dim) + cells + score + head


@architecture(
    "attention-rnn",
    summary="attention over all outputs of an LSTM, GRU or RNN, or the last k of them, joined with its last state",
    source="Bahdanau et al. 2015, Jointly Learning to Align and Translate; dot, local: Luong et al. 2015",
    inputs=[InputKind.TOKENS, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES, OutputKind.VALUE],
    hyperparameters=AttentionHyperparameters,
    width="hidden_dim",
    parameter_count=parameter_count,
    not_streaming=not_streaming,
)
def build(spec: Spec, hyperparameters: AttentionHyperparameters) -> nn.Module:
    """A recurrent classifier with attention.

    Raises:
        ModelError: the window holds nothing but the query itself.
    """
    if hyperparameters.window == 1:
        raise ModelError(
            "attention-rnn: a window of 1 holds the last state alone, whose weight is always 1; take 0 or at least 2"
        )
    model = AttentionRNN(spec, hyperparameters)
    if hyperparameters.cell == "lstm":
        set_forget_bias(model.recurrent, FORGET_BIAS)
    return model
