"""Do 95 % intervals hold what other runs of the same cases find? Runs a small suite again and again and counts.

`python -m benchmarks.coverage [RUNS] [--folder FOLDER]` makes RUNS runs (21) of ten cases and prints the share of run
x case pairs whose interval holds the mean of the other runs' logs, with its 95 % Clopper-Pearson interval. With
--folder, runs are kept there and those that are there already count, so that it can be stopped and gone on with.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean

from scipy.special import betaincinv

from bench import store
from bench.estimates import estimates

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
passes = []
"""


def main() -> None:
    """Run, then count over every run that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=int, nargs="?", default=21)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = asked.folder or Path(made)
        folder.mkdir(exist_ok=True)
        suite = folder / "coverage.toml"
        suite.write_text(SUITE)
        for number in range(len(store.run_folders(folder)), asked.runs):
            command = [sys.executable, "-m", "bench", "run", str(suite), "--results", str(folder), "--reports", made]
            subprocess.run([*command, "--seed", str(number)], check=True, stdout=subprocess.DEVNULL)
            print(f"run {number + 1} of {asked.runs}", flush=True)
        count(folder)


def count(folder: Path) -> None:
    """Print how many intervals hold the mean of the other runs."""
    logs: dict[str, list[float]] = {}
    held: dict[str, list[bool]] = {}
    ends: dict[str, list[tuple[float, float]]] = {}
    for path in store.run_folders(folder):
        for result in store.open_run(path).results():
            latency = estimates(result)["latency_s"]
            if latency.value is None or latency.low is None or latency.high is None:
                continue
            logs.setdefault(result.case.id, []).append(math.log(latency.value))
            ends.setdefault(result.case.id, []).append((math.log(latency.low), math.log(latency.high)))
    for name, values in logs.items():
        others = [(sum(values) - value) / (len(values) - 1) for value in values]
        held[name] = [low <= other <= high for (low, high), other in zip(ends[name], others, strict=True)]
        width = fmean(high - low for low, high in ends[name]) / 2
        spread = math.sqrt(fmean((value - fmean(values)) ** 2 for value in values))
        print(
            f"{name:45} {sum(held[name]):3} of {len(values)}   half-width {width:.2%}   spread between runs {spread:.2%}"
        )
    total, good = sum(map(len, held.values())), sum(map(sum, held.values()))
    low = betaincinv(good, total - good + 1, 0.025) if good else 0.0
    high = betaincinv(good + 1, total - good, 0.975) if good < total else 1.0
    print(
        f"\n{good} of {total} intervals hold the mean of the other runs: {good / total:.3f} ({low:.3f} to {high:.3f})"
    )


if __name__ == "__main__":
    main()
