"""Which variant is taken, and what is said of it: each choice and each sentence held against the figures."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
from made_results import TASK, Made, drawn, results_of

from bench.errors import UsageError
from bench.quantity import Better, parse_bytes, parse_duration, parse_score
from bench.records import Outcome
from bench.report import view as views
from bench.report.advice import block, block_of, table, told
from bench.report.ranking import beyond
from bench.report.reasons import changes, choice, reasons, runners_up
from bench.report.recommendation import (
    Candidate,
    Criterion,
    Limits,
    Quantity,
    Recommendation,
    Standing,
    recommend,
    standing,
)
from bench.report.view import View

ACCURATE = Made(
    label="accurate", latencies_s=(0.0199, 0.02, 0.0201), scores=(0.90, 0.901, 0.899), items=5000, memory_bytes=2**25
)
QUICK = Made(
    label="quick", latencies_s=(0.0099, 0.01, 0.0101), scores=(0.80, 0.801, 0.799), items=5000, memory_bytes=2**24
)
SMALL = Made(
    label="small", latencies_s=(0.0299, 0.03, 0.0301), scores=(0.90, 0.901, 0.899), items=5000, memory_bytes=2**20
)
ALL = [ACCURATE, QUICK, SMALL]


def _recommended(
    variants: list[Made], metric: str = "accuracy", *, fits: bool = True, **limits: float
) -> Recommendation:
    view = views.view(*results_of(variants, metric=metric, fits=fits))
    return recommend(view, TASK, Limits(**limits))  # type: ignore[arg-type]


def _labels(made: Recommendation) -> list[str]:
    return [one.label for one in made.chosen]


# ── the rules ──


def test_the_most_accurate_then_the_fastest_then_the_smallest() -> None:
    made = _recommended(ALL)
    assert _labels(made) == ["accurate"]
    assert choice(made) == "Take accurate (reviews: inference, length 64, batch 32)."
    assert reasons(made) == [
        "accurate and small cannot be told apart as the most accurate.",
        "accurate is the fastest of these: 1.50 times (1.48 to 1.52) as fast as small.",
    ]
    alike = [replace(SMALL, latencies_s=ACCURATE.latencies_s), ACCURATE]
    assert reasons(_recommended(alike))[-1] == (
        "small is the smallest in memory of these: 1.00 MiB instead of 32.0 MiB for accurate."
    )


def test_without_accuracy_the_fastest() -> None:
    made = _recommended(ALL, fits=False)
    assert _labels(made) == ["quick"]
    assert reasons(made) == ["quick is the fastest: 2.00 times (1.95 to 2.06) as fast as accurate."]
    assert [each.quantity for each in made.criteria] == [Quantity.LATENCY, Quantity.MEMORY]


def test_what_a_run_cannot_tell_apart_is_taken_together() -> None:
    made = _recommended([replace(QUICK, label=name) for name in ("one", "other")])
    assert (
        choice(made) == "Take one or other (reviews: inference, length 64, batch 32). This run cannot tell them apart."
    )


def test_limits_leave_out_whom_the_near_end_of_an_interval_excludes() -> None:
    made = _recommended(ALL, max_latency_s=0.015)
    assert _labels(made) == ["quick"]
    assert reasons(made) == ["1 of 3 meets the limits: latency at most 15.0 ms."]
    verdicts = {one.label: standing(made.criteria[1], one) for one in made.candidates}
    assert verdicts == {"accurate": Standing.MISSES, "quick": Standing.MEETS, "small": Standing.MISSES}


def test_who_may_meet_a_limit_is_never_taken_before_one_who_surely_does() -> None:
    straddling = 0.0201
    assert _labels(_recommended(ALL, max_latency_s=straddling)) == ["quick"]
    made = _recommended([ACCURATE, SMALL], max_latency_s=straddling)
    assert choice(made) == (
        "Perhaps accurate (reviews: inference, length 64, batch 32). Nothing surely meets every limit, but this may."
    )
    assert reasons(made)[0] == "1 of 2 may meet the limits: latency at most 20.1 ms."


def test_a_single_trial_may_meet_a_limit_and_no_more() -> None:
    made = _recommended([replace(QUICK, latencies_s=(0.01,))], max_latency_s=1.0)
    assert [standing(made.criteria[1], one) for one in made.candidates] == [Standing.MAY]
    assert not made.sure


def test_memory_too_small_to_be_seen_keeps_to_any_limit_above_that() -> None:
    least = replace(ACCURATE, memory_bytes=0)
    assert _labels(_recommended([least, SMALL], max_memory_bytes=2**20 * 1.1)) == ["accurate"]
    below = _recommended([least, SMALL], max_memory_bytes=100_000)
    assert choice(below).startswith("Perhaps accurate ")
    (cell,) = [row.cells[3] for row in table(below).rows if row.label == "accurate"]
    assert cell.text == "at most 256 KiB"


def test_where_scores_have_no_interval_the_best_figure_is_a_guess() -> None:
    lone = [replace(one, scores=one.scores[:1], items=None) for one in ALL[:2]]
    made = _recommended(lone, metric="bleu")
    assert choice(made).startswith("Perhaps accurate ")
    assert reasons(made) == ["accurate has the best BLEU, 0.900, but others may be better: not all have an interval."]
    assert runners_up(made) == [
        "Next: quick (BLEU 0.800 instead of 0.900, without intervals; 2.00 times (1.95 to 2.06) as fast; "
        "16.0 MiB instead of 32.0 MiB)."
    ]


def test_scores_of_one_seed_are_said_to_be() -> None:
    made = _recommended([replace(one, scores=one.scores[:1]) for one in ALL])
    assert "Scores are of one seed: how they vary between seeds is not known." in reasons(made)


def test_what_would_change_it() -> None:
    made = _recommended(ALL, max_latency_s=0.015)
    assert changes(made) == [
        "With --max-latency 20.3ms: accurate (accuracy +10.0 points (8.6 to 11.4); 2.00 times (1.95 to 2.06) as long; "
        "32.0 MiB instead of 16.0 MiB)."
    ]
    assert changes(_recommended(ALL)) == [
        "If speed counts more: quick.",
        "If memory counts more: small.",
    ]
    assert runners_up(_recommended(ALL)) == [
        "Next: small (1.50 times (1.48 to 1.52) as long; 1.00 MiB instead of 32.0 MiB).",
        "Then: quick (accuracy -10.0 points (-11.4 to -8.6); 2.00 times (1.95 to 2.06) as fast; 16.0 MiB instead of 32.0 MiB).",
    ]


def test_nothing_meets_the_limits() -> None:
    made = _recommended(ALL, max_latency_s=0.009, max_memory_bytes=2**23)
    assert choice(made) == "Nothing meets every limit (reviews: inference, length 64, batch 32)."
    assert reasons(made) == ["Nearest: small, latency 3.33 times the limit."]
    assert changes(made)[0] == "With --max-latency 30.3ms: small."
    nearer = _recommended(ALL, max_latency_s=0.009)
    assert reasons(nearer) == ["Nearest: quick, latency misses by 11.1 %."]
    scored = _recommended(ALL, min_score=0.95)
    assert reasons(scored) == ["Nearest: accurate, accuracy misses by 5.0 points."]


def test_nothing_has_figures() -> None:
    made = _recommended([replace(one, outcome=Outcome.OUT_OF_MEMORY) for one in ALL])
    assert choice(made) == "There is nothing to take (reviews: inference, length 64, batch 32)."
    assert reasons(made) == [
        "accurate (does not fit), quick (does not fit) and small (does not fit)."
    ]  # fmt: skip
    assert (runners_up(made), changes(made)) == ([], [])


def test_who_was_not_trained_or_did_not_end_well_is_not_taken() -> None:
    made = _recommended(
        [QUICK, replace(ACCURATE, fit_outcome=Outcome.DIVERGED), replace(SMALL, outcome=Outcome.FAILED)]
    )
    assert _labels(made) == ["quick"]
    assert [one.why for one in made.candidates] == ["", "accuracy not known: diverged", "failed"]


def test_lower_is_better() -> None:
    errors = [
        replace(ACCURATE, scores=(1.0, 1.01, 0.99), items=None),
        replace(QUICK, scores=(2.0, 2.01, 1.99), items=None),
    ]
    assert _labels(_recommended(errors, metric="mae")) == ["accurate"]
    made = _recommended(errors, metric="mae", max_score=0.5)
    assert reasons(made) == ["Nearest: accurate, mean absolute error misses by 0.500."]
    assert changes(made)[0] == "With --max-score 1.03: accurate."


@pytest.mark.parametrize(
    ("metric", "limits", "sentence"),
    [
        (
            "mae",
            {"min_score": 0.5},
            "is mean absolute error, lower is better, so --min-accuracy does not fit; use --max-score",
        ),
        (
            "bleu",
            {"max_score": 9.0},
            "its score is BLEU, higher is better, so --max-score does not fit; use --min-score",
        ),
        (
            "bleu",
            {"length": 100},
            "has no speed cases of sequence length 100; it has inference .lengths 64; batches 32.",
        ),
        ("bleu", {"batch": 7, "workload": "training"}, "no speed cases of workload training, batch size 7; it has"),
    ],
)
def test_what_cannot_be_asked(metric: str, limits: dict[str, float], sentence: str) -> None:
    variants = [replace(one, items=None) for one in ALL]
    with pytest.raises(UsageError, match=f"^task 'reviews': .*{sentence}"):
        _recommended(variants, metric=metric, **limits)


def test_limits_on_what_was_not_measured_are_errors() -> None:
    with pytest.raises(UsageError, match="a limit is asked of its score, but this run has none"):
        _recommended(ALL, fits=False, min_score=0.5)
    with pytest.raises(UsageError, match="--max-memory is asked for, but this run has no peak memory there"):
        _recommended([replace(one, memory_bytes=None) for one in ALL], max_memory_bytes=1.0)


def test_another_length_is_another_choice() -> None:
    view = views.view(*results_of(ALL, lengths=(64, 128)))
    assert [one.label for one in recommend(view, TASK, Limits(length=128, max_latency_s=0.025)).chosen] == ["quick"]
    assert [one.label for one in recommend(view, TASK, Limits(max_latency_s=0.025)).chosen] == ["accurate"]


# ── any results, any limits ──


def _at_random(seed: int) -> tuple[View, Limits]:
    draw = random.Random(seed)
    variants, metric = drawn(seed)
    view = views.view(*results_of(variants, metric=metric))
    limits = Limits(max_latency_s=draw.choice([None, 0.01 * 2 ** draw.uniform(-1, 1)]))
    if any(one.memory_bytes and one.outcome is Outcome.OK for one in variants) and draw.random() < 0.5:
        limits = replace(limits, max_memory_bytes=2**24 * 2 ** draw.uniform(-1, 1))
    if not any(shown.good for shown in view.fits(TASK)) or draw.random() < 0.5:
        return view, limits
    if metric == "mae":
        return view, replace(limits, max_score=20 * 2 ** draw.uniform(-1, 1))
    scores = draw.uniform(0.7, 0.9) if metric != "bleu" else 20 * 2 ** draw.uniform(-1, 1)
    return view, replace(limits, min_score=scores)


def _plainly(criterion: Criterion, one: Candidate) -> bool | None:
    """Whether a limit is met, missed (False), or may be either (None)."""
    figure = one.figures.get(criterion.quantity)
    if figure is None or criterion.limit is None:
        return None if criterion.limit is not None else True
    low, high = (figure.value if end is None else end for end in (figure.low, figure.high))
    assert low is not None
    assert high is not None
    near, far = (high, low) if criterion.better is Better.HIGHER else (low, high)
    if not (near >= criterion.limit if criterion.better is Better.HIGHER else near <= criterion.limit):
        return False
    met = far >= criterion.limit if criterion.better is Better.HIGHER else far <= criterion.limit
    return True if met and figure.low is not None else None


def _check_choice(made: Recommendation) -> None:
    able = {one.label: [_plainly(each, one) for each in made.criteria] for one in made.candidates if not one.why}
    surely = {label for label, met in able.items() if all(met)}
    perhaps = {label for label, met in able.items() if False not in met}
    pool = surely or perhaps
    assert set(_labels(made)) <= pool
    assert bool(made.chosen) == bool(pool)
    assert made.meets == bool(surely)
    rest = [one for one in made.candidates if one.label in pool and one not in made.chosen]
    score, latency = (
        [each for each in made.criteria if each.quantity is name] for name in (Quantity.SCORE, Quantity.LATENCY)
    )
    for one in made.chosen:
        for other in rest:
            better = [beyond(other.figures[each.quantity], one.figures[each.quantity], each.better) for each in score]
            worse = [beyond(one.figures[each.quantity], other.figures[each.quantity], each.better) for each in score]
            assert not any(better)
            if made.sure and not any(worse):
                third = [
                    mine
                    for mine in rest
                    if score and beyond(mine.figures[Quantity.SCORE], other.figures[Quantity.SCORE], score[0].better)
                ]
                assert third or not beyond(
                    other.figures[Quantity.LATENCY], one.figures[Quantity.LATENCY], latency[0].better
                )


def _check_changes(view: View, limits: Limits, made: Recommendation) -> None:
    for sentence in changes(made):
        found = re.match(r"With (.*?): (v\d)", sentence)
        if not found:
            assert re.match(r"If (speed|memory|speed or memory) counts more: v\d", sentence)
            continue
        words = dict(zip(*[iter(found[1].split())] * 2, strict=True))
        unit = view.headline(TASK).unit
        wider = limits
        for option, text in words.items():
            match option:
                case "--max-latency":
                    wider = replace(wider, max_latency_s=parse_duration(text))
                case "--max-memory":
                    wider = replace(wider, max_memory_bytes=parse_bytes(text))
                case "--max-score":
                    wider = replace(wider, max_score=parse_score(text, unit))
                case "--min-score" | "--min-accuracy":
                    wider = replace(wider, min_score=parse_score(text, unit))
                case _:
                    raise AssertionError(option)
        assert found[2] in _labels(recommend(view, TASK, wider)), sentence


def test_every_choice_keeps_the_rules_and_every_change_comes_true() -> None:
    changed = 0
    for seed in range(250):
        view, limits = _at_random(seed)
        made = recommend(view, TASK, limits)
        _check_choice(made)
        _check_changes(view, limits, made)
        changed += len(changes(made))
        assert all(one.endswith(".") for one in (choice(made), *reasons(made), *runners_up(made), *changes(made)))
    assert changed > 100


# ── how it is told ──


def test_the_table_says_what_each_limit_says_of_each() -> None:
    made = table(_recommended(ALL, max_latency_s=0.0201, min_score=0.85))
    rows = {
        row.label: dict(zip([column.title for column in made.columns], row.cells, strict=True)) for row in made.rows
    }
    assert [column.title for column in made.columns] == [
        "choice", "accuracy", "≥ 85 %", "median latency", "≤ 20.1 ms", "memory"
    ]  # fmt: skip
    assert {label: cells["≤ 20.1 ms"].text for label, cells in rows.items()} == {
        "accurate": "may meet", "quick": "meets", "small": "misses by 49.3 %"
    }  # fmt: skip
    assert rows["quick"]["≥ 85 %"].text == "misses by 5.0 points"
    assert [label for label, cells in rows.items() if cells["choice"].text] == ["accurate"]


def test_the_block_of_the_page_has_the_sentences_and_with_limits_the_table() -> None:
    view = views.view(*results_of(ALL))
    made = block(view, TASK)
    assert made is not None
    assert made.says[0] == "<strong>Take accurate (reviews: inference, length 64, batch 32).</strong>"
    assert made.tables == ()
    limited = block(view, TASK, Limits(max_latency_s=0.015))
    assert limited is not None
    assert "Take quick " in limited.says[0]
    assert limited.tables[0].rows[0].label == "accurate"
    assert block_of(recommend(view, TASK, Limits())) == made
    fits = [result for result in results_of(ALL)[1] if result.case.fit]
    assert block(views.view(results_of(ALL)[0], fits), TASK) is None


def test_programs_get_every_figure() -> None:
    made = told(_recommended(ALL, max_latency_s=0.015))
    assert isinstance(made, dict)
    assert (made["choice"], made["sure"], made["limits"]) == (["quick"], True, {"latency": 0.015})
    first = made["candidates"][0]
    assert first["figures"]["score"]["value"] == pytest.approx(0.9)
    assert (first["limits"], first["why_not"]) == ({"latency": "misses"}, None)
