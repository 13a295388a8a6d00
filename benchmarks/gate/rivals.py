"""The rules of other tools on the very same trials: how often each calls identical code slower, and finds more work.

`python -m benchmarks.gate.rivals SAME SLOWED [--draws N] [--seed N]`. Every rule is given what its tool would have collected
at most, taken from our interleaved pairs, which most of these tools do not collect by themselves: it flatters them. False
alarms are counted over blocks that follow each other without overlap, detections over blocks drawn at random. Rules were
written anew from these sources:

- pytest-benchmark 5 (utils.py, PercentageRegressionCheck): one run against another, `mean:5%` and `median:5%` over rounds.
- pyperf 2 (_utils.py, is_significant): Student's two-sample t test over all values at 5 %, here 5 processes x 3 values.
- asv 0.6 (_stats.py is_different, compare.py): Mann-Whitney p < .002 over the samples of 2 processes, and medians 1.1 apart.
- benchmatrix 1.2 (bench_statistics.py, bench_compare.py): ratio of the medians of 10 paired runs' means, BCa bootstrap by
  pairs within AB and BA, 95 %; called slower where the whole interval lies beyond 5 %; Bonferroni over 20 cells, and alone.
- ours: 10 pairs judged alone, flagged and confirmed; without planning, which `detections` has.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from bench.errors import BenchError
from bench.observations import Trial
from benchmarks.gate.recording import SECTIONS, Block, Recording, groups, read, windows
from benchmarks.gate.sessions import LEAST_BLOCKS, Slot, pools, session, upper_limit

PYPERF_PROCESSES, PYPERF_VALUES = 5, 3
RESAMPLES = 50_000
CELLS = 20

Pairs = Sequence[tuple[Trial, Trial]]
"""Base and head; the first of a block had base first, the second head."""


# ── the rules ──────────────────────────────────────────────────────────────────────────────────────────────────────


def pytest_benchmark(pairs: Pairs, statistic: Callable[[Sequence[float]], float]) -> list[bool]:
    """One answer for each pair of runs."""
    return [statistic(head.samples_s) / statistic(base.samples_s) * 100 - 100 > 5 for base, head in pairs]


def pyperf(pairs: Pairs) -> list[bool]:
    """One answer for each five pairs."""
    answers = []
    for start in range(0, len(pairs) - PYPERF_PROCESSES + 1, PYPERF_PROCESSES):
        base, head = (
            np.array([value for trial in arm for value in _values(trial)])
            for arm in zip(*pairs[start : start + PYPERF_PROCESSES], strict=True)
        )
        pooled = (base.var(ddof=1) + head.var(ddof=1)) / 2
        score = (head.mean() - base.mean()) / np.sqrt(2 * pooled / len(base))
        answers.append(bool(score >= stdtrit(2 * len(base) - 2, 0.975)))
    return answers


def _values(trial: Trial) -> list[float]:
    size = len(trial.samples_s) // PYPERF_VALUES
    return [fmean(trial.samples_s[place * size : (place + 1) * size]) for place in range(PYPERF_VALUES)]


def asv(pairs: Pairs) -> list[bool]:
    """One answer for each two pairs."""
    answers = []
    for start in range(0, len(pairs) - 1, 2):
        base, head = (
            np.array([sample for trial in arm for sample in trial.samples_s])
            for arm in zip(*pairs[start : start + 2], strict=True)
        )
        larger = np.median(head) > 1.1 * np.median(base)
        answers.append(bool(larger and _mann_whitney(base, head) < 0.002))
    return answers


def _mann_whitney(base: NDArray[np.float64], head: NDArray[np.float64]) -> float:
    """Two-sided p by the normal approximation, ties counted against a difference."""
    count = len(base) * len(head)
    below, ties = int((base[:, None] > head).sum()), int((base[:, None] == head).sum())
    nearest = min(abs(value - count / 2) for value in (below, below + ties))
    if below <= count / 2 <= below + ties:
        nearest = 0.0
    spread = np.sqrt(count * (len(base) + len(head) + 1) / 12)
    return float(2 * ndtr(-nearest / spread))


def benchmatrix(pairs: Pairs, cells: int) -> list[bool]:
    """One answer for all pairs."""
    strata = [np.array([[fmean(trial.samples_s) for trial in pair] for pair in pairs[first::2]]) for first in (0, 1)]
    _, high = _bca(strata, 1 - 0.05 / cells)
    return [high < -5]


def _improvement(base: NDArray[np.float64], head: NDArray[np.float64]) -> NDArray[np.float64]:
    """Per cent, above 0 where head is faster."""
    return (1 - np.median(head, axis=-1) / np.median(base, axis=-1)) * 100


def _bca(strata: Sequence[NDArray[np.float64]], confidence: float) -> tuple[float, float]:
    """The bias-corrected and accelerated interval, pairs resampled within each stratum (Efron 1987)."""
    luck = np.random.default_rng(0)
    picks = [part[luck.integers(len(part), size=(RESAMPLES, len(part)))] for part in strata]
    boot = np.concatenate(picks, axis=1)
    seen = _improvement(boot[..., 0], boot[..., 1])
    every = np.concatenate(strata)
    estimate = float(_improvement(every[:, 0], every[:, 1]))
    below = (np.sum(seen < estimate) + 0.5 * np.sum(seen == estimate)) / RESAMPLES
    bias = float(ndtri(min(1 - 0.5 / RESAMPLES, max(0.5 / RESAMPLES, below))))
    cubes = squares = 0.0
    start = 0
    for part in strata:
        left_out = [np.delete(every, start + place, axis=0) for place in range(len(part))]
        start += len(part)
        values = np.array([float(_improvement(rest[:, 0], rest[:, 1])) for rest in left_out])
        pseudo = (len(part) - 1) * (values.mean() - values)
        cubes, squares = cubes + np.sum(pseudo**3) / len(part) ** 3, squares + np.sum(pseudo**2) / len(part) ** 2
    tail = (1 - confidence) / 2
    shares = [tail, 1 - tail]
    if squares > 0:
        pull = cubes / (6 * squares**1.5)
        places = [bias + float(ndtri(share)) for share in shares]
        shares = [float(ndtr(bias + place / (1 - pull * place))) for place in places]
    low, high = np.quantile(seen, sorted(shares))
    return float(low), float(high)


# ── side by side ───────────────────────────────────────────────────────────────────────────────────────────────────

RULES: dict[str, Callable[[Pairs], list[bool]]] = {
    "pytest-benchmark mean:5%": lambda pairs: pytest_benchmark(pairs, fmean),
    "pytest-benchmark median:5%": lambda pairs: pytest_benchmark(pairs, median),
    "pyperf t test": pyperf,
    "asv continuous": asv,
    "benchmatrix, 20 cells": lambda pairs: benchmatrix(pairs, CELLS),
    "benchmatrix, alone": lambda pairs: benchmatrix(pairs, 1),
}
FLAGGED, CONFIRMED = "ours, flagged", "ours, confirmed"


@dataclass(slots=True)
class Tally:
    """How often a rule called head slower."""

    slower: int = 0
    of: int = 0

    def add(self, answers: Sequence[bool]) -> None:
        """Count some answers."""
        self.slower, self.of = self.slower + sum(answers), self.of + len(answers)


def main() -> None:
    """A table of every rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("same", type=Path)
    parser.add_argument("slowed", type=Path)
    parser.add_argument("--draws", type=int, default=200, help="resampled comparisons of each slowdown (200)")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    try:
        same, slowed = read(asked.same), read(asked.slowed)
    except BenchError as error:
        sys.exit(str(error))
    for section in SECTIONS:
        tables = {"same": tally(same, _consecutive(same, section))}
        for slowdown in sorted({block.slowdown for block in slowed.blocks if block.slowdown}):
            luck = random.Random(f"{asked.seed}/{section}/{slowdown}")
            tables[f"{slowdown:+.0%}"] = tally(slowed, _drawn(slowed, section, slowdown, asked.draws, luck))
        tell(section, tables)


Comparison = tuple[str, Sequence[Block], Sequence[Block]]


def _consecutive(recording: Recording, section: str) -> Iterator[Comparison]:
    for (name, where, slowdown), blocks in groups(recording.blocks).items():
        if where == section and not slowdown:
            runs = windows(blocks, LEAST_BLOCKS)
            yield from ((name, run, after) for run, after in zip(runs, [*runs[1:], *runs[-2:-1]], strict=False))


def _drawn(
    recording: Recording, section: str, slowdown: float, draws: int, luck: random.Random
) -> Iterator[Comparison]:
    there = pools(recording, section, slowdown)
    for number in range(draws if there else 0):
        name, pool = there[number % len(there)]
        chosen = luck.sample(pool, 2 * LEAST_BLOCKS)
        yield name, chosen[:LEAST_BLOCKS], chosen[LEAST_BLOCKS:]


def in_order(block: Block) -> Pairs:
    """The pairs of a block, first that in which base came first."""
    pairs = list(zip(*block.arms(), strict=True))
    return pairs[::-1] if block.swapped else pairs


def tally(recording: Recording, comparisons: Iterator[Comparison]) -> dict[str, Tally]:
    """Put every rule to some comparisons."""
    found = {name: Tally() for name in (*RULES, FLAGGED, CONFIRMED)}
    for name, first, again in comparisons:
        pairs = [pair for block in first for pair in in_order(block)]
        for rule, judge in RULES.items():
            found[rule].add(judge(pairs))
        (ours,) = session([Slot(case=recording.case(name), first=first, again=again)], plan=False)
        found[FLAGGED].add([ours.flagged and ours.looked_slower])
        found[CONFIRMED].add([ours.red])
    return found


def tell(section: str, tables: dict[str, dict[str, Tally]]) -> None:
    """Print the table of one section, unless nothing was recorded in it."""
    columns = {name: table for name, table in tables.items() if table[CONFIRMED].of}
    if not columns:
        return
    print(
        f"{section:28} {'identical code called slower':32}"
        + "".join(f"{name:>8}" for name in columns if name != "same")
    )
    for rule in (*RULES, FLAGGED, CONFIRMED):
        cells = []
        for name, table in columns.items():
            one = table[rule]
            share = one.slower / one.of if one.of else 0.0
            limit = f" (<= {upper_limit(one.slower, one.of):.2%})"
            cells.append(f"{one.slower} of {one.of}{limit}".ljust(32) if name == "same" else f"{share:8.0%}")
        print(f"{rule:28} {''.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
