"""The history of a suite as rows and as a page: what jumped first, then a small chart of every series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from statistics import fmean

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context

from bench.codec import Json, to_json
from bench.compare import EXACT
from bench.history import LEAST_RUNS, Jump, Series
from bench.quantity import METRICS, Better, Unit, format_change, format_value
from bench.report import drawing, svg
from bench.report.drawing import Panel, Spot
from bench.report.scales import Scale, measured_scale
from bench.report.svg import MUTED, Look

_TICKS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One jump in words."""

    case: str
    metric: str
    run: str
    commits: str
    before: str
    after: str
    change: str
    verdict: str

    @property
    def lines(self) -> tuple[str, str]:
        """The same for a terminal."""
        told = f"{self.before} -> {self.after}, {self.change}, {self.verdict}, since {self.run}"
        return f"{self.case}, {self.metric}", f"{told} ({self.commits})" if self.commits else told


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinePart:
    """What is said of one machine; `silent` counts the series that are too short for a jump to be told."""

    machine: str
    runs: tuple[str, ...]
    series: int
    silent: int
    rows: tuple[Row, ...]
    panels: tuple[Markup, ...] = ()


def parts(series: Sequence[Series], *, draw: bool = False) -> list[MachinePart]:
    """What there is to say, a part for each machine; charts only where a page wants them."""
    made = []
    for number, (_, group) in enumerate(groupby(series, key=lambda one: one.fingerprint)):
        members = list(group)
        newest = {point.run_id: point.created for one in members for point in one.points}
        made.append(
            MachinePart(
                machine=members[0].machine,
                runs=tuple(sorted(newest, key=lambda run: newest[run])),
                series=len(members),
                silent=sum(not one.can_jump for one in members),
                rows=tuple(row for one in members for row in _rows(one)),
                panels=tuple(_panels(members, f"h{number}-")) if draw else (),
            )
        )
    return made


def summary(part: MachinePart) -> str:
    """`12 runs on AMD EPYC, 2 cores: 3 jumps in 270 series; ...`."""
    said = (
        f"{_count(len(part.runs), 'run')} on {part.machine}: {_count(len(part.rows), 'jump')} in {part.series} series"
    )
    if not part.silent:
        return said
    return (
        f"{said}; {part.silent} are too short to tell one ({2 * LEAST_RUNS} runs for times and scores, 2 for the rest)"
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _rows(series: Series) -> Iterator[Row]:
    unit, levels = METRICS[series.metric].unit, list(series.levels())
    for jump, before, after in zip(series.jumps, levels, levels[1:], strict=False):
        yield Row(
            case=series.case.id,
            metric=METRICS[series.metric].title,
            run=after[0].run_id,
            commits=_commits(before[-1].commit, after[0].commit),
            before=format_value(fmean(point.value for point in before), unit),
            after=format_value(fmean(point.value for point in after), unit),
            change=format_change(jump.change, jump.low, jump.high, unit if series.is_score else None),
            verdict=_verdict(series, jump),
        )


def _commits(before: str | None, after: str | None) -> str:
    """What to ask git for; empty where a run was made outside of it, or both were made of one commit."""
    return f"{before[:10]}..{after[:10]}" if before and after and before != after else ""


def _verdict(series: Series, jump: Jump) -> str:
    better = METRICS[series.metric].better
    if better is Better.NEITHER:
        return ""
    return "better" if (jump.change > 0) is (better is Better.HIGHER) else "worse"


def to_document(series: Sequence[Series]) -> list[dict[str, Json]]:
    """An object a series, for programs."""
    return [
        {
            "machine": one.machine,
            "fingerprint": one.fingerprint,
            "case": one.case.id,
            "definition_hash": one.case.definition_hash,
            "metric": one.metric,
            "unit": METRICS[one.metric].unit.value,
            "points": [
                {"run": point.run_id, "created": point.created, "commit": point.commit} | _figures(point.estimate)
                for point in one.points
            ],
            "jumps": [
                {"run": one.points[jump.at].run_id, "verdict": _verdict(one, jump)} | _document(jump)
                for jump in one.jumps
            ],
        }
        for one in series
    ]


def _figures(estimate: object) -> dict[str, Json]:
    document = _document(estimate)
    return {name: document[name] for name in ("value", "low", "high")}


def _document(record: object) -> dict[str, Json]:
    document = to_json(record)
    assert isinstance(document, dict)
    return document


def page(suite: str, series: Sequence[Series]) -> str:
    """One self-contained HTML page."""
    folder = files("bench.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((folder / "history.html.j2").read_text(encoding="utf-8"))
    style = Markup((folder / "page.css").read_text(encoding="utf-8"))
    found = [(summary(part), part) for part in parts(series, draw=True)]
    return template.render(suite=suite, style=style, parts=found).lstrip() + "\n"


def _panels(members: Sequence[Series], prefix: str) -> Iterator[Markup]:
    """A chart of every series with noise, and of all others that moved; what jumped comes first."""
    shown = [one for one in members if len(one.points) > 1 and (one.jumps or one.metric not in EXACT)]
    for number, one in enumerate(sorted(shown, key=lambda one: not one.jumps)):
        yield _panel(one, f"{prefix}{number}-")


def _panel(series: Series, prefix: str) -> Markup:
    metric, look = METRICS[series.metric], Look(0 if not series.jumps else 1)
    count = len(series.points)
    spots = tuple(Spot(x=place, estimate=point.estimate) for place, point in enumerate(series.points, 1))
    ends = [
        end
        for point in series.points
        for end in (point.value, point.estimate.low, point.estimate.high)
        if end is not None
    ]
    panel = Panel(
        heading=series.case.id,
        shows=f"{metric.title}, of every run",
        series=(drawing.Series(label="", look=look, spots=spots),),
        x=_runs_scale(count),
        y=measured_scale(ends, metric.unit),
    )
    told = "; ".join(f"{row.change} with {row.run}" for row in _rows(series)) or "no jump"
    with rc_context(svg.STYLE):
        figure, axes = drawing.canvas(panel)
        drawing.draw_lines(axes, panel)
        first = 0.5
        for level in series.levels():
            axes.hlines(fmean(point.value for point in level), first, first + len(level), colors=MUTED, linewidth=1.0)
            first += len(level)
        for jump in series.jumps:
            axes.axvline(jump.at + 0.5, color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)))
    return svg.inline(figure, prefix, f"{metric.title}, {series.case.id}", f"{count} runs: {told}.")


def _runs_scale(count: int) -> Scale:
    ticks = tuple(float(place) for place in range(1, count + 1)[:: -(-count // _TICKS)])
    return Scale(low=0.5, high=count + 0.5, log=False, ticks=ticks, unit=Unit.NUMBER, title="run, the oldest first")
