"""A made task of captions, registered when this file is imported: what is on a small picture, in three words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from fakes import LETTERS, ReverseOptions, share_right
from torch import Tensor

from bench.batch import Batch
from bench.quantity import METRICS, Metric
from bench.spec import FIRST_TARGET_ID, InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import Data, Score, task
from bench.tasks.target_tokens import Writing, padded_targets


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionExamples:
    """(N, 1, 8, 24) pictures, and the target ids of the three marks on each."""

    inputs: Tensor
    marks: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, indices: Sequence[int]) -> Batch:
        inputs, targets = self.inputs[list(indices)], padded_targets(self.marks[list(indices)].tolist())
        return Batch(inputs=inputs, targets=targets, items=len(inputs))


@task("fake-captions", summary="name the marks on a picture", source="made", options=ReverseOptions)
class Captions(Writing):
    """A picture in, tokens out: three marks from left to right, each one of four, in some noise."""

    name = "fake-captions"
    length_axis = LengthAxis.NONE
    headline = "accuracy"
    folds = 0
    kinds, side, row = 4, 8, 3

    def __init__(self, options: ReverseOptions) -> None:
        self.items = options.items

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (METRICS["accuracy"],)

    @property
    def chance(self) -> float | None:
        return 1 / self.kinds

    def spec(self, sequence_length: int | None) -> Spec:
        return Spec(
            inputs=InputKind.IMAGE,
            outputs=OutputKind.TOKENS,
            image_shape=(1, self.side, self.row * self.side),
            target_vocabulary_size=FIRST_TARGET_ID + self.kinds,
            target_length=self.row + 1,
        )

    def _examples(self, items: int, seed: int) -> CaptionExamples:
        shapes = torch.rand(self.kinds, self.side, self.side, generator=torch.Generator().manual_seed(9)).round()
        generator = torch.Generator().manual_seed(seed)
        mark_NR = torch.randint(self.kinds, (items, self.row), generator=generator)
        pictures = shapes[mark_NR].transpose(1, 2).flatten(2)[:, None]
        noise = 0.2 * torch.randn(pictures.shape, generator=generator)
        return CaptionExamples(inputs=pictures + noise, marks=mark_NR + FIRST_TARGET_ID)

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        return self._examples(batch_size, seed).batch(range(batch_size))

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:
        train, validation, test = (self._examples(self.items, seed) for seed in range(3))
        return Data(train=train, validation=validation, test=test, fingerprint=f"captions-{self.items}")

    def target_words(self, spec: Spec) -> Sequence[str]:
        return ("",) * FIRST_TARGET_ID + tuple(LETTERS[: self.kinds])

    def text(self, words: Iterable[str]) -> str:
        return "".join(words)

    def score(self, predicted: Sequence[Any], expected: Sequence[Any]) -> Score:
        return share_right(predicted, expected)
