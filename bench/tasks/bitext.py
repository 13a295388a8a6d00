"""Pairs of sentences, split by what is translated and encoded, with what simple rules score. Kept once made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.codec import digest
from bench.errors import DataError
from bench.spec import FIRST_TARGET_ID
from bench.tasks.data.cache import Arrays, prepared
from bench.tasks.data.pairs import Pairs
from bench.tasks.dictionary import DICTIONARY_VERSION, word_table
from bench.tasks.sentences import SENTENCES_VERSION, bleu, joined, marked_words
from bench.tasks.splits import SPLITS
from bench.tasks.target_tokens import TokenPairs
from bench.tasks.words import FIRST_WORD_ID, build_vocabulary, encode

HELD_OUT = {"test": 2_000, "validation": 1_000}
# Raised whenever the same pairs would be split, encoded or scored otherwise.
BITEXT_VERSION = 1
_LEAST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What decides, beside the pairs, which are used and how they are encoded.

    Attributes:
        length: the most words and marks of either sentence.
        vocabulary_size: ids of each side.
        train_items: the most pairs to train on.
    """

    length: int
    vocabulary_size: int
    train_items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A sentence and its translation, as they stand and in words.

    Attributes:
        references: every translation of a sentence that is held out; none of one to train on.
    """

    source: str
    target: str
    words: tuple[str, ...]
    target_words: tuple[str, ...]
    references: tuple[str, ...] = ()


def prepare(identity: object, sizes: Sizes, where: str, read: Callable[[], Pairs], names: Sequence[str] = ()) -> Arrays:
    """The three splits as ids, the words that ids stand for, references, floors and a fingerprint; those named, or all.

    `identity` changes whenever `read` would give something else; `where` is the file, for error sentences.
    """
    versions = [SENTENCES_VERSION, DICTIONARY_VERSION, BITEXT_VERSION]
    made_of = [identity, sizes.length, sizes.vocabulary_size, sizes.train_items, *versions]
    return prepared(digest(made_of, 24), lambda: _prepare(read(), sizes, where), names)


def _prepare(pairs: Pairs, sizes: Sizes, where: str) -> Arrays:
    items = split_by_source(pairs, sizes, where)
    train, size = items["train"], sizes.vocabulary_size
    known = build_vocabulary((list(item.words) for item in train), size)
    target_known = build_vocabulary((list(item.target_words) for item in train), size, FIRST_TARGET_ID)
    arrays: dict[str, NDArray[Any]] = {
        "words": np.array([*[""] * FIRST_WORD_ID, *known]),
        "target_words": np.array([*[""] * FIRST_TARGET_ID, *target_known]),
        "fingerprint": np.array(_fingerprint(items, size)),
    }
    for name in SPLITS:
        sources = encode((list(item.words) for item in items[name]), known)
        targets = encode((list(item.target_words) for item in items[name]), target_known)
        arrays |= {f"{name}_source_ids": sources[0], f"{name}_source_offsets": sources[1]}
        arrays |= {f"{name}_target_ids": targets[0], f"{name}_target_offsets": targets[1]}
        arrays[f"{name}_references"] = np.array([one for item in items[name] for one in item.references], dtype=str)
        arrays[f"{name}_reference_counts"] = np.array([len(item.references) for item in items[name]])
    scores = floors(items["test"], _dictionary(arrays))
    return arrays | {"floor_names": np.array(list(scores)), "floor_values": np.array(list(scores.values()))}


def token_pairs(arrays: Arrays, name: str) -> TokenPairs:
    """A split, with the references of what is held out."""
    texts = iter(arrays[f"{name}_references"].tolist())
    counts: list[int] = arrays[f"{name}_reference_counts"].tolist()
    return TokenPairs(
        source_ids=arrays[f"{name}_source_ids"],
        source_offsets=arrays[f"{name}_source_offsets"],
        target_ids=arrays[f"{name}_target_ids"],
        target_offsets=arrays[f"{name}_target_offsets"],
        references=tuple(tuple(next(texts) for _ in range(count)) for count in counts) if any(counts) else (),
    )


def _dictionary(arrays: Arrays) -> dict[str, str]:
    """What stands for a word, from the training pairs."""
    table = word_table(token_pairs(arrays, "train"), FIRST_TARGET_ID).tolist()
    words, target_words = arrays["words"].tolist(), arrays["target_words"].tolist()
    return {words[one]: target_words[other] for one, other in enumerate(table) if words[one] and other}


def split_by_source(pairs: Pairs, sizes: Sizes, where: str) -> dict[str, list[Item]]:
    """Test, validation and train. Sentences with the same words, marks and capitals aside, are in one split only.

    Only pairs are used both of whose sentences are short enough. Sources come in the order of their SHA-256: the first 2,000
    are test (at most a fifth), the next 1,000 validation (at most a tenth). Such a source is one item, in the form in which it
    comes first, with all of its translations. Every pair of the others is an item to train on, repeats left out.

    Raises:
        DataError: there are too few sentences to be split.
    """
    groups: dict[str, list[Item]] = {}
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        words, target_words = tuple(marked_words(source)), tuple(marked_words(target))
        if 0 < len(words) <= sizes.length and 0 < len(target_words) <= sizes.length:
            item = Item(source=source, target=target, words=words, target_words=target_words)
            groups.setdefault(_said(words), []).append(item)
    if len(groups) < _LEAST:
        raise DataError(
            f"{where}: has {len(groups)} different sentences of at most {sizes.length} words and marks with a translation as "
            f"short, expected at least {_LEAST}; add some, or take a longer sequence length"
        )
    ranked = sorted(groups, key=lambda said: hashlib.sha256(said.encode()).digest())
    test, validation = min(HELD_OUT["test"], len(ranked) // 5), min(HELD_OUT["validation"], len(ranked) // 10)
    held_out = [_with_references(groups[said]) for said in ranked[: test + validation]]
    rest = (item for said in ranked[test + validation :] for item in groups[said])
    train = {(item.words, item.target_words): item for item in rest}
    return {
        "train": list(train.values())[: sizes.train_items],
        "validation": held_out[test:],
        "test": held_out[:test],
    }


def _said(words: tuple[str, ...]) -> str:
    """What is the same of sentences that differ in marks alone."""
    return " ".join(word for word in words if word[0].isalnum()) or " ".join(words)


def _with_references(group: Sequence[Item]) -> Item:
    first = group[0]
    return replace(first, references=tuple(dict.fromkeys(item.target for item in group if item.words == first.words)))


def floors(test: Sequence[Item], by_word: dict[str, str]) -> dict[str, float]:
    """BLEU of saying the source again, and of putting for each of its words what a dictionary has, else itself."""
    references = [item.references for item in test]
    word_by_word = [joined(by_word.get(word, word) for word in item.words) for item in test]
    return {
        "source copied": bleu([item.source for item in test], references),
        "word by word": bleu(word_by_word, references),
    }


def _fingerprint(items: dict[str, list[Item]], vocabulary_size: int) -> str:
    contents = hashlib.sha256()
    for name in SPLITS:
        contents.update(f"{name} {len(items[name])}\0".encode())
        for item in items[name]:
            contents.update("\0".join((item.source, item.target, *item.references)).encode() + b"\0\0")
    return digest([contents.hexdigest(), vocabulary_size, SENTENCES_VERSION])
