"""How often identical code is called slower: by independent comparisons, by resampled ones, and in sessions of 20 cases.

`python -m benchmarks.gate.false_alarms FOLDER [--draws N] [--sessions N] [--seed N]` reads a recording of identical code. A
comparison is 10 pairs, 5 blocks; those that follow each other without overlap are independent. Each is judged alone, without
the help of Holm's correction, which is the hardest that a rule can be tried. Resampled comparisons are drawn from the same
blocks again and again: they tell a rate, but they are not independent of each other.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import BenchError
from bench.verdicts import Verdict
from benchmarks.gate.recording import SECTIONS, Block, Recording, groups, read, windows
from benchmarks.gate.sessions import LEAST_BLOCKS, Judged, Slot, drawn, pools, session, upper_limit

CASES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What comparisons of identical code ended in.

    Attributes:
        slower, faster: flagged before confirmation.
        red, green: called slower or faster in the end.
        unsure: inconclusive in the end, flagged ones included.
    """

    of: int
    slower: int
    faster: int
    red: int
    green: int
    unsure: int

    @staticmethod
    def over(judged: Iterable[Judged]) -> Count:
        """Count them."""
        found = list(judged)
        verdicts = [one.comparison.verdict for one in found]
        return Count(
            of=len(found),
            slower=sum(one.flagged and one.looked_slower for one in found),
            faster=sum(one.flagged and not one.looked_slower for one in found),
            red=sum(one.red for one in found),
            green=verdicts.count(Verdict.IMPROVED),
            unsure=verdicts.count(Verdict.INCONCLUSIVE),
        )

    def line(self) -> str:
        """The counts with their limits."""
        return (
            f"{self.of:6} comparisons: flagged slower {self.slower} (<= {upper_limit(self.slower, self.of):.2%}), "
            f"faster {self.faster}; confirmed slower {self.red} (<= {upper_limit(self.red, self.of):.2%}), "
            f"faster {self.green}; inconclusive {self.unsure}"
        )


def main() -> None:
    """Print all three counts, idle and beside burners."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=10_000, help="resampled comparisons (10,000)")
    parser.add_argument("--sessions", type=int, default=100, help="simulated sessions of 20 cases (100)")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    try:
        recording = read(asked.folder)
    except BenchError as error:
        sys.exit(str(error))
    trials = sum(len(block.trials) for block in recording.blocks)
    print(f"{trials} trials in {len(recording.blocks)} blocks; limits are at 95 %")
    print("independent, judged alone:")
    _tell({section: list(independent(recording, section)) for section in SECTIONS})
    print("resampled by blocks, judged alone (not independent of each other):")
    _tell({section: list(resampled(recording, section, asked.draws // 2, asked.seed)) for section in SECTIONS})
    print(f"sessions of {CASES} resampled cases, planned, with Holm and confirmation:")
    _tell_sessions(list(sessions(recording, asked.sessions, asked.seed)))


def _tell(sections: Mapping[str, Sequence[Judged]]) -> None:
    for section, found in sections.items():
        print(f"  {section:8} {Count.over(found).line()}")
    print(f"  {'both':8} {Count.over(one for found in sections.values() for one in found).line()}", flush=True)


def _tell_sessions(found: Sequence[Sequence[Judged]]) -> None:
    if not found:
        return
    red = sum(any(one.red for one in judged) for judged in found)
    flagged = sum(any(one.flagged for one in judged) for judged in found)
    cases = [one for judged in found for one in judged]
    pairs = sum(one.pairs for one in cases) / len(cases)
    print(
        f"  {red} of {len(found)} sessions red (<= {upper_limit(red, len(found)):.1%}), {flagged} had something to confirm"
    )
    print(f"  {Count.over(cases).line()}; {pairs:.1f} pairs a case")


def independent(recording: Recording, section: str) -> Iterator[Judged]:
    """Comparisons of blocks that follow each other; a flagged one is confirmed by the blocks that follow it."""
    for (name, where, slowdown), blocks in groups(recording.blocks).items():
        if where != section or slowdown:
            continue
        runs = windows(blocks, LEAST_BLOCKS)
        for place, run in enumerate(runs[:-1] if len(runs) > 1 else []):
            yield _alone(recording, name, run, runs[place + 1])
        if len(runs) > 1:
            # the last has none after it, so it is confirmed by those before
            yield _alone(recording, name, runs[-1], runs[-2])


def _alone(recording: Recording, name: str, first: Sequence[Block], again: Sequence[Block]) -> Judged:
    slot = Slot(case=recording.case(name), first=first, again=[block.turned() for block in again])
    return session([slot], plan=False)[0]


def resampled(recording: Recording, section: str, draws: int, seed: int) -> Iterator[Judged]:
    """Comparisons of blocks of a case that are drawn at random."""
    luck = random.Random(f"{seed}/{section}")
    there = pools(recording, section)
    for number in range(draws if there else 0):
        name, pool = luck.choice(there)
        slot = drawn(recording.case(name), pool, number, luck)
        yield session([replace(slot, first=slot.first[:LEAST_BLOCKS])], plan=False)[0]


def sessions(recording: Recording, count: int, seed: int) -> Iterator[list[Judged]]:
    """Sessions of 20 cases, every other one beside burners."""
    luck = random.Random(seed)
    both = [found for section in SECTIONS if (found := pools(recording, section))]
    for number in range(count if both else 0):
        there = both[number % len(both)]
        chosen = [luck.choice(there) for _ in range(CASES)]
        yield session([drawn(recording.case(name), pool, place, luck) for place, (name, pool) in enumerate(chosen)])


if __name__ == "__main__":
    main()
