"""What recurrent architectures share: stacks of cells in one or both directions, and reading them at real positions.

K stands for the size of a position's output: H, or 2H in two directions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from bench.architectures import State
from bench.architectures.forgetless import ForgetlessLSTM
from bench.options import option


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of every recurrent architecture, beside its own."""

    embedding_dim: int = option(128, "size of a word's vector", at_least=1)
    hidden_dim: int = option(128, "size of the state, in each direction", at_least=1)
    num_layers: int = option(1, "stacked recurrent layers", at_least=1)
    bidirectional: bool = option(False, "read in both directions and join the two last states")
    dropout: float = option(
        0.5, "share dropped in training between layers and before the classifier", at_least=0, below=1
    )


def not_streaming(hyperparameters: Hyperparameters) -> str:
    """Why a variant does not stream, or an empty text."""
    return "one of its directions begins with the last word" if hyperparameters.bidirectional else ""


FORGET_BIAS = 1.0
Recurrent = nn.RNNBase | ForgetlessLSTM
CELLS: dict[str, Callable[..., Recurrent]] = {
    "rnn": partial(nn.RNN, batch_first=True),
    "gru": partial(nn.GRU, batch_first=True),
    "lstm": partial(nn.LSTM, batch_first=True),
    "forgetless": ForgetlessLSTM,
}
GATES = {"rnn": 1, "gru": 3, "lstm": 4, "forgetless": 3}


def stacked(cell: str, hyperparameters: Hyperparameters, **more: object) -> Recurrent:
    """All layers of a cell in `CELLS`, from (B, L, D) to (B, L, H) or, in both directions, (B, L, 2H)."""
    return CELLS[cell](
        hyperparameters.embedding_dim,
        hyperparameters.hidden_dim,
        num_layers=hyperparameters.num_layers,
        bidirectional=hyperparameters.bidirectional,
        # torch warns where there is no second layer to drop for
        dropout=hyperparameters.dropout if hyperparameters.num_layers > 1 else 0.0,
        **more,
    )


def stacked_width(hyperparameters: Hyperparameters) -> int:
    """Size of what `stacked` gives for a position."""
    return (2 if hyperparameters.bidirectional else 1) * hyperparameters.hidden_dim


def stacked_count(cell: str, hyperparameters: Hyperparameters) -> int:
    """Number of parameters of `stacked`: of each gate, layer and direction a matrix, with torch's two bias vectors."""
    hidden, width = hyperparameters.hidden_dim, stacked_width(hyperparameters)
    below = [hyperparameters.embedding_dim] + [width] * (hyperparameters.num_layers - 1)
    return sum(width * GATES[cell] * (inputs + hidden + 2) for inputs in below)


def set_forget_bias(recurrent: nn.Module, bias: float) -> None:
    """Start the forget gates of an `nn.LSTM` at a bias."""
    with torch.no_grad():
        for name, parameter in recurrent.named_parameters():
            if name.startswith("bias"):
                # torch adds two bias vectors; gates lie in the order input, forget, cell, output
                hidden = len(parameter) // GATES["lstm"]
                parameter[hidden : 2 * hidden].fill_(bias if "_ih_" in name else 0.0)


def read(recurrent: Recurrent, x_BLD: Tensor, state: State | None = None) -> tuple[Tensor, State]:
    """Outputs at all positions, and the hidden states (and cells) after them, (layers * directions, B, H); L may be 0."""
    before = _zeros(recurrent, len(x_BLD)) if state is None else state
    if not x_BLD.shape[1]:
        width = (2 if recurrent.bidirectional else 1) * recurrent.hidden_size
        return x_BLD.new_zeros(len(x_BLD), 0, width), before
    # torch's RNN and GRU take and give their one tensor bare
    output_BLK, after = recurrent(x_BLD, before if len(before) > 1 else before[0])
    return output_BLK, after if isinstance(after, tuple) else (after,)


def _zeros(recurrent: Recurrent, rows: int) -> State:
    directions = 2 if recurrent.bidirectional else 1
    hidden = next(recurrent.parameters()).new_zeros(recurrent.num_layers * directions, rows, recurrent.hidden_size)
    return (hidden, hidden) if isinstance(recurrent, nn.LSTM | ForgetlessLSTM) else (hidden,)


Outputs = Tensor | PackedSequence


def read_real(recurrent: Recurrent, x_BLD: Tensor, lengths: Tensor | None) -> tuple[Tensor, Outputs]:
    """Last states (B, K), each direction's at its own end, and outputs at all positions, (B, L, K) or packed: see `unpacked`.

    `lengths` (B,) on the CPU, None where every row is full.
    """
    if lengths is None:
        output_BLK, state = recurrent(x_BLD)
        return top(recurrent, state), output_BLK
    if not recurrent.bidirectional:
        output_BLK = recurrent(x_BLD)[0]
        return at_last(output_BLK, lengths), output_BLK
    output, state = recurrent(packed(x_BLD, lengths))
    return top(recurrent, state), output


def unpacked(output: Outputs, positions: int) -> Tensor:
    """(B, L, K): outputs of `read_real` at every position, zero at padding if they were packed."""
    if isinstance(output, Tensor):
        return output
    return pad_packed_sequence(output, batch_first=True, total_length=positions)[0]


def packed(x_BLD: Tensor, lengths: Tensor) -> PackedSequence:
    """Rows of several lengths, an empty one as one position; the only way to start a backward half at each row's own end."""
    return pack_padded_sequence(x_BLD, lengths.clamp(min=1), batch_first=True, enforce_sorted=False)


def at_last(output_BLH: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, H): the output at the last real position; `lengths` (B,) on the CPU, None where every row is full."""
    if lengths is None:
        return output_BLH[:, -1]
    place_B11 = (lengths.clamp(min=1) - 1).to(output_BLH.device)[:, None, None]
    return output_BLH.gather(1, place_B11.expand(-1, 1, output_BLH.shape[2])).squeeze(1)


def answered(output_BLH: Tensor, lengths: Tensor | None, *, each_step: bool) -> Tensor:
    """What is answered from: (B, L, H) where each step has an answer, else (B, H) at the last real position."""
    return output_BLH if each_step else at_last(output_BLH, lengths)


def top(recurrent: Recurrent, state: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """Last states of the top layer, both directions side by side; `state` is (layers * directions, B, H)."""
    hidden = state[0] if isinstance(state, tuple) else state
    return torch.cat([hidden[-2], hidden[-1]], dim=1) if recurrent.bidirectional else hidden[-1]
