"""Observations become metrics: the one place where samples turn into values with intervals, and doubts into flags.

Pure and torch-free; used by the stopping rule, the screen, tables, charts and checks alike, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from bench.bisection import Search, limit
from bench.cost_model import cost_estimates
from bench.observations import CaseResult, Fit, Pass, Trial
from bench.quantity import METRICS
from bench.records import Measure, Outcome, PassKind
from bench.stats import Estimate, IntervalKind, log_t_estimate, mean_t_estimate, quantile, relative_half_width, wilson
from bench.trust import good_trials, undisturbed, used_trials

NOISY_SPREAD = 0.15
MARGIN = 0.03
# fewer single calls say nothing about a tail: twenty must lie beyond p90, ten beyond p99
P90_CALLS = 200
P99_CALLS = 1000
_ONE_PASS = "seen in one process, so without an interval"
FEW_TRIALS = 5


def good_fits(result: CaseResult) -> list[Fit]:
    """The fits that ended well."""
    return [fit for fit in result.fits if fit.outcome is Outcome.OK]


def half_width(result: CaseResult) -> float | None:
    """The wider of the relative half-widths of p10 and median over trials, which the stopping rule looks at."""
    trials = used_trials(result)
    widths = [relative_half_width([quantile(trial.samples_s, share) for trial in trials]) for share in (0.1, 0.5)]
    return max((width for width in widths if width is not None), default=None)


def estimates(result: CaseResult) -> dict[str, Estimate]:
    """Every metric of a case that something was observed of, by name."""
    found = {name: Estimate(value=value) for name, value in _sizes(result).items()}
    trials = used_trials(result)
    if trials:
        found |= _times(trials)
    for one in _good_passes(result):
        found |= {name: Estimate(value=value, reason=one.reasons.get(name, "")) for name, value in one.values.items()}
        found |= _of_single_calls(one)
    if "latency_s" in found:
        found |= cost_estimates(result, found["latency_s"])
    for name in dict.fromkeys(probe.metric for probe in result.probes):
        found[name] = limit(Search(metric=name, case=result.case), result.probes)
    fits = good_fits(result)
    if fits:
        found |= _accuracies(fits)
    return found


def counted(result: CaseResult) -> dict[str, float]:
    """The metrics that were counted rather than timed, without what is unknown."""
    found: dict[str, float] = {}
    for one in _good_passes(result):
        found |= {name: value for name, value in one.values.items() if value is not None}
    # sizes of the pre-flight stand above those of a pass: every run has them, whatever passes it was asked for
    return found | _sizes(result)


def _sizes(result: CaseResult) -> dict[str, float]:
    checked = result.preflight
    if checked is None:
        return {}
    size = result.case.variant.size
    sizes = {
        "parameters": checked.parameters,
        "matched_parameters": None if size is None else size.parameters,
        "weights_bytes": checked.weights_bytes,
    }
    return {name: size for name, size in sizes.items() if size is not None}


def _good_passes(result: CaseResult) -> list[Pass]:
    return [one for one in result.passes if one.outcome is Outcome.OK]


def _over(trials: Sequence[Trial], statistic: Callable[[Trial], float]) -> Estimate:
    return log_t_estimate([statistic(trial) for trial in trials])


def _times(trials: Sequence[Trial]) -> dict[str, Estimate]:
    latency = _over(trials, lambda trial: quantile(trial.samples_s, 0.5))
    found = {
        "latency_s": latency,
        "latency_p10_s": _over(trials, lambda trial: quantile(trial.samples_s, 0.1)),
        "latency_iqr_low_s": _over(trials, lambda trial: quantile(trial.samples_s, 0.25)),
        "latency_iqr_high_s": _over(trials, lambda trial: quantile(trial.samples_s, 0.75)),
    }
    first = trials[0]
    if first.items:
        found["throughput_items_per_s"] = latency.inverted(first.items)
    if first.tokens and first.real_tokens:
        found["throughput_tokens_per_s"] = latency.inverted(first.tokens)
        found["throughput_real_tokens_per_s"] = latency.inverted(first.real_tokens)
        found["padding_share"] = Estimate(value=1 - first.real_tokens / first.tokens)
    if first.state_bytes is not None:
        # only steps carry a state from call to call
        found |= {"step_s": latency, "state_bytes": Estimate(value=first.state_bytes)}
    first_calls = [trial.first_call_s for trial in trials if trial.first_call_s]
    if first_calls:
        found["first_call_s"] = log_t_estimate(first_calls)
    return found


def _of_single_calls(one: Pass) -> dict[str, Estimate]:
    """Tails of single calls, or medians of their parts; from one process, so without an interval."""
    if one.name is PassKind.SPLIT:
        return {
            f"{part}_s": Estimate(value=quantile(taken, 0.5), reason=_ONE_PASS) for part, taken in one.samples_s.items()
        }
    if one.name is not PassKind.TAILS:
        return {}
    calls = one.samples_s["call"]
    found = {}
    for share, least in ((0.9, P90_CALLS), (0.99, P99_CALLS)):
        few = f"{len(calls)} calls were timed, and this quantile needs {least}; raise measure.tails"
        name = f"latency_p{share * 100:.0f}_s"
        enough = len(calls) >= least
        found[name] = Estimate(value=quantile(calls, share) if enough else None, reason=_ONE_PASS if enough else few)
    return found


def _accuracies(fits: Sequence[Fit]) -> dict[str, Estimate]:
    found: dict[str, Estimate] = {}
    for name in fits[0].metrics:
        if all(name in fit.metrics for fit in fits):
            found[name] = mean_t_estimate(_replicates([(fit.seed, fit.metrics[name]) for fit in fits]))
    for name in ("fit_s", "time_to_target_s"):
        times = [(fit.seed, getattr(fit, name)) for fit in fits if getattr(fit, name)]
        if times:
            found[name] = log_t_estimate(_replicates(times), IntervalKind.T95_SEEDS)
    return found


def by_seed(fits: Sequence[Fit], metric: str) -> dict[int, float]:
    """A metric of the fits that have it, one value a seed: the mean over its folds."""
    return _by_seed([(fit.seed, fit.metrics[metric]) for fit in fits if metric in fit.metrics])


def _by_seed(values: Sequence[tuple[int, float]]) -> dict[int, float]:
    seeds = sorted({seed for seed, _ in values})
    return {seed: fmean(value for other, value in values if other == seed) for seed in seeds}


def _replicates(values: Sequence[tuple[int, float]]) -> list[float]:
    """One value a seed; with a single seed one value a fold."""
    found = _by_seed(values)
    return list(found.values()) if len(found) > 1 else [value for _, value in values]


def item_interval(result: CaseResult) -> Estimate | None:
    """The share of test items that were right, with its Wilson interval: what other test items would have given.

    Over several seeds the test items are the same ones, so they are counted once, at the mean share; over folds they
    are different ones and all count.
    """
    fits = [fit for fit in good_fits(result) if fit.correct is not None and fit.total]
    if not fits:
        return None
    seeds = len({fit.seed for fit in fits})
    correct = sum(fit.correct or 0 for fit in fits) / seeds
    total = round(sum(fit.total or 0 for fit in fits) / seeds)
    low, high = wilson(correct, total)
    return Estimate(value=correct / total, low=low, high=high, interval=IntervalKind.WILSON95)


def latency_of_all(result: CaseResult) -> Estimate | None:
    """The latency over every good trial, the disturbed ones included; None without trials."""
    trials = good_trials(result)
    return _over(trials, lambda trial: quantile(trial.samples_s, 0.5)) if trials else None


def rejection_matters(result: CaseResult) -> bool:
    """Whether leaving disturbed trials out moves the latency by more than `MARGIN`: then neither figure decides anything."""
    every, used = latency_of_all(result), used_trials(result)
    if every is None or every.value is None or not used:
        return False
    without = quantile([quantile(trial.samples_s, 0.5) for trial in used], 0.5)
    return abs(without / every.value - 1) > MARGIN


def _spread(values: Sequence[float]) -> float:
    return quantile(values, 0.9) / quantile(values, 0.1) - 1


def flags(result: CaseResult, measure: Measure) -> tuple[str, ...]:
    """The doubts about a case, in words: tables and charts mark every case that has one."""
    found: list[str] = []
    if result.preflight is not None and result.preflight.red:
        found.append(f"contract_red: {', '.join(result.preflight.red)}")
    size = result.case.variant.size
    if size is not None and size.parameters is None:
        found.append("not_matched")
    trials = used_trials(result)
    if trials:
        if not undisturbed(result):
            found.append(f"disturbed: every one of {len(trials)} trials")
        if rejection_matters(result):
            found.append("rejection_matters")
        if len(trials) < FEW_TRIALS:
            found.append(f"few_trials: {len(trials)}")
        if any(trial.steady is False for trial in trials):
            found.append("not_steady")
        medians = [quantile(trial.samples_s, 0.5) for trial in trials]
        if any(_spread(values) > NOISY_SPREAD for values in (medians, *(trial.samples_s for trial in trials))):
            found.append("noisy")
        width = half_width(result)
        if width is None or width > measure.target:
            found.append("wide_interval")
    lost = [fit for fit in result.fits if fit.outcome is not Outcome.OK]
    if lost:
        found.append(f"{lost[-1].outcome.value}: {len(lost)} of {len(result.fits)} fits")
    return tuple(found)


def metric_order(names: Sequence[str]) -> list[str]:
    """Names in the order in which metrics are declared."""
    order = {name: place for place, name in enumerate(METRICS)}
    return sorted(names, key=lambda name: order.get(name, len(order)))
