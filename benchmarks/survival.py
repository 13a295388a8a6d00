"""Kill a real run at random moments, and see that nothing finished is lost, measured twice, or left running.

    python benchmarks/survival.py [KILLS] [SUITE]

Half of what it does is to kill the whole process group of `bench run` and go on with --resume; the other half is to kill
the parent alone and to look, a second later, for what is still alive. Ends with exit code 1 and a sentence if a promise
was broken. `tests/test_survival.py` does the same a few times.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from bench.observations import End, Epoch, Fit, Observation, Pass, Pilot, Preflight, Trial
from bench.store import RunFolder, open_run, run_folders

NAMES = ("case_id", "task_key", "variant_id", "name", "round", "attempt", "seed", "fold", "learning_rate", "epoch")


def command(folder: Path, *more: str) -> list[str]:
    """`bench run` with its results and reports under a folder."""
    places = ["--results", str(folder / "results"), "--reports", str(folder / "reports")]
    return [sys.executable, "-m", "bench", "run", *places, *more]


def launch(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    """Start it in a process group of its own, with what it prints in a file."""
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen(command(folder, *more), stdout=output, stderr=output, start_new_session=True)


def key(observation: Observation) -> tuple[object, ...]:
    """What may be there only once."""
    return (type(observation).__name__, *(getattr(observation, name, None) for name in NAMES))


def kill_group_and_resume(folder: Path, suite: str, after_s: float) -> RunFolder:
    """Kill a run after some time, go on with it, and check that it is whole."""
    process = launch(folder, suite)
    time.sleep(after_s)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    runs = run_folders(folder / "results")
    before: list[Observation] = []
    if runs:
        found = open_run(runs[0])
        before = found.observations
        if not found.complete:
            subprocess.run(command(folder, suite, "--resume"), check=True, stdout=subprocess.DEVNULL)
    else:
        # killed before the run had a folder: there is nothing to go on with
        subprocess.run(command(folder, suite), check=True, stdout=subprocess.DEVNULL)
    (path,) = run_folders(folder / "results")
    whole = open_run(path)
    assert whole.complete, "the run is not complete after --resume"
    assert whole.observations[: len(before)] == before, "something that was finished is lost"
    measured = (Preflight, Pilot, Pass, Trial, Epoch, Fit)
    counts = Counter(key(one) for one in whole.observations if isinstance(one, measured))
    assert set(counts.values()) == {1}, f"measured twice: {[name for name, count in counts.items() if count > 1]}"
    for result in whole.results():
        assert result.fits or result.trials, f"{result.case.id} was not measured"
    assert sum(isinstance(one, End) for one in whole.observations) == 1
    return whole


def kill_parent(folder: Path, suite: str, after_s: float) -> int:
    """Kill the parent alone; how many of its processes were alive before, none of which may be a second later."""
    process = launch(folder, suite)
    time.sleep(after_s)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1.0)
    alive = still_running(family)
    assert not alive, f"still running a second after the parent was killed: {alive}"
    return len(family)


def still_running(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that can still run; a zombie is only an entry that its new parent has not read yet."""
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def main(kills: int, suite: str) -> None:
    """Do both, as often as asked."""
    moments = random.Random(1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "whole"
        folder.mkdir()
        subprocess.run(command(folder, suite), check=True, stdout=subprocess.DEVNULL)
        whole_s = time.monotonic() - began
        print(f"{suite} takes {whole_s:.1f} s undisturbed")
        for number in range(kills):
            folder = Path(place) / f"group-{number}"
            folder.mkdir()
            after_s = moments.uniform(0.5, whole_s * 0.8)
            found = kill_group_and_resume(folder, suite, after_s)
            print(f"group killed after {after_s:5.1f} s: complete, {len(found.observations)} observations", flush=True)
        for number in range(kills):
            folder = Path(place) / f"parent-{number}"
            folder.mkdir()
            after_s = moments.uniform(0.5, whole_s * 0.6)
            print(
                f"parent killed after {after_s:5.1f} s: {kill_parent(folder, suite, after_s)} processes, none left",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, sys.argv[2] if len(sys.argv) > 2 else "smoke")
