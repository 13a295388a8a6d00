"""`bench run` as a user starts it: real workers, real files, and what they find in table, report and export."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.observations import Fit, Trial
from bench.records import Outcome
from bench.store import RunFolder, open_run, run_folders

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")]

HERE = Path(__file__).parent
QUICKLY = """
[measure]
min_rounds = 3
max_rounds = 3
warmup = 0.01
warmup_calls = 3
warmup_cap = 0.2
trial = 0.1
passes = ["memory"]
timeout = "60s"
"""


@dataclass(frozen=True)
class Done:
    code: int
    output: str
    page: str
    folder: RunFolder

    def outcomes(self) -> dict[str, Outcome | None]:
        return {result.case.variant.label: result.verdict[0] for result in self.folder.results()}

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(bench("report", str(self.folder.path), "--format", "csv").stdout)))


def bench(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bench", *arguments], capture_output=True, text=True, cwd=cwd)


def run(folder: Path, suite: str, *more: str) -> Done:
    """Write a suite beside the tests' own models and run it."""
    path = folder / "made.toml"
    path.write_text(f'name = "made"\n{suite}{QUICKLY}')
    for name in ("fakes.py", "rogues.py", "tutorial_models.py"):
        (folder / name).write_text((HERE / name).read_text())
    places = ["--results", str(folder / "results"), "--reports", str(folder / "reports")]
    done = bench("run", str(path), *places, *more, cwd=folder)
    assert run_folders(folder / "results"), done.stderr
    (page,) = (folder / "reports").glob("*.html")
    stored = open_run(run_folders(folder / "results")[0])
    assert "Traceback" not in done.stderr
    return Done(code=done.returncode, output=done.stdout, page=page.read_text(), folder=stored)


def test_five_ways_to_misbehave_are_five_outcomes_and_the_rest_is_measured(tmp_path: Path) -> None:
    names = ("Crashing", "Hanging", "Raising", "Greedy", "NotANumber", "CrashingAtOnce")
    entries = "".join(f'[[architecture]]\nname = "rogues.py:{name}"\nlabel = "{name}"\n' for name in names)
    speed = '[speed]\nworkloads = ["inference"]\nbatch_sizes = [16]\n'
    suite = f'task = "tabular"\n{entries}[[architecture]]\nname = "mlp"\n{speed}'
    done = run(tmp_path, suite, "--set", 'measure.timeout="15s"')
    assert done.code == 5
    assert done.outcomes() == {
        "Crashing": Outcome.FAILED,
        "Hanging": Outcome.TIMED_OUT,
        "Raising": Outcome.FAILED,
        "Greedy": Outcome.OUT_OF_MEMORY,
        "NotANumber": Outcome.DIVERGED,
        "CrashingAtOnce": Outcome.FAILED,
        "mlp": Outcome.OK,
    }
    assert done.folder.complete
    for said in ("SIGSEGV", "no answer within 15 s", "I will not"):
        assert said in done.page
    assert {row["outcome"] for row in done.rows() if row["label"] == "Greedy"} == {"out_of_memory"}


def test_tutorial_classes_run_unchanged_and_are_marked_where_they_are_wrong(tmp_path: Path) -> None:
    table = "embedding_dim = 16\nhidden_dim = 16\nnum_layers = 2\ndropout = 0.1\n"
    names = ("RNNClassifier", "LSTMClassifier", "CNNClassifier")
    entries = "".join(
        f'[[architecture]]\nname = "tutorial_models.py:{name}"\nlabel = "{name}"\n{table}' for name in names
    )
    speed = '[speed]\nworkloads = ["inference", "training"]\nsequence_lengths = [32]\nbatch_sizes = [2]\n'
    done = run(tmp_path, f'task = "imdb"\n{entries}{speed}')
    assert done.code == 0
    assert set(done.outcomes().values()) == {Outcome.OK}
    for name in names:
        assert name in done.output
        assert name in done.page
    flags = {row["label"]: row["flags"] for row in done.rows()}
    assert all("contract_red: padding" in flags[name] for name in names)
    assert "padding" in done.output


def test_a_two_phase_architecture_goes_through_training_fit_and_table(tmp_path: Path) -> None:
    suite = """
task = "tabular"
import = ["fakes.py"]
[[architecture]]
name = "fake-two-phase"
[speed]
workloads = ["training"]
batch_sizes = [16]
[accuracy]
epochs = 6
batch_size = 32
folds = 2
learning_rates = [1e-2]
"""
    done = run(tmp_path, suite)
    assert done.code == 0
    fits = [one for one in done.folder.observations if isinstance(one, Fit)]
    assert len(fits) == 2
    # a predictor that knows nothing says "benign" to all and is right for .627
    assert all(fit.metrics["accuracy"] > 0.8 for fit in fits)
    assert "fake-two-phase" in done.output
    assert {row["metric"] for row in done.rows()} >= {"throughput_items_per_s", "accuracy", "f1_macro", "parameters"}


def test_a_decoder_with_a_workload_of_its_own_goes_through_runner_store_and_table(tmp_path: Path) -> None:
    suite = """
task = "fake-reverse"
import = ["fakes.py"]
[[architecture]]
name = "fake-decoder"
[speed]
workloads = ["decode", "training"]
sequence_lengths = [8]
batch_sizes = [4]
new_tokens = [6]
[accuracy]
sequence_lengths = [8]
epochs = 1
"""
    done = run(tmp_path, suite)
    assert done.code == 0, done.output
    trials = [one for one in done.folder.observations if isinstance(one, Trial)]
    by_workload = {trial.case_id.split("/")[2]: trial for trial in trials}
    # decoding counts the tokens it writes, training all that it reads: eight, and as many backwards with their end
    assert (by_workload["decode"].tokens, by_workload["training"].tokens) == (4 * 6, 4 * (8 + 9))
    rows = [row for row in done.rows() if row["workload"] == "decode" and row["metric"] == "throughput_tokens_per_s"]
    assert [row["new_tokens"] for row in rows] == ["6"]
    assert "decode" in done.output
    assert "decode" in done.page


def test_a_label_of_markup_is_text_everywhere(tmp_path: Path) -> None:
    label = "<script>alert(1)</script>"
    suite = f"""
task = "tabular"
[[architecture]]
name = "mlp"
label = "{label}"
[speed]
workloads = ["inference"]
batch_sizes = [4]
"""
    done = run(tmp_path, suite)
    assert done.code == 0
    assert label not in done.page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in done.page
    assert label[:19] in done.output  # a narrow table cuts long labels
