"""Which cases a round holds when time is short, and when a case needs no further trial."""

from __future__ import annotations

from scripted import case

from bench.observations import CaseResult, Pilot, Trial
from bench.progress import SERVER_S
from bench.records import Measure, Outcome
from bench.rounds import affordable, criterion

PILOT = Pilot(case_id="c", outcome=Outcome.OK, iterations=1, samples=10, wall_s=1.0)


def timed(name: str, *seconds: float, outcome: Outcome = Outcome.OK, wall_s: float = 1.0) -> CaseResult:
    trials = tuple(
        Trial(case_id=name, round=place, outcome=outcome, samples_s=(one,) * 3, wall_s=wall_s)
        for place, one in enumerate(seconds, 1)
    )
    return CaseResult(case=case(name), pilots=(PILOT,), trials=trials)


NARROW = timed("narrow", 0.100, 0.101)
WIDE = timed("wide", 0.100, 0.150)
WIDER = timed("wider", 0.100, 0.300)
NEW = timed("new")


def names(chosen: list[CaseResult]) -> list[str]:
    return [result.case.variant.label for result in chosen]


def test_without_a_budget_every_case_is_in_the_round() -> None:
    assert names(affordable([NARROW, WIDE, NEW], None)) == ["narrow", "wide", "new"]


def test_a_short_budget_goes_to_the_widest_intervals() -> None:
    every = [NARROW, WIDE, WIDER, NEW]
    assert names(affordable(every, SERVER_S + 10)) == ["new", "wider", "wide", "narrow"]
    assert names(affordable(every, SERVER_S + 2.5)) == ["new", "wider"]
    assert names(affordable(every, 0.1)) == ["new"]


def test_a_slow_case_that_does_not_fit_keeps_no_narrow_one_from_its_turn_first() -> None:
    slow = timed("slow", 0.100, 0.500, wall_s=60.0)
    assert names(affordable([WIDE, slow], SERVER_S + 30)) == ["slow"]


def test_a_case_ends_by_precision_by_its_cap_or_by_failing() -> None:
    measure = Measure(min_rounds=2, max_rounds=3)
    assert criterion(timed("a", 0.1, 0.1), measure) == "precision of 2.0% reached"
    assert criterion(WIDE, measure) is None
    assert criterion(timed("a", 0.1, 0.2, 0.4), measure) == "cap of 3 trials"
    assert criterion(timed("a", 0.1, 0.1, outcome=Outcome.TIMED_OUT), measure) == "failed twice alike: timed_out"
    assert criterion(CaseResult(case=case()), measure) == "no pilot"


def test_trials_that_fail_in_turns_end_too() -> None:
    kinds = [Outcome.FAILED, Outcome.TIMED_OUT]
    trials = tuple(Trial(case_id="c", round=place, outcome=kinds[place % 2]) for place in range(9))
    result = CaseResult(case=case(), pilots=(PILOT,), trials=trials)
    assert criterion(result, Measure(min_rounds=2, max_rounds=3)) == "9 of 9 trials failed"
