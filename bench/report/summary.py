"""The first paragraph of a report, made from the data: who is ahead, by how much, and what cannot be said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench import estimates
from bench.quantity import METRICS, Better, Unit, format_tick, format_value
from bench.records import Outcome
from bench.report import view as views
from bench.report.ranking import ends, leaders, tolerated, widest
from bench.report.view import Shown, View
from bench.stats import Estimate
from bench.trust import used_trials


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Who is compared, by what, and how it is said."""

    cases: Mapping[str, Shown]
    found: Mapping[str, Estimate | None]
    better: Better
    title: str
    best: str
    told: Callable[[Shown], str]
    tie: str = "their intervals overlap"


def lead(view: View, task: str) -> list[Markup]:
    """A sentence each on speed, score, simple rules and memory at a task's operating point, where there is something to say."""
    timed = view.timed(task)
    place = views.point(view.run, (shown.case for shown in timed))
    at = {key: shown for key, shown in (views.at(timed, place) if place else {}).items() if shown.good}
    # the least of those that can be seen is not the least of all
    weighed = at if all(shown.memory for shown in at.values()) else {}
    fits = views.fits_for(view.fits(task), place.sequence_length if place else None)
    fits = {key: shown for key, shown in fits.items() if shown.good}
    throughput, score = METRICS["throughput_items_per_s"], view.headline(task)
    contests = [
        Contest(
            cases=at,
            found={key: shown.found.get(throughput.name) for key, shown in at.items()},
            better=throughput.better,
            title=throughput.title,
            best="the fastest",
            told=lambda shown: views.value_words(shown.found[throughput.name], throughput.unit),
        ),
        Contest(
            cases=fits,
            found={key: widest(shown, score.name) for key, shown in fits.items()},
            better=score.better,
            title=score.title,
            best="the most accurate" if score.name == "accuracy" else f"best by {score.title}",
            told=lambda shown: views.value_words(shown.found[score.name], score.unit),
        ),
        Contest(
            cases=weighed,
            found={key: tolerated(shown.memory) for key, shown in weighed.items()},
            better=Better.LOWER,
            title="peak memory",
            best="the smallest in memory",
            told=lambda shown: views.value_words(shown.memory, Unit.BYTES) if shown.memory else "",
            tie="they differ by no more than repeats of one measurement do",
        ),
    ]
    speed, scores, memory = (_sentence(contest) for contest in contests)
    beaten = _beside_floors(view, task, contests[1], score.unit)
    return [sentence for sentence in (speed, scores, beaten, memory) if sentence]


def _sentence(contest: Contest) -> Markup | None:
    known = {key: one for key, one in contest.found.items() if one is not None and one.value is not None}
    ahead = leaders(known, contest.better)
    if not ahead:
        return None
    first, *tied = ahead
    if len(known) == 1:
        return Markup("{}: {}.").format(contest.title[:1].upper() + contest.title[1:], _who(contest, first))
    if tied:
        names = [_who(contest, key) for key in ahead]
        listed = Markup(", ").join(names[:-1]) + Markup(" and ") + names[-1]
        why = contest.tie if all(known[key].low is not None for key in ahead) else "not all have an interval"
        return Markup("This run cannot say which is {}: {}; {}.").format(contest.best, listed, why)
    rest = {key: one for key, one in known.items() if key != first}
    second = leaders(rest, contest.better)[0]
    return Markup("{} is {}; next comes {}.").format(_who(contest, first), contest.best, _who(contest, second))


def _beside_floors(view: View, task: str, contest: Contest, unit: Unit) -> Markup | None:
    """Who is better than every simple rule by the near end of its interval, and who is not; None where there is no rule."""
    floors = view.floors(task)
    known = {key: one for key, one in contest.found.items() if one is not None and one.value is not None}
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


def _who(contest: Contest, key: str) -> Markup:
    shown = contest.cases[key]
    words = "; ".join([contest.told(shown), *shown.marks])
    return Markup("<strong>{}</strong> ({})").format(shown.case.variant.label, words)


def notes(view: View) -> list[str]:
    """What a reader must know before trusting a figure: how few trials or seeds, and what is missing."""
    found: list[str] = []
    trials = [len(used_trials(shown.result)) for shown in view.cases if shown.case.fit is None and shown.good]
    if trials and min(trials) < estimates.FEW_TRIALS:
        few = str(min(trials)) if min(trials) == max(trials) else f"{min(trials)} to {max(trials)}"
        found.append(f"A quick look: {few} trials a case. Small differences are not to be trusted.")
    fits = [shown for shown in view.cases if shown.case.fit is not None]
    if fits and len(view.run.plan.seeds) == 1 and not any(view.run.plan.folds.values()):
        found.append("One seed: how accuracy varies between seeds is not known.")
    items = sorted({shown.case.fit.train_items for shown in fits if shown.case.fit and shown.case.fit.train_items})
    if items:
        found.append(f"Fits saw {' or '.join(format_tick(count, Unit.COUNT) for count in items)} training items only.")
    return found + _missing([shown.outcome for shown in view.cases])


def _missing(outcomes: Sequence[Outcome | None]) -> list[str]:
    counts = Counter(views.outcome_words(outcome) for outcome in outcomes if outcome is not Outcome.OK)
    if not counts:
        return []
    listed = ", ".join(f"{count} {words}" for words, count in counts.items())
    return [f"Of {len(outcomes)} cases {len(outcomes) - counts.total()} have figures; {listed}."]
