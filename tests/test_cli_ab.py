"""`bench ab` as a user starts it, in real repositories of their own: what is much slower is red, what is the same is not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main
from bench.store import open_run, run_folders
from tests.repositories import ENVIRONMENT, commit, git, new_repository, write

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")

HERE = Path(__file__).parent
NET = """
import torch
from torch import nn

class {name}(nn.Module):
    def __init__(self, input_size, num_classes, width=256{more}):
        super().__init__()
        self.first = nn.Linear(input_size, width)
        self.middle = nn.Linear(width, width)
        self.last = nn.Linear(width, num_classes)

    def forward(self, inputs):
        hidden = self.first(inputs)
        for _ in range({times}):
            hidden = self.middle(hidden).relu()
        return self.last(hidden)
"""
MEASURE = """
[speed]
workloads = ["inference"]
batch_sizes = [64]
[measure]
warmup = 0.01
warmup_calls = 3
warmup_cap = 0.2
trial = 0.05
timeout = "60s"
"""
# so wide that no noise of this machine reaches it: what is changed here is three times as slow
GATE = """
[gate]
max_pairs = 6
thresholds = { latency_s = 0.5 }
"""
SUITE = f"""
name = "own"
task = "tabular"
[[architecture]]
name = "models/changed.py:Changed"
[[architecture]]
name = "models/same.py:Same"
{MEASURE}{GATE}"""


def bench(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **ENVIRONMENT, **environment},
    )


def net(name: str, times: int, more: str = "") -> str:
    return NET.format(name=name, times=times, more=more)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two commits of somebody's models: in the second, one of them works eight times as hard."""
    top = new_repository(tmp_path / "project")
    files = {"models/changed.py": net("Changed", 2), "models/same.py": net("Same", 2), "own.toml": SUITE}
    commit(top, files)
    # an argument that base does not know, with a default of its own
    commit(top, {"models/changed.py": net("Changed", 16, ", extra=1")})
    return top


def judged(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Comparisons by label and metric."""
    assert "Traceback" not in done.stderr, done.stderr
    document = json.loads(done.stdout)
    return {(one["case_id"].split("/")[1], one["metric"]): one for one in document["comparisons"]}


def nothing_is_left(top: Path) -> bool:
    return len(git(top, "worktree", "list").splitlines()) == 1


# ── what is asked for wrongly: one sentence, before anything is measured ───────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["main", "mian"], "revision 'mian' is unknown here"),
        (["main"], "expected BASE HEAD [SUITE]"),
        ([], "found nothing"),
        (["a", "b", "c", "d"], "expected BASE HEAD [SUITE]"),
        (["--variant", "compile=none"], "expected twice"),
        (["--variant", "compile", "--variant", "compile=none"], "expected KEY=VALUE"),
        (["HEAD~1", "HEAD", "smoke"], "nothing that it names stands in this repository"),
        (["HEAD~1", "HEAD", "own.toml", "--filter", "nowhere"], "leaves none of the 2 cases"),
        (["--variant", "batch_size=1", "--variant", "batch_size=2", "own.toml", "--filter", "no"], "leaves none"),
        (["--variant", "widht=1", "--variant", "width=2", "own.toml"], "'widht' is unknown; did you mean 'width'?"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_exit_2(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(SystemExit) as left:
        main(["ab", *arguments])
    assert left.value.code == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert nothing_is_left(project)
    assert not run_folders(project / "results")


def test_a_folder_that_is_no_repository_is_one_sentence_and_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["ab", "main", "HEAD"])
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is in no git repository" in line


def test_an_environment_without_bench_is_one_sentence_and_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        venv.create(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(SystemExit) as left:
        main(["ab", "one", "two", "smoke"])
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "environment 'one': bench cannot be imported there (ModuleNotFoundError: No module named 'bench')" in line


def test_an_environment_and_a_revision_cannot_be_compared(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    venv.create(project / "one")
    monkeypatch.chdir(project)
    with pytest.raises(SystemExit) as left:
        main(["ab", "one", "HEAD", "own.toml"])
    assert left.value.code == 2
    assert "compare two of a kind" in capsys.readouterr().err


# ── real sessions ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.long
@on_linux
def test_a_real_slowdown_is_red_the_same_code_is_not_and_all_of_it_is_kept(project: Path) -> None:
    done = bench(project, "ab", "HEAD~1", "HEAD", "own.toml", "--format", "json")
    found = judged(done)
    assert done.returncode == 1
    assert found["changed", "latency_s"]["verdict"] == "regressed"
    assert found["changed", "latency_s"]["reason"] == "confirmed"
    assert found["changed", "latency_s"]["change"] > 1
    assert found["changed", "flops_per_item"]["verdict"] == "regressed"
    assert found["changed", "parameters"]["verdict"] == "unchanged"
    assert found["same", "latency_s"]["verdict"] != "regressed"
    assert found["same", "operator_count"]["verdict"] == "unchanged"
    assert nothing_is_left(project)
    (session,) = (project / "results").iterdir()
    arms = {path.name: open_run(path) for path in session.iterdir()}
    assert set(arms) == {"base", "head", "control-base", "control"}
    assert all(arm.complete for arm in arms.values())
    assert arms["base"].run.commit == git(project, "rev-parse", "HEAD~1")
    assert arms["head"].run.commit == git(project, "rev-parse", "HEAD")
    assert all(len(one.samples_s) >= 30 for result in arms["head"].results() for one in result.trials)
    assert json.loads(bench(project, "list", "runs", "--format", "json").stdout) == []
    report = bench(project, "report", str(session / "head"), "--format", "csv")
    assert report.stdout.count("latency_s") == 2
    commands = json.loads(done.stdout)["commands"]
    name = "tabular/changed/inference/B64-fp32-cpu-t1"
    assert commands[name] == f"bench ab 'HEAD~1' HEAD own.toml --format json --filter {name}"


@pytest.mark.long
@on_linux
def test_the_working_tree_is_compared_with_what_is_not_committed(project: Path) -> None:
    write(project, {"models/same.py": "from fresh import Same\n", "models/fresh.py": net("Same", 16)})
    done = bench(project, "ab", "HEAD", ".", "own.toml", "--format", "json", "--filter", "same")
    assert judged(done)["same", "latency_s"]["verdict"] == "regressed"
    assert done.returncode == 1
    (session,) = (project / "results").iterdir()
    assert open_run(session / "head").run.dirty


@pytest.mark.long
@on_linux
def test_a_checkout_of_bench_itself_is_measured_by_the_bench_that_runs(tmp_path: Path) -> None:
    top = new_repository(tmp_path / "bench")
    shutil.copytree(HERE.parent / "bench", top / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    entry = '[[architecture]]\nname = "mlp"\nhidden_dim = 256\n'
    commit(
        top,
        {
            ".gitignore": "__pycache__\nresults\n",
            "suites/mlp.toml": f'name = "mlp"\ntask = "tabular"\n{entry}{MEASURE}{GATE}',
        },
    )
    mlp = (top / "bench/architectures/mlp.py").read_text()
    line = "return cast(Tensor, self.classifier(self.hidden(inputs.flatten(1))))"
    assert line in mlp
    more = f"for _ in range(15):\n            self.hidden(inputs.flatten(1))\n        {line}"
    commit(top, {"bench/architectures/mlp.py": mlp.replace(line, more)})
    done = bench(top, "ab", "HEAD~1", "HEAD", "mlp", "--format", "json", PYTHONPATH="")
    found = judged(done)
    assert done.returncode == 1
    assert found["mlp", "latency_s"]["verdict"] == "regressed"
    assert found["mlp", "parameters"]["verdict"] == "unchanged"


@pytest.mark.long
@on_linux
def test_two_settings_of_one_revision_are_paired_by_their_place(project: Path) -> None:
    done = bench(
        project,
        "ab",
        "--variant",
        "width=64",
        "--variant",
        "width=1024",
        "own.toml",
        "--filter",
        "same",
        "--format",
        "json",
    )
    found = judged(done)
    assert done.returncode == 1
    assert {label for label, _ in found} == {"same"}
    assert found["same", "latency_s"]["verdict"] == "regressed"
    assert found["same", "parameters"]["head"] > 100 * found["same", "parameters"]["base"]


@pytest.mark.long
@on_linux
def test_two_environments_are_measured_each_with_its_own_interpreter(project: Path) -> None:
    for name in ("one", "two"):
        venv.create(project / "environments" / name)
        (site,) = (project / "environments" / name / "lib").glob("*/site-packages")
        (site / "outer.pth").write_text("\n".join([str(HERE.parent), *sys.path[1:]]))
    places = [str(project / "environments" / name) for name in ("one", "two")]
    done = bench(
        project, "ab", *places, "own.toml", "--filter", "same", "--format", "json", "--set", "gate.max_pairs=2"
    )
    found = judged(done)
    assert found["same", "latency_s"]["verdict"] in ("unchanged", "inconclusive")
    assert 2 <= found["same", "latency_s"]["count"] <= 4  # a disturbed pair is taken again
    assert found["same", "operator_count"]["verdict"] == "unchanged"


@pytest.mark.slow
@on_linux
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_session_is_judged_as_it_stands_and_leaves_no_worktree(
    project: Path, how: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "ab", "HEAD~1", "HEAD", "own.toml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=project,
        env={**os.environ, **ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
        # as it is in a terminal, also where the tests run in the background
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("round 2"):
        assert process.poll() is None
    process.send_signal(how)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "kept in results/" in output
    assert nothing_is_left(project)
    (session,) = (project / "results").iterdir()
    head = open_run(session / "head")
    assert not head.complete
    assert all(result.trials for result in head.results())
