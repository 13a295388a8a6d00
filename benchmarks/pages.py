"""How long a page takes to make, how much memory, and how large it is, for made runs of 100 to 10,000 cases.

Each run is made and told in a process of its own; seconds are of making the page alone, with the libraries it loads, and
CPU seconds beside them say whether the machine was busy otherwise.
"""

from __future__ import annotations

import json
import math
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.observations import (
    CaseResult,
    Ceiling,
    Epoch,
    Fit,
    Observation,
    Pass,
    Pilot,
    Preflight,
    Stopped,
    Trial,
    gather,
)
from bench.records import Case, FitSettings, Machine, Measure, OperatingPoint, Outcome, PassKind, Plan, Run, Variant

SAMPLES, TRIALS, EPOCHS, SEEDS = 20, 5, 5, (0, 1, 2)
PARAMETERS = 1_300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many of each a made run has; the product of all but the fits is the number of its speed cases."""

    tasks: int = 1
    variants: int
    lengths: int
    batches: int
    workloads: int = 2
    precisions: int = 1
    threads: int = 1


SIZES = (
    Size(variants=5, lengths=5, batches=2),
    Size(variants=10, lengths=5, batches=2),
    Size(variants=20, lengths=5, batches=5),
    Size(variants=20, lengths=5, batches=5, precisions=2, threads=5),
    Size(variants=20, lengths=5, batches=5, tasks=5, precisions=2),
)


def made(size: Size) -> tuple[Run, list[CaseResult]]:
    """A run of that size: laws of speed and memory with a little luck, and some of every outcome."""
    variants = [
        Variant(architecture=f"arch{number}", label=f"arch{number}", hyperparameters={})
        for number in range(size.variants)
    ]
    cases = [
        _case(f"task{task}", variant, workload, 64 * 2**length, 4**batch, precision, 2**thread)
        for task in range(size.tasks)
        for workload in ("inference", "training")[: size.workloads]
        for precision in ("fp32", "bf16")[: size.precisions]
        for thread in range(size.threads)
        for length in range(size.lengths)
        for batch in range(size.batches)
        for variant in variants
    ]
    fit = FitSettings(epochs=EPOCHS, batch_size=32, target=0.8)
    cases += [
        _case(f"task{task}", variant, "fit", 256, 32, "fp32", 1, fit)
        for task in range(size.tasks)
        for variant in variants
    ]
    plan = Plan(
        suite="made",
        description="A made run.",
        cases=tuple(cases),
        seeds=SEEDS,
        measure=Measure(),
        operating_point=OperatingPoint(sequence_length=256, batch_size=16),
    )
    machine = Machine(name="Made Processor", hard={"cpu": "Made Processor", "memory_gib": 4, "gpus": []}, soft={})
    run = Run(run_id="made", created="2025-01-02T03:04:05Z", plan=plan, machine=machine, seed=7)
    return run, gather(plan, _observe(plan))


def _case(
    task: str,
    variant: Variant,
    workload: str,
    length: int,
    batch: int,
    precision: str,
    threads: int,
    fit: FitSettings | None = None,
) -> Case:
    name = f"{task}/{variant.label}/{workload}/L{length}/B{batch}/{precision}/T{threads}"
    return Case(
        id=name,
        definition_hash=name,
        task=task,
        variant=variant,
        workload=workload,
        sequence_length=length,
        batch_size=batch,
        precision=precision,
        device="cpu",
        threads=threads,
        fit=fit,
    )


def _observe(plan: Plan) -> Iterator[Observation]:
    for key in {(case.precision, case.threads) for case in plan.cases}:
        yield Ceiling(
            device="cpu", precision=key[0], threads=key[1], outcome=Outcome.OK, flops_per_s=1.5e11, bytes_per_s=1.1e10
        )
    for key, variant in {(case.task_key, case.variant.variant_id) for case in plan.cases}:
        yield Preflight(
            task_key=key, variant_id=variant, outcome=Outcome.OK, parameters=PARAMETERS, weights_bytes=4 * PARAMETERS
        )
    for case in plan.cases:
        yield from _fits(case) if case.fit else _speed(case)


def _speed(case: Case) -> Iterator[Observation]:
    number, length, batch = int(case.variant.label.removeprefix("arch")), case.sequence_length or 1, case.batch_size
    draw = random.Random(case.id)
    slowness = (1 + number) * (3 if case.workload == "training" else 1) / case.threads**0.5
    latency = slowness * 1e-7 * length ** (1.5 if number % 3 == 0 else 1) * batch**0.9
    peak = 2**20 * (4 + (number % 3 == 0) * length**2 * batch / 2**14 + length * batch / 2**10)
    if peak > 2**32:
        for attempt in range(2):
            yield Trial(case_id=case.id, round=attempt, outcome=Outcome.OUT_OF_MEMORY, reason="asked for 4.1 GiB")
        return
    yield Pilot(case_id=case.id, outcome=Outcome.OK, iterations=4)
    evidence = {"wall_s": 0.5, "cpu_s": 0.98, "foreign_cpu_s": 0.01, "steal_s": 0.0, "involuntary_switches": 3.0}
    for trial in range(TRIALS):
        luck = math.exp(draw.gauss(0, 0.02))
        yield Trial(
            case_id=case.id,
            round=trial,
            outcome=Outcome.OK,
            samples_s=tuple(latency * luck * math.exp(abs(draw.gauss(0, 0.02))) for _ in range(SAMPLES)),
            iterations=4,
            items=batch,
            tokens=batch * length,
            real_tokens=batch * length,
            first_call_s=9 * latency,
            steady=True,
            warmup_s=0.2,
            warmup_calls=24,
            evidence=evidence,
        )
    values: dict[str, float | None] = {"peak_rss_bytes": peak, "weights_bytes": 4.0 * PARAMETERS}
    yield Pass(case_id=case.id, name=PassKind.MEMORY, outcome=Outcome.OK, values=values)
    flops = latency * 1e10 / batch
    values = {"flops_per_item": flops, "traffic_bytes_per_item": flops / (1 + number), "operator_count": 40.0}
    yield Pass(case_id=case.id, name=PassKind.COST, outcome=Outcome.OK, values=values)
    yield Stopped(case_id=case.id, criterion="precision of 2.0% reached")


def _fits(case: Case) -> Iterator[Observation]:
    number = int(case.variant.label.removeprefix("arch"))
    for seed in SEEDS:
        share = round(0.7 + 0.2 * (number * 7 % 20) / 20 + random.Random(f"{case.id}{seed}").gauss(0, 0.01), 4)
        for epoch in range(1, EPOCHS + 1):
            yield Epoch(
                case_id=case.id,
                seed=seed,
                fold=None,
                learning_rate=1e-3,
                epoch=epoch,
                train_loss=0.7 / epoch,
                validation_loss=0.6 / epoch + 0.1,
                validation_score=0.5 + (share - 0.5) * (1 - 0.35**epoch),
                seconds=1.0 + number,
                items=17_500,
            )
        yield Fit(
            case_id=case.id,
            seed=seed,
            fold=None,
            outcome=Outcome.OK,
            metrics={"accuracy": share, "test_loss": 0.35},
            correct=round(5000 * share),
            total=5000,
            best_epoch=EPOCHS,
            learning_rate=1e-3,
            fit_s=EPOCHS * (1.0 + number),
        )


def told(place: int) -> dict[str, float]:
    """Make the run of that place in `SIZES` and its page: what it took."""
    run = made(SIZES[place])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.perf_counter(), time.process_time()
    from bench.report import render

    page = render([run])
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    return {
        "tasks": SIZES[place].tasks,
        "cases": len(run[1]),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "run_mib": before / 1024,
        "bytes": len(page.encode()),
        "panels": page.count('role="img"'),
    }


def main() -> None:
    """Print a line for each size, or for those named by their places in `SIZES`."""
    print("tasks   cases  seconds  CPU s  peak MiB  of it run     bytes  panels")
    for place in map(int, sys.argv[1:]) if sys.argv[1:] else range(len(SIZES)):
        command = [sys.executable, __file__, "told", str(place)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"{row['tasks']:5} {row['cases']:7,} {row['seconds']:8.1f} {row['cpu_seconds']:6.1f} {row['peak_mib']:9.0f} "
            f"{row['run_mib']:10.0f} {row['bytes']:9,} {row['panels']:7}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["told"]:
        print(json.dumps(told(int(sys.argv[2]))))
    else:
        main()
