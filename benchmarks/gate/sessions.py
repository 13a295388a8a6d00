"""Sessions of the gate made of recorded blocks: planned, flagged, confirmed and judged by the shipped functions alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scipy.special import betaincinv

from bench.ab import LEAST_PAIRS, MOST_TIMES
from bench.compare import compare, to_confirm
from bench.compare_times import TIME_THRESHOLD, Design, planned_pairs
from bench.differences import taken_in_pairs
from bench.observations import CaseResult
from bench.records import Case, Gate
from bench.stats import paired
from bench.trust import undisturbed
from bench.verdicts import TIME, Comparison, Verdict
from benchmarks.gate.recording import Block, Recording, groups, log_ratios, results

DESIGN = Design(paired=True, confirms=True)
GATE = Gate()
PAIRS_IN_BLOCK = 2
LEAST_BLOCKS = LEAST_PAIRS // PAIRS_IN_BLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One case of a session: the blocks that it would measure, in this order, first and to confirm."""

    case: Case
    first: Sequence[Block]
    again: Sequence[Block]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One case of a session that is over.

    Attributes:
        flagged: whether it had to be confirmed.
        looked_slower: what was seen first had head slower.
        pairs: measured first; `fresh` to confirm.
        trials_s: what its trials took.
    """

    comparison: Comparison
    flagged: bool
    looked_slower: bool
    pairs: int
    fresh: int
    trials_s: float

    @property
    def red(self) -> bool:
        """Whether it was called slower in the end."""
        return self.comparison.verdict is Verdict.REGRESSED


def session(slots: Sequence[Slot], *, plan: bool = True) -> list[Judged]:
    """Judge cases together, as `bench ab` does.

    Args:
        slots: the cases, whose ids must differ.
        plan: whether pairs are added as the spread asks for, as far as blocks go; else all of `first` is used at once.
    """
    firsts = [
        _planned(slot.case, slot.first, len(slots), least=LEAST_PAIRS) if plan else list(slot.first) for slot in slots
    ]
    arms = [results(slot.case, first) for slot, first in zip(slots, firsts, strict=True)]
    flagged = set(to_confirm([base for base, _ in arms], [head for _, head in arms], GATE, DESIGN))
    agains = [
        # as many fresh pairs, and more where these are further apart
        _planned(slot.case, slot.again, len(flagged), least=_calm(*first)) if slot.case.id in flagged else []
        for slot, first in zip(slots, arms, strict=True)
    ]
    whole = [results(slot.case, *blocks) for slot, *blocks in zip(slots, firsts, agains, strict=True)]
    final = _times([base for base, _ in whole], [head for _, head in whole])
    return [
        Judged(
            comparison=final[slot.case.id],
            flagged=slot.case.id in flagged,
            looked_slower=_looked_slower(*first_arms),
            pairs=PAIRS_IN_BLOCK * len(first),
            fresh=PAIRS_IN_BLOCK * len(again),
            trials_s=sum(trial.wall_s or 0.0 for block in (*first, *again) for trial in block.trials),
        )
        for slot, first_arms, first, again in zip(slots, arms, firsts, agains, strict=True)
    ]


def _times(base: Sequence[CaseResult], head: Sequence[CaseResult]) -> dict[str, Comparison]:
    return {one.case_id: one for one in compare(base, head, GATE, DESIGN) if one.metric == TIME}


def _looked_slower(base: CaseResult, head: CaseResult) -> bool:
    times = taken_in_pairs(base, head)
    return times is not None and times.p10.mean > 0


def _planned(case: Case, blocks: Sequence[Block], together: int, *, least: int) -> list[Block]:
    """The blocks that a case needs by the spread of those it has."""

    def wanted(base: CaseResult, head: CaseResult) -> int:
        times = taken_in_pairs(base, head)
        if times is None:
            return least
        return planned_pairs(times, TIME_THRESHOLD, together, least=least, most=max(least, GATE.max_pairs))

    return _until(case, blocks, wanted)


def _until(case: Case, blocks: Sequence[Block], wanted: Callable[[CaseResult, CaseResult], int]) -> list[Block]:
    """The first of these blocks, until there are as many calm pairs as are wanted, or twice as many of any kind."""
    for count in range(1, len(blocks)):
        arms = results(case, blocks[:count])
        pairs = wanted(*arms)
        if _calm(*arms) >= pairs or PAIRS_IN_BLOCK * count >= MOST_TIMES * pairs:
            return list(blocks[:count])
    return list(blocks)


def _calm(base: CaseResult, head: CaseResult) -> int:
    """Pairs in which neither arm was disturbed."""
    first, second = ({trial.round for trial in undisturbed(arm)} for arm in (base, head))
    return len(first & second)


def pools(recording: Recording, section: str, slowdown: float = 0.0) -> list[tuple[str, list[Block]]]:
    """Cases with blocks enough to compare and to confirm; those of slowed ones are moved to the size that was asked for."""
    return [
        (name, at_size(blocks, slowdown) if slowdown else blocks)
        for (name, where, slowed), blocks in groups(recording.blocks).items()
        if (where, slowed) == (section, slowdown) and len(blocks) >= 2 * LEAST_BLOCKS
    ]


def at_size(blocks: Sequence[Block], slowdown: float) -> list[Block]:
    """All slowed blocks of a case, as if its work had been calibrated exactly: moved by what all of them differ from it."""
    factor = math.exp(math.log1p(slowdown) - size_of(blocks))
    return [block.with_slower_head(factor) for block in blocks]


def size_of(blocks: Sequence[Block]) -> float:
    """What a case was slowed by, as a log: the trimmed mean over all its pairs."""
    found = paired(log_ratios(blocks))
    assert found is not None
    return found.mean


def drawn(case: Case, pool: Sequence[Block], number: int, luck: random.Random) -> Slot:
    """A case whose blocks are drawn at random from those that may stand in for each other.

    None is drawn twice, unless the pool is too small to confirm with others than were seen first.
    """
    most = 2 * math.ceil(GATE.max_pairs / PAIRS_IN_BLOCK)
    order = luck.sample(pool, len(pool))
    first = order[: max(LEAST_BLOCKS, min(most, len(order) // 2))]
    again = order[len(first) :]
    if not again[0].slowdown:
        again = [block.turned() for block in again]
    return Slot(case=replace(case, id=f"{case.id}#{number}"), first=first, again=again)


def upper_limit(found: int, of: int, confidence: float = 0.95) -> float:
    """The rate that is not exceeded, at a confidence: Clopper & Pearson 1934; for none found the rule of three."""
    return 1.0 if found >= of else float(betaincinv(found + 1, of - found, confidence))
