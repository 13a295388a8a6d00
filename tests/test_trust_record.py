"""The trust record of every case, and the command that measures it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from made_run import made_quick_run, made_run
from scripted import case, run_of

from bench.observations import CaseResult, Trial
from bench.plan import _kept
from bench.records import LengthDistribution, Outcome, Run
from bench.report import FORMATS
from bench.trust import Disturbance
from bench.trust_record import left_out, repeat_command, trust_record

LSTM = case()


def _result(*seconds: float, disturbed: tuple[int, ...] = ()) -> CaseResult:
    """A case with a trial of each of these latencies; some saw far too many context switches."""
    trials = tuple(
        Trial(
            case_id=LSTM.id,
            round=number,
            outcome=Outcome.OK,
            samples_s=(latency,) * 10,
            evidence={"wall_s": 0.5, "cpu_s": 0.5, "involuntary_switches": 100.0 if number in disturbed else 1.0},
        )
        for number, latency in enumerate(seconds)
    )
    return CaseResult(case=LSTM, trials=trials, criterion="cap of 5 trials")


def test_both_latencies_are_kept_and_what_was_left_out_is_counted() -> None:
    record = trust_record(run_of(LSTM), _result(0.010, 0.010, 0.020, 0.020, disturbed=(2, 3)))
    assert record.latency_s is not None
    assert record.latency_of_all_s is not None
    assert record.latency_s.value == pytest.approx(0.010)
    assert record.latency_of_all_s.value == pytest.approx(0.015)
    assert record.rejection_matters
    assert "rejection_matters" in record.flags
    assert (record.conditions.used, record.conditions.taken) == (2, 4)
    assert record.left_out == {Disturbance.SWITCHES: 2}
    assert record.stopped_by == "cap of 5 trials"


def test_where_every_trial_was_disturbed_none_is_left_out_and_that_is_said() -> None:
    record = trust_record(run_of(LSTM), _result(0.010, 0.011, disturbed=(0, 1)))
    assert (record.conditions.used, record.conditions.taken) == (2, 2)
    assert record.conditions.thrown_away == {Disturbance.SWITCHES: 2}
    assert record.left_out == {}
    assert record.flags[0] == "disturbed: every one of 2 trials"


def test_left_out_trials_are_counted_over_cases() -> None:
    some = trust_record(run_of(LSTM), _result(0.010, 0.010, 0.010, disturbed=(2,)))
    every = trust_record(run_of(LSTM), _result(0.010, 0.010, disturbed=(0, 1)))
    assert left_out([some, some, every]) == ({Disturbance.SWITCHES: 2}, 8)


@pytest.mark.parametrize("made", [made_run, made_quick_run])
def test_whatever_is_unknown_has_a_reason_and_nothing_else_has(
    made: Callable[[], tuple[Run, list[CaseResult]]],
) -> None:
    run, results = made()
    for result in results:
        record = trust_record(run, result)
        unknown = {
            f"conditions.{entry.name}"
            for entry in fields(record.conditions)
            if getattr(record.conditions, entry.name) is None
        }
        unknown |= {entry.name for entry in fields(record) if getattr(record, entry.name) is None} - {"outcome"}
        assert set(record.unknown) == unknown
        assert all(record.unknown.values())


def test_a_case_that_is_trained_tells_its_fits() -> None:
    run, results = made_run(("rnn",))
    record = trust_record(run, results[-1])
    assert (record.fits_used, record.fits_taken) == (2, 3)
    assert record.flags == ("diverged: 1 of 3 fits",)
    assert record.unknown["latency_s"] == "this case is trained to accuracy, not timed"


def test_backends_are_those_that_workers_are_given() -> None:
    from bench.probes.backends import SETTINGS

    run, results = made_run(("lstm",))
    assert set(trust_record(run, results[0]).backends) == set(SETTINGS)


def test_json_is_an_array_of_one_object_a_case_with_the_case_first() -> None:
    def refuse(found: str) -> None:
        raise AssertionError(found)

    runs = [made_run(), made_quick_run()]
    objects = json.loads(str(FORMATS["trust"](runs)), parse_constant=refuse)
    assert [one["case"] for one in objects] == [case.id for run, _ in runs for case in run.plan.cases]
    assert {next(iter(one)) for one in objects} == {"case"}
    (disturbed,) = (one for one in objects if one["case"] == "imdb/gru/inference/L512/B1")
    assert disturbed["conditions"]["thrown_away"] == {"foreign_cpu": 1}
    assert (disturbed["conditions"]["used"], disturbed["conditions"]["taken"]) == (5, 6)
    assert disturbed["conditions"]["foreign_processors"] == pytest.approx(0.15)
    assert disturbed["threads"] == 2
    assert disturbed["command"] == "bench run sentiment --filter imdb/gru/inference/L512/B1"
    pending = [one for one in objects if one["outcome"] is None]
    assert [one["reason"] for one in pending] == ["not measured yet"]


@pytest.mark.parametrize(
    ("command", "again"),
    [
        ("bench run", "bench run"),
        ("bench run mine.toml --budget 2m", "bench run mine.toml --budget 2m"),
        ("bench run --filter '*/gru/*' mine.toml", "bench run mine.toml"),
        ("bench run --filter='a b' mine.toml", "bench run mine.toml"),
        ("bench run mine.toml --resume", "bench run mine.toml"),
        ("bench run --resume 2026 --seed 3", "bench run --seed 3"),
        ("bench run --resume=latest --seed 3", "bench run --seed 3"),
        ("bench run --resume --seed 3", "bench run --seed 3"),
        ("bench run --set 'measure.budget=\"2m\"'", "bench run --set 'measure.budget=\"2m\"'"),
        ("bench run '~/my suites/a.toml' --data ~/data", "bench run ~/'my suites/a.toml' --data ~/data"),
    ],
)
def test_the_command_stays_but_for_its_filter_and_resume(command: str, again: str) -> None:
    assert repeat_command(command, LSTM) == f"{again} --filter imdb/lstm/inference"


def test_a_run_that_tells_no_command_cannot_be_repeated() -> None:
    record = trust_record(run_of(LSTM), _result(0.01))
    assert record.command is None
    assert record.unknown["command"] == "the run does not say how it was started"


def test_the_command_measures_exactly_that_case() -> None:
    fixed = case(id="imdb/a/inference/L64-B1-fp32-cpu-t2")
    more = [replace(fixed, id=f"{fixed.id}{end}") for end in ("-uniform", "4")]
    more[0] = replace(more[0], length_distribution=LengthDistribution.UNIFORM)
    plans = [run_of(fixed, *more).plan, made_run()[0].plan]
    for plan in plans:
        for one in plan.cases:
            words = shlex.split(repeat_command("bench run", one) or "")
            assert _kept(plan.cases, words[-1]) == (one,)
