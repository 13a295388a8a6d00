"""Several runs side by side: names, what differs, where they meet, and sentences that are true of the data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from random import Random

import pytest
from made_run import made_quick_run, made_run
from made_runs import NEWER_TORCH, OTHER, Told, failed, kept, later, pending, slower, unsteady
from markupsafe import Markup

from bench.compare import compare
from bench.compare_times import Design
from bench.quantity import METRICS
from bench.report import render
from bench.report import view as views
from bench.report.beside import Beside
from bench.report.meeting import meetings, names
from bench.report.ranking import leaders, tolerated, widest
from bench.report.side_by_side import SideBySide, side_by_side
from bench.report.side_charts import MOST_RUNS, side_charts
from bench.stats import Estimate
from bench.verdicts import Judgement

LABELS = ("nbow", "lstm", "gru")


@cache
def small() -> Told:
    return made_run(LABELS, lengths=(64, 128))


def _told(*runs: Told, changes: Sequence[Judgement] = ()) -> SideBySide:
    return side_by_side(views.side_by_side(runs), changes)


def _says(told: SideBySide, task: int = 0) -> list[str]:
    return [Markup(line).striptags() if isinstance(line, Markup) else line for line in told.tasks[task][1].says]


# ── names and differences ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_is_called_by_what_tells_it_from_the_others() -> None:
    first = small()[0]
    assert names([first, later(small(), machine=OTHER)[0]]) == [first.machine.name, OTHER.name]
    assert names([first, later(small(), machine=NEWER_TORCH)[0]]) == ["torch 2.13.0+cpu", "torch 2.14.0+cpu"]
    assert names([first, later(small())[0]]) == ["2025-01-02", "2025-01-03"]
    several = [first, later(small(), machine=OTHER)[0], later(small(), day=4, machine=OTHER)[0]]
    assert names(several) == [
        f"{first.machine.name}, 2025-01-02",
        f"{OTHER.name}, 2025-01-03",
        f"{OTHER.name}, 2025-01-04",
    ]
    assert names([first, made_quick_run()[0]]) == ["sentiment", "smoke"]
    assert names([first, replace(first, commit="f" * 40)]) == ["commit 0123456789", "commit ffffffffff"]
    assert names([first, first]) == ["(1)", "(2)"]


def test_only_what_differs_is_told() -> None:
    (table,) = _told(small(), later(small(), machine=OTHER)).apart.tables
    assert [row.label for row in table.rows] == ["machine", "measured", "run", "cpu model", "cores"]
    assert [cell.text for cell in table.rows[-1].cells] == ["2", "16"]
    same = _told(small(), small()).apart
    assert (same.tables, same.says) == ((), ("Nothing that is recorded differs.",))


# ── where they meet ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_common_place_is_the_nearest_to_the_operating_point() -> None:
    first, second = made_run(LABELS, lengths=(128, 256, 1024)), made_run(LABELS, lengths=(128, 512, 1024))
    met, _ = _told(first, later(second)).tasks[0]
    assert met.place is not None
    assert (met.place.workload, met.place.sequence_length, met.place.batch_size) == ("inference", 128, 32)
    assert {place.sequence_length for place in met.places} == {128, 1024}
    table = _told(first, later(second)).tasks[0][1].tables[0]
    assert "inference, length 128, batch 32" in table.note
    for side in met.sides:
        place = [column.group for column in table.columns].index(side.name)
        timed = {
            shown.case.variant.variant_id: shown
            for shown in side.view.timed("imdb")
            if (shown.case.workload, shown.case.sequence_length, shown.case.batch_size) == ("inference", 128, 32)
        }
        for row in table.rows:
            assert row.cells[place].estimate == timed[row.variant_id].figure("throughput_items_per_s")


def test_devices_and_threads_belong_to_the_machine() -> None:
    run, results = later(small(), machine=OTHER)
    cases = [replace(result.case, device="cuda", threads=1) for result in results]
    there = (
        replace(run, plan=replace(run.plan, cases=tuple(cases))),
        [replace(result, case=case) for result, case in zip(results, cases, strict=True)],
    )
    told = _told(small(), there)
    assert (
        "fp32 on cpu, 2 threads (Made Processor 3000, 2 cores); fp32 on cuda, 1 thread ("
        in told.tasks[0][1].tables[0].note
    )
    assert "nbow is the fastest in both runs." in _says(told)


def test_what_not_every_run_has_is_left_out_and_named() -> None:
    changed = (
        small()[0],
        [
            replace(
                result,
                case=replace(result.case, variant=replace(result.case.variant, hyperparameters={"hidden_dim": 7})),
            )
            if result.case.variant.label == "gru"
            else result
            for result in small()[1]
        ],
    )
    told = _told(small(), kept(later(changed), ("lstm", "gru")))
    assert [row.label for row in told.tasks[0][1].tables[0].rows] == ["lstm"]
    assert "Left out here, because not every run has them: nbow, gru (its hyperparameters differ)." in _says(told)
    assert not [line for line in _says(told) if "fastest" in line]  # nobody is the fastest of one


def test_runs_with_nothing_in_common_say_so() -> None:
    told = _told(small(), made_quick_run())
    assert told.tasks == ()
    assert "These runs have no task in common." in told.apart.says
    assert "no task in common" in render([small(), made_quick_run()])
    other = kept(later(small()), ("gru",))
    assert _says(_told(kept(small(), ("lstm",)), other))[0] == "No variant is in every run."
    far = made_run(LABELS, lengths=(512,))
    assert "No size was timed in every run." in _says(_told(small(), later(far)))


def test_another_task_behind_the_same_id_is_told() -> None:
    run, results = later(small())
    other = [
        replace(result, case=replace(result.case, definition_hash="other"))
        if result.case.variant.label == "gru"
        else result
        for result in results
    ]
    line = "Not the same measurement in every run, because the task, the method or the training differs: gru."
    assert line in _says(_told(small(), (run, other)))
    assert line not in _says(_told(small(), later(small())))


# ── sentences ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_is_the_fastest_in_which_run() -> None:
    same = _says(_told(small(), later(small()), later(small(), day=4)))
    assert same[0] == "nbow is the fastest in all 3 runs."
    assert same[2] == "nbow is the smallest in memory in all 3 runs."
    differs = _says(_told(small(), later(slower(small(), {"nbow": 1000.0}))))
    assert differs[0] == "Who is the fastest differs: nbow (2025-01-02), gru (2025-01-03)."
    unsure = _says(_told(small(), later(unsteady(small(), *LABELS)), later(small(), day=4)))
    assert unsure[0] == (
        "nbow is the fastest in 2 of 3 runs (2025-01-02; 2025-01-04); it may be gru, lstm or nbow in 1 of 3 runs (2025-01-03)."
    )
    nobody = _says(_told(unsteady(small(), *LABELS), later(unsteady(small(), *LABELS))))
    assert nobody[0] == "No run can say who is the fastest; it may be gru, lstm or nbow in both runs."
    one_failed = _says(_told(small(), later(failed(small()))))
    assert (
        one_failed[0] == "nbow is the fastest in 1 of 2 runs (2025-01-02); too few figures in 1 of 2 runs (2025-01-03)."
    )


def test_who_is_left_out_may_be_better_than_who_is_told() -> None:
    says = _says(_told(small(), later(kept(small(), ("lstm", "gru")))))
    assert "Left out here, because not every run has them: nbow." in says
    assert "gru is the fastest of those that every run has in both runs." in says
    assert not [line for line in says if re.search("(fastest|accurate|memory) (in|;)", line)]


def _checked(sentence: str, called: Sequence[str], ahead: Sequence[set[str]]) -> None:
    """Raises AssertionError where a sentence says of a run what its intervals do not."""
    claims: dict[str, tuple[str, set[str]]] = {}

    def among(words: str) -> list[str]:
        return list(called) if words.startswith(("both", "all")) else re.search(r"\((.*)\)", words)[1].split("; ")  # type: ignore[index]

    for part in sentence.removesuffix(".").split("; it may be ")[1:]:
        who, _, runs = part.partition("; too few")[0].partition(" in ")
        for run in among(runs):
            claims[run] = ("may", set(re.split(", | or ", who)))
    if few := re.search(r"too few figures in (.*)\.", sentence):
        claims |= {run: ("none", set()) for run in among(few[1])}
    head = sentence.split("; it may be ")[0].split("; too few")[0]
    if sole := re.match(r"(\S+) is the fastest in (.*)", head):
        claims |= {run: ("is", {sole[1]}) for run in among(sole[2])}
    for who, runs in re.findall(r"(\w+) \(([^)]*)\)", head) if "differs" in head else ():
        claims |= {run: ("is", {who}) for run in runs.split("; ")}
    assert set(claims) == set(called), sentence
    for name, truth in zip(called, ahead, strict=True):
        kind, who = claims[name]
        assert who == truth, sentence
        assert kind == {0: "none", 1: "is"}.get(len(truth), "may"), sentence


def test_no_sentence_claims_what_intervals_do_not_carry() -> None:
    draw = Random(7)
    seen = set()
    for _ in range(40):
        made = [small()]
        for day in range(3, 3 + draw.randint(1, 3)):
            one = slower(small(), {label: draw.choice((0.01, 0.3, 1.0, 1.0, 4.0)) for label in LABELS})
            one = unsteady(one, *draw.sample(LABELS, draw.choice((0, 0, 1, 2))))
            made.append(later(failed(one) if draw.random() < 0.15 else one, day=day))
        met, block = _told(*made).tasks[0]
        ahead = []
        for side in met.sides:
            timed = [shown for shown in met.at(side, met.place) if shown]
            found = {shown.case.variant.label: shown.figure("throughput_items_per_s") for shown in timed}
            known = {label: one for label, one in found.items() if one}
            ahead.append(set(leaders(known, METRICS["throughput_items_per_s"].better)) if len(known) > 1 else set())
        sentence = Markup(block.says[0]).striptags()
        _checked(sentence, [side.name for side in met.sides], ahead)
        seen.add(re.sub(r"\(.*?\)|\d", "", sentence))
    assert len(seen) > 8  # of every kind


def test_scores_and_memory_are_ranked_as_elsewhere() -> None:
    met, block = _told(small(), later(small(), machine=OTHER)).tasks[0]
    columns = [(column.group, column.title) for column in block.tables[0].columns]
    for side in met.sides:
        fits = {shown.case.variant.variant_id: shown for shown in side.view.fits("imdb")}
        best = leaders({key: widest(one, "accuracy") for key, one in fits.items()}, METRICS["accuracy"].better)
        timed = [one for one in met.at(side, met.place) if one]
        memory = {one.case.variant.variant_id: tolerated(one.memory) for one in timed}
        least = leaders(memory, METRICS["latency_s"].better)
        for title, expected in (("accuracy", best), ("peak memory", least)):
            place = columns.index((side.name, title))
            marked = {row.variant_id for row in block.tables[0].rows if row.cells[place].best}
            assert marked == set(expected)


# ── ratios and judgements ──────────────────────────────────────────────────────────────────────────────────────────


def test_only_other_machines_have_ratios() -> None:
    near, far = later(slower(small(), {"lstm": 2.0})), later(slower(small(), {"lstm": 2.0}), machine=OTHER, day=4)
    told = _told(small(), near, far)
    table = told.tasks[0][1].tables[0]
    groups = [column.group for column in table.columns if column.title == "to the first"]
    assert groups == [told.names[2]]
    place = [column.title for column in table.columns].index("to the first")
    cells = {row.label: row.cells[place] for row in table.rows}
    found = cells["lstm"].estimate
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(0.5)
    assert (found.low or 1) < 0.5 < (found.high or 0)
    assert cells["gru"].estimate is not None
    assert cells["gru"].estimate.value == pytest.approx(1.0)
    assert cells["lstm"].text.startswith("0.50 times") or cells["lstm"].text.startswith("0.500 times")
    assert any("not judged against each other" in line for line in told.apart.says)
    assert told.apart.says != _told(small(), near).apart.says == ()


def test_runs_of_one_machine_are_told_as_judged() -> None:
    base, head = small(), later(slower(small(), {"lstm": 2.0}))
    comparisons = compare(base[1], head[1], base[0].plan.gate, Design(paired=False, confirms=False))
    judgement = Judgement(
        title="later against first", base=base[0].run_id, head=head[0].run_id, comparisons=tuple(comparisons)
    )
    (block,) = _told(base, head, changes=[judgement]).changes
    assert block.title == "2025-01-03 against 2025-01-02"
    assert "regressed" in str(block.says[0])
    (table,) = block.tables
    assert table.rows
    assert all("lstm" in row.cells[0].text for row in table.rows)
    assert {row.label for row in table.rows} == {"regressed"}
    page = render([base, head], Beside(changes=[judgement]))
    assert "2025-01-03 against 2025-01-02" in page


# ── charts and the page ────────────────────────────────────────────────────────────────────────────────────────────


def test_panels_differ_by_the_run_alone() -> None:
    told = _told(small(), later(slower(small(), {"lstm": 50.0}), machine=OTHER))
    met, _ = told.tasks[0]
    charts = side_charts(met, "s")
    assert [chart.title.partition(": ")[2] for chart in charts] == [
        f"{workload}, batch {batch}" for workload in ("inference", "training") for batch in (1, 32)
    ]
    for chart in charts:
        ticks = [re.findall(r"<text[^>]*>([\d.]+(?: k| M)?/s)</text>", panel) for panel in chart.panels]
        assert len(ticks) == 2
        assert ticks[0] == ticks[1] != []
        assert [set(re.findall(r'data-series="(\d+)"', panel)) for panel in chart.panels] == [{"0", "1", "2"}] * 2
    lstm = next(variant for variant in met.variants if variant.label == "lstm")
    (tip,) = re.findall(r"<title>(lstm, length 128, batch 1: [^<]*)</title>", charts[0].panels[1])
    place = next(p for p in met.places if (p.workload, p.sequence_length, p.batch_size) == ("inference", 128, 1))
    figure = met.sides[1].timed[place][lstm.variant_id].figure("throughput_items_per_s")
    assert figure is not None
    assert tip.endswith(views.value_words(figure, METRICS["throughput_items_per_s"].unit))


def test_many_runs_cap_the_charts_and_say_so() -> None:
    runs = [later(small(), day=day) for day in range(3, 12)]
    told = _told(*runs)
    charts = side_charts(told.tasks[0][0], "s")
    assert all(len(chart.panels) == MOST_RUNS for chart in charts)
    assert "The first 6 of 9 runs" in charts[0].caption
    assert len({column.group for column in told.tasks[0][1].tables[0].columns}) == 9


def test_one_size_has_no_charts() -> None:
    images = made_quick_run()
    (met, _) = _told(images, later(images)).tasks[0]
    assert [chart.title for chart in side_charts(met, "s")] == ["Throughput over batch size: inference"]
    single = made_run(("lstm",), lengths=(64,))
    met, _ = _told(single, later(single)).tasks[0]
    assert [chart.title for chart in side_charts(met, "s")] == [
        f"Throughput over batch size: {workload}, length 64" for workload in ("inference", "training")
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: [small(), small()],
        lambda: [small(), later(failed(small()), machine=OTHER)],
        lambda: [failed(small()), later(failed(small()))],
        lambda: [pending(small()), later(pending(small(), 4))],
        lambda: [made_quick_run(), later(pending(made_quick_run(), 8))],
    ],
    ids=["twice the same", "one failed", "all failed", "half done", "hardly begun"],
)
def test_whatever_there_is_renders(make: object) -> None:
    page = render(make())  # type: ignore[operator]
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert '<a href="#r1">' in page
    assert '<article id="r2">' in page
    assert ": 2 runs</h1>" in page


def test_names_of_machines_show_as_text() -> None:
    nasty = replace(OTHER, name="<img src=x onerror=alert(1)> & $x^2$")
    page = render([small(), later(small(), machine=nasty)])
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt; &amp; $x^2$") > 5


def test_a_single_run_has_no_part_for_several() -> None:
    page = render([small()])
    assert "Side by side" not in page
    assert 'id="together"' not in page


def test_meetings_keep_the_order_of_the_first_run() -> None:
    runs = views.side_by_side([small(), later(kept(small(), ("gru", "lstm")))])
    (met,) = meetings(runs, ["a", "b"])
    assert [variant.label for variant in met.variants] == ["lstm", "gru"]
