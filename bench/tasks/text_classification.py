"""`text-classification`: the user's own texts and labels, from a CSV or TSV file.

Exact repeats of a text are dropped first. Of each class, in the order of the texts' SHA-256, the last fifth is test and the
tenth before it validation: the split depends neither on the order of the lines nor on a seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.errors import DataError
from bench.options import option
from bench.tasks import task
from bench.tasks.data.cache import Arrays, file_sha256, shown
from bench.tasks.data.table_file import read_table
from bench.tasks.text import VOCABULARY_SIZE, TextTask, prepare
from bench.tasks.wordpieces import WordPieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `text-classification`."""

    file: str = option(help="CSV or TSV file in UTF-8 with a text and a label a line; relative to the suite's folder.")
    text_column: str = option("", "Name of the column of texts in the header; 'text', or the first of two columns.")
    label_column: str = option("", "Name of the column of labels in the header; 'label', or the second of two columns.")
    vocabulary_size: int = option(VOCABULARY_SIZE, "Number of ids, padding and the unknown word included.", at_least=3)


@task(
    "text-classification",
    summary="many-to-one: your own texts and labels, from a CSV or TSV file",
    source="the user's file",
    options=Options,
    asked_paths=("file",),
)
class TextClassification(TextTask):
    """The user's file; see the module."""

    name = "text-classification"

    def __init__(self, options: Options) -> None:
        self.options = options
        self.vocabulary_size = options.vocabulary_size

    @property
    def class_count(self) -> int:
        """Number of different labels in the file."""
        return len(self._prepared["classes"])

    @property
    def chance(self) -> float:
        """Share of the commonest class in the test split."""
        counts = np.bincount(self._prepared["test_labels"])
        return float(counts.max() / counts.sum())

    def arrays(self, *names: str, pieces: WordPieces | None = None) -> Arrays:  # noqa: ARG002 - classes need all of them
        """The encoded texts of the file; in words, as it was when it was first asked for."""
        return self._prepared if pieces is None else self._prepare(pieces)

    @cached_property
    def _prepared(self) -> Arrays:
        return self._prepare(None)

    def _prepare(self, pieces: WordPieces | None) -> Arrays:
        path, options = Path(self.options.file), self.options
        if not path.is_file():
            raise DataError(f"{shown(path)}: is no file; expected a CSV or TSV with a text and a label a line")
        identity = [file_sha256(path), path.suffix.lower(), options.text_column, options.label_column]
        return prepare(
            identity,
            self.vocabulary_size,
            shown(path),
            lambda: read_table(path, options.text_column, options.label_column),
            pieces=pieces,
        )
