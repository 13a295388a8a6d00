"""What a page must not claim: where others have no figures, in other settings, of weights, of names that two share."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_results import Made, results_of
from made_run import made_run
from made_sweep import CROSSING, power, starved, swept

from bench.observations import CaseResult, Trial
from bench.records import Outcome
from bench.report import render, summary
from bench.report import view as views
from bench.report.crossings import crossing_sentences
from bench.report.ranking import memory_words, needed
from bench.report.reasons import choice
from bench.report.recommendation import Limits, recommend

TWO = {"gru": power(1e-3, 1), "lstm": power(2e-3, 1), "textcnn": power(4e-3, 1)}
FAST = Made(label="a", scores=(0.8, 0.8, 0.8), items=5000, memory_bytes=2**24)
SLOW = Made(label="b", latencies_s=(0.02, 0.02, 0.02), scores=(0.7,), items=5000, memory_bytes=2**24)


def test_the_fastest_at_every_length_is_so_of_those_that_ran() -> None:
    def failed(result: CaseResult) -> CaseResult:
        if result.case.variant.label != "textcnn":
            return result
        return replace(result, trials=(Trial(case_id=result.case.id, round=0, outcome=Outcome.FAILED, reason="no"),))

    (whole,) = crossing_sentences(swept(TWO), "imdb")
    (part,) = crossing_sentences(swept(TWO, change=failed), "imdb")
    assert "of those that ran at each length" not in whole
    assert "of those that ran at each length" in part


def test_a_lone_survivor_is_named_and_not_called_a_tie() -> None:
    def short(result: CaseResult) -> CaseResult:
        long = (result.case.sequence_length or 0) > 128
        return starved("gru")(result) if long else result

    said, *_ = crossing_sentences(swept({"gru": power(1e-3, 1), "lstm": power(2e-3, 1)}, change=short), "imdb")
    assert str(said).startswith("Up to length 128 <strong>gru</strong> is the fastest; ")
    assert "from length 256 on only <strong>lstm</strong> has figures" in said


def test_figures_at_batch_sizes_that_are_not_drawn_make_no_chart_and_no_error() -> None:
    run, results = made_run(("gru", "lstm"), lengths=(64, 128))
    batches = {1: 1, 2: 2, 4: 4, 8: 8, 16: 16}
    timed = [one for one in results if one.case.fit is None and one.case.batch_size == 1]
    many = [
        replace(
            one,
            case=replace(one.case, id=f"{one.case.id}x{batch}", batch_size=batch),
            trials=one.trials if batch == 2 else (),
            passes=(),
        )
        for one in timed
        for batch in batches
    ]
    plan = replace(run.plan, cases=tuple(one.case for one in many))
    assert "Every case" in render([(replace(run, plan=plan), many)])


def test_what_is_said_first_names_the_setting_where_there_are_several() -> None:
    run, results = results_of([FAST, SLOW])
    assert "fp32" not in " ".join(summary.answer(views.view(run, results), "reviews"))
    half = [
        replace(one, case=replace(one.case, id=f"{one.case.id}-bf16", precision="bf16"))
        for one in results
        if one.case.fit is None
    ]
    both = views.view(run, [*results, *half])
    assert "batch 32, fp32 on cpu, 1 thread: <strong>a</strong>" in summary.answer(both, "reviews")[0]
    assert "batch 32, fp32 on cpu, 1 thread)" in choice(recommend(both, "reviews", Limits()))


def test_variants_that_are_called_alike_get_names_of_their_own() -> None:
    run, results = results_of([FAST, SLOW])
    alike = [replace(one, case=replace(one.case, variant=replace(one.case.variant, label="x"))) for one in results]
    labels = {shown.case.variant.label for shown in views.view(run, alike).cases}
    assert labels == {f"x {one.case.variant.variant_id[:6]}" for one in results}


def test_memory_counts_weights_and_what_is_too_small_to_be_seen() -> None:
    whole = views.view(*made_run(("lstm",), lengths=(64,)))
    shown = next(one for one in whole.timed("imdb") if one.case.workload == "training")
    known = needed(shown)
    assert known is not None
    figures = ("peak_rss_bytes", "weights_bytes", "optimizer_bytes")
    assert known.value == sum(shown.found[name].value or 0 for name in figures)
    assert known.low is not None
    assert known.value - known.low == pytest.approx(0.02 * (shown.found["peak_rss_bytes"].value or 0))
    small, *_ = views.view(*results_of([replace(FAST, memory_bytes=0)])).timed("reviews")
    least = needed(small)
    assert least is not None
    assert (least.low, memory_words(least)) == (0, "at most 256 KiB")


def test_only_those_of_one_seed_are_said_to_be() -> None:
    (sentence,) = [one for one in summary.lead(views.view(*results_of([FAST, SLOW])), "reviews") if "accurate" in one]
    assert str(sentence).endswith("; b: one seed.")


@pytest.mark.parametrize(
    ("counts", "words"), [((3, 5, 5), "1 of 3 speed cases have fewer"), ((1, 1, 1), "1 trial a case")]
)
def test_notes_count_cases_of_few_trials(counts: tuple[int, ...], words: str) -> None:
    made = [replace(FAST, label=f"v{place}", latencies_s=(0.01,) * count) for place, count in enumerate(counts)]
    notes = " ".join(summary.notes(views.view(*results_of(made))))
    assert words in notes
    assert ("A quick look" in notes) is (max(counts) < 5)


def test_a_sample_of_no_time_is_no_sample() -> None:
    with pytest.raises(ValueError, match="found 0 s, expected more than 0"):
        Trial(case_id="a", round=0, outcome=Outcome.OK, samples_s=(0.1, 0.0))


def test_the_curves_that_cross_do() -> None:
    assert any("cross at length" in one for one in crossing_sentences(swept(CROSSING), "imdb"))
