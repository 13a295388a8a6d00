"""How much of a run's wall time is measuring, and how much processor the parent takes meanwhile.

`python -m benchmarks.useful_share [SUITE]` runs a suite of speed cases (its own, of 24 cases, if none is named) on a
terminal of 160 columns, so that the live table is drawn, and prints the share of the wall time that is pilot, warm-
up, samples and passes.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from bench import store
from bench.observations import Ceiling, End, Pass, Pilot, Trial

SUITE = """
name = "useful"
task = "imdb"
architecture = [{name = "nbow"}, {name = "rnn"}, {name = "lstm"}, {name = "gru"}, {name = "textcnn"}, {name = "transformer"}]
[speed]
workloads = ["inference", "training"]
sequence_lengths = [64, 128]
batch_sizes = [8]
threads = [1]
[measure]
target = 0.02
passes = ["memory"]
"""


def main() -> None:
    """Run the suite and count."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        suite = sys.argv[1] if len(sys.argv) > 1 else str(folder / "useful.toml")
        (folder / "useful.toml").write_text(SUITE)
        parent_s, trials_s, process_s = _watched(suite, folder)
        observed = store.open_run(store.run_folders(folder)[0]).observations
    useful = {"pilots": 0.0, "warm-up": 0.0, "samples": 0.0, "passes": 0.0}
    for one in observed:
        match one:
            case Pilot() | Pass() | Ceiling():
                useful["pilots" if isinstance(one, Pilot) else "passes"] += one.wall_s or 0.0
            case Trial() if one.iterations:
                useful["warm-up"] += one.warmup_s or 0.0
                useful["samples"] += sum(one.samples_s) * one.iterations
    wall_s = next(one.wall_s for one in observed if isinstance(one, End))
    for what, seconds in useful.items():
        print(f"{what:10} {seconds:7.1f} s  {seconds / wall_s:.1%}")
    total = sum(useful.values())
    trials = sum(isinstance(one, Trial) for one in observed)
    print(f"useful     {total:7.1f} s  {total / wall_s:.1%} of the {wall_s:.1f} s of measuring")
    print(f"           {total / process_s:.1%} of the {process_s:.1f} s of the whole command")
    share = parent_s / trials_s
    print(
        f"the parent took {parent_s:.2f} s of processor in {trials_s:.1f} s of {trials} trials: {share:.2%} of a core"
    )


def _watched(suite: str, folder: Path) -> tuple[float, float, float]:
    """Processor seconds of the parent while trials ran, how long they ran, and the whole process's wall time."""
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        suite,
        "--results",
        str(folder),
        "--reports",
        str(folder / "reports"),
    ]
    environment = {**os.environ, "COLUMNS": "160", "TERM": "xterm-256color"}
    environment.pop("CI", None)
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    threading.Thread(target=_drain, args=(ours,), daemon=True).start()
    watched = psutil.Process(process.pid)
    first: tuple[float, float] | None = None
    last = (0.0, 0.0)
    while process.poll() is None:
        lines = [path.read_text() for path in folder.glob("*/cases.jsonl")]
        if lines and '"kind":"trial"' in lines[0] and '"kind":"end"' not in lines[0]:
            times = watched.cpu_times()
            last = (times.user + times.system, time.monotonic())
            first = first or last
        time.sleep(1.0)
    if process.returncode != 0 or first is None:
        sys.exit(f"bench run ended with exit code {process.returncode}")
    return last[0] - first[0], last[1] - first[1], time.monotonic() - began


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 1 << 16):
            pass
    except OSError:
        return  # the other end is closed: the run is over


if __name__ == "__main__":
    main()
