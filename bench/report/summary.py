"""The answer at the top of a report: a few sentences made from the data, and what to know before trusting them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from bench import estimates
from bench.quantity import Better, Unit, format_tick
from bench.records import Outcome
from bench.report import view as views
from bench.report.contests import ahead_by, beside_floors, memories, scores, sentence, speeds, times, where
from bench.report.crossings import crossing_sentences
from bench.report.pareto import Place, front
from bench.report.ranking import beyond, leaders
from bench.report.recommendation import Candidate, Criterion, Limits, Quantity, Recommendation, recommend
from bench.report.view import Shown, View
from bench.trust import used_trials

_LONGEST_REASON = 120


def answer(view: View, task: str) -> list[Markup]:
    """All that is said first of a task: the answer at its operating point, then where the fastest changes with length."""
    return [*lead(view, task), *crossing_sentences(view, task)]


def lead(view: View, task: str) -> list[Markup]:
    """The answer at a task's operating point: the fastest, the best by score, the best compromise, the smallest."""
    timed, metric = view.timed(task), view.headline(task)
    place = views.point(view.run, (shown.case for shown in timed))
    at = views.at(timed, place) if place else {}
    fits = views.fits_for(view.fits(task), place.sequence_length if place else None)
    here = where(view, task, place) if place else ""
    by_score = scores(fits, metric)
    found = [
        (sentence(speeds(at, here)) or _none(f"{here}: ", at.values(), timed)) if place else None,
        _joined(sentence(by_score), beside_floors(by_score, view.floors(task), metric.unit))
        or _none("Trained: ", fits.values(), ()),
        _compromise(recommend(view, task, Limits())) if place else None,
        sentence(memories(at)),
    ]
    return [one for one in found if one]


def _joined(*sentences: Markup | None) -> Markup | None:
    return Markup(" ").join([one for one in sentences if one]) or None


def _none(opening: str, cases: Iterable[Shown], all_: Sequence[Shown]) -> Markup | None:
    """Why nothing has figures at a place, and what came of the first; None while nothing has been measured there."""
    ended = [shown for shown in cases if shown.outcome is not None]
    if not ended:
        return None
    counts = Counter(shown.outcome for shown in ended)
    elsewhere = " Other places have figures." if any(shown.good for shown in all_) else ""
    if set(counts) == {Outcome.OUT_OF_MEMORY}:
        return Markup("{}nothing fits into memory.{}").format(opening, elsewhere)
    listed = ", ".join(f"{count} {views.outcome_words(outcome)}" for outcome, count in counts.items())
    first = ended[0]
    reason = f": {_short(first.reason)}" if first.reason else ""
    return Markup("{}no architecture has figures ({}). First <strong>{}</strong>{}.{}").format(
        opening, listed, first.case.variant.label, reason, elsewhere
    )


def _short(reason: str) -> str:
    line = reason.strip().partition("\n")[0].rstrip(".")
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"


# ── the best compromise ────────────────────────────────────────────────────────────────────────────────────────────


def _compromise(made: Recommendation) -> Markup | None:
    """Of those that cannot be told apart from the best by score the fastest; of a lone best, what the next gives and takes."""
    score = made.criteria[0]
    if score.quantity is not Quantity.SCORE or not made.sure or len(made.steps) < 2:
        return None
    pool, level = made.steps[0].left, made.steps[1].left
    everyone = {one.variant_id: one.figures.get(Quantity.SCORE) for one in made.candidates}
    if not {one.variant_id for one in level} <= set(leaders(everyone, score.better)):
        return None  # one whose speed is not known is better
    speeds = {
        one.variant_id: one.figures[Quantity.LATENCY] for one in made.candidates if Quantity.LATENCY in one.figures
    }
    fastest = leaders(speeds, Better.LOWER)
    if len(level) == 1:
        if fastest == [level[0].variant_id]:
            return Markup("No compromise is needed: <strong>{}</strong> is both.").format(level[0].label)
        return _trade(pool, level[0], score)
    if len(made.steps) > 3 or len(made.chosen) > 1:
        return None  # the fastest of them cannot be told
    (best,) = made.chosen
    better = "more accurate" if score.title == "accuracy" else f"better by {score.title}"
    if fastest == [best.variant_id]:
        return Markup("Best compromise: <strong>{}</strong>; no other is shown to be {}.").format(best.label, better)
    second = min((one for one in level if one is not best), key=lambda one: one.figures[Quantity.LATENCY].value or 0.0)
    return Markup(
        "Best compromise: <strong>{}</strong>; no other is shown to be {}, and of the {} not told apart it is the fastest, {}."
    ).format(best.label, better, len(level), _as_fast(best, second))


def _as_fast(one: Candidate, other: Candidate) -> Markup:
    found = times(other.figures[Quantity.LATENCY], one.figures[Quantity.LATENCY])
    return Markup("{} as fast as <strong>{}</strong>").format(found, other.label)


def _trade(pool: Sequence[Candidate], best: Candidate, score: Criterion) -> Markup | None:
    """What the next on the front gains in speed and gives up in score, which the best is beyond doubt ahead in."""
    known = {one.variant_id: one for one in pool}
    places = {
        key: Place(throughput=one.figures[Quantity.LATENCY].inverted(1.0), score=one.figures[Quantity.SCORE])
        for key, one in known.items()
    }
    _, *after = front(places, score.better)
    if not after or not beyond(places[after[0]].throughput, places[best.variant_id].throughput, Better.HIGHER):
        return None
    other = known[after[0]]
    behind = ahead_by(best.figures[Quantity.SCORE], other.figures[Quantity.SCORE], score.unit, score.better)
    return Markup("Next on the front: <strong>{}</strong>, {}, but {} behind it in {}.").format(
        other.label, _as_fast(other, best), behind, score.title
    )


def notes(view: View) -> list[str]:
    """What a reader must know before trusting a figure: how few trials or seeds, and what is missing."""
    found: list[str] = []
    trials = [len(used_trials(shown.result)) for shown in view.cases if shown.case.fit is None and shown.good]
    few = [count for count in trials if count < estimates.FEW_TRIALS]
    if 2 * len(few) > len(trials):
        span = str(min(trials)) if min(trials) == max(trials) else f"{min(trials)} to {max(trials)}"
        word = "trial" if max(trials) == 1 else "trials"
        found.append(f"A quick look: {span} {word} a case. Small differences are not to be trusted.")
    elif few:
        found.append(f"{len(few)} of {len(trials)} speed cases have fewer than {estimates.FEW_TRIALS} trials.")
    fits = [shown for shown in view.cases if shown.case.fit is not None]
    folded = {task for task, folds in view.run.plan.folds.items() if folds}
    if len(view.run.plan.seeds) == 1 and any(shown.case.task_key not in folded for shown in fits):
        found.append("One seed: how scores vary between seeds is not known.")
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
