"""`images`: which of ten digits, or kinds of clothes, is on a small grey picture.

`digits` and `mnist-5k` are small, so they come in five stratified folds, in which every picture is tested once: a thousand test
items alone would leave accuracy near 90 % open by two points. `mnist` and `fashion-mnist` keep their published test split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench.batch import Batch
from bench.options import option
from bench.spec import InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import Data, Form, Legend, task
from bench.tasks.classification import Classification, random_targets, refuse_fold, refuse_length, rows_data
from bench.tasks.data.picture_file import read_picture
from bench.tasks.data.pictures import Pictures, read_digits, read_fashion_mnist, read_mnist, read_mnist_5k
from bench.tasks.data.providers import fetch
from bench.tasks.data.sources import DIGITS, FASHION_MNIST, MNIST, MNIST_5K, Source
from bench.tasks.splits import FOLDS, split_as_published, split_in_folds


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A set of square pictures, as far as it is known without its file.

    Attributes:
        commonest: share of the commonest class in what is tested.
        folds: 0 where the test split is the published one.
    """

    source: Source
    read: Callable[[Path], Pictures]
    side: int
    commonest: float
    folds: int


DATA_SETS: Mapping[str, DataSet] = {
    entry.source.name: entry
    for entry in (
        DataSet(source=DIGITS, read=read_digits, side=8, commonest=183 / 1797, folds=FOLDS),  # 3
        DataSet(source=MNIST_5K, read=read_mnist_5k, side=28, commonest=0.1, folds=FOLDS),
        DataSet(source=MNIST, read=read_mnist, side=28, commonest=0.1135, folds=0),  # 1
        DataSet(source=FASHION_MNIST, read=read_fashion_mnist, side=28, commonest=0.1, folds=0),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `images`."""

    dataset: str = option(
        DIGITS.name,
        "Which pictures: digits (1,797 of 8 x 8); of 28 x 28 mnist-5k (5,000), mnist and fashion-mnist (70,000 each).",
        choices=tuple(DATA_SETS),
    )


@task(
    "images",
    summary="one-to-one: a small picture of a digit or a piece of clothing, 10 classes",
    source="Alpaydin & Kaynak 1998 (UCI); LeCun et al. 1998 (MNIST); Xiao et al. 2017 (Fashion-MNIST)",
    options=Options,
)
class Images(Classification):
    """Grey pictures, (1, H, W) pixels from 0 to 1; see the module."""

    name = "images"
    length_axis = LengthAxis.NONE
    class_count = 10
    form = Form.PICTURE

    def __init__(self, options: Options) -> None:
        self.data_set = DATA_SETS[options.dataset]
        self.shape = (1, self.data_set.side, self.data_set.side)
        self.folds = self.data_set.folds
        self.chance = self.data_set.commonest

    def spec(self, sequence_length: int | None) -> Spec:
        """One grey picture in, ten classes out; there is no length.

        Raises:
            UsageError: a length is asked for.
        """
        refuse_length(self.name, sequence_length)
        return Spec(
            inputs=InputKind.IMAGE, outputs=OutputKind.CLASSES, image_shape=self.shape, classes=self.class_count
        )

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        """Pixels between 0 and 1, each value as likely as the others."""
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.rand((batch_size, *self.shape), generator=generator)
        return Batch(inputs=inputs, targets=random_targets(spec, batch_size, generator), items=batch_size)

    def training_lengths(self, spec: Spec) -> None:
        """There is no length."""

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:  # noqa: ARG002 - no text here
        """The pictures, split as published; where there are folds those of one, the first if none is asked for.

        Raises:
            DataError: they are not here and nobody could bring them, or they cannot be read.
            UsageError: a fold of a published split.
        """
        if not self.folds:
            refuse_fold(self.name, fold)
        found = self.data_set.read(fetch(self.data_set.source).path)
        labels, test_items = found.labels, found.test_items
        split = split_as_published(labels, test_items) if test_items else split_in_folds(labels, fold or 0)
        return rows_data(found.pixels[:, None], labels, split, found.classes, whole=found.brightest)

    def read(self, given: Sequence[str], legend: Legend) -> Batch:  # noqa: ARG002 - options say how large they are
        """Pictures from files, in grey and in the size of those that were trained on.

        Raises:
            UsageError: a file is no picture, or cannot be read.
        """
        return read_pictures(given, self.shape)


def read_pictures(given: Sequence[str], shape: tuple[int, int, int]) -> Batch:
    """Pictures from files, in grey, stretched to (1, H, W).

    Raises:
        UsageError: a file is no picture, or cannot be read.
    """
    _, height, width = shape
    pixels = np.stack([read_picture(Path(name), height, width) for name in given])
    return Batch(inputs=torch.from_numpy(pixels[:, None]), items=len(given))
