"""Reading what was drawn: the texts, tips and places of an SVG panel."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from bench.report.blocks import Block, Chart


def tree(panel: str) -> Element:
    return ElementTree.fromstring(panel)


def texts(panel: str) -> list[str]:
    return [element.text or "" for element in tree(panel).iter("text")]


def tips(panel: str) -> list[str]:
    """What is said of each marker and cell."""
    return [title.text or "" for title in tree(panel).iter("title")][1:]


def description(panel: str) -> str:
    return next(tree(panel).iter("desc")).text or ""


def heading(panel: str) -> str:
    return next(tree(panel).iter("title")).text or ""


def place(panel: str, words: str) -> tuple[float, float]:
    """Where a text stands."""
    (found,) = (element for element in tree(panel).iter("text") if element.text == words)
    return float(found.get("x", "nan")), float(found.get("y", "nan"))


def chart_of(block: Block | None, title: str) -> Chart:
    assert block is not None
    (found,) = (chart for chart in block.charts if chart.title == title)
    return found


def figures(chart: Chart) -> dict[tuple[str, str, str], float]:
    """The figures of a chart's first table by row, group and column."""
    table = chart.tables[0]
    return {
        (row.label, column.group, column.title): cell.estimate.value
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if cell.estimate is not None and cell.estimate.value is not None
    }


def numbers(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?[\d.]+", path)]
