"""Two made arms of a comparison: results whose trials have the p10, median and p90 that a test asks for."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from bench.observations import CaseResult, Fit, Pass, Preflight, Trial
from bench.records import FitSettings, Outcome, PassKind
from tests.scripted import case

NOISE = (0.003, -0.006, 0.001, 0.007, -0.002, -0.001, 0.002, -0.003, 0.006, -0.007)
"""Ten log ratios about nothing, as often above it as below: their mean is 0, trimmed or not."""

DISTURBED = {"wall_s": 1.0, "cpu_s": 0.5}
"""Evidence of a thread that waited half of the time."""


def around(change: float, scale: float = 1.0) -> list[float]:
    """Log ratios that scatter about a change."""
    return [math.log1p(change) + scale * noise for noise in NOISE]


def trial(log: float, number: int, *, median: float | None = None, name: str = "lstm", **more: object) -> Trial:
    """A trial whose p10 is `exp(log)` milliseconds; its median 2 % above that, or where `median` (a log) says."""
    p10 = 1e-3 * math.exp(log)
    middle = p10 * 1.02 if median is None else 1e-3 * math.exp(median)
    samples = (p10,) * 5 + (middle,) * 4 + (middle * 1.05,) * 2
    settings = {"case_id": f"imdb/{name}/inference", "round": number, "outcome": Outcome.OK, "samples_s": samples}
    return Trial(**(settings | more))  # type: ignore[arg-type]


def arm(
    logs: Sequence[float],
    name: str = "lstm",
    *,
    again: Sequence[float] = (),
    disturbed: Collection[int] = (),
    medians: Sequence[float] | None = None,
    workload: str = "inference",
) -> CaseResult:
    """A case with a trial for every log; `again` are those that were taken to confirm, `disturbed` are rounds."""
    first = [
        trial(
            log,
            number,
            name=name,
            median=None if medians is None else medians[number - 1],
            evidence=DISTURBED if number in disturbed else {},
        )
        for number, log in enumerate(logs, 1)
    ]
    fresh = [trial(log, len(first) + number, name=name, confirming=True) for number, log in enumerate(again, 1)]
    what = case(name, workload=workload)
    return CaseResult(case=what, preflight=preflight(name), trials=(*first, *fresh))


def pair(
    logs: Sequence[float], name: str = "lstm", *, again: Sequence[float] = (), **more: object
) -> tuple[CaseResult, ...]:
    """Both arms: base stands still, head differs from it by these logs."""
    base = arm([0.0] * len(logs), name, again=[0.0] * len(again), **more)  # type: ignore[arg-type]
    return base, arm(logs, name, again=again, **more)  # type: ignore[arg-type]


def preflight(name: str = "lstm", **more: object) -> Preflight:
    settings = {
        "task_key": "imdb",
        "variant_id": name,
        "outcome": Outcome.OK,
        "parameters": 1000,
        "weights_bytes": 4000,
    }
    return Preflight(**(settings | more))  # type: ignore[arg-type]


def counted(
    values: Mapping[str, float | None],
    *,
    kind: PassKind = PassKind.COST,
    result: CaseResult | None = None,
    **more: object,
) -> CaseResult:
    """A case whose pass counted these values."""
    whole = arm([0.0] * 10) if result is None else result
    settings = {"case_id": whole.case.id, "name": kind, "outcome": Outcome.OK, "values": values}
    return replace(whole, passes=(*whole.passes, Pass(**(settings | more))))  # type: ignore[arg-type]


def fitted(
    scores: Mapping[int, float], *, metric: str = "accuracy", lost: int = 0, first: Mapping[str, float] | None = None
) -> CaseResult:
    """A case that was trained with these seeds, `lost` of whose further fits diverged."""
    what = case(workload="fit", fit=FitSettings(epochs=1, batch_size=8))
    fits = [
        Fit(case_id=what.id, seed=seed, fold=None, outcome=Outcome.OK, metrics={**(first or {}), metric: score})
        for seed, score in scores.items()
    ]
    fits += [
        Fit(case_id=what.id, seed=900 + number, fold=None, outcome=Outcome.DIVERGED, reason="loss nan")
        for number in range(lost)
    ]
    return CaseResult(case=what, preflight=preflight(), fits=tuple(fits))


def ended(outcome: Outcome | None, reason: str = "why", name: str = "lstm") -> CaseResult:
    """A case that ended like this; None has not been measured."""
    if outcome is Outcome.OK:
        return arm([0.0] * 10, name)
    if outcome is Outcome.SKIPPED:
        return CaseResult(case=case(name, skip=reason))
    trials = (
        [] if outcome is None else [trial(0.0, number, name=name, outcome=outcome, reason=reason) for number in (1, 2)]
    )
    return CaseResult(
        case=case(name), preflight=preflight(name), trials=tuple(replace(one, samples_s=()) for one in trials)
    )
