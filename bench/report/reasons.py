"""A recommendation in sentences: the choice, why it, who comes next, and what would change it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from bench.quantity import (
    Better,
    Unit,
    format_change,
    format_difference,
    format_option,
    format_ratio,
    format_value,
    parse_bytes,
    parse_duration,
    parse_score,
)
from bench.report import view as views
from bench.report.contests import ahead_by, times
from bench.report.ranking import beyond, ends, leaders, memory_words, unsure
from bench.report.recommendation import (
    Candidate,
    Criterion,
    Quantity,
    Recommendation,
    Standing,
    Step,
    chosen_of,
    standing,
)
from bench.stats import difference

# the table has the rest
_MOST_TOLD = 3
_AFTER = ("Next", "Then")
_COUNTS = {Quantity.LATENCY: "speed", Quantity.MEMORY: "memory"}


def choice(made: Recommendation) -> str:
    """The answer in one sentence."""
    place = made.place
    words = views.place_words(place.sequence_length, place.batch_size, place.setting.new_tokens)
    where = f"{made.task}: {place.workload}, {words}{made.setting}"
    names = views.listed([one.label for one in made.chosen], "or")
    if not made.chosen:
        limited = any(criterion.limit is not None for criterion in made.criteria)
        return f"{'Nothing meets every limit' if limited else 'There is nothing to take'} ({where})."
    tied = " This run cannot tell them apart." if len(made.chosen) > 1 else ""
    doubt = "" if made.meets else " Nothing surely meets every limit, but this may."
    return f"{'Take' if made.sure else 'Perhaps'} {names} ({where}).{doubt}{tied}"


# ── why ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def reasons(made: Recommendation) -> list[str]:
    """How many meet the limits, what told the chosen from these, and what is marked of them; or who comes nearest."""
    limited = [criterion for criterion in made.criteria if criterion.limit is not None]
    if not made.chosen:
        return _nearest(made, limited)
    found = []
    pool = made.steps[0].left
    if limited:
        verb = "may meet" if not made.meets else "meets" if len(pool) == 1 else "meet"
        asked = views.listed([_asked(criterion) for criterion in limited], "and")
        found.append(f"{len(pool)} of {len(made.candidates)} {verb} the limits: {asked}.")
    found += [_narrowed(before, step) for before, step in zip(made.steps, made.steps[1:], strict=False)]
    if any(step.criterion and step.criterion.quantity is Quantity.SCORE and not step.guessed for step in made.steps):
        single = [one.label for one in pool if one.figures[Quantity.SCORE].reason]
        whose = "Scores" if len(single) == len(pool) else f"Scores of {views.listed(single, 'and')}"
        found += [f"{whose} are of one seed: how they vary between seeds is not known."] if single else []
    doubts = [f"{one.label} ({', '.join(one.marks)})" for one in made.chosen if one.marks]
    return [*found, *([f"Marked: {views.listed(doubts, 'and')}."] if doubts else [])]


def _asked(criterion: Criterion) -> str:
    way = "at most" if criterion.better is Better.LOWER else "at least"
    return f"{criterion.title} {way} {format_value(criterion.limit, criterion.unit)}"


def _narrowed(before: Step, step: Step) -> str:
    """What a criterion told: who is ahead and by how much, or who cannot be told apart."""
    criterion = step.criterion
    assert criterion is not None
    first, *tied = step.left
    if step.guessed:
        figure = format_value(first.figures[criterion.quantity].value, criterion.unit)
        return f"{first.label} has the best {criterion.title}, {figure}, but others may be better: not all have an interval."
    if tied:
        names = views.listed([one.label for one in step.left], "and")
        return f"{names} cannot be told apart as {best_words(criterion)}."
    second = _next(before.left, first, criterion)
    of_these = " of these" if before.criterion else ""
    mine, its = first.figures[criterion.quantity], second.figures[criterion.quantity]
    match criterion.quantity:
        case Quantity.SCORE:
            lead = f"{ahead_by(mine, its, criterion.unit, criterion.better)} ahead of"
        case Quantity.LATENCY:
            lead = f"{times(its, mine)} as fast as"
        case Quantity.MEMORY:
            lead = f"{memory_words(mine)} instead of {memory_words(its)} for"
    return f"{first.label} is {best_words(criterion)}{of_these}: {lead} {second.label}."


def best_words(criterion: Criterion) -> str:
    """What the best by a criterion is called."""
    match criterion.quantity:
        case Quantity.LATENCY:
            return "the fastest"
        case Quantity.MEMORY:
            return "the smallest in memory"
        case Quantity.SCORE:
            return "the most accurate" if criterion.title == "accuracy" else f"the best by {criterion.title}"


def _next(all_: Sequence[Candidate], first: Candidate, criterion: Criterion) -> Candidate:
    sign = 1 if criterion.better is Better.HIGHER else -1
    rest = (one for one in all_ if one is not first)
    return max(rest, key=lambda one: sign * (one.figures[criterion.quantity].value or 0.0))


def _told_apart(criterion: Criterion, one: Candidate, other: Candidate) -> str:
    """How one differs from another by a criterion: `1.4 times (1.3 to 1.5) as fast`; empty where intervals do not tell."""
    mine, its = one.figures.get(criterion.quantity), other.figures.get(criterion.quantity)
    if mine is None or its is None:
        return ""
    if criterion.quantity is Quantity.SCORE and (unsure(mine) or unsure(its)):
        figures = [format_value(each.value, criterion.unit) for each in (mine, its)]
        return f"{criterion.title} {figures[0]} instead of {figures[1]}, without intervals"
    ahead = beyond(mine, its, criterion.better)
    if not ahead and not beyond(its, mine, criterion.better):
        return ""
    match criterion.quantity:
        case Quantity.LATENCY:
            return f"{times(its, mine)} as fast" if ahead else f"{times(mine, its)} as long"
        case Quantity.MEMORY:
            return f"{memory_words(mine)} instead of {memory_words(its)}"
        case Quantity.SCORE:
            change = difference(mine, its)
            return f"{criterion.title} {format_change(change.value or 0.0, change.low, change.high, criterion.unit)}"


def _beside(made: Recommendation, one: Candidate) -> str:
    """How one differs from the choice, in brackets; what intervals do not tell is left out, and said where that is all."""
    if not made.chosen:
        return ""
    first = made.chosen[0]
    told = [words for criterion in made.criteria if (words := _told_apart(criterion, one, first))]
    return f" ({'; '.join(told) or 'not told apart'})"


def _nearest(made: Recommendation, limited: Sequence[Criterion]) -> list[str]:
    """Whom the fewest limits exclude, and of these the least; where nothing has figures, how it ended."""
    able = [one for one in made.candidates if not one.why]
    if not able:
        return [f"{views.listed([f'{one.label} ({one.why})' for one in made.candidates[:_MOST_TOLD]], 'and')}."]
    failed = {one.variant_id: [each for each in limited if standing(each, one) is Standing.MISSES] for one in able}
    order = sorted(able, key=lambda one: _distance(failed[one.variant_id], one))
    near = order[0]
    words = [f"{each.title} {missed(each, near)}" for each in failed[near.variant_id]]
    return [f"Nearest: {near.label}, {views.listed(words, 'and')}."]


def _distance(criteria: Sequence[Criterion], one: Candidate) -> tuple[int, float]:
    return len(criteria), max(abs(_over(each, one) / (each.limit or 1.0)) for each in criteria)


def _over(criterion: Criterion, one: Candidate) -> float:
    """How far the figure of one who misses a limit lies beyond it, in its unit."""
    return abs((one.figures[criterion.quantity].value or 0.0) - (criterion.limit or 0.0))


def missed(criterion: Criterion, one: Candidate) -> str:
    """By how much one misses a limit: `misses by 23.0 %`, or how many times the limit it needs."""
    if criterion.quantity is Quantity.SCORE:
        return f"misses by {format_difference(_over(criterion, one), criterion.unit)}"
    share = 1 + _over(criterion, one) / (criterion.limit or 1.0)
    return f"misses by {format_difference(share - 1)}" if share < 2 else f"{format_ratio(share)} the limit"


# ── who comes next, and what would change it ───────────────────────────────────────────────────────────────────────


def runners_up(made: Recommendation) -> list[str]:
    """Who would be taken if the choice were not there, and who after that."""
    found = []
    for word, after in zip(_AFTER, _after(made), strict=False):
        names = [f"{one.label}{_beside(made, one)}" for one in after[:_MOST_TOLD]]
        found.append(f"{word}: {views.listed(names, 'or')}.")
    return found


def _after(made: Recommendation) -> Iterator[tuple[Candidate, ...]]:
    """Of those who meet the limits, the choice without the choice, and so on."""
    left, now = (made.steps[0].left if made.steps else ()), made
    while left := tuple(one for one in left if one not in now.chosen):
        now = chosen_of(replace(made, candidates=left))
        yield now.chosen


def changes(made: Recommendation) -> list[str]:
    """Which other limits would have another one taken, and who would be if speed or memory alone counted."""
    return [*_other_limits(made), *_other_weights(made)]


def _other_limits(made: Recommendation) -> list[str]:
    found = []
    for one in made.candidates:
        typed = [_needed(criterion, one) for criterion in made.criteria]
        if one.why or not any(typed):
            continue
        # said only where it comes out that way
        criteria = tuple(_limited(criterion, text) for criterion, text in zip(made.criteria, typed, strict=True))
        then = chosen_of(replace(made, criteria=criteria))
        if then.meets and one in then.chosen:
            moved = [f"{each.option} {text}" for each, text in zip(criteria, typed, strict=True) if text]
            words = " beyond doubt" if one in made.chosen else _beside(made, one)
            others = [other.label for other in then.chosen if other is not one]
            found.append((len(moved), f"With {' '.join(moved)}: {views.listed([one.label, *others], 'or')}{words}."))
    return [sentence for _, sentence in sorted(found, key=lambda pair: pair[0])][:_MOST_TOLD]


def _needed(criterion: Criterion, one: Candidate) -> str:
    """The limit that one would meet beyond doubt, as it is typed; empty where one does already, or none would do."""
    estimate = one.figures.get(criterion.quantity)
    if estimate is None or unsure(estimate) or standing(criterion, one) in (None, Standing.MEETS):
        return ""
    far = max(ends(estimate)) if criterion.better is Better.LOWER else min(ends(estimate))
    # an interval of shares may reach beyond what shares can be
    return format_option(
        min(max(far, 0.0), 1.0) if criterion.unit is Unit.SHARE else far, criterion.unit, criterion.better
    )


def _limited(criterion: Criterion, typed: str) -> Criterion:
    if not typed:
        return criterion
    match criterion.quantity:
        case Quantity.LATENCY:
            return replace(criterion, limit=parse_duration(typed))
        case Quantity.MEMORY:
            return replace(criterion, limit=parse_bytes(typed))
        case Quantity.SCORE:
            return replace(criterion, limit=parse_score(typed, criterion.unit))


def _other_weights(made: Recommendation) -> list[str]:
    """`If memory counts more: gru (16.0 MiB instead of 22.0 MiB)`, of those who meet the limits."""
    pool = {one.variant_id: one for one in made.steps[0].left} if made.steps else {}
    counted: dict[str, list[str]] = {}
    for criterion in made.criteria:
        figures = {key: one.figures.get(criterion.quantity) for key, one in pool.items()}
        ahead = leaders(figures, criterion.better)
        if criterion.quantity not in _COUNTS or len(ahead) != 1 or pool[ahead[0]] in made.chosen:
            continue
        if all(_told_apart(criterion, pool[ahead[0]], one) for one in made.chosen):
            counted.setdefault(ahead[0], []).append(_COUNTS[criterion.quantity])
    told = [one for after in islice(_after(made), len(_AFTER)) for one in after[:_MOST_TOLD]]
    return [
        f"If {' or '.join(words)} counts more: {pool[key].label}{'' if pool[key] in told else _beside(made, pool[key])}."
        for key, words in counted.items()
    ]
