"""What lies behind a speed, and whether it can be trusted: each figure once and right, nothing told without data."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from statistics import median

import pytest
from made_run import made_quick_run, made_run

from bench.observations import CaseResult, Ceiling, Pass, Trial
from bench.quantity import Unit, format_value
from bench.records import Outcome, PassKind, Run
from bench.report import markdown, render
from bench.report.blocks import Block
from bench.report.charts import looks
from bench.report.doubts import left_out_words, records_of, trust
from bench.report.inside import inside
from bench.report.roofline import roofline
from bench.report.scales import log_scale
from bench.report.tables import CellKind, Table
from bench.report.view import View, marks, view

ALL = ["What a step is made of", "What memory holds", "Tails", "Cost", "Limits"]
Made = tuple[Run, list[CaseResult]]


@cache
def _whole() -> View:
    return view(*made_run())


@cache
def _sections() -> dict[str, Block]:
    return {section.title: section for section in inside(_whole(), "imdb")}


def _rows(table: Table) -> list[dict[str, str]]:
    """Each row by its column heads, with its label; details stand in brackets."""
    heads = ["", *(column.title for column in table.columns)]
    texts = [
        [row.label, *(f"{cell.text} [{cell.detail}]" if cell.detail else cell.text for cell in row.cells)]
        for row in table.rows
    ]
    return [dict(zip(heads, row, strict=True)) for row in texts]


def _row(table: Table, label: str, length: int, batch: int) -> dict[str, str]:
    place = (label, str(length), str(batch))
    # of a table with several workloads the first
    return next(row for row in _rows(table) if (row[""], row["length"], row["batch"]) == place)


def test_sections_stand_in_their_order_with_a_table_for_each_workload() -> None:
    assert list(_sections()) == ALL
    for title, section in _sections().items():
        workloads = ["imdb: training"] if title == "Limits" else ["imdb: inference", "imdb: training"]
        assert [table.title for table in section.tables] == workloads


def test_nothing_is_told_without_data() -> None:
    assert inside(view(*made_quick_run()), "images") == []
    page = render([made_quick_run()])
    assert "Behind the speed" not in page
    assert "Roofline" not in page
    assert "Can these figures be trusted?" in page


def test_parts_of_a_step_with_their_shares() -> None:
    forward, training = _sections()["What a step is made of"].tables
    assert [column.title for column in forward.columns] == ["length", "batch", "operators", "kernels"]
    row = _row(training, "lstm", 64, 1)
    assert (row["forward"], row["backward"], row["optimizer"]) == (
        "272 µs [30.0 %]",
        "454 µs [50.0 %]",
        "182 µs [20.0 %]",
    )
    assert (row["operators"], row["kernels"]) == ("120", "n/a")
    assert "kernels n/a: no kernels on a CPU" in training.footnotes


def test_what_memory_holds() -> None:
    row = _row(_sections()["What memory holds"].tables[1], "BiLSTM x2", 64, 1)
    del row[""], row["length"], row["batch"]
    assert row == {
        "peak": "13.3 MiB",
        "weights": "5.52 MiB",
        "gradients": "5.52 MiB",
        "optimizer state": "11.0 MiB",
        "activations": "6.65 MiB",
        "workspace": "1.13 MiB",
    }
    assert (
        "workspace n/a: their sum is above the peak (11 of 60 cases)"
        in _sections()["What memory holds"].tables[1].footnotes
    )


def test_tails_or_why_there_are_none() -> None:
    table = _sections()["Tails"].tables[0]
    quick, slow, lost = (
        _row(table, *place) for place in (("lstm", 64, 1), ("transformer", 512, 32), ("BiLSTM x2", 64, 1))
    )
    assert float(quick["p90"].split()[0]) > float(quick["median (p50)"].split()[0])
    assert slow["p90"].endswith("ms")
    assert slow["p99"] == "n/a"
    assert (lost["p90"], lost["p99"]) == ("timed out", "timed out")
    reasons = "\n".join(table.footnotes)
    assert "p99 n/a: 300 calls were timed, and this quantile needs 1000" in reasons
    assert "timed out: after 120 s (1 of 64 cases)" in reasons


def test_cost_is_told_with_its_reasons() -> None:
    table = _sections()["Cost"].tables[0]
    row = _row(table, "lstm", 64, 1)
    assert row["FLOPs per item"] == "567 k"
    assert row["achieved"] == "1.98 GFLOP/s"
    assert row["of the measured ceiling"] == "1.3 %"
    assert row["MFU"] == "n/a"
    assert row["FLOPs per byte"] == "0.500"
    assert _row(table, "rnn", 64, 1)["FLOPs per item"] == "n/a"
    assert table.footnotes[1:] == (
        "MFU n/a: no peak known for cpu fp32 (56 of 64 cases)",
        "FLOPs per item, achieved, of the measured ceiling, MFU, FLOPs per byte n/a: no formula for made::op (8 of 64 cases)",
    )


def test_limits_say_what_failed() -> None:
    (row,) = _rows(_sections()["Limits"].tables[0])
    assert row["largest batch"] == "63 [64 does not fit: 13.0 GiB asked for at once]"


def test_marked_cases_are_starred_once_a_row_and_told_in_words() -> None:
    tables = [table for section in _sections().values() for table in section.tables]
    for table in tables:
        starred = [sum(bool(cell.marks) for cell in row.cells) for row in table.rows]
        told = [line for line in table.footnotes if line.startswith("Marked *: ")]
        assert set(starred) <= {0, 1}
        assert bool(told) == (sum(starred) > 0)
    assert tables[0].footnotes[0] == "Marked *: breaks a contract (8), noisy (1), wide interval (2)."


def _changed(made: Made, **changes: object) -> View:
    run, results = made
    return view(run, [replace(result, **changes) for result in results])  # type: ignore[arg-type]


def test_compilation_stands_beside_the_same_case_uncompiled() -> None:
    run, results = made_run(("lstm",), lengths=(64,))
    plain = results[0]
    case = replace(plain.case, id=f"{plain.case.id}-compiled", compile="default")
    quicker = tuple(replace(trial, samples_s=tuple(s / 2 for s in trial.samples_s)) for trial in plain.trials)
    compiled = Pass(
        case_id=case.id, name=PassKind.COMPILE, outcome=Outcome.OK, values={"compile_s": 14.0, "graph_breaks": 2}
    )
    both = view(run, [plain, replace(plain, case=case, trials=quicker, passes=(compiled,))])
    (table,) = next(section.tables for section in inside(both, "imdb") if section.title == "Compilation")
    (row,) = _rows(table)
    assert (row["cold"], row["graph breaks"], row["speed-up"]) == ("14.0 s", "2", "2.00")
    assert table.note == "fp32 on cpu, 2 threads, compiled (default)."
    alone = view(run, [replace(plain, case=case, trials=quicker, passes=(compiled,))])
    (table,) = next(section.tables for section in inside(alone, "imdb") if section.title == "Compilation")
    assert _rows(table)[0]["speed-up"] == "n/a"
    assert table.footnotes == ("speed-up n/a: the same case uncompiled has no figures in this run",)


def test_streaming_and_energy_have_their_places() -> None:
    run, results = made_run(("lstm",), lengths=(64,))
    result = results[0]
    joules = Pass(case_id=result.case.id, name=PassKind.ENERGY, outcome=Outcome.OK, values={"energy_j_per_item": 0.012})
    trials = tuple(replace(trial, state_bytes=2048) for trial in result.trials)
    sections = inside(view(run, [replace(result, trials=trials, passes=(joules,))]), "imdb")
    found = {section.title: _rows(section.tables[0])[0] for section in sections}
    assert list(found) == ["Streaming", "Energy"]
    assert (found["Streaming"]["step"], found["Streaming"]["state"]) == ("286 µs", "2.00 KiB")
    assert found["Energy"]["energy per item"] == "12.0 mJ"


# ── roofline ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_roofline_needs_ceilings_and_counted_cases() -> None:
    whole = _whole()
    cases = [shown for shown in whole.timed("imdb") if shown.case.workload == "inference"]
    drawn = str(roofline(cases, looks(whole), "inference", "x-"))
    assert "below ceilings of 150 GFLOP/s and 11.0 GB/s" in drawn
    assert "of 56 cases" in drawn  # the FLOPs of rnn are unknown
    assert ">150 GFLOP/s<" in drawn
    assert ">11.0 GB/s<" in drawn
    assert ">rnn<" not in drawn
    failed = Ceiling(device="cpu", precision="fp32", threads=2, outcome=Outcome.FAILED, reason="no")
    for ceiling in (None, failed):
        bare = _changed(made_run(("lstm",), lengths=(64,)), ceiling=ceiling)
        assert roofline(bare.timed("imdb"), looks(bare), "inference", "x-") is None
    uncounted = _changed(made_run(("lstm",), lengths=(64,)), passes=())
    assert roofline(uncounted.timed("imdb"), looks(uncounted), "inference", "x-") is None


def test_a_logarithmic_scale_has_room_even_for_one_value() -> None:
    scale = log_scale([8.0], Unit.NUMBER)
    assert scale.log
    assert scale.low < 8 / 2 < 8 * 2 < scale.high
    assert log_scale([1e9, 1e12], Unit.COUNT).ticks == (1e9, 1e10, 1e11, 1e12)


# ── trust ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_trust_has_a_row_a_case_and_marked_ones_come_first() -> None:
    tables = trust(_whole(), "imdb")[0].tables
    assert [len(table.rows) for table in tables] == [128, 8]
    commands = [row["measure it again"] for table in tables for row in _rows(table)]
    assert len(set(commands)) == 136
    for table in tables:
        place = [column.title for column in table.columns].index("marks")
        marked = [bool(row.cells[place].text) for row in table.rows]
        assert marked == sorted(marked, reverse=True)
        again = [column.title for column in table.columns].index("measure it again")
        assert {row.cells[again].kind for row in table.rows} == {CellKind.COMMAND}
    words = {row["marks"] for row in _rows(tables[0])}
    assert {"failed", "does not fit", "skipped", "never became steady"} <= words


def test_trust_tells_what_was_left_out_and_what_that_changes() -> None:
    inference = trust(_whole(), "imdb")[0].tables[0]
    row = _row(inference, "gru", 512, 1)
    assert row["trials used"] == "5 of 6 [left out: other programs (1)]"
    assert " [instead of " in row["over all"]
    assert row["foreign load"] == "15.0 %"
    assert row["warm-up"].startswith("26 calls [20")
    assert row["stopped by"] == "precision of 2.0% reached"
    calm = _row(inference, "gru", 256, 1)
    assert (calm["trials used"], calm["over all"]) == ("5 of 5", "")
    assert (calm["workload"], calm["stopped by"]) == ("inference", "precision of 2.0% reached")


def test_trust_shows_what_every_trial_found() -> None:
    (shown,) = (one for one in _whole().timed("imdb") if one.case.id == "imdb/gru/inference/L512/B1")
    used = [trial for trial in shown.result.trials if "foreign_cpu_s" not in trial.evidence or trial.round != 1]
    medians = [format_value(median(trial.samples_s), Unit.SECONDS) for trial in used]
    assert len(medians) == 5
    row = _row(trust(_whole(), "imdb")[0].tables[0], "gru", 512, 1)
    assert row["median of each trial"].replace("\N{NO-BREAK SPACE}", " ") == ", ".join(medians)
    run, results = made_run(("lstm",), lengths=(64,))
    many = view(run, [replace(results[0], trials=results[0].trials * 4)])
    words = _rows(trust(many, "imdb")[0].tables[0])[0]["median of each trial"]
    assert words.count("\N{NO-BREAK SPACE}µs, ") == 12
    assert words.endswith(", 8 more")


def test_load_that_nobody_recorded_is_not_available_and_that_is_said() -> None:
    quick = view(*made_quick_run())
    table = trust(quick, "images")[0].tables[0]
    assert {row["foreign load"] for row in _rows(table) if row["trials used"] != "0 of 0"} == {"n/a"}
    assert table.footnotes == ("foreign load n/a: not recorded",)
    assert "lowest clock" not in _rows(table)[0]


def test_clocks_are_told_where_there_are_any() -> None:
    run, results = made_run(("lstm",), lengths=(64,))
    case = replace(results[0].case, device="cuda")
    seen = {"wall_s": 0.5, "sm_clock_mhz": 1000.0, "sm_clock_max_mhz": 2000.0, "clock_event_reasons": 0x20}
    trials = tuple(replace(trial, evidence=seen) for trial in results[0].trials)
    hot = view(run, [replace(results[0], case=case, trials=trials, passes=())])
    (row,) = _rows(trust(hot, "imdb")[0].tables[0])
    assert row["lowest clock"] == "50.0 % [thermal (software)]"
    assert row["trials used"] == "5 of 5"
    assert row["marks"] == "disturbed: every one of 5 trials"


def test_one_line_says_how_many_trials_were_left_out() -> None:
    line = "2 of 622 trials were disturbed from outside and left out: other programs (1), steal (1)"
    assert left_out_words(records_of(_whole(), "imdb").values()) == line
    assert left_out_words([]) == ""
    page = render([made_run()])
    assert page.count(line) == 1
    assert f"{line}.".replace("_", r"\_") in markdown.render([made_run()])
    assert "left out" not in markdown.render([made_quick_run()])


@pytest.mark.parametrize(("second", "words"), [(0.001, []), (0.0012, ["rejection matters"])], ids=["alike", "apart"])
def test_rejection_that_matters_is_a_mark(second: float, words: list[str]) -> None:
    run, results = made_run(("lstm",), lengths=(64,))
    calm = {"wall_s": 0.5, "steal_s": 0.0}
    trials = tuple(
        Trial(
            case_id="",
            round=number,
            outcome=Outcome.OK,
            samples_s=(second if number > 4 else 0.001 + number * 1e-7,) * 10,
            evidence=calm | ({"steal_s": 0.1} if number > 4 else {}),
        )
        for number in range(12)
    )
    assert [mark for mark in marks(run, replace(results[0], trials=trials)) if mark.startswith("rej")] == words


def test_the_command_stands_on_the_page_as_text() -> None:
    page = render([made_run(("<script>alert(1)</script>",), lengths=(64,))])
    escaped = "&#39;imdb/&lt;script&gt;alert(1)&lt;/script&gt;/inference/L64/B1&#39;"
    assert page.count(f"<code>bench run sentiment --filter {escaped}</code>") == 1
