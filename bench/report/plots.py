"""One metric of a run as a seaborn grid, for notebooks: the figures, intervals, colours and markers of the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from bench.errors import UsageError
from bench.frames import COLUMNS, memory_metric, to_frame
from bench.observations import CaseResult
from bench.quantity import Metric, Unit, format_tick
from bench.records import Outcome, Run
from bench.registry import did_you_mean
from bench.report import view as views
from bench.report.charts import looks
from bench.report.svg import SERIES, Look
from bench.report.view import Shown, View

_SWEPT = ("sequence_length", "batch_size")
_FACETS = (
    "task",
    "workload",
    "precision",
    "device",
    "threads",
    "compile",
    "length_distribution",
    "new_tokens",
)
_SPREAD = 4.0
"""From this ratio of the largest to the smallest on, a logarithm shows more."""


def plot(
    run: Run,
    results: Sequence[CaseResult],
    metric: str,
    *,
    x: str | None = None,
    hue: str = "label",
    col: str | None = None,
    row: str | None = None,
    task: str | None = None,
    workload: str | None = None,
    **facets: Any,
) -> sns.FacetGrid:
    """See `bench.StoredRun.plot`."""
    view = views.view(run, results)
    data = _rows(view, metric, {"task": task, "workload": workload})
    x = x or next((name for name in _SWEPT if data[name].nunique() > 1), "label")
    rest = [name for name in _SWEPT if name not in (x, row, hue) and data[name].nunique(dropna=False) > 1]
    col = col or next(iter(rest), None)
    if row is None:
        others = [name for name in (*_FACETS, *_SWEPT) if name not in (x, col, hue)]
        row = _joined(data, [name for name in others if data[name].nunique(dropna=False) > 1])
    for name in filter(None, (x, hue, col, row)):
        if name not in data:
            raise UsageError(f"column '{name}' is unknown; {did_you_mean(name, COLUMNS)}")
    _single(data, [name for name in dict.fromkeys((x, hue, col, row)) if name])
    return _drawn(view, data, views.metric(metric), x=x, hue=hue, col=col, row=row, facets=facets)


def _rows(view: View, metric: str, wanted: dict[str, str | None]) -> pd.DataFrame:
    """The rows of a metric with a value, and of cases that did not fit; of two intervals of a case that over seeds."""
    frame = to_frame([(view.run, [shown.result for shown in view.cases])])
    for name, value in wanted.items():
        if value is not None:
            if value not in set(frame[name]):
                raise UsageError(f"{name} '{value}' is not in this run; {did_you_mean(value, set(frame[name]))}")
            frame = frame[frame[name] == value]
    known = frame.dropna(subset=["value"])
    if metric not in set(known["metric"]):
        reasons = [reason for reason in frame.loc[frame["metric"] == metric, "reason"].dropna().unique() if reason]
        why = f"has no value ({'; '.join(reasons[:3])})" if reasons else "is not in this run"
        names = list(dict.fromkeys(known["metric"]))
        raise UsageError(f"metric '{metric}' {why}; {_offer(metric, names)}")
    found = known[known["metric"] == metric].drop_duplicates("case")
    crossed = {shown.case.id for shown in view.cases if _does_not_fit(shown, metric)} - set(found["case"])
    unfit = frame[frame["case"].isin(crossed) & frame["workload"].isin(found["workload"])].drop_duplicates("case")
    marked = {shown.case.id for shown in view.cases if shown.marks}
    kept = frame[frame.index.isin(found.index) | frame.index.isin(unfit.index)]
    return kept.assign(value=kept["value"].where(kept.index.isin(found.index)), marked=kept["case"].isin(marked))


def _does_not_fit(shown: Shown, metric: str) -> bool:
    memory = metric == memory_metric(shown.case) and shown.memory_outcome is Outcome.OUT_OF_MEMORY
    return memory or shown.outcome is Outcome.OUT_OF_MEMORY


def _offer(metric: str, names: Sequence[str]) -> str:
    if not names:
        return "nothing of it was measured"
    meant = did_you_mean(metric, names)
    return f"{meant} It has {', '.join(names)}" if meant.startswith("did") else meant


def _joined(data: pd.DataFrame, names: Sequence[str]) -> str | None:
    """The column by which rows of panels are told apart: all that varies beside what is drawn, in words."""
    if len(names) < 2:
        return next(iter(names), None)
    data["panel"] = data[list(names)].astype("string").fillna("").agg(", ".join, axis=1)
    return "panel"


def _single(data: pd.DataFrame, places: Sequence[str]) -> None:
    """Raises UsageError where several cases would fall on one spot: their mean would be nobody's figure."""
    for _, group in data.groupby(list(places), dropna=False, observed=True):
        apart = [name for name in (*_FACETS, *_SWEPT, "label") if group[name].nunique(dropna=False) > 1]
        if len(group) > 1:
            ways = ", ".join(apart) or "nothing that could be named"
            raise UsageError(f"several cases fall on one spot; they differ in {ways}: draw it as row, col or hue")


# ── drawing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def palette() -> list[str]:
    """The page's colours on light ground, from its style sheet."""
    style = (files("bench.report") / "page.css").read_text(encoding="utf-8")
    return re.findall(r"--series-\d+: (#[0-9a-f]{6})", style)[:SERIES]


def _drawn(
    view: View,
    data: pd.DataFrame,
    metric: Metric,
    *,
    x: str,
    hue: str,
    col: str | None,
    row: str | None,
    facets: dict[str, Any],
) -> sns.FacetGrid:
    order = list(dict.fromkeys(data[hue]))
    style = _styles(view, data, hue, order)
    colors = palette()
    numeric = x in _SWEPT or pd.api.types.is_numeric_dtype(data[x])
    if not numeric:
        data = data.assign(**{x: pd.Categorical(data[x], list(dict.fromkeys(data[x])))})
    grid = sns.FacetGrid(
        data,
        col=col,
        row=row,
        hue=hue,
        hue_order=order,
        palette=[colors[look.series] for look in style],
        hue_kws={"marker": [look.marker for look in style], "linestyle": [look.line for look in style]},
        **{"height": 3.2, "aspect": 1.3, "margin_titles": row is not None and col is not None} | facets,
    )
    # a label may hold a dollar sign. The figure stands outside: the first one starts a notebook's way of showing figures,
    # which the end of the context would switch off again
    with rc_context({"text.parse_math": False}):
        grid.map_dataframe(_draw, x=x, numeric=numeric)
        for axes in grid.axes.flat:
            _scale(axes, data, x, metric.unit, numeric=numeric)
        grid.set_axis_labels(_words(x) if numeric else "", _axis_title(metric))
        grid.set_titles(**_titles(col, row))
        if hue != x:
            grid.add_legend(title=_words(hue))
    return grid


def _styles(view: View, data: pd.DataFrame, hue: str, order: Sequence[object]) -> list[Look]:
    """The looks of the page where a hue is a variant's; else one after the other."""
    if hue not in ("label", "variant_id"):
        return [Look(place) for place in range(len(order))]
    every = looks(view)
    ids = dict(zip(data[hue], data["variant_id"], strict=True))
    return [every[ids[name]] for name in order]


def _draw(
    data: pd.DataFrame, *, x: str, numeric: bool, color: Any, label: str, marker: str, linestyle: Any, **_: Any
) -> None:
    """One hue in one panel: a line with our intervals, hollow where a case is marked, a cross where it does not fit."""
    axes = plt.gca()
    places = data[x].astype(float) if numeric else data[x].cat.codes.astype(float)
    ordered = data.assign(place=places).sort_values("place")
    unfit = ordered[ordered["value"].isna()]
    found = ordered.dropna(subset=["value"])
    values = found["value"]
    errors = [(values - found["low"].fillna(values)).abs(), (found["high"].fillna(values) - values).abs()]
    line = linestyle if numeric else "none"
    axes.errorbar(
        found["place"], values, yerr=errors, color=color, linestyle=line, marker=marker, capsize=2.5, label=label
    )
    hollow = found[found["marked"]]
    axes.plot(hollow["place"], hollow["value"], marker, mfc=axes.get_facecolor(), mec=color, zorder=4)
    axes.plot(unfit["place"], [0.98] * len(unfit), "x", color=color, transform=axes.get_xaxis_transform())


def _scale(axes: Axes, data: pd.DataFrame, x: str, unit: Unit, *, numeric: bool) -> None:
    if numeric and x in _SWEPT:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(sorted(data[x].dropna().unique())))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    elif not numeric:
        names = list(dict.fromkeys(data[x]))
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
        axes.set_xlim(-0.5, len(names) - 0.5)
    values = data["value"].dropna()
    if values.min() > 0 and values.max() / values.min() > _SPREAD:
        base = 2 if unit is Unit.BYTES else 10
        axes.set_yscale("log", base=base)
        axes.yaxis.set_major_locator(LogLocator(base=base, subs=(1.0,) if base == 2 else (1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value, unit)))


def _words(column: str) -> str:
    return {"label": "architecture", "sequence_length": "sequence length", "batch_size": "batch size"}.get(
        column, column
    )


def _axis_title(metric: Metric) -> str:
    unit = {Unit.SHARE: "%", Unit.NUMBER: ""}.get(metric.unit, metric.unit.value)
    return f"{metric.title} ({unit})" if unit else metric.title


def _titles(col: str | None, row: str | None) -> dict[str, str]:
    short = {"batch_size": "batch ", "sequence_length": "length ", "panel": "", "workload": "", "task": ""}

    def words(column: str | None, kind: str) -> str:
        return "" if column is None else f"{short.get(column, f'{column} ')}{{{kind}_name}}"

    head, side = words(col, "col"), words(row, "row")
    return {"col_template": head, "row_template": side, "template": ", ".join(filter(None, (side, head)))}
