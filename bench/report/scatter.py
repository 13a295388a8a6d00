"""Dots over two measured axes: intervals both ways, areas for a third quantity, the front, and a label at every dot."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from bench.quantity import Unit, format_tick
from bench.report import svg
from bench.report.drawing import Panel, draw_marks, shorten, spread
from bench.report.ranking import ends
from bench.report.svg import INK, MUTED, Look
from bench.stats import Estimate

_LETTER, _LINE = 6.0, 12.0
_LARGEST, _SMALLEST = 18.0, 5.0
"""Diameters in pixels: of the largest area, and of the least that can be seen; also where the third quantity is unknown."""
_PLAIN = 7.0
"""The diameter where there is no third quantity."""

Box = tuple[float, float, float, float]
"""Left, bottom, right, top in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A variant; `ys` is its value with one interval after the other (other seeds, other test items); `size` is its area's."""

    label: str
    look: Look
    x: Estimate
    ys: tuple[Estimate, ...]
    hollow: bool
    says: str = ""
    size: float | None = None


def draw_scatter(
    axes: Axes, panel: Panel, dots: Sequence[Dot], floors: Mapping[str, float], front: Sequence[Dot] = ()
) -> None:
    """All dots with their intervals, then labels where nothing else is; `front` goes from the highest to the rightmost."""
    widths = diameters([dot.size for dot in dots]) if any(dot.size for dot in dots) else [_PLAIN] * len(dots)
    line = _draw_front(axes, panel, front)
    # the largest first, so that none is covered
    for dot, width in sorted(zip(dots, widths, strict=True), key=lambda one: -one[1]):
        _draw_dot(axes, dot, width)
    taken = [box for dot, width in zip(dots, widths, strict=True) for box in _covered(axes, dot, width)]
    _draw_sizes(axes, dots)
    taken += line
    taken += _draw_floors(axes, panel, floors, taken)
    for dot, width in sorted(zip(dots, widths, strict=True), key=lambda one: -(one[0].ys[0].value or 0.0)):
        x, y = _pixel(axes, dot)
        box = next(_free(axes, _places(x, y, width / 2, _LETTER * len(shorten(dot.label))), taken))
        taken.append(box)
        svg.tag(_label(axes, dot, box, (x, y), width / 2), dot.look)


def _label(axes: Axes, dot: Dot, box: Box, middle: tuple[float, float], half: float) -> list[Artist]:
    """The label in its box, with a line to its marker where that is not beside it; all in pixels."""
    height = (box[1] + box[3]) / 2
    style: dict[str, Any] = {"va": "center", "ha": "left", "color": INK, "zorder": 5}
    drawn: list[Artist] = [axes.annotate(shorten(dot.label), (box[0], height), xycoords="figure pixels", **style)]
    near = (min(max(middle[0], box[0] - 1), box[2] + 1), height)
    far = math.dist(near, middle)
    if far > half + 10:
        start = [at + (to - at) * half / far for at, to in zip(middle, near, strict=True)]
        points = axes.transData.inverted().transform([start, near])
        drawn += axes.plot(*zip(*points, strict=True), color=dot.look.color, linewidth=0.7)
    return drawn


def diameters(sizes: Sequence[float | None]) -> list[float]:
    """Diameters of circles whose areas are as the sizes; what would be too small to be seen, or is unknown, has the least."""
    largest = max((size for size in sizes if size), default=0.0)
    return [max(_SMALLEST, _LARGEST * (size / largest) ** 0.5) if size else _SMALLEST for size in sizes]


def _draw_dot(axes: Axes, dot: Dot, width: float) -> None:
    x, y = dot.x.value or 0.0, dot.ys[0].value or 0.0
    bars = [("x", dot.x, 1.2)] + [("y", one, 2.6 if one is dot.ys[0] else 0.9) for one in dot.ys]
    for axis, estimate, thick in bars:
        low, high = ends(estimate)
        if high > low:
            value = estimate.value or 0.0
            error: dict[str, Any] = {f"{axis}err": [[value - low], [high - value]]}
            drawn = axes.errorbar([x], [y], fmt="none", ecolor=dot.look.color, elinewidth=thick, zorder=4.5, **error)
            svg.tag(drawn.get_children(), dot.look)
    # shapes of one size differ in area
    size = width * (math.pi / 4 / dot.look.area) ** 0.5
    draw_marks(axes, dot.look, [(x, y)], hollow=dot.hollow, size=size, tips=[dot.says])


def _draw_front(axes: Axes, panel: Panel, front: Sequence[Dot]) -> list[Box]:
    """A step at each dot: what is the best to be had at that speed or more. Answered is where the line is."""
    if len(front) < 2:
        return []
    xs, ys = [panel.x.low], [front[0].ys[0].value or 0.0]
    for dot, after in zip(front, [*front[1:], front[-1]], strict=True):
        xs, ys = [*xs, *2 * [dot.x.value or 0.0]], [*ys, dot.ys[0].value or 0.0, after.ys[0].value or 0.0]
    axes.plot(xs, ys, color=MUTED, linewidth=0.8, zorder=1.5)
    corners = axes.transData.transform(list(zip(xs, ys, strict=True)))
    return [
        (min(x0, x1) - 2, min(y0, y1) - 2, max(x0, x1) + 2, max(y0, y1) + 2) for (x0, y0), (x1, y1) in pairwise(corners)
    ]


def _draw_sizes(axes: Axes, dots: Sequence[Dot]) -> None:
    """Round sizes as circles in a row beside the heading, on the right."""
    known = [dot.size for dot in dots if dot.size]
    if not known:
        return
    right, height = axes.figure.bbox.x1 - 6, axes.figure.bbox.y1 - 27
    sizes = round_sizes(known)
    # among the dots, so that the areas are theirs
    for size, width in zip(sizes, diameters([*sizes, max(known)]), strict=False):
        words = f"{'≤ ' if width == _SMALLEST else ''}{format_tick(size, Unit.BYTES)}"
        right -= _LETTER * len(words)
        style: dict[str, Any] = {"color": MUTED, "size": 10, "ha": "left", "va": "center"}
        axes.annotate(words, (right, height), xycoords="figure pixels", **style)
        right -= 5 + width / 2
        x, y = axes.transData.inverted().transform((right, height))
        axes.plot([x], [y], "o", ms=width, mfc="none", mec=MUTED, mew=1, clip_on=False)
        right -= width / 2 + 12


def round_sizes(sizes: Sequence[float]) -> list[float]:
    """Three powers of two, the highest not above the largest of some sizes; each twice the next, or four times."""
    top, step = 2.0 ** math.floor(math.log2(max(sizes))), 4 if max(sizes) > 4 * min(sizes) else 2
    return [top, top / step, top / step**2]


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


def _covered(axes: Axes, dot: Dot, width: float) -> Iterator[Box]:
    """Where the marker and the bars of a dot are."""
    x, y = _pixel(axes, dot)
    half = width / 2 + 2
    yield x - half, y - half, x + half, y + half
    middle, height = dot.x.value or 0.0, dot.ys[0].value or 0.0
    bars = [[(end, height) for end in ends(dot.x)]] + [[(middle, end) for end in ends(one)] for one in dot.ys]
    for (x0, y0), (x1, y1) in (axes.transData.transform(bar) for bar in bars):
        yield float(x0) - 2, float(y0) - 2, float(x1) + 2, float(y1) + 2


def _places(x: float, y: float, half: float, width: float) -> Iterator[Box]:
    """Places for a label of that width: right, left, above, below a marker, then further and further off."""
    side, up = half + 5, half + 9
    for far in range(0, 60, 6):
        for left, middle in (
            (x + side, y + far),
            (x - side - width, y + far),
            (x + side, y - far),
            (x - side - width, y - far),
            (x - width / 2, y + up + far),
            (x - width / 2, y - up - far),
        ):
            yield left, middle - _LINE / 2, left + width, middle + _LINE / 2
    yield x + side, y - _LINE / 2, x + side + width, y + _LINE / 2


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
