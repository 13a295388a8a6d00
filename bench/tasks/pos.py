"""`pos`: a tag for each word of a sentence, its part of speech; or whatever the words of the user's own file are tagged with.

Exact repeats of a sentence are dropped first. In file order the last fifth is test and the tenth before it validation:
sentences of one text stand together, so that hardly a text is on two sides. Words are taken as they are written.

Where the tags are `O`, `B-TYPE` and `I-TYPE`, entities are scored too. Words of one sentence are no independent trials, so
that the interval over test items, which counts words, is rather too narrow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.batch import Batch, asked, forward
from bench.errors import DataError, UsageError
from bench.observations import Exhibit
from bench.options import option
from bench.quantity import METRICS, Metric
from bench.spec import PADDED_CLASS, InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import Answer, Data, Evaluation, Form, Legend, Score, task
from bench.tasks.classification import refuse_encoding, refuse_fold
from bench.tasks.data.cache import Arrays, file_sha256, shown
from bench.tasks.data.providers import fetch
from bench.tasks.data.sources import PORTTINARI
from bench.tasks.data.tagged_file import read_porttinari, read_tagged_file
from bench.tasks.entities import are_entity_tags, entity_scores
from bench.tasks.splits import SPLITS
from bench.tasks.tagging import TaggedSentences, count_pairs, encode_words, prepare, tag_scores, tag_table
from bench.tasks.text import VOCABULARY_SIZE, random_words
from bench.tasks.words import PADDING_ID

TAGS = (
    "ADJ",
    "ADP",
    "ADV",
    "AUX",
    "CCONJ",
    "DET",
    "INTJ",
    "NOUN",
    "NUM",
    "PRON",
    "PROPN",
    "PUNCT",
    "SCONJ",
    "SYM",
    "VERB",
    "X",
)
"""Of the treebank, in which no word is a PART."""

_WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
FLOOR = "most frequent tag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `pos`."""

    file: str = option(
        "",
        "Your own tagged sentences in UTF-8: NAME.conllu, or a word and its tag a line and an empty line after each "
        "sentence; relative to the suite's folder. '' is the Portuguese treebank.",
    )
    suffixes: int = option(
        0, "How many endings a word is read by beside itself: its last 2, 3 and 4 letters.", choices=(0, 1, 2, 3)
    )
    vocabulary_size: int = option(
        VOCABULARY_SIZE, "Number of ids of words and endings, padding and the unknown word included.", at_least=3
    )


@task(
    "pos",
    summary="many-to-many: a tag for each word, 8,420 sentences of Portuguese news or your own CoNLL-U or BIO file",
    source="Duran et al. 2023 (UD Portuguese-Porttinari); or the user's file",
    options=Options,
    asked_paths=("file",),
)
class PartsOfSpeech:
    """(L,) ids in, or (L, 1 + suffixes), and a tag for each word out; see the module."""

    name = "pos"
    length_axis = LengthAxis.FREE
    headline = "accuracy"
    form = Form.TEXT
    chance = None
    folds = 0

    def __init__(self, options: Options) -> None:
        self.options = options

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The tags, in the order of their numbers; those of the user's file are read from it."""
        return tuple(map(str, self._arrays("classes")["classes"])) if self.options.file else TAGS

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those of entities where the tags are of entities."""
        names = ["accuracy", "f1_macro"]
        if are_entity_tags(self.classes):
            names += ["entity_f1", "entity_precision", "entity_recall"]
        return tuple(METRICS[name] for name in names)

    def spec(self, sequence_length: int | None) -> Spec:
        """Ids of words in, tags of words out.

        Raises:
            UsageError: no length is given.
            DataError: the user's file cannot be read, or is not what it should be.
        """
        if sequence_length is None:
            raise UsageError(f"task '{self.name}': found no sequence length, expected one in 'sequence_lengths'")
        return Spec(
            inputs=InputKind.TOKENS,
            outputs=OutputKind.STEP_CLASSES,
            sequence_length=sequence_length,
            vocabulary_size=self.options.vocabulary_size,
            padding_id=PADDING_ID,
            ids_per_token=1 + self.options.suffixes,
            classes=len(self.classes),
        )

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        """Full rows of made words, common ones often as in a language, with tags of which each is as likely as the others."""
        generator = torch.Generator().manual_seed(seed)
        rows = (batch_size, spec.sequence_length or 1)
        shape = rows if spec.ids_per_token == 1 else (*rows, spec.ids_per_token)
        tokens = rows[0] * rows[1]
        return Batch(
            inputs=random_words(self.options.vocabulary_size, shape, generator),
            targets=torch.randint(spec.classes or 0, rows, generator=generator),
            items=batch_size,
            tokens=tokens,
            real_tokens=tokens,
        )

    def training_lengths(self, spec: Spec) -> list[int]:
        """Words of each training sentence, of those that are used at this length."""
        lengths = np.diff(self._arrays("train_offsets")["train_offsets"])
        return [int(length) for length in np.minimum(lengths, spec.sequence_length or 1)]

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:
        """Real sentences, each cut to its first `spec.sequence_length` words.

        Raises:
            DataError: they are not here and nobody could bring them, or they are not what was expected.
            UsageError: another encoding than `words`, or a fold of the one fixed split.
        """
        refuse_fold(self.name, fold)
        refuse_encoding(self.name, encoding)
        arrays = self._arrays()
        parts: dict[str, Any] = {
            name: TaggedSentences(
                ids=arrays[f"{name}_ids"],
                tags=arrays[f"{name}_tags"],
                offsets=arrays[f"{name}_offsets"],
                length=spec.sequence_length or 1,
            )
            for name in SPLITS
        }
        test: TaggedSentences = parts["test"]
        guessed = self.score(test.cut(arrays["test_likeliest"]), test.cut(test.tags))
        return Data(
            **parts,
            fingerprint=str(arrays["fingerprint"]),
            classes=self.classes,
            words=tuple(map(str, arrays["words"])),
            floors={FLOOR: guessed.metrics[self.headline]},
        )

    def _arrays(self, *names: str) -> Arrays:
        """The encoded sentences, of the treebank fetched if it is not here; at least those named, all if none is.

        Raises:
            DataError: they are not here and nobody could bring them, or they are not what was expected.
        """
        options = self.options
        sizes = (options.vocabulary_size, options.suffixes)
        if not options.file:
            found = fetch(PORTTINARI)
            return prepare(found.identity, *sizes, shown(found.path), lambda: read_porttinari(found.path), names, TAGS)
        path = Path(options.file)
        if not path.is_file():
            raise DataError(
                f"{shown(path)}: is no file; expected a .conllu file, or one with a word and its tag a line"
            )
        identity = [file_sha256(path), path.suffix.lower()]
        return prepare(identity, *sizes, shown(path), lambda: read_tagged_file(path), names)

    def read(self, given: Sequence[str], legend: Legend) -> Batch:
        """Sentences as ids; words are runs of letters and digits (with apostrophes and hyphens), and each other mark.

        Raises:
            UsageError: a sentence holds no word.
        """
        sentences = [_WORD.findall(text) for text in given]
        for text, words in zip(given, sentences, strict=True):
            if not words:
                raise UsageError(f"found the text {text[:40]!r}, expected one with a word in it")
        words = [word for sentence in sentences for word in sentence]
        asked_of = TaggedSentences(
            ids=encode_words(words, {word: place for place, word in enumerate(legend.words)}, self.options.suffixes),
            tags=np.zeros(len(words), dtype=np.int32),
            offsets=np.cumsum([0, *map(len, sentences)]),
            length=legend.spec.sequence_length or 1,
        )
        return replace(asked_of.batch(range(len(given))), targets=None)

    def answers(self, model: nn.Module, batch: Batch, legend: Legend) -> list[Answer]:
        """A tag for each word."""
        tags = forward(model, batch, legend.spec).argmax(dim=2)
        lengths = [tags.shape[1]] * batch.items if batch.lengths is None else batch.lengths.tolist()
        return [Answer(said=tuple(legend.classes[tag] for tag in row)) for row in _cut(tags, lengths)]

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of a real word in nats, a scalar, from (B, L, C) logits, computed in fp32."""
        return _cross_entropy(outputs, asked(batch), "mean")

    def evaluate(self, model: nn.Module, batch: Batch, spec: Spec) -> Evaluation:
        """The likeliest tags of every sentence; cross-entropy is summed over real words, so these are its items."""
        outputs, targets = forward(model, batch, spec), asked(batch)
        real_BL = targets != PADDED_CLASS
        lengths = real_BL.sum(dim=1).tolist()
        return Evaluation(
            loss_sum=_cross_entropy(outputs, targets, "sum").item(),
            items=sum(lengths),
            predicted=_cut(outputs.argmax(dim=2), lengths),
            expected=_cut(targets, lengths),
        )

    def score(self, predicted: Sequence[Any], expected: Sequence[Any]) -> Score:
        """Share of words that are right, macro F1 over the tags that are there, entities where tags are of such, confusion.

        What is kept for comparing architectures is how many words of each sentence were right.
        """
        counts = count_pairs(predicted, expected, len(self.classes))
        scores = tag_scores(counts)
        correct, total = int(counts.trace()), int(counts.sum())
        values = {"accuracy": correct / total, "f1_macro": float(scores.f1[scores.words > 0].mean())}
        if are_entity_tags(self.classes):
            values |= entity_scores(self._named(predicted), self._named(expected))
        return Score(
            metrics=values,
            correct=correct,
            total=total,
            confusion=tuple(tuple(map(int, row)) for row in counts),
            kept=tuple(
                sum(one == other for one, other in zip(said, true, strict=True))
                for said, true in zip(predicted, expected, strict=True)
            ),
        )

    def _named(self, sentences: Sequence[Sequence[int]]) -> list[list[str]]:
        return [[self.classes[tag] for tag in tags] for tags in sentences]

    def exhibits(self, data: Data, predicted: Sequence[Any], expected: Sequence[Any]) -> tuple[Exhibit, ...]:
        """How well each tag is found."""
        return (
            Exhibit(
                title="Tag by tag",
                says="How well each tag is found among the words of the test split, the commonest tag first.",
                columns=("tag", "words", "precision", "recall", "F1", "most often taken for"),
                rows=tag_table(count_pairs(predicted, expected, len(data.classes)), data.classes),
            ),
        )


def _cross_entropy(outputs: Tensor, targets: Tensor, reduction: str) -> Tensor:
    logits_NC = outputs.float().flatten(0, 1)
    return functional.cross_entropy(logits_NC, targets.flatten(), ignore_index=PADDED_CLASS, reduction=reduction)


def _cut(tags_BL: Tensor, lengths: Sequence[int]) -> list[list[int]]:
    """Each row up to its length."""
    return [row[:length] for row, length in zip(tags_BL.tolist(), lengths, strict=True)]
