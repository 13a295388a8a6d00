"""How fits learn: scores epoch by epoch and over training time, the time to a target, losses of several phases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from markupsafe import Markup

from bench import estimates
from bench.observations import Epoch
from bench.quantity import Better, Metric, Unit, format_tick, format_value
from bench.records import Variant
from bench.report import drawing
from bench.report.blocks import Block, Chart
from bench.report.charts import MOST_VARIANTS, evenly, looks
from bench.report.curves import Curve, draw_curves
from bench.report.drawing import Level, Panel, Series, Spot
from bench.report.scales import Scale, measured_scale
from bench.report.svg import Look
from bench.report.tables import Cell, CellKind, Column, Row, Table, empty, metric_cell, value_cell
from bench.report.view import Shown, View, listed
from bench.stats import Estimate

_MOST_ROWS = 60
_MOST_EPOCHS = 12
_MOST_LOSSES = 6

Lines = list[tuple[Shown, Look, list[Epoch]]]
"""The epochs of each seed and fold of each fit."""


def learning(view: View, task: str, prefix: str) -> Block | None:
    """Every chart on the training of a task's fits that there is something to draw for."""
    lines, says = _lines(view, task)
    metric = view.headline(task)
    charts = [
        _over_epochs(lines, task, metric, f"{prefix}c"),
        _over_time(lines, task, metric, f"{prefix}w"),
        _losses(view, task, f"{prefix}l"),
    ]
    kept = tuple(chart for chart in charts if chart is not None)
    targets = _to_target(view, task)
    if not kept and targets is None:
        return None
    return Block(title="Learning", says=says, charts=kept, tables=(targets,) if targets else ())


def _lines(view: View, task: str) -> tuple[Lines, tuple[str, ...]]:
    """What is drawn: every seed and fold of the best variants, and in a sentence what is not."""
    look, metric = looks(view), view.headline(task)
    fits = [shown for shown in view.fits(task) if any(one.validation_score is not None for one in shown.result.epochs)]
    says: tuple[str, ...] = ()
    if len(fits) > MOST_VARIANTS:
        says = (f"Drawn: {MOST_VARIANTS} of {len(fits)} fits (the best by {metric.title}).",)
        best = {shown.case.id for shown in sorted(fits, key=lambda shown: _rank(shown, metric))[:MOST_VARIANTS]}
        fits = [shown for shown in fits if shown.case.id in best]
    return [(shown, look[shown.case.variant.variant_id], epochs) for shown in fits for epochs in _curves(shown)], says


def _rank(shown: Shown, metric: Metric) -> tuple[bool, float]:
    """The best score first, those without one last."""
    found = shown.figure(metric.name)
    value = found.value if found and found.value is not None else 0.0
    return found is None, value if metric.better is Better.LOWER else -value


def _curves(shown: Shown) -> list[list[Epoch]]:
    """The epochs of each seed and fold, at the learning rate that was chosen for it (the first, where none was)."""
    chosen: Mapping[tuple[int, int | None], float | None]
    chosen = {(fit.seed, fit.fold): fit.learning_rate for fit in shown.result.fits}
    lines: dict[tuple[int, int | None], list[Epoch]] = {}
    for epoch in shown.result.epochs:
        key = (epoch.seed, epoch.fold)
        rate = chosen.get(key) or shown.result.epochs[0].learning_rate
        if epoch.learning_rate == rate and epoch.validation_score is not None:
            lines.setdefault(key, []).append(epoch)
    return list(lines.values())


def _over_epochs(lines: Lines, task: str, metric: Metric, prefix: str) -> Chart | None:
    epochs = sorted({epoch.epoch for _, _, line in lines for epoch in line})
    if len(epochs) < 2:
        return None
    ticks = tuple(float(epoch) for epoch in epochs[:: -(-len(epochs) // 6)])
    room = 0.04 * (epochs[-1] - epochs[0])
    x = Scale(low=epochs[0] - room, high=epochs[-1] + room, log=False, ticks=ticks, unit=Unit.NUMBER, title="epoch")
    drawn = _draw(lines, metric, x, lambda line: [epoch.epoch for epoch in line], prefix)
    return Chart(
        title="Learning curves",
        panels=(drawn,),
        caption="A line for each seed and fold, at the learning rate chosen.",
        tables=(_table(lines, task, f"{metric.title} on the validation split", metric.unit, _scores),),
    )


def _over_time(lines: Lines, task: str, metric: Metric, prefix: str) -> Chart | None:
    """The same scores over the seconds of training that they took: what a fast architecture may learn while others step."""
    places = [seconds(line) for _, _, line in lines]
    if not places or max(map(len, places)) < 2 or min(line[0] for line in places) <= 0:
        return None
    every = [one for line in places for one in line]
    x = measured_scale(every, Unit.SECONDS, "training time")
    drawn = _draw(lines, metric, x, seconds, prefix, _targets(lines, metric))
    searched = any(len(shown.case.fit.learning_rates) > 1 for shown, _, _ in lines if shown.case.fit)
    caption = "The same lines over the seconds of training up to the end of each epoch; evaluation is not in them"
    caption += ", nor are other learning rates." if searched else "."
    return Chart(
        title=f"{metric.title[:1].upper()}{metric.title[1:]} over training time",
        panels=(drawn,),
        caption=caption,
        tables=(_table(lines, task, "Seconds of training", Unit.SECONDS, seconds),),
    )


def seconds(line: Sequence[Epoch]) -> list[float]:
    """The seconds of training up to the end of each of these epochs."""
    return list(accumulate(epoch.seconds for epoch in line))


def _targets(lines: Lines, metric: Metric) -> tuple[Level, ...]:
    found = {shown.case.fit.target for shown, _, _ in lines if shown.case.fit and shown.case.fit.target is not None}
    return tuple(Level(value=one, words=f"target {format_tick(one, metric.unit)}") for one in sorted(found))


def _draw(
    lines: Lines,
    metric: Metric,
    x: Scale,
    places: Callable[[Sequence[Epoch]], Sequence[float]],
    prefix: str,
    levels: tuple[Level, ...] = (),
) -> Markup:
    series = tuple(
        Series(label=shown.case.variant.label, look=look, spots=_spots(shown, line, places(line), metric))
        for shown, look, line in lines
    )
    values = [spot.estimate.value or 0.0 for one in series for spot in one.spots] + [level.value for level in levels]
    panel = Panel(
        heading=f"by {x.title}",
        shows=f"{metric.title} on the validation split",
        series=series,
        x=x,
        y=measured_scale(values, metric.unit),
        levels=levels,
    )
    return drawing.lines(panel, f"{prefix}-", _description(lines, metric))


def _spots(shown: Shown, line: Sequence[Epoch], at: Sequence[float], metric: Metric) -> tuple[Spot, ...]:
    spent = seconds(line)
    return tuple(
        Spot(
            x=place,
            estimate=Estimate(value=epoch.validation_score),
            says=f"{shown.case.variant.label}, {_run_words(epoch)}, epoch {epoch.epoch}, {format_value(took, Unit.SECONDS)}: "
            f"{format_value(epoch.validation_score, metric.unit)}",
        )
        for epoch, place, took in zip(line, at, spent, strict=True)
    )


def _run_words(epoch: Epoch) -> str:
    return f"seed {epoch.seed}" + (f", fold {epoch.fold}" if epoch.fold is not None else "")


def _description(lines: Lines, metric: Metric) -> str:
    """Where each variant's lines end, seeds and folds side by side: no claim which is better."""
    last: dict[str, list[float]] = {}
    for shown, _, line in lines:
        last.setdefault(shown.case.variant.label, []).append(line[-1].validation_score or 0.0)
    words = []
    for label, values in last.items():
        low, high = (format_value(one, metric.unit) for one in (min(values), max(values)))
        words.append(f"{label} {low}" if low == high else f"{label} {low} to {high}")
    return f"After the last epoch: {'; '.join(words)}."


# ── the figures ────────────────────────────────────────────────────────────────────────────────────────────────────


def _scores(line: Sequence[Epoch]) -> list[float]:
    return [epoch.validation_score or 0.0 for epoch in line]


def _table(
    lines: Lines, task: str, what: str, unit: Unit, found: Callable[[Sequence[Epoch]], Sequence[float]]
) -> Table:
    """A row a seed and fold, a column an epoch; of many epochs some, of many lines the first."""
    epochs = evenly(sorted({epoch.epoch for _, _, line in lines for epoch in line}), _MOST_EPOCHS)
    rows = []
    for shown, _, line in lines[:_MOST_ROWS]:
        values = dict(zip((epoch.epoch for epoch in line), found(line), strict=True))
        cells = [value_cell(Estimate(value=values[one]), unit) if one in values else empty() for one in epochs]
        who = shown.case.variant
        run = Cell(text=_run_words(line[0]), kind=CellKind.WORDS)
        rows.append(Row(label=who.label, variant_id=who.variant_id, cells=(run, *cells)))
    cut = f" The first {_MOST_ROWS} of {len(lines)} lines." if len(lines) > _MOST_ROWS else ""
    return Table(
        title=f"{task}: fit",
        task=task,
        columns=(Column(title="run"), *(Column(title=f"epoch {epoch}") for epoch in epochs)),
        rows=tuple(rows),
        note=f"{what}, at the learning rate chosen.{cut}",
    )


def _to_target(view: View, task: str) -> Table | None:
    """How long fits took to the validation score that the suite names, with every learning rate that was tried."""
    fits = [shown for shown in view.fits(task) if shown.case.fit and shown.case.fit.target is not None]
    if not fits:
        return None
    metric = view.headline(task)
    targets = {shown.case.fit.target for shown in fits if shown.case.fit and shown.case.fit.target is not None}
    words = listed([format_tick(target, metric.unit) for target in sorted(targets)])
    return Table(
        title=f"{task}: time to {metric.title} {words}",
        task=task,
        columns=(Column(title="reached by"), Column(title="time to target"), Column(title="time to fit")),
        rows=tuple(
            Row(label=shown.case.variant.label, variant_id=shown.case.variant.variant_id, cells=_target_cells(shown))
            for shown in fits
        ),
        note=f"Seconds of training until {metric.title} on the validation split was first {words}, over those that reached it; "
        "every learning rate that was tried counts.",
    )


def _target_cells(shown: Shown) -> tuple[Cell, ...]:
    fits = estimates.good_fits(shown.result)
    reached = sum(fit.time_to_target_s is not None for fit in fits)
    times = [metric_cell(shown, name) if shown.figure(name) else empty() for name in ("time_to_target_s", "fit_s")]
    return Cell(text=f"{reached} of {len(fits)} fits", kind=CellKind.WORDS), *times


# ── losses against each other ──────────────────────────────────────────────────────────────────────────────────────


def _losses(view: View, task: str, prefix: str) -> Chart | None:
    """Of models whose step has several phases: the loss of each over the epochs of the first seed."""
    look = looks(view)
    panels: list[Markup] = []
    rows: list[tuple[Variant, Epoch]] = []
    names: dict[str, None] = {}
    told = [(shown, epochs) for shown in view.fits(task) if len(epochs := _first_seed(shown)) > 1]
    for shown, epochs in told[:_MOST_LOSSES]:
        who = shown.case.variant
        names |= dict.fromkeys(epochs[0].losses)
        drawn = draw_curves(
            [
                Curve(
                    name=name,
                    x=[e.epoch for e in epochs],
                    y=[e.losses[name] for e in epochs],
                    color=look[who.variant_id].color,
                )
                for name in epochs[0].losses
            ],
            heading=who.label,
            shows="training loss of each phase, nats",
            x_title="epoch",
            prefix=f"{prefix}{len(panels)}-",
            description=f"{who.label}: {_loss_words(epochs)}.",
        )
        panels.append(drawn)
        rows += [(who, epoch) for epoch in epochs]
    if not panels:
        return None
    cut = f" {_MOST_LOSSES} of {len(told)} fits." if len(told) > _MOST_LOSSES else ""
    return Chart(
        title="Losses against each other",
        panels=tuple(panels),
        caption=f"A step of such a model has phases with losses of their own; neither need fall. One seed.{cut}",
        tables=(_loss_table(task, rows, list(names)),),
    )


def _first_seed(shown: Shown) -> list[Epoch]:
    """The epochs with losses of the lowest seed at its first learning rate."""
    epochs = [epoch for epoch in shown.result.epochs if epoch.losses]
    first = min((epoch.seed for epoch in epochs), default=0)
    epochs = [epoch for epoch in epochs if epoch.seed == first]
    return [epoch for epoch in epochs if epoch.learning_rate == epochs[0].learning_rate]


def _loss_words(epochs: Sequence[Epoch]) -> str:
    return "; ".join(
        f"{name} from {format_value(epochs[0].losses[name], Unit.NATS)} to {format_value(epochs[-1].losses[name], Unit.NATS)}"
        for name in epochs[0].losses
    )


def _loss_table(task: str, rows: Sequence[tuple[Variant, Epoch]], names: Sequence[str]) -> Table:
    return Table(
        title=f"{task}: losses",
        task=task,
        columns=(Column(title="epoch"), *(Column(title=name) for name in names)),
        rows=tuple(
            Row(
                label=who.label,
                variant_id=who.variant_id,
                cells=(
                    Cell(text=str(epoch.epoch)),
                    *(value_cell(Estimate(value=epoch.losses.get(name)), Unit.NATS) for name in names),
                ),
            )
            for who, epoch in rows
        ),
        note="Mean training loss of each phase.",
    )
