"""The first paragraph of a report, made from the data: who is ahead, by how much, and what cannot be said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from bench import estimates
from bench.quantity import METRICS, Better, Unit, format_tick
from bench.records import Outcome
from bench.report import view as views
from bench.report.view import Shown, View
from bench.stats import Estimate


def lead(view: View, task: str) -> list[Markup]:
    """One sentence each on speed, accuracy and memory of a task at its operating point; none where nothing is known."""
    timed = view.timed(task)
    place = views.point(view.run, (shown.case for shown in timed))
    at = {key: shown for key, shown in (views.at(timed, place) if place else {}).items() if shown.good}
    fits = views.fits_for(view.fits(task), place.sequence_length if place else None)
    fits = {key: shown for key, shown in fits.items() if shown.good}
    throughput, score = METRICS["throughput_items_per_s"], view.headline(task)
    speeds = {key: shown.found.get(throughput.name) for key, shown in at.items()}
    scores = {key: views.widest(shown, score.name) for key, shown in fits.items()}
    memories = {key: views.tolerated(shown.memory) for key, shown in at.items()}
    sentences = [
        _ahead(view, at, speeds, throughput.better, "the fastest", lambda key: _value(speeds[key], throughput.unit)),
        _ahead(view, fits, scores, score.better, f"best by {score.title}", lambda key: _score(fits[key], score.name)),
        _ahead(view, at, memories, Better.LOWER, "the smallest in memory", lambda key: _value(at[key].memory, Unit.BYTES)),
    ]
    return [sentence for sentence in sentences if sentence]
