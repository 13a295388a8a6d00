"""`adding`: the sum of the two marked among L numbers, a made probe of memory.

Each step has a number, uniform between 0 and 1, and a mark that is 1 at one step of either half and 0 elsewhere. Who always
says 1, which is the mean, has a mean squared error of 1/6: twice the variance of such a number, 1/12.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from bench.batch import Batch, asked, forward
from bench.quantity import METRICS
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks import Evaluation, Score, task
from bench.tasks.made import Made, Options, Sequences


@task(
    "adding",
    summary="made probe of memory: the sum of the two marked among L numbers; a guess of 1 has an error of 1/6",
    source="Hochreiter & Schmidhuber 1997, Long Short-Term Memory; numbers in [0, 1]: Martens & Sutskever 2011, Le et al. 2015",
    options=Options,
)
class Adding(Made):
    """(L, 2) numbers and marks in, one value out; see the module."""

    name = "adding"
    shortest = 2
    headline = "mse"
    metrics = (METRICS["mse"], METRICS["mae"])
    chance = 1 / 6

    def __init__(self, options: Options) -> None:
        self.train_items = options.train_items

    def sizes(self, sequence_length: int) -> Spec:
        """Two numbers a step in, one value out."""
        return Spec(
            inputs=InputKind.VECTORS,
            outputs=OutputKind.VALUE,
            sequence_length=sequence_length,
            input_size=2,
            output_size=1,
        )

    def make(self, random: np.random.RandomState, items: int, length: int) -> Sequences:
        """The first mark stands in the first half, the other one in the second."""
        numbers, marks, every = random.random_sample((items, length)), np.zeros((items, length)), np.arange(items)
        marks[every, random.randint(length // 2, size=items)] = 1
        marks[every, random.randint(length // 2, length, size=items)] = 1
        inputs = np.stack([numbers, marks], axis=2).astype(np.float32)
        return Sequences(inputs=inputs, targets=(numbers * marks).sum(axis=1, keepdims=True).astype(np.float32))

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean squared error, a scalar, from (B, 1) values, computed in fp32."""
        return functional.mse_loss(outputs.float(), asked(batch))

    def evaluate(self, model: nn.Module, batch: Batch, spec: Spec) -> Evaluation:
        """The value of every item."""
        outputs, targets = forward(model, batch, spec).float(), asked(batch)
        return Evaluation(
            loss_sum=functional.mse_loss(outputs, targets, reduction="sum").item(),
            items=batch.items,
            predicted=outputs[:, 0].tolist(),
            expected=targets[:, 0].tolist(),
        )

    def score(self, predicted: Sequence[Any], expected: Sequence[Any]) -> Score:
        """Mean squared and mean absolute error."""
        error = np.asarray(predicted, dtype=np.float64) - np.asarray(expected, dtype=np.float64)
        return Score(metrics={"mse": float((error**2).mean()), "mae": float(np.abs(error).mean())})
