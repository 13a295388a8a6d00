"""Fakes that follow a script: a clock that returns scripted times, and a server that answers jobs without a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bench.jobs import Job, JobKind
from bench.observations import Epoch, Fit, Observation, Pass, Pilot, Preflight, Trial
from bench.records import Case, FitSettings, Machine, Measure, Outcome, PassKind, Plan, Run, Variant
from bench.sampling import Call


@dataclass
class FakeClock:
    """Every call takes the next scripted time; the last one is repeated."""

    script: Sequence[float]
    least_sample_s: float = 2e-3
    log: list[str] = field(default_factory=list)
    calls: int = 0

    def time(self, call: Call, iterations: int) -> float:
        total = 0.0
        for _ in range(iterations):
            call()
            total += self.script[min(self.calls, len(self.script) - 1)]
            self.calls += 1
        self.log.append(f"time x{iterations}")
        return total


def case(name: str = "lstm", *, workload: str = "inference", fit: FitSettings | None = None, **more: object) -> Case:
    settings = {
        "id": f"imdb/{name}/{workload}",
        "definition_hash": f"{name}-{workload}",
        "task": "imdb",
        "variant": Variant(architecture=name, label=name, hyperparameters={}),
        "workload": workload,
        "sequence_length": 64,
        "batch_size": 8,
        "precision": "fp32",
        "device": "cpu",
        "threads": 1,
        "fit": fit,
    }
    return Case(**(settings | more))  # type: ignore[arg-type]


def run_of(*cases: Case, measure: Measure | None = None, seeds: tuple[int, ...] = (0,), folds: int = 0) -> Run:
    plan = Plan(
        suite="made",
        cases=cases,
        seeds=seeds,
        folds={"imdb": folds} if folds else {},
        measure=measure or Measure(min_rounds=3, max_rounds=5, passes=(PassKind.MEMORY,)),
    )
    machine = Machine(name="a machine", hard={"cpu": "a"}, soft={})
    return Run(run_id="20260102T030405Z-made-abcdef", created="2026-01-02T03:04:05", plan=plan, machine=machine, seed=7)


@dataclass
class ScriptedServer:
    """Answers every job at once; `answer` may replace the usual answer. Counts servers and keeps the jobs in order."""

    answer: Callable[[Job], Sequence[Observation | str] | None] = lambda _: None
    jobs: list[Job] = field(default_factory=list)
    started: int = 0
    running: int = 0

    def __call__(self) -> ScriptedServer:
        return self

    def __enter__(self) -> ScriptedServer:
        self.started += 1
        self.running += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.running -= 1

    def run(self, job: Job) -> Iterator[Observation | str]:
        self.jobs.append(job)
        answers = self.answer(job)
        yield from usual(job) if answers is None else answers


def trial(job: Job, seconds: float = 0.002, **more: object) -> Trial:
    samples = tuple(seconds * (1 + 0.001 * place) for place in range(10))
    settings = {"case_id": job.case.id, "round": job.round, "outcome": Outcome.OK, "samples_s": samples}
    return Trial(**(settings | {"iterations": job.iterations, "items": 8, "wall_s": 0.5} | more))  # type: ignore[arg-type]


def usual(job: Job) -> list[Observation | str]:
    case_id = job.case.id
    match job.kind:
        case JobKind.PREFLIGHT:
            key = {"task_key": job.case.task_key, "variant_id": job.case.variant.variant_id}
            return [Preflight(**key, outcome=Outcome.OK, parameters=1000, weights_bytes=4000, wall_s=0.1)]
        case JobKind.PILOT:
            return [Pilot(case_id=case_id, outcome=Outcome.OK, iterations=4, samples=10, call_s=0.001, wall_s=0.5)]
        case JobKind.PASS:
            assert job.passing is not None
            values = {"peak_rss_bytes": 1e6} if job.passing is PassKind.MEMORY else {}
            return [Pass(case_id=case_id, name=job.passing, outcome=Outcome.OK, values=values, wall_s=0.1)]
        case JobKind.PROBE:
            return [job.ended(Outcome.OK if job.case.batch_size <= 100 else Outcome.OUT_OF_MEMORY, "", 0.1)]
        case JobKind.CEILING:
            return [job.ended(Outcome.OK, "", 0.1)]
        case JobKind.TRIAL:
            return [trial(job)]
        case JobKind.FIT:
            epoch = Epoch(
                case_id=case_id,
                seed=job.seed,
                fold=job.fold,
                learning_rate=0.001,
                epoch=1,
                train_loss=0.5,
                validation_loss=0.5,
                validation_score=0.8,
                seconds=2.0,
                items=100,
            )
            fit = Fit(
                case_id=case_id,
                seed=job.seed,
                fold=job.fold,
                outcome=Outcome.OK,
                metrics={"accuracy": 0.8, "test_loss": 0.5},
                correct=80,
                total=100,
                fit_s=2.0,
                wall_s=3.0,
            )
            return ["epoch 1: 50%", epoch, fit]
