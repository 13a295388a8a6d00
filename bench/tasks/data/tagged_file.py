"""Sentences whose words have tags: CoNLL-U, or a word and its tag a line. Every error names the file and the line."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.errors import DataError
from bench.tasks.data.cache import shown
from bench.tasks.data.table_file import decoded

CONLLU_SUFFIX = ".conllu"
_COLUMNS, _WORD, _UPOS = 10, 1, 3
# several words written as one (`1-2`) and words that nobody wrote (`1.1`) stand beside the words that are tagged
_BESIDE = re.compile(r"\d+[-.]\d+")
_PORTTINARI = "dante/data/portinari/annotated.conllu"

Line = tuple[int, str, str]
"""Number of the line, word, tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """Sentences in their order, none of them empty; each word has a tag."""

    words: list[tuple[str, ...]]
    tags: list[tuple[str, ...]]


def read_porttinari(path: Path) -> Tagged:
    """Porttinari-base from the package's wheel, as it was in August 2022.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as wheel:
            content = wheel.read(_PORTTINARI).decode()
    except (OSError, zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise DataError(f"{shown(path)}: cannot be read ({error}); remove it and fetch the data again") from error
    return read_conllu(content, shown(path))


def read_tagged_file(path: Path) -> Tagged:
    """The user's own file: CoNLL-U where its name ends in `.conllu`, else a word and its tag a line.

    Raises:
        DataError: the file cannot be read, holds no words, or a line is not what it should be.
    """
    read = read_conllu if path.suffix.lower() == CONLLU_SUFFIX else read_pairs
    return read(decoded(path, "a .conllu file, or one with a word and its tag a line"), shown(path))


def read_conllu(content: str, where: str) -> Tagged:
    """Forms and universal parts of speech (UPOS) of a CoNLL-U file; `where` is the file, for error sentences.

    Source: https://universaldependencies.org/format.html

    Raises:
        DataError: a line has other columns, a word is out of its order or has no tag, or there are no words.
    """
    return _sentences(_conllu_lines(content, where), where)


def read_pairs(content: str, where: str) -> Tagged:
    """A word and its tag a line, with a tab or spaces between them, and an empty line between sentences.

    Raises:
        DataError: a line is no such pair, or there are none.
    """
    return _sentences(_pair_lines(content, where), where)


def _sentences(lines: Iterator[Line | None], where: str) -> Tagged:
    """Lines between the `None`s, each a sentence."""
    found = Tagged(words=[], tags=[])
    current: list[Line] = []
    for line in (*lines, None):
        if line is not None:
            current.append(line)
        elif current:
            found.words.append(tuple(word for _, word, _ in current))
            found.tags.append(tuple(tag for _, _, tag in current))
            current = []
    if not found.words:
        raise DataError(f"{where}: holds no words, expected one with its tag a line")
    return found


def _numbered(content: str) -> Iterator[tuple[int, str]]:
    # not `splitlines`: it also ends a line at characters that stand inside texts
    return enumerate((line.rstrip("\r") for line in content.split("\n")), start=1)


def _conllu_lines(content: str, where: str) -> Iterator[Line | None]:
    last = 0
    for number, line in _numbered(content):
        if not line.strip():
            last = 0
            yield None
            continue
        if line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != _COLUMNS:
            raise DataError(
                f"{where}: line {number}: found {len(cells)} column(s), expected the {_COLUMNS} of CoNLL-U with tabs "
                "between them"
            )
        if _BESIDE.fullmatch(cells[0]):
            continue
        if cells[0] != str(last + 1):
            raise DataError(
                f"{where}: line {number}: found the word number '{cells[0]}', expected {last + 1}; number words from 1 "
                "and leave a line empty after each sentence"
            )
        last += 1
        yield _checked(number, cells[_WORD], "" if cells[_UPOS] == "_" else cells[_UPOS], where)


def _pair_lines(content: str, where: str) -> Iterator[Line | None]:
    for number, line in _numbered(content):
        if not line.strip():
            yield None
            continue
        cells = line.split("\t") if "\t" in line else line.split()
        if len(cells) != 2:
            raise DataError(
                f"{where}: line {number}: found {len(cells)} column(s), expected two, a word and its tag, with a tab or a "
                f"space between them (a CoNLL-U file has a name that ends in {CONLLU_SUFFIX})"
            )
        yield _checked(number, cells[0].strip(), cells[1].strip(), where)


def _checked(number: int, word: str, tag: str, where: str) -> Line:
    if not word or not tag:
        raise DataError(f"{where}: line {number}: the {'tag' if word else 'word'} is empty; fill it or remove the line")
    return number, word, tag
