"""A layer that is 5 % wider, or one operator more, against a stored baseline: how often `bench check` sees it, how soon.

`python -m benchmarks.gate.without_noise [--repeats N]` saves a baseline of a small model, then N times (20) checks the same
model, which must stay green, and each change of it, with what is gated exactly and with `--exact`. Whatever is not as
expected leaves with 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.errors import ExitCode

SUITE = """
name = "wide"
task = "tabular"
[[architecture]]
name = "net.py:Net"
[speed]
workloads = ["inference"]
batch_sizes = [512]
threads = [1]
[measure]
passes = ["memory", "cost"]
min_rounds = 3
max_rounds = 3
warmup = 0.01
warmup_calls = 3
warmup_cap = 0.1
trial = 0.02
[gate]
ignore = ["latency_s"]
"""
NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self, input_dim, num_classes):
        super().__init__()
        self.into, self.out = torch.nn.Linear(input_dim, {width}), torch.nn.Linear({width}, num_classes)

    def forward(self, x):
        return self.out(torch.relu(self.into(x)){more})
"""
PLAIN: Mapping[str, object] = {"width": 4000, "more": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is changed of the model, and what must be called worse; an empty metric: nothing may be."""

    what: str
    net: Mapping[str, object]
    metric: str
    exact: bool = False


WIDER: Mapping[str, object] = {"width": 4200, "more": ""}
CHANGES = (
    Change(what="the same", net=PLAIN, metric=""),
    Change(what="the same, --exact", net=PLAIN, metric="", exact=True),
    Change(what="5 % more memory", net=WIDER, metric="peak_rss_bytes"),
    Change(what="5 % wider, --exact", net=WIDER, metric="parameters", exact=True),
    Change(what="one operator more", net={"width": 4000, "more": ".neg()"}, metric="operator_count"),
)


def main() -> None:
    """Tell how often each was seen, and in what time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20, help="checks of each change (20)")
    repeats = parser.parse_args().repeats
    right = True
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        save(folder)
        for change in CHANGES:
            taken = [seen(folder, change) for _ in range(repeats)]
            count = sum(as_expected for as_expected, _ in taken)
            right = right and count == repeats
            seconds = median(took for _, took in taken)
            print(f"{change.what:20} as expected {count} of {repeats} times, {seconds:.1f} s each", flush=True)
    sys.exit(0 if right else 1)


def save(folder: Path) -> None:
    """Measure the plain model, and make it the baseline."""
    (folder / "wide.toml").write_text(SUITE)
    (folder / "net.py").write_text(NET.format(**PLAIN))
    for words in (["run", "wide.toml"], ["baseline", "save", "main"]):
        done = bench(folder, *words)
        if done.returncode:
            raise RuntimeError(f"bench {' '.join(words)} left with {done.returncode}: {done.stderr}")


def seen(folder: Path, change: Change) -> tuple[bool, float]:
    """Whether a check ends as it should and names what it should, and the seconds that it takes."""
    (folder / "net.py").write_text(NET.format(**change.net))
    words = ["check", "wide.toml", "--baseline", "main", "--format", "json"]
    began = time.perf_counter()
    done = bench(folder, *words, *(["--exact"] if change.exact else []))
    took = time.perf_counter() - began
    if done.returncode != (ExitCode.REGRESSED if change.metric else ExitCode.OK):
        return False, took
    worse = [one["metric"] for one in json.loads(done.stdout)["comparisons"] if one["verdict"] == "regressed"]
    return (change.metric in worse if change.metric else not worse), took


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in a folder of its own."""
    return subprocess.run([sys.executable, "-m", "bench", *words], capture_output=True, text=True, cwd=folder)


if __name__ == "__main__":
    main()
