"""One visual language for every chart, and matplotlib's SVG made fit to stand inside a page.

Charts are drawn in stand-in colours, which become CSS variables: so the page's style sheet decides colours, light and dark.
Text stays text. Ids are unique over the page, the bytes are the same every time, and nothing refers to the outside.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from xml.etree import ElementTree

import numpy as np
from cycler import cycler
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle

from bench.report import svg_tree

SERIES = 8
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
_LINES = ("-", (0, (4, 2)), (0, (1, 1.5)))

INK, MUTED, GRID, PAPER = "#1000a0", "#1000a1", "#1000a2", "#1000a3"
_STAND_INS = {INK: "currentColor", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"} | {
    f"#1000b{number}": f"var(--series-{number})" for number in range(SERIES)
}

_HEAT_STEPS = 12
HEAT = tuple(f"#1000c{step:x}" for step in range(_HEAT_STEPS))
"""Stand-ins for shades of one colour, from the faintest to the fullest; text in `INK` can be read on each."""
_HEAT_LOW, _HEAT_HIGH = 0.04, 0.5
_STAND_INS |= {
    color: f"var(--series-0); fill-opacity: {_HEAT_LOW + (_HEAT_HIGH - _HEAT_LOW) * step / (_HEAT_STEPS - 1):.2f}"
    for step, color in enumerate(HEAT)
}

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",
    "text.parse_math": False,  # a label may hold a dollar sign
    "font.size": 11,
    "axes.prop_cycle": cycler(color=[INK]),  # everything names its colour; this is for what matplotlib adds unseen
    "text.color": INK,
    "lines.solid_capstyle": "butt",
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.minor.visible": False,
    "ytick.left": False,
    "figure.facecolor": "none",
    "figure.dpi": 72,  # a unit of the drawing is a pixel of the page
}
# what XML cannot hold, and what turns the direction of the text around it; labels may come from anywhere
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\u202a-\u202e\u2066-\u2069]")
_STAND_IN = re.compile("|".join(_STAND_INS))
_NAMESPACE = re.compile(r"\{[^}]*\}")
# the page decides the fonts: older matplotlib writes one `font`, newer a `font-family` of its own
_FONT, _FAMILY = re.compile(r"font: ((?:\w+ )*)([\d.]+px) [^;]*"), re.compile(r"font-family: [^;]*;? ?")


@dataclass(frozen=True, slots=True)
class Look:
    """How a variant looks: the same in every chart and table.

    Attributes:
        place: its place among all variants, which decides its marker.
        family: the place of its architecture, which decides its colour; None where every variant has its own.
        sibling: its place within its architecture, which decides its line.
    """

    place: int
    family: int | None = None
    sibling: int = 0

    @property
    def series(self) -> int:
        """Which of the style sheet's series colours."""
        return (self.place if self.family is None else self.family) % SERIES

    @property
    def color(self) -> str:
        """The stand-in for its colour."""
        return f"#1000b{self.series}"

    @property
    def marker(self) -> str:
        """Shapes shift by one each time the colours are used up, so that 64 looks differ."""
        return _MARKERS[(self.place + self.place // SERIES) % len(_MARKERS)]

    @property
    def line(self) -> Any:
        """Solid, then dashed, then dotted: for siblings, and each time the colours are used up."""
        used_up = self.place // SERIES if self.family is None else self.family // SERIES + self.sibling
        return _LINES[used_up % len(_LINES)]

    @property
    def area(self) -> float:
        """The area of the marker at a size of 1: shapes of one size differ in it."""
        x, y = _polygon(self.marker).T
        return float(abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2)

    @property
    def outline(self) -> str:
        """The marker as SVG path data in a box from -1 to 1, for legends and tables."""
        polygon = _polygon(self.marker)
        points = polygon / np.abs(polygon).max()
        return "M" + "L".join(f"{x:.2f} {-y:.2f}" for x, y in points) + "Z"


@cache
def _polygon(marker: str) -> np.ndarray:
    """Its corners at a size of 1, the first again at the end."""
    style = MarkerStyle(marker)
    (polygon,) = style.get_path().transformed(style.get_transform()).to_polygons()
    return np.asarray(polygon)


def tag(artists: Iterable[Artist], look: Look, tips: Sequence[str] = ()) -> None:
    """Say whose these artists are, and of markers what each of them stands for: the page can then hide and explain them.

    It travels as the id that matplotlib writes, and becomes `data-series` and `<title>` elements in `inline`.
    """
    for artist in artists:
        artist.set_gid(json.dumps({"series": look.place, "tips": list(tips)}))


def inline(figure: Figure, prefix: str, title: str, description: str) -> Markup:
    """The figure as an `<svg>` for a page; `prefix` makes its ids unique there."""
    file = io.StringIO()
    with rc_context(STYLE), warnings.catch_warnings():
        # text stays text: the browser has the letters that matplotlib's own font lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure.savefig(file, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(_CONTROL.sub(" ", file.getvalue()))
    for parent in root.iter():
        for child in list(parent):
            if _NAMESPACE.sub("", child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in list(root.iter()):
        element.tag = _NAMESPACE.sub("", element.tag)
        element.tail = None
        element.text = element.text if element.tag == "text" else None
        tagged = element.attrib.pop("id", "") if element.get("id", "").startswith("{") else ""
        element.attrib = _attributes(element.attrib)
        if tagged:
            _explain(element, **json.loads(tagged))
    svg_tree.shrink(root, prefix)
    named = {"role": "img", "aria-labelledby": f"{prefix}title {prefix}desc"}
    root.attrib = {"viewBox": root.get("viewBox", "0 0 1 1")} | named | svg_tree.ROOT
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{prefix}{tag}"})
        element.text = text
        root.insert(place, element)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # every text in it was escaped just now


def _explain(element: ElementTree.Element, series: int, tips: Sequence[str]) -> None:
    """Name the series of a group, and give each of its markers or cells a title, which browsers show where a pointer rests."""
    element.set("data-series", str(series))
    inner = [(_NAMESPACE.sub("", one.tag), one) for one in element.iter()]
    markers = [one for tag, one in inner if tag == "use"] or [one for tag, one in inner if tag == "path"]
    for marker, tip in zip(markers, tips, strict=bool(tips)):
        if tip:
            ElementTree.SubElement(marker, "title").text = tip


def _attributes(attributes: dict[str, str]) -> dict[str, str]:
    kept = {}
    for name, value in attributes.items():
        match _NAMESPACE.sub("", name):
            case "style":
                kept["style"] = _colored(_FAMILY.sub("", _FONT.sub(_sized, value)))
            case "transform" if value.startswith("rotate(-0 "):
                pass
            case plain:
                kept[plain] = value
    return kept


def _sized(font: re.Match[str]) -> str:
    return f"font-size: {font[2]}" + ("; font-weight: bold" if "bold" in font[1] else "")


def _colored(style: str) -> str:
    return _STAND_IN.sub(lambda found: _STAND_INS[found[0]], style)
