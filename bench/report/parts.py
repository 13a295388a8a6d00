"""What a page says, in its order: parts for each run and task, made of blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.codec import to_json
from bench.records import Machine
from bench.report import advice, charts, doubts, heatmaps, learning, roofline, summary, sweeps, tradeoff
from bench.report.against import against
from bench.report.beside import Beside
from bench.report.blocks import Block
from bench.report.exhibits import Gallery, gallery
from bench.report.grids import every_case
from bench.report.inside import inside
from bench.report.league import league_of
from bench.report.lengths import lengths
from bench.report.side_by_side import SideBySide
from bench.report.side_charts import side_charts
from bench.report.svg import Look
from bench.report.tables import Table
from bench.report.view import View

Placed = tuple[str, Block]
"""A block with the id that links lead to."""
Link = tuple[str, str]
"""Where a link leads, and its words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPart:
    """What the page says of one task: the answer, blocks on speed and memory, what was right and wrong, blocks on the rest.

    `choice` stands between the answer and the league.
    """

    name: str
    anchor: str
    lead: Sequence[Markup]
    choice: Sequence[Placed]
    league: Table
    blocks: Sequence[Placed]
    gallery: Gallery | None
    details: Sequence[Placed]

    @property
    def links(self) -> list[Link]:
        """What stands below the answer."""
        shown = [(f"{self.anchor}-right-and-wrong", "Right and wrong")] if self.gallery else []
        league = (f"{self.anchor}-league", "League")
        return [*_links(self.choice), league, *_links(self.blocks), *shown, *_links(self.details)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPart:
    """What the page says of one run; it has a `name` where there are several, and `blocks` on the run as a whole."""

    anchor: str
    name: str
    view: View
    notes: Sequence[str]
    looks: Mapping[str, Look]
    tasks: Sequence[TaskPart]
    blocks: Sequence[Placed]
    machine: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    settings: Sequence[str]

    @property
    def links(self) -> list[Link]:
        """The large parts of what is said of this run."""
        method = (f"{self.anchor}-method", "How these numbers were taken")
        machine = (f"{self.anchor}-machine", "Machine and software")
        tasks = [(task.anchor, task.name) for task in self.tasks]
        return [*tasks, *_links(self.blocks), method, machine, ("raw-data", "Raw data")]


def together(told: SideBySide) -> list[Placed]:
    """What stands above the parts of several runs."""
    blocks = [told.apart]
    for number, (meeting, block) in enumerate(told.tasks):
        drawn = side_charts(meeting, f"s{number}-")
        blocks += [block, *([Block(title="", charts=drawn)] if drawn else [])]
    return _placed([*blocks, *told.changes], "together")


def run_part(view: View, beside: Beside, anchor: str, name: str) -> RunPart:
    """All of one run; `name` tells it from the others of a page."""
    judged = [one for one in beside.baselines if one.head == view.run.run_id]
    return RunPart(
        anchor=anchor,
        name=name,
        view=view,
        notes=summary.notes(view),
        looks=charts.looks(view),
        tasks=[_task_part(view, task, beside, f"{anchor}-{number}") for number, task in enumerate(view.tasks, 1)],
        blocks=_placed([against(one, f"Against the baseline {one.base}") for one in judged], anchor),
        machine=list(_machine(view.run.machine)),
        settings=list(_settings(view)),
    )


def _task_part(view: View, task: str, beside: Beside, anchor: str) -> TaskPart:
    choice = tradeoff.tradeoff(view, task, beside.chance.get(task), f"{anchor}a")
    selection = charts.select(view, task, anchor, told=choice is not None)
    taken = advice.block(view, task, beside.limits.get(task))
    swept = (sweeps.speed(selection), sweeps.memory(selection), heatmaps.heatmaps(selection))
    learnt = learning.learning(view, task, anchor)
    costs = (roofline.rooflines(selection), sweeps.energy(selection))
    return TaskPart(
        name=task,
        anchor=anchor,
        lead=summary.answer(view, task),
        choice=_placed(_some(choice), anchor),
        league=league_of(view, task),
        blocks=_placed(_some(taken, *swept, *lengths(view, task), learnt), anchor),
        gallery=gallery(view, task, f"{anchor}x"),
        details=_placed(
            [*_some(*costs), *inside(view, task), *every_case(view, task), *doubts.trust(view, task)], anchor
        ),
    )


def _some(*blocks: Block | None) -> list[Block]:
    return [block for block in blocks if block is not None]


def slug(words: str) -> str:
    """A name for a file or an anchor."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "part"


def _placed(blocks: Iterable[Block], anchor: str) -> list[Placed]:
    """Blocks with their ids: what they are called, so that a link to one stays right in the next report."""
    met: dict[str, int] = {}
    found = []
    for block in blocks:
        name = slug(block.title)
        met[name] = met.get(name, 0) + 1
        found.append((f"{anchor}-{name}{f'-{met[name]}' if met[name] > 1 else ''}", block))
    return found


def _links(placed: Iterable[Placed]) -> list[Link]:
    return [(anchor, block.title) for anchor, block in placed if block.title]


def _machine(machine: Machine) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    heads = (
        ("Must match before two runs are compared", machine.hard),
        ("Said, and widens thresholds", machine.soft),
        ("Only recorded", machine.state),
    )
    for head, entries in heads:
        if entries:
            yield head, [(name.replace("_", " "), _plain(to_json(value))) for name, value in entries.items()]


def _plain(value: object) -> str:
    match value:
        case None | [] | "":
            return "none"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(_plain, value))
        case dict():
            return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
        case _:
            return str(value)


def _settings(view: View) -> Iterator[str]:
    """How fits were made, one line for each kind of fit."""
    for fit in dict.fromkeys(shown.case.fit for shown in view.cases if shown.case.fit):
        parts = [f"{fit.epochs} epochs", f"batch {fit.batch_size}", fit.optimizer]
        parts.append(f"learning rate {' or '.join(f'{rate:g}' for rate in fit.learning_rates)}")
        parts.append(f"weight decay {fit.weight_decay:g}")
        parts += [f"gradients clipped at {fit.clip_norm:g}"] if fit.clip_norm else []
        parts += [f"{fit.train_items} training items"] if fit.train_items else []
        yield ", ".join(parts)
