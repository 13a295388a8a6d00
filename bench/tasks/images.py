"""`images`: which of ten digits is on a small picture; scikit-learn's bundled set, in five stratified folds."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bench.batch import Batch
from bench.options import option
from bench.spec import InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import Data, task
from bench.tasks.classification import Classification, random_targets, refuse_length, rows_data
from bench.tasks.data.items import read_digits
from bench.tasks.data.providers import fetch
from bench.tasks.data.sources import DIGITS
from bench.tasks.splits import FOLDS, split_in_folds

_SHAPE = (1, 8, 8)
_DARKEST = 16  # pixels come as 0 to 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `images`."""

    dataset: str = option("digits", "Which pictures: digits (1,797 of 8 x 8).", choices=("digits",))


@task(
    "images",
    summary="one-to-one: a picture of a handwritten digit, 10 classes, 5 folds",
    source="Alpaydin & Kaynak 1998 (UCI), bundled with scikit-learn",
    options=Options,
)
class Images(Classification):
    """Handwritten digits, (1, 8, 8) pixels from 0 to 1."""

    name = "images"
    length_axis = LengthAxis.NONE
    folds = FOLDS
    class_count = 10
    chance = 183 / 1797  # the commonest digit, 3

    def __init__(self, options: Options) -> None:
        self.options = options

    def spec(self, sequence_length: int | None) -> Spec:
        """One grey picture in, ten classes out; there is no length.

        Raises:
            UsageError: a length is asked for.
        """
        refuse_length(self.name, sequence_length)
        return Spec(inputs=InputKind.IMAGE, outputs=OutputKind.CLASSES, image_shape=_SHAPE, classes=self.class_count)

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        """Pixels between 0 and 1, each value as likely as the others."""
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.rand((batch_size, *_SHAPE), generator=generator)
        return Batch(inputs=inputs, targets=random_targets(spec, batch_size, generator), items=batch_size)

    def training_lengths(self, spec: Spec) -> None:
        """There is no length."""

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:  # noqa: ARG002 - no text here
        """The digits of one fold, the first if none is asked for."""
        table = read_digits(fetch(DIGITS).path)
        pixels = table.values.reshape(-1, *_SHAPE) / _DARKEST
        return rows_data(pixels, table.labels, split_in_folds(table.labels, fold or 0), table.classes)
