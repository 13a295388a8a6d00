"""The chart of accuracy against throughput: intervals both ways, what simple rules score, and a label at every dot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from bench.quantity import format_tick
from bench.report import svg
from bench.report.drawing import Panel, draw_marks, shorten, spread
from bench.report.ranking import ends
from bench.report.svg import INK, MUTED, Look
from bench.stats import Estimate

_LETTER, _LINE = 6.0, 12.0

Box = tuple[float, float, float, float]
"""Left, bottom, right, top in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A variant; `ys` is its score with one interval after the other (other seeds, other test items)."""

    label: str
    look: Look
    x: Estimate
    ys: tuple[Estimate, ...]
    hollow: bool
    says: str = ""


def draw_scatter(axes: Axes, panel: Panel, dots: Sequence[Dot], floors: Mapping[str, float]) -> None:
    """All dots with their intervals, then labels where nothing else is."""
    for dot in dots:
        _draw_dot(axes, dot)
    taken = [box for dot in dots for box in _covered(axes, dot)]
    taken += _draw_floors(axes, panel, floors, taken)
    for dot in sorted(dots, key=lambda dot: -(dot.ys[0].value or 0.0)):
        x, y = _pixel(axes, dot)
        width = _LETTER * len(shorten(dot.label))
        box = next(_free(axes, _places(x, y, width), taken))
        taken.append(box)
        label = axes.annotate(
            shorten(dot.label),
            (box[0], (box[1] + box[3]) / 2),
            xycoords="figure pixels",
            va="center",
            ha="left",
            color=INK,
            zorder=5,
        )
        svg.tag([label], dot.look)


def _draw_dot(axes: Axes, dot: Dot) -> None:
    x, y = dot.x.value or 0.0, dot.ys[0].value or 0.0
    bars = [("x", dot.x, 1.2, 2.0)] + [("y", one, 2.6 if one is dot.ys[0] else 0.9, 0.0) for one in dot.ys]
    for axis, estimate, width, cap in bars:
        low, high = ends(estimate)
        value = estimate.value or 0.0
        error: dict[str, Any] = {f"{axis}err": [[value - low], [high - value]]}
        if high > low:
            drawn = axes.errorbar([x], [y], fmt="none", ecolor=dot.look.color, elinewidth=width, capsize=cap, **error)
            svg.tag(drawn.get_children(), dot.look)
    draw_marks(axes, dot.look, [(x, y)], hollow=dot.hollow, size=7, tips=[dot.says])


def _draw_floors(axes: Axes, panel: Panel, floors: Mapping[str, float], taken: Sequence[Box]) -> list[Box]:
    """A line for each within what is drawn, its name above it; of the others words at the edge that they lie beyond.

    A name stands on the right, else on the left, else between, where nothing is in its way. Answered is what names take up.
    """
    low, high = panel.y.low, panel.y.high
    boxes: list[Box] = []

    def write(words: str, height: float) -> None:
        width = 5.5 * len(words)
        first, last = axes.bbox.x1 - 2 - width, axes.bbox.x0 + 4
        starts = [first, last, *(first + (last - first) * tenth / 10 for tenth in range(1, 10))]
        places = [(start, height - _LINE / 2, start + width, height + _LINE / 2) for start in starts]
        free = (one for one in places if not any(_touch(one, other) for other in (*taken, *boxes)))
        boxes.append(next(free, places[0]))
        style: dict[str, Any] = {"color": MUTED, "size": 10, "ha": "left", "va": "center"}
        axes.annotate(words, (boxes[-1][0], height), xycoords="figure pixels", **style)

    words = {name: f"{name} {format_tick(value, panel.y.unit)}" for name, value in floors.items()}
    if beyond := [words[name] for name, value in floors.items() if value < low]:
        write(f"↓ {', '.join(beyond)}", axes.bbox.y0 + 8)
    if beyond := [words[name] for name, value in floors.items() if value > high]:
        write(f"↑ {', '.join(beyond)}", axes.bbox.y1 - 8)
    inside = {name: value for name, value in floors.items() if low <= value <= high}
    wanted = [float(axes.transData.transform((1.0, value))[1]) + 6 for value in inside.values()]
    for name, height in zip(inside, spread(wanted, _LINE, axes.bbox.y0 + 6, axes.bbox.y1), strict=True):
        axes.axhline(inside[name], color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        write(words[name], height)
    return boxes


def _pixel(axes: Axes, dot: Dot) -> tuple[float, float]:
    x, y = axes.transData.transform((dot.x.value or 0.0, dot.ys[0].value or 0.0))
    return float(x), float(y)


def _covered(axes: Axes, dot: Dot) -> Iterator[Box]:
    """Where the marker and the bars of a dot are."""
    x, y = _pixel(axes, dot)
    yield x - 5, y - 5, x + 5, y + 5
    middle, height = dot.x.value or 0.0, dot.ys[0].value or 0.0
    bars = [[(end, height) for end in ends(dot.x)]] + [[(middle, end) for end in ends(one)] for one in dot.ys]
    for (x0, y0), (x1, y1) in (axes.transData.transform(bar) for bar in bars):
        yield float(x0) - 2, float(y0) - 2, float(x1) + 2, float(y1) + 2


def _places(x: float, y: float, width: float) -> Iterator[Box]:
    """Places for a label of that width: right, left, above, below, then further and further off."""
    for far in range(0, 60, 6):
        for left, middle in (
            (x + 8, y + far),
            (x - 8 - width, y + far),
            (x + 8, y - far),
            (x - 8 - width, y - far),
            (x - width / 2, y + 13 + far),
            (x - width / 2, y - 13 - far),
        ):
            yield left, middle - _LINE / 2, left + width, middle + _LINE / 2
    yield x + 8, y - _LINE / 2, x + 8 + width, y + _LINE / 2


def _free(axes: Axes, places: Iterator[Box], taken: Sequence[Box]) -> Iterator[Box]:
    """The places inside the figure that touch nothing; in the end the last, whatever it touches."""
    right, top = axes.figure.bbox.x1 - 2, axes.bbox.y1 + 4
    box = (0.0, 0.0, 0.0, 0.0)
    for box in places:
        inside = box[0] > axes.bbox.x0 and box[2] < right and box[1] > axes.bbox.y0 and box[3] < top
        if inside and not any(_touch(box, other) for other in taken):
            yield box
    yield box


def _touch(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
