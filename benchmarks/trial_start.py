"""From launch to the first call of a small model: a child forked by the measuring server, beside a spawned process.

    python benchmarks/trial_start.py [TRIALS]

Prints medians and p95 in seconds of both, taken in turn on the same machine.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from statistics import median, quantiles

from bench.executors.local import Server
from bench.jobs import Job, JobKind
from bench.observations import Trial
from bench.records import Case, Measure, Variant

CASE = Case(
    id="tabular/mlp/inference",
    definition_hash="",
    task="tabular",
    variant=Variant(architecture="mlp", label="mlp", hyperparameters={}),
    workload="inference",
    batch_size=32,
    precision="fp32",
    device="cpu",
    threads=1,
)
JOB = Job(kind=JobKind.TRIAL, case=CASE, measure=Measure(warmup_s=0, warmup_calls=1), iterations=1, samples=10)


def spawned(launched: float, answers: multiprocessing.SimpleQueue) -> None:  # type: ignore[type-arg]
    """What a process of `multiprocessing`'s spawn method does before its first call: import torch, build, make inputs."""
    from bench.subjects import build_subject

    subject = build_subject(JOB, seed=0)
    elapsed = time.monotonic() - launched
    subject.model(subject.batches[0].inputs)
    answers.put(elapsed)


def main(trials: int) -> None:
    """Alternate the two and print both."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    forked_s, spawned_s = [], []
    with Server() as server:
        for place in range(trials):
            (trial,) = server.run(JOB)
            assert isinstance(trial, Trial)
            assert trial.start_s is not None, trial.reason
            forked_s.append(trial.start_s)
            # a spawned process takes seconds: a fifth as many is enough
            if place % 5 == 0:
                process = context.Process(target=spawned, args=(time.monotonic(), answers))
                process.start()
                spawned_s.append(answers.get())
                process.join()
    for name, seconds in (("forked by the server", forked_s), ("spawned", spawned_s)):
        print(f"{name:22} n={len(seconds):3}  median {median(seconds):.4f} s  p95 {quantiles(seconds, n=20)[-1]:.4f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
