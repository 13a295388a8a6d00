"""Runs and judgements for other tools: github-action-benchmark, bencher, and plain JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.codec import Json, to_json
from bench.compare import EXACT
from bench.errors import UsageError
from bench.frames import Runs, headline, rows
from bench.observations import CaseResult
from bench.quantity import METRICS, Better, format_half_width
from bench.records import Run
from bench.report import judgement as words
from bench.verdicts import TIME, Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One value of one case, in its base unit.

    Attributes:
        extra: what else is known of it, for people.
    """

    case_id: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    extra: str = ""


def single(runs: Runs, format: str) -> tuple[Run, Sequence[CaseResult]]:
    """The one run of a format that has no place for several.

    Raises:
        UsageError: there are several.
    """
    if len(runs) != 1:
        raise UsageError(f"--format {format}: found {len(runs)} runs, expected one; name a single run")
    return runs[0]


def of_run(run: Run, results: Sequence[CaseResult]) -> list[Figure]:
    """What a gate would judge of a run, and the metric that stands for each case in tables."""
    chosen = {result.case.id: {TIME, *EXACT, headline(run, results, result.case)} for result in results}
    found: dict[tuple[str, str], Figure] = {}
    for row in rows(run, results):
        case_id, metric, value = str(row["case"]), str(row["metric"]), row["value"]
        if metric not in chosen[case_id] or not isinstance(value, int | float):
            continue
        low, high = (end if isinstance(end, int | float) else None for end in (row["low"], row["high"]))
        figure = Figure(
            case_id=case_id, metric=metric, value=value, low=low, high=high, extra=str(row["flags"]).replace(";", "\n")
        )
        # accuracy has a second row, of its interval over test items
        found.setdefault((case_id, metric), figure)
    return list(found.values())


def of_judgement(judgement: Judgement) -> list[Figure]:
    """What was judged, as it is now."""
    return [
        Figure(
            case_id=one.case_id,
            metric=one.metric,
            value=one.head,
            extra=f"{row.verdict}: {row.change} against {judgement.base}\n{row.why}",
        )
        for one in judgement.comparisons
        if one.metric and one.head is not None
        for row in [words.row(judgement, one)]
    ]


def github_benchmark(figures: Iterable[Figure], better: Better) -> str:
    """The array of github-action-benchmark: `customSmallerIsBetter` or `customBiggerIsBetter`, by what is better."""
    found: list[Json] = []
    for one in figures:
        metric = METRICS.get(one.metric)
        if metric is None or metric.better is not better:
            continue
        entry = {"name": f"{one.case_id}: {one.metric}", "unit": metric.unit.value, "value": one.value}
        spread = format_half_width(one.value, one.low, one.high, metric.unit)
        found.append(entry | ({"range": spread} if spread else {}) | ({"extra": one.extra} if one.extra else {}))
    return _dumped(found)


def bencher(figures: Iterable[Figure]) -> str:
    """The bencher metric format: measures by benchmark, in base units."""
    found: dict[str, Json] = {}
    for one in figures:
        ends = {"lower_value": one.low, "upper_value": one.high}
        measures = found.setdefault(one.case_id, {})
        assert isinstance(measures, dict)
        measures[one.metric] = {"value": one.value} | {name: end for name, end in ends.items() if end is not None}
    return _dumped(found)


def judgement_json(judgement: Judgement) -> str:
    """All of a judgement, with its sentence; a change from nothing is null."""
    content = to_json(judgement)
    assert isinstance(content, dict)
    return _dumped({"summary": words.summary(judgement)} | content)


def _dumped(content: object) -> str:
    return json.dumps(to_json(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
