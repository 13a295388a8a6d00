"""Variations of a made run: on another machine, on another day, slower, failed, half done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from made_run import MACHINE

from bench.observations import CaseResult, Trial, gather
from bench.records import Machine, Outcome, Run

Told = tuple[Run, list[CaseResult]]
OTHER = replace(MACHINE, name="Made Processor 9000, 16 cores", hard={**MACHINE.hard, "cpu_model": "9000", "cores": 16})
NEWER_TORCH = replace(MACHINE, hard={**MACHINE.hard, "torch": "2.14.0+cpu"})


def later(told: Told, *, day: int = 3, machine: Machine = MACHINE, commit: str | None = None) -> Told:
    """The same figures, on another day and machine."""
    run, results = told
    made = replace(
        run,
        created=f"2025-01-{day:02d}T03:04:05Z",
        run_id=f"202501{day:02d}T030405Z-{run.plan.suite}-{day:04d}",
        machine=machine,
        commit=commit or run.commit,
    )
    return made, results


def slower(told: Told, factors: Mapping[str, float]) -> Told:
    """Some labels slower by a factor."""
    run, results = told
    return run, [_slowed(result, factors.get(result.case.variant.label, 1.0)) for result in results]


def _slowed(result: CaseResult, factor: float) -> CaseResult:
    trials = (replace(trial, samples_s=tuple(sample * factor for sample in trial.samples_s)) for trial in result.trials)
    return replace(result, trials=tuple(trials))


def unsteady(told: Told, *labels: str) -> Told:
    """Some labels with trials that differ so much that no figure of theirs can be told from another."""
    run, results = told

    def shaken(result: CaseResult) -> CaseResult:
        if result.case.variant.label not in labels:
            return result
        factors = (0.02, 50.0, 0.5, 2.0, 1.0, 1.0, 1.0)
        trials = (
            replace(trial, samples_s=tuple(sample * factor for sample in trial.samples_s))
            for trial, factor in zip(result.trials, factors, strict=False)
        )
        return replace(result, trials=tuple(trials))

    return run, [shaken(result) for result in results]


def failed(told: Told) -> Told:
    """Every case timed, and none of them ended well; no fits."""
    run, results = told
    cases = [result.case for result in results if result.case.fit is None]
    plan = replace(run.plan, cases=tuple(cases))
    trials = [
        Trial(case_id=case.id, round=number, outcome=Outcome.FAILED, reason="made to fail <b>")
        for case in cases
        for number in range(2)
    ]
    return replace(run, plan=plan), gather(plan, trials)


def kept(told: Told, labels: Sequence[str]) -> Told:
    """Only these labels."""
    run, results = told
    found = [result for result in results if result.case.variant.label in labels]
    return replace(run, plan=replace(run.plan, cases=tuple(result.case for result in found))), found


def pending(told: Told, share: int = 2) -> Told:
    """The first half measured (or the first of `share` parts), the rest not yet."""
    run, results = told
    done = len(results) // share
    empty = gather(run.plan, [])
    return run, [*results[:done], *empty[done:]]
