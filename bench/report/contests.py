"""Who is ahead by one quantity, in a sentence: by how much where intervals tell, and who cannot be told apart where not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from bench.quantity import METRICS, Better, Metric, Unit, format_change, format_ratio, format_value
from bench.report import view as views
from bench.report.ranking import ends, leaders, memory_words, needed, unsure, widest
from bench.report.view import Point, Shown, View
from bench.stats import Estimate, difference, ratio

# more are counted, not named
_MOST_NAMED = 3
_OF_TIME = ("few trials", "never became steady", "noisy", "wide interval", "disturbed", "rejection matters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Who is compared, by what, and how it is said.

    Attributes:
        cases: those that ended well, of `entered` in all.
        found: what they are compared by.
        told: a figure in words, with its marks.
        lead: how far one is ahead of another, in words that go on with the other's name.
        tie: why some cannot be told apart.
        opening, aside: what the sentence begins and ends with.
    """

    cases: Mapping[str, Shown]
    entered: int
    found: Mapping[str, Estimate | None]
    better: Better
    title: str
    best: str
    told: Callable[[Shown], str]
    lead: Callable[[Estimate, Estimate], str]
    tie: str = "their intervals overlap"
    opening: str = ""
    aside: str = ""

    @property
    def known(self) -> dict[str, Estimate]:
        """Those with a figure."""
        return {key: one for key, one in self.found.items() if one is not None and one.value is not None}


def speeds(at: Mapping[str, Shown], opening: str) -> Contest:
    """By throughput."""
    metric, cases = METRICS["throughput_items_per_s"], _good(at)
    return Contest(
        cases=cases,
        entered=len(at),
        found={key: shown.found.get(metric.name) for key, shown in cases.items()},
        better=metric.better,
        title=metric.title,
        best="the fastest",
        told=lambda shown: _figure(shown, metric),
        lead=lambda one, other: f", {times(one, other)} as fast as",
        opening=f"{opening}: ",
    )


def scores(fits: Mapping[str, Shown], metric: Metric) -> Contest:
    """By the headline metric of a task, over seeds and test items alike."""
    cases = _good(fits)
    found = {key: widest(shown, metric.name) for key, shown in cases.items()}
    return Contest(
        cases=cases,
        entered=len(fits),
        found=found,
        better=metric.better,
        title=metric.title,
        best="the most accurate" if metric.name == "accuracy" else f"the best by {metric.title}",
        told=lambda shown: _figure(shown, metric),
        lead=lambda one, other: f", {ahead_by(one, other, metric.unit, metric.better)} ahead of",
        aside=_seeds(cases, found),
    )


def _seeds(cases: Mapping[str, Shown], found: Mapping[str, Estimate | None]) -> str:
    """Whose scores are of one seed, if any are: nothing is known of how those vary between seeds."""
    known = [key for key, one in found.items() if one]
    single = [key for key in known if (one := found[key]) and one.reason and not unsure(one)]
    if len(single) == len(known):
        return "; one seed each" if single else ""
    return f"; {views.listed([cases[key].case.variant.label for key in single])}: one seed" if single else ""


def memories(at: Mapping[str, Shown]) -> Contest:
    """By all the memory that they hold; of nobody where that of some is not known."""
    cases = _good(at)
    # the least of those that can be seen is not the least of all
    weighed = cases if all(needed(shown) for shown in cases.values()) else {}
    apart = any(shown.case.device == "cpu" and shown.figure("weights_bytes") for shown in weighed.values())
    return Contest(
        cases=weighed,
        entered=len(at),
        found={key: needed(shown) for key, shown in weighed.items()},
        better=Better.LOWER,
        title="memory",
        best="the smallest in memory",
        told=_memory,
        lead=lambda *_: ", ahead of",
        tie="they differ by no more than repeats of one measurement do",
        aside="; weights counted" if apart else "",
    )


def _good(cases: Mapping[str, Shown]) -> dict[str, Shown]:
    return {key: shown for key, shown in cases.items() if shown.good}


def where(view: View, task: str, place: Point) -> str:
    """`Inference at length 256, batch 32`, with the setting where there are several."""
    words = views.place_words(place.sequence_length, place.batch_size, place.setting.new_tokens)
    return f"{place.workload.capitalize()} at {words}{view.apart(task, place.setting)}"


def _figure(shown: Shown, metric: Metric) -> str:
    """A value with its interval and marks; of those that doubt a time the particulars are left to the tables."""
    marks = (mark.partition(":")[0] if mark.startswith(_OF_TIME) else mark for mark in shown.marks)
    return "; ".join([views.value_words(shown.found[metric.name], metric.unit), *marks])


def _memory(shown: Shown) -> str:
    """All its memory, with the marks that do not doubt its times alone."""
    marks = (mark for mark in shown.marks if not mark.startswith(_OF_TIME))
    known = needed(shown)
    return "; ".join([*([memory_words(known)] if known else []), *marks])


def times(one: Estimate, other: Estimate) -> str:
    """`1.42 times (1.38 to 1.46)`: what one is of another, both known."""
    found = ratio(one, other)
    return format_ratio(found.value or 0.0, found.low, found.high)


def ahead_by(one: Estimate, other: Estimate, unit: Unit, better: Better) -> str:
    """`1.2 points (0.4 to 2.0)`: by how much one is better than another."""
    found = difference(one, other) if better is Better.HIGHER else difference(other, one)
    return format_change(found.value or 0.0, found.low, found.high, unit).removeprefix("+")


def sentence(contest: Contest) -> Markup | None:
    """Who is ahead and by how much, or who cannot be told apart; None where nobody has a figure."""
    known = contest.known
    ahead = leaders(known, contest.better)
    if not ahead:
        return None
    first, *tied = ahead
    if len(known) == 1:
        opening = contest.opening or f"{contest.title[:1].upper()}{contest.title[1:]}: "
        only = "" if contest.entered == 1 else f", the only one of {contest.entered} with figures"
        return Markup("{}{}{}{}.").format(opening, _who(contest, first), only, contest.aside)
    if tied:
        return _tie(contest, ahead)
    rest = {key: one for key, one in known.items() if key != first}
    second, *level = leaders(rest, contest.better)
    of = "" if len(known) == contest.entered else f" of the {len(known)} with figures"
    lead = contest.lead(known[first], rest[second]) + ("" if level else " the next,")
    return Markup("{}{} is {}{}{} {}{}.").format(
        contest.opening, _who(contest, first), contest.best, of, lead, _who(contest, second), contest.aside
    )


def _tie(contest: Contest, ahead: list[str]) -> Markup:
    names = [_who(contest, key) for key in ahead[:_MOST_NAMED]]
    names += [Markup("{} more").format(len(ahead) - _MOST_NAMED)] if len(ahead) > _MOST_NAMED else []
    listed = Markup(", ").join(names[:-1]) + Markup(" and ") + names[-1]
    why = "not all have an interval" if any(unsure(contest.known[key]) for key in ahead) else contest.tie
    opening = f"{contest.opening}this" if contest.opening else "This"
    return Markup("{} run cannot say which is {}: {}; {}{}.").format(opening, contest.best, listed, why, contest.aside)


def _who(contest: Contest, key: str) -> Markup:
    shown = contest.cases[key]
    return Markup("<strong>{}</strong> ({})").format(shown.case.variant.label, contest.told(shown))


def beside_floors(contest: Contest, floors: Mapping[str, float], unit: Unit) -> Markup | None:
    """Who is better than every simple rule by the near end of its interval, and who is not; None where there is no rule."""
    known = contest.known
    if not floors or not known or contest.better is Better.NEITHER:
        return None
    sign = 1 if contest.better is Better.HIGHER else -1
    name = max(floors, key=lambda name: sign * floors[name])
    rule = f"{name} ({format_value(floors[name], unit)})"
    short = [key for key, one in known.items() if min(sign * end for end in ends(one)) <= sign * floors[name]]
    single = "It is a single value." if len(known) == 1 else "Some of these are single values."
    alone = "" if all(one.low is not None for one in known.values()) else f" {single}"
    if not short:
        who = "It" if len(known) == 1 else "Every one of them"
        return Markup("{} is better than the best simple rule, {}.{}").format(who, rule, alone)
    names = Markup(", ").join(
        Markup("<strong>{}</strong>").format(contest.cases[key].case.variant.label) for key in short
    )
    return Markup("Not shown to be better than a simple rule, {}: {}.{}").format(rule, names, alone)
