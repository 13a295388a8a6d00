"""A recommendation as a table, as a block of the page, and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from bench.codec import Json, to_json
from bench.quantity import Better, format_tick
from bench.report import view as views
from bench.report.blocks import Block
from bench.report.ranking import memory_words
from bench.report.reasons import changes, choice, missed, reasons, runners_up
from bench.report.recommendation import (
    Candidate,
    Criterion,
    Limits,
    Quantity,
    Recommendation,
    Standing,
    recommend,
    standing,
)
from bench.report.tables import Cell, CellKind, Column, Row, Table, empty, value_cell, with_best
from bench.report.view import View


def block(view: View, task: str, limits: Limits | None = None) -> Block | None:
    """Which variant of a task to take, as a part of a page; None where the task has no speed cases."""
    return block_of(recommend(view, task, limits or Limits())) if view.timed(task) else None


def block_of(made: Recommendation) -> Block:
    """A recommendation as a part of a page: the choice, why it, who comes next, what would change it; with limits, a table."""
    said = (reasons(made), runners_up(made), changes(made))
    says = tuple(" ".join(sentences) for sentences in said if sentences)
    limited = any(criterion.limit is not None for criterion in made.criteria)
    return Block(
        title="Which one to take",
        says=(Markup("<strong>{}</strong>").format(choice(made)), *says),
        # without limits it would say what the league says
        tables=(table(made),) if limited else (),
    )


def table(made: Recommendation) -> Table:
    """Every variant: whether it is taken, its figures, and what each limit says of it."""
    columns: list[tuple[Column, list[Cell]]] = [
        (Column(title="choice"), [_verdict(made, one) for one in made.candidates])
    ]
    for criterion in made.criteria:
        columns += _columns(criterion, made.candidates)
    where = views.place_words(made.place.sequence_length, made.place.batch_size)
    return Table(
        title=f"{made.task}: which one to take",
        task=made.task,
        columns=tuple(column for column, _ in columns),
        rows=tuple(
            Row(label=one.label, variant_id=one.variant_id, cells=tuple(cells[place] for _, cells in columns))
            for place, one in enumerate(made.candidates)
        ),
        note=f"{made.place.workload}, {where}, {made.place.setting}. Memory: weights, optimizer state and the peak "
        "of a step. Intervals of scores: over seeds and test items.",
    )


def _verdict(made: Recommendation, one: Candidate) -> Cell:
    word = one.why or ("" if one not in made.chosen else "take" if made.sure else "perhaps")
    return Cell(text=word, kind=CellKind.WORDS, best=one in made.chosen)


def _columns(criterion: Criterion, candidates: Sequence[Candidate]) -> Iterator[tuple[Column, list[Cell]]]:
    found = {place: one.figures.get(criterion.quantity) for place, one in enumerate(candidates)}
    cells = [_cell(criterion, candidate) for candidate in candidates]
    title = "median latency" if criterion.quantity is Quantity.LATENCY else criterion.title
    yield Column(title=title), with_best(cells, found, criterion.better)
    if criterion.limit is not None:
        way = "≤" if criterion.better is Better.LOWER else "≥"
        words = [Cell(text=_standing_words(criterion, one), kind=CellKind.WORDS) for one in candidates]
        yield Column(title=f"{way} {format_tick(criterion.limit, criterion.unit)}"), words


def _cell(criterion: Criterion, one: Candidate) -> Cell:
    estimate = one.figures.get(criterion.quantity)
    if criterion.quantity is Quantity.MEMORY:
        # its range is that of repeats, the same share of all
        return Cell(text=memory_words(estimate), estimate=estimate) if estimate else empty()
    return value_cell(estimate, criterion.unit) if estimate else empty()


def _standing_words(criterion: Criterion, one: Candidate) -> str:
    if one.why:
        return ""
    said = standing(criterion, one)
    return missed(criterion, one) if said is Standing.MISSES else said.value if said else ""


def told(made: Recommendation) -> Json:
    """A recommendation for programs."""
    return to_json(
        {
            "task": made.task,
            "workload": made.place.workload,
            "sequence_length": made.place.sequence_length,
            "batch_size": made.place.batch_size,
            "setting": str(made.place.setting),
            "limits": {each.quantity.value: each.limit for each in made.criteria if each.limit is not None},
            "choice": [one.label for one in made.chosen],
            "sure": made.sure,
            "reasons": [choice(made), *reasons(made)],
            "runners_up": runners_up(made),
            "changes": changes(made),
            "candidates": [_candidate(made, one) for one in made.candidates],
        }
    )


def _candidate(made: Recommendation, one: Candidate) -> dict[str, object]:
    said = {each.quantity.value: standing(each, one) for each in made.criteria if each.limit is not None}
    return {
        "label": one.label,
        "variant_id": one.variant_id,
        "figures": {
            each.quantity.value: {"value": found.value, "low": found.low, "high": found.high, "unit": each.unit.value}
            for each in made.criteria
            if (found := one.figures.get(each.quantity))
        },
        "limits": {} if one.why else said,
        "marks": one.marks,
        "why_not": one.why or None,
    }
