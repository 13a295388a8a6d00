"""Writing target tokens with any `Decoder`: the likeliest token at each step, or a beam of the likeliest rows.

B items, T target tokens, V target ids, W rows of a beam.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bench.architectures import Decoder, State
from bench.sampling import Mark
from bench.spec import END_ID, START_ID, TARGET_PADDING_ID


def shifted(targets: Tensor) -> Tensor:
    """(B, T): what a decoder reads under teacher forcing, each target one place later and `START_ID` first."""
    return functional.pad(targets[:, :-1], (1, 0), value=START_ID)


def _unmarked(_: str) -> None:
    """Nobody wants to know."""


def greedy(
    model: Decoder,
    inputs: Tensor,
    lengths: Tensor | None,
    new_tokens: int,
    *,
    stop: bool = True,
    mark: Mark = _unmarked,
) -> Tensor:
    """(B, T) ids, the likeliest token at each step, T at most `new_tokens`.

    With `stop` a row is padded after its end, and all of it ends with the last row; without, every row has `new_tokens`
    tokens whatever they are, so that the work is always the same. `mark` hears of the `first_token` and of each `token`.
    """
    state = model.start(inputs, lengths)
    tokens = torch.full((len(inputs),), START_ID, dtype=torch.int64, device=inputs.device)
    ended = torch.zeros_like(tokens, dtype=torch.bool)
    written: list[Tensor] = []
    while len(written) < new_tokens:
        logits_BV, state = model.next(tokens, state)
        tokens = logits_BV.argmax(dim=1)
        if stop:
            tokens = tokens.masked_fill(ended, TARGET_PADDING_ID)
            ended = ended | (tokens == END_ID)
        written.append(tokens)
        mark("token" if len(written) > 1 else "first_token")
        if stop and bool(ended.all()):
            break
    return torch.stack(written, dim=1)


def beam_search(model: Decoder, inputs: Tensor, lengths: Tensor | None, new_tokens: int, beam: int) -> Tensor:
    """(B, T) ids: of `beam` rows that are kept at each step the one with the highest log-likelihood a token.

    Source of the division by length: Wu et al. 2016, Google's Neural Machine Translation System, with exponent 1. A row that
    has ended keeps its place as long as its sum is among the best.
    """
    items, device = len(inputs), inputs.device
    state = _chosen(model.start(inputs, lengths), torch.arange(items, device=device).repeat_interleave(beam))
    first_row = torch.arange(items, device=device)[:, None] * beam
    tokens = torch.full((items * beam,), START_ID, dtype=torch.int64, device=device)
    # all rows of an item begin alike: only the first may be continued
    sums_BW = torch.full((items, beam), -torch.inf, device=device)
    sums_BW[:, 0] = 0.0
    ended_BW = torch.zeros((items, beam), dtype=torch.bool, device=device)
    written_BWT = torch.zeros((items, beam, 0), dtype=torch.int64, device=device)
    for _ in range(new_tokens):
        logits_RV, state = model.next(tokens, state)
        scores_BWV = logits_RV.float().log_softmax(dim=1).view(items, beam, -1)
        sums_BW, picked_BW = (sums_BW[:, :, None] + _after_end(scores_BWV, ended_BW)).flatten(1).topk(beam, dim=1)
        parent_BW = picked_BW // scores_BWV.shape[2]
        next_BW = picked_BW % scores_BWV.shape[2]
        written_BWT = written_BWT.gather(1, parent_BW[:, :, None].expand(-1, -1, written_BWT.shape[2]))
        written_BWT = torch.cat([written_BWT, next_BW[:, :, None]], dim=2)
        ended_BW = ended_BW.gather(1, parent_BW) | (next_BW == END_ID)
        state, tokens = _chosen(state, (first_row + parent_BW).flatten()), next_BW.flatten()
        if bool(ended_BW.all()):
            break
    written_to_BW = (written_BWT != TARGET_PADDING_ID).sum(dim=2).clamp(min=1)
    best_B = (sums_BW / written_to_BW).argmax(dim=1)
    return written_BWT[torch.arange(items, device=device), best_B]


def _after_end(scores_BWV: Tensor, ended_BW: Tensor) -> Tensor:
    """The same scores; of rows that have ended padding alone goes on, and costs nothing."""
    padding_V = torch.full_like(scores_BWV[0, 0], -torch.inf)
    padding_V[TARGET_PADDING_ID] = 0.0
    return torch.where(ended_BW[:, :, None], padding_V, scores_BWV)


def _chosen(state: State, rows: Tensor) -> State:
    return tuple(tensor.index_select(0, rows) for tensor in state)
