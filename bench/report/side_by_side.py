"""Several runs side by side: what sets them apart, who is ahead in which of them, and a table a task where all of them meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.quantity import Better, format_ratio
from bench.records import PassKind
from bench.report import view as views
from bench.report.against import against
from bench.report.blocks import Block
from bench.report.meeting import Meeting, Side, apart, meetings, names, same_machine
from bench.report.ranking import leaders, needed, widest
from bench.report.tables import (
    Cell,
    Column,
    Row,
    Table,
    empty,
    latency_cell,
    memory_column,
    metric_cell,
    metric_column,
    with_best,
)
from bench.report.view import Shown, View
from bench.stats import Estimate, ratio
from bench.verdicts import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """What is said of several runs together.

    Attributes:
        names: what each run is called.
        apart: what differs between them.
        tasks: a block for each task that all of them have, beside where they meet in it.
        changes: how later runs of a machine differ from its first.
    """

    names: tuple[str, ...]
    apart: Block
    tasks: tuple[tuple[Meeting, Block], ...]
    changes: tuple[Block, ...]


def side_by_side(runs: Sequence[View], changes: Sequence[Judgement]) -> SideBySide:
    """Two runs or more, told together; `changes` are judgements of runs of one machine, named by their run ids."""
    told = [view.run for view in runs]
    called = names(told)
    by_id = dict(zip((run.run_id for run in told), called, strict=True))
    met = meetings(runs, called)
    facts = apart(told, called)
    says = [] if facts.rows else ["Nothing that is recorded differs."]
    if not met:
        says.append("These runs have no task in common.")
    if not same_machine(told):
        says.append(
            "Times of different machines are not judged against each other; a ratio of two holds all that differs here."
        )
    return SideBySide(
        names=tuple(called),
        apart=Block(title="What differs", says=tuple(says), tables=(facts,) if facts.rows else ()),
        tasks=tuple((one, _task(one)) for one in met),
        changes=tuple(
            against(one, f"{by_id.get(one.head, one.head)} against {by_id.get(one.base, one.base)}") for one in changes
        ),
    )


def _task(meeting: Meeting) -> Block:
    says: list[str | Markup] = [] if meeting.variants else ["No variant is in every run."]
    if meeting.left_out:
        says.append(f"Left out here, because not every run has them: {', '.join(meeting.left_out)}.")
    says += _claims(meeting)
    if meeting.variants and meeting.place is None and any(side.timed for side in meeting.sides):
        says.append("No size was timed in every run.")
    if other := _redefined(meeting):
        says.append(
            f"Not the same measurement in every run, because the task, the method or the training differs: {', '.join(other)}."
        )
    table = _table(meeting)
    return Block(title=meeting.task, says=tuple(says), tables=(table,) if table.columns else ())


def _redefined(meeting: Meeting) -> list[str]:
    """Common variants of which a case of one id is not the same case in every run."""
    found: dict[tuple[str, str], set[str]] = {}
    for side in meeting.sides:
        for shown in (*side.view.timed(meeting.task), *side.view.fits(meeting.task)):
            case = shown.case
            found.setdefault((case.variant.variant_id, case.id), set()).add(case.definition_hash)
    other = {variant_id for (variant_id, _), hashes in found.items() if len(hashes) > 1}
    return [variant.label for variant in meeting.variants if variant.variant_id in other]


# ── the table ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _table(meeting: Meeting) -> Table:
    columns: list[tuple[Column, list[Cell]]] = []
    first = meeting.sides[0]
    for side in meeting.sides:
        view, timed, fits = side.view, _timed(meeting, side), _fits(meeting, side)
        found: list[tuple[str, list[Cell]]] = []
        if any(timed):
            found.append(("throughput", metric_column(timed, "throughput_items_per_s")))
            if not same_machine([first.view.run, view.run]):
                pairs = zip(timed, _timed(meeting, first), strict=True)
                found.append(("to the first", [_ratio(*pair) for pair in pairs]))
            found.append(("latency", [latency_cell(shown) if shown else empty() for shown in timed]))
            if PassKind.MEMORY in view.run.plan.measure.passes:
                found.append(("peak memory", memory_column(view, timed)))
        if any(fits):
            found.append((view.headline(meeting.task).title, _scores(view, meeting.task, fits)))
        columns += [(Column(title=title, group=side.name), cells) for title, cells in found]
    return Table(
        title=meeting.task,
        task=meeting.task,
        columns=tuple(column for column, _ in columns),
        rows=tuple(
            Row(label=variant.label, variant_id=variant.variant_id, cells=tuple(cells[place] for _, cells in columns))
            for place, variant in enumerate(meeting.variants)
        ),
        note=" ".join(_notes(meeting)),
    )


def _timed(meeting: Meeting, side: Side) -> list[Shown | None]:
    """The case of each common variant at the common place."""
    return meeting.at(side, meeting.place)


def _fits(meeting: Meeting, side: Side) -> list[Shown | None]:
    found = views.fits_for(side.view.fits(meeting.task), meeting.place.sequence_length if meeting.place else None)
    return [found.get(variant.variant_id) for variant in meeting.variants]


def _ratio(shown: Shown | None, first: Shown | None) -> Cell:
    """How many times the throughput of the first run; empty where one of them has none."""
    figures = [one.figure("throughput_items_per_s") if one else None for one in (shown, first)]
    if figures[0] is None or figures[1] is None:
        return empty()
    found = ratio(figures[0], figures[1])
    text, _, ends = format_ratio(found.value or 0.0, found.low, found.high).partition(" (")
    return Cell(text=text, detail=ends.rstrip(")"), estimate=found)


def _scores(view: View, task: str, fits: Sequence[Shown | None]) -> list[Cell]:
    metric = view.headline(task)
    cells = [metric_cell(shown, metric.name) if shown else empty() for shown in fits]
    return with_best(cells, {place: widest(one, metric.name) for place, one in enumerate(fits) if one}, metric.better)


def _notes(meeting: Meeting) -> Iterator[str]:
    """Where the figures were taken: once where that is alike in all runs, else run by run."""
    place = meeting.place
    if place:
        where = views.place_words(place.sequence_length, place.batch_size)
        settings = [_setting(meeting, side) for side in meeting.sides]
        yield f"Speed and memory: {place.workload}, {where}, {_once(meeting, settings)}."
        if not same_machine([side.view.run for side in meeting.sides]):
            yield "To the first: throughput by that of the first run, with an interval over the trials of both."
    lengths = [
        " and ".join(
            str(length)
            for length in sorted({shown.case.sequence_length or 0 for shown in _fits(meeting, side) if shown})
        )
        for side in meeting.sides
    ]
    if any(length not in ("", "0") for length in lengths):
        yield f"Scores: trained at length {_once(meeting, lengths)}."
    marks = views.counted(
        mark
        for side in meeting.sides
        for one in (*_timed(meeting, side), *_fits(meeting, side))
        if one
        for mark in one.marks
    )
    if marks:
        yield f"Marked *: {marks}."
    yield "Bold: in its run the best of these, and whatever that run cannot tell apart from it."


def _setting(meeting: Meeting, side: Side) -> str:
    return next((str(views.setting(shown.case)) for shown in _timed(meeting, side) if shown), "not measured")


def _once(meeting: Meeting, texts: Sequence[str]) -> str:
    if len(set(texts)) == 1:
        return texts[0]
    return "; ".join(f"{text} ({side.name})" for side, text in zip(meeting.sides, texts, strict=True))


# ── who is ahead ───────────────────────────────────────────────────────────────────────────────────────────────────

Found = Mapping[str, Estimate | None]


def _claims(meeting: Meeting) -> Iterator[Markup]:
    """Who is the fastest, the best and the smallest in which runs, by intervals."""
    score = meeting.sides[0].view.headline(meeting.task)
    best = "the most accurate" if score.name == "accuracy" else f"the best by {score.title}"
    timed = [_good(_timed(meeting, side)) for side in meeting.sides]
    fits = [_good(_fits(meeting, side)) for side in meeting.sides]
    # the least of those that can be seen is not the least of all
    weighed = [each if all(needed(shown) for shown in each.values()) else {} for each in timed]
    alike = len({side.view.headline(meeting.task).name for side in meeting.sides}) == 1
    scores: list[Found] = [{key: widest(one, score.name) for key, one in each.items()} for each in fits]
    contests: list[tuple[str, Better, list[Found]]] = [
        (
            "the fastest",
            Better.HIGHER,
            [{key: one.figure("throughput_items_per_s") for key, one in each.items()} for each in timed],
        ),
        *([(best, score.better, scores)] if alike else []),
        (
            "the smallest in memory",
            Better.LOWER,
            [{key: needed(one) for key, one in each.items()} for each in weighed],
        ),
    ]
    labels = {variant.variant_id: variant.label for variant in meeting.variants}
    # who is left out may be better than all of them
    among = " of those that every run has" if meeting.left_out else ""
    for what, better, found in contests:
        ahead = [_ahead(each, better) for each in found]
        if any(ahead):
            yield _claim(
                f"{what}{among}",
                [side.name for side in meeting.sides],
                [[labels[key] for key in each] for each in ahead],
            )


def _good(cases: Sequence[Shown | None]) -> dict[str, Shown]:
    return {shown.case.variant.variant_id: shown for shown in cases if shown and shown.good}


def _ahead(found: Found, better: Better) -> list[str]:
    """Who may be the best of several; nobody is the best of one."""
    known = {key: one for key, one in found.items() if one is not None and one.value is not None}
    return leaders(known, better) if len(known) > 1 else []


def _claim(what: str, called: Sequence[str], ahead: Sequence[Sequence[str]]) -> Markup:
    """`nbow is the fastest in both runs`, or in which runs who is, who may be, and where nothing can be said."""
    where: dict[tuple[str, ...], list[str]] = {}
    for name, labels in zip(called, ahead, strict=True):
        where.setdefault(tuple(sorted(labels, key=str.casefold)), []).append(name)
    alone = {labels[0]: runs for labels, runs in where.items() if len(labels) == 1}
    if not alone:
        parts = [Markup("No run can say who is {}").format(what)]
    elif len(alone) > 1:
        each = (Markup("{} ({})").format(_strong(label), "; ".join(runs)) for label, runs in alone.items())
        parts = [Markup("Who is {} differs: {}").format(what, Markup(", ").join(each))]
    else:
        ((label, runs),) = alone.items()
        parts = [Markup("{} is {} in {}").format(_strong(label), what, _runs(runs, called))]
    for labels, runs in where.items():
        if len(labels) > 1:
            *most, last = map(_strong, labels)
            who = Markup("{} or {}").format(Markup(", ").join(most), last)
            parts.append(Markup("it may be {} in {}").format(who, _runs(runs, called)))
    if () in where:
        parts.append(Markup("too few figures in {}").format(_runs(where[()], called)))
    return Markup("; ").join(parts) + "."


def _runs(some: Sequence[str], called: Sequence[str]) -> str:
    """`both runs`, `1 of 3 runs (the name of it)`."""
    if len(some) == len(called):
        return "both runs" if len(called) == 2 else f"all {len(called)} runs"
    return f"{len(some)} of {len(called)} runs ({'; '.join(some)})"


def _strong(label: str) -> Markup:
    return Markup("<strong>{}</strong>").format(label)
