"""Do 95 % intervals hold what other runs of the same cases find? Measures a small suite many times and counts.

`python -m benchmarks.coverage FOLDER [--runs RUNS] [--apart]` makes RUNS runs (21) of ten cases and prints the share of run
x case pairs whose interval holds the mean of the other runs' logs, with its 95 % Clopper-Pearson interval. Runs take turns,
a round of each, so that all of them see the same minutes; with --apart one comes after the other, minutes later, and what
the machine drifts in between is counted against the intervals too. Stopped, it goes on with what FOLDER holds.
"""

from __future__ import annotations

import argparse
import math
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, stdev

from scipy.special import betaincinv

from bench import store
from bench.cli.planning import planned
from bench.estimates import estimates
from bench.observations import Trial
from bench.probes import machine
from bench.progress import Progress
from bench.records import Run
from bench.runner import Executor, local_server, measure
from bench.store import RunFolder

SUITE = """
name = "coverage"
task = "imdb"
architecture = [{name = "nbow"}, {name = "rnn"}, {name = "lstm"}, {name = "gru"}, {name = "textcnn"}]
[speed]
workloads = ["inference"]
sequence_lengths = [64, 128]
batch_sizes = [8]
threads = [1]
[measure]
trial = "400ms"
passes = []
"""


class _TurnOver(Exception):  # noqa: N818  it is no error
    """A run has had its round; another one is next."""


def main() -> None:
    """Run, then count over every run that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--apart", action="store_true")
    asked = parser.parse_args()
    asked.folder.mkdir(exist_ok=True)
    runs = [store.open_run(path) for path in store.run_folders(asked.folder)]
    runs += [begin(asked.folder, seed) for seed in range(len(runs), asked.runs)]
    turn = 0
    while open_runs := [folder for folder in runs if not folder.complete]:
        turn += 1
        for folder in open_runs:
            with closing(folder):
                go_on(folder, whole=asked.apart)
        print(f"turn {turn}: {len(runs) - sum(folder.complete for folder in runs)} runs go on", flush=True)
    count(asked.folder)


def begin(folder: Path, seed: int) -> RunFolder:
    """A new run of the suite."""
    suite = folder / "coverage.toml"
    suite.write_text(SUITE)
    _, plan = planned(str(suite), device="cpu")
    created = datetime.now(UTC).isoformat(timespec="seconds")
    run_id = store.run_id(created, plan.suite)
    run = Run(run_id=run_id, created=created, plan=plan, machine=machine.snapshot("cpu"), seed=seed)
    return store.create(folder, run)


def go_on(folder: RunFolder, *, whole: bool) -> None:
    """Measure the next round of a run, with what comes before the first; or all that is left."""
    timed = 0

    def start() -> AbstractContextManager[Executor]:
        if timed and not whole:
            raise _TurnOver
        return local_server()

    try:
        for event in measure(folder.run, folder.observations, folder.path, start):
            if not isinstance(event, Progress):
                folder.append(event)
                timed += isinstance(event, Trial)
    except _TurnOver:
        return


def count(folder: Path) -> None:
    """Print how many intervals hold the mean of the other runs."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for path in store.run_folders(folder):
        for result in store.open_run(path).results():
            latency = estimates(result)["latency_s"]
            if latency.value is not None and latency.low is not None and latency.high is not None:
                logs = math.log(latency.low), math.log(latency.value), math.log(latency.high)
                found.setdefault(result.case.id, []).append(logs)
    total = good = 0
    for name, runs in found.items():
        values = [value for _, value, _ in runs]
        others = [(sum(values) - value) / (len(values) - 1) for value in values]
        held = sum(low <= other <= high for (low, _, high), other in zip(runs, others, strict=True))
        width = fmean(high - low for low, _, high in runs) / 2
        print(f"{name:45} {held:3} of {len(runs)}   half-width {width:.2%}   spread between runs {stdev(values):.2%}")
        total, good = total + len(runs), good + held
    low = betaincinv(good, total - good + 1, 0.025) if good else 0.0
    high = betaincinv(good + 1, total - good, 0.975) if good < total else 1.0
    share = f"{good / total:.3f} ({low:.3f} to {high:.3f})"
    print(f"\n{good} of {total} intervals hold the mean of the other runs: {share}")


if __name__ == "__main__":
    main()
