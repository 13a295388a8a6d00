"""What follows from FLOPs and latency: achieved FLOP/s, and their share of what vendor and machine allow. No torch."""

from __future__ import annotations

from bench.observations import CaseResult, Pass
from bench.records import Outcome, PassKind
from bench.stats import Estimate


def cost_estimates(result: CaseResult, latency: Estimate) -> dict[str, Estimate]:
    """Metrics of a timed case that its cost pass, its latency and its machine's ceilings give together.

    Every metric that the latency (seconds of a call) divides inherits its interval.

    Returns:
        `ceiling_flops_per_s` and `ceiling_bytes_per_s` where they were measured; `flops_per_s`, `mfu` (over the vendor's
        dense peak) and `ceiling_share` (over the measured ceiling) where the cost was counted, without a value but with a
        reason where a part is unknown.
    """
    found: dict[str, Estimate] = {}
    ceiling, no_ceiling = None, "the ceiling of this machine was not measured"
    if result.ceiling is not None:
        ceiling, no_ceiling = result.ceiling.flops_per_s, result.ceiling.reason or no_ceiling
        found["ceiling_flops_per_s"] = Estimate(value=ceiling, reason="" if ceiling else no_ceiling)
        bandwidth = result.ceiling.bytes_per_s
        found["ceiling_bytes_per_s"] = Estimate(value=bandwidth, reason="" if bandwidth else no_ceiling)
    cost = _last_good(result)
    if cost is None:
        return found
    achieved = _achieved(cost, result.case.batch_size, latency)
    no_peak = cost.reasons.get("peak_flops_per_s", "no peak known")
    found["flops_per_s"] = achieved
    found["mfu"] = _share(achieved, cost.values.get("peak_flops_per_s"), no_peak)
    found["ceiling_share"] = _share(achieved, ceiling, no_ceiling)
    return found


def _last_good(result: CaseResult) -> Pass | None:
    good = [one for one in result.attempts(PassKind.COST) if one.outcome is Outcome.OK]
    return good[-1] if good else None


def _achieved(cost: Pass, items: int, latency: Estimate) -> Estimate:
    flops = cost.values.get("flops_per_item")
    if flops is None:
        return Estimate(value=None, reason=cost.reasons.get("flops_per_item", "no FLOPs were counted"))
    return latency.inverted(flops * items)


def _share(achieved: Estimate, whole: float | None, unknown: str) -> Estimate:
    if achieved.value is None:
        return achieved
    if not whole:
        return Estimate(value=None, reason=unknown)
    return Estimate(
        value=achieved.value / whole,
        low=achieved.low / whole if achieved.low is not None else None,
        high=achieved.high / whole if achieved.high is not None else None,
        interval=achieved.interval,
        reason=achieved.reason,
    )
