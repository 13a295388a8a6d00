"""What outside evidence says against a trial, on both sides of every line; and that nothing else is ever held against it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scripted import case

from bench.estimates import estimates, flags, latency_of_all, rejection_matters
from bench.observations import CaseResult, Trial
from bench.records import Measure, Outcome
from bench.trust import Disturbance, conditions, disturbance, undisturbed, used_trials

CALM = {
    "wall_s": 0.5,
    "cpu_s": 0.499,
    "involuntary_switches": 2.0,
    "steal_s": 0.0,
    "foreign_cpu_s": 0.01,
    "processors": 2.0,
    "nice": -20.0,
}


def trial(number: int = 1, seconds: float = 0.002, **evidence: float) -> Trial:
    seen = CALM | evidence
    samples = (seconds,) * 10
    return Trial(case_id="c", round=number, outcome=Outcome.OK, samples_s=samples, items=8, evidence=seen, steady=True)


@pytest.mark.parametrize(
    ("threads", "evidence", "found"),
    [
        (1, {}, None),
        (1, {"involuntary_switches": 20.0}, None),
        (1, {"involuntary_switches": 21.0}, Disturbance.SWITCHES),
        (2, {"involuntary_switches": 80.0}, None),  # its threads may have taken turns with each other
        (1, {"cpu_s": 0.486}, None),
        (1, {"cpu_s": 0.485}, Disturbance.WAITING),
        (2, {"cpu_s": 0.2}, None),  # several threads wait for each other: that is no evidence
        (1, {"steal_s": 0.01}, None),  # one tick may be chance
        (1, {"steal_s": 0.02}, Disturbance.STEAL),
        (1, {"steal_s": 0.02, "wall_s": 5.0, "cpu_s": 5.0}, None),
        (1, {"foreign_cpu_s": 0.5}, None),  # a whole processor was free for others
        (2, {"foreign_cpu_s": 0.04}, None),
        (2, {"foreign_cpu_s": 0.06}, Disturbance.FOREIGN),
        (2, {"foreign_cpu_s": 0.5, "processors": 64.0}, None),
    ],
)
def test_each_rule_has_a_line_and_two_sides(
    threads: int, evidence: dict[str, float], found: Disturbance | None
) -> None:
    assert disturbance(trial(**evidence), case(threads=threads)) == found


@pytest.mark.parametrize(
    ("evidence", "found"),
    [
        ({"sm_clock_mhz": 1500.0, "sm_clock_max_mhz": 1980.0}, None),
        ({"sm_clock_mhz": 1400.0, "sm_clock_max_mhz": 1980.0}, Disturbance.CLOCK),
        ({"clock_event_reasons": float(0x4)}, None),  # the power cap is how the device is sold
        ({"clock_event_reasons": float(0x40)}, Disturbance.THROTTLED),
        ({"involuntary_switches": 900.0, "cpu_s": 0.1}, None),
    ],
)
def test_a_gpu_is_judged_by_its_clocks(evidence: dict[str, float], found: Disturbance | None) -> None:
    assert disturbance(trial(**evidence), case(device="cuda")) == found


def test_times_are_never_evidence() -> None:
    slow = replace(trial(), samples_s=(0.002, 0.9, 0.002, 5.0))
    assert disturbance(slow, case()) is None
    assert disturbance(replace(trial(), evidence={}), case()) is None


def result(*trials: Trial) -> CaseResult:
    return CaseResult(case=case(), trials=trials)


def test_disturbed_trials_are_left_out_but_kept() -> None:
    found = result(trial(1), trial(2), trial(3, 0.004, involuntary_switches=300.0))
    assert [one.round for one in used_trials(found)] == [1, 2]
    assert estimates(found)["latency_s"].value == pytest.approx(0.002)
    every = latency_of_all(found)
    assert every is not None
    assert every.high is not None
    assert every.high > 0.003
    seen = conditions(found)
    assert (seen.taken, seen.used, seen.thrown_away) == (3, 2, {Disturbance.SWITCHES: 1})


def test_never_ends_with_none() -> None:
    found = result(trial(1, involuntary_switches=300.0), trial(2, involuntary_switches=300.0))
    assert len(used_trials(found)) == 2
    assert undisturbed(found) == []
    assert "disturbed: every one of 2 trials" in flags(found, Measure())
    assert conditions(found).thrown_away == {Disturbance.SWITCHES: 2}


def test_a_rejection_that_moves_the_figure_is_said() -> None:
    calm = [trial(number, 0.002) for number in range(2)]
    disturbed = [trial(number, 0.003, cpu_s=0.3) for number in range(2, 6)]
    assert rejection_matters(result(*calm, *disturbed))
    assert "rejection_matters" in flags(result(*calm, *disturbed), Measure())
    assert not rejection_matters(result(*calm, *[replace(one, samples_s=(0.00205,)) for one in disturbed]))


def test_conditions_are_means_over_the_good_trials() -> None:
    failed = Trial(case_id="c", round=9, outcome=Outcome.FAILED)
    seen = conditions(result(trial(1, foreign_cpu_s=0.1), trial(2, foreign_cpu_s=0.3, nice=0.0), failed))
    assert seen.foreign_processors == pytest.approx(0.4)
    assert seen.switches_per_s == pytest.approx(4.0)
    assert (seen.nice, seen.not_steady, seen.clock_share) == (0, 0, None)
    nothing = conditions(result())
    assert (nothing.taken, nothing.foreign_processors, nothing.nice) == (0, None, None)
