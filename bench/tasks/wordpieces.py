"""Texts to word pieces: the vocabulary of pretrained weights, `[CLS]` before each text and `[SEP]` after it. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from bench.tasks.data.checkpoints import Checkpoint, extra, open_checkpoint
from bench.tasks.words import without_breaks

PREFIX = "wordpiece:"
"""Of the name of an encoding; what follows are the weights whose vocabulary it takes."""

# Raised whenever the same text would be encoded otherwise; part of fingerprints and of cache keys.
VERSION = 1
# The tokenizer keeps some 100 bytes a piece until its batch is done.
_TEXTS_AT_ONCE = 512
_PADDING, _END = "[PAD]", "[SEP]"
_NEEDED = (_PADDING, "[UNK]", "[CLS]", _END)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordPieces:
    """An encoding by greedy longest match (Wu et al. 2016), as in Devlin et al. 2019."""

    vocabulary: Mapping[str, int]
    lower_case: bool

    @property
    def padding_id(self) -> int:
        """What rows are filled up with."""
        return self.vocabulary[_PADDING]

    @property
    def end_id(self) -> int:
        """What stands last in every text, also in one that was cut."""
        return self.vocabulary[_END]

    @property
    def identity(self) -> list[object]:
        """All that the ids of a text depend on."""
        content = hashlib.sha256(json.dumps(list(self.vocabulary.items())).encode())
        return ["wordpieces", VERSION, content.hexdigest(), self.lower_case]

    def encode(self, texts: Iterable[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """All ids in one row, and where each text begins in it (one more entry than texts, the last the end).

        Raises:
            ModelError: the tokenizer is not installed.
        """
        tokenizer = extra("tokenizers").BertWordPieceTokenizer(dict(self.vocabulary), lowercase=self.lower_case)
        ids: list[int] = []
        offsets = [0]
        for batch in _batches(texts):
            for encoded in tokenizer.encode_batch(batch):
                ids += encoded.ids
                offsets.append(len(ids))
        return np.array(ids, dtype=np.int32), np.array(offsets, dtype=np.int64)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    cleaned = (without_breaks(text) for text in texts)
    while batch := list(islice(cleaned, _TEXTS_AT_ONCE)):
        yield batch


def word_pieces(checkpoint: Checkpoint) -> WordPieces:
    """The encoding that pretrained weights were made with.

    Raises:
        ModelError: their vocabulary is missing, or lacks what every text needs.
    """
    vocabulary = checkpoint.vocabulary()
    lacking = [piece for piece in _NEEDED if piece not in vocabulary]
    if lacking:
        raise checkpoint.wrong(f"its vocabulary lacks {', '.join(lacking)}; expected one of BERT's word pieces")
    return WordPieces(vocabulary=vocabulary, lower_case=checkpoint.lower_case())


def named_word_pieces(encoding: str) -> WordPieces | None:
    """The encoding of a name such as `wordpiece:minilm`; None where the name is not of that form."""
    if not encoding.startswith(PREFIX):
        return None
    return word_pieces(open_checkpoint(encoding.removeprefix(PREFIX)))
