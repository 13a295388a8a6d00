"""The page: one self-contained HTML file, made from a template and a style sheet beside this module."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from bench.codec import to_json
from bench.frames import Runs
from bench.quantity import format_duration
from bench.records import Machine
from bench.report import advice, charts, doubts, summary
from bench.report import view as views
from bench.report.against import against
from bench.report.beside import Beside
from bench.report.blocks import Block
from bench.report.exhibits import Gallery, gallery
from bench.report.grids import every_case
from bench.report.inside import inside
from bench.report.league import league_of
from bench.report.lengths import lengths
from bench.report.side_by_side import SideBySide, side_by_side
from bench.report.side_charts import side_charts
from bench.report.svg import Look
from bench.report.tables import Table
from bench.report.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPart:
    """What the page says of one task: the answer, blocks on speed and memory, what was right and wrong, blocks on the rest."""

    name: str
    anchor: str
    lead: Sequence[Markup]
    league: Table
    blocks: Sequence[Block]
    gallery: Gallery | None
    details: Sequence[Block]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPart:
    """What the page says of one run; it has a `name` where there are several, and `blocks` on the run as a whole."""

    anchor: str
    name: str
    view: View
    notes: Sequence[str]
    looks: Mapping[str, Look]
    tasks: Sequence[TaskPart]
    blocks: Sequence[Block]
    machine: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    settings: Sequence[str]


def render(runs: Runs, beside: Beside) -> str:
    """The whole page as text; see `bench.report.render`."""
    folder = files("bench.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["duration"] = format_duration
    template = environment.from_string((folder / "page.html.j2").read_text(encoding="utf-8"))
    told = views.side_by_side(runs)
    together = side_by_side(told, beside.changes) if len(runs) > 1 else None
    called = together.names if together else [""] * len(told)
    parts = [
        _run_part(view, beside, f"r{number}" if together else "r", name)
        for number, (view, name) in enumerate(zip(told, called, strict=True), 1)
    ]
    used = {look.place: look for part in parts for look in part.looks.values()}
    script = (folder / "page.js").read_text(encoding="utf-8")
    text = template.render(
        title=", ".join(dict.fromkeys(part.view.run.plan.suite for part in parts)),
        style=Markup((folder / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        parts=parts,
        together=list(_together(together)) if together else [],
        every_look={key: look for part in parts for key, look in part.looks.items()},
        looks=[used[place] for place in sorted(used)],
        sources=beside.sources,
    )
    return text.lstrip() + "\n"


def _together(told: SideBySide) -> Iterator[Block]:
    """What stands above the parts of several runs."""
    yield told.apart
    for number, (meeting, block) in enumerate(told.tasks):
        yield block
        if charts := side_charts(meeting, f"s{number}-"):
            yield Block(title="", charts=charts)
    yield from told.changes


def _run_part(view: View, beside: Beside, anchor: str, name: str) -> RunPart:
    return RunPart(
        anchor=anchor,
        name=name,
        view=view,
        notes=summary.notes(view),
        looks=charts.looks(view),
        tasks=[_task_part(view, task, beside, f"{anchor}-{number}") for number, task in enumerate(view.tasks, 1)],
        blocks=[
            against(one, f"Against the baseline {one.base}") for one in beside.baselines if one.head == view.run.run_id
        ],
        machine=list(_machine(view.run.machine)),
        settings=list(_settings(view)),
    )


def _task_part(view: View, task: str, beside: Beside, anchor: str) -> TaskPart:
    drawn = charts.charts(view, task, beside.chance.get(task), anchor)
    parts = (advice.block(view, task, beside.limits.get(task)), Block(title="", charts=tuple(drawn)) if drawn else None)
    return TaskPart(
        name=task,
        anchor=anchor,
        lead=summary.answer(view, task),
        league=league_of(view, task),
        blocks=[*(part for part in parts if part), *lengths(view, task)],
        gallery=gallery(view, task, f"{anchor}x"),
        details=[*inside(view, task), *every_case(view, task), *doubts.trust(view, task)],
    )


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
