"""What a person gives to be judged, read."""

from __future__ import annotations

import math

from bench.errors import UsageError

LARGEST = 3e38
"""About what fp32 holds, in which models compute."""


def numbers(row: str, count: int) -> list[float]:
    """The numbers of a row, with commas between them.

    Raises:
        UsageError: one is none, or there are more or fewer of them.
    """
    shown = row if len(row) <= 40 else f"{row[:40]}…"
    cells = row.split(",")
    if len(cells) != count:
        raise UsageError(f"'{shown}': found {len(cells)} values, expected {count} numbers with commas between them")
    found = []
    for cell in cells:
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not abs(value) <= LARGEST:
            raise UsageError(f"'{shown}': found '{cell.strip()}', expected a number")
        found.append(value)
    return found
