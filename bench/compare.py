"""Judging, pure: two arms in, a verdict for every case and metric out. No torch, no pandas, no files, no words for people.

Time is judged by differences of the logs of p10, the noise-free metrics exactly, scores over seeds. docs/method.md says
why, and which false alarms and detections were seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.compare_times import LEVEL, POWER, Design, compare_times
from bench.estimates import by_seed, counted, good_fits
from bench.observations import CaseResult
from bench.quantity import METRICS, Better, Metric, Unit
from bench.records import Gate, Outcome
from bench.stats import smallest_seen, welch
from bench.verdicts import TIME, Comparison, Reason, Verdict

POINT = 0.01
ERROR_SHARE = 0.1
LEAST_SEEDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """A metric without noise.

    Attributes:
        threshold: what counts in practice, relative to the baseline.
        resolution: the smallest difference that can be seen at all, in the metric's unit.
        portable: alike on every machine, so that a baseline of another one will do.
    """

    threshold: float = 0.0
    resolution: float = 0.0
    portable: bool = False


_Ended = tuple[Outcome | None, str]
_Said = Callable[[Verdict, Reason, str], Comparison]

_LOST = {Outcome.OUT_OF_MEMORY: Reason.DOES_NOT_FIT, Outcome.DIVERGED: Reason.DIVERGES}
_GAINED = {Outcome.OUT_OF_MEMORY: Reason.FITS_NOW, Outcome.DIVERGED: Reason.CONVERGES_NOW}
_WITHOUT_VALUE = (*_LOST, Outcome.SKIPPED)

EXACT: Mapping[str, Exact] = {
    "parameters": Exact(portable=True),
    "weights_bytes": Exact(portable=True),
    "gradients_bytes": Exact(portable=True),
    "optimizer_bytes": Exact(portable=True),
    "flops_per_item": Exact(portable=True),
    "activations_bytes": Exact(),
    "operator_count": Exact(),
    "kernel_count": Exact(),
    "graph_breaks": Exact(),
    "peak_allocated_bytes": Exact(threshold=0.01),
    # each processor has up to 64 pages that the kernel has not counted yet, before the step and at its peak: fourteen repeats
    # of the same step lay within 2 %, or else within 250 KiB
    "peak_rss_bytes": Exact(threshold=0.03, resolution=2 * 64 * 4096),
}


def compare(base: Sequence[CaseResult], head: Sequence[CaseResult], gate: Gate, design: Design) -> list[Comparison]:
    """Judge `head` against `base`, case by case, in the order of `head`; cases that only `base` has come last."""
    before = {result.case.id: result for result in base}
    now = {result.case.id: result for result in head}
    places = {name: place for place, name in enumerate(dict.fromkeys((*now, *before)))}
    found: list[Comparison] = []
    pairs: list[tuple[CaseResult, CaseResult]] = []
    for name in places:
        whole = _whole(before.get(name), now.get(name), gate, design)
        if whole is not None:
            found.append(whole)
        else:
            pairs.append((before[name], now[name]))
    for old, new in pairs:
        found += _exact(old, new, gate, design)
        if not design.portable_only:
            found += _scores(old, new, gate)
    if design.other_machine or not design.portable_only:
        found += compare_times(pairs, gate, design)
    order = {name: place for place, name in enumerate(METRICS)}
    return sorted(found, key=lambda one: (places[one.case_id], order.get(one.metric, len(order))))


def to_confirm(base: Sequence[CaseResult], head: Sequence[CaseResult], gate: Gate, design: Design) -> list[str]:
    """The cases whose time is flagged, either way: they are measured afresh before anything is said of them."""
    first = compare(base, head, gate, replace(design, confirms=True))
    return [one.case_id for one in first if one.metric == TIME and one.reason is Reason.NOT_CONFIRMED]


# ── cases as a whole ───────────────────────────────────────────────────────────────────────────────────────────────


def _whole(base: CaseResult | None, head: CaseResult | None, gate: Gate, design: Design) -> Comparison | None:
    """A verdict over a case that cannot be judged metric by metric, or None."""
    present = head or base
    assert present is not None
    case = present.case

    def said(verdict: Verdict, reason: Reason, detail: str = "") -> Comparison:
        # what failed was there, and nobody allowed that
        absent = verdict is Verdict.MISSING and reason is not Reason.FAILED
        allowed = absent and gate.allows_missing(case.id)
        return Comparison(case_id=case.id, metric="", verdict=verdict, reason=reason, detail=detail, allowed=allowed)

    if head is None:
        return said(Verdict.MISSING, Reason.NOT_IN_HEAD)
    if base is None:
        return said(Verdict.MISSING, Reason.NOT_IN_BASE)
    if base.case.definition_hash != head.case.definition_hash:
        return said(Verdict.NOT_COMPARABLE, Reason.OTHER_DEFINITION)
    now, why = head.verdict
    if now in (Outcome.FAILED, Outcome.TIMED_OUT):
        return said(Verdict.MISSING, Reason.FAILED, why)
    # what fits and what converges is another machine's own affair
    return None if design.portable_only else _by_outcome(base.verdict, head.verdict, said)


def _by_outcome(before: _Ended, now: _Ended, said: _Said) -> Comparison | None:
    (old, why_old), (new, why_new) = before, now
    if old is new is Outcome.OK:
        return None
    if new is Outcome.OK and old in _GAINED:
        return said(Verdict.IMPROVED, _GAINED[old], why_old)
    if old is Outcome.OK and new in _LOST:
        return said(Verdict.REGRESSED, _LOST[new], why_new)
    if old in _WITHOUT_VALUE and new in _WITHOUT_VALUE:
        told = f"{new.value} in both" if old is new else f"no value in either: {old.value} before, {new.value} now"
        return said(Verdict.UNCHANGED, Reason.EQUAL, told)
    if new is Outcome.OK or new in _LOST:
        return said(Verdict.MISSING, Reason.NOT_IN_BASE, why_old)
    return said(Verdict.MISSING, Reason.NOT_IN_HEAD, why_new)


# ── without noise ──────────────────────────────────────────────────────────────────────────────────────────────────


def _exact(base: CaseResult, head: CaseResult, gate: Gate, design: Design) -> Iterator[Comparison]:
    before, now = counted(base), counted(head)
    for name, kind in EXACT.items():
        old, new = before.get(name), now.get(name)
        if old is None or (design.portable_only and not kind.portable):
            continue
        threshold = gate.threshold(head.case.id, name, kind.threshold)
        if threshold is None:
            continue
        if not kind.portable:
            threshold *= design.widen
        limit = max(threshold * old, kind.resolution)
        verdict, reason = (Verdict.MISSING, Reason.NO_VALUE) if new is None else _beyond(new - old, limit)
        if new is not None and verdict is Verdict.UNCHANGED and abs(new - old) > threshold * old:
            reason = Reason.BELOW_RESOLUTION
        made = Comparison(
            case_id=head.case.id,
            metric=name,
            verdict=verdict,
            reason=reason,
            base=old,
            head=new,
            # relative to nothing, a change has no size
            change=None if new is None else new / old - 1 if old else None if new else 0.0,
            threshold=threshold,
        )
        if new is None:
            yield from _without_value(made, base, head)
        else:
            yield made


def _without_value(made: Comparison, base: CaseResult, head: CaseResult) -> Iterator[Comparison]:
    """What to say of a metric that base alone has: nothing where the pass that observes it was not asked for."""
    kinds = {one.name for one in base.passes if one.values.get(made.metric) is not None}
    tries = [one for one in head.passes if one.name in kinds]
    if not tries:
        return
    last = tries[-1]
    if last.outcome is Outcome.OK:
        # it was looked at, and cannot be told
        yield replace(made, verdict=Verdict.INCONCLUSIVE, detail=last.reasons.get(made.metric, ""))
    else:
        yield replace(made, detail=last.reason)


def _beyond(worse: float, limit: float) -> tuple[Verdict, Reason]:
    if worse > limit:
        return Verdict.REGRESSED, Reason.BEYOND_THRESHOLD
    if worse < -limit:
        return Verdict.IMPROVED, Reason.BEYOND_THRESHOLD
    return Verdict.UNCHANGED, Reason.WITHIN_THRESHOLD if worse else Reason.EQUAL


# ── scores ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def judged_score(names: Sequence[str]) -> str:
    """The one metric of a task that is judged, of all that it has; empty where it has none."""
    return "accuracy" if "accuracy" in names else next(iter(names), "")


def _scores(base: CaseResult, head: CaseResult, gate: Gate) -> Iterator[Comparison]:
    """The headline metric of a fit, over seeds."""
    old, new = good_fits(base), good_fits(head)
    if not (old and new):
        return
    both = [name for name in new[0].metrics if name in old[0].metrics]
    name = judged_score(both)
    metric = METRICS.get(name)
    if metric is None or metric.better is Better.NEITHER:
        return
    before, now = by_seed(old, name), by_seed(new, name)
    # a point of an error that may be as small as it likes says nothing
    values = [*before.values(), *now.values()]
    usual = POINT if metric.unit is Unit.SHARE else ERROR_SHARE * math.fsum(values) / len(values)
    threshold = gate.threshold(head.case.id, name, usual)
    if threshold is None:
        return
    made = _score(head.case.id, metric, before, now, threshold)
    lost = len(head.fits) - len(new)
    yield replace(made, detail=f"{lost} of {len(head.fits)} fits did not end well") if lost else made


def _score(
    case_id: str, metric: Metric, before: Mapping[int, float], now: Mapping[int, float], threshold: float
) -> Comparison:
    base, head = (math.fsum(values.values()) / len(values) for values in (before, now))
    made = Comparison(
        case_id=case_id,
        metric=metric.name,
        verdict=Verdict.INCONCLUSIVE,
        reason=Reason.FEW_SEEDS,
        base=base,
        head=head,
        change=head - base,
        threshold=threshold,
        count=min(len(before), len(now)),
    )
    if before == now:
        # seed by seed the same numbers: the code that made them is the same
        return replace(made, verdict=Verdict.UNCHANGED, reason=Reason.EQUAL)
    difference = welch(list(before.values()), list(now.values()))
    if difference is None:
        return made
    half = difference.half_width()
    smallest = smallest_seen(difference, margin=threshold, threshold=0.0, level=LEVEL / 2, power=POWER)
    made = replace(made, low=difference.mean - half, high=difference.mean + half, smallest=smallest)
    if difference.count < LEAST_SEEDS:
        return made
    better = difference.mean if metric.better is Better.HIGHER else -difference.mean
    if -better - half > threshold:
        return replace(made, verdict=Verdict.REGRESSED, reason=Reason.BEYOND_THRESHOLD)
    if better - half > threshold:
        return replace(made, verdict=Verdict.IMPROVED, reason=Reason.BEYOND_THRESHOLD)
    if abs(better) + half < threshold:
        return replace(made, verdict=Verdict.UNCHANGED, reason=Reason.WITHIN_THRESHOLD)
    return replace(made, reason=Reason.WIDE_INTERVAL)
