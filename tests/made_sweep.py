"""Made-up runs over lengths whose truth is known, and what the page says of them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from made_run import LENGTHS, made_run

from bench.observations import CaseResult, Trial
from bench.records import Outcome
from bench.report.blocks import Block
from bench.report.lengths import lengths
from bench.report.tables import Cell, Table
from bench.report.view import View, view

Seconds = Callable[[int, int], float]
"""Seconds of a call at a length and batch size."""


def swept(
    curves: Mapping[str, Seconds],
    sizes: tuple[int, ...] = LENGTHS,
    trials: int = 5,
    spread: float = 0.005,
    change: Callable[[CaseResult], CaseResult] = lambda result: result,
) -> View:
    """A made run whose variants take these times."""
    run, results = made_run(tuple(curves), sizes)

    def timed(result: CaseResult) -> CaseResult:
        case = result.case
        if case.fit is not None or case.sequence_length is None:
            return result
        draw = random.Random(case.id)
        seconds = curves[case.variant.label](case.sequence_length, case.batch_size)
        made = tuple(
            trial_like(result.trials[0], number, seconds * math.exp(draw.gauss(0, spread))) for number in range(trials)
        )
        return change(replace(result, trials=made))

    return view(run, [timed(result) for result in results])


def trial_like(like: Trial, number: int, seconds: float) -> Trial:
    return replace(like, round=number, samples_s=(seconds,) * 10)


def starved(label: str) -> Callable[[CaseResult], CaseResult]:
    """A change that lets one variant run out of memory everywhere."""

    def change(result: CaseResult) -> CaseResult:
        if result.case.variant.label != label:
            return result
        lost = [Trial(case_id="", round=number, outcome=Outcome.OUT_OF_MEMORY, reason="no") for number in (0, 1)]
        return replace(result, trials=tuple(lost), passes=())

    return change


def power(at_256: float, k: float) -> Seconds:
    return lambda length, batch: at_256 * batch * (length / 256) ** k


CROSSING = {"gru": power(1e-3, 1.5), "textcnn": power(1.4e-3, 0.5), "lstm": power(4e-3, 1.0)}


def block(shown: View, title: str) -> Block:
    (found,) = [one for one in lengths(shown, "imdb") if one.title == title]
    return found


def cells(table: Table) -> list[dict[str, Cell]]:
    heads = [f"{column.group} {column.title}".strip() for column in table.columns]
    return [dict(zip(heads, row.cells, strict=True)) for row in table.rows]
