"""Texts to token ids: words, a vocabulary of declared size, and encoded texts in a flat array. No torch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

PADDING_ID = 0
UNKNOWN_ID = 1
FIRST_WORD_ID = 2
UNKNOWN_WORD = "⁇"
"""How an id of no word is written for people, as SentencePiece does."""
# Raised whenever the same text would be encoded otherwise; part of fingerprints and of cache keys.
WORDS_VERSION = 1

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_WORD = re.compile(r"\w+(?:['’]\w+)*")


def without_breaks(text: str) -> str:
    """The text with a space for every `<br />`, the one thing in reviews that nobody wrote."""
    return _BREAK.sub(" ", text)


def tokenise(text: str) -> list[str]:
    """Words in lower case: runs of letters and digits, apostrophes inside kept; `<br />` is a space.

    >>> tokenise("Don't miss it!<br /><br />10/10")
    ["don't", 'miss', 'it', '10', '10']
    """
    return _WORD.findall(without_breaks(text).lower())


def build_vocabulary(texts: Iterable[list[str]], size: int, first_id: int = FIRST_WORD_ID) -> dict[str, int]:
    """The commonest words with their ids, commonest first; equal counts in alphabetical order.

    `size` is the number of ids, those below `first_id` included, as padding and the unknown word are; fewer words are no
    error.
    """
    counts = Counter(word for text in texts for word in text)
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return {word: place for place, (word, _) in enumerate(ranked[: size - first_id], start=first_id)}


def encode(texts: Iterable[list[str]], vocabulary: Mapping[str, int]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """All ids in one row, and where each text begins in it (one more entry than texts, the last the end).

    A text without any word becomes one unknown word: models read the last real token, so there must be one.
    """
    ids: list[int] = []
    offsets = [0]
    for text in texts:
        ids += [vocabulary.get(word, UNKNOWN_ID) for word in text] or [UNKNOWN_ID]
        offsets.append(len(ids))
    return np.array(ids, dtype=np.int32), np.array(offsets, dtype=np.int64)


def spelt(ids: Iterable[int], words: Sequence[str]) -> Iterator[str]:
    """The words that ids stand for; `UNKNOWN_WORD` for one that stands for none."""
    return ((words[one] if one < len(words) else "") or UNKNOWN_WORD for one in ids)
