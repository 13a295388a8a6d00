"""Where several runs meet: what they are called, what sets them apart, and which variants and places all of them have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.machines import words
from bench.records import Case, Run, Variant
from bench.report import view as views
from bench.report.tables import Cell, CellKind, Column, Row, Table
from bench.report.view import Point, Shown, View

Fact = Callable[[Run], str]

# what a run is called by, where that alone tells it from the others; else what comes next is added
_NAMES: tuple[Fact, ...] = (
    lambda run: run.machine.name,
    lambda run: f"torch {run.machine.hard.get('torch', 'unknown')}",
    lambda run: run.plan.suite,
    lambda run: run.created[:10],
    lambda run: run.created[11:16],
    lambda run: f"commit {run.commit[:10]}" if run.commit else "no commit",
    lambda run: run.run_id,
)
_FACTS: Mapping[str, Fact] = {
    "machine": lambda run: run.machine.name,
    "suite": lambda run: run.plan.suite,
    "measured": lambda run: f"{run.created[:16].replace('T', ' ')} UTC",
    "commit": lambda run: f"{run.commit[:10]}{' with changes' if run.dirty else ''}" if run.commit else "none",
    "bench": lambda run: f"{run.bench_version}, method {run.method}",
    "run": lambda run: run.run_id,
}


def names(runs: Sequence[Run]) -> list[str]:
    """What each run is called beside the others: by its machine if that differs, else by torch, suite, date; never alike."""
    found = [""] * len(runs)
    for fact in _NAMES:
        longer = [f"{name}, {fact(run)}" if name else fact(run) for name, run in zip(found, runs, strict=True)]
        if len(set(longer)) > max(1, len(set(found))):
            found = longer
        if len(set(found)) == len(runs):
            return found
    return [f"{name} ({number})".lstrip() for number, name in enumerate(found, 1)]


def same_machine(runs: Sequence[Run]) -> bool:
    """Whether times of these runs may be judged against each other."""
    return len({run.machine.fingerprint for run in runs}) == 1


def apart(runs: Sequence[Run], called: Sequence[str]) -> Table:
    """What is not the same in all runs, a row a fact."""
    found = {name: [fact(run) for run in runs] for name, fact in _FACTS.items()}
    for facts in ([run.machine.hard for run in runs], [run.machine.soft for run in runs]):
        for key in dict.fromkeys(key for one in facts for key in one):
            found.setdefault(key.replace("_", " "), [words(one.get(key)) for one in facts])
    return Table(
        title="What differs between the runs",
        task="",
        head="differs",
        columns=tuple(Column(title=name) for name in called),
        rows=tuple(
            Row(label=name, variant_id="", cells=tuple(Cell(text=text, kind=CellKind.WORDS) for text in texts))
            for name, texts in found.items()
            if len(set(texts)) > 1
        ),
    )


# ── where runs meet ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of several runs in one task.

    Attributes:
        name: what the run is called beside the others.
        timed: its speed cases by place and variant; of several devices or threads those of its operating point.
    """

    name: str
    view: View
    timed: Mapping[Point, Mapping[str, Shown]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """What several runs have in common of one task.

    Attributes:
        variants: those that every run has.
        left_out: labels of the others, with why a name that all runs have is among them.
        places: where some common variant was timed in every run; device and threads are each machine's own.
        place: the one nearest to the first run's operating point; None where none is shared.
    """

    task: str
    sides: Sequence[Side]
    variants: Sequence[Variant]
    left_out: Sequence[str]
    places: Sequence[Point]
    place: Point | None

    def at(self, side: Side, place: Point | None) -> list[Shown | None]:
        """The case of each common variant at a place."""
        found = side.timed.get(place, {}) if place else {}
        return [found.get(variant.variant_id) for variant in self.variants]


def meetings(runs: Sequence[View], called: Sequence[str]) -> list[Meeting]:
    """The tasks that every run has, in the order of the first."""
    shared = [task for task in runs[0].tasks if all(task in view.tasks for view in runs)]
    return [_meeting(runs, called, task) for task in shared]


def _meeting(runs: Sequence[View], called: Sequence[str], task: str) -> Meeting:
    sides = [Side(name=name, view=view, timed=_timed(view, task)) for name, view in zip(called, runs, strict=True)]
    cases = [[shown.case for shown in (*view.timed(task), *view.fits(task))] for view in runs]
    present = [{case.variant.variant_id: case.variant for case in each} for each in cases]
    shared = [key for key in present[0] if all(key in each for each in present)]
    places = [{place for place, found in side.timed.items() if not found.keys().isdisjoint(shared)} for side in sides]
    met = [place for place in sides[0].timed if all(place in each for each in places)]
    return Meeting(
        task=task,
        sides=sides,
        variants=[present[0][key] for key in shared],
        left_out=list(_left_out(present, shared)),
        places=met,
        place=_nearest(views.point(runs[0].run, (shown.case for shown in runs[0].timed(task))), met),
    )


def _timed(view: View, task: str) -> dict[Point, dict[str, Shown]]:
    places: dict[Point, list[Shown]] = {}
    for shown in view.timed(task):
        places.setdefault(_anywhere(shown.case), []).append(shown)
    own = {place: views.point(view.run, (shown.case for shown in cases)) for place, cases in places.items()}
    return {place: views.at(cases, point) for place, cases in places.items() if (point := own[place])}


def _anywhere(case: Case) -> Point:
    """Where a case stands on the axes, whatever the device and however many threads."""
    setting = replace(views.setting(case), device="", threads=0)
    return Point(
        workload=case.workload, sequence_length=case.sequence_length, batch_size=case.batch_size, setting=setting
    )


def _left_out(present: Sequence[Mapping[str, Variant]], shared: Sequence[str]) -> Iterator[str]:
    labels = [{variant.label for variant in each.values()} for each in present]
    rest = dict.fromkeys(variant.label for each in present for key, variant in each.items() if key not in shared)
    for label in rest:
        yield f"{label} (its hyperparameters differ)" if all(label in each for each in labels) else label


def _nearest(wanted: Point | None, places: Sequence[Point]) -> Point | None:
    """The place that is nearest by ratio, of the wanted workload and setting where there is one; of two the larger."""
    if wanted is None or not places:
        return None
    setting = replace(wanted.setting, device="", threads=0)

    def far(place: Point) -> tuple[object, ...]:
        length = abs(math.log((place.sequence_length or 1) / (wanted.sequence_length or 1)))
        batch = abs(math.log(place.batch_size / wanted.batch_size))
        larger = -(place.sequence_length or 1), -place.batch_size
        return place.workload != wanted.workload, place.setting != setting, length, batch, larger

    return min(places, key=far)
