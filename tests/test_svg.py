"""SVG for a page: small, and the same to look at."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from drawn import numbers
from made_run import made_run
from matplotlib import rc_context
from matplotlib.figure import Figure

from bench.report import render, svg
from bench.report.svg import Look
from bench.report.svg_tree import shrink

_INHERITED = re.compile(r"([\w-]+): ([^;]+)")


def _seen(element: Element, style: dict[str, str]) -> Iterator[tuple[Any, ...]]:
    """What is drawn of a tree, in order: each shape with the style it has in the end."""
    own = {**style, **dict(_INHERITED.findall(element.get("style", "")))}
    if "data-series" in element.attrib:
        own = {**own, "series": element.get("data-series", "")}
    if element.tag in ("path", "use", "text"):
        geometry = tuple(number for name in ("d", "x", "y") for number in numbers(element.get(name, "")))
        yield element.tag, element.text, tuple(sorted(own.items())), geometry
    for child in element:
        if child.tag not in ("defs", "clipPath"):
            yield from _seen(child, own)


def test_a_small_tree_shows_the_same() -> None:
    figure = Figure()
    with rc_context(svg.STYLE):
        axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
        for place, color in enumerate(("#1000b0", "#1000b1")):
            line = axes.errorbar([1, 2, 3], [place, 2, 3], yerr=0.1, color=color, marker="o", linestyle="--")
            svg.tag(line.get_children(), Look(place))
        for height in (1, 2):
            axes.text(1, height, "here", alpha=0.5)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    trees = [ElementTree.fromstring(file.getvalue()) for _ in range(2)]
    for root in trees:
        for element in root.iter():
            element.tag = element.tag.partition("}")[2]
            element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
            if element.get("id", "").startswith("{"):
                element.set("data-series", str(json.loads(element.attrib.pop("id"))["series"]))
    before, after = trees
    shrink(after, "p")
    said = {
        "fill: currentColor",
        "font-size: 11px",
        "text-anchor: start",
        "stroke-linecap: butt",
        "stroke-linejoin: round",
    }
    plain = dict(_INHERITED.findall("; ".join(sorted(said))))
    shown = [
        one
        for one in _seen(before, plain)
        if one[0] != "path" or ("fill", "none") not in one[2] or "stroke" in dict(one[2])
    ]
    for (*one, geometry), (*other, exact) in zip(_seen(after, plain), shown, strict=True):
        assert one == other
        assert geometry == pytest.approx(exact, abs=0.0051)
    # one group half as strong is not two shapes half as strong
    assert not [group for group in after.iter("g") if re.search("(^|; )opacity", group.get("style", ""))]
    ids = [element.get("id") for element in after.iter() if element.get("id")]
    used = [element.get("href", "#")[1:] for element in after.iter("use")]
    assert set(used) == set(ids)
    assert all(str(name).startswith("p") for name in ids)
    assert len(ElementTree.tostring(after)) < 0.75 * len(ElementTree.tostring(before))


def test_prefixes_keep_the_ids_of_panels_apart() -> None:
    text = render([made_run(("nbow", "gru", "rnn"))])
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert {name[1:] for name in re.findall(r'href="(#[^"]+)"', text)} <= set(ids)
