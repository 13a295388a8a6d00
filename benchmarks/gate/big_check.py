"""How long `bench check --run` takes over 10,000 cases, in all and by parts: a made run against a made baseline.

Each case has a variant of its own, five trials of ten samples with their evidence, a pilot, a pre-flight and a memory pass. The
whole is the command in a process of its own, from its start to its exit code; it may load neither torch nor pandas.

    python -m benchmarks.gate.big_check [CASES]
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import baseline, store
from bench.codec import digest
from bench.observations import End, Observation, Pass, Pilot, Preflight, Trial
from bench.records import Case, Machine, Measure, Outcome, PassKind, Plan, Run, Variant

CASES = 10_000
TRIALS = 5
SAMPLES = 10
REPEATS = 5
HEAVY = ("torch", "pandas")
MACHINE = Machine(
    name="Made Processor 3000, 2 cores",
    hard={"cpu": "Made Processor 3000", "cores": 2, "os": "linux", "torch": "2.13.0"},
    soft={"python": "3.11", "kernel": "6.1"},
)


def case_of(place: int) -> Case:
    """One of many cases, each with a variant of its own."""
    hyperparameters = {"embedding_dim": 128, "hidden_dim": 16 + place, "num_layers": 2, "dropout": 0.1}
    variant = Variant(architecture="lstm", label=f"LSTM {16 + place}", hyperparameters=hyperparameters)
    return Case(
        id=f"imdb/lstm-{16 + place}/inference/L256-B32-fp32-cpu-t1",
        definition_hash=digest(place),
        task="imdb",
        variant=variant,
        workload="inference",
        sequence_length=256,
        batch_size=32,
        precision="fp32",
        device="cpu",
        threads=1,
    )


def observed(cases: list[Case], seed: int) -> Iterator[Observation]:
    """All that a run says of these cases, as the tool itself would write it."""
    draw = random.Random(seed)
    for place, case in enumerate(cases):
        parameters = 1_000_000 + 1000 * place
        yield Preflight(
            task_key="imdb",
            variant_id=case.variant.variant_id,
            outcome=Outcome.OK,
            parameters=parameters,
            weights_bytes=4 * parameters,
            wall_s=draw.uniform(0.1, 0.2),
        )
        yield Pilot(case_id=case.id, outcome=Outcome.OK, iterations=8, samples=SAMPLES, call_s=2e-3, wall_s=0.5)
        values = {"peak_rss_bytes": 4e7 + 4096 * place, "weights_bytes": 4.0 * parameters, "workspace_bytes": 1e6}
        yield Pass(case_id=case.id, name=PassKind.MEMORY, outcome=Outcome.OK, values=values, wall_s=0.3)
    for number in range(1, TRIALS + 1):
        for place, case in enumerate(cases):
            yield _trial(case, number, 2e-3 * (1 + place / len(cases)), draw)


def _trial(case: Case, number: int, seconds: float, draw: random.Random) -> Trial:
    own = seconds * draw.gauss(1.0, 0.003)
    wall_s = 8 * SAMPLES * own * draw.uniform(1.0, 1.02)
    return Trial(
        case_id=case.id,
        round=number,
        outcome=Outcome.OK,
        started="2026-01-02T03:04:05.678+00:00",
        samples_s=tuple(own * draw.lognormvariate(0.0, 0.005) for _ in range(SAMPLES)),
        iterations=8,
        items=32,
        tokens=8192.0,
        real_tokens=8192.0,
        start_s=draw.uniform(0.02, 0.03),
        first_call_s=draw.uniform(0.01, 0.02),
        warmup_s=draw.uniform(0.2, 0.3),
        warmup_calls=100,
        steady=True,
        wall_s=draw.uniform(0.9, 1.1),
        evidence={
            "wall_s": wall_s,
            "cpu_s": wall_s * 0.999,
            "foreign_cpu_s": draw.choice((0.0, 0.01, 0.02)),
            "steal_s": 0.0,
            "involuntary_switches": draw.randrange(4),
            "nice": 0,
            "processors": 2,
        },
    )


def write(results: Path, count: int) -> str:
    """A run and, of another run, a baseline `big`; the run's id."""
    cases = [case_of(place) for place in range(count)]
    plan = Plan(suite="big", cases=tuple(cases), measure=Measure(passes=(PassKind.MEMORY,)))
    for seed, name in enumerate(("20260101T000000Z-big-a", "20260102T000000Z-big-b")):
        run = Run(
            run_id=name,
            created="2026-01-02T03:04:05+00:00",
            plan=plan,
            machine=MACHINE,
            seed=0,
            command="bench run big",
        )
        folder = store.create(results, run)
        folder.close()
        lines = [store.line_of(one) for one in (*observed(cases, seed), End(finished="", wall_s=1.0))]
        (folder.path / store.CASES_FILE).write_text("".join(lines), encoding="utf-8")
        if not seed:
            baseline.save(results, "big", store.open_run(folder.path))
    return name


def whole_s(results: Path, name: str) -> tuple[float, float]:
    """Seconds of the command, from its start to its exit code, which must be green: on the wall, and of a processor."""
    words = ["-m", "bench", "check", "--run", name, "--baseline", "big", "--results", str(results)]
    began, before = time.perf_counter(), _children_s()
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    took = time.perf_counter() - began, _children_s() - before
    if done.returncode:
        raise RuntimeError(f"check left with {done.returncode}: {done.stdout[-500:]}{done.stderr}")
    return took


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parts_s(results: Path, name: str) -> dict[str, float]:
    """Processor seconds of each part of the same, in a process of its own; fails where it loads what is heavy."""
    marks = [("", time.process_time())]

    def done(what: str) -> None:
        marks.append((what, time.process_time()))

    from bench.cli import check, judged, judging, screen  # noqa: F401
    from bench.compare import compare  # noqa: F401

    done("imports")
    head = store.open_run(store.find(results, name))
    done("reading the run")
    base = baseline.find(results, "big", head.run.machine)
    done("reading the baseline")
    design = check.design_of(base.run, head.run, exact=False, confirms=False)
    judgement = judging.judged(base, head, design, name="big")
    done("judging")
    with contextlib.redirect_stdout(io.StringIO()):
        judged.tell(judgement, judged.Outputs())
    done("telling")
    if heavy := [module for module in HEAVY if module in sys.modules]:
        raise RuntimeError(f"check loads {', '.join(heavy)}")
    return {what: at - before for (_, before), (what, at) in itertools.pairwise(marks)}


def main(count: int) -> None:
    """Write the two, time the command, print the seconds."""
    if place := os.environ.get("BIG_CHECK_PARTS"):
        with store.without_collector():
            parts = parts_s(Path(place), "latest")
        print("\n".join(f"  {what:22} {seconds:6.2f} s" for what, seconds in parts.items()))
        return
    with tempfile.TemporaryDirectory() as place:
        results = Path(place)
        name = write(results, count)
        size = sum(path.stat().st_size for path in results.rglob("*.json*"))
        print(f"{count:,} cases, {size / 2**20:.0f} MiB in two runs and a baseline")
        taken = [whole_s(results, name) for _ in range(REPEATS)]
        for what, seconds in zip(("wall", "processor"), zip(*taken, strict=True), strict=True):
            middle, least, most = statistics.median(seconds), min(seconds), max(seconds)
            print(f"bench check, {what}: {middle:.2f} s (median of {REPEATS}, {least:.2f} to {most:.2f})")
        print("of which, in processor seconds:", flush=True)
        words = [sys.executable, "-m", "benchmarks.gate.big_check"]
        subprocess.run(words, check=True, env={**os.environ, "BIG_CHECK_PARTS": place})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else CASES)
