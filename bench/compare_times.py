"""Judging time, pure: two arms in, a verdict for the time of every case out. docs/method.md has the reasons and the rates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.differences import Times, stored, taken_in_pairs
from bench.observations import CaseResult
from bench.records import Gate
from bench.stats import holm, pairs_needed, smallest_seen
from bench.trust import good_trials
from bench.verdicts import TIME, Comparison, Control, Reason, Verdict

LEVEL = 0.05
POWER = 0.95
# a true slowdown of this size is to be found with a probability of `POWER`, confirmation included
EFFECT = 0.05
TIME_THRESHOLD = 0.03
CONTROL_CONFIDENCE = 0.999


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How two arms were measured, which decides what may be judged and what a difference must exceed.

    Attributes:
        paired: trials of the same round stood side by side; else a stored run is compared with a later one.
        confirms: what is flagged is measured afresh, and only found again it is a verdict.
        widen: what thresholds are multiplied by, of time and of all that depends on the machine: 2 where soft facts differ.
        portable_only: judge only what does not depend on the machine.
        other_machine: what the machines of the arms differ in, in words: every time is told as not comparable, and only what is
            portable is judged, so `portable_only` goes with it.
        control_failed: identical code was seen to differ, so nothing that is slower can be told from luck.
    """

    paired: bool
    confirms: bool
    widen: float = 1.0
    portable_only: bool = False
    other_machine: str = ""
    control_failed: bool = False

    @property
    def power(self) -> float:
        """With what probability each measurement must find what is to be found: two in a row, if there are two."""
        return math.sqrt(POWER) if self.confirms else POWER


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timed:
    """One time case on its way to a verdict; limits are of logs."""

    case_id: str
    first: Times
    again: Times | None
    margin: float
    threshold: float


def compare_times(pairs: Sequence[tuple[CaseResult, CaseResult]], gate: Gate, design: Design) -> Iterator[Comparison]:
    """The time of every case, judged together: the more cases, the less each may be trusted alone (Holm)."""
    measured = taken_in_pairs if design.paired else stored
    timed: list[_Timed] = []
    for base, head in pairs:
        usual = gate.threshold(head.case.id, TIME, TIME_THRESHOLD)
        if head.case.fit is not None or usual is None:
            continue
        if design.other_machine:
            yield _of_another_machine(head, design)
            continue
        first = measured(base, head)
        if first is None:
            yield _too_few(base, head)
            continue
        margin = first.margin * design.widen
        # no difference is called one below the margin, so nothing below it counts in practice
        threshold = max(math.log1p(usual * design.widen), margin)
        again = measured(base, head, confirming=True) if design.confirms else None
        timed.append(_Timed(case_id=head.case.id, first=first, again=again, margin=margin, threshold=threshold))
    yield from _judged(timed, design)


def _of_another_machine(head: CaseResult, design: Design) -> Comparison:
    return Comparison(
        case_id=head.case.id,
        metric=TIME,
        verdict=Verdict.NOT_COMPARABLE,
        reason=Reason.OTHER_MACHINE,
        detail=design.other_machine,
    )


def _too_few(base: CaseResult, head: CaseResult) -> Comparison:
    count = min(len(good_trials(base)), len(good_trials(head)))
    return Comparison(
        case_id=head.case.id, metric=TIME, verdict=Verdict.INCONCLUSIVE, reason=Reason.FEW_TRIALS, count=count
    )


def _judged(timed: Sequence[_Timed], design: Design) -> Iterator[Comparison]:
    slower = holm([one.first.p10.p_above(one.margin) for one in timed])
    faster = holm([one.first.p10.mirrored().p_above(one.margin) for one in timed])
    signs = [_sign(one, up, down) for one, up, down in zip(timed, slower, faster, strict=True)]
    found_again = _found_again(timed, signs)
    for place, (one, sign, p) in enumerate(zip(timed, signs, slower, strict=True)):
        # what was chosen for being far off is too far off: where it was measured afresh, that alone is told
        shown = one.again if sign and one.again is not None else one.first
        verdict, reason = _verdict(one, shown, sign, place in found_again, design)
        smallest = smallest_seen(
            one.first.p10, margin=one.margin, threshold=one.threshold, level=LEVEL / len(timed), power=design.power
        )
        half = shown.p10.half_width()
        yield Comparison(
            case_id=one.case_id,
            metric=TIME,
            verdict=verdict,
            reason=reason,
            base=shown.base,
            head=shown.head,
            change=math.expm1(shown.p10.mean),
            low=math.expm1(shown.p10.mean - half),
            high=math.expm1(shown.p10.mean + half),
            smallest=math.expm1(smallest),
            threshold=math.expm1(one.threshold),
            p=p,
            p90=math.expm1(shown.p90.mean) if reason is Reason.MEDIAN_DISAGREES else None,
            count=shown.p10.count,
        )


def _sign(one: _Timed, p_slower: float, p_faster: float) -> int:
    """1 where a case is flagged as slower, -1 as faster, 0 where it is not flagged."""
    if abs(one.first.p10.mean) <= one.threshold:
        return 0
    return 1 if p_slower < LEVEL else -1 if p_faster < LEVEL else 0


def _found_again(timed: Sequence[_Timed], signs: Sequence[int]) -> set[int]:
    """Which of the flagged cases were found again in fresh trials: Holm over these alone, no second threshold."""
    fresh = [
        (place, one.again.p10 if sign > 0 else one.again.p10.mirrored(), one.margin)
        for place, (one, sign) in enumerate(zip(timed, signs, strict=True))
        if sign and one.again is not None
    ]
    adjusted = holm([difference.p_above(margin) for _, difference, margin in fresh])
    return {place for (place, *_), p in zip(fresh, adjusted, strict=True) if p < LEVEL}


def _verdict(one: _Timed, shown: Times, sign: int, found_again: bool, design: Design) -> tuple[Verdict, Reason]:
    if sign and one.again is not None and not found_again:
        return Verdict.INCONCLUSIVE, Reason.NOT_CONFIRMED
    if not sign and abs(shown.p10.mean) + shown.p10.half_width() >= one.threshold:
        return Verdict.INCONCLUSIVE, Reason.WIDE_INTERVAL
    if shown.rejection_matters:
        return Verdict.INCONCLUSIVE, Reason.REJECTION_MATTERS
    if not sign:
        return Verdict.UNCHANGED, Reason.WITHIN_THRESHOLD
    if shown.median.mean * sign < 0:
        return Verdict.INCONCLUSIVE, Reason.MEDIAN_DISAGREES
    if design.confirms and one.again is None:
        return Verdict.INCONCLUSIVE, Reason.NOT_CONFIRMED
    if sign > 0 and design.control_failed:
        return Verdict.INCONCLUSIVE, Reason.CONTROL_FAILED
    return (
        Verdict.REGRESSED if sign > 0 else Verdict.IMPROVED,
        Reason.CONFIRMED if design.confirms else Reason.BEYOND_DRIFT,
    )


def planned_pairs(times: Times, usual: float, together: int, *, least: int, most: int) -> int:
    """Pairs that find `EFFECT`, by the spread that was seen and never by what was found; at most `most`.

    Args:
        times: what was measured so far.
        usual: the threshold of the case; where it is larger than the usual one, so is what is to be found.
        together: how many cases are judged together.
        least: never fewer.
        most: never more.
    """
    threshold = max(math.log1p(usual), times.margin)
    found = pairs_needed(
        times.p10.error * math.sqrt(times.p10.count),
        math.log1p(EFFECT * max(1.0, usual / TIME_THRESHOLD)),
        margin=times.margin,
        threshold=threshold,
        level=LEVEL / together,
        power=math.sqrt(POWER),
        least=least,
        most=most,
    )
    return most if found is None else found


def control(base: CaseResult, again: CaseResult, gate: Gate) -> Control:
    """What identical code in the other slot differed by."""
    threshold = gate.threshold(base.case.id, TIME, TIME_THRESHOLD)
    times = taken_in_pairs(base, again)
    if times is None:
        return Control(case_id=base.case.id, failed=True)
    mean, half = times.p10.mean, times.p10.half_width(CONTROL_CONFIDENCE)
    failed = abs(mean) > half or half > math.log1p(TIME_THRESHOLD if threshold is None else threshold)
    change, low, high = (math.expm1(value) for value in (mean, mean - half, mean + half))
    return Control(case_id=base.case.id, failed=failed, change=change, low=low, high=high)
