"""`copying`: say ten symbols again after a wait of T steps, a made probe of memory.

Ten of eight symbols come first, then T - 1 blanks, a token that calls for them, and ten blanks while the symbols are asked for
in their order; the answer to every step before is blank. So L = T + 20. Who remembers nothing, and only knows when to
speak, has a loss of 10 ln 8 / L nats a step (.0945 at T = 200) and one symbol in eight right.
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

SYMBOLS, COPIED = 8, 10
# token ids: 0 is padding, which no item has, then the symbols
BLANK_ID, CALL_ID = SYMBOLS + 1, SYMBOLS + 2
BLANK = SYMBOLS
"""The class of a step at which nothing is to be said; those of symbols come before it."""


@task(
    "copying",
    summary="made probe of memory: ten symbols, L - 20 steps to wait, then the ten again, a class for each step",
    source="Hochreiter & Schmidhuber 1997; in this form Arjovsky, Shah & Bengio 2016, Unitary Evolution Recurrent Networks",
    options=Options,
)
class Copying(Made):
    """(L,) tokens in, a class for each step out; see the module. Scored are the ten symbols alone."""

    name = "copying"
    shortest = 2 * COPIED + 1
    headline = "accuracy"
    metrics = (METRICS["accuracy"], METRICS["exact_match"])
    chance = 1 / SYMBOLS
    classes = (*map(str, range(SYMBOLS)), "blank")

    def __init__(self, options: Options) -> None:
        self.train_items = options.train_items

    def sizes(self, sequence_length: int) -> Spec:
        """Ids of tokens in, classes of steps out."""
        return Spec(
            inputs=InputKind.TOKENS,
            outputs=OutputKind.STEP_CLASSES,
            sequence_length=sequence_length,
            vocabulary_size=CALL_ID + 1,
            classes=len(self.classes),
        )

    def make(self, random: np.random.RandomState, items: int, length: int) -> Sequences:
        """Every symbol as likely as the others, a byte each."""
        symbols = random.randint(SYMBOLS, size=(items, COPIED), dtype=np.uint8)
        inputs = np.full((items, length), BLANK_ID, dtype=np.uint8)
        inputs[:, :COPIED] = symbols + 1
        inputs[:, -COPIED - 1] = CALL_ID
        targets = np.full((items, length), BLANK, dtype=np.uint8)
        targets[:, -COPIED:] = symbols
        return Sequences(inputs=inputs, targets=targets)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of a step in nats, a scalar, from (B, L, classes) logits, computed in fp32."""
        return functional.cross_entropy(outputs.float().flatten(0, 1), asked(batch).flatten())

    def evaluate(self, model: nn.Module, batch: Batch, spec: Spec) -> Evaluation:
        """The likeliest classes of the last ten steps of every item."""
        outputs, targets = forward(model, batch, spec), asked(batch)
        return Evaluation(
            loss_sum=self.loss(outputs, batch).item() * batch.items,
            items=batch.items,
            predicted=outputs[:, -COPIED:].argmax(dim=2).tolist(),
            expected=targets[:, -COPIED:].tolist(),
        )

    def score(self, predicted: Sequence[Any], expected: Sequence[Any]) -> Score:
        """Share of symbols that are right, and of items all of whose symbols are.

        There is no count for an interval over test items: the ten symbols of an item are not ten independent trials.
        """
        right = np.asarray(predicted) == np.asarray(expected)
        return Score(metrics={"accuracy": float(right.mean()), "exact_match": float(right.all(axis=1).mean())})
