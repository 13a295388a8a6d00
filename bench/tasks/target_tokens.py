"""What every task shares whose models write target tokens: padded batches, loss, and decoding what is to be scored.

B items, L source positions, T target tokens (the end included), V target ids.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import Decoder
from bench.architectures.decoding import beam_search, greedy
from bench.batch import Batch, asked, forward
from bench.errors import ModelError
from bench.spec import END_ID, FIRST_TARGET_ID, TARGET_PADDING_ID, Spec
from bench.tasks import Evaluation, Score


class Writing(ABC):
    """A model reads an item and writes tokens; `beam` rows are kept while it does, one being the likeliest token each time.

    Predictions are lists of target ids without the end, and so is what is expected.
    """

    beam: int = 1

    @abstractmethod
    def score(self, predicted: Sequence[Any], expected: Sequence[Any]) -> Score:
        """The task's metrics from what was written."""

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of a real target token in nats, a scalar, from (B, T, V) logits, computed in fp32."""
        targets = asked(batch)
        logits_NV = outputs.float().flatten(0, 1)
        return functional.cross_entropy(logits_NV, targets.flatten(), ignore_index=TARGET_PADDING_ID)

    def evaluate(self, model: nn.Module, batch: Batch, spec: Spec) -> Evaluation:
        """The loss under teacher forcing, and what the model writes by itself, at most `spec.target_length` tokens.

        Raises:
            ModelError: it cannot write.
        """
        if not isinstance(model, Decoder):
            raise ModelError(
                f"{type(model).__name__}: writes nothing, it has no start and next (see bench.architectures.Decoder)"
            )
        loss, limit = self.loss(forward(model, batch, spec), batch), spec.target_length or 1
        if self.beam == 1:
            written = greedy(model, batch.inputs, batch.lengths, limit)
        else:
            written = beam_search(model, batch.inputs, batch.lengths, limit, self.beam)
        return Evaluation(
            loss_sum=loss.item() * batch.items,
            items=batch.items,
            predicted=[without_end(row) for row in written.tolist()],
            expected=[without_end(row) for row in asked(batch).tolist()],
        )


def without_end(ids: Sequence[int]) -> list[int]:
    """The ids before the end, or before the padding where a row has no end."""
    row = list(ids)
    stops = [row.index(mark) for mark in (END_ID, TARGET_PADDING_ID) if mark in row]
    return row[: min(stops, default=len(row))]


def padded_targets(rows: Sequence[Sequence[int]]) -> Tensor:
    """(B, T) int64: each row with its end, padded on the right to the longest."""
    longest = max(len(row) for row in rows) + 1
    targets: NDArray[np.int64] = np.full((len(rows), longest), TARGET_PADDING_ID, dtype=np.int64)
    for place, row in enumerate(rows):
        targets[place, : len(row)] = row
        targets[place, len(row)] = END_ID
    return torch.from_numpy(targets)


def random_target_ids(spec: Spec, batch_size: int, generator: torch.Generator) -> Tensor:
    """(B, T) int64: made tokens, each as likely as the others, then the end; every row as long as targets may be."""
    length, size = spec.target_length or 1, spec.target_vocabulary_size or FIRST_TARGET_ID + 1
    targets = torch.randint(FIRST_TARGET_ID, size, (batch_size, length), generator=generator)
    targets[:, -1] = END_ID
    return targets
