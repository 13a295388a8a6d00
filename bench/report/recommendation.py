"""Which variant to take: what limits leave, of that the most accurate, of these the fastest, then the smallest. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bench.errors import UsageError
from bench.quantity import Better, Metric, Unit
from bench.records import Case
from bench.report import view as views
from bench.report.ranking import ends, leaders, needed, unsure, widest
from bench.report.view import Point, Shown, View
from bench.stats import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a variant must keep to, and where; None leaves it open: the place is then the run's operating point.

    Attributes:
        min_score, max_score: by the task's headline metric; the first where higher is better, else the second.
    """

    max_latency_s: float | None = None
    max_memory_bytes: float | None = None
    min_score: float | None = None
    max_score: float | None = None
    length: int | None = None
    batch: int | None = None
    workload: str | None = None


class Standing(StrEnum):
    """What can be said of a variant beside a limit: by the far end of its interval, by its near end, or not at all."""

    MEETS = "meets"
    MAY = "may meet"
    MISSES = "misses"


class Quantity(StrEnum):
    """What is looked at, in this order."""

    SCORE = "score"
    LATENCY = "latency"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """A quantity that counts, the option that limits it, and the limit if there is one."""

    quantity: Quantity
    title: str
    option: str
    unit: Unit
    better: Better
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A variant with its figures.

    Attributes:
        why: why it cannot be taken whatever the limits are; empty for all others.
    """

    variant_id: str
    label: str
    figures: Mapping[Quantity, Estimate]
    marks: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Who is left when a criterion has been looked at, the best by it first; without a criterion: who meets the limits.

    `guessed` where some have a figure but no interval: then only the best figure is left, and nothing says that it is the best.
    """

    criterion: Criterion | None
    left: tuple[Candidate, ...]
    guessed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """Which of a task's variants to take at a place, and how that came.

    Attributes:
        steps: from all who meet the limits to those who are taken; empty if nobody does.
        meets: whether those who are taken meet every limit beyond doubt.
        setting: of the place, in words, where the task was measured in others too.
    """

    task: str
    place: Point
    criteria: tuple[Criterion, ...]
    candidates: tuple[Candidate, ...]
    steps: tuple[Step, ...]
    meets: bool
    setting: str = ""

    @property
    def chosen(self) -> tuple[Candidate, ...]:
        """Who is taken; several where the run cannot tell them apart."""
        return self.steps[-1].left if self.steps else ()

    @property
    def sure(self) -> bool:
        """Whether intervals carry the choice: every limit is met beyond doubt, and no step was guessed."""
        return self.meets and not any(step.guessed for step in self.steps)


def recommend(view: View, task: str, limits: Limits) -> Recommendation:
    """The choice among a task's variants.

    Raises:
        UsageError: the place was not measured, or a limit is on what was not.
    """
    place = _place(view, task, limits)
    at = views.at(view.timed(task), place)
    fits = views.fits_for(view.fits(task), place.sequence_length)
    metric = view.headline(task)
    scored = any(shown.good for shown in fits.values()) and metric.better is not Better.NEITHER
    known = [variant for variant in view.variants if variant.variant_id in at or variant.variant_id in fits]
    candidates = [
        _candidate(at.get(one.variant_id), fits.get(one.variant_id), one.label, metric if scored else None)
        for one in known
    ]
    criteria = _criteria(task, limits, metric if scored else None, candidates)
    return chosen_of(
        Recommendation(
            task=task,
            place=place,
            criteria=criteria,
            candidates=tuple(candidates),
            steps=(),
            meets=False,
            setting=view.apart(task, place.setting),
        )
    )


def _place(view: View, task: str, limits: Limits) -> Point:
    """Where variants are put side by side: exactly what was asked for, never the nearest to it."""
    cases = [shown.case for shown in view.timed(task)]
    asked = (("workload", limits.workload), ("sequence_length", limits.length), ("batch_size", limits.batch))
    left = [case for case in cases if all(want in (None, getattr(case, name)) for name, want in asked)]
    place = views.point(view.run, left)
    if place is None:
        words = ", ".join(f"{name.replace('_', ' ')} {want}" for name, want in asked if want is not None)
        raise UsageError(
            f"task '{task}': this run has no speed cases{f' of {words}' if words else ''}; it has {_measured(cases)}"
        )
    return place


def _measured(cases: Iterable[Case]) -> str:
    """`inference (lengths 64, 128; batches 1, 32), ...`: the places of some cases."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.workload, []).append(case)
    parts = []
    for workload, members in found.items():
        lengths = sorted({case.sequence_length for case in members if case.sequence_length})
        batches = sorted({case.batch_size for case in members})
        axes = [f"lengths {', '.join(map(str, lengths))}"] if lengths else []
        parts.append(f"{workload} ({'; '.join([*axes, 'batches ' + ', '.join(map(str, batches))])})")
    return ", ".join(parts) or "none"


def _candidate(timed: Shown | None, fitted: Shown | None, label: str, metric: Metric | None) -> Candidate:
    known = [shown for shown in (timed, fitted) if shown is not None]
    figures: dict[Quantity, Estimate | None] = {}
    if timed is not None:
        figures |= {Quantity.LATENCY: timed.figure("latency_s"), Quantity.MEMORY: needed(timed) if timed.good else None}
    if fitted is not None and metric is not None:
        figures[Quantity.SCORE] = widest(fitted, metric.name)
    return Candidate(
        variant_id=known[0].case.variant.variant_id,
        label=label,
        figures={name: one for name, one in figures.items() if one is not None and one.value is not None},
        marks=tuple(dict.fromkeys(mark for shown in known for mark in shown.marks)),
        why=_why(timed, fitted, metric),
    )


def _why(timed: Shown | None, fitted: Shown | None, metric: Metric | None) -> str:
    if timed is None:
        return "its speed was not measured here"
    if not timed.good:
        return views.outcome_words(timed.outcome)
    if metric is None or (fitted is not None and fitted.figure(metric.name)):
        return ""
    return f"{metric.title} not known: {views.outcome_words(fitted.outcome) if fitted else 'not trained'}".rstrip(": ")


def _criteria(
    task: str, limits: Limits, metric: Metric | None, candidates: Sequence[Candidate]
) -> tuple[Criterion, ...]:
    score = None if metric is None else _score_criterion(task, limits, metric)
    if metric is None and (limits.min_score, limits.max_score) != (None, None):
        raise UsageError(f"task '{task}': a limit is asked of its score, but this run has none; leave the limit out")
    latency = Criterion(
        quantity=Quantity.LATENCY,
        title="latency",
        option="--max-latency",
        unit=Unit.SECONDS,
        better=Better.LOWER,
        limit=limits.max_latency_s,
    )
    memory = Criterion(
        quantity=Quantity.MEMORY,
        title="memory",
        option="--max-memory",
        unit=Unit.BYTES,
        better=Better.LOWER,
        limit=limits.max_memory_bytes,
    )
    if any(Quantity.MEMORY in one.figures for one in candidates):
        return (*([score] if score else []), latency, memory)
    if memory.limit is not None:
        raise UsageError(
            f"task '{task}': --max-memory is asked for, but this run has no peak memory there; leave it out"
        )
    return (*([score] if score else []), latency)


def _score_criterion(task: str, limits: Limits, metric: Metric) -> Criterion:
    higher = metric.better is Better.HIGHER
    wrong, right = ("--max-score", "--min-score") if higher else ("--min-accuracy", "--max-score")
    if (limits.max_score if higher else limits.min_score) is not None:
        way = "higher" if higher else "lower"
        raise UsageError(
            f"task '{task}': its score is {metric.title}, {way} is better, so {wrong} does not fit; use {right}"
        )
    return Criterion(
        quantity=Quantity.SCORE,
        title=metric.title,
        option="--min-accuracy" if metric.name == "accuracy" else right,
        unit=metric.unit,
        better=metric.better,
        limit=limits.min_score if higher else limits.max_score,
    )


# ── choosing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def standing(criterion: Criterion, candidate: Candidate) -> Standing | None:
    """What a limit says of a variant, None without one; what is not known, or has a value but no interval, may meet it."""
    estimate = candidate.figures.get(criterion.quantity)
    if criterion.limit is None:
        return None
    if estimate is None:
        return Standing.MAY
    sign = 1 if criterion.better is Better.HIGHER else -1
    worst, best = sorted(sign * end for end in ends(estimate))
    if best < sign * criterion.limit:
        return Standing.MISSES
    return Standing.MEETS if worst >= sign * criterion.limit and not unsure(estimate) else Standing.MAY


def standings(criteria: Iterable[Criterion], candidate: Candidate) -> list[Standing]:
    """What all limits say of a variant."""
    return [found for criterion in criteria if (found := standing(criterion, candidate))]


def chosen_of(recommendation: Recommendation) -> Recommendation:
    """The choice by these criteria among these candidates; who only may meet the limits is taken where nobody surely does."""
    criteria = recommendation.criteria
    said = {one.variant_id: standings(criteria, one) for one in recommendation.candidates if not one.why}
    able = [one for one in recommendation.candidates if not one.why and Standing.MISSES not in said[one.variant_id]]
    surely = [one for one in able if Standing.MAY not in said[one.variant_id]]
    pool = surely or able
    if not pool:
        return replace(recommendation, steps=(), meets=False)
    steps = [Step(criterion=None, left=tuple(pool))]
    for criterion in criteria:
        if len(steps[-1].left) > 1 and all(criterion.quantity in one.figures for one in steps[-1].left):
            steps.append(_narrowed(steps[-1].left, criterion))
    return replace(recommendation, steps=tuple(steps), meets=bool(surely))


def _narrowed(before: Sequence[Candidate], criterion: Criterion) -> Step:
    """The best of some by a criterion; all have a figure of it, as the least of those that are seen is not the least of all."""
    known = {one.variant_id: one for one in before}
    ahead = [
        known[key]
        for key in leaders({key: one.figures[criterion.quantity] for key, one in known.items()}, criterion.better)
    ]
    guessed = len(ahead) > 1 and any(unsure(one.figures[criterion.quantity]) for one in ahead)
    return Step(criterion=criterion, left=tuple(ahead[:1] if guessed else ahead), guessed=guessed)
