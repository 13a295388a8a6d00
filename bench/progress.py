"""How far a run is, and how long it can still take at most: pure functions of what has been observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.bisection import Search, next_size, searches
from bench.jobs import passes_of
from bench.observations import CaseResult, Epoch, Fit, Observation
from bench.records import Case, Outcome, PassKind, Plan
from bench.trust import undisturbed

# a fresh server imports torch before its first job
SERVER_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands: `done` of `total` steps are over; `remaining_s` is an upper bound, None while unknown."""

    phase: str
    done: int
    total: int
    case: Case | None = None
    detail: str = ""
    remaining_s: float | None = None


def steps(plan: Plan, results: Mapping[str, CaseResult]) -> tuple[int, int]:
    """Steps done and in all: a pilot, a memory pass, a trial and an epoch are one each; unfinished cases count to the least."""
    done = total = 0
    for result in results.values():
        if result.case.skip:
            continue
        if result.case.fit is not None:
            fits = _fits_of(plan, result.case)
            epochs = result.case.fit.epochs * len(result.case.fit.learning_rates)
            total += fits * epochs
            # a fit that ended early (diverged, failed) has no epochs left to do
            ended = {(fit.seed, fit.fold) for fit in result.fits}
            running = sum((epoch.seed, epoch.fold) not in ended for epoch in result.epochs)
            done += min(fits * epochs, len(ended) * epochs + running)
            continue
        observed = len(result.pilots) + len(result.passes) + len(result.trials) + len(result.probes)
        done += observed
        planned = 1 + len(passes_of(result.case, plan.measure)) + plan.measure.min_rounds
        total += observed if result.criterion else max(planned, observed + 1)
    return done, total + len(_open_searches(plan, results))


def _open_searches(plan: Plan, results: Mapping[str, CaseResult]) -> list[Search]:
    """Searches for limits that have not ended; a model that cannot be checked is not searched for."""
    if not plan.measure.limits:
        return []
    found = []
    for search in searches(plan.cases):
        result = results[search.case.id]
        checked = result.preflight is None or result.preflight.outcome is Outcome.OK
        if checked and next_size(search, result.probes) is not None:
            found.append(search)
    return found


def remaining_s(
    plan: Plan, observed: Sequence[Observation], results: Mapping[str, CaseResult], speed_s: float
) -> float | None:
    """Seconds that are left at most; None until enough has been seen to tell.

    `speed_s` is what speed cases have taken so far: the budget is held against it.
    """
    if _open_searches(plan, results):
        return None  # how many tries a search takes, and how slow the largest are, nobody knows before
    speed, fits = _speed_left(plan, results, speed_s), _fits_left(plan, observed, results)
    return None if speed is None or fits is None else speed + fits


def _speed_left(plan: Plan, results: Mapping[str, CaseResult], speed_s: float) -> float | None:
    unfinished = [
        result
        for result in results.values()
        if result.case.fit is None and not result.case.skip and not result.criterion
    ]
    if not unfinished:
        return 0.0
    if any(not result.pilots for result in unfinished):
        return None
    measure = plan.measure
    a_round = SERVER_S + sum(trial_s(result) for result in unfinished)
    trials = [max(0, measure.max_rounds - len(undisturbed(result))) for result in unfinished]
    passes = _passes_left(plan, results)
    left = max(trials) * SERVER_S + sum(
        count * trial_s(result) for count, result in zip(trials, unfinished, strict=True)
    )
    # a budget ends at the end of a round
    return passes + (left if measure.budget_s is None else min(left, max(0.0, measure.budget_s - speed_s) + a_round))


def _passes_left(plan: Plan, results: Mapping[str, CaseResult]) -> float:
    """Seconds of the passes that have not been tried: each as long as its kind took so far, or as the case's pilot."""
    seen: dict[PassKind, list[float]] = {}
    for result in results.values():
        for one in result.passes:
            seen.setdefault(one.name, []).append(one.wall_s or 0.0)
    return sum(
        fmean(seen[kind]) if kind in seen else (result.pilots[-1].wall_s or 0.0)
        for result in results.values()
        if result.case.fit is None and result.pilots and result.pilots[-1].outcome is Outcome.OK
        for kind in passes_of(result.case, plan.measure)
        if not result.attempts(kind)
    )


def trial_s(result: CaseResult) -> float:
    """Seconds that a trial of this case takes: the mean so far, or what its pilot took."""
    seen = [one.wall_s for one in (result.trials or result.pilots) if one.wall_s is not None]
    return fmean(seen) if seen else 0.0


def _fits_left(plan: Plan, observed: Sequence[Observation], results: Mapping[str, CaseResult]) -> float | None:
    epochs = [one for one in observed if isinstance(one, Epoch)]
    left = 0.0
    for result in results.values():
        case = result.case
        if case.fit is None or case.skip:
            continue
        missing = _fits_of(plan, case) - len({(fit.seed, fit.fold) for fit in result.fits})
        if missing <= 0:
            continue
        if not epochs:
            return None
        # a case that has not begun is taken to be as slow as the slowest so far
        own = [epoch.seconds for epoch in result.epochs]
        epoch_s = fmean(own) if own else max(epoch.seconds for epoch in epochs)
        ended = {(fit.seed, fit.fold) for fit in result.fits}
        running = sum((epoch.seed, epoch.fold) not in ended for epoch in result.epochs)
        count = missing * case.fit.epochs * len(case.fit.learning_rates) - running
        left += count * epoch_s * 1.2 + missing * SERVER_S
    return left


def _fits_of(plan: Plan, case: Case) -> int:
    return len(plan.seeds) * (plan.folds.get(case.task_key, 0) or 1)


def fits_s(observed: Sequence[Observation]) -> float:
    """Seconds that finished fits took."""
    return sum(one.wall_s or 0.0 for one in observed if isinstance(one, Fit))
