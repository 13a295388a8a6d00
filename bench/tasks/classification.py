"""What every classification task shares: loss, evaluation, metrics, and items that are rows of an array."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.batch import Batch, asked, forward
from bench.codec import digest
from bench.errors import UsageError
from bench.quantity import METRICS
from bench.spec import Spec
from bench.tasks import Answer, Data, Evaluation, Legend, Score
from bench.tasks.splits import SPLITS, Split


class Classification(ABC):
    """One class per item, from logits; nothing here is overridden."""

    headline = "accuracy"
    metrics = tuple(METRICS[name] for name in ("accuracy", "f1_macro", "precision_macro", "recall_macro"))

    @property
    @abstractmethod
    def class_count(self) -> int:
        """Number of classes."""

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy in nats, a scalar, from (B, classes) logits, computed in fp32."""
        return functional.cross_entropy(outputs.float(), asked(batch))

    def evaluate(self, model: nn.Module, batch: Batch, spec: Spec) -> Evaluation:
        """Summed cross-entropy and the likeliest class of every item."""
        outputs = forward(model, batch, spec).float()
        targets = asked(batch)
        return Evaluation(
            loss_sum=functional.cross_entropy(outputs, targets, reduction="sum").item(),
            items=batch.items,
            predicted=outputs.argmax(dim=1).tolist(),
            expected=targets.tolist(),
        )

    def answers(self, model: nn.Module, batch: Batch, legend: Legend) -> list[Answer]:
        """The likeliest class of every item, with the probability of each."""
        probabilities_BC = forward(model, batch, legend.spec).float().softmax(dim=1)
        return [
            Answer(
                said=legend.classes[max(range(len(row)), key=row.__getitem__)],
                probabilities=dict(zip(legend.classes, row, strict=True)),
            )
            for row in probabilities_BC.tolist()
        ]

    def score(self, predicted: Sequence[Any], expected: Sequence[Any]) -> Score:
        """Accuracy, macro averages over all classes (a class never predicted counts 0), and the confusion matrix."""
        # imported here: it takes a second, and a child that only measures speed never scores
        from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

        labels = list(range(self.class_count))
        precision, recall, f1, _ = precision_recall_fscore_support(
            expected, predicted, labels=labels, average="macro", zero_division=0
        )
        values = {
            "accuracy": float(accuracy_score(expected, predicted)),
            "f1_macro": float(f1),
            "precision_macro": float(precision),
            "recall_macro": float(recall),
        }
        counts = confusion_matrix(expected, predicted, labels=labels)
        return Score(
            metrics=values,
            correct=int(counts.trace()),
            total=len(expected),
            confusion=tuple(tuple(map(int, row)) for row in counts),
        )


def random_targets(spec: Spec, batch_size: int, generator: torch.Generator) -> Tensor:
    """(B,) int64 classes, each as likely as the others."""
    return torch.randint(spec.classes or 0, (batch_size,), generator=generator)


def refuse_length(task: str, sequence_length: int | None) -> None:
    """Say that a task's items have no length, where one is asked for.

    Raises:
        UsageError: one is.
    """
    if sequence_length is not None:
        raise UsageError(
            f"task '{task}': found sequence length {sequence_length}, expected none; its items have no length"
        )


def refuse_fold(task: str, fold: int | None) -> None:
    """Say that a task has one fixed split, where a fold is asked for.

    Raises:
        UsageError: one is.
    """
    if fold is not None:
        raise UsageError(f"task '{task}': found fold {fold}, expected none; it has one fixed split")


def refuse_encoding(task: str, encoding: str) -> None:
    """Say that a task has one way to turn items into ids, where another is asked for.

    Raises:
        UsageError: one is.
    """
    if encoding != "words":
        raise UsageError(f"task '{task}': encoding '{encoding}' is unknown, expected 'words'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Items that are rows of an array: (N, ...) float32 inputs, (N,) int64 labels."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Number of items."""
        return len(self.labels)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The rows at these places."""
        places = torch.as_tensor(indices, dtype=torch.int64)
        return Batch(inputs=self.inputs[places], targets=self.labels[places], items=len(places))


def rows_data(
    inputs: NDArray[np.float64] | NDArray[np.uint8],
    labels: NDArray[np.int64],
    split: Split,
    classes: tuple[str, ...],
    *,
    whole: int = 1,
    scales: tuple[tuple[float, float], ...] = (),
) -> Data:
    """The three splits of an array, divided by `whole`, with a fingerprint over all of their bytes; `scales` as in `Data`."""
    contents = hashlib.sha256()
    parts: dict[str, Any] = {}
    for name in SPLITS:
        places = getattr(split, name)
        values, targets = inputs[places].astype(np.float32), labels[places]
        values /= whole
        contents.update(f"{name} {values.shape}\0".encode() + values.tobytes() + targets.tobytes())
        parts[name] = Rows(inputs=torch.from_numpy(values), labels=torch.from_numpy(targets))
    return Data(**parts, fingerprint=digest(contents.hexdigest()), classes=classes, scales=scales)
