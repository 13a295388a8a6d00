"""Charts of scores: what there is to choose, how fits learn, what the machine allows; and SVG made small."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from drawn import chart_of, description, numbers, place, texts, tips, tree
from made_run import LABELS, made_quick_run, made_run
from matplotlib import rc_context

from bench.observations import CaseResult
from bench.quantity import Better, Metric, Unit
from bench.records import Outcome, PassKind, Run
from bench.report import drawing, learning, render, svg
from bench.report import view as views
from bench.report.charts import select
from bench.report.drawing import Panel
from bench.report.pareto import Place, beaten, front
from bench.report.ranking import widest
from bench.report.roofline import rooflines
from bench.report.scales import measured_scale
from bench.report.scatter import Dot, diameters, draw_scatter, round_sizes
from bench.report.svg import Look
from bench.report.tradeoff import tradeoff
from bench.report.view import View, view
from bench.stats import Estimate

Made = tuple[Run, list[CaseResult]]


def _only(made: Made, *, fits: bool) -> View:
    run, results = made
    kept = [result for result in results if (result.case.fit is not None) is fits]
    return view(replace(run, plan=replace(run.plan, cases=tuple(result.case for result in kept))), kept)


# ── what there is to choose ────────────────────────────────────────────────────────────────────────────────────────


def test_score_speed_and_memory_of_everyone_are_in_the_first_chart() -> None:
    found = view(*made_run())
    chart = chart_of(tradeoff(found, "imdb", 0.5, "x"), "Accuracy against throughput")
    said = tips(chart.panels[0])
    where = views.point(found.run, (shown.case for shown in found.timed("imdb")))
    assert where
    at, fits = views.at(found.timed("imdb"), where), views.fits_for(found.fits("imdb"), 256)
    assert len(said) == len(LABELS)
    for key, shown in at.items():
        speed = views.value_words(shown.found["throughput_items_per_s"], Unit.ITEMS_PER_SECOND)
        score = views.value_words(fits[key].found["accuracy"], Unit.SHARE)
        assert shown.memory
        memory = views.value_words(shown.memory, Unit.BYTES)
        assert f"{shown.case.variant.label}: {speed}, accuracy {score}, peak memory {memory}" in said
    columns = [column.title for column in chart.tables[0].columns]
    assert columns == ["throughput", "accuracy", "over test items", "peak memory", "marks"]
    assert "thick: other seeds, thin: other test items, across: other trials" in chart.caption


def test_who_is_beaten_beyond_doubt_is_said_and_nobody_else() -> None:
    found = view(*made_run())
    caption = chart_of(tradeoff(found, "imdb", None, "x"), "Accuracy against throughput").caption
    where = views.point(found.run, (shown.case for shown in found.timed("imdb")))
    assert where
    at, fits = views.at(found.timed("imdb"), where), views.fits_for(found.fits("imdb"), 256)
    places = {
        shown.case.variant.label: Place(throughput=shown.found["throughput_items_per_s"], score=score)
        for key, shown in at.items()
        if (score := widest(fits[key], "accuracy"))
    }
    worse = beaten(places, Better.HIGHER)
    assert set(worse) == {"rnn", "transformer", LABELS[-1]}
    assert f"Slower and worse than another beyond doubt: rnn, transformer and {LABELS[-1]} (than nbow)." in caption
    # nbow has the highest figures in both: there is no line to draw
    assert front(places, Better.HIGHER) == ["nbow"]
    assert "Line:" not in caption


def test_the_front_is_a_line_of_steps_and_named() -> None:
    run, results = made_run(("nbow", "gru", "rnn"), (256,))

    def better(result: CaseResult) -> CaseResult:
        share = {"gru": 0.95, "nbow": 0.8, "rnn": 0.6}[result.case.variant.label]
        return replace(
            result, fits=tuple(replace(fit, metrics={"accuracy": share}, correct=None) for fit in result.fits)
        )

    chart = chart_of(
        tradeoff(view(run, [better(one) for one in results]), "imdb", None, "x"), "Accuracy against throughput"
    )
    assert "Line: the best accuracy to be had at that speed or more (gru and nbow), intervals aside." in chart.caption
    steps = [
        numbers(path.get("d", ""))
        for path in tree(chart.panels[0]).iter("path")
        if "var(--muted); stroke-width: 0.8" in path.get("style", "") and "fill: none" in path.get("style", "")
    ]
    (line,) = [one for one in steps if len(one) > 4]
    xs, ys = line[::2], line[1::2]
    assert xs == sorted(xs)
    assert ys == sorted(ys)  # downwards, as speed grows


def test_areas_are_as_the_memory_and_shapes_alike() -> None:
    assert diameters([100.0, 25.0]) == [18.0, 9.0]
    assert diameters([100.0, 0.01, None]) == [18.0, 5.0, 5.0]
    assert round_sizes([900.0, 100.0]) == [512, 128, 32]
    assert round_sizes([900.0, 700.0]) == [512, 256, 128]
    areas = {Look(number).marker: Look(number).area for number in range(8)}
    assert areas["s"] == pytest.approx(1)
    assert areas["o"] == pytest.approx(0.785, rel=0.02)
    found = view(*made_run())
    panel = tradeoff(found, "imdb", None, "x")
    assert panel
    shapes = {
        path.get("id"): numbers(path.get("d", ""))
        for path in tree(panel.charts[0].panels[0]).iter("path")
        if path.get("id")
    }
    drawn = {}
    for use in tree(panel.charts[0].panels[0]).iter("use"):
        if tip := "".join(title.text or "" for title in use.iter("title")):
            points = shapes[(use.get("href") or "#")[1:]]
            drawn[tip.partition(":")[0]] = _area(points[::2], points[1::2])
    memory = {
        shown.case.variant.label: shown.memory.value or 0
        for shown in views.at(
            found.timed("imdb"), views.point(found.run, (s.case for s in found.timed("imdb")))
        ).values()  # type: ignore[arg-type]
        if shown.memory
    }
    ratios = [drawn[label] / memory[label] for label in ("transformer", "textcnn", "gru", "lstm")]
    assert max(ratios) / min(ratios) < 1.03


def _area(xs: Sequence[float], ys: Sequence[float]) -> float:
    following = [*range(1, len(xs)), 0]
    return abs(sum(xs[one] * ys[other] - xs[other] * ys[one] for one, other in enumerate(following))) / 2


@pytest.mark.parametrize("seed", range(12))
def test_labels_of_dots_stand_apart(seed: int) -> None:
    draw = random.Random(seed)
    dots = [
        Dot(
            label=f"variant {number}",
            look=Look(number),
            x=Estimate(value=10 ** draw.uniform(3, 5)),
            ys=(Estimate(value=draw.uniform(0.6, 0.9)),),
            hollow=False,
            size=draw.uniform(1, 100),
        )
        for number in range(12)
    ]
    panel = Panel(
        heading="",
        shows="",
        series=(),
        x=measured_scale([dot.x.value or 0 for dot in dots], Unit.ITEMS_PER_SECOND),
        y=measured_scale([dot.ys[0].value or 0 for dot in dots], Unit.SHARE),
        height=330,
    )
    with rc_context(svg.STYLE):
        figure, axes = drawing.canvas(panel)
        draw_scatter(axes, panel, dots, {"chance": 0.55})
        figure.savefig(io.StringIO(), format="svg")
        boxes = [text.get_window_extent() for text in axes.texts if text.get_text().startswith("variant")]
    assert len(boxes) == 12
    for one, other in combinations(boxes, 2):
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        up = min(one.y1, other.y1) - max(one.y0, other.y0)
        # boxes of letters hold a little air
        assert across < 6 or up < 4


def test_without_scores_memory_stands_against_speed() -> None:
    block = tradeoff(_only(made_run(), fits=False), "imdb", 0.5, "x")
    chart = chart_of(block, "Peak memory against throughput")
    assert len(tips(chart.panels[0])) == len(LABELS)
    assert "accuracy" not in "".join(texts(chart.panels[0]))
    assert [column.title for column in chart.tables[0].columns][:2] == ["throughput", "peak memory"]


def test_without_speeds_scores_stand_alone() -> None:
    chart = chart_of(tradeoff(_only(made_run(), fits=True), "imdb", 0.5, "x"), "Accuracy")
    panel = chart.panels[0]
    assert "chance 50 %" in texts(panel)
    heights = {label: place(panel, label)[1] for label in LABELS[:-1]}
    scores = {one.case.variant.label: one.found["accuracy"].value or 0 for one in view(*made_run()).fits("imdb")}
    assert sorted(heights, key=heights.__getitem__) == sorted(heights, key=lambda label: -scores[label])


def test_without_anything_there_is_nothing_to_choose() -> None:
    run, results = made_quick_run()
    speeds = [result for result in results if result.case.fit is None]
    plan = replace(run.plan, cases=tuple(result.case for result in speeds))
    assert tradeoff(view(replace(run, plan=plan), speeds), "images", None, "x") is None
    unseen = [replace(result, trials=(), passes=(), fits=(), epochs=()) for result in results]
    assert tradeoff(view(run, unseen), "images", None, "x") is None


def test_less_is_better_of_an_error() -> None:
    run, results = made_run(("nbow", "gru"), (256,))
    errors = [
        replace(one, fits=tuple(replace(fit, metrics={"mae": 0.1}, correct=None) for fit in one.fits))
        for one in results
    ]
    chart = chart_of(tradeoff(view(run, errors), "imdb", None, "x"), "Mean absolute error against throughput")
    assert chart.caption.startswith("Down and right is better.")


# ── learning ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _taught(target: float | None) -> View:
    """Three epochs of 2, 3 and 4 seconds at a rate that is chosen, after three of another that is not."""
    run, results = made_run(("nbow", "gru"), (64,))
    made = []
    for result in results:
        if result.case.fit is None:
            continue
        case = replace(result.case, fit=replace(result.case.fit, target=target, learning_rates=(1e-2, 1e-3)))
        chosen = [replace(epoch, seconds=1.0 + epoch.epoch) for epoch in result.epochs]
        other = [replace(epoch, learning_rate=1e-2, seconds=100.0) for epoch in result.epochs]
        reached = 5.0 if case.variant.label == "nbow" else None
        fits = tuple(replace(fit, time_to_target_s=reached) for fit in result.fits)
        made.append(replace(result, case=case, epochs=(*other, *chosen), fits=fits))
    return view(replace(run, plan=replace(run.plan, cases=tuple(one.case for one in made))), made)


def test_seconds_add_up_over_the_epochs_of_the_rate_chosen() -> None:
    chart = chart_of(learning.learning(_taught(None), "imdb", "x"), "Accuracy over training time")
    said = tips(chart.panels[0])
    assert len(said) == 2 * 3 * 3
    assert [re.sub(r": [\d.]+ %", "", tip) for tip in said[:3]] == [
        "nbow, seed 0, epoch 1, 2.00 s",
        "nbow, seed 0, epoch 2, 5.00 s",
        "nbow, seed 0, epoch 3, 9.00 s",
    ]
    (first, *_) = chart.tables[0].rows
    assert [cell.estimate.value for cell in first.cells if cell.estimate] == [2.0, 5.0, 9.0]
    assert "nor are other learning rates" in chart.caption


def test_scores_are_those_of_each_epoch() -> None:
    found = _taught(None)
    chart = chart_of(learning.learning(found, "imdb", "x"), "Learning curves")
    (nbow, *_) = found.fits("imdb")
    scores = [one.validation_score for one in nbow.result.epochs if one.seed == 0 and one.learning_rate == 1e-3]
    (first, *_) = chart.tables[0].rows
    assert [cell.estimate.value for cell in first.cells if cell.estimate] == scores
    assert [column.title for column in chart.tables[0].columns] == ["run", "epoch 1", "epoch 2", "epoch 3"]
    assert description(chart.panels[0]).startswith("After the last epoch: nbow ")


def test_the_target_is_a_line_and_who_reached_it_is_said() -> None:
    block = learning.learning(_taught(0.8), "imdb", "x")
    assert block
    chart = chart_of(block, "Accuracy over training time")
    assert "target 80 %" in texts(chart.panels[0])
    assert "target 80 %" not in texts(chart_of(block, "Learning curves").panels[0])
    (table,) = block.tables
    assert table.title == "imdb: time to accuracy 80 %"
    rows = {row.label: [cell.text for cell in row.cells] for row in table.rows}
    assert rows["nbow"][:2] == ["3 of 3 fits", "5.00 s"]
    assert rows["gru"][:2] == ["0 of 3 fits", ""]


def test_of_many_fits_the_best_are_drawn_and_long_trainings_are_thinned() -> None:
    run, results = made_run(("nbow",), (64,))
    (fit,) = [result for result in results if result.case.fit]
    made = []
    for number in range(15):
        variant = replace(fit.case.variant, architecture=f"a{number}", label=f"v{number}")
        case = replace(fit.case, id=f"v{number}", variant=variant)
        fits = tuple(replace(one, metrics={"accuracy": 0.5 + number / 100}, correct=None) for one in fit.fits)
        epochs = tuple(replace(fit.epochs[0], epoch=epoch) for epoch in range(1, 41))
        made.append(replace(fit, case=case, fits=fits, epochs=epochs))
    block = learning.learning(
        view(replace(run, plan=replace(run.plan, cases=tuple(one.case for one in made))), made), "imdb", "x"
    )
    assert block
    assert block.says == ("Drawn: 12 of 15 fits (the best by accuracy).",)
    (table,) = chart_of(block, "Learning curves").tables
    assert {row.label for row in table.rows} == {f"v{number}" for number in range(3, 15)}
    titles = [column.title for column in table.columns]
    assert len(titles) == 13
    assert (titles[1], titles[-1]) == ("epoch 1", "epoch 40")


def test_losses_of_phases_are_drawn_and_tabled() -> None:
    run, results = made_run(("nbow",), (64,))
    losses = [
        replace(
            one, epochs=tuple(replace(e, losses={"judge": 0.5 / e.epoch, "maker": 2.0 * e.epoch}) for e in one.epochs)
        )
        for one in results
    ]
    chart = chart_of(learning.learning(view(run, losses), "imdb", "x"), "Losses against each other")
    assert {"judge", "maker"} <= set(texts(chart.panels[0]))
    assert description(chart.panels[0]) == "nbow: judge from 0.500 to 0.167; maker from 2.00 to 6.00."
    assert [[cell.text for cell in row.cells] for row in chart.tables[0].rows] == [
        ["1", "0.500", "2.00"],
        ["2", "0.250", "4.00"],
        ["3", "0.167", "6.00"],
    ]


# ── the roofline ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tip_at_every_case_below_the_roof() -> None:
    found = view(*made_run())
    chart = chart_of(rooflines(select(found, "imdb", "x")), "Inference")
    counted = [
        shown for shown in found.timed("imdb") if shown.case.workload == "inference" and shown.figure("flops_per_s")
    ]
    said = tips(chart.panels[0])
    assert len(said) == len(counted) == len(chart.tables[0].rows) == 56
    shown = counted[0]
    assert f"nbow, length 64, batch 1: {views.value_words(shown.found['flops_per_s'], Unit.FLOPS)}" in said
    assert [column.title for column in chart.tables[0].columns] == ["length", "batch", "FLOPs per byte", "achieved"]


# ── whatever there is ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_half_finished_run_is_drawn() -> None:
    run, results = made_run(("nbow", "gru"), (64, 128))
    lost = [
        replace(
            one,
            passes=tuple(replace(p, outcome=Outcome.FAILED, values={}) for p in one.passes),
            fits=(),
            epochs=one.epochs[:1],
        )
        for one in results
    ]
    text = render([(run, [*lost[:5], *(replace(one, trials=(), passes=(), pilots=()) for one in lost[5:])])])
    assert 'role="img"' in text
    assert all(one.attempts(PassKind.MEMORY) for one in lost[:4])


def test_a_score_that_no_way_is_better_has_no_front() -> None:
    known = {"a": Place(throughput=Estimate(value=1.0), score=Estimate(value=1.0))}
    assert front(known, Metric(name="m", title="m", unit=Unit.NUMBER, better=Better.NEITHER).better) == []
