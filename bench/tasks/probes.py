"""Made probes of memory, at any length: `first-token`, `parity` and `recall`, each with one class as the answer.

Every class is equally frequent in each split, so that the chance level is exact.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from bench.errors import UsageError
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks import task
from bench.tasks.classification import Classification
from bench.tasks.made import Made, Numbers, Options, Sequences

NOISE_TOKENS = 10
# token ids; 0 is padding, which no item has
FIRST_ID = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstTokenOptions(Options):
    """Options of `first-token`."""

    symbols: int = option(10, "Number of symbols of which one stands first: the classes.", at_least=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallOptions(Options):
    """Options of `recall`."""

    pairs: int = option(4, "Pairs of a key and its value in an item; at most as many as keys.", at_least=1)
    keys: int = option(16, "Number of different keys.", at_least=1)
    values: int = option(10, "Number of different values: the classes.", at_least=2)


class Probe(Made, Classification):
    """Tokens in, a class out."""

    vocabulary_size: int

    @abstractmethod
    def draw(self, random: np.random.RandomState, labels: Numbers, length: int) -> Numbers:
        """Items of these classes, (N, length) token ids."""

    @property
    def chance(self) -> float:
        """Every class is as frequent as the others."""
        return 1 / self.class_count

    @property
    def classes(self) -> tuple[str, ...]:
        """Their numbers."""
        return tuple(map(str, range(self.class_count)))

    def sizes(self, sequence_length: int) -> Spec:
        """Ids of tokens in, classes out."""
        return Spec(
            inputs=InputKind.TOKENS,
            outputs=OutputKind.CLASSES,
            sequence_length=sequence_length,
            vocabulary_size=self.vocabulary_size,
            classes=self.class_count,
        )

    def make(self, random: np.random.RandomState, items: int, length: int) -> Sequences:
        """Classes in turn, shuffled, and an item for each."""
        labels = random.permutation(np.arange(items) % self.class_count)
        inputs = self.draw(random, labels, length)
        # long rows by the ten thousand: a byte a token where that is enough
        return Sequences(
            inputs=inputs.astype(np.min_scalar_type(self.vocabulary_size)), targets=labels.astype(np.int64)
        )


@task(
    "first-token",
    summary="made probe of memory: which of ten symbols stood first, before L - 1 tokens of noise",
    source="after Bengio, Simard & Frasconi 1994 (latch problem)",
    options=FirstTokenOptions,
)
class FirstToken(Probe):
    """A symbol, then noise of `NOISE_TOKENS` other tokens; see the module."""

    name = "first-token"

    def __init__(self, options: FirstTokenOptions) -> None:
        self.options = options
        self.train_items = options.train_items
        self.vocabulary_size = FIRST_ID + options.symbols + NOISE_TOKENS

    @property
    def class_count(self) -> int:
        """One class a symbol."""
        return self.options.symbols

    def draw(self, random: np.random.RandomState, labels: Numbers, length: int) -> Numbers:
        """Symbols have the lowest ids."""
        inputs = noise(random, len(labels), length, FIRST_ID + self.class_count)
        inputs[:, 0] = FIRST_ID + labels
        return inputs


@task(
    "parity",
    summary="made probe of memory: is the number of ones among L bits even or odd?",
    source="Minsky & Papert 1969, Perceptrons",
    options=Options,
)
class Parity(Probe):
    """Bits 0 and 1 as the ids 1 and 2; class 1 is odd. See the module."""

    name = "parity"
    class_count = 2
    vocabulary_size = FIRST_ID + 2

    def __init__(self, options: Options) -> None:
        self.train_items = options.train_items

    def draw(self, random: np.random.RandomState, labels: Numbers, length: int) -> Numbers:
        """The last bit makes the sum what the class says."""
        bits = random.randint(2, size=(len(labels), length), dtype=np.int32)
        bits[:, -1] = (bits[:, :-1].sum(axis=1) + labels) % 2
        return FIRST_ID + bits


@task(
    "recall",
    summary="made probe of memory: pairs of a key and a value, noise, then one of the keys: what was its value?",
    source="Arora et al. 2023, Zoology (MQAR), with a single query",
    options=RecallOptions,
)
class Recall(Probe):
    """Keys of an item are different, its values need not be; see the module.

    What remembers the values, but not which key each came with, does better than chance: it guesses one of `pairs`.
    """

    name = "recall"

    def __init__(self, options: RecallOptions) -> None:
        if options.keys < options.pairs:
            raise UsageError(
                f"task 'recall': found {options.pairs} pairs and {options.keys} keys, expected at least as many keys as "
                "pairs; change one of them"
            )
        self.options = options
        self.train_items = options.train_items
        self.vocabulary_size = FIRST_ID + options.keys + options.values + NOISE_TOKENS
        self.shortest = 2 * options.pairs + 1

    @property
    def class_count(self) -> int:
        """One class a value."""
        return self.options.values

    def draw(self, random: np.random.RandomState, labels: Numbers, length: int) -> Numbers:
        """Keys have the lowest ids, then values; rows too short for all pairs have as many as fit."""
        keys, values = self.options.keys, self.options.values
        pairs, items = min(self.options.pairs, (length - 1) // 2), np.arange(len(labels))
        shuffled = random.random_sample((len(labels), keys)).argsort(axis=1)
        asked = (random.random_sample(len(labels)) * pairs).astype(np.int64)
        given = random.randint(values, size=(len(labels), max(pairs, 1)), dtype=np.int32)
        given[items, asked] = labels
        inputs = noise(random, len(labels), length, FIRST_ID + keys + values)
        inputs[:, 0 : 2 * pairs : 2] = FIRST_ID + shuffled[:, :pairs]
        inputs[:, 1 : 2 * pairs : 2] = FIRST_ID + keys + given[:, :pairs]
        inputs[:, -1] = FIRST_ID + shuffled[items, asked]
        return inputs


def noise(random: np.random.RandomState, items: int, length: int, first: int) -> Numbers:
    """(N, L) ids of tokens without a meaning, from `first` on."""
    return first + random.randint(NOISE_TOKENS, size=(items, length), dtype=np.int32)
