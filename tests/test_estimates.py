"""Observations to metrics, with intervals and flags, against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scripted import case

from bench.estimates import estimates, flags, half_width, item_interval
from bench.observations import CaseResult, Fit, Pass, Preflight, Trial
from bench.records import FitSettings, Measure, Outcome, PassKind
from bench.stats import IntervalKind, wilson


def trial(number: int, seconds: float, **more: object) -> Trial:
    settings = {"case_id": "c", "round": number, "outcome": Outcome.OK, "samples_s": (seconds,) * 10}
    return Trial(**(settings | {"items": 8, "tokens": 512, "real_tokens": 384} | more))  # type: ignore[arg-type]


def fit(seed: int, correct: int, fold: int | None = None) -> Fit:
    return Fit(
        case_id="c",
        seed=seed,
        fold=fold,
        outcome=Outcome.OK,
        metrics={"accuracy": correct / 100, "test_loss": 0.5},
        correct=correct,
        total=100,
        fit_s=10.0 + seed,
    )


RESULT = CaseResult(case=case(), trials=tuple(trial(number, 0.010 + number * 0.0001) for number in range(5)))


def test_latency_is_the_median_of_trial_medians_and_throughput_its_inverse() -> None:
    found = estimates(RESULT)
    assert found["latency_s"].value == pytest.approx(0.0102)
    assert found["latency_s"].interval is IntervalKind.T95_TRIALS
    assert found["throughput_items_per_s"].value == pytest.approx(8 / 0.0102)
    assert found["throughput_tokens_per_s"].value == pytest.approx(512 / 0.0102)
    assert found["throughput_real_tokens_per_s"].value == pytest.approx(384 / 0.0102)
    assert found["padding_share"].value == pytest.approx(0.25)


def test_trials_that_did_not_end_well_do_not_count() -> None:
    lost = Trial(case_id="c", round=9, outcome=Outcome.TIMED_OUT)
    assert estimates(replace(RESULT, trials=(*RESULT.trials, lost))) == estimates(RESULT)


def test_the_half_width_is_the_wider_of_p10_and_median() -> None:
    # the medians are equal, the lower tails are not
    ragged = tuple(trial(n, 0.01, samples_s=(0.005 * (1 + n),) * 2 + (0.01,) * 8) for n in range(3))
    assert (half_width(replace(RESULT, trials=ragged)) or 0) > 0.9
    assert half_width(replace(RESULT, trials=RESULT.trials[:1])) is None


def test_memory_and_size_come_from_their_own_observations() -> None:
    preflight = Preflight(task_key="imdb", variant_id="v", outcome=Outcome.OK, parameters=10, weights_bytes=40)
    memory = (
        Pass(case_id="c", name=PassKind.MEMORY, outcome=Outcome.FAILED, reason="?"),
        Pass(case_id="c", name=PassKind.MEMORY, outcome=Outcome.OK, attempt=1, values={"peak_rss_bytes": 5.0}),
    )
    found = estimates(replace(RESULT, preflight=preflight, passes=memory))
    assert (found["parameters"].value, found["weights_bytes"].value, found["peak_rss_bytes"].value) == (10, 40, 5)


def test_a_memory_that_cannot_be_told_keeps_its_reason() -> None:
    memory = Pass(
        case_id="c",
        name=PassKind.MEMORY,
        outcome=Outcome.OK,
        reasons={"peak_rss_bytes": "too small"},
        values={"peak_rss_bytes": None},
    )
    found = estimates(replace(RESULT, passes=(memory,)))["peak_rss_bytes"]
    assert (found.value, found.reason) == (None, "too small")


def test_accuracy_has_an_interval_over_seeds_and_one_over_test_items() -> None:
    fits = (fit(0, 80), fit(1, 84), fit(2, 88))
    result = CaseResult(case=case(fit=FitSettings(epochs=1, batch_size=1)), fits=fits)
    accuracy = estimates(result)["accuracy"]
    assert accuracy.value == pytest.approx(0.84)
    assert accuracy.interval is IntervalKind.T95_SEEDS
    # t(.975, 2) = 4.3027, s = .04
    assert accuracy.high == pytest.approx(0.84 + 4.3027 * 0.04 / 3**0.5, abs=1e-4)
    items = item_interval(result)
    assert items is not None
    # three seeds saw the same hundred items, not three hundred
    assert (items.low, items.high) == pytest.approx(wilson(84, 100))


def test_folds_are_different_items_and_all_count() -> None:
    result = CaseResult(case=case(), fits=(fit(0, 80, fold=0), fit(0, 90, fold=1)))
    items = item_interval(result)
    assert items is not None
    assert (items.low, items.high) == pytest.approx(wilson(170, 200))


def test_folds_of_one_seed_are_averaged_before_the_interval_over_seeds() -> None:
    fits = tuple(fit(seed, correct, fold) for seed, fold, correct in ((0, 0, 80), (0, 1, 90), (1, 0, 84), (1, 1, 90)))
    accuracy = estimates(CaseResult(case=case(), fits=fits))["accuracy"]
    # seed means .85 and .87: t(.975, 1) = 12.706, s = .01414
    assert accuracy.value == pytest.approx(0.86)
    assert (accuracy.high or 0) - 0.86 == pytest.approx(12.706 * 0.01, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"trials": RESULT.trials[:3]}, "few_trials: 3"),
        ({"trials": (*RESULT.trials[:4], trial(4, 0.01, steady=False))}, "not_steady"),
        ({"trials": (*RESULT.trials[:4], trial(4, 0.01, samples_s=(0.01,) * 5 + (0.012,) * 5))}, "noisy"),
        ({"trials": tuple(trial(number, 0.01 * (1 + 0.5 * (number % 2))) for number in range(6))}, "noisy"),
        ({"trials": (*RESULT.trials[:4], trial(4, 0.02))}, "wide_interval"),
        (
            {"preflight": Preflight(task_key="t", variant_id="v", outcome=Outcome.OK, red=("padding", "rows"))},
            "contract_red: padding, rows",
        ),
        (
            {"fits": (fit(0, 80), Fit(case_id="c", seed=1, fold=None, outcome=Outcome.DIVERGED))},
            "diverged: 1 of 2 fits",
        ),
    ],
)
def test_every_doubt_is_a_flag(change: dict[str, object], flag: str) -> None:
    assert flags(RESULT, Measure()) == ()
    assert flag in flags(replace(RESULT, **change), Measure())  # type: ignore[arg-type]
