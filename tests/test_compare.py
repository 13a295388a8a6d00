"""Every verdict over cases as a whole, metrics without noise, and scores; every reason is reached by a scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.compare import EXACT, compare, to_confirm
from bench.compare_times import Design
from bench.observations import CaseResult
from bench.quantity import METRICS, Better, Metric, Unit
from bench.records import Gate, GateRule, Outcome, PassKind
from bench.verdicts import TIME, Comparison, Reason, Verdict
from tests.arms import NOISE, arm, around, counted, ended, fitted, pair, preflight

AB = Design(paired=True, confirms=True)
CHECK = Design(paired=False, confirms=False)
ELSEWHERE = Design(paired=False, confirms=False, portable_only=True)


def judged(
    base: CaseResult | None, head: CaseResult | None, design: Design = AB, rules: Sequence[GateRule] = ()
) -> dict[str, Comparison]:
    """Comparisons by metric."""
    arms = [[result] if result else [] for result in (base, head)]
    return {one.metric: one for one in compare(arms[0], arms[1], Gate(rules=tuple(rules)), design)}


def ends_in(comparison: Comparison) -> tuple[Verdict, Reason]:
    return comparison.verdict, comparison.reason


# ── cases as a whole ───────────────────────────────────────────────────────────────────────────────────────────────

OK, OOM, DIVERGED = Outcome.OK, Outcome.OUT_OF_MEMORY, Outcome.DIVERGED
SKIPPED, FAILED, TIMED_OUT = Outcome.SKIPPED, Outcome.FAILED, Outcome.TIMED_OUT
NOT_IN_HEAD, NOT_IN_BASE = (Verdict.MISSING, Reason.NOT_IN_HEAD), (Verdict.MISSING, Reason.NOT_IN_BASE)
HAS_FAILED, EQUAL = (Verdict.MISSING, Reason.FAILED), (Verdict.UNCHANGED, Reason.EQUAL)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (OK, OOM, (Verdict.REGRESSED, Reason.DOES_NOT_FIT)),
        (OK, DIVERGED, (Verdict.REGRESSED, Reason.DIVERGES)),
        (OOM, OK, (Verdict.IMPROVED, Reason.FITS_NOW)),
        (DIVERGED, OK, (Verdict.IMPROVED, Reason.CONVERGES_NOW)),
        *((same, same, EQUAL) for same in (OOM, DIVERGED, SKIPPED)),
        (OOM, DIVERGED, EQUAL),
        (OOM, SKIPPED, EQUAL),
        *((before, FAILED, HAS_FAILED) for before in (OK, OOM, SKIPPED, FAILED, None)),
        (OK, TIMED_OUT, HAS_FAILED),
        (OK, SKIPPED, NOT_IN_HEAD),
        (OK, None, NOT_IN_HEAD),
        (None, None, NOT_IN_HEAD),
        (FAILED, SKIPPED, NOT_IN_HEAD),
        (FAILED, OK, NOT_IN_BASE),
        (SKIPPED, OK, NOT_IN_BASE),
        (None, OK, NOT_IN_BASE),
        (FAILED, OOM, NOT_IN_BASE),
    ],
)
def test_how_cases_end_in_both_arms(
    before: Outcome | None, now: Outcome | None, expected: tuple[Verdict, Reason]
) -> None:
    found = judged(ended(before), ended(now))
    assert list(found) == [""]
    assert ends_in(found[""]) == expected


def test_why_a_case_ended_is_told() -> None:
    assert judged(ended(OK), ended(OOM, "no 3 GiB"))[""].detail == "no 3 GiB"
    assert judged(ended(OK), ended(FAILED, "TypeError: x"))[""].detail == "TypeError: x"
    assert judged(ended(FAILED, "no such module"), ended(OK))[""].detail == "no such module"
    assert judged(ended(OOM), ended(OOM))[""].detail == "out_of_memory in both"
    assert "skipped before, diverged now" in judged(ended(SKIPPED), ended(DIVERGED))[""].detail


def test_a_case_of_one_side_alone_is_missing() -> None:
    assert ends_in(judged(arm(NOISE), None)[""]) == NOT_IN_HEAD
    assert ends_in(judged(None, arm(NOISE))[""]) == NOT_IN_BASE


def test_what_is_allowed_to_be_missing_is_still_named_but_what_fails_is_never_allowed() -> None:
    allowed = [GateRule(match="*/lstm/*", allow_missing=True)]
    others = [GateRule(match="*/gru/*", allow_missing=True)]
    for arms in ((arm(NOISE), None), (None, arm(NOISE)), (ended(OK), ended(SKIPPED)), (ended(FAILED), ended(OK))):
        assert judged(*arms, rules=allowed)[""].allowed
        assert not judged(*arms, rules=others)[""].allowed
    assert not judged(ended(OK), ended(FAILED), rules=allowed)[""].allowed
    assert not judged(ended(OK), ended(OOM), rules=allowed)[""].allowed


def test_the_same_id_with_another_definition_is_not_compared() -> None:
    base = arm(NOISE)
    other = replace(base, case=replace(base.case, definition_hash="another"))
    assert ends_in(judged(base, other)[""]) == (Verdict.NOT_COMPARABLE, Reason.OTHER_DEFINITION)


def test_comparisons_come_in_the_order_of_head_with_what_only_base_has_at_the_end() -> None:
    names = ["c", "a", "b"]
    head = [counted({"flops_per_item": 10.0}, result=arm(NOISE, name)) for name in names[:2]]
    base = [counted({"flops_per_item": 10.0}, result=arm(NOISE, name)) for name in ("b", "a", "c")]
    found = compare(base, head, Gate(), AB)
    assert [one.case_id for one in found] == [f"imdb/{name}/inference" for name in "ccccaaaab"]
    assert [one.metric for one in found[:4]] == ["latency_s", "weights_bytes", "parameters", "flops_per_item"]


# ── without noise ──────────────────────────────────────────────────────────────────────────────────────────────────


def exact(
    metric: str, before: float, now: float | None, design: Design = AB, rules: Sequence[GateRule] = (), **more: object
) -> Comparison | None:
    head = counted({metric: now}, **more)  # type: ignore[arg-type]
    return judged(counted({metric: before}, **more), head, design, rules).get(metric)  # type: ignore[arg-type]


def exact_end(*arguments: object, **more: object) -> tuple[Verdict, Reason]:
    found = exact(*arguments, **more)  # type: ignore[arg-type]
    assert found is not None
    return ends_in(found)


WORSE, BETTER = (Verdict.REGRESSED, Reason.BEYOND_THRESHOLD), (Verdict.IMPROVED, Reason.BEYOND_THRESHOLD)
WITHIN = (Verdict.UNCHANGED, Reason.WITHIN_THRESHOLD)


@pytest.mark.parametrize(
    ("metric", "before", "now", "expected"),
    [
        ("operator_count", 100, 101, WORSE),
        ("operator_count", 100, 100, EQUAL),
        ("operator_count", 100, 99, BETTER),
        ("flops_per_item", 1e12, 1e12 + 1, WORSE),
        ("kernel_count", 7, 8, WORSE),
        ("graph_breaks", 0, 1, WORSE),
        ("graph_breaks", 0, 0, EQUAL),
        ("graph_breaks", 1, 0, BETTER),
        ("activations_bytes", 4096, 4100, WORSE),
        ("gradients_bytes", 4096, 4100, WORSE),
        ("optimizer_bytes", 4096, 4000, BETTER),
        # one per cent is just what counts
        ("peak_allocated_bytes", 1000, 1010, WITHIN),
        ("peak_allocated_bytes", 1000, 1011, WORSE),
        ("peak_allocated_bytes", 1000, 990, WITHIN),
        ("peak_allocated_bytes", 1000, 989, BETTER),
        ("peak_rss_bytes", 1e8, 1.03e8, WITHIN),
        ("peak_rss_bytes", 1e8, 1.05e8, WORSE),
        # of a small model the kernel cannot tell
        ("peak_rss_bytes", 4e5, 9e5, (Verdict.UNCHANGED, Reason.BELOW_RESOLUTION)),
        ("peak_rss_bytes", 4e5, 1e6, WORSE),
    ],
)
def test_what_is_counted_is_judged_exactly(
    metric: str, before: float, now: float, expected: tuple[Verdict, Reason]
) -> None:
    assert exact_end(metric, before, now) == expected


def test_sizes_come_from_the_pre_flight() -> None:
    base = arm(NOISE)
    wider = replace(base, preflight=preflight(parameters=1001, weights_bytes=4004))
    found = judged(base, wider)
    assert [found[name].verdict for name in ("parameters", "weights_bytes")] == [Verdict.REGRESSED] * 2
    assert found["parameters"].change == pytest.approx(0.001)
    assert (found["parameters"].base, found["parameters"].head) == (1000, 1001)
    # a pass that saw them in another precision, in one arm alone, is no change
    halved = counted({"weights_bytes": 2000.0}, kind=PassKind.MEMORY, result=base)
    assert judged(halved, base)["weights_bytes"].reason is Reason.EQUAL


def test_a_change_from_nothing_has_no_relative_size() -> None:
    assert exact("graph_breaks", 0, 2).change is None  # type: ignore[union-attr]
    assert exact("graph_breaks", 0, 0).change == 0.0  # type: ignore[union-attr]


def test_smaller_is_never_a_failure_of_any_exact_metric() -> None:
    for name in EXACT:
        assert METRICS[name].better is Better.LOWER
        if name not in ("parameters", "weights_bytes"):
            assert exact_end(name, 1e9, 1.0) == BETTER


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([GateRule(thresholds={"operator_count": 0.05})], WITHIN),
        ([GateRule(match="*/gru/*", thresholds={"operator_count": 0.05})], WORSE),
        ([GateRule(match="*/lstm/*", thresholds={"operator_count": 0.05})], WITHIN),
        ([GateRule(thresholds={"kernel_count": 0.05})], WORSE),
    ],
)
def test_thresholds_of_exact_metrics(rules: list[GateRule], expected: tuple[Verdict, Reason]) -> None:
    assert exact_end("operator_count", 100, 103, rules=rules) == expected


def test_an_ignored_metric_is_not_judged() -> None:
    assert exact("operator_count", 1, 2, rules=[GateRule(ignore=("operator_count",))]) is None


def test_soft_differences_double_what_depends_on_the_machine() -> None:
    soft = replace(CHECK, widen=2.0)
    assert exact_end("peak_allocated_bytes", 1000, 1020, CHECK) == WORSE
    assert exact_end("peak_allocated_bytes", 1000, 1020, soft) == WITHIN
    portable = [GateRule(thresholds={"flops_per_item": 0.01})]
    assert exact_end("flops_per_item", 1000, 1015, soft, portable) == WORSE


def test_a_value_that_is_gone_is_missing_where_its_pass_ended_badly() -> None:
    base = counted({"flops_per_item": 10.0})
    head = counted({}, outcome=Outcome.FAILED, reason="RuntimeError: x")
    lost = judged(base, head)["flops_per_item"]
    assert (*ends_in(lost), lost.detail) == (Verdict.MISSING, Reason.NO_VALUE, "RuntimeError: x")
    assert (lost.base, lost.head) == (10.0, None)


def test_a_value_that_cannot_be_told_any_more_is_said_and_no_failure() -> None:
    base = counted({"flops_per_item": 10.0})
    head = counted({"flops_per_item": None}, reasons={"flops_per_item": "no formula for aten::x"})
    unknown = judged(base, head)["flops_per_item"]
    assert (*ends_in(unknown), unknown.detail) == (Verdict.INCONCLUSIVE, Reason.NO_VALUE, "no formula for aten::x")


def test_a_pass_that_was_not_asked_for_lost_nothing_and_a_new_value_is_nothing_to_judge() -> None:
    costed = counted({"flops_per_item": 10.0})
    weighed = counted({"peak_rss_bytes": 10.0}, kind=PassKind.MEMORY)
    assert "flops_per_item" not in judged(costed, weighed)
    assert "flops_per_item" not in judged(weighed, costed)


def test_on_another_machine_only_what_does_not_depend_on_it_is_judged() -> None:
    values = {name: 1000.0 for name in EXACT if name not in ("parameters", "weights_bytes")}
    base, head = counted(values), counted(dict.fromkeys(values, 2000.0))
    assert set(judged(base, head, CHECK)) == {TIME, *EXACT}
    assert set(judged(base, head, ELSEWHERE)) == {
        "parameters",
        "weights_bytes",
        "gradients_bytes",
        "optimizer_bytes",
        "flops_per_item",
    }
    assert judged(base, head, ELSEWHERE)["flops_per_item"].verdict is Verdict.REGRESSED


def test_what_does_not_fit_another_machine_is_still_judged_by_its_size() -> None:
    found = judged(ended(OK), ended(OOM), ELSEWHERE)
    assert {name: one.verdict for name, one in found.items()} == {
        "parameters": Verdict.UNCHANGED,
        "weights_bytes": Verdict.UNCHANGED,
    }
    assert ends_in(judged(ended(OK), ended(FAILED), ELSEWHERE)[""]) == HAS_FAILED


def test_times_of_another_machine_are_named_and_not_judged() -> None:
    found = judged(arm(NOISE), arm(around(0.5)), replace(ELSEWHERE, other_machine="torch 2.12 -> 2.13"))
    assert (*ends_in(found[TIME]), found[TIME].detail) == (
        Verdict.NOT_COMPARABLE,
        Reason.OTHER_MACHINE,
        "torch 2.12 -> 2.13",
    )
    assert found["parameters"].verdict is Verdict.UNCHANGED


# ── scores ─────────────────────────────────────────────────────────────────────────────────────────────────────────

SPREAD = (0.002, -0.001, 0.0, 0.001, -0.002)


def seeds(mean: float, first: int = 0, count: int = 5, scale: float = 1.0) -> dict[int, float]:
    return {first + place: mean + scale * SPREAD[place % 5] for place in range(count)}


def scored(before: Mapping[int, float], now: Mapping[int, float], rules: Sequence[GateRule] = ()) -> Comparison:
    return judged(fitted(before), fitted(now), rules=rules)["accuracy"]


@pytest.mark.parametrize(
    ("mean", "scale", "expected"),
    [
        (0.86, 1.0, WORSE),
        (0.90, 1.0, BETTER),
        (0.88, 1.0, WITHIN),
        (0.882, 1.0, WITHIN),
        # a point is just what counts: neither beyond doubt
        (0.87, 1.0, (Verdict.INCONCLUSIVE, Reason.WIDE_INTERVAL)),
        (0.85, 20.0, (Verdict.INCONCLUSIVE, Reason.WIDE_INTERVAL)),
    ],
)
def test_scores_are_judged_by_the_interval_over_seeds(
    mean: float, scale: float, expected: tuple[Verdict, Reason]
) -> None:
    assert ends_in(scored(seeds(0.88), seeds(mean, 10, scale=scale))) == expected


def test_a_score_is_told_with_its_interval_as_scipys_welch_has_it() -> None:
    before, now = seeds(0.88), seeds(0.86, 10, count=7)
    found = scored(before, now)
    low, high = scipy.stats.ttest_ind(list(now.values()), list(before.values()), equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.change == pytest.approx(sum(now.values()) / 7 - sum(before.values()) / 5)
    assert (found.count, found.threshold) == (5, 0.01)
    assert found.smallest is not None
    assert 0.01 < found.smallest < 0.02


def test_fewer_than_five_seeds_decide_nothing() -> None:
    few = (Verdict.INCONCLUSIVE, Reason.FEW_SEEDS)
    assert ends_in(scored(seeds(0.88), seeds(0.5, 10, count=4))) == few
    assert ends_in(scored(seeds(0.88, count=4), seeds(0.5, 10))) == few
    alone = scored({0: 0.88}, {1: 0.5})
    assert (*ends_in(alone), alone.low, alone.smallest, alone.count) == (*few, None, None, 1)


def test_the_same_seeds_with_the_same_scores_are_equal_however_few() -> None:
    assert ends_in(scored({0: 0.88}, {0: 0.88})) == EQUAL
    # the same numbers of other seeds are no such proof
    assert scored({0: 0.88}, {1: 0.88}).reason is Reason.FEW_SEEDS


def test_scores_without_any_spread_are_judged() -> None:
    assert ends_in(scored(dict.fromkeys(range(5), 1.0), dict.fromkeys(range(5, 10), 1.0))) == WITHIN
    assert ends_in(scored(dict.fromkeys(range(5), 1.0), dict.fromkeys(range(5, 10), 0.9))) == WORSE


def test_thresholds_of_scores_are_in_points() -> None:
    loose, tight = [GateRule(thresholds={"accuracy": 0.05})], [GateRule(match="*/fit", thresholds={"accuracy": 0.001})]
    assert ends_in(scored(seeds(0.88), seeds(0.86, 10), loose)) == WITHIN
    assert ends_in(scored(seeds(0.88), seeds(0.872, 10), tight)) == WORSE
    ignored = [GateRule(ignore=("accuracy",))]
    assert "accuracy" not in judged(fitted(seeds(0.88)), fitted(seeds(0.5, 10)), rules=ignored)


def test_a_score_that_is_better_lower_is_judged_the_other_way() -> None:
    for mean, expected in ((0.58, WORSE), (0.42, BETTER), (0.52, WITHIN)):
        arms = (fitted(seeds(centre, first), metric="test_loss") for centre, first in ((0.5, 0), (mean, 10)))
        assert ends_in(judged(*arms)["test_loss"]) == expected


def test_an_error_counts_by_a_tenth_of_itself_however_small_it_is() -> None:
    for mean, expected in ((5e-3, WORSE), (2e-5, BETTER), (1.03e-4, WITHIN)):
        parts = ((1e-4, 0), (mean, 10))
        arms = (fitted(seeds(centre, first, scale=centre / 10), metric="mse") for centre, first in parts)
        assert ends_in(judged(*arms)["mse"]) == expected
    tight = [GateRule(thresholds={"mse": 0.01})]
    arms = (fitted(seeds(centre, first, scale=1e-4), metric="mse") for centre, first in ((1e-4, 0), (5e-3, 10)))
    assert ends_in(judged(*arms, rules=tight)["mse"]) == WITHIN  # a threshold that is given is as it is


def test_accuracy_stands_for_a_task_that_has_it_and_what_has_no_direction_is_not_judged() -> None:
    first = {"test_loss": 0.5}
    arms = fitted(seeds(0.88), first=first), fitted(seeds(0.80, 10), first=first)
    found = judged(*arms)
    assert "test_loss" not in found
    assert found["accuracy"].verdict is Verdict.REGRESSED
    undeclared = (fitted(seeds(mean, place), metric="bleu_of_nobody") for mean, place in ((0.5, 0), (0.1, 10)))
    assert "bleu_of_nobody" not in judged(*undeclared)


def test_a_metric_without_direction_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = Metric(name="share_of_a", title="a", unit=Unit.SHARE, better=Better.NEITHER)
    monkeypatch.setitem(METRICS, metric.name, metric)
    arms = (fitted(seeds(mean, place), metric=metric.name) for mean, place in ((0.5, 0), (0.1, 10)))
    assert metric.name not in judged(*arms)


def test_fits_that_were_lost_are_told() -> None:
    found = judged(fitted(seeds(0.88)), fitted(seeds(0.88, 10), lost=2))["accuracy"]
    assert found.detail == "2 of 7 fits did not end well"
    assert judged(fitted(seeds(0.88), lost=2), fitted(seeds(0.88, 10)))["accuracy"].detail == ""


def test_folds_of_one_seed_are_one_value() -> None:
    base = fitted(seeds(0.88))
    folds = [
        replace(fit, fold=fold, metrics={"accuracy": 0.88 + 0.1 * fold}) for fold in (0, 1) for fit in base.fits[:5]
    ]
    found = judged(base, replace(base, fits=tuple(folds)))["accuracy"]
    assert found.count == 5
    assert found.head == pytest.approx(0.93)


# ── what is measured afresh ────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_flagged_either_way_is_to_be_confirmed_whatever_the_control_said() -> None:
    logs = {
        "slower": around(0.1),
        "same": around(0.0),
        "faster": around(-0.1),
        "wide": [9 * one for one in around(0.1)],
    }
    arms = [pair(values, name) for name, values in logs.items()]
    base, head = [one for one, _ in arms], [one for _, one in arms]
    for design in (AB, replace(AB, control_failed=True), replace(AB, confirms=False)):
        found = to_confirm(base, head, Gate(), design)
        assert found == [f"imdb/{name}/inference" for name in ("slower", "faster", "wide")]
    unsure = [GateRule(match="*/slower/*", ignore=(TIME,))]
    assert "imdb/slower/inference" not in to_confirm(base, head, Gate(rules=tuple(unsure)), AB)


def test_what_nothing_can_confirm_is_not_measured_afresh() -> None:
    half = {1, 2, 3, 4, 5}
    base, head = pair([0.0] * 5 + [0.05, 0.051, 0.049, 0.05, 0.05], disturbed=half)
    assert to_confirm([base], [head], Gate(), AB) == []


# ── all of it ──────────────────────────────────────────────────────────────────────────────────────────────────────


def timed(base: CaseResult, head: CaseResult, design: Design = AB) -> Comparison:
    return judged(base, head, design)[TIME]


def _one(found: Comparison | None) -> Comparison:
    assert found is not None
    return found


WAYS: Mapping[Reason, Callable[[], Comparison]] = {
    Reason.CONFIRMED: lambda: timed(*pair(around(0.05), again=around(0.05))),
    Reason.BEYOND_DRIFT: lambda: timed(arm(NOISE), arm(around(0.2)), CHECK),
    Reason.BEYOND_THRESHOLD: lambda: scored(seeds(0.88), seeds(0.86, 10)),
    Reason.DOES_NOT_FIT: lambda: judged(ended(OK), ended(OOM))[""],
    Reason.FITS_NOW: lambda: judged(ended(OOM), ended(OK))[""],
    Reason.DIVERGES: lambda: judged(ended(OK), ended(DIVERGED))[""],
    Reason.CONVERGES_NOW: lambda: judged(ended(DIVERGED), ended(OK))[""],
    Reason.WITHIN_THRESHOLD: lambda: timed(*pair(around(0.0))),
    Reason.EQUAL: lambda: judged(ended(OOM), ended(OOM))[""],
    Reason.BELOW_RESOLUTION: lambda: _one(exact("peak_rss_bytes", 4e5, 6e5)),
    Reason.WIDE_INTERVAL: lambda: timed(*pair([20 * noise for noise in NOISE])),
    Reason.NOT_CONFIRMED: lambda: timed(*pair(around(0.05), again=around(0.0))),
    Reason.MEDIAN_DISAGREES: lambda: timed(arm([0.0] * 10, medians=[0.5] * 10), arm(around(0.1), medians=[0.4] * 10)),
    Reason.REJECTION_MATTERS: lambda: timed(*pair([0.08] * 5 + [0.0] * 5, disturbed={1, 2, 3, 4, 5})),
    Reason.CONTROL_FAILED: lambda: timed(
        *pair(around(0.05), again=around(0.05)), design=replace(AB, control_failed=True)
    ),
    Reason.FEW_TRIALS: lambda: timed(*pair([0.0])),
    Reason.FEW_SEEDS: lambda: scored({0: 0.5}, {1: 0.6}),
    Reason.NOT_IN_HEAD: lambda: judged(arm(NOISE), None)[""],
    Reason.NOT_IN_BASE: lambda: judged(None, arm(NOISE))[""],
    Reason.FAILED: lambda: judged(ended(OK), ended(FAILED))[""],
    Reason.NO_VALUE: lambda: judged(counted({"flops_per_item": 1.0}), counted({"flops_per_item": None}))[
        "flops_per_item"
    ],
    Reason.OTHER_MACHINE: lambda: timed(arm(NOISE), arm(NOISE), replace(ELSEWHERE, other_machine="torch 2.12 -> 2.13")),
    Reason.OTHER_DEFINITION: lambda: judged(
        arm(NOISE), replace(arm(NOISE), case=replace(arm(NOISE).case, definition_hash="another"))
    )[""],
}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_reached(reason: Reason) -> None:
    assert WAYS[reason]().reason is reason


def test_every_verdict_is_reached() -> None:
    assert {way().verdict for way in WAYS.values()} == set(Verdict)


EVERY_TIME_ALIKE = settings(derandomize=True, deadline=None, database=None)
SCORES = st.dictionaries(st.integers(0, 9), st.floats(0.0, 1.0), min_size=1, max_size=8)
COUNTS = st.dictionaries(
    st.sampled_from([name for name in EXACT if name not in ("parameters", "weights_bytes")]), st.integers(0, 10**9)
)


@EVERY_TIME_ALIKE
@given(
    logs=st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=8),
    values=COUNTS,
    scores=SCORES,
    design=st.sampled_from([AB, CHECK, ELSEWHERE]),
)
def test_a_run_against_itself_is_never_red(
    logs: list[float], values: dict[str, int], scores: dict[int, float], design: Design
) -> None:
    same = [counted(values, result=arm(logs, again=logs)), fitted(scores)]
    verdicts = {one.verdict for one in compare(same, same, Gate(), design)}
    assert verdicts <= {Verdict.UNCHANGED, Verdict.INCONCLUSIVE}


@EVERY_TIME_ALIKE
@given(before=SCORES, now=SCORES, metric=st.sampled_from(["accuracy", "test_loss"]))
def test_mirrored_scores_have_mirrored_verdicts(before: dict[int, float], now: dict[int, float], metric: str) -> None:
    mirrored = {Verdict.REGRESSED: Verdict.IMPROVED, Verdict.IMPROVED: Verdict.REGRESSED}
    there = judged(fitted(before, metric=metric), fitted(now, metric=metric))[metric]
    back = judged(fitted(now, metric=metric), fitted(before, metric=metric))[metric]
    assert back.verdict is mirrored.get(there.verdict, there.verdict)
    assert back.reason is there.reason


@EVERY_TIME_ALIKE
@given(before=SCORES, better=st.floats(0.0, 1.0))
def test_more_accurate_is_never_a_failure(before: dict[int, float], better: float) -> None:
    found = scored(before, {100 + seed: score + better for seed, score in before.items()})
    assert found.verdict is not Verdict.REGRESSED
