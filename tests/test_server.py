"""Real processes: a server that forks, children that answer, crash, hang and eat memory, and nothing left behind."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench.executors.local import Server
from bench.jobs import Job, JobKind
from bench.observations import Fit, Pass, Pilot, Preflight, Trial
from bench.records import Case, FitSettings, Measure, Outcome, PassKind, Variant
from benchmarks.survival import still_running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")

MEASURE = Measure(warmup_s=0.01, warmup_calls=3, warmup_cap_s=0.2, timeout_s=30.0)
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def case(architecture: str = "mlp", workload: str = "inference", **more: object) -> Case:
    settings = {
        "id": f"tabular/{architecture}/{workload}",
        "definition_hash": "h",
        "task": "tabular",
        "variant": Variant(architecture=architecture, label=architecture, hyperparameters={}),
        "workload": workload,
        "batch_size": 16,
        "precision": "fp32",
        "device": "cpu",
        "threads": 2,
    }
    return Case(**(settings | more))  # type: ignore[arg-type]


def job(kind: JobKind, one: Case | None = None, **more: object) -> Job:
    settings = {"iterations": 2, "samples": 10, "folder": str(HERE), "seed": 1, "round": 1}
    return Job(kind=kind, case=one or case(), measure=MEASURE, **(settings | more))  # type: ignore[arg-type]


def test_a_pilot_calibrates_and_a_trial_samples(server: Server) -> None:
    (pilot,) = server.run(job(JobKind.PILOT))
    assert isinstance(pilot, Pilot)
    assert pilot.outcome is Outcome.OK
    assert (pilot.iterations or 0) * (pilot.call_s or 0) >= 1e-3
    (trial,) = server.run(job(JobKind.TRIAL, iterations=pilot.iterations, samples=12))
    assert isinstance(trial, Trial)
    assert trial.outcome is Outcome.OK, trial.reason
    assert len(trial.samples_s) == 12
    assert all(sample > 0 for sample in trial.samples_s)
    assert (trial.iterations, trial.items) == (pilot.iterations, 16)
    assert trial.evidence["wall_s"] >= sum(trial.samples_s)


@pytest.mark.parametrize("workload", ["inference", "training"])
def test_a_memory_pass_sees_at_least_what_a_step_must_allocate(server: Server, workload: str) -> None:
    wide = case(
        workload=workload,
        batch_size=4096,
        variant=Variant(architecture="mlp", label="mlp", hyperparameters={"hidden_dim": 1024}),
    )
    (memory,) = server.run(job(JobKind.PASS, wide, passing=PassKind.MEMORY))
    assert isinstance(memory, Pass)
    assert memory.outcome is Outcome.OK, memory.reason
    hidden_bytes = 4096 * 1024 * 4
    assert hidden_bytes * 0.9 <= memory.values["peak_rss_bytes"] <= hidden_bytes * 6


def test_a_preflight_counts_parameters_and_finds_no_fault(server: Server) -> None:
    (preflight,) = server.run(job(JobKind.PREFLIGHT))
    assert isinstance(preflight, Preflight)
    assert preflight.red == ()
    assert (preflight.weights_bytes or 0) == 4 * (preflight.parameters or 0) > 0


def test_equal_seeds_give_equal_fits_and_epochs_come_first(server: Server, tmp_path: Path) -> None:
    one = case(workload="fit", fit=FitSettings(epochs=2, batch_size=32))
    runs = [list(server.run(job(JobKind.FIT, one, fold=0))) for _ in range(2)]
    assert [type(answer).__name__ for answer in runs[0]] == ["Epoch", "Epoch", "Fit"]
    fits = [run[-1] for run in runs]
    assert all(isinstance(fit, Fit) and fit.outcome is Outcome.OK for fit in fits)
    assert fits[0].predictions == fits[1].predictions  # type: ignore[union-attr]
    assert fits[0].metrics == fits[1].metrics  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "outcome", "said"),
    [
        ("Crashing", Outcome.FAILED, "died of SIGSEGV"),
        ("Hanging", Outcome.TIMED_OUT, "no answer within 2 s"),
        ("Raising", Outcome.FAILED, "ValueError: I will not"),
        ("Greedy", Outcome.OUT_OF_MEMORY, ""),
        ("NotANumber", Outcome.DIVERGED, "not finite"),
    ],
)
def test_what_a_model_does_wrong_is_an_outcome_and_the_server_lives_on(
    server: Server, name: str, outcome: Outcome, said: str
) -> None:
    timeout = 2.0 if name == "Hanging" else 60.0
    rogue = replace(job(JobKind.PILOT, case(f"rogues.py:{name}")), measure=replace(MEASURE, timeout_s=timeout))
    (answer,) = server.run(rogue)
    assert isinstance(answer, Pilot)
    assert answer.outcome is outcome, answer.reason
    assert said in answer.reason
    (after,) = server.run(job(JobKind.PILOT))
    assert isinstance(after, Pilot)
    assert after.outcome is Outcome.OK


def test_the_server_has_one_thread_and_a_child_can_use_two(server: Server) -> None:
    assert psutil.Process(server.pid).num_threads() == 1
    code = """
        import os, torch
        from bench.server import thread_count
        torch.set_num_threads(2)
        a = torch.randn(512, 512)
        for _ in range(3): a @ a
        print(thread_count())
    """
    # the same import, environment and first operator as in a child, where threads can be counted from inside
    forked = (
        f"import os, torch\nif os.fork() == 0:\n{textwrap.indent(textwrap.dedent(code), '    ')}\nelse:\n    os.wait()"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", forked], capture_output=True, text=True, env=environment, check=True)
    assert int(done.stdout) >= 2


def test_a_child_imports_no_library_that_only_the_parent_needs(server: Server) -> None:
    loaded = (
        "import bench.worker, sys; print(sorted({'typer', 'pydantic', 'pandas', 'sklearn', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_forked_trial_starts_in_a_fraction_of_the_time_that_a_fresh_process_needs(server: Server) -> None:
    starts = []
    for _ in range(10):
        (trial,) = server.run(job(JobKind.TRIAL))
        assert isinstance(trial, Trial)
        starts.append(trial.start_s or 0)
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    # benchmarks/trial_start.py has the figures of both
    assert statistics.median(starts) < (time.monotonic() - began) / 3


def test_a_bench_in_the_folder_one_works_in_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/__init__.py").write_text("raise RuntimeError('not me')")
    (tmp_path / "beside.py").write_text("from rogues import *")
    monkeypatch.chdir(tmp_path)
    with Server() as running:
        (found,) = running.run(job(JobKind.PREFLIGHT, case("beside:Raising")))
    assert isinstance(found, Preflight)
    assert found.outcome is Outcome.OK, "what stands in that folder is found all the same"


def test_closing_ends_the_child_in_work(tmp_path: Path) -> None:
    with Server() as running:
        answers = running.run(replace(job(JobKind.PILOT, case("rogues.py:Hanging"))))
        del answers
        pid = running.pid
    assert not psutil.pid_exists(pid)


def test_when_the_parent_is_killed_nothing_is_left() -> None:
    code = f"""
        import sys
        sys.path.insert(0, {str(HERE)!r})
        from bench.executors.local import Server
        from test_server import case, job
        from bench.jobs import JobKind
        with Server() as server:
            print(server.pid, flush=True)
            list(server.run(job(JobKind.PILOT, case("rogues.py:Hanging"))))
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    deadline = time.monotonic() + 30
    while not (children := server.children()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert children, "the server forked no child"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    time.sleep(1.0)
    assert still_running([server, *children]) == []
