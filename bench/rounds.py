"""Which cases the next round holds, and why a case needs no further trial: pure functions of what has been observed."""

from __future__ import annotations

from collections.abc import Sequence

from bench.estimates import half_width
from bench.observations import CaseResult, repeated_failure
from bench.progress import SERVER_S, trial_s
from bench.records import Measure, Outcome
from bench.sampling import stop_criterion
from bench.trust import good_trials, undisturbed

# trials that fail in turns, each time otherwise, must end as well
MOST_ATTEMPTS = 3


def criterion(result: CaseResult, measure: Measure) -> str | None:
    """Why a case needs no further trial, or None."""
    if reason := cannot_run(result):
        return reason
    failure = repeated_failure(result.trials)
    if failure is not None:
        return f"failed twice alike: {failure.outcome.value}"
    taken, kept = len(good_trials(result)), len(undisturbed(result))
    found = stop_criterion(half_width(result), kept, taken, measure)
    if found is None and len(result.trials) >= MOST_ATTEMPTS * measure.max_rounds:
        return f"{len(result.trials) - taken} of {len(result.trials)} trials failed"
    return found


def cannot_run(result: CaseResult) -> str:
    """Why a case has nothing to be sampled, or an empty text."""
    if result.preflight is not None and result.preflight.outcome is not Outcome.OK:
        return f"its model cannot be checked: {result.preflight.outcome.value}"
    if result.case.fit is None and all(pilot.outcome is not Outcome.OK for pilot in result.pilots):
        return f"no pilot ended well: {result.pilots[-1].outcome.value}" if result.pilots else "no pilot"
    return ""


def affordable(unfinished: Sequence[CaseResult], left_s: float | None) -> list[CaseResult]:
    """The cases of a round: all of them, or what `left_s` seconds are enough for, the widest intervals first.

    A case without an interval is wider than any. At least one case is in a round.
    """
    if left_s is None:
        return list(unfinished)
    chosen: list[CaseResult] = []
    left_s -= SERVER_S
    for result in sorted(unfinished, key=_width, reverse=True):
        left_s -= trial_s(result)
        if chosen and left_s < 0:
            break
        chosen.append(result)
    return chosen


def _width(result: CaseResult) -> float:
    width = half_width(result)
    return float("inf") if width is None else width
