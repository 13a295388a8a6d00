"""What the page says over lengths, of runs made so that the truth is known: every cell and sentence must be true of them."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from made_run import LABELS, LENGTHS, made_quick_run, made_run
from made_sweep import CROSSING, Seconds, block, cells, power, starved, swept, trial_like

from bench.observations import CaseResult
from bench.records import OperatingPoint, PassKind
from bench.report import render
from bench.report.crossings import MOST_VARIANTS, crossing_sentences
from bench.report.lengths import lengths
from bench.report.view import View, view

# ── the fastest at each size ───────────────────────────────────────────────────────────────────────────────────────


def test_each_size_names_its_fastest_and_how_far_it_is_ahead() -> None:
    inference, training = block(swept(CROSSING), "The fastest at each size").tables
    assert (inference.title, training.title) == ("imdb: inference", "imdb: training")
    told = [(cell["batch"].text, cell["length"].text) for cell in cells(inference)]
    assert told == [(str(batch), str(length)) for batch in (1, 32) for length in LENGTHS]
    assert [row.label for row in inference.rows] == ["gru", "gru", "gru", "textcnn"] * 2
    shortest = cells(inference)[0]
    lead = shortest["ahead of the next"].estimate
    assert lead is not None
    assert lead.value is not None
    truth = 1.4 * (64 / 256) ** 0.5 / (64 / 256) ** 1.5
    assert lead.low is not None
    assert lead.high is not None
    assert lead.low < truth < lead.high
    assert lead.high - lead.low < 0.2
    assert shortest["ahead of the next"].detail == "as fast as textcnn"
    speed = shortest["throughput"].estimate
    assert speed is not None
    assert speed.value == pytest.approx(1e3 * 4**1.5, rel=0.02)
    assert "not told apart from it" not in shortest


def test_who_cannot_be_told_apart_is_named_and_leads_nobody() -> None:
    alike = {"gru": power(1e-3, 1), "textcnn": power(1e-3, 1), "lstm": power(4e-3, 1)}
    for cell, row in zip(
        cells(table := block(swept(alike, spread=0.02), "The fastest at each size").tables[0]), table.rows, strict=True
    ):
        assert {row.label, cell["not told apart from it"].text} == {"gru", "textcnn"}
        assert "ahead of the next" not in cell


def test_the_only_one_with_a_figure_is_not_called_ahead() -> None:
    told = swept({"gru": power(1e-3, 1), "textcnn": power(5e-4, 1)}, change=starved("textcnn"))
    alone = block(told, "The fastest at each size").tables[0]
    assert [row.label for row in alone.rows] == ["gru"] * 8
    assert {cell["not told apart from it"].text for cell in cells(alone)} == {"has the only figure"}
    assert "ahead of the next" not in cells(alone)[0]


def test_of_one_variant_nobody_is_the_fastest_and_none_cross() -> None:
    told = lengths(swept({"gru": power(1e-3, 1)}), "imdb")
    assert [one.title for one in told] == ["Growth with length", "What fits"]


# ── where they cross ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_crossing_is_told_with_who_is_faster_where() -> None:
    inference, _ = block(swept(CROSSING), "Where they cross").tables
    first, *_ = cells(inference)
    assert inference.rows[0].label == "gru"
    assert (first["against"].text, first["faster on short"].text, first["faster on long"].text) == (
        "textcnn",
        "gru",
        "textcnn",
    )
    place = first["cross at length"].estimate
    assert place is not None
    assert place.low is not None
    assert place.high is not None
    assert place.low < 256 * 1.4 < place.high
    low, high = map(int, re.findall(r"\d+", first["cross at length"].detail))
    assert (low, high) == (math.floor(place.low), math.ceil(place.high))
    batch_1, batch_32 = inference.footnotes
    assert batch_1.startswith("Batch 1, 64 to 512: gru, textcnn, lstm; each is faster than all after it")
    assert "apart from the pairs above" in batch_1
    assert batch_32.startswith("Batch 32, ")


def test_without_a_crossing_it_says_so_and_has_no_table() -> None:
    apart = {"gru": power(1e-3, 1), "textcnn": power(2e-3, 1)}
    told = block(swept(apart), "Where they cross")
    assert not told.tables
    (line,) = [line for line in told.says if line.startswith("inference") and "Batch 1," in line]
    assert "gru, textcnn; each is faster than all after it" in line
    assert "apart from" not in line


def test_a_pair_in_doubt_says_where() -> None:
    close = {
        "gru": power(1e-3, 1),
        "textcnn": lambda length, batch: 1e-3 * batch * length / 256 * (1.3 if length < 256 else 1.0),
    }
    first, *_ = cells(block(swept(close, spread=0.01), "Where they cross").tables[0])
    assert first["cross at length"].text == "cannot tell"
    assert (first["faster on short"].text, first["faster on long"].text) == ("gru", "cannot tell")
    begin = re.fullmatch(r"from (\d+) on", first["cross at length"].detail)
    assert begin
    assert 128 < int(begin[1]) <= 256


def test_single_trials_are_told_as_unknown() -> None:
    told = block(swept(CROSSING, trials=1), "Where they cross")
    assert not told.tables
    assert any("3 pairs of which nothing is known (single trials)" in line for line in told.says)


def test_of_many_variants_only_those_near_the_front_are_paired() -> None:
    shown = swept(dict.fromkeys(LABELS[:1], power(1e-3, 1)))
    timed = [one.result for one in shown.cases]
    results = [
        replace(
            result,
            case=replace(
                result.case,
                variant=replace(result.case.variant, label=f"v{number}", hyperparameters={"number": number}),
            ),
            trials=tuple(trial_like(one, one.round, one.samples_s[0] * slower) for one in result.trials),
        )
        for number, slower in enumerate([12, 11, *range(1, 11)])
        for result in timed
    ]
    told = block(view(shown.run, results), "Where they cross")
    assert any(f"the {MOST_VARIANTS} that come nearest to the fastest" in line for line in told.says)
    named = {name for line in told.says for name in re.findall(r"\bv\d+", line)}
    assert named == {f"v{number}" for number in range(2, 10)}


def test_a_ring_of_lengths_that_do_not_meet_is_told_as_it_is() -> None:
    """Each is faster than the next at the lengths that both have, which are never the lengths of all three."""
    sizes = (16, 32, 64, 128, 256, 512)
    lacks = {"gru": (256, 512), "textcnn": (64, 128), "lstm": (16, 32)}
    slower = {"gru": (64, 128), "textcnn": (16, 32), "lstm": (256, 512)}

    def curve(label: str) -> Seconds:
        return lambda length, batch: batch * length * (2e-6 if length in slower[label] else 1e-6)

    def lacking(result: CaseResult) -> CaseResult:
        if result.case.sequence_length in lacks[result.case.variant.label]:
            return replace(result, trials=(), pilots=())
        return result

    told = block(swept({label: curve(label) for label in lacks}, sizes, change=lacking), "Where they cross")
    line = next(line for line in told.says if line.startswith("inference") and "Batch 1," in line)
    names, rest = re.fullmatch(r".*512: (.*?); each is faster than all after it .*? interval; (.*)\.", line).groups()  # type: ignore[union-attr]
    faster = {("gru", "textcnn"), ("textcnn", "lstm"), ("lstm", "gru")}
    chain = names.split(", ")
    assert {(left, right) for left, right in faster if chain.index(left) > chain.index(right)} == {
        tuple(one.split(" is faster than ")) for one in rest.split("; ")
    }


# ── in sentences ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_sentences_say_where_the_fastest_changes() -> None:
    course, meeting = map(str, crossing_sentences(swept(CROSSING), "imdb"))
    assert course == (
        "Up to length 256 <strong>gru</strong> is the fastest; at length 512 <strong>textcnn</strong> is the fastest "
        "(inference, batch 32)."
    )
    found = re.fullmatch(
        r"<strong>gru</strong> and <strong>textcnn</strong> cross at length (\d+) \((\d+) to (\d+)\)\.", meeting
    )
    assert found
    at, low, high = map(int, found.groups())
    assert low <= 256 * 1.4 <= high
    assert low < at < high


def test_where_nothing_changes_one_sentence_says_so() -> None:
    other = {"gru": power(1e-3, 1), "textcnn": lambda length, batch: 1e-5 * length * (batch if batch > 1 else 0.01)}
    shown = swept(other)
    plan = replace(shown.run.plan, operating_point=OperatingPoint(batch_size=1))
    (line,) = crossing_sentences(replace(shown, run=replace(shown.run, plan=plan)), "imdb")
    assert str(line).startswith("<strong>textcnn</strong> is the fastest at every")
    (line,) = crossing_sentences(shown, "imdb")
    assert str(line) == (
        "<strong>gru</strong> is the fastest at every measured length from 64 to 512 (inference, batch 32)."
    )


@pytest.mark.parametrize(
    "shown",
    [
        swept({"gru": power(1e-3, 1), "textcnn": power(1e-3, 1)}, spread=0.03),
        swept(CROSSING, trials=1),
        swept({"gru": power(1e-3, 1)}),
        swept(CROSSING, sizes=(64,)),
    ],
    ids=["ties", "single trials", "one variant", "one length"],
)
def test_where_nothing_can_be_said_nothing_is(shown: View) -> None:
    assert crossing_sentences(shown, "imdb") == []


def test_lengths_without_a_sole_fastest_are_told_as_such() -> None:
    level = {
        "gru": power(1e-3, 1),
        "textcnn": lambda length, batch: 1e-3 * batch * length / 256 * (1.5 if length < 256 else 1.0),
    }
    (line,) = crossing_sentences(swept(level, spread=0.02), "imdb")
    assert str(line) == (
        "Up to length 128 <strong>gru</strong> is the fastest; from length 256 on this run cannot tell "
        "(inference, batch 32)."
    )


def test_who_did_not_run_everywhere_is_not_counted_as_slower_there() -> None:
    def lacking(result: CaseResult) -> CaseResult:
        short = (result.case.sequence_length or 0) < 256
        return replace(result, trials=(), pilots=()) if short and result.case.variant.label == "textcnn" else result

    (line, *_) = crossing_sentences(swept(CROSSING, change=lacking), "imdb")
    assert str(line).endswith("(inference, batch 32, of those that ran at each length).")


def test_labels_are_text() -> None:
    (line,) = crossing_sentences(view(*made_run(("<script>alert(1)</script>", "BiLSTM x2"))), "imdb")
    assert "<script>" not in line
    assert "<strong>&lt;script&gt;alert(1)&lt;/script&gt;</strong> is the fastest" in line


# ── growth ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_growth_holds_the_true_exponents() -> None:
    inference, _ = block(swept(CROSSING), "Growth with length").tables
    for row, k in zip(cells(inference), (1.5, 0.5, 1.0), strict=True):
        for batch in (1, 32):
            found = row[f"batch {batch} time"].estimate
            assert found is not None
            assert found.low is not None
            assert found.high is not None
            assert found.low < k < found.high
            assert found.high - found.low < 0.05


def test_growth_says_its_range_and_what_is_bent() -> None:
    bent = {
        "gru": lambda length, batch: 1e-6 * batch * (500 + length),
        "textcnn": lambda length, batch: 1e-6 * batch * (2 * (length == 64) + 1) * length,
    }
    inference, _ = block(swept(bent, spread=0.002), "Growth with length").tables
    gru, textcnn = (row["batch 1 time"].detail for row in cells(inference))
    assert re.fullmatch(r"bent from 0\.2\d to 0\.4\d, on 3 lengths, 128 to 512", gru)
    assert re.fullmatch(r"(0\.99|1\.00) to 1\.0\d, on 3 lengths, 128 to 512", textcnn)
    two, _ = block(swept(CROSSING, sizes=(64, 512)), "Growth with length").tables
    assert cells(two)[0]["batch 1 time"].detail.endswith(", two lengths")
    few, _ = block(swept(CROSSING, trials=1), "Growth with length").tables
    assert str(cells(few)[0]["batch 1 time"]) == "n/a a single trial a length has no interval"


def test_memory_grows_as_it_was_made_to() -> None:
    def square(result: CaseResult) -> CaseResult:
        length = result.case.sequence_length or 0
        passes = tuple(
            replace(one, values={"peak_rss_bytes": 50.0 * length**2}) if one.name is PassKind.MEMORY else one
            for one in result.passes
        )
        return replace(result, passes=passes)

    inference, _ = block(swept(CROSSING, change=square), "Growth with length").tables
    assert cells(inference)[0]["batch 1 peak memory"].text == "2.00"
    plain = swept(CROSSING, change=lambda result: replace(result, passes=()))
    assert [column.title for column in block(plain, "Growth with length").tables[0].columns] == ["time", "time"]


def test_marks_stand_beside_exponents_of_doubtful_cases() -> None:
    inference, _ = block(view(*made_run()), "Growth with length").tables
    assert "breaks a contract" in cells(inference)[-1]["batch 1 time"].marks


# ── the page ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_lengths_nothing_is_said() -> None:
    shown = view(*made_quick_run())
    assert lengths(shown, "images") == []
    assert crossing_sentences(shown, "images") == []
    run, results = made_run(("gru",))
    fits = [result for result in results if result.case.fit is not None]
    assert lengths(view(run, fits), "imdb") == []
    assert crossing_sentences(view(run, fits), "imdb") == []


def test_a_run_that_has_just_begun_renders() -> None:
    run, results = made_run(("gru", "textcnn"))
    begun = [replace(result, trials=(), passes=(), probes=(), fits=()) for result in results]
    assert lengths(view(run, begun), "imdb") == []
    half = [*results[:7], *begun[7:]]
    assert next(one.title for one in lengths(view(run, half), "imdb")) == "The fastest at each size"


@pytest.mark.slow
def test_the_page_tells_it() -> None:
    page = render([made_run(("gru", "textcnn"))])
    for title in ("The fastest at each size", "Where they cross", "Growth with length", "What fits"):
        assert f">{title}</h3>" in page
    assert (
        "<strong>textcnn</strong> is the fastest at every measured length from 64 to 512 (inference, batch 32)." in page
    )
