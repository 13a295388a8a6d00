"""A judgement in words, alike for every output: its rows, the sentence that sums it up, and what a reader must know. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from bench.compare import EXACT
from bench.errors import ExitCode
from bench.quantity import METRICS, Unit, format_change, format_difference, format_exact, format_value
from bench.verdicts import TIME, Comparison, Control, Judgement, Reason, Verdict, worst_first

_BEYOND = frozenset({Reason.BEYOND_DRIFT, Reason.BEYOND_THRESHOLD, Reason.WITHIN_THRESHOLD, Reason.WIDE_INTERVAL})
ADVICE = {
    Reason.WIDE_INTERVAL: "measure it again on a quieter machine, or with more rounds or pairs",
    Reason.NOT_CONFIRMED: "measure it again if it matters",
    Reason.MEDIAN_DISAGREES: "look at its trials in the report of the run",
    Reason.REJECTION_MATTERS: "measure it again on a quiet machine",
    Reason.CONTROL_FAILED: "measure it again on a quiet machine",
    Reason.FEW_TRIALS: "give it more rounds or a larger budget",
    Reason.FEW_SEEDS: "name at least five seeds in [accuracy] of the suite",
    Reason.NOT_IN_HEAD: "measure it; if it is gone for good, save the baseline anew or set allow_missing in [gate]",
    Reason.NOT_IN_BASE: "if it is new, save the baseline anew or set allow_missing in [gate]",
    Reason.FAILED: "mend it, or leave the case out of the suite",
    Reason.NO_VALUE: "measure it again; if it is gone for good, save the baseline anew or ignore the metric in [gate]",
    Reason.OTHER_DEFINITION: "save the baseline anew, or rename the case",
    Reason.OTHER_MACHINE: "save a baseline on this machine",
}
"""What to do about a row, where something can be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison as text.

    Attributes:
        verdict: in words, with `(allowed)` where it fails no gate.
        case: in words.
        metric: its title; empty where the case as a whole is judged, as base, head and change are then.
        change: with its interval.
        why: the reason, with the threshold and the smallest effect that would have been seen.
        advice: what to do; empty where there is nothing.
        command: repeats the row; empty where none is known.
    """

    comparison: Comparison
    verdict: str
    case: str
    metric: str
    base: str
    head: str
    change: str
    why: str
    advice: str
    command: str


def rows(judgement: Judgement, *, every: bool = False) -> list[Row]:
    """What needs a look first, the largest change first; unchanged ones only if `every` is asked for."""
    chosen = [one for one in judgement.comparisons if every or one.verdict is not Verdict.UNCHANGED]
    return [row(judgement, one) for one in worst_first(chosen)]


def row(judgement: Judgement, one: Comparison) -> Row:
    """One comparison in words."""
    metric = METRICS.get(one.metric)
    base, head = _values(one, metric.unit if metric else Unit.NUMBER)
    return Row(
        comparison=one,
        verdict=f"{one.verdict.value} (allowed)" if one.allowed else one.verdict.value,
        case=_place(judgement, one.case_id),
        metric=metric.title if metric else one.metric,
        base=base,
        head=head,
        change="" if one.change is None else format_change(one.change, one.low, one.high, _score_unit(one)),
        why=_line("; ".join(_why(one))),
        advice="" if one.allowed else ADVICE.get(one.reason, ""),
        command=judgement.commands.get(one.case_id, ""),
    )


def _place(judgement: Judgement, case_id: str) -> str:
    return _line(judgement.cases.get(case_id, case_id))


def _line(text: str) -> str:
    """One line without what a terminal would obey: labels and errors are other people's words."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _score_unit(one: Comparison) -> Unit | None:
    """The unit of a score, whose change is a difference; None where it is relative."""
    if one.metric == TIME or one.metric in EXACT:
        return None
    metric = METRICS.get(one.metric)
    return metric.unit if metric else Unit.NUMBER


def _values(one: Comparison, unit: Unit) -> tuple[str, str]:
    if not one.metric or (one.base is None and one.head is None):
        return "", ""
    base, head = format_value(one.base, unit), format_value(one.head, unit)
    if base == head and one.base != one.head:
        # a gate without noise fails by a single parameter, which three digits do not show
        return format_exact(one.base, unit), format_exact(one.head, unit)
    return base, head


def _why(one: Comparison) -> Iterator[str]:
    yield one.words if one.threshold is None or one.reason not in _BEYOND else f"{one.words} ({_threshold(one)})"
    if one.p90 is not None:
        yield f"p90 {format_change(one.p90)}"
    if one.verdict is Verdict.INCONCLUSIVE and one.smallest is not None:
        yield f"would have seen >= {format_difference(one.smallest, _score_unit(one))}"


def _threshold(one: Comparison) -> str:
    return format_difference(one.threshold, _score_unit(one)) if one.threshold else "any change counts"


# ── the whole ──────────────────────────────────────────────────────────────────────────────────────────────────────


def summary(judgement: Judgement) -> str:
    """`1 regressed, 2 inconclusive, 17 unchanged; the control saw no difference`."""
    counts = Counter((one.verdict, one.allowed) for one in judgement.comparisons)
    found = [
        f"{count:,} {verdict.value}{' (allowed)' if allowed else ''}"
        for verdict in Verdict
        for allowed in (False, True)
        if (count := counts[verdict, allowed])
    ]
    return "; ".join(part for part in (", ".join(found) or "nothing was compared", _controls(judgement)) if part)


def _controls(judgement: Judgement) -> str:
    count, failed = len(judgement.controls), sum(control.failed for control in judgement.controls)
    if not count:
        return ""
    if failed:
        return "the control failed" if count == 1 else f"{failed} of {count} controls failed"
    return f"{'the control' if count == 1 else f'{count} controls'} saw no difference"


def remarks(judgement: Judgement) -> list[str]:
    """What a reader must know: what each control saw, whether the gate was blind, and the notes."""
    return [*(control_words(judgement, one) for one in judgement.controls), *blind_words(judgement), *judgement.notes]


def control_words(judgement: Judgement, control: Control) -> str:
    """What identical code was seen to differ by."""
    place = _place(judgement, control.case_id)
    if control.change is None or control.low is None or control.high is None:
        return f"control failed: {place}: too little was measured of identical code; look why its trials failed"
    seen = f"{place}: identical code differed by {format_change(control.change, control.low, control.high)}, at 99.9 %"
    if not control.failed:
        return f"control: {seen}"
    wrong = "so times cannot be believed" if control.low > 0 or control.high < 0 else "which is too wide to tell"
    return f"control failed: {seen}, {wrong}; measure again on a quiet machine"


def blind_words(judgement: Judgement) -> Iterator[str]:
    """A line, where so little could have been seen that green would mean nothing."""
    if ExitCode.INCONCLUSIVE in judgement.exit_codes() and not judgement.control_failed:
        yield (
            "fewer than half of the times could have been seen to change by twice their threshold; "
            "measure again on a quieter machine, or with more rounds or pairs"
        )
