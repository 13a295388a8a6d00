"""`tabular`: malignant or benign, from 30 measurements; scikit-learn's bundled set, in five stratified folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench.batch import Batch
from bench.spec import InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import Data, Form, Legend, task
from bench.tasks.classification import Classification, random_targets, refuse_length, rows_data
from bench.tasks.data.items import read_breast_cancer
from bench.tasks.data.providers import fetch
from bench.tasks.data.sources import BREAST_CANCER
from bench.tasks.given import numbers
from bench.tasks.splits import FOLDS, split_in_folds

_SIZE = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`tabular` has no options."""


@task(
    "tabular",
    summary="structured data: 30 measurements of a tumour, 2 classes, 5 folds",
    source="Wolberg et al. 1993 (UCI), bundled with scikit-learn",
    options=Options,
)
class Tabular(Classification):
    """Breast cancer: (30,) measurements, each with mean 0 and standard deviation 1 over the training split."""

    name = "tabular"
    length_axis = LengthAxis.NONE
    folds = FOLDS
    class_count = 2
    chance = 357 / 569  # benign
    form = Form.NUMBERS

    def __init__(self, options: Options) -> None:
        self.options = options

    def spec(self, sequence_length: int | None) -> Spec:
        """Thirty numbers in, two classes out; there is no length.

        Raises:
            UsageError: a length is asked for.
        """
        refuse_length(self.name, sequence_length)
        return Spec(inputs=InputKind.FEATURES, outputs=OutputKind.CLASSES, input_size=_SIZE, classes=self.class_count)

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        """Standard normal measurements."""
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn((batch_size, _SIZE), generator=generator)
        return Batch(inputs=inputs, targets=random_targets(spec, batch_size, generator), items=batch_size)

    def training_lengths(self, spec: Spec) -> None:
        """There is no length."""

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:  # noqa: ARG002 - no text here
        """The tumours of one fold, the first if none is asked for."""
        table = read_breast_cancer(fetch(BREAST_CANCER).path)
        split = split_in_folds(table.labels, fold or 0)
        train = table.values[split.train]
        means, deviations = train.mean(axis=0), train.std(axis=0)
        return rows_data(
            (table.values - means) / deviations,
            table.labels,
            split,
            table.classes,
            scales=tuple(zip(means.tolist(), deviations.tolist(), strict=True)),
        )

    def read(self, given: Sequence[str], legend: Legend) -> Batch:
        """Rows of measurements with commas between them, standardised as the training split was.

        Raises:
            UsageError: a row is not thirty numbers.
        """
        rows = np.array([numbers(row, _SIZE) for row in given])
        means, deviations = np.array(legend.scales).T
        return Batch(inputs=torch.from_numpy(((rows - means) / deviations).astype(np.float32)), items=len(given))
