"""A user's own CSV or TSV: its rows and columns, and texts with labels. Every error names the file and the line."""

from __future__ import annotations

import csv
import hashlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from bench.errors import DataError
from bench.registry import did_you_mean
from bench.tasks.data.cache import shown
from bench.tasks.data.items import Texts

COLUMNS = ("text", "label")
_TAB_SUFFIXES = (".tsv", ".tab", ".txt")
Rows = list[tuple[int, list[str]]]
"""Line number (where the row ends) and cells."""


def read_table(path: Path, text_column: str = "", label_column: str = "") -> Texts:
    """Different texts and their labels, in an order that depends on the texts alone: by the SHA-256 of each.

    The first line is a header if it names both columns (`text` and `label` unless told otherwise), or if there are two
    columns and the second cell of the first line never comes again, as no label of three items could.

    Raises:
        DataError: the file cannot be read, is empty, lacks a column, a text or a label, or gives one text two labels.
    """
    rows = read_rows(path, "a text and a label a line")
    at, begin = _columns(path, rows, (text_column, label_column))
    label_of: dict[str, str] = {}
    for line, row in rows[begin:]:
        text, label = cells(path, line, row, at, COLUMNS)
        if label_of.setdefault(text, label) != label:
            found = f"found the label '{label}' for a text that has '{label_of[text]}' above"
            raise DataError(f"{shown(path)}: line {line}: {found}, expected one label a text; remove one of them")
    if not label_of:
        raise DataError(f"{shown(path)}: holds a header and no items, expected a text and a label a line")
    pairs = sorted(label_of.items(), key=lambda pair: hashlib.sha256(pair[0].encode()).digest())
    classes = sorted(set(label_of.values()))
    places = {label: place for place, label in enumerate(classes)}
    return Texts(
        texts=[text for text, _ in pairs], labels=[places[label] for _, label in pairs], classes=tuple(classes)
    )


def read_rows(path: Path, expected: str, *, quotes_between_tabs: bool = True) -> Rows:
    """Every row that is not empty; commas, semicolons or tabs stand between cells, whichever the first line has.

    `expected` says what should stand in the file, for error sentences. Quotes around a cell are no part of it; those between
    tabs are, if it is said so.

    Raises:
        DataError: the file cannot be read, is no UTF-8, is empty, or has quotes where none can be.
    """
    content = decoded(path, "a CSV or TSV file")
    first = content.lstrip().partition("\n")[0]
    likely = "\t,;" if path.suffix.lower() in _TAB_SUFFIXES else ",;\t"
    delimiter = next((mark for mark in likely if mark in first), ",")
    as_they_stand = delimiter == "\t" and not quotes_between_tabs
    quoting: Literal[0, 3] = csv.QUOTE_NONE if as_they_stand else csv.QUOTE_MINIMAL
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    try:
        with _long_cells():
            rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DataError(
            f"{shown(path)}: line {reader.line_num}: {error}; expected cells with quotes in them to be quoted, "
            'as in "She said ""yes""."'
        ) from error
    if not rows:
        raise DataError(f"{shown(path)}: is empty, expected {expected}")
    return rows


def decoded(path: Path, expected: str) -> str:
    """The text of a user's file; `expected` is what it should be, for error sentences.

    Raises:
        DataError: it cannot be read, or is not in UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read ({error.strerror}); expected {expected}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        raise DataError(
            f"{shown(path)}: line {line}: byte 0x{byte:02x} is not UTF-8; save the file with the encoding UTF-8"
        ) from error


@contextmanager
def _long_cells() -> Iterator[None]:
    """Cells of any length: the reader's own limit is 128 KiB, less than some documents."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def named_columns(path: Path, rows: Rows, asked: tuple[str, str], usual: tuple[str, str]) -> tuple[int, int] | None:
    """Where two columns stand whose names the first line has; None where it is no header.

    Names that are asked for are taken as they are written, the usual ones in small letters or capitals.

    Raises:
        DataError: a name is asked for that the first line has not.
    """
    line, first = rows[0]
    names = [cell.strip() for cell in first]
    wanted = [one or other for one, other in zip(asked, usual, strict=True)]
    known = names if any(asked) else [name.lower() for name in names]
    missing = [name for name in wanted if name not in known]
    if not missing:
        return known.index(wanted[0]), known.index(wanted[1])
    if any(asked):
        hint = did_you_mean(missing[0], names)
        raise DataError(f"{shown(path)}: line {line}: the header has no column '{missing[0]}'; {hint}")
    return None


def cells(path: Path, line: int, row: list[str], places: tuple[int, int], titles: tuple[str, str]) -> tuple[str, str]:
    """The cells of a row at two places, without space around them.

    Raises:
        DataError: it has not so many cells, or one of the two is empty.
    """
    if len(row) <= max(places):
        found, expected = len(row), max(places) + 1
        raise DataError(f"{shown(path)}: line {line}: found {found} column(s), expected at least {expected}")
    one, other = (row[place].strip() for place in places)
    if not one or not other:
        empty = titles[1] if one else titles[0]
        raise DataError(f"{shown(path)}: line {line}: the {empty} is empty; fill it or remove the line")
    return one, other


def _columns(path: Path, rows: Rows, asked: tuple[str, str]) -> tuple[tuple[int, int], int]:
    """Where text and label stand, and the first row that is an item."""
    named = named_columns(path, rows, asked, COLUMNS)
    if named is not None:
        return named, 1
    line, first = rows[0]
    if len(first) != 2:
        raise DataError(
            f"{shown(path)}: line {line}: found {len(first)} column{'' if len(first) == 1 else 's'}, expected two (text, "
            "label), or a header that names them (options 'text_column' and 'label_column')"
        )
    again = any(row[1:2] == first[1:2] for _, row in rows[1:])
    return (0, 1), 0 if again else 1
