"""What there is to choose: score against throughput with memory as size; less where less was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup
from matplotlib import rc_context

from bench import estimates
from bench.quantity import METRICS, Better, Metric, Unit
from bench.records import Variant
from bench.report import drawing, pareto, svg
from bench.report import view as views
from bench.report.blocks import Block, Chart
from bench.report.charts import looks
from bench.report.describe import extremes
from bench.report.dots import DotRow, draw_dots
from bench.report.drawing import Panel
from bench.report.ranking import ends, tolerated, widest
from bench.report.scales import Scale, even_scale, measured_scale
from bench.report.scatter import Dot, draw_scatter
from bench.report.svg import Look
from bench.report.tables import Column, Row, Table, empty, marks_cell, memory_column, metric_column, value_cell
from bench.report.view import Point, Shown, View
from bench.stats import Estimate

_THROUGHPUT = METRICS["throughput_items_per_s"]
_HEIGHT = 330


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A variant at the operating point: its speed case and its fit, as far as there are any."""

    variant: Variant
    look: Look
    timed: Shown | None
    fitted: Shown | None

    @property
    def speed(self) -> Estimate | None:
        """Its throughput, where that is known."""
        return self.timed.figure(_THROUGHPUT.name) if self.timed else None

    @property
    def memory(self) -> Estimate | None:
        """Its peak memory, where that is known."""
        return self.timed.memory if self.timed else None

    @property
    def hollow(self) -> bool:
        """Whether either case has a mark."""
        return any(shown.marks for shown in (self.timed, self.fitted) if shown)

    def score(self, metric: Metric) -> tuple[Estimate, ...]:
        """The score over seeds, then over test items."""
        found = self.fitted.figure(metric.name) if self.fitted else None
        if self.fitted is None or found is None:
            return ()
        # only where other test items widen what is said of a score have they an interval of their own
        widened = widest(self.fitted, metric.name) is not found
        items = estimates.item_interval(self.fitted.result) if widened else None
        return (found, items) if items else (found,)


def tradeoff(view: View, task: str, chance: float | None, prefix: str) -> Block | None:
    """Score against throughput; without scores memory against throughput; without speeds scores alone."""
    place = views.point(view.run, (shown.case for shown in view.timed(task)))
    standings, metric = _standings(view, task, place), view.headline(task)
    floors = ({} if chance is None else {"chance": chance}) | view.floors(task)
    both = [one for one in standings if one.speed and one.score(metric)]
    scored = [one for one in standings if one.score(metric)]
    held = [one for one in standings if one.speed and one.memory]
    if place and both:
        chart = _score_against_speed(both, metric, floors, place, prefix)
    elif scored:
        chart = _scores(scored, metric, floors, prefix)
    elif place and len(held) > 1:
        chart = _memory_against_speed(held, place, prefix)
    else:
        return None
    return Block(title="What there is to choose", charts=(replace(chart, tables=(_table(view, task, standings),)),))


def _standings(view: View, task: str, place: Point | None) -> list[Standing]:
    at = views.at(view.timed(task), place) if place else {}
    fitted = views.fits_for(view.fits(task), place.sequence_length if place else None)
    look = looks(view)
    return [
        Standing(variant=variant, look=look[key], timed=at.get(key), fitted=fitted.get(key))
        for variant in view.variants
        if (key := variant.variant_id) in at or key in fitted
    ]


def _table(view: View, task: str, standings: Sequence[Standing]) -> Table:
    """The figures behind the dots."""
    timed, fitted = [one.timed for one in standings], [one.fitted for one in standings]
    metric = view.headline(task)
    columns = {"throughput": metric_column(timed, _THROUGHPUT.name)} if any(timed) else {}
    if any(fitted):
        columns[metric.title] = metric_column(fitted, metric.name)
        items = [one.score(metric)[1:] for one in standings]
        if any(items):
            columns["over test items"] = [value_cell(one[0], metric.unit) if one else empty() for one in items]
    columns["peak memory"] = memory_column(view, timed)
    columns["marks"] = [marks_cell(one.timed, one.fitted) for one in standings]
    kept = {title: cells for title, cells in columns.items() if any(cell.text for cell in cells)}
    return Table(
        title=f"{task}: the operating point",
        task=task,
        columns=tuple(Column(title=title) for title in kept),
        rows=tuple(
            Row(label=one.variant.label, variant_id=one.variant.variant_id, cells=cells)
            for one, cells in zip(standings, zip(*kept.values(), strict=True), strict=True)
        ),
        note="± is half of a 95 % interval.",
    )


# ── score against throughput ───────────────────────────────────────────────────────────────────────────────────────


def _score_against_speed(
    standings: Sequence[Standing], metric: Metric, floors: Mapping[str, float], place: Point, prefix: str
) -> Chart:
    dots = {one.variant.variant_id: _dot(one, one.score(metric), metric) for one in standings}
    places = {
        one.variant.variant_id: pareto.Place(throughput=one.speed, score=score)
        for one in standings
        if one.speed and one.fitted and (score := widest(one.fitted, metric.name))
    }
    front = [dots[key] for key in pareto.front(places, metric.better)]
    beaten = {dots[key].label: dots[by].label for key, by in pareto.beaten(places, metric.better).items()}
    y = _score_scale([end for dot in dots.values() for one in dot.ys for end in ends(one)], metric, floors.values())
    wide = {dots[key].label: one.score for key, one in places.items()}
    panel = _panel(tuple(dots.values()), place, metric.title, y)
    drawn = _draw(panel, tuple(dots.values()), wide, prefix, floors, front)
    caption = _caption(standings, metric, front, beaten, bool(floors))
    return Chart(title=f"{_capital(metric.title)} against throughput", panels=(drawn,), caption=caption)


def _dot(one: Standing, ys: tuple[Estimate, ...], metric: Metric) -> Dot:
    speed = one.speed or Estimate(value=None)
    parts = [views.value_words(speed, Unit.ITEMS_PER_SECOND), f"{metric.title} {views.value_words(ys[0], metric.unit)}"]
    if one.memory and metric.unit is not Unit.BYTES:
        parts.append(f"peak memory {views.value_words(one.memory, Unit.BYTES)}")
    return Dot(
        label=one.variant.label,
        look=one.look,
        x=speed,
        ys=ys,
        hollow=one.hollow,
        says=f"{one.variant.label}: {', '.join(parts)}",
        size=one.memory.value if one.memory else None,
    )


def _panel(dots: Sequence[Dot], place: Point, shows: str, y: Scale) -> Panel:
    speeds = [end for dot in dots for end in ends(dot.x)]
    return Panel(
        heading=f"{place.workload}, {views.place_words(place.sequence_length, place.batch_size)}",
        shows=shows,
        series=(),
        x=measured_scale(speeds, Unit.ITEMS_PER_SECOND, "throughput, items per second"),
        y=y,
        height=_HEIGHT,
    )


def _draw(
    panel: Panel,
    dots: Sequence[Dot],
    compared: Mapping[str, Estimate],
    prefix: str,
    floors: Mapping[str, float],
    front: Sequence[Dot],
) -> Markup:
    """The dots in their panel; `compared` are their heights in the intervals by which they are told apart."""
    with rc_context(svg.STYLE):
        figure, axes = drawing.canvas(panel)
        draw_scatter(axes, panel, dots, floors, front)
    speeds = extremes({dot.label: dot.x for dot in dots}, Unit.ITEMS_PER_SECOND)
    heights = extremes({dot.label: dot.ys[0] for dot in dots}, panel.y.unit, compared)
    description = f"{len(dots)} architectures. Throughput: {speeds}. {_capital(panel.shows)}: {heights}."
    return svg.inline(figure, f"{prefix}-", f"{panel.shows} against throughput, {panel.heading}", description)


def _caption(
    standings: Sequence[Standing], metric: Metric, front: Sequence[Dot], beaten: Mapping[str, str], floors: bool
) -> str:
    parts = [
        f"{'Down' if metric.better is Better.LOWER else 'Up'} and right is better.",
        _bars([one.score(metric) for one in standings], across=True),
    ]
    sized = [one for one in standings if one.memory]
    if len(sized) > 1:
        unknown = len(standings) - len(sized)
        parts.append(f"Area: peak memory{f' ({unknown} unknown: drawn small)' if unknown else ''}.")
    if len(front) > 1:
        names = views.listed([dot.label for dot in front])
        parts.append(f"Line: the best {metric.title} to be had at that speed or more ({names}), intervals aside.")
    if beaten:
        parts.append(f"Slower and worse than another beyond doubt: {_beaten_words(beaten)}.")
    elif len(standings) > 1:
        parts.append("None is slower and worse than another beyond doubt.")
    parts += ["Hollow: marked in the table."] if any(one.hollow for one in standings) else []
    parts += ["Dotted: what simple rules score on the same test items."] if floors else []
    return " ".join(filter(None, parts))


def _bars(scores: Sequence[tuple[Estimate, ...]], *, across: bool) -> str:
    """Which intervals the bars are; without seeds there is none over them."""
    told = {
        "thick: other seeds": any(one[0].low is not None for one in scores if one),
        "thin: other test items": any(len(one) > 1 for one in scores),
        "across: other trials": across,
    }
    words = [word for word, there in told.items() if there]
    return f"Bars are 95 % intervals ({', '.join(words)})." if words else ""


def _beaten_words(beaten: Mapping[str, str]) -> str:
    by: dict[str, list[str]] = {}
    for label, other in beaten.items():
        by.setdefault(other, []).append(label)
    return "; ".join(f"{views.listed(labels)} (than {other})" for other, labels in by.items())


def _score_scale(values: Sequence[float], metric: Metric, floors: Iterable[float]) -> Scale:
    """A scale of scores that holds the floors too, where what is above them can still be told apart."""
    near = [floor for floor in floors if abs(floor - min(values)) < 4 * (max(values) - min(values) or abs(max(values)))]
    if metric.better is Better.LOWER:
        return measured_scale([*values, *near], metric.unit)
    scale = even_scale([*values, *near], metric.unit)
    return replace(scale, high=min(scale.high, 1.0)) if metric.unit is Unit.SHARE else scale


# ── where less was measured ────────────────────────────────────────────────────────────────────────────────────────


def _memory_against_speed(standings: Sequence[Standing], place: Point, prefix: str) -> Chart:
    memory = Metric(name="memory", title="peak memory", unit=Unit.BYTES, better=Better.LOWER)
    # areas would say again what heights say
    dots = [
        replace(_dot(one, (wide,), memory), size=None)
        for one in standings
        if (wide := tolerated(one.memory)) is not None
    ]
    y = measured_scale([end for dot in dots for end in ends(dot.ys[0])], Unit.BYTES)
    heights = {dot.label: dot.ys[0] for dot in dots}
    drawn = _draw(_panel(dots, place, memory.title, y), dots, heights, prefix, {}, ())
    caption = "Down and right is better. Upright bars: repeats agree within 2 %; across: 95 % intervals over trials."
    return Chart(title="Peak memory against throughput", panels=(drawn,), caption=caption)


def _scores(standings: Sequence[Standing], metric: Metric, floors: Mapping[str, float], prefix: str) -> Chart:
    scores = {one.variant.label: one.score(metric)[0] for one in standings}
    wide = {one.variant.label: found for one in standings if one.fitted and (found := widest(one.fitted, metric.name))}
    rows = [
        DotRow(
            label=one.variant.label,
            look=one.look,
            estimates=one.score(metric),
            hollow=one.hollow,
            says=f"{one.variant.label}: {metric.title} {views.value_words(one.score(metric)[0], metric.unit)}",
        )
        for one in standings
    ]
    drawn = draw_dots(
        rows,
        heading="on the test split",
        shows=metric.title,
        unit=metric.unit,
        better=metric.better,
        prefix=f"{prefix}-",
        description=f"{_capital(extremes(scores, metric.unit, wide))}.",
        floors=floors,
    )
    caption = _bars([one.score(metric) for one in standings], across=False)
    caption += " Dotted: what simple rules score on the same test items." if floors else ""
    return Chart(title=_capital(metric.title), panels=(drawn,), caption=caption.strip())


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
