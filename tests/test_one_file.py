"""An architecture is one file: the README's example, installed by another package or named by its path, is all there is."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.errors import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")]

TOP = Path(__file__).parent.parent
EXAMPLE = TOP / "examples" / "gated_average.py"
NAME, TARGET = "gated-average", "gated_average:build"
LONGEST = 40
MASK = " * (inputs != self.embedding.padding_idx)[..., None]"
SUITE = """
name = "one-file"
[[task]]
name = "first-token"
train_items = 200
[[architecture]]
name = "gated-average"
embedding_dim = 16
[[architecture]]
name = "by_path.py:build"
label = "by path"
embedding_dim = 16
[[architecture]]
name = "leaky.py:build"
label = "leaky"
embedding_dim = 16
[speed]
workloads = ["inference"]
sequence_lengths = [16]
batch_sizes = [4]
threads = [1]
[accuracy]
sequence_lengths = [16]
epochs = 1
[measure]
min_rounds = 1
max_rounds = 1
warmup = 0.01
warmup_calls = 3
warmup_cap = 0.2
trial = 0.05
passes = []
"""
LABELS = {"gated-average", "by path", "leaky"}


def install(site: Path, package: str, entry: str) -> None:
    """What an installer leaves of a distribution with one entry point."""
    metadata = site / f"{package}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[bench.architectures]\n{entry}\n")


class Place:
    """A working folder beside a folder of installed packages."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder / "work", folder / "site"
        self.folder.mkdir()
        self.site.mkdir()

    def bench(self, *arguments: str, code: int = ExitCode.OK) -> str:
        """What a command says, on stdout if all is well."""
        path = os.pathsep.join(part for part in (str(self.site), os.environ.get("PYTHONPATH", "")) if part)
        done = subprocess.run(
            [sys.executable, "-m", "bench", *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "120"},
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        """What a list says to programs."""
        rows: list[dict[str, Any]] = json.loads(self.bench("list", *arguments, "--format", "json"))
        return rows


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The example installed, a copy of it beside a suite, and a copy that looks at padding."""
    made = Place(tmp_path_factory.mktemp("one_file"))
    code = EXAMPLE.read_text()
    assert MASK in code
    (made.site / "gated_average.py").write_text(code)
    install(made.site, "gated_average", f"{NAME} = {TARGET}")
    (made.folder / "by_path.py").write_text(code.replace('"gated-average"', '"gated-by-path"'))
    (made.folder / "leaky.py").write_text(code.replace('"gated-average"', '"leaky"').replace(MASK, ""))
    (made.folder / "suite.toml").write_text(SUITE)
    return made


@pytest.fixture(scope="module")
def printed(place: Place) -> str:
    """The suite run, and what that printed."""
    return place.bench("run", "suite.toml")


def test_it_is_short_and_announced_as_the_readme_says() -> None:
    assert f'[project.entry-points."bench.architectures"]\n{NAME} = "{TARGET}"\n' in (TOP / "README.md").read_text()
    assert len([line for line in EXAMPLE.read_text().splitlines() if line.strip()]) <= LONGEST


def test_it_is_listed_like_any_other(place: Place) -> None:
    assert "embeddings averaged under a learnt gate" in place.bench("list", "architectures")
    (row,) = [row for row in place.json("architectures") if row["name"] == "gated-average"]
    assert row["hyperparameters"][0]["name"] == "embedding_dim"
    assert "gated-average" in place.json("tasks", "imdb")[0]["architectures"]


@pytest.mark.parametrize("name", ["gated-average", "by_path.py:build"])
def test_all_about_it_can_be_asked(place: Place, name: str) -> None:
    (sheet,) = place.json("architectures", name)
    assert sheet["name"] == name
    # table, gate and classifier of two classes
    assert sheet["cost"]["parameters"] == 20_000 * 128 + 129 + 2 * 129
    assert {one["name"] for one in sheet["tasks"] if one["fits"]} >= {"imdb", "first-token", "parity"}
    unasked = {"parameter_count", "causality", "decoding"}  # no closed form; and it writes nothing
    assert {one["state"] for one in sheet["contracts"] if one["name"] not in unasked} == {"green"}


def test_a_broken_one_is_red_and_says_why(place: Place) -> None:
    shown = place.bench("list", "architectures", "leaky.py:build")
    assert "is answered differently" in shown
    (sheet,) = place.json("architectures", "leaky.py:build")
    assert {one["name"] for one in sheet["contracts"] if one["state"] == "red"} >= {"padding"}


def test_its_cases_are_listed(place: Place) -> None:
    cases = place.json("cases", "suite.toml")
    assert {case["label"] for case in cases} == LABELS
    assert len(cases) == 3 * (1 + 1)


def test_a_run_prints_it_in_the_table_and_marks_what_is_broken(printed: str) -> None:
    for label in LABELS:
        assert any(line.startswith((f"{label} ", f"{label} *")) for line in printed.splitlines())
    assert "breaks a contract: padding" in printed
    (marked,) = [line for line in printed.splitlines() if line.startswith("* breaks a contract: padding")]
    assert "leaky" in marked
    assert "gated" not in marked


@pytest.mark.usefixtures("printed")
def test_the_tidy_table_and_the_page_have_it(place: Place) -> None:
    rows = list(csv.DictReader(io.StringIO(place.bench("report", "--format", "csv"))))
    for label in LABELS:
        own = [row for row in rows if row["label"] == label]
        assert {row["outcome"] for row in own} == {"ok"}
        known = {row["metric"] for row in own if row["value"]}
        assert known >= {"throughput_items_per_s", "latency_s", "parameters", "accuracy"}
        assert all(("contract_red: padding" in row["flags"]) == (label == "leaky") for row in own)
    (page,) = place.folder.glob("reports/*.html")
    for label in LABELS:
        assert label in page.read_text()


def test_a_package_that_breaks_breaks_nothing_else(place: Place) -> None:
    (place.site / "torn.py").write_text("1 / 0\n")
    install(place.site, "torn", "torn-net = torn:Net")
    listed = place.bench("list", "architectures")
    assert "cannot be used: architecture" in listed
    assert "gated-average" in listed
    rows = {row["name"]: row for row in place.json("architectures")}
    assert "ZeroDivisionError" in rows["torn-net"]["problem"]
    said = place.bench("list", "architectures", "torn-net", code=ExitCode.USAGE)
    assert said.count("\n") == 1
    assert "mend or remove torn" in said
