"""Our times beside those of `torch.utils.benchmark`: same model and inputs, same process, taken in turns.

`python -m benchmarks.agreement [--threads N] [--device cuda]` prints for each case the median of both over five
repetitions and the ratio. On CUDA the other side is `triton.testing.do_bench`. Both sides call the very same
function: what differs is who warms up, who chooses how many calls make a sample, and who holds the clock.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from statistics import median

REPETITIONS = 5
# in each repetition the two sides take turns, a tenth of a second each: the machine changes within seconds
TURNS = 6
UNCOUNTED = 2
LEAST_SAMPLES = 4
WITHIN = 0.03
SHAPES: dict[str, tuple[tuple[int | None, int], ...]] = {
    "lstm": ((64, 8), (256, 32)),
    "gru": ((64, 8), (256, 32)),
    "textcnn": ((64, 8), (256, 32)),
    "transformer": ((64, 8), (256, 32)),
    "nbow": ((256, 64), (512, 256)),
    "mlp": ((None, 512), (None, 2048)),
}
WORKLOADS = ("inference", "training")


def main() -> None:
    """Every case in a process of its own; exit code 1 if one of them disagrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        one(asked.one, asked.threads, asked.device)
        return
    print(f"{'case':34} {'ours':>10} {'theirs':>10}  ratio (lowest to highest of {REPETITIONS})")
    failed = 0
    for name, shapes in SHAPES.items():
        for workload in WORKLOADS:
            for length, batch in shapes:
                command = [sys.executable, "-m", "benchmarks.agreement", "--threads", str(asked.threads)]
                command += ["--device", asked.device, "--one", name, workload, str(length), str(batch)]
                failed += subprocess.run(command, check=False, env=_environment(asked.threads)).returncode != 0
    print(f"{failed} of {sum(map(len, SHAPES.values())) * len(WORKLOADS)} cases differ by more than {WITHIN:.0%}")
    sys.exit(failed > 0)


def _environment(threads: int) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads)}


def one(described: list[str], threads: int, device: str) -> None:
    """One case: both sides in turns."""
    name, workload, length, batch = described
    import torch

    from bench.jobs import Job, JobKind
    from bench.probes import backends
    from bench.probes.clock import clock_for
    from bench.probes.priority import raise_priority
    from bench.records import Case, Measure, Variant
    from bench.sampling import calibrate, collect, samples_per_trial, warm_up
    from bench.subjects import measured

    case = Case(
        id=name,
        definition_hash=name,
        task="images" if name == "mlp" else "imdb",
        variant=Variant(architecture=name, label=name, hyperparameters={"hidden_dim": 512} if name == "mlp" else {}),
        workload=workload,
        sequence_length=None if length == "None" else int(length),
        batch_size=int(batch),
        precision="fp32",
        device=device,
        threads=threads,
    )
    backends.apply("fp32", threads)
    raise_priority()
    settings = Measure()
    _, step = measured(Job(kind=JobKind.TRIAL, case=case, measure=settings, seed=1))
    # as in our workers: a collection that looks at all of torch leaves cold caches behind
    gc.freeze()
    clock = clock_for(torch.device(device))
    warm = warm_up(clock, step.call, settings)
    iterations = calibrate(clock, step.call, warm.call_s, step.rotation)
    samples = samples_per_trial(iterations * warm.call_s, settings)

    def ours() -> list[float]:
        # the other side makes calls that it does not count, to choose its blocks: without them here too, ours would be the
        # first calls after a change of hands
        for _ in range(UNCOUNTED):
            step.call()
        return collect(clock, step.call, iterations, max(LEAST_SAMPLES, samples // TURNS))

    theirs = their_way(step.call, threads, device)
    pairs = []
    for _ in range(REPETITIONS):
        mine: list[float] = []
        others: list[float] = []
        for turn in range(TURNS):
            # each goes first every other time: what drifts hits both alike
            for taken, side in ((mine, ours), (others, theirs)) if turn % 2 else ((others, theirs), (mine, ours)):
                taken += side()
        pairs.append((median(mine), median(others)))
    ratios = sorted(mine / other for mine, other in pairs)
    ratio = median(ratios)
    mark = "" if abs(ratio - 1) <= WITHIN else "  <- differs"
    what = f"{name} {workload} " + (f"L{length} " if length != "None" else "") + f"B{batch}"
    times = [median(pair[side] for pair in pairs) * 1e3 for side in (0, 1)]
    print(
        f"{what:34} {times[0]:8.3f}ms {times[1]:8.3f}ms  {ratio:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}){mark}",
        flush=True,
    )
    sys.exit(bool(mark))


def their_way(call: Callable[[], object], threads: int, device: str) -> Callable[[], list[float]]:
    """Seconds of a call, block by block, as the tool measures them that people know on this device."""
    if device == "cpu":
        from torch.utils.benchmark import Timer

        timer = Timer("call()", globals={"call": call}, num_threads=threads)
        return lambda: timer.blocked_autorange(min_run_time=0.1).times
    from triton.testing import do_bench

    return lambda: [milliseconds * 1e-3 for milliseconds in do_bench(call, warmup=25, rep=100, return_mode="all")]


if __name__ == "__main__":
    main()
