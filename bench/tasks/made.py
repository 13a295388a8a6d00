"""What tasks share whose items are made, not read: any length, three splits that depend on nothing but it, no file.

Splits are drawn from generators of their own. Of short items there may be few: the same ones then stand in several splits.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.batch import Batch
from bench.codec import digest
from bench.errors import UsageError
from bench.options import option
from bench.spec import LengthAxis, Spec
from bench.tasks import Data
from bench.tasks.classification import refuse_encoding, refuse_fold
from bench.tasks.splits import SPLITS

Numbers = NDArray[Any]

TRAIN_ITEMS = 20_000
HELD_OUT_ITEMS = {"validation": 1_000, "test": 2_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of every made task, beside its own."""

    train_items: int = option(TRAIN_ITEMS, "Number of items to train on.", at_least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequences:
    """Items of one length: (N, L) or (N, L, D) inputs, and one target each."""

    inputs: Numbers
    targets: Numbers

    def __len__(self) -> int:
        """Number of items."""
        return len(self.targets)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The items at these places, all of them full rows; integers become int64, what is not whole float32."""
        places = np.asarray(indices, dtype=np.int64)
        inputs, targets = (_wide(numbers[places]) for numbers in (self.inputs, self.targets))
        tokens = inputs.shape[0] * inputs.shape[1]
        return Batch(inputs=inputs, targets=targets, items=len(places), tokens=tokens, real_tokens=tokens)


def _wide(numbers: Numbers) -> torch.Tensor:
    kept_small = np.issubdtype(numbers.dtype, np.integer)
    return torch.from_numpy(numbers.astype(np.int64 if kept_small else np.float32))


class Made(ABC):
    """A task of made items; the length is free.

    Attributes:
        shortest: the least length that an item fits into.
        classes: their names, where an item or a step has one.
    """

    name: str
    train_items: int
    shortest: int = 1
    length_axis = LengthAxis.FREE
    folds = 0

    @property
    def classes(self) -> tuple[str, ...]:
        """None, unless a task has some."""
        return ()

    @abstractmethod
    def sizes(self, sequence_length: int) -> Spec:
        """Kinds and sizes at a length that is long enough."""

    @abstractmethod
    def make(self, random: np.random.RandomState, items: int, length: int) -> Sequences:
        """So many items of that length."""

    def spec(self, sequence_length: int | None) -> Spec:
        """Kinds and sizes.

        Raises:
            UsageError: no length is given, or one that the task does not fit into.
        """
        if sequence_length is None:
            raise UsageError(f"task '{self.name}': found no sequence length, expected one in 'sequence_lengths'")
        if sequence_length < self.shortest:
            raise UsageError(
                f"task '{self.name}': found sequence length {sequence_length}, expected at least {self.shortest}, "
                "the tokens of one item with these options"
            )
        return self.sizes(sequence_length)

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        """Items as they come in the splits."""
        return self._drawn(seed, batch_size, spec).batch(range(batch_size))

    def training_lengths(self, spec: Spec) -> list[int]:
        """All of one length."""
        return [spec.sequence_length or 1] * self.train_items

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:
        """The three splits at this length, made anew each time, always the same.

        Raises:
            UsageError: another encoding than `words`, or a fold of the one fixed split.
        """
        refuse_fold(self.name, fold)
        refuse_encoding(self.name, encoding)
        contents = hashlib.sha256()
        parts: dict[str, Any] = {}
        for place, name in enumerate(SPLITS):
            part = self._drawn(place, HELD_OUT_ITEMS.get(name, self.train_items), spec)
            contents.update(f"{name} {part.inputs.shape}\0".encode())
            contents.update(part.inputs.tobytes() + part.targets.tobytes())
            parts[name] = part
        return Data(**parts, fingerprint=digest(contents.hexdigest()), classes=self.classes)

    def _drawn(self, seed: int, items: int, spec: Spec) -> Sequences:
        # RandomState: its streams are frozen for ever, those of numpy's newer generators are not
        return self.make(np.random.RandomState(seed % 2**32), items, spec.sequence_length or 1)
