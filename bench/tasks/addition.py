"""`addition`: "123+45" in, "168" out, a character a token: made sums whose length the digits fix.

Numbers have at most `digits` digits, each number as likely as the others, so that most are long. The sum is written from its
first digit on, so that a carry must be known before the digits that it comes from are written. Two numbers stand in one split
only, whichever of them comes first. Who always writes the commonest sum, 10^digits - 1, is right once in 10^digits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bench.batch import Batch
from bench.codec import digest
from bench.errors import UsageError
from bench.observations import Exhibit
from bench.options import option
from bench.quantity import METRICS
from bench.spec import FIRST_TARGET_ID, InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import Data, Form, Legend, Score, task
from bench.tasks.classification import refuse_fold
from bench.tasks.made import HELD_OUT_ITEMS, Numbers
from bench.tasks.splits import SPLITS
from bench.tasks.target_tokens import TokenPairs, Writing, examples, random_target_ids, read_tokens, refuse_encoding
from bench.tasks.words import FIRST_WORD_ID, encode, spelt

SYMBOLS = "0123456789+"
WORDS = ("",) * FIRST_WORD_ID + tuple(SYMBOLS)
TARGET_WORDS = ("",) * FIRST_TARGET_ID + tuple(SYMBOLS[:-1])
_SUM = re.compile(r"[0-9]+\+[0-9]+")
_TRAIN_ITEMS = 50_000
# enough for nearly every pair to come where nearly all are wanted
_DRAWS = 20
_IDS = {symbol: place for place, symbol in enumerate(SYMBOLS, FIRST_WORD_ID)}
_TARGET_IDS = {symbol: place for place, symbol in enumerate(SYMBOLS[:-1], FIRST_TARGET_ID)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `addition`."""

    digits: int = option(3, "The most digits of a number, from 2 to 9.", at_least=2, below=10)
    train_items: int = option(
        _TRAIN_ITEMS, "Number of sums to train on; fewer where there are not so many.", at_least=1
    )
    beam: int = option(
        1, "Rows that are kept while a sum is written; 1 takes the likeliest digit each time.", at_least=1
    )


@task(
    "addition",
    summary="made sums, a character a token: '123+45' in, '168' out",
    source="in this form Zaremba & Sutskever 2014, Learning to Execute",
    options=Options,
)
class Addition(Writing):
    """Characters in, characters out; see the module."""

    name = "addition"
    form = Form.TEXT
    length_axis = LengthAxis.FIXED
    folds = 0
    headline = "exact_match"
    metrics = (METRICS["exact_match"],)

    def __init__(self, options: Options) -> None:
        self.digits = options.digits
        self.train_items = options.train_items
        self.beam = options.beam
        self.chance = 10.0**-options.digits

    def spec(self, sequence_length: int | None) -> Spec:
        """Characters in, digits out; the length is that of the longest sum.

        Raises:
            UsageError: a length is asked for.
        """
        if sequence_length is not None:
            raise UsageError(
                f"task '{self.name}': found sequence length {sequence_length}, expected none; its sums have at most "
                f"{2 * self.digits + 1} characters, as the option 'digits' says"
            )
        return Spec(
            inputs=InputKind.TOKENS,
            outputs=OutputKind.TOKENS,
            sequence_length=2 * self.digits + 1,
            vocabulary_size=len(WORDS),
            target_vocabulary_size=len(TARGET_WORDS),
            target_length=self.digits + 2,
        )

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        """Full rows of digits with a plus in the middle; made targets, whatever the sum is."""
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randint(FIRST_WORD_ID, _IDS["+"], (batch_size, spec.sequence_length or 1), generator=generator)
        inputs[:, inputs.shape[1] // 2] = _IDS["+"]
        return Batch(
            inputs=inputs,
            targets=random_target_ids(spec, batch_size, generator),
            items=batch_size,
            tokens=inputs.numel(),
            real_tokens=inputs.numel(),
        )

    def training_lengths(self, spec: Spec) -> None:
        """There is nothing to deal from: no suite sweeps the length."""

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:  # noqa: ARG002 - sizes are known
        """The three splits, made anew each time, always the same.

        Raises:
            UsageError: another encoding than `words`, or a fold of the one fixed split.
        """
        refuse_fold(self.name, fold)
        refuse_encoding(self.name, encoding)
        drawn = _pairs(10**self.digits, self.train_items + sum(HELD_OUT_ITEMS.values()))
        # those held out come first: how many there are to train on does not change them
        begins = np.cumsum([HELD_OUT_ITEMS["test"], HELD_OUT_ITEMS["validation"]])
        parts: dict[str, Numbers] = dict(zip(("test", "validation", "train"), np.split(drawn, begins), strict=True))
        contents = b"".join(parts[name].tobytes() for name in SPLITS)
        examples: dict[str, Any] = {name: _encoded(parts[name]) for name in SPLITS}
        return Data(
            **examples,
            fingerprint=digest([hashlib.sha256(contents).hexdigest(), *map(len, parts.values())]),
            words=WORDS,
            target_words=TARGET_WORDS,
        )

    def target_words(self, spec: Spec) -> Sequence[str]:  # noqa: ARG002 - digits are the same at any size
        """Digits."""
        return TARGET_WORDS

    def text(self, words: Iterable[str]) -> str:
        """The digits in a row."""
        return "".join(words)

    def read(self, given: Sequence[str], legend: Legend) -> Batch:
        """Sums of two numbers as characters.

        Raises:
            UsageError: one is no such sum, or longer than those that were trained on.
        """
        for one in given:
            if not _SUM.fullmatch(one) or len(one) > (legend.spec.sequence_length or 1):
                raise UsageError(
                    f"found {one[:40]!r}, expected two whole numbers with a plus between them, in all at most "
                    f"{legend.spec.sequence_length} characters"
                )
        return read_tokens(list(map(list, given)), legend)

    def score(self, predicted: Sequence[Any], expected: Sequence[Any]) -> Score:
        """Share of sums all of whose digits are right."""
        right = sum(said == true for said, true in zip(predicted, expected, strict=True))
        return Score(metrics={"exact_match": right / len(expected)}, correct=right, total=len(expected))

    def exhibits(self, data: Data, predicted: Sequence[Any], expected: Sequence[Any]) -> tuple[Exhibit, ...]:
        """Some sums of the test split, and what was written."""

        def shown(place: int) -> str:
            return "".join(spelt(data.test.batch([place]).inputs[0].tolist(), WORDS))

        return (examples("sum", shown, predicted, expected),)


def _pairs(numbers: int, items: int) -> Numbers:
    """(N, 2) pairs of numbers below a bound, none of them twice in either order; at most `items`."""
    # RandomState: its streams are frozen for ever, those of numpy's newer generators are not
    drawn = np.random.RandomState(0).randint(numbers, size=(_DRAWS * items, 2), dtype=np.int64)
    _, first = np.unique(drawn.min(axis=1) * numbers + drawn.max(axis=1), return_index=True)
    kept: Numbers = drawn[np.sort(first)[:items]]
    return kept


def _encoded(pairs: Numbers) -> TokenPairs:
    sources, source_offsets = encode((list(f"{one}+{other}") for one, other in pairs), _IDS)
    targets, target_offsets = encode((list(str(one + other)) for one, other in pairs), _TARGET_IDS)
    return TokenPairs(
        source_ids=sources, source_offsets=source_offsets, target_ids=targets, target_offsets=target_offsets
    )
