"""What every task of classifying texts shares: made batches, prepared data, and batches padded on the right."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.batch import Batch
from bench.codec import digest
from bench.errors import ModelError, UsageError
from bench.spec import InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import Data, Form, Legend
from bench.tasks.classification import Classification, random_targets, refuse_fold
from bench.tasks.data.cache import Arrays, prepared
from bench.tasks.data.items import Texts
from bench.tasks.splits import SPLITS, Split, first_of_each, split_in_order
from bench.tasks.wordpieces import PREFIX, WordPieces, named_word_pieces
from bench.tasks.words import FIRST_WORD_ID, PADDING_ID, WORDS_VERSION, build_vocabulary, encode, tokenise

VOCABULARY_SIZE = 20_000
# Raised whenever the same texts would be split otherwise.
SPLIT_VERSION = 1
# Raised whenever more or other arrays are kept of the same ids; part of cache keys alone, never of fingerprints.
ARRAYS_VERSION = 2


class TextTask(Classification):
    """Words in, a class out; the length is free."""

    name: str
    vocabulary_size: int
    length_axis = LengthAxis.FREE
    folds = 0
    form = Form.TEXT

    @abstractmethod
    def arrays(self, *names: str, pieces: WordPieces | None = None) -> Arrays:
        """The splits in words, or in word pieces, as `prepare` makes them; at least those named, all if none is."""

    def spec(self, sequence_length: int | None) -> Spec:
        """Ids of words in, classes out.

        Raises:
            UsageError: no length is given.
        """
        if sequence_length is None:
            raise UsageError(f"task '{self.name}': found no sequence length, expected one in 'sequence_lengths'")
        return Spec(
            inputs=InputKind.TOKENS,
            outputs=OutputKind.CLASSES,
            sequence_length=sequence_length,
            vocabulary_size=self.vocabulary_size,
            padding_id=PADDING_ID,
            classes=self.class_count,
        )

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        """Full rows of made words, common ones often as in a language; see `random_words`."""
        generator = torch.Generator().manual_seed(seed)
        inputs = random_words(self.vocabulary_size, (batch_size, spec.sequence_length or 1), generator)
        return Batch(
            inputs=inputs,
            targets=random_targets(spec, batch_size, generator),
            items=batch_size,
            tokens=inputs.numel(),
            real_tokens=inputs.numel(),
        )

    def training_lengths(self, spec: Spec) -> list[int]:
        """Words of each training text, of those that are used at this length."""
        lengths = np.diff(self.arrays("train_offsets")["train_offsets"])
        return [int(length) for length in np.minimum(lengths, spec.sequence_length or 1)]

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:
        """Real texts, each cut to its first `spec.sequence_length` words or word pieces.

        Raises:
            DataError: they are not here and nobody could bring them, or they are not what was expected.
            ModelError: the weights whose word pieces are asked for are not here, or not whole.
            UsageError: an encoding that nobody knows, or a fold of the one fixed split.
        """
        refuse_fold(self.name, fold)
        pieces = named_word_pieces(encoding)
        if pieces is None and encoding != "words":
            raise UsageError(
                f"task '{self.name}': encoding '{encoding}' is unknown, expected 'words' or '{PREFIX}WEIGHTS'"
            )
        arrays = self.arrays(pieces=pieces)
        parts: dict[str, Any] = {
            name: _texts(arrays[f"{name}_ids"], arrays[f"{name}_offsets"], arrays[f"{name}_labels"], spec, pieces)
            for name in SPLITS
        }
        return Data(
            **parts,
            fingerprint=str(arrays["fingerprint"]),
            classes=tuple(map(str, arrays["classes"])),
            words=tuple(bytes(arrays["words"]).decode().split("\n")),
        )

    def read(self, given: Sequence[str], legend: Legend) -> Batch:
        """Texts as ids of the words, or word pieces, that were trained on; what is too long is cut, as in training.

        Raises:
            UsageError: a text holds no word.
            ModelError: the pretrained weights whose word pieces are needed are not here, or have others by now.
        """
        for text in given:
            if not tokenise(text):
                raise UsageError(f"found the text {text[:40]!r}, expected one with a word in it")
        pieces = named_word_pieces(legend.encoding)
        if pieces is None:
            vocabulary = {word: place for place, word in enumerate(legend.words) if word}
            ids, offsets = encode(map(tokenise, given), vocabulary)
        elif tuple(pieces.vocabulary) != legend.words:
            raise ModelError(
                f"'{legend.encoding}': these word pieces are not those that the model was trained with; "
                "put the weights back that it started from"
            )
        else:
            ids, offsets = pieces.encode(given)
        unlabelled = np.zeros(len(given), dtype=np.int64)
        return replace(_texts(ids, offsets, unlabelled, legend.spec, pieces).batch(range(len(given))), targets=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedTexts:
    """Texts as ids in one row: text i is `ids[offsets[i]:offsets[i + 1]]`, of which the first `length` are used.

    Attributes:
        end_id: what stands last in every text, cut or not; None where nothing does.
    """

    ids: NDArray[Any]
    offsets: NDArray[Any]
    labels: NDArray[Any]
    length: int
    padding_id: int = PADDING_ID
    end_id: int | None = None

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.labels)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The texts at these places, padded on the right to the longest of them."""
        places = np.asarray(indices, dtype=np.int64)
        starts = self.offsets[places]
        lengths = np.minimum(self.offsets[places + 1] - starts, self.length)
        inputs = np.full((len(places), int(lengths.max())), self.padding_id, dtype=np.int64)
        for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            inputs[row, :length] = self.ids[start : start + length]
        if self.end_id is not None:
            inputs[np.arange(len(places)), lengths - 1] = self.end_id
        return Batch(
            inputs=torch.from_numpy(inputs),
            lengths=torch.from_numpy(lengths),
            targets=torch.from_numpy(self.labels[places]),
            items=len(places),
            tokens=inputs.size,
            real_tokens=int(lengths.sum()),
        )


def _texts(
    ids: NDArray[Any], offsets: NDArray[Any], labels: NDArray[Any], spec: Spec, pieces: WordPieces | None
) -> EncodedTexts:
    """Texts cut to a spec's length, in words or in word pieces."""
    return EncodedTexts(
        ids=ids,
        offsets=offsets,
        labels=labels,
        length=spec.sequence_length or 1,
        padding_id=PADDING_ID if pieces is None else pieces.padding_id,
        end_id=None if pieces is None else pieces.end_id,
    )


def random_words(vocabulary_size: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Int64 ids from 2 on, never padding or the unknown word, log-uniform over ranks.

    Rank r (the vocabulary is sorted by frequency) comes with probability log((r + 1) / r) / log(words + 1), close to
    Zipf's law: embedding rows are then as warm in the caches as real text keeps them, which uniform ids would not.
    """
    words = vocabulary_size - FIRST_WORD_ID
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    ranks = torch.exp(uniform * np.log(words + 1)).to(torch.int64).clamp_(1, words)
    return ranks + (FIRST_WORD_ID - 1)


def prepare(
    identity: object,
    vocabulary_size: int,
    where: str,
    read: Callable[[], Texts],
    names: Sequence[str] = (),
    pieces: WordPieces | None = None,
) -> Arrays:
    """Texts without repeats, split in their order and encoded: by the words of the training split, or in word pieces.

    `identity` changes whenever `read` would give something else; `where` is the file, for error sentences; `names` are the
    arrays that are needed, all if none is named.
    """
    encoding: list[object] = [vocabulary_size, WORDS_VERSION] if pieces is None else pieces.identity
    made_of = [identity, *encoding, SPLIT_VERSION, ARRAYS_VERSION]
    return prepared(digest(made_of, 24), lambda: _prepare(read(), vocabulary_size, where, pieces), names)


def _prepare(found: Texts, vocabulary_size: int, where: str, pieces: WordPieces | None) -> Arrays:
    first = first_of_each(found.texts)
    items = Texts(
        texts=[found.texts[place] for place in first],
        labels=[found.labels[place] for place in first],
        classes=found.classes,
    )
    split = split_in_order(items.labels, items.classes, where)
    encoding: list[object] = ["words", WORDS_VERSION, vocabulary_size] if pieces is None else pieces.identity
    arrays: dict[str, NDArray[Any]] = {
        "classes": np.array(items.classes),
        "fingerprint": np.array(_fingerprint(items, split, encoding)),
    }
    words, encoded = _encoded(items.texts, split, vocabulary_size, pieces)
    # as text: an array of words would give each the room of the longest
    arrays["words"] = np.frombuffer("\n".join(words).encode(), dtype=np.uint8)
    for name, (ids, offsets) in encoded.items():
        labels = np.array([items.labels[place] for place in getattr(split, name)], dtype=np.int64)
        arrays |= {f"{name}_ids": ids, f"{name}_offsets": offsets, f"{name}_labels": labels}
    return arrays


def _encoded(
    texts: Sequence[str], split: Split, vocabulary_size: int, pieces: WordPieces | None
) -> tuple[list[str], dict[str, tuple[NDArray[np.int32], NDArray[np.int64]]]]:
    """What ids stand for, by their order; ids and offsets of each split."""
    if pieces is not None:
        encoded = {name: pieces.encode(texts[place] for place in getattr(split, name)) for name in SPLITS}
        return list(pieces.vocabulary), encoded
    tokens = [tokenise(text) for text in texts]
    vocabulary = build_vocabulary((tokens[place] for place in split.train), vocabulary_size)
    encoded = {name: encode((tokens[place] for place in getattr(split, name)), vocabulary) for name in SPLITS}
    return [""] * FIRST_WORD_ID + list(vocabulary), encoded


def _fingerprint(items: Texts, split: Split, encoding: Sequence[object]) -> str:
    contents = hashlib.sha256()
    for name in SPLITS:
        places = getattr(split, name)
        contents.update(f"{name} {len(places)}\0".encode())
        for place in places:
            contents.update(f"{items.classes[items.labels[place]]}\0{items.texts[place]}\0".encode())
    return digest([contents.hexdigest(), *encoding])
