"""What a judgement leaves behind for the shell, and the order in which it is told."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bench.cli.outcomes import worst
from bench.compare import compare
from bench.compare_times import Design, control
from bench.errors import ExitCode
from bench.records import Gate
from bench.verdicts import TIME, WORDS, Comparison, Control, Judgement, Reason, Verdict, worst_first
from tests.arms import around, pair

REASONS = {
    Verdict.REGRESSED: Reason.CONFIRMED,
    Verdict.MISSING: Reason.NOT_IN_HEAD,
    Verdict.NOT_COMPARABLE: Reason.OTHER_DEFINITION,
    Verdict.INCONCLUSIVE: Reason.WIDE_INTERVAL,
    Verdict.IMPROVED: Reason.CONFIRMED,
    Verdict.UNCHANGED: Reason.WITHIN_THRESHOLD,
}


def found(verdict: Verdict, metric: str = "parameters", **more: object) -> Comparison:
    settings = {"case_id": "a", "metric": metric, "verdict": verdict, "reason": REASONS[verdict]}
    return Comparison(**(settings | more))  # type: ignore[arg-type]


def timed(smallest: float | None, threshold: float | None = 0.03, verdict: Verdict = Verdict.UNCHANGED) -> Comparison:
    return found(verdict, TIME, smallest=smallest, threshold=threshold)


def judgement(*comparisons: Comparison, controls: Sequence[Control] = ()) -> Judgement:
    return Judgement(title="a", base="b", head="c", comparisons=comparisons, controls=tuple(controls))


@pytest.mark.parametrize(
    ("verdict", "codes"),
    [
        (Verdict.REGRESSED, [ExitCode.REGRESSED]),
        (Verdict.MISSING, [ExitCode.INCOMPLETE]),
        (Verdict.NOT_COMPARABLE, [ExitCode.NOT_COMPARABLE]),
        (Verdict.INCONCLUSIVE, []),
        (Verdict.IMPROVED, []),
        (Verdict.UNCHANGED, []),
    ],
)
def test_the_exit_code_of_each_verdict(verdict: Verdict, codes: list[ExitCode]) -> None:
    assert judgement(found(verdict)).exit_codes() == codes
    assert judgement(found(verdict, allowed=True)).exit_codes() == []


def test_nothing_to_tell_is_no_failure() -> None:
    assert judgement().exit_codes(strict=True) == []


def test_inconclusive_fails_a_strict_gate_alone() -> None:
    unsure = judgement(found(Verdict.INCONCLUSIVE), found(Verdict.UNCHANGED))
    assert unsure.exit_codes() == []
    assert unsure.exit_codes(strict=True) == [ExitCode.INCONCLUSIVE]
    assert judgement(found(Verdict.UNCHANGED)).exit_codes(strict=True) == []


def test_a_failed_control_fails_the_gate() -> None:
    good, bad = Control(case_id="a", failed=False), Control(case_id="b", failed=True)
    assert judgement(timed(0.04), controls=[good]).exit_codes() == []
    failed = judgement(timed(0.04), controls=[good, bad])
    assert failed.control_failed
    assert failed.exit_codes() == [ExitCode.INCONCLUSIVE]


@pytest.mark.parametrize(
    ("smallest", "blind"),
    [
        ([0.06], False),  # twice the threshold could just have been seen
        ([0.061], True),
        ([None], True),
        ([0.04, 0.2], False),  # half of them saw
        ([0.04, 0.2, 0.2], True),
        ([0.04, 0.04, None], False),
    ],
)
def test_a_gate_that_could_not_have_seen_anything_is_not_green(smallest: list[float | None], blind: bool) -> None:
    codes = judgement(*(timed(each) for each in smallest), found(Verdict.UNCHANGED)).exit_codes()
    assert codes == ([ExitCode.INCONCLUSIVE] if blind else [])


def test_a_case_that_was_not_timed_enough_to_have_a_threshold_is_blind() -> None:
    assert judgement(timed(None, None, Verdict.INCONCLUSIVE)).exit_codes() == [ExitCode.INCONCLUSIVE]


def test_a_time_of_another_machine_was_not_looked_at_and_so_not_blindly() -> None:
    elsewhere = timed(None, None, Verdict.NOT_COMPARABLE)
    assert judgement(elsewhere, timed(0.04)).exit_codes() == [ExitCode.NOT_COMPARABLE]


def test_of_several_codes_the_gravest_is_left_with() -> None:
    every = judgement(
        timed(0.5, verdict=Verdict.INCONCLUSIVE),
        *(found(verdict) for verdict in (Verdict.NOT_COMPARABLE, Verdict.MISSING, Verdict.REGRESSED)),
    ).exit_codes()
    assert set(every) == {
        ExitCode.REGRESSED,
        ExitCode.INCOMPLETE,
        ExitCode.NOT_COMPARABLE,
        ExitCode.INCONCLUSIVE,
    }
    graver = [ExitCode.REGRESSED, ExitCode.INCOMPLETE, ExitCode.NOT_COMPARABLE, ExitCode.INCONCLUSIVE]
    for code in graver:
        assert worst(every) is code
        every.remove(code)
    assert worst(every) is ExitCode.OK


def test_each_code_is_told_once() -> None:
    assert judgement(*[found(Verdict.REGRESSED)] * 3).exit_codes() == [ExitCode.REGRESSED]


def test_what_needs_a_look_comes_first_and_of_those_the_largest_change() -> None:
    small, large = found(Verdict.REGRESSED, change=0.05), found(Verdict.REGRESSED, change=-0.5, case_id="z")
    others = [found(verdict) for verdict in Verdict if verdict is not Verdict.REGRESSED]
    assert worst_first([*reversed(others), small, large]) == [large, small, *others]


def test_every_reason_has_words_and_a_detail_follows_them() -> None:
    assert set(WORDS) == set(Reason)
    assert len(set(WORDS.values())) == len(Reason)
    assert found(Verdict.MISSING).words == WORDS[Reason.NOT_IN_HEAD]
    assert found(Verdict.MISSING, detail="it was skipped").words == f"{WORDS[Reason.NOT_IN_HEAD]}: it was skipped"


def test_a_control_that_is_made_to_fail_turns_red_into_inconclusive_and_exit_3() -> None:
    base, head = pair(around(0.2), again=around(0.2))
    for slot, expected in ((around(0.0), [ExitCode.REGRESSED]), (around(0.05), [ExitCode.INCONCLUSIVE])):
        seen = control(*pair(slot), Gate())
        design = Design(paired=True, confirms=True, control_failed=seen.failed)
        found = compare([base], [head], Gate(), design)
        assert judgement(*found, controls=[seen]).exit_codes() == expected
