"""What a comparison can end in: verdicts, the reasons for them, and what they leave behind for the shell. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bench.errors import ExitCode

TIME = "latency_s"
"""The metric that stands for the time of a case: throughput says the same."""


class Verdict(StrEnum):
    """How one metric of one case compares; the order is that of tables, what needs a look first."""

    REGRESSED = "regressed"
    MISSING = "missing"
    NOT_COMPARABLE = "not comparable"
    INCONCLUSIVE = "inconclusive"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"


class Reason(StrEnum):
    """Why a verdict is what it is."""

    CONFIRMED = "confirmed"
    BEYOND_DRIFT = "beyond_drift"
    BEYOND_THRESHOLD = "beyond_threshold"
    DOES_NOT_FIT = "does_not_fit"
    FITS_NOW = "fits_now"
    DIVERGES = "diverges"
    CONVERGES_NOW = "converges_now"
    WITHIN_THRESHOLD = "within_threshold"
    EQUAL = "equal"
    BELOW_RESOLUTION = "below_resolution"
    WIDE_INTERVAL = "wide_interval"
    NOT_CONFIRMED = "not_confirmed"
    MEDIAN_DISAGREES = "median_disagrees"
    REJECTION_MATTERS = "rejection_matters"
    CONTROL_FAILED = "control_failed"
    FEW_TRIALS = "few_trials"
    FEW_SEEDS = "few_seeds"
    NOT_IN_HEAD = "not_in_head"
    NOT_IN_BASE = "not_in_base"
    FAILED = "failed"
    NO_VALUE = "no_value"
    OTHER_DEFINITION = "other_definition"
    OTHER_MACHINE = "other_machine"


WORDS = {
    Reason.CONFIRMED: "found, and found again in fresh pairs, whose change is shown",
    Reason.BEYOND_DRIFT: "beyond what one machine drifts between two runs",
    Reason.BEYOND_THRESHOLD: "beyond the threshold",
    Reason.DOES_NOT_FIT: "no longer fits into memory",
    Reason.FITS_NOW: "now fits into memory",
    Reason.DIVERGES: "training diverges now",
    Reason.CONVERGES_NOW: "training no longer diverges",
    Reason.WITHIN_THRESHOLD: "the whole interval lies within the threshold",
    Reason.EQUAL: "equal",
    Reason.BELOW_RESOLUTION: "too small to be told from how the kernel counts pages",
    Reason.WIDE_INTERVAL: "the interval reaches beyond the threshold",
    Reason.NOT_CONFIRMED: "fresh measurements did not find it again",
    Reason.MEDIAN_DISAGREES: "p10 and median point in opposite directions",
    Reason.REJECTION_MATTERS: "leaving disturbed trials out changes the answer",
    Reason.CONTROL_FAILED: "the control saw a difference between identical code",
    Reason.FEW_TRIALS: "a side has fewer than two trials",
    Reason.FEW_SEEDS: "fewer than five seeds on a side",
    Reason.NOT_IN_HEAD: "not measured now, but stands in the baseline",
    Reason.NOT_IN_BASE: "measured now, but does not stand in the baseline",
    Reason.FAILED: "it failed",
    Reason.NO_VALUE: "has no value now, but has one in the baseline",
    Reason.OTHER_DEFINITION: "the same id means another model, task or method now",
    Reason.OTHER_MACHINE: "measured on another machine",
}
"""Each reason in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of one case, judged.

    Attributes:
        metric: empty where the case as a whole is judged (missing, failed, does not fit).
        detail: what went wrong, in the worker's words.
        base, head: the metric in both arms, in its base unit.
        change: of time, bytes and counts head / base - 1; of scores head - base.
        low, high: of `change`, a 95 % interval; None where the metric has no noise.
        smallest: the smallest worsening that would have been found, in the unit of `change`.
        threshold: what counts in practice, in the unit of `change`.
        p: that the change is worse than the margin, adjusted for all time cases that were judged together (Holm).
        p90: the change of the 90th percentile, where p10 and median disagree.
        count: pairs, or trials or seeds of the side that has fewer.
    """

    case_id: str
    metric: str
    verdict: Verdict
    reason: Reason
    detail: str = ""
    base: float | None = None
    head: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    smallest: float | None = None
    threshold: float | None = None
    p: float | None = None
    p90: float | None = None
    count: int | None = None
    allowed: bool = False

    @property
    def words(self) -> str:
        """The reason in words, with its detail."""
        return f"{WORDS[self.reason]}: {self.detail}" if self.detail else WORDS[self.reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Base against base, once in the place of head: what identical code was seen to differ by.

    Attributes:
        change, low, high: of time, with a 99.9 % interval; None where too little was measured.
        failed: the interval excludes 0, or is wider than what counts in practice.
    """

    case_id: str
    failed: bool
    change: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All that `compare`, `check` and `ab` have to tell.

    Attributes:
        title: one line: what was put against what.
        base, head: what the two sides are called: a run id, a baseline's name, a revision.
        cases: how each case is told to people: `imdb, lstm, inference, length 256, batch 32`, by id.
        commands: what measures and judges a case again, by id.
        controls: empty where nothing was measured in pairs.
        notes: what the reader must know: soft facts that differ, trials that were left out.
    """

    title: str
    base: str
    head: str
    comparisons: tuple[Comparison, ...]
    cases: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    controls: tuple[Control, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def control_failed(self) -> bool:
        """Whether identical code was seen to differ."""
        return any(control.failed for control in self.controls)

    def exit_codes(self, *, strict: bool = False) -> list[ExitCode]:
        """Every exit code that applies.

        Inconclusive alone is no failure; it is one if `strict`, if the control failed, or if fewer than half of the time
        cases could have seen twice their threshold: a gate that could not have seen anything must not be green.
        """
        codes = [_CODES[one.verdict] for one in self.comparisons if one.verdict in _CODES and not one.allowed]
        # a time of another machine was not judged at all, and is told as such
        timed = [one for one in self.comparisons if one.metric == TIME and one.verdict is not Verdict.NOT_COMPARABLE]
        blind = [one for one in timed if one.smallest is None or one.smallest > 2 * (one.threshold or 0.0)]
        unsure = strict and any(one.verdict is Verdict.INCONCLUSIVE for one in self.comparisons)
        if unsure or self.control_failed or 2 * len(blind) > len(timed):
            codes.append(ExitCode.INCONCLUSIVE)
        return list(dict.fromkeys(codes))


_CODES = {
    Verdict.REGRESSED: ExitCode.REGRESSED,
    Verdict.MISSING: ExitCode.INCOMPLETE,
    Verdict.NOT_COMPARABLE: ExitCode.NOT_COMPARABLE,
}


def worst_first(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """In the order of tables: by verdict, and within one the largest change first."""
    order = list(Verdict)
    return sorted(comparisons, key=lambda one: (order.index(one.verdict), -abs(one.change or 0.0), one.case_id))
