"""Stored runs for tests of what is judged: made observations in real run folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from scripted import case, run_of

from bench import store
from bench.codec import digest
from bench.observations import End, Epoch, Fit, Observation, Pass, Pilot, Preflight, Trial
from bench.records import Case, FitSettings, Machine, Outcome, PassKind
from bench.store import RunFolder

MACHINE = Machine(
    name="Made Processor 3000, 2 cores",
    hard={"cpu": "Made Processor 3000", "cores": 2, "gpus": [], "torch": "2.13.0", "torch_build": "abc"},
    soft={"python": "3.11"},
    state={"load_average": [0.5]},
)
OTHER_TORCH = replace(MACHINE, hard={**MACHINE.hard, "torch": "2.12.0", "torch_build": "def"})
FIT = FitSettings(epochs=1, batch_size=8)


def speed(name: str = "lstm") -> Case:
    return case(name, definition_hash=digest(name))


def trained(name: str = "lstm") -> Case:
    return case(name, workload="fit", fit=FIT, definition_hash=digest(f"{name}-fit"))


def observed(
    of: Case,
    *,
    seconds: float = 0.002,
    trials: int = 5,
    confirming: int = 0,
    parameters: int = 1000,
    memory: float = 4e7,
    operators: float = 40.0,
    scores: Sequence[float] = (0.8, 0.81, 0.79, 0.8, 0.805),
    seeds: int = 0,
) -> list[Observation]:
    """All that a run says of a case that went well; `seeds` is the first one of its fits."""
    key = {"task_key": of.task_key, "variant_id": of.variant.variant_id}
    checked = Preflight(**key, outcome=Outcome.OK, parameters=parameters, weights_bytes=4 * parameters)
    if of.fit is not None:
        fits: list[Observation] = []
        for seed, score in enumerate(scores, seeds):
            epoch = {"learning_rate": 0.001, "epoch": 1, "train_loss": 0.5, "validation_loss": 0.5, "seconds": 1.0}
            fits.append(
                Epoch(case_id=of.id, seed=seed, fold=None, validation_score=score, items=100, **epoch)  # type: ignore[arg-type]
            )
            fits.append(
                Fit(
                    case_id=of.id,
                    seed=seed,
                    fold=None,
                    outcome=Outcome.OK,
                    metrics={"accuracy": score},
                    correct=round(100 * score),
                    total=100,
                    predictions=(0, 1) * 50,
                    confusion=((1, 2), (3, 4)),
                )
            )
        return [checked, *fits]
    return [
        checked,
        Pilot(case_id=of.id, outcome=Outcome.OK, iterations=7, samples=11, call_s=seconds),
        _pass(of, PassKind.MEMORY, {"peak_rss_bytes": memory, "gradients_bytes": 4.0 * parameters}),
        _pass(of, PassKind.COST, {"flops_per_item": 123_456_789.0, "operator_count": operators}),
        Pass(case_id=of.id, name=PassKind.TAILS, outcome=Outcome.OK, samples_s={"call": (0.1,) * 1000}),
        *(_trial(of, seconds, number, number > trials) for number in range(1, trials + confirming + 1)),
    ]


def _pass(of: Case, kind: PassKind, values: Mapping[str, float | None]) -> Pass:
    return Pass(case_id=of.id, name=kind, outcome=Outcome.OK, values=values)


def _trial(of: Case, seconds: float, number: int, confirming: bool) -> Trial:
    # trials differ by a thousandth, and so do their samples
    samples = tuple(seconds * (1 + 0.001 * ((7 * number + place) % 5)) for place in range(10))
    return Trial(
        case_id=of.id,
        round=number,
        outcome=Outcome.OK,
        samples_s=samples,
        iterations=7,
        items=8,
        confirming=confirming,
        evidence={"wall_s": 0.123456789, "cpu_s": 0.123456789},
    )


def stored(
    results: Path,
    observations: Iterable[Observation],
    *cases: Case,
    name: str = "20260102T030405Z-made-abcdef",
    machine: Machine = MACHINE,
    ended: bool = True,
    **more: object,
) -> RunFolder:
    """A run folder below `results`, with these observations and its end."""
    run = replace(run_of(*cases, seeds=(0, 1, 2, 3, 4)), run_id=name, machine=machine, **more)  # type: ignore[arg-type]
    folder = store.create(results, run)
    for one in observations:
        folder.append(one)
    if ended:
        folder.append(End(finished="2026-01-02T04:00:00+00:00", wall_s=1.0))
    folder.close()
    return store.open_run(folder.path)
