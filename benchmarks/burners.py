"""A run beside two busy programs, held against a quiet one.

`python -m benchmarks.burners` measures a small suite quietly, beside two endless loops, and quietly again, each with
one thread and with all of them, and prints the change of each median and the marks. The change is held against the mean
of the two quiet runs, one before and one after, so that drift over the minutes counts half; how far these two differ is
printed beside it.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import store
from bench.estimates import estimates, flags
from bench.observations import CaseResult
from bench.probes.machine import cores
from bench.records import Measure
from bench.trust import conditions

SUITE = """
name = "burners"
task = "imdb"
architecture = [{name = "nbow"}, {name = "lstm"}, {name = "textcnn"}, {name = "transformer"}]
[speed]
workloads = ["inference", "training"]
sequence_lengths = [64]
batch_sizes = [8]
threads = THREADS
[measure]
passes = []
max_rounds = 10
"""
BURNERS = 2
ARMS = ("quiet", "burners", "quiet again")


def main() -> None:
    """Three runs, then a line a case."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        threads = sorted({1, cores()})
        (folder / "burners.toml").write_text(SUITE.replace("THREADS", str(threads)))
        runs = {arm: _run(folder, arm) for arm in ARMS}
    print(f"{'case':44} {'quiet':>10} {'burners':>9} {'again':>9}  marks beside the burners")
    for place, quiet in enumerate(runs["quiet"][1]):
        results = [runs[arm][1][place] for arm in ARMS]
        values = [estimates(result)["latency_s"].value or float("nan") for result in results]
        beside = results[1]
        seen = conditions(beside)
        marks = "; ".join(flags(beside, runs["burners"][0]))
        calm = math.sqrt(values[0] * values[2])
        changes = [f"{value:+9.1%}" for value in (values[1] / calm - 1, values[2] / values[0] - 1)]
        print(f"{quiet.case.id:44} {calm * 1e3:8.3f}ms {' '.join(changes)}  {marks} ({seen.used} of {seen.taken} used)")


def _run(folder: Path, arm: str) -> tuple[Measure, list[CaseResult]]:
    command = [sys.executable, "-m", "bench", "run", str(folder / "burners.toml")]
    command += ["--results", str(folder / arm), "--reports", str(folder / "reports")]
    with ExitStack() as stack:
        for _ in range(BURNERS if arm == "burners" else 0):
            burner = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(burner.kill)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = store.open_run(store.run_folders(folder / arm)[0])
    return found.run.plan.measure, found.results()


if __name__ == "__main__":
    main()
