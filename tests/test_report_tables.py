"""Tables, rankings, the first paragraph and Markdown."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import pytest
from made_run import golden, made_quick_run, made_run, matched

from bench.cli.tables import meanings
from bench.quantity import Better
from bench.records import OperatingPoint, Outcome
from bench.report import markdown, summary
from bench.report.grids import every_case
from bench.report.league import CellKind, league, speed
from bench.report.ranking import leaders, tolerated
from bench.report.view import marks, point, view
from bench.stats import Estimate, IntervalKind


def _estimate(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, interval=IntervalKind.T95_TRIALS)


def test_the_league_puts_every_variant_at_the_operating_point() -> None:
    run, results = made_run()
    (table,) = league(run, results)
    assert [row.label for row in table.rows] == list(dict.fromkeys(case.variant.label for case in run.plan.cases))
    heads = [column.title for column in table.columns]
    assert heads == ["throughput", "latency", "peak memory", "parameters", "accuracy", "over test items", "marks"]
    assert "length 256, batch 32" in table.note
    lstm = dict(zip(heads, table.rows[2].cells, strict=True))
    assert (lstm["throughput"].text, lstm["throughput"].detail) == ("4.58 k/s", "±0.4 %")
    assert lstm["accuracy"].detail == "±0.9 over 3 seeds"
    assert lstm["over test items"].text == "84.1 % to 86.1 %"
    red = table.rows[-1].cells
    assert red[-1].text == "breaks a contract: padding"
    assert red[0].marks == ("breaks a contract: padding",)


def test_the_league_shows_what_matching_reached() -> None:
    run, results = matched(*made_run())
    (table,) = league(run, results)
    heads = [column.title for column in table.columns]
    assert heads[3:5] == ["parameters", "matched"]
    cells = {row.label: dict(zip(heads, row.cells, strict=True)) for row in table.rows}
    assert str(cells["lstm"]["matched"]) == "99,300 -0.7 %"
    assert str(cells["BiLSTM x2"]["matched"]) == "no"
    assert "size not matched" in cells["BiLSTM x2"]["marks"].text
    assert "size not matched" not in cells["lstm"]["marks"].text
    assert "Sizes: matched to 100,000 parameters" in table.note
    assert any(line.startswith("size not matched: ") for line in meanings([table]))
    assert "99,300 (-0.7 %)" in markdown.render([(run, results)])


def test_the_best_are_those_whose_intervals_cannot_be_told_apart() -> None:
    (table,) = league(*made_run())
    bold = {
        column.title: [row.label for row in table.rows if row.cells[n].best] for n, column in enumerate(table.columns)
    }
    assert bold["throughput"] == ["nbow"]
    assert bold["accuracy"] == ["nbow", "lstm", "BiLSTM x2", "gru", "textcnn"]


def test_leaders() -> None:
    found = {"a": _estimate(10, 1), "b": _estimate(11.5, 1), "c": _estimate(8, 0.5), "d": None}
    assert leaders(found, Better.HIGHER) == ["b", "a"]
    assert leaders(found, Better.LOWER) == ["c"]
    assert leaders(found, Better.NEITHER) == []
    assert leaders({"a": Estimate(value=3), "b": Estimate(value=4)}, Better.LOWER) == ["a"]
    single = Estimate(value=3, reason="a single trial has no interval")
    assert leaders({"a": single, "b": _estimate(40, 1)}, Better.LOWER) == ["a", "b"]
    # "b" may be best, "a" is the best by its figure; "c" is not told apart from "b" but from "a" it is
    wide = {"a": _estimate(10, 1), "b": _estimate(9, 4), "c": _estimate(7, 1)}
    assert leaders(wide, Better.HIGHER) == ["a", "b"]
    assert leaders({"lone": single, "b": _estimate(40, 1), "c": _estimate(80, 1)}, Better.LOWER) == ["lone", "b"]
    near = {
        "a": tolerated(Estimate(value=100)),
        "b": tolerated(Estimate(value=103)),
        "c": tolerated(Estimate(value=110)),
    }
    assert leaders(near, Better.LOWER) == ["a", "b"]


def test_outcomes_are_told_in_words() -> None:
    inference, training = speed(*made_run())
    assert {cell.kind for row in inference.rows for cell in row.cells} == {CellKind.VALUE}
    words = {(row.label, cell.text) for row in training.rows for cell in row.cells if cell.kind is CellKind.OUTCOME}
    assert words == {("rnn", "skipped"), ("BiLSTM x2", "failed"), ("transformer", "does not fit")}
    assert training.columns[0].group == "batch 1"
    assert [column.title for column in training.columns[:4]] == ["length 64", "length 128", "length 256", "length 512"]
    cases, _ = every_case(view(*made_run()), "imdb")[0].tables
    reasons = {cell.detail for row in cases.rows for cell in row.cells if cell.kind is CellKind.OUTCOME}
    assert reasons == {"made to be skipped", "RuntimeError: made to fail | on purpose", "asked for 12.5 GiB"}


def test_tables_fill_while_a_run_goes_on() -> None:
    run, results = made_run()
    empty = [replace(result, preflight=None, pilots=(), trials=(), passes=(), epochs=(), fits=()) for result in results]
    (table,) = league(run, empty)
    filled = {cell.text for row in table.rows for cell in row.cells}
    assert filled == {"…", ""}
    half = [*results[:100], *empty[100:]]
    assert any(cell.kind is CellKind.PENDING for table in speed(run, half) for row in table.rows for cell in row.cells)
    assert [row.label for row in league(run, half)[0].rows] == [row.label for row in table.rows]


def test_live_tables_are_cheap() -> None:
    run, results = made_run(("nbow", "rnn", "lstm"))
    results = results[:48]

    def took() -> float:
        began = time.process_time()
        league(run, results)
        return time.process_time() - began

    reference = time.process_time()
    sum(number * number for number in range(1_000_000))
    reference = time.process_time() - reference
    # by work, not by the clock of some machine: 48 cases take no longer than a million multiplications
    assert min(took() for _ in range(5)) < reference


def test_the_operating_point_falls_back_to_what_was_measured() -> None:
    run, _ = made_run(("lstm",))
    cases = [case for case in run.plan.cases if case.fit is None]
    asked = replace(run.plan, operating_point=OperatingPoint(workload="decode", sequence_length=100, batch_size=1))
    place = point(replace(run, plan=asked), cases)
    assert place is not None
    assert (place.workload, place.sequence_length, place.batch_size) == ("inference", 512, 1)
    assert point(run, []) is None


def test_few_trials_are_marked_only_where_the_suite_asked_for_more() -> None:
    run, results = made_quick_run()
    assert not [mark for mark in marks(run, results[0]) if mark.startswith("few")]
    careful = replace(run, plan=replace(run.plan, measure=replace(run.plan.measure, min_rounds=5)))
    assert "few trials: 3" in marks(careful, results[0])


def test_notes_say_what_to_know_before_trusting() -> None:
    assert summary.notes(view(*made_run())) == ["Of 136 cases 132 have figures; 1 skipped, 2 failed, 1 does not fit."]
    quick = summary.notes(view(*made_quick_run()))
    assert quick[0].startswith("A quick look: 3 trials a case.")
    assert quick[1] == "Of 8 cases 7 have figures; 1 not measured yet."
    run, results = made_run(("nbow",))
    one_seed = replace(run, plan=replace(run.plan, seeds=(0,)))
    assert summary.notes(view(one_seed, results))[0].startswith("One seed")


def test_markdown_is_the_golden_one() -> None:
    made = markdown.render([made_run()])
    assert made == golden("league.md", made)


def test_markdown_shows_labels_as_they_are() -> None:
    run, results = made_run(("<script>alert(1)</script>",))
    nasty = "a|b `c` *d*\n[e](f) <img>"
    results = [
        replace(result, case=replace(result.case, variant=replace(result.case.variant, label=nasty)))
        for result in results
    ]
    text = markdown.render([(run, results)])
    rows = [line for line in text.splitlines() if line.startswith(r"| a")]
    assert rows
    assert all(r"a\|b \`c\` \*d\* \[e\](f) \<img\>" in row for row in rows)
    # in sentences, too
    assert r"**a\|b \`c\` \*d\* \[e\](f) \<img\>**" in text


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.FAILED])
def test_a_variant_whose_fits_were_all_lost_stays_in_the_league(outcome: Outcome) -> None:
    run, results = made_run(("lstm", "gru"))
    lost = [
        replace(result, fits=tuple(replace(fit, outcome=outcome, metrics={}) for fit in result.fits))
        if result.case.variant.label == "lstm"
        else result
        for result in results
    ]
    (table,) = league(run, lost)
    cells = dict(zip((column.title for column in table.columns), table.rows[0].cells, strict=True))
    assert cells["accuracy"].text == outcome.value
    assert cells["over test items"].text == ""
    assert not cells["accuracy"].best


def test_tables_need_no_heavy_library() -> None:
    code = "import sys, bench.report.league, bench.frames; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    )
    assert not loaded & {"torch", "pandas", "matplotlib", "seaborn", "jinja2", "scipy.stats"}


def test_only_settings_in_which_cases_differ_have_a_column() -> None:
    run, results = made_run(("lstm", "gru"), lengths=(64,))
    timed = [result for result in results if result.case.fit is None]
    halves = [
        replace(result, case=replace(result.case, id=f"{result.case.id}-bf16", precision="bf16")) for result in timed
    ]
    (table,) = every_case(view(run, [*timed, *halves]), "imdb")[0].tables
    facts = [column.title for column in table.columns if column.fact]
    assert facts == ["workload", "length", "batch", "precision"]
    assert table.note == "on cpu, 2 threads."
    places = [(row.label, *(cell.text for cell in row.cells[:4])) for row in table.rows]
    assert len(set(places)) == len(places) == 16
    (plain,) = every_case(view(run, timed), "imdb")[0].tables
    assert [column.title for column in plain.columns if column.fact] == ["workload", "length", "batch"]
    assert plain.note == "fp32 on cpu, 2 threads."


def test_scores_are_compared_in_their_widest_interval() -> None:
    (table,) = league(*made_run())
    place = [column.title for column in table.columns].index("accuracy")
    cell, items = table.rows[2].cells[place], table.rows[2].cells[place + 1]
    assert cell.detail == "±0.9 over 3 seeds"
    assert cell.estimate is not None
    assert (cell.estimate.low, cell.estimate.high) == pytest.approx((0.841, 0.861), abs=0.001)
    assert items.text == "84.1 % to 86.1 %"
