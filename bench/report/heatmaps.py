"""Heat maps of batch size and length: at which shape a variant makes the most of the machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure

from bench.quantity import Better, Unit, format_value
from bench.records import Variant
from bench.report import svg
from bench.report import view as views
from bench.report.blocks import Block, Chart
from bench.report.charts import Selection, evenly
from bench.report.drawing import WIDTH, shorten
from bench.report.grids import Kind, grid
from bench.report.measured import tip
from bench.report.ranking import leaders
from bench.report.svg import HEAT, INK, MUTED, PAPER, Look
from bench.report.tables import PENDING, metric_column
from bench.report.view import Shown
from bench.stats import Estimate

MOST_STEPS = 6
"""Of an axis: more leave no room for figures."""
_METRIC = "throughput_tokens_per_s"
_CELL, _HEAD, _TOP, _BOTTOM, _LEFT = 24, 22, 46, 40, 46
_LEAST_SPREAD = 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """What one panel shows: cases by variant, batch size and length, on scales that all panels of a chart share."""

    heading: str
    looks: Mapping[str, Look]
    cases: dict[tuple[str, int, int], Shown]
    batches: Sequence[int]
    lengths: Sequence[int]
    low: float
    high: float


def heatmaps(selection: Selection) -> Block | None:
    """A chart for each kind with two lengths and two batch sizes or more; None where there is none."""
    charts = [
        chart
        for number, kind in enumerate(selection.kinds)
        if (chart := _chart(selection, kind, f"{selection.prefix}h{number}-")) is not None
    ]
    if not charts:
        return None
    says = (selection.left_out,) if selection.left_out else ()
    return Block(title="Tokens per second over length and batch size", says=says, charts=tuple(charts))


def _chart(selection: Selection, kind: Kind, prefix: str) -> Chart | None:
    every = selection.drawn(selection.kinds[kind])
    lengths = sorted({shown.case.sequence_length for shown in every if shown.case.sequence_length})
    batches = sorted({shown.case.batch_size for shown in every})
    values = [one.value for shown in every if (one := shown.figure(_METRIC)) and one.value]
    if len(lengths) < 2 or len(batches) < 2 or not values:
        return None
    shown_lengths, shown_batches = evenly(lengths, MOST_STEPS), evenly(batches, MOST_STEPS)
    met = {shown.case.variant.variant_id for shown in every}
    variants = [variant for variant in selection.variants if variant.variant_id in met]
    maps = Maps(
        heading=selection.kind_words(kind),
        looks=selection.looks,
        cases={(s.case.variant.variant_id, s.case.batch_size, s.case.sequence_length or 0): s for s in every},
        batches=shown_batches,
        lengths=shown_lengths,
        low=min(values),
        high=max(*values, min(values) * _LEAST_SPREAD),
    )
    # two panels side by side, as high as each other
    each = -(-len(variants) // 2)
    panels = [
        _draw(maps, variants[start : start + each], f"{prefix}{start}") for start in range(0, len(variants), each)
    ]
    cut = [
        f"{len(kept)} of {len(all_of)} {name}"
        for kept, all_of, name in ((shown_lengths, lengths, "lengths"), (shown_batches, batches, "batch sizes"))
        if len(kept) < len(all_of)
    ]
    caption = "The fuller the colour, the more tokens per second; one logarithmic scale for all of these maps."
    caption += f" {' and '.join(cut)}, the rest stands in the table." if cut else ""
    table = grid(
        selection.view, selection.task, kind, partial(metric_column, name=_METRIC), "Throughput in tokens per second"
    )
    title = maps.heading[:1].upper() + maps.heading[1:]
    return Chart(title=title, panels=tuple(panels), caption=caption, tables=(table,))


def _draw(maps: Maps, variants: Sequence[Variant], prefix: str) -> Markup:
    """Maps one above the other: they share their lengths, so one axis below is enough."""
    each = _HEAD + _CELL * len(maps.batches)
    height = _TOP + each * len(variants) + _BOTTOM
    with rc_context(svg.STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(WIDTH / 72, height / 72))
        figure.text(2 / WIDTH, 1 - 14 / height, "tokens per second", weight="bold", size=12)
        figure.text(2 / WIDTH, 1 - 31 / height, f"{maps.heading}; a row a batch size", color=MUTED)
        for place, variant in enumerate(variants):
            bottom = height - _TOP - each * (place + 1)
            size = (_LEFT / WIDTH, bottom / height, 1 - (_LEFT + 4) / WIDTH, _CELL * len(maps.batches) / height)
            axes = figure.add_axes(size)
            _draw_map(axes, maps, variant, maps.looks[variant.variant_id], last=place == len(variants) - 1)
    description = " ".join(_best(maps, variant) for variant in variants)
    return svg.inline(figure, prefix, f"tokens per second over length and batch size, {maps.heading}", description)


def _draw_map(axes: Axes, maps: Maps, variant: Variant, look: Look, *, last: bool) -> None:
    found = [[maps.cases.get((variant.variant_id, batch, length)) for length in maps.lengths] for batch in maps.batches]
    values = np.array([[_value(shown) for shown in row] for row in found], dtype=float)
    sns.heatmap(
        pd.DataFrame(values, index=list(maps.batches), columns=list(maps.lengths)),
        annot=np.array([[_words(shown) for shown in row] for row in found], dtype=object),
        fmt="",
        annot_kws={"color": INK, "size": 10},
        cmap=ListedColormap(HEAT),
        norm=LogNorm(maps.low, maps.high),
        # unused beside a norm, but seaborn would look for them, and warn where a variant has no figure at all
        vmin=maps.low,
        vmax=maps.high,
        linewidths=1.5,
        linecolor=PAPER,
        cbar=False,
        xticklabels=last,
        ax=axes,
    )
    cells = [shown for row in found for shown in row]
    svg.tag(axes.collections, look, [_tip(shown) for shown in cells])
    written = list(axes.texts)
    for (row, column), value in np.ndenumerate(values):
        if math.isnan(value) and (words := _words(found[row][column])):
            written.append(axes.text(column + 0.5, row + 0.5, words, size=9, color=MUTED, ha="center", va="center"))
    axes.tick_params(length=0, pad=4, labelrotation=0)
    axes.set(xlabel="sequence length" if last else "", ylabel="")
    style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    written.append(axes.annotate(shorten(variant.label), (0, 1), (0, 4), **style))
    svg.tag(written, look)


def _tip(shown: Shown | None) -> str:
    estimate = shown.figure(_METRIC) if shown else None
    return tip(shown, estimate, Unit.TOKENS_PER_SECOND) if shown and estimate else ""


def _value(shown: Shown | None) -> float:
    estimate = shown.figure(_METRIC) if shown else None
    return math.nan if estimate is None or not estimate.value else estimate.value


def _words(shown: Shown | None) -> str:
    """What stands in a cell: the figure, or how the case ended."""
    if shown is None:
        return ""
    estimate = shown.figure(_METRIC)
    if estimate is None:
        return PENDING if shown.outcome is None else views.outcome_words(shown.outcome)
    return format_value(estimate.value, Unit.COUNT)


def _best(maps: Maps, variant: Variant) -> str:
    """Where a variant handles the most tokens per second, in a sentence."""
    found: dict[str, Estimate] = {}
    for (variant_id, batch, length), shown in maps.cases.items():
        estimate = shown.figure(_METRIC)
        if variant_id == variant.variant_id and estimate:
            found[views.place_words(length, batch)] = estimate
    if not found:
        return f"{variant.label}: no figure."
    first, *others = leaders(found, Better.HIGHER)
    tied = f", not to be told apart from {len(others)} other{'s' * (len(others) > 1)}" if others else ""
    return f"{variant.label}: most at {first}, {views.value_words(found[first], Unit.TOKENS_PER_SECOND)}{tied}."
