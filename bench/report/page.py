"""The page: one self-contained HTML file, made from a template, a style sheet and a script beside this module."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from bench.frames import Runs
from bench.quantity import format_duration
from bench.report import view as views
from bench.report.beside import Beside
from bench.report.parts import run_part, slug, together
from bench.report.raw import downloads
from bench.report.side_by_side import side_by_side
from bench.report.tables import CellKind, Table

SCRIPTS = ("elements", "ratios", "tables", "tools", "charts", "downloads", "start")
"""The parts of the page's script, in the order in which they need each other."""


def render(runs: Runs, beside: Beside) -> str:
    """The whole page as text; see `bench.report.render`."""
    folder = files("bench.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"duration": format_duration, "stars": _stars}
    template = environment.from_string((folder / "page.html.j2").read_text(encoding="utf-8"))
    told = views.side_by_side(runs)
    several = side_by_side(told, beside.changes) if len(runs) > 1 else None
    called = several.names if several else [""] * len(told)
    parts = [
        run_part(view, beside, f"r{number}" if several else "r", name)
        for number, (view, name) in enumerate(zip(told, called, strict=True), 1)
    ]
    every_look = {key: look for part in parts for key, look in part.looks.items()}
    used = {look.place: look for look in every_look.values()}
    script = _script()
    suites = list(dict.fromkeys(part.view.run.plan.suite for part in parts))
    text = template.render(
        title=", ".join(suites),
        style=Markup((folder / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        parts=parts,
        together=together(several) if several else [],
        part_links=[(part.anchor, part.name) for part in parts],
        every_look=every_look,
        looks=[used[place] for place in sorted(used)],
        sources=beside.sources,
        raw=downloads(runs, "-".join(map(slug, suites))),
    )
    return text.lstrip() + "\n"


def _script() -> str:
    """The parts of the page's script in one, which sees nothing of the page's globals and leaves none there."""
    folder = files("bench.report") / "script"
    parts = [(folder / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return f'(() => {{\n"use strict";\n{"".join(parts)}}})();'


def _stars(table: Table) -> tuple[Mapping[tuple[str, ...], str], list[str]]:
    """What follows the star of each set of marks, and the lines below the table that say what the stars mean.

    No lines where a column of the table has the words.
    """
    cells = (cell for row in table.rows for cell in row.cells if cell.marks and cell.kind is CellKind.VALUE)
    found = list(dict.fromkeys(cell.marks for cell in cells))
    if any(column.title == "marks" for column in table.columns):
        return dict.fromkeys(found, ""), []
    numbers = {marks: str(place) if len(found) > 1 else "" for place, marks in enumerate(found, 1)}
    return numbers, [f"*{number} {'; '.join(marks)}" for marks, number in numbers.items()]
