"""What every task shares whose models write target tokens: padded batches, loss, decoding, and examples for people.

B items, L source positions, T target tokens (the end included), V target ids.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import Decoder
from bench.architectures.decoding import beam_search, greedy
from bench.batch import Batch, asked, forward
from bench.errors import ModelError, UsageError
from bench.observations import Exhibit
from bench.spec import END_ID, FIRST_TARGET_ID, TARGET_PADDING_ID, Spec
from bench.tasks import Answer, Evaluation, Legend, Score
from bench.tasks.words import PADDING_ID, encode, spelt

EXAMPLES = 20


class Writing(ABC):
    """A model reads an item and writes tokens; `beam` rows are kept while it does, one being the likeliest token each time.

    Predictions are texts, and so is what is expected; of items with `references` those are expected.
    """

    beam: int = 1

    @abstractmethod
    def target_words(self, spec: Spec) -> Sequence[str]:
        """What target ids stand for, as in `Data`."""

    @abstractmethod
    def text(self, words: Iterable[str]) -> str:
        """These words as people write them."""

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
        words = self.target_words(spec)
        written = self._written(model, batch, spec, words)
        true = [self.text(spelt(without_end(row), words)) for row in asked(batch).tolist()]
        return Evaluation(
            loss_sum=self.loss(forward(model, batch, spec), batch).item() * batch.items,
            items=batch.items,
            predicted=written,
            expected=list(batch.references) or true,
        )

    def answers(self, model: nn.Module, batch: Batch, legend: Legend) -> list[Answer]:
        """What the model writes of every item.

        Raises:
            ModelError: it cannot write.
        """
        return [Answer(said=said) for said in self._written(model, batch, legend.spec, legend.target_words)]

    def _written(self, model: nn.Module, batch: Batch, spec: Spec, words: Sequence[str]) -> list[str]:
        if not isinstance(model, Decoder):
            raise ModelError(
                f"{type(model).__name__}: writes nothing, it has no start and next (see bench.architectures.Decoder)"
            )
        limit = spec.target_length or 1
        if self.beam == 1:
            rows = greedy(model, batch.inputs, batch.lengths, limit)
        else:
            rows = beam_search(model, batch.inputs, batch.lengths, limit, self.beam)
        return [self.text(spelt(without_end(row), words)) for row in rows.tolist()]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPairs:
    """Sources and targets as ids in one row each: source i is `source_ids[source_offsets[i]:source_offsets[i + 1]]`.

    Attributes:
        references: of each item the texts that are right, as in `Batch`; else none.
    """

    source_ids: NDArray[Any]
    source_offsets: NDArray[Any]
    target_ids: NDArray[Any]
    target_offsets: NDArray[Any]
    references: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        """Number of items."""
        return len(self.source_offsets) - 1

    def batch(self, indices: Sequence[int]) -> Batch:
        """The items at these places, sources and targets padded on the right to the longest of them."""
        sources = [self.source_ids[self.source_offsets[place] : self.source_offsets[place + 1]] for place in indices]
        targets = [self.target_ids[self.target_offsets[place] : self.target_offsets[place + 1]] for place in indices]
        inputs = padded(sources, PADDING_ID)
        return Batch(
            inputs=inputs,
            lengths=torch.tensor([len(row) for row in sources]),
            targets=padded_targets(targets),
            references=tuple(self.references[place] for place in indices) if self.references else (),
            items=len(sources),
            tokens=inputs.numel(),
            real_tokens=sum(map(len, sources)),
        )


def read_tokens(texts: Sequence[list[str]], legend: Legend) -> Batch:
    """Texts in words, given by a person, as the ids that were trained on."""
    ids, offsets = encode(texts, {word: place for place, word in enumerate(legend.words) if word})
    pairs = TokenPairs(
        source_ids=ids, source_offsets=offsets, target_ids=offsets[:0], target_offsets=np.zeros_like(offsets)
    )
    return replace(pairs.batch(range(len(texts))), targets=None)


def without_end(ids: Sequence[int]) -> list[int]:
    """The ids before the end, or before the padding where a row has no end."""
    row = list(ids)
    stops = [row.index(mark) for mark in (END_ID, TARGET_PADDING_ID) if mark in row]
    return row[: min(stops, default=len(row))]


def padded_targets(rows: Sequence[Sequence[int] | NDArray[Any]]) -> Tensor:
    """(B, T) int64: each row with its end, padded on the right to the longest."""
    return padded([[*row, END_ID] for row in rows], TARGET_PADDING_ID)


def padded(rows: Sequence[Sequence[int] | NDArray[Any]], padding_id: int) -> Tensor:
    """(B, longest) int64: each row, padded on the right."""
    whole: NDArray[np.int64] = np.full((len(rows), max(map(len, rows))), padding_id, dtype=np.int64)
    for place, row in enumerate(rows):
        whole[place, : len(row)] = row
    return torch.from_numpy(whole)


def random_target_ids(spec: Spec, batch_size: int, generator: torch.Generator) -> Tensor:
    """(B, T) int64: made tokens, each as likely as the others, then the end; every row as long as targets may be."""
    length, size = spec.target_length or 1, spec.target_vocabulary_size or FIRST_TARGET_ID + 1
    targets = torch.randint(FIRST_TARGET_ID, size, (batch_size, length), generator=generator)
    targets[:, -1] = END_ID
    return targets


def refuse_encoding(task: str, encoding: str) -> None:
    """Say that a task has an encoding of its own alone, where another is asked for.

    Raises:
        UsageError: one is.
    """
    if encoding != "words":
        raise UsageError(f"task '{task}': encoding '{encoding}' is unknown, expected 'words'")


def examples(
    item: str, shown: Callable[[int], str], predicted: Sequence[str], expected: Sequence[str], most: int = EXAMPLES
) -> Exhibit:
    """What was read, what is right and what was written, of `most` items spread evenly over the split, whatever came of them.

    Args:
        item: what is read, a column head.
        shown: its cell, by its place in the split.
        predicted: what was written, one text an item.
        expected: what is right.
        most: how many are shown; all where there are no more.
    """
    count = min(most, len(predicted))
    places = [step * len(predicted) // count for step in range(count)]
    return Exhibit(
        title="What it wrote",
        says=f"{count} of {len(predicted):,} test items, spread evenly over the split: not chosen by how good they are.",
        columns=(item, "reference", "written"),
        rows=tuple((shown(place), expected[place], predicted[place]) for place in places),
    )
