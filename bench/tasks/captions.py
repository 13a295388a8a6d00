"""`captions`: a picture in, words out: a row of handwritten digits, and their names from left to right ("seven two one").

Rows are put together from the pictures of `images`, each as likely as the others, those of a split from its own pictures alone;
where there are folds, of the first one. A picture comes in many rows, so that rows are not independent of each other and no
interval over test items is given. Who always names the commonest digit has the score that is called chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.batch import Batch, asked
from bench.codec import digest
from bench.observations import Exhibit
from bench.options import option
from bench.quantity import METRICS
from bench.spec import FIRST_TARGET_ID, InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import Data, Examples, Form, Legend, Score, task
from bench.tasks.classification import refuse_fold, refuse_length
from bench.tasks.data.sources import DIGITS, MNIST, MNIST_5K
from bench.tasks.images import Images, read_pictures
from bench.tasks.images import Options as ImagesOptions
from bench.tasks.made import HELD_OUT_ITEMS, TRAIN_ITEMS, Numbers
from bench.tasks.png import LEAST_SIDE, grey_png
from bench.tasks.splits import SPLITS
from bench.tasks.target_tokens import Writing, examples, padded_targets, random_target_ids

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TARGET_WORDS = ("",) * FIRST_TARGET_ID + NAMES
_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `captions`."""

    dataset: str = option(
        DIGITS.name,
        "Whose digits: digits (1,797 of 8 x 8); of 28 x 28 mnist-5k (5,000) and mnist (70,000).",
        choices=(DIGITS.name, MNIST_5K.name, MNIST.name),
    )
    row_length: int = option(3, "Digits in a row.", at_least=1)
    train_items: int = option(TRAIN_ITEMS, "Number of rows to train on.", at_least=1)
    beam: int = option(1, "Rows that are kept while names are written; 1 takes the likeliest each time.", at_least=1)


@task(
    "captions",
    summary="one-to-many: a row of handwritten digits in, their names out",
    source="made from the digits of `images`",
    options=Options,
)
class Captions(Writing):
    """Grey pictures, (1, H, n * W) pixels from 0 to 1, in; n words out; see the module."""

    name = "captions"
    form = Form.PICTURE
    length_axis = LengthAxis.NONE
    folds = 0
    headline = "exact_match"
    metrics = tuple(METRICS[name] for name in ("exact_match", "word_accuracy"))

    def __init__(self, options: Options) -> None:
        self.options = options
        self.beam = options.beam
        self.images = Images(ImagesOptions(dataset=options.dataset))
        channels, height, width = self.images.shape
        self.shape = (channels, height, width * options.row_length)
        self.chance = self.images.chance**options.row_length

    def spec(self, sequence_length: int | None) -> Spec:
        """One grey picture in, a name for each of its digits out; there is no length.

        Raises:
            UsageError: a length is asked for.
        """
        refuse_length(self.name, sequence_length)
        return Spec(
            inputs=InputKind.IMAGE,
            outputs=OutputKind.TOKENS,
            image_shape=self.shape,
            target_vocabulary_size=len(TARGET_WORDS),
            target_length=self.options.row_length + 1,
        )

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        """Pixels between 0 and 1, each value as likely as the others, and made names."""
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.rand((batch_size, *(spec.image_shape or ())), generator=generator)
        return Batch(inputs=inputs, targets=random_target_ids(spec, batch_size, generator), items=batch_size)

    def training_lengths(self, spec: Spec) -> None:
        """There is no length."""

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:  # noqa: ARG002 - no text comes in
        """The three splits, rows made anew each time, always the same.

        Raises:
            DataError: the digits are not here and nobody could bring them, or they cannot be read.
            UsageError: a fold of the one fixed split.
        """
        refuse_fold(self.name, fold)
        digits = self.images.load(self.images.spec(None))
        counts = {"train": self.options.train_items, **HELD_OUT_ITEMS}
        contents: list[object] = [digits.fingerprint]
        parts: dict[str, Any] = {}
        for seed, name in enumerate(SPLITS):
            pictures: Examples = getattr(digits, name)
            places = _places(seed, counts[name], self.options.row_length, len(pictures))
            parts[name] = DigitRows(pictures=pictures, places=places)
            contents.append(hashlib.sha256(places.tobytes()).hexdigest())
        return Data(**parts, fingerprint=digest(contents), target_words=TARGET_WORDS)

    def target_words(self, spec: Spec) -> Sequence[str]:  # noqa: ARG002 - names are the same at any size
        """Names."""
        return TARGET_WORDS

    def text(self, words: Iterable[str]) -> str:
        """The names with a space between them."""
        return " ".join(words)

    def read(self, given: Sequence[str], legend: Legend) -> Batch:  # noqa: ARG002 - options say how large they are
        """Pictures of rows from files, in grey and in the size of those that were trained on.

        Raises:
            UsageError: a file is no picture, or cannot be read.
        """
        return read_pictures(given, self.shape)

    def score(self, predicted: Sequence[Any], expected: Sequence[Any]) -> Score:
        """Share of rows that are right, and of names that are right and at their place, those too many counted as wrong."""
        pairs = [(said.split(), true.split()) for said, true in zip(predicted, expected, strict=True)]
        right = sum(one == other for said, true in pairs for one, other in zip(said, true, strict=False))
        names = sum(max(len(said), len(true)) for said, true in pairs)
        whole = sum(said == true for said, true in pairs)
        return Score(metrics={"exact_match": whole / len(pairs), "word_accuracy": right / names})

    def exhibits(self, data: Data, predicted: Sequence[Any], expected: Sequence[Any]) -> tuple[Exhibit, ...]:
        """Some rows of the test split, and what was written."""
        return (examples("picture", lambda place: _shown(data.test, place), predicted, expected, _SHOWN),)


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitRows:
    """Rows of pictures: row i holds the pictures at `places[i]`, from left to right."""

    pictures: Examples
    places: Numbers

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.places)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The rows at these places, with the names of their digits."""
        places = self.places[np.asarray(indices, dtype=np.int64)]
        found = self.pictures.batch(places.flatten().tolist())
        labels = asked(found).view(places.shape) + FIRST_TARGET_ID
        return Batch(
            inputs=_side_by_side(found.inputs, places.shape[1]),
            targets=padded_targets(labels.tolist()),
            items=len(places),
        )


def _side_by_side(pictures: Tensor, row_length: int) -> Tensor:
    """(B, C, H, n * W) from (B * n, C, H, W)."""
    return torch.cat([pictures[place::row_length] for place in range(row_length)], dim=3)


def _places(seed: int, items: int, row_length: int, pictures: int) -> Numbers:
    # RandomState: its streams are frozen for ever, those of numpy's newer generators are not
    return np.random.RandomState(seed).randint(pictures, size=(items, row_length), dtype=np.int64)


def _shown(rows: Examples, place: int) -> str:
    pixels = (rows.batch([place]).inputs[0, 0] * 255).to(torch.uint8).numpy()
    factor = max(1, LEAST_SIDE // pixels.shape[0])
    return grey_png(pixels.repeat(factor, axis=0).repeat(factor, axis=1))
