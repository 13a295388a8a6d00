"""A run as a notebook shows it: one scoped piece of HTML with its own style and no script, readable on light and dark."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from bench.frames import Runs
from bench.report import summary
from bench.report import view as views
from bench.report.league import league_of


def fragment(runs: Runs) -> str:
    """What is said first of some runs: where they were measured, what can be said, and a league table a task."""
    folder = files("bench.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((folder / "notebook.html.j2").read_text(encoding="utf-8"))
    parts = [
        (view.run, summary.notes(view), [(summary.answer(view, task), league_of(view, task)) for task in view.tasks])
        for view in views.side_by_side(runs)
    ]
    return template.render(style=Markup((folder / "notebook.css").read_text(encoding="utf-8")), parts=parts)
