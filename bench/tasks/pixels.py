"""`pixels`: what is on a small grey picture, read a pixel at a time? The pictures and splits of `images`.

Row by row from the top left; or in one order that is drawn once and is the same for all pictures: what stood together is then
far apart, so that no short memory is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.batch import Batch
from bench.codec import digest
from bench.errors import UsageError
from bench.options import option
from bench.spec import InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import Data, Examples, Form, Legend, task
from bench.tasks.classification import Classification, random_targets
from bench.tasks.images import Images
from bench.tasks.images import Options as ImagesOptions
from bench.tasks.splits import SPLITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(ImagesOptions):
    """Options of `pixels`."""

    permuted: bool = option(False, "Whether pixels come in one shuffled order, the same for every picture.")


@task(
    "pixels",
    summary="many-to-one: a picture of `images` read a pixel at a time, in rows or in a shuffled order, 10 classes",
    source="Le, Jaitly & Hinton 2015, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units",
    options=Options,
)
class Pixels(Classification):
    """Grey pictures as (L, 1) pixels from 0 to 1, L = H * W; see the module."""

    name = "pixels"
    length_axis = LengthAxis.FIXED
    class_count = Images.class_count
    form = Form.PICTURE

    def __init__(self, options: Options) -> None:
        self.images = Images(options)
        self.folds = self.images.folds
        self.chance = self.images.chance
        self.length = self.images.data_set.side**2
        self.order = pixel_order(self.length, permuted=options.permuted)

    def spec(self, sequence_length: int | None) -> Spec:
        """A pixel a step in, ten classes out; the length is that of the pictures.

        Raises:
            UsageError: a length is asked for.
        """
        if sequence_length is not None:
            raise UsageError(
                f"task '{self.name}': found sequence length {sequence_length}, expected none; its items have "
                f"{self.length} pixels each"
            )
        return Spec(
            inputs=InputKind.VECTORS,
            outputs=OutputKind.CLASSES,
            sequence_length=self.length,
            input_size=1,
            classes=self.class_count,
        )

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        """Pixels between 0 and 1, each value as likely as the others."""
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.rand((batch_size, spec.sequence_length or 1, 1), generator=generator)
        return _full(Batch(inputs=inputs, targets=random_targets(spec, batch_size, generator), items=batch_size))

    def training_lengths(self, spec: Spec) -> None:
        """All of one length: there is nothing to deal from."""

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:  # noqa: ARG002 - no text here
        """The pictures as sequences, in the splits and folds of `images`.

        Raises:
            DataError: they are not here and nobody could bring them, or they cannot be read.
            UsageError: a fold of a published split.
        """
        pictures = self.images.load(self.images.spec(None), fold=fold)
        parts: dict[str, Any] = {name: PixelRows(pictures=getattr(pictures, name), order=self.order) for name in SPLITS}
        fingerprint = digest([pictures.fingerprint, self.order.tolist()])
        return Data(**parts, fingerprint=fingerprint, classes=pictures.classes)

    def read(self, given: Sequence[str], legend: Legend) -> Batch:
        """Pictures from files as `images` reads them, a pixel at a time.

        Raises:
            UsageError: a file is no picture, or cannot be read.
        """
        return _in_order(self.images.read(given, legend), self.order)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelRows:
    """Pictures as sequences: step i is the pixel `order[i]`, counted row by row."""

    pictures: Examples
    order: Tensor

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.pictures)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The pictures at these places, all of them full rows."""
        return _in_order(self.pictures.batch(indices), self.order)


def pixel_order(length: int, *, permuted: bool) -> Tensor:
    """(L,) places of pixels in the order in which they are read."""
    # RandomState: its streams are frozen for ever, those of numpy's newer generators are not
    return torch.from_numpy(np.random.RandomState(0).permutation(length) if permuted else np.arange(length))


def _in_order(pictures: Batch, order: Tensor) -> Batch:
    """A batch of pictures as a batch of sequences."""
    return _full(replace(pictures, inputs=pictures.inputs.flatten(1)[:, order, None]))


def _full(batch: Batch) -> Batch:
    positions = batch.inputs.shape[0] * batch.inputs.shape[1]
    return replace(batch, tokens=positions, real_tokens=positions)
