"""`translation`: a sentence in one language in, the same in another out; English to Spanish, or the user's own pairs.

A token is a word in small letters, or a mark. Used are pairs both of whose sentences have at most L tokens; nothing is cut.
The split is by the source (see `bitext`): a test item is a sentence that nobody trained on, with all of its translations.
What is written is put together again (`sentences.joined`: spaces between words, none before `.` or after `¿`) and held against
translations as they stand in the file, small letters and capitals alike; so what is in no vocabulary is always wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.batch import Batch
from bench.errors import DataError, UsageError
from bench.observations import Exhibit
from bench.options import option
from bench.quantity import METRICS
from bench.spec import END_ID, FIRST_TARGET_ID, InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import Data, Form, Legend, Score, task
from bench.tasks.bitext import Sizes, prepare, token_pairs
from bench.tasks.classification import refuse_fold
from bench.tasks.data.cache import Arrays, file_sha256, shown
from bench.tasks.data.pairs import read_pairs, read_tatoeba
from bench.tasks.data.providers import fetch
from bench.tasks.data.sources import TATOEBA
from bench.tasks.sentences import bleu, chrf, joined, marked_words
from bench.tasks.splits import SPLITS
from bench.tasks.target_tokens import Writing, examples, read_tokens, refuse_encoding
from bench.tasks.text import random_words
from bench.tasks.words import FIRST_WORD_ID, spelt

VOCABULARY_SIZE = 10_000
_TRAIN_ITEMS = 100_000
_SHOWN_REFERENCES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `translation`."""

    file: str = option(
        "",
        "Your own pairs: CSV or TSV in UTF-8, a sentence and its translation a line; relative to the suite's folder. "
        "Without it English and Spanish of Tatoeba.",
    )
    source_column: str = option(
        "", "Name of the column of sentences in its header; 'source', or the first of two columns."
    )
    target_column: str = option("", "Name of the column of translations; 'target', or the second of two columns.")
    vocabulary_size: int = option(
        VOCABULARY_SIZE,
        "Number of ids of each language, those that are no words included.",
        at_least=FIRST_TARGET_ID + 1,
    )
    train_items: int = option(_TRAIN_ITEMS, "The most pairs to train on.", at_least=1)
    beam: int = option(
        1, "Rows that are kept while a sentence is written; 1 takes the likeliest word each time.", at_least=1
    )


@task(
    "translation",
    summary="encoder-decoder: short sentences from English to Spanish, or your own pairs from a CSV or TSV file",
    source="Tatoeba (tatoeba.org), paired by manythings.org/anki",
    options=Options,
    asked_paths=("file",),
)
class Translation(Writing):
    """Words in, words out; see the module."""

    name = "translation"
    form = Form.TEXT
    length_axis = LengthAxis.FREE
    folds = 0
    chance = None
    headline = "bleu"
    metrics = tuple(METRICS[name] for name in ("bleu", "chrf", "exact_match"))

    def __init__(self, options: Options) -> None:
        self.options = options
        self.beam = options.beam
        self._target_words: dict[Spec, tuple[str, ...]] = {}

    def spec(self, sequence_length: int | None) -> Spec:
        """Ids of words in, ids of words out; what is written has its end beside at most as many.

        Raises:
            UsageError: no length is given.
        """
        if sequence_length is None:
            raise UsageError(f"task '{self.name}': found no sequence length, expected one in 'sequence_lengths'")
        return Spec(
            inputs=InputKind.TOKENS,
            outputs=OutputKind.TOKENS,
            sequence_length=sequence_length,
            vocabulary_size=self.options.vocabulary_size,
            target_vocabulary_size=self.options.vocabulary_size,
            target_length=sequence_length + 1,
        )

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        """Full rows of made words on both sides, common ones often as in a language; see `random_words`."""
        generator, size = torch.Generator().manual_seed(seed), self.options.vocabulary_size
        inputs = random_words(size, (batch_size, spec.sequence_length or 1), generator)
        no_words = FIRST_TARGET_ID - FIRST_WORD_ID
        targets = random_words(size - no_words, (batch_size, spec.target_length or 1), generator) + no_words
        targets[:, -1] = END_ID
        return Batch(
            inputs=inputs, targets=targets, items=batch_size, tokens=inputs.numel(), real_tokens=inputs.numel()
        )

    def training_lengths(self, spec: Spec) -> list[int]:
        """Words and marks of each sentence to train on."""
        return [int(length) for length in np.diff(self._arrays(spec, "train_source_offsets")["train_source_offsets"])]

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:
        """Real pairs, both of whose sentences have at most `spec.sequence_length` words and marks.

        Raises:
            DataError: they are not here and nobody could bring them, or they cannot be read, or are too few.
            UsageError: another encoding than `words`, or a fold of the one fixed split.
        """
        refuse_fold(self.name, fold)
        refuse_encoding(self.name, encoding)
        arrays = self._arrays(spec)
        floors = zip(arrays["floor_names"].tolist(), arrays["floor_values"].tolist(), strict=True)
        parts: dict[str, Any] = {name: token_pairs(arrays, name) for name in SPLITS}
        return Data(
            **parts,
            fingerprint=str(arrays["fingerprint"]),
            words=tuple(arrays["words"].tolist()),
            target_words=tuple(arrays["target_words"].tolist()),
            floors=dict(floors),
        )

    def target_words(self, spec: Spec) -> Sequence[str]:
        """The words and marks of the training targets; some of the last ids may have none."""
        if spec not in self._target_words:
            self._target_words[spec] = tuple(self._arrays(spec, "target_words")["target_words"].tolist())
        return self._target_words[spec]

    def text(self, words: Iterable[str]) -> str:
        """The words as a sentence."""
        return joined(words)

    def read(self, given: Sequence[str], legend: Legend) -> Batch:
        """Sentences as ids of the words and marks that were trained on.

        Raises:
            UsageError: one has no word, or more words and marks than those that were trained on.
        """
        tokens, most = [marked_words(one) for one in given], legend.spec.sequence_length or 1
        for one, words in zip(given, tokens, strict=True):
            if not 0 < len(words) <= most:
                raise UsageError(
                    f"found {len(words)} words and marks in {one[:40]!r}, expected from 1 to {most}, as in training"
                )
        return read_tokens(tokens, legend)

    def score(self, predicted: Sequence[Any], expected: Sequence[Any]) -> Score:
        """BLEU and chrF (0 to 100) over all references; share of sentences that are one of theirs, word by word."""
        right = sum(
            said in {joined(marked_words(one)) for one in references}
            for said, references in zip(predicted, expected, strict=True)
        )
        return Score(
            metrics={
                "bleu": bleu(predicted, expected),
                "chrf": chrf(predicted, expected),
                "exact_match": right / len(expected),
            }
        )

    def exhibits(self, data: Data, predicted: Sequence[Any], expected: Sequence[Any]) -> tuple[Exhibit, ...]:
        """Some sentences of the test split as the model reads them, up to three references, and what was written."""

        def shown_source(place: int) -> str:
            return joined(spelt(data.test.batch([place]).inputs[0].tolist(), data.words))

        references = [" / ".join(some[:_SHOWN_REFERENCES]) for some in expected]
        return (examples("source", shown_source, predicted, references),)

    def _arrays(self, spec: Spec, *names: str) -> Arrays:
        options = self.options
        sizes = Sizes(
            length=spec.sequence_length or 1,
            vocabulary_size=options.vocabulary_size,
            train_items=options.train_items,
        )
        if not options.file:
            found = fetch(TATOEBA)
            return prepare(found.identity, sizes, shown(found.path), lambda: read_tatoeba(found.path), names)
        path = Path(options.file)
        if not path.is_file():
            raise DataError(
                f"{shown(path)}: is no file; expected a CSV or TSV with a sentence and its translation a line"
            )
        columns = (options.source_column, options.target_column)
        identity = [file_sha256(path), path.suffix.lower(), *columns]
        return prepare(identity, sizes, shown(path), lambda: read_pairs(path, *columns), names)
