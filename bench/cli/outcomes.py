"""What a run leaves behind for the shell."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import ExitCode
from bench.estimates import good_fits
from bench.observations import CaseResult
from bench.records import Outcome
from bench.trust import good_trials

SEVERITY = (
    ExitCode.INTERRUPTED,
    ExitCode.USAGE,
    ExitCode.REGRESSED,
    ExitCode.INCOMPLETE,
    ExitCode.NOT_COMPARABLE,
    ExitCode.INCONCLUSIVE,
)
"""If several codes apply, the first of these."""


def worst(codes: Sequence[ExitCode]) -> ExitCode:
    """The one code to leave with."""
    return next((code for code in SEVERITY if code in codes), ExitCode.OK)


def is_incomplete(result: CaseResult) -> bool:
    """Whether a case failed, timed out or is missing; out of memory, skipped and diverged are findings."""
    outcome, _ = result.verdict
    if outcome is Outcome.OK:
        return not (good_trials(result) or good_fits(result))
    return outcome is None or not outcome.is_finding


def exit_code(results: Sequence[CaseResult]) -> ExitCode:
    """5 if any case is incomplete."""
    return ExitCode.INCOMPLETE if any(is_incomplete(result) for result in results) else ExitCode.OK
