"""What it takes to tag words: sentences as ids of words and of their last letters, padded batches, counts of right tags.

B sentences, L words, F ids of a word, C tags.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.batch import Batch
from bench.codec import digest
from bench.errors import DataError
from bench.quantity import Unit, format_value
from bench.spec import PADDED_CLASS
from bench.tasks.data.cache import Arrays, prepared
from bench.tasks.data.tagged_file import Tagged
from bench.tasks.splits import SPLITS, first_of_each, split_whole_in_order
from bench.tasks.words import PADDING_ID, UNKNOWN_ID, build_vocabulary

SHORTEST_SUFFIX = 2
# Raised whenever the same sentences would be split or encoded otherwise.
TAGGING_VERSION = 1
# how the unknown and the padding stand in a list of words
NO_WORDS = ("", "?")

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedSentences:
    """Words in one row: sentence i is `ids[offsets[i]:offsets[i + 1]]`, (words, F), of which the first `length` are used."""

    ids: NDArray[Any]
    tags: NDArray[Any]
    offsets: NDArray[Any]
    length: int

    def __len__(self) -> int:
        """Number of sentences."""
        return len(self.offsets) - 1

    def batch(self, indices: Sequence[int]) -> Batch:
        """The sentences at these places, padded on the right to the longest of them; (B, L) ids where a word has one."""
        places = np.asarray(indices, dtype=np.int64)
        starts = self.offsets[places]
        lengths = np.minimum(self.offsets[places + 1] - starts, self.length)
        longest, several = int(lengths.max()), self.ids.shape[1]
        inputs = np.full((len(places), longest, several), PADDING_ID, dtype=np.int64)
        targets = np.full((len(places), longest), PADDED_CLASS, dtype=np.int64)
        for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            inputs[row, :length] = self.ids[start : start + length]
            targets[row, :length] = self.tags[start : start + length]
        return Batch(
            inputs=torch.from_numpy(inputs if several > 1 else inputs[:, :, 0]),
            lengths=torch.from_numpy(lengths),
            targets=torch.from_numpy(targets),
            items=len(places),
            tokens=targets.size,
            real_tokens=int(lengths.sum()),
        )

    def cut(self, values: NDArray[Any]) -> list[list[int]]:
        """Of values of all words those of the words that are used, sentence by sentence."""
        starts, lengths = self.offsets[:-1], np.minimum(np.diff(self.offsets), self.length)
        return [values[start : start + length].tolist() for start, length in zip(starts, lengths, strict=True)]


def parts_of(word: str, suffixes: int) -> list[str]:
    """A word and its last 2, 3, ... letters, as many of these as `suffixes`; a hyphen tells them from words.

    >>> parts_of("casas", 2)
    ['casas', '-as', '-sas']
    """
    lengths = range(SHORTEST_SUFFIX, SHORTEST_SUFFIX + suffixes)
    return [word, *(f"-{word[-length:]}" for length in lengths)]


def prepare(
    identity: object,
    vocabulary_size: int,
    suffixes: int,
    where: str,
    read: Callable[[], Tagged],
    names: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> Arrays:
    """Sentences without repeats, split in their order and encoded by the words (and suffixes) of the training split.

    `identity` changes whenever `read` would give something else; `where` is the file, for error sentences; `names` are the
    arrays that are needed, all if none is named; `classes` are all tags in the order of their numbers, in alphabetical order
    those of the sentences where none are given. Of each split there are ids (words, F), tags and offsets; of all words of the
    test split what `likeliest_tags` says.

    Raises:
        DataError: there are too few sentences to be split, or all words have the same tag.
    """
    made_of = ["tagging", identity, vocabulary_size, suffixes, classes, TAGGING_VERSION]
    return prepared(digest(made_of, 24), lambda: _prepare(read(), vocabulary_size, suffixes, where, classes), names)


def _prepare(
    found: Tagged, vocabulary_size: int, suffixes: int, where: str, classes: Sequence[str]
) -> dict[str, NDArray[Any]]:
    first = first_of_each(["\t".join(words) for words in found.words])
    split = split_whole_in_order(len(first), "sentences", where)
    parts = {
        name: [(found.words[first[place]], found.tags[first[place]]) for place in getattr(split, name)]
        for name in SPLITS
    }
    classes = classes or sorted({tag for part in parts.values() for _, tags in part for tag in tags})
    if len(classes) < 2:
        raise DataError(f"{where}: all words have the tag '{classes[0]}', expected at least two different tags")
    class_of = {tag: place for place, tag in enumerate(classes)}
    vocabulary = build_vocabulary(
        ([part for word in words for part in parts_of(word, suffixes)] for words, _ in parts["train"]), vocabulary_size
    )
    contents = hashlib.sha256()
    arrays: dict[str, NDArray[Any]] = {
        "classes": np.array(classes),
        "words": np.array([*NO_WORDS, *vocabulary]),
        "test_likeliest": likeliest_tags(parts["train"], (words for words, _ in parts["test"]), class_of),
    }
    for name, part in parts.items():
        contents.update(f"{name} {len(part)}\0".encode())
        for words, tags in part:
            contents.update(("\t".join(words) + "\0" + "\t".join(tags) + "\0").encode())
        arrays[f"{name}_ids"] = encode_words([word for words, _ in part for word in words], vocabulary, suffixes)
        arrays[f"{name}_tags"] = np.array([class_of[tag] for _, tags in part for tag in tags], dtype=np.int32)
        arrays[f"{name}_offsets"] = np.cumsum([0, *(len(words) for words, _ in part)], dtype=np.int64)
    fingerprint = digest([contents.hexdigest(), vocabulary_size, suffixes, TAGGING_VERSION])
    return {**arrays, "fingerprint": np.array(fingerprint)}


def encode_words(words: Sequence[str], vocabulary: Mapping[str, int], suffixes: int) -> NDArray[np.int32]:
    """(words, F) ids of words and their endings."""
    rows = [[vocabulary.get(one, UNKNOWN_ID) for one in parts_of(word, suffixes)] for word in words]
    return np.array(rows, dtype=np.int32)


def likeliest_tags(
    training: Iterable[tuple[Sequence[str], Sequence[str]]],
    sentences: Iterable[Sequence[str]],
    class_of: Mapping[str, int],
) -> NDArray[np.int32]:
    """For each word the tag that it has most often in training, for unknown words the commonest tag: the floor of tagging."""
    tags_of: dict[str, Counter[str]] = {}
    every: Counter[str] = Counter()
    for words, tags in training:
        every.update(tags)
        for word, tag in zip(words, tags, strict=True):
            tags_of.setdefault(word, Counter())[tag] += 1
    known = {word: class_of[counts.most_common(1)[0][0]] for word, counts in tags_of.items()}
    commonest = class_of[every.most_common(1)[0][0]]
    return np.array([known.get(word, commonest) for words in sentences for word in words], dtype=np.int32)


# ── scores ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def count_pairs(predicted: Sequence[Sequence[int]], expected: Sequence[Sequence[int]], classes: int) -> Counts:
    """(C, C) counts of words: rows are true tags, columns predicted ones."""
    said, true = (np.concatenate([np.asarray(row, dtype=np.int64) for row in rows]) for rows in (predicted, expected))
    return np.bincount(true * classes + said, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class TagScores:
    """Of each tag: how many words have it, and precision, recall and F1, (C,); 0 where nothing can be divided."""

    words: Counts
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def tag_scores(counts: Counts) -> TagScores:
    """From counts as `count_pairs` makes them."""
    right, words, said = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    return TagScores(
        words=words,
        precision=right / np.maximum(said, 1),
        recall=right / np.maximum(words, 1),
        f1=2 * right / np.maximum(words + said, 1),
    )


def tag_table(counts: Counts, classes: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """A row for each tag that is there, the commonest first: tag, words, precision, recall, F1, what it is taken for most."""
    scores = tag_scores(counts)
    wrong = counts - np.diag(counts.diagonal())
    rows = []
    for place in np.argsort(-scores.words, kind="stable"):
        if not scores.words[place]:
            continue
        shares = (scores.precision[place], scores.recall[place], scores.f1[place])
        taken = int(wrong[place].argmax())
        rows.append(
            (
                classes[place],
                f"{scores.words[place]:,}",
                *(format_value(float(share), Unit.SHARE) for share in shares),
                f"{classes[taken]} ({wrong[place, taken]:,})" if wrong[place, taken] else "",
            )
        )
    return tuple(rows)
