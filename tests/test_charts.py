"""Charts over lengths and batch sizes: what is drawn is what was measured, and what is not drawn is said."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from drawn import chart_of, description, figures, heading, place, texts, tips, tree
from made_run import LABELS, made_quick_run, made_run

from bench.observations import CaseResult
from bench.quantity import Unit
from bench.records import Run
from bench.report import heatmaps, sweeps
from bench.report import view as views
from bench.report.blocks import Block, Chart
from bench.report.charts import MOST_VARIANTS, Selection, evenly, select
from bench.report.describe import extremes
from bench.report.measured import device_bytes
from bench.report.view import View, listed, view
from bench.stats import Estimate

Made = tuple[Run, list[CaseResult]]


@cache
def _selection() -> Selection:
    return select(view(*made_run()), "imdb", "x")


def _changed(made: Made, **changes: object) -> View:
    """A made run with every case changed alike."""
    run, results = made
    cases = [replace(result.case, **changes) for result in results]  # type: ignore[arg-type]
    kept = [replace(result, case=case) for result, case in zip(results, cases, strict=True)]
    return view(replace(run, plan=replace(run.plan, cases=tuple(cases))), kept)


def _machine(made: Made, **hard: object) -> View:
    run, results = made
    return view(replace(run, machine=replace(run.machine, hard=hard)), results)


def test_a_tip_at_every_marker_says_its_figure() -> None:
    selection = _selection()
    chart = chart_of(sweeps.speed(selection), "Training")
    throughput, latency = ({tip for panel in chart.panels[column::2] for tip in tips(panel)} for column in (0, 1))
    good = [shown for shown in selection.view.timed("imdb") if shown.good and shown.case.workload == "training"]
    for found, name, unit in (
        (throughput, "throughput_items_per_s", Unit.ITEMS_PER_SECOND),
        (latency, "latency_s", Unit.SECONDS),
    ):
        expected = set()
        for shown in good:
            where = f"{shown.case.variant.label}, length {shown.case.sequence_length}, batch {shown.case.batch_size}"
            doubts = f" ({'; '.join(shown.marks)})" if shown.marks else ""
            expected.add(f"{where}: {views.value_words(shown.found[name], unit)}{doubts}")
        assert found == expected
        assert len(found) == len(good) == 60


def test_the_tables_hold_what_is_drawn_with_its_interval() -> None:
    chart = chart_of(sweeps.speed(_selection()), "Inference")
    assert [table.note.split(",")[0] for table in chart.tables] == [
        "Throughput in items per second",
        "Latency of a call",
    ]
    known = figures(chart)
    assert len(known) == 64
    for shown in _selection().view.timed("imdb"):
        if shown.case.workload == "inference":
            key = (shown.case.variant.label, f"batch {shown.case.batch_size}", f"length {shown.case.sequence_length}")
            assert known[key] == shown.found["throughput_items_per_s"].value
    cell = chart.tables[0].rows[0].cells[0].estimate
    assert cell
    assert cell.low
    assert cell.high
    assert cell.value
    assert cell.low < cell.value < cell.high


def test_a_row_a_batch_size_with_throughput_beside_latency() -> None:
    chart = chart_of(sweeps.speed(_selection()), "Inference")
    assert [heading(panel) for panel in chart.panels] == [
        "throughput, items per second, inference, batch 1",
        "latency of a call, inference, batch 1",
        "throughput, items per second, inference, batch 32",
        "latency of a call, inference, batch 32",
    ]
    ticks = {tuple(text for text in texts(panel) if text.isdigit()) for panel in chart.panels}
    assert ticks == {("64", "128", "256", "512")}
    # panels of one quantity share their scale, so that heights can be compared
    scales = [[text for text in texts(panel) if text.endswith("/s")] for panel in chart.panels[::2]]
    assert scales[0] == scales[1]


def test_where_a_variant_stops_fitting_its_line_ends_in_a_cross() -> None:
    chart = chart_of(sweeps.memory(_selection()), "Training")
    first, second = chart.panels
    assert "✕" not in texts(first)
    assert "transformer: does not fit" in texts(second)
    assert place(second, "✕")[0] == pytest.approx(place(second, "512")[0], abs=0.5)
    assert place(second, "✕")[1] < place(second, "4 GiB")[1]
    assert "transformer does not fit at 512." in description(second)
    dotted = [
        one
        for one in tree(second).iter()
        if "stroke-dasharray: 1,2" in one.get("style", "").replace(" ", "").replace(":", ": ")
    ]
    assert dotted
    assert "✕: does not fit." in chart.caption
    assert "rnn, length 512, batch 1 (skipped)" in chart.caption
    assert "BiLSTM x2, length 512, batch 32 (failed)" in chart.caption


@pytest.mark.parametrize(("gib", "drawn"), [(4, True), (200, False), (None, False)])
def test_the_memory_there_is_is_drawn_where_it_is_near(gib: int | None, drawn: bool) -> None:
    chart = chart_of(sweeps.memory(select(_machine(made_run(), memory_gib=gib), "imdb", "x")), "Training")
    limit = [text for text in texts(chart.panels[1]) if text.startswith("no more than")]
    assert limit == (["no more than 4 GiB here"] if drawn else [])
    assert (f"does not fit into {gib} GiB." in chart.caption) == (gib is not None)
    if drawn:
        # the cross is above the line of the limit, and every marker below it
        height = place(chart.panels[1], limit[0])[1]
        assert place(chart.panels[1], "✕")[1] < height
        assert all(float(one.get("y", 0)) > height for one in tree(chart.panels[1]).iter("use"))


def test_the_memory_of_a_gpu_is_that_of_its_number() -> None:
    found = _changed(made_run(("lstm",), (64, 128)), device="cuda:1")
    run = replace(found.run, machine=replace(found.run.machine, hard={"memory_gib": 8, "gpu_memory_gib": [24, 80]}))
    known = replace(found, run=run)
    assert device_bytes(known, known.cases[0]) == 80 * 2**30
    other = replace(known, run=replace(run, machine=replace(run.machine, hard={"gpu_memory_gib": [24]})))
    assert device_bytes(other, other.cases[0]) is None


def test_without_lengths_batch_sizes_are_the_axis() -> None:
    block = sweeps.speed(select(view(*made_quick_run()), "images", "x"))
    assert block
    assert block.title == "Speed over batch size"
    assert [heading(panel) for panel in block.charts[0].panels] == [
        "throughput, items per second, inference",
        "latency of a call, inference",
    ]
    assert {"1", "32", "256"} <= set(texts(block.charts[0].panels[0]))
    assert sweeps.memory(select(view(*made_quick_run()), "images", "x")) is None


def test_one_place_alone_is_drawn_as_dots_and_only_if_nothing_shows_it_yet() -> None:
    run, results = made_run(lengths=(256,))
    kept = [result for result in results if result.case.fit or result.case.batch_size == 32]
    found = view(replace(run, plan=replace(run.plan, cases=tuple(result.case for result in kept))), kept)
    block = sweeps.speed(select(found, "imdb", "x"))
    assert block
    assert block.title == "Speed"
    panel = chart_of(block, "Inference").panels[0]
    labels = [text for text in texts(panel) if text in LABELS]
    speeds = {
        one.case.variant.label: one.found["throughput_items_per_s"].value or 0
        for one in found.timed("imdb")
        if one.case.workload == "inference"
    }
    drawn = sorted(labels, key=lambda label: place(panel, label)[1])
    assert drawn == sorted(drawn, key=lambda label: -speeds[label])
    assert len(tips(panel)) == len(LABELS)
    again = sweeps.speed(select(found, "imdb", "x", told=True))
    assert again
    assert [chart.title for chart in again.charts] == ["Training"]


def test_energy_is_told_where_it_was_measured() -> None:
    assert sweeps.energy(_selection()) is None
    run, results = made_run(("lstm", "gru"))
    changed = [
        replace(
            result,
            passes=tuple(
                replace(one, values={**one.values, "energy_j_per_item": 0.25 * (result.case.sequence_length or 1)})
                for one in result.passes
            ),
        )
        for result in results
    ]
    chart = chart_of(sweeps.energy(select(view(run, changed), "imdb", "x")), "Inference")
    assert "lstm, length 64, batch 1: 16.0 J" in tips(chart.panels[0])
    assert figures(chart)["lstm", "batch 1", "length 64"] == 16.0


# ── how much is drawn ──────────────────────────────────────────────────────────────────────────────────────────────


def _many(count: int) -> View:
    """So many variants of which the last is the fastest."""
    run, (first, *_) = made_run(("lstm",), (64,))
    results = []
    for number in range(count):
        for length in (64, 256):
            for batch in (1, 2, 8, 32, 64):
                trials = tuple(
                    replace(
                        trial,
                        samples_s=tuple(one / (1 + number) * length * batch for one in trial.samples_s),
                        items=batch,
                    )
                    for trial in first.trials
                )
                variant = replace(first.case.variant, architecture=f"a{number}", label=f"v{number}")
                case = replace(
                    first.case,
                    id=f"{number}/{length}/{batch}",
                    variant=variant,
                    sequence_length=length,
                    batch_size=batch,
                )
                results.append(replace(first, case=case, trials=trials, passes=()))
    return view(replace(run, plan=replace(run.plan, cases=tuple(one.case for one in results))), results)


def test_of_many_the_fastest_are_drawn_and_that_is_said() -> None:
    selection = select(_many(20), "imdb", "x")
    assert [variant.label for variant in selection.variants] == [f"v{number}" for number in range(8, 20)]
    assert selection.left_out == (
        "Drawn: 12 of 20 architectures (the fastest at the operating point); the rest stands in the tables."
    )
    block = sweeps.speed(selection)
    assert block
    assert block.says == (selection.left_out,)
    chart = block.charts[0]
    assert "3 of 5 batch sizes: the smallest, 32 and the largest." in chart.caption
    assert [heading(panel).rpartition(", ")[2] for panel in chart.panels[::2]] == ["batch 1", "batch 32", "batch 64"]
    assert {tip.partition(",")[0] for panel in chart.panels for tip in tips(panel)} == {f"v{n}" for n in range(8, 20)}
    # the table has all of them
    assert len(chart.tables[0].rows) == 20
    assert len(figures(chart)) == 20 * 2 * 5


def test_as_many_as_can_be_drawn_are_drawn_without_a_word() -> None:
    selection = select(_many(MOST_VARIANTS), "imdb", "x")
    assert len(selection.variants) == MOST_VARIANTS
    assert selection.left_out == ""


def test_of_many_kinds_those_of_the_operating_point_come_first() -> None:
    run, results = made_run(("lstm",), (64, 128))
    every = [
        replace(result, case=replace(result.case, id=f"{result.case.id}/{threads}", threads=threads))
        for threads in (1, 2, 4, 8)
        for result in results
        # the operating point has a batch size of 32
        if result.case.fit is None and (threads > 2 or result.case.batch_size == 1)
    ]
    plan = replace(run.plan, cases=tuple(result.case for result in every))
    selection = select(view(replace(run, plan=plan), every), "imdb", "x")
    assert selection.place
    assert selection.place.setting.threads == 4
    assert [(kind[0], kind[1].threads) for kind in selection.kinds] == [
        ("inference", 1),
        ("training", 1),
        ("inference", 4),
        ("training", 4),
    ]
    assert "4 of 8 workloads and settings (those of the operating point first)" in selection.left_out
    block = sweeps.speed(selection)
    assert block
    assert block.charts[2].title == "Inference (fp32 on cpu, 4 threads)"


def test_places_are_left_out_evenly() -> None:
    assert evenly([1, 2, 3], 3) == [1, 2, 3]
    assert evenly(list(range(10)), 4) == [0, 3, 6, 9]


def test_a_long_list_of_what_is_missing_is_cut() -> None:
    run, results = made_run()
    skipped = [
        replace(result, case=replace(result.case, skip="no")) if result.case.variant.label != "nbow" else result
        for result in results
    ]
    chart = chart_of(sweeps.speed(select(view(run, skipped), "imdb", "x")), "Inference")
    assert chart.caption.endswith("and 50 others.")
    assert chart.caption.count("(skipped)") == 6


# ── heat maps ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_heat_map_says_every_figure_and_what_became_of_the_rest() -> None:
    block = heatmaps.heatmaps(_selection())
    chart = chart_of(block, "Training")
    assert len(chart.panels) == 2
    assert [label for panel in chart.panels for label in texts(panel) if label in LABELS] == list(LABELS[:-1])
    written = [text for panel in chart.panels for text in texts(panel)]
    assert (written.count("failed"), written.count("skipped"), written.count("does not fit")) == (2, 1, 1)
    said = [tip for panel in chart.panels for tip in tips(panel)]
    good = [shown for shown in _selection().view.timed("imdb") if shown.good and shown.case.workload == "training"]
    assert len(said) == len(good)
    shown = good[0]
    words = views.value_words(shown.found["throughput_tokens_per_s"], Unit.TOKENS_PER_SECOND)
    assert said[0] == f"nbow, length 64, batch 1: {words}"
    assert figures(chart)["nbow", "batch 1", "length 64"] == shown.found["throughput_tokens_per_s"].value


def test_a_fuller_colour_is_a_higher_figure() -> None:
    panel = chart_of(heatmaps.heatmaps(_selection()), "Inference").panels[0]
    values, shades = [], []
    for group in tree(panel).iter():
        for cell in [one for one in group if one.tag == "path" and list(one)]:
            style = cell.get("style") or group.get("style") or ""
            number, unit = (next(iter(cell)).text or "").rpartition(": ")[2].split(" ")[:2]
            values.append(float(number) * {"k/s": 1e3, "M/s": 1e6}[unit])
            shades.append(float(style.partition("fill-opacity: ")[2].partition(";")[0]))
    assert len(values) == 32
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [shades[place] for place in order] == sorted(shades)
    assert len(set(shades)) > 6


def test_a_variant_without_any_figure_has_a_map_of_words() -> None:
    run, results = made_run(("nbow", "gru"))
    unseen = [
        one if one.case.variant.label == "nbow" else replace(one, trials=(), pilots=(), passes=()) for one in results
    ]
    left, right = chart_of(heatmaps.heatmaps(select(view(run, unseen), "imdb", "x")), "Inference").panels
    assert len(tips(left)) == 8
    assert tips(right) == []
    assert texts(right).count("…") == 8
    assert description(right) == "gru: no figure."


def test_heat_maps_need_two_lengths_and_two_batch_sizes() -> None:
    assert heatmaps.heatmaps(select(view(*made_run(lengths=(64,))), "imdb", "x")) is None
    assert heatmaps.heatmaps(select(view(*made_quick_run()), "images", "x")) is None
    run, results = made_run(("lstm",))
    kept = [result for result in results if result.case.batch_size == 1]
    found = view(replace(run, plan=replace(run.plan, cases=tuple(one.case for one in kept))), kept)
    assert heatmaps.heatmaps(select(found, "imdb", "x")) is None


# ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _speed(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def test_descriptions_claim_no_more_than_intervals_carry() -> None:
    apart = {"a": _speed(100, 1), "b": _speed(50, 1), "c": _speed(10, 1)}
    assert extremes(apart, Unit.ITEMS_PER_SECOND) == "highest a, 100/s ±1.0 %; lowest c, 10.0/s ±10.0 %"
    tied = {"a": _speed(100, 30), "b": _speed(90, 30), "c": _speed(10, 1)}
    assert extremes(tied, Unit.ITEMS_PER_SECOND) == (
        "highest a, 100/s ±30.0 % (not to be told apart from b); lowest c, 10.0/s ±10.0 %"
    )
    same = {"a": _speed(100, 30), "b": _speed(90, 30)}
    assert extremes(same, Unit.ITEMS_PER_SECOND) == "90.0/s to 100/s; no two of these 2 can be told apart"
    many = {name: _speed(100 - place, 30) for place, name in enumerate("abcdef")} | {"z": _speed(1, 0.1)}
    assert "highest a, 100/s ±30.0 % (not to be told apart from 5 others)" in extremes(many, Unit.ITEMS_PER_SECOND)
    assert extremes({"a": _speed(100, 1)}, Unit.ITEMS_PER_SECOND) == "a, 100/s ±1.0 %"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a"], "or") == "a"


def test_every_panel_is_described_with_its_figures() -> None:
    selection = _selection()
    panel = chart_of(sweeps.speed(selection), "Inference").panels[2]
    at = {
        shown.case.variant.label: shown.found["throughput_items_per_s"]
        for shown in selection.view.timed("imdb")
        if (shown.case.workload, shown.case.sequence_length, shown.case.batch_size) == ("inference", 512, 32)
    }
    words = description(panel)
    assert words.startswith("8 lines over sequence length. At 512: ")
    best, worst = max(at, key=lambda label: at[label].value or 0), min(at, key=lambda label: at[label].value or 0)
    assert f"highest {best}, {views.value_words(at[best], Unit.ITEMS_PER_SECOND)}" in words
    assert f"lowest {worst}, {views.value_words(at[worst], Unit.ITEMS_PER_SECOND)}" in words
    blocks: list[Block | None] = [sweeps.speed(selection), sweeps.memory(selection), heatmaps.heatmaps(selection)]
    charts: list[Chart] = [chart for block in blocks if block for chart in block.charts]
    every = [description(panel) for chart in charts for panel in chart.panels]
    assert len(every) == 16
    assert all("lstm" in words or "highest" in words or "most at" in words for words in every)
