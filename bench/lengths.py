"""How long the rows of a speed case are, where they are not all full. Pure.

Lengths are not drawn: a case always has the same mix of them, spread evenly over the quantiles of its distribution. Drawing
afresh each round would put the lottery of lengths into the interval between trials, and one lucky draw into a comparison.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

# Constant, so that the same rows stand together in every trial, round and arm.
_SEED = 0


def deal(population: Sequence[int], sets: int, rows: int) -> list[list[int]]:
    """The lengths of `sets` batches of `rows` rows: quantiles (i + 0.5) / (sets * rows) of a population, shuffled.

    Raises:
        ValueError: the population is empty.
    """
    if not population:
        raise ValueError("there is no length to be dealt out")
    ranked, count = sorted(population), sets * rows
    quantiles = [ranked[(2 * place + 1) * len(ranked) // (2 * count)] for place in range(count)]
    # of all of `random`, only the numbers of random() are promised to be the same under every Python
    generator = random.Random(_SEED)
    dealt = [quantiles[place] for place in sorted(range(count), key=lambda _: generator.random())]
    return [dealt[begin : begin + rows] for begin in range(0, count, rows)]
