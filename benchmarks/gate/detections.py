"""How often more work in the model is found: one slowed case among 20, planned, with Holm and confirmation.

`python -m benchmarks.gate.detections SAME [SLOWED] [--sessions N] [--seed N]` reads a recording of identical code and one that
was made with --slowdown; without the latter, head of the former is made slower by 4, 5, 10 and 20 %. Every session has one
slowed case and 19 that are not; its blocks are real pairs, drawn at random from those of the case (resampled, so sessions are
not independent of each other). Pairs are planned by their spread. Work cannot be calibrated to better than a few per cent of
the call, so the pairs of a case are moved together to the size that was asked for, by what all of them differ from it.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from bench.errors import BenchError
from bench.stats import wilson
from benchmarks.gate.recording import SECTIONS, Recording, groups, read
from benchmarks.gate.sessions import Judged, drawn, pools, session, size_of

CASES = 20
MADE = (0.04, 0.05, 0.1, 0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What became of the slowed case of one session; `false` counts the others that were called slower."""

    judged: Judged
    false: int


def main() -> None:
    """A line for every slowdown, idle and beside burners."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("same", type=Path)
    parser.add_argument("slowed", type=Path, nargs="?")
    parser.add_argument("--sessions", type=int, default=200, help="of each slowdown and section (200)")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    try:
        same = read(asked.same)
        slowed = read(asked.slowed) if asked.slowed else made(same)
    except BenchError as error:
        sys.exit(str(error))
    print(f"one slowed case among {CASES}; shares with their 95 % intervals (Wilson)")
    print("section   asked   as recorded   flagged   found            pairs: first + fresh   trials a case")
    for section in SECTIONS:
        for slowdown in sorted({block.slowdown for block in slowed.blocks if block.slowdown}):
            found = list(sessions(same, slowed, section, slowdown, asked.sessions, asked.seed))
            if found:
                print(line(section, slowdown, slowed, found), flush=True)


def sessions(
    same: Recording, slowed: Recording, section: str, slowdown: float, count: int, seed: int
) -> Iterator[Found]:
    """Sessions of 20 cases, one of which is slowed; each slowed case as often as the others."""
    luck = random.Random(f"{seed}/{section}/{slowdown}")
    others, chosen = pools(same, section), pools(slowed, section, slowdown)
    for number in range(count if others and chosen else 0):
        name, pool = chosen[number % len(chosen)]
        slots = [drawn(slowed.case(name), pool, 0, luck)]
        for place in range(1, CASES):
            other, blocks = luck.choice(others)
            slots.append(drawn(same.case(other), blocks, place, luck))
        first, *rest = session(slots)
        yield Found(judged=first, false=sum(one.red for one in rest))


def made(same: Recording) -> Recording:
    """Identical code whose head is slowed by arithmetic: the spread is real, the work is not."""
    blocks = (
        replace(block, slowdown=slowdown).with_slower_head(1 + slowdown) for block in same.blocks for slowdown in MADE
    )
    return replace(same, blocks=tuple(blocks))


def line(section: str, slowdown: float, slowed: Recording, found: Sequence[Found]) -> str:
    """One line of the table."""
    red = sum(one.judged.red for one in found)
    low, high = wilson(red, len(found))
    flagged = sum(one.judged.flagged for one in found) / len(found)
    recorded = groups(slowed.blocks).items()
    seen = [math.expm1(size_of(blocks)) for (_, *where), blocks in recorded if where == [section, slowdown]]
    first, fresh = fmean(one.judged.pairs for one in found), fmean(one.judged.fresh for one in found)
    seconds = fmean(one.judged.trials_s for one in found)
    false = sum(one.false for one in found)
    return (
        f"{section:8} {slowdown:6.0%}   {fmean(seen):.1%} ({min(seen):.1%} to {max(seen):.1%})   {flagged:6.1%}   "
        f"{red / len(found):6.1%} ({low:.1%} to {high:.1%})   {first:.1f} + {fresh:.1f}   {seconds:.1f} s"
        + (f"   {false} others called slower" if false else "")
    )


if __name__ == "__main__":
    main()
