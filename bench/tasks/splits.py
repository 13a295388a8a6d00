"""Train, validation and test: 70, 10 and 20 %, of every class where items have one. Splits never depend on a fit's seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

Indices = NDArray[np.int64]
SPLITS = ("train", "validation", "test")
FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Places of the items of each part, in ascending order."""

    train: Indices
    validation: Indices
    test: Indices


def first_of_each(items: Sequence[str]) -> list[int]:
    """Places of the first of every group of equal items."""
    return sorted({item: place for place, item in reversed(list(enumerate(items)))}.values())


def split_in_order(labels: Sequence[int], classes: Sequence[str], where: str) -> Split:
    """Of each class in its order: the last fifth is test, the tenth before it validation, the rest train.

    Raises:
        DataError: there is one class only, or a class too small to be in all three.
    """
    if len(classes) < 2:
        raise DataError(f"{where}: every item has the label '{classes[0]}', expected at least two classes")
    parts: dict[str, list[Indices]] = {name: [] for name in SPLITS}
    for label, name in enumerate(classes):
        places = np.flatnonzero(np.asarray(labels) == label)
        if len(places) < 3:
            raise DataError(
                f"{where}: class '{name}' has {len(places)} different items, expected at least 3, "
                "one each to train, validate and test with"
            )
        for part, chosen in zip(SPLITS, _in_order(places), strict=True):
            parts[part].append(chosen)
    return Split(**{name: np.sort(np.concatenate(chosen)) for name, chosen in parts.items()})


def split_whole_in_order(items: int, what: str, where: str) -> Split:
    """Of all items in their order: the last fifth is test, the tenth before it validation, the rest train.

    Raises:
        DataError: there are fewer than three.
    """
    if items < 3:
        raise DataError(
            f"{where}: found {items} different {what}, expected at least 3, one each to train, validate and test with"
        )
    return Split(**dict(zip(SPLITS, _in_order(np.arange(items)), strict=True)))


def _in_order(places: Indices) -> list[Indices]:
    """At least three places: those to train, to validate and to test with."""
    test, validation = max(1, len(places) // 5), max(1, len(places) // 10)
    return np.split(places, [-test - validation, -test])


def split_as_published(labels: Indices, test_items: int) -> Split:
    """The last `test_items` are test, as published; of each class before them, in its order, the last tenth is validation."""
    before = np.arange(len(labels) - test_items)
    classes = (before[labels[before] == label] for label in np.unique(labels))
    validation = np.sort(np.concatenate([places[len(places) - len(places) // 10 :] for places in classes]))
    return Split(
        train=np.setdiff1d(before, validation), validation=validation, test=np.arange(len(before), len(labels))
    )


def split_in_folds(labels: Indices, fold: int) -> Split:
    """Fold `fold` of five: each class is dealt into ten stratified parts, of which two are test, the next validation.

    Raises:
        ValueError: there is no such fold.
    """
    if not 0 <= fold < FOLDS:
        raise ValueError(f"fold {fold} does not exist; expected 0 to {FOLDS - 1}")
    # RandomState: its streams are frozen for ever, those of numpy's newer generators are not
    shuffled = np.random.RandomState(0).permutation(len(labels))
    tenth = np.empty(len(labels), dtype=np.int64)
    # dealt on over the classes, one after the other, so that the parts are of one size too
    tenth[shuffled[np.argsort(labels[shuffled], kind="stable")]] = np.arange(len(labels)) % 10
    test = tenth // 2 == fold
    validation = tenth == (2 * fold + 2) % 10
    return Split(
        train=np.flatnonzero(~test & ~validation), validation=np.flatnonzero(validation), test=np.flatnonzero(test)
    )
