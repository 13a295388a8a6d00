"""What the documents say is so."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from typer.main import get_command

from bench.cli import app
from bench.errors import ExitCode
from bench.plan import resolve
from bench.registry import Registry
from bench.suite import load

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text()


def _block_after(text: str) -> str:
    found = re.search(re.escape(text) + r".*?\n```[a-z]*\n(.*?)\n```", README, re.DOTALL)
    assert found
    return found[1]


def _tree() -> list[str]:
    """Paths in the README's file tree."""
    paths, folder = [], ""
    for line in _block_after("## Files").splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name if name == "bench/" else ""
            paths.append(name)
        else:
            paths.append(folder + name)
    return paths


def _kept_in_git() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.splitlines() if (TOP / name).exists()]


def test_everything_in_the_file_tree_is_there() -> None:
    assert [path for path in _tree() if not (TOP / path).exists()] == []


def test_every_module_and_folder_is_in_the_file_tree() -> None:
    tree = set(_tree())
    ours = {Path(name) for name in _kept_in_git()}
    top = {f"{path.parts[0]}/" for path in ours if len(path.parts) > 1}
    modules = {
        "/".join(path.parts[:2]) + ("/" if len(path.parts) > 2 else "") for path in ours if path.parts[0] == "bench"
    }
    assert (top | modules) - tree - {"bench/py.typed"} == set()


def test_exit_codes_are_those_of_the_program() -> None:
    table = README.partition("## Exit codes")[2].partition("## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == sorted(ExitCode)
    assert "130, 2, 1, 5, 4, 3" in table


def test_setup_commands_take_the_pinned_torch() -> None:
    for what in ("run", "test"):
        assert "pip install -c constraints.txt" in _block_after(f"<!-- setup: {what} -->")
    assert "torch==2.13.0" in (TOP / "constraints.txt").read_text().splitlines()


def test_commands_and_options_in_the_readme_exist() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    table = README.partition("## What it does")[2].partition("###")[0]
    named = set(re.findall(r"`bench (\w+)", table))
    assert named == set(commands)
    plain = [command for command in commands.values() if not hasattr(command, "commands")]
    options = {option for command in plain for each in command.params for option in each.opts}
    options |= {option for each in commands["list"].commands["suites"].params for option in each.opts}
    assert set(re.findall(r"--[a-z][a-z-]*", table)) <= options


def test_glossary_and_asked_for_systems_stand_there() -> None:
    glossary = README.partition("## Words")[2].partition("## ")[0]
    for word in ("architecture", "variant", "case", "trial", "round", "sample", "outcome", "contract", "machine"):
        assert f"| {word} |" in glossary
    today = README.partition("## What works today")[2].partition("## ")[0]
    for name in re.findall(r"yes: `([\w-]+)`", today):
        assert any(name in registry.names() for registry in _registries()), name


def _registries() -> list[Registry]:  # type: ignore[type-arg]
    from bench.architectures import ARCHITECTURES
    from bench.tasks import TASKS

    return [ARCHITECTURES, TASKS]


def test_suite_in_the_readme_resolves(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text(
        "from torch import nn\n\nclass MyNet(nn.Module):\n"
        "    def __init__(self, vocab_size, embedding_dim, num_classes):\n        super().__init__()\n"
        "        self.table = nn.EmbeddingBag(vocab_size, embedding_dim)\n"
        "        self.head = nn.Linear(embedding_dim, num_classes)\n"
        "    def forward(self, x):\n        return self.head(self.table(x))\n"
    )
    path = tmp_path / "mine.toml"
    path.write_text(_block_after("### Suites"))
    plan = resolve(load(path), threads=1, device="cpu", folder=tmp_path)
    assert {case.variant.label for case in plan.cases} >= {"lstm", "BiLSTM x2"}
    assert len(plan.cases) == 3 * (2 * 2 * 2 + 1)


def test_example_in_the_readme_is_the_file() -> None:
    assert (
        _block_after("### An architecture of your own") == (TOP / "examples" / "gated_average.py").read_text().rstrip()
    )


def test_example_architecture_keeps_every_contract(request: pytest.FixtureRequest) -> None:
    from bench.architectures import ARCHITECTURES
    from bench.contracts import check
    from bench.tasks import TASKS

    # other tests look at the names that are registered
    request.addfinalizer(lambda: ARCHITECTURES._things.pop("gated-average"))
    plan = resolve(load(TOP / "examples" / "gated_average.toml"), threads=1, device="cpu")
    assert {case.variant.architecture for case in plan.cases} == {"nbow", "gated-average"}
    kind, architecture = TASKS.get("imdb"), ARCHITECTURES.get("gated-average")
    task = kind.make(kind.options())
    torch.manual_seed(0)
    assert check(architecture, task, task.spec(64), architecture.hyperparameters()) == {}


@pytest.mark.slow
def test_example_suite_runs(tmp_path: Path) -> None:
    suite = str(TOP / "examples" / "gated_average.toml")
    rounds = ["--set", "measure.min_rounds=2", "--set", "measure.max_rounds=2"]
    command = [sys.executable, "-m", "bench", "run", suite, "--filter", "*/gated-average/inference/L64-B1-*", *rounds]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    assert "gated-average" in done.stdout
    assert len(list(tmp_path.glob("reports/*.html"))) == 1


def test_package_ships_suites_and_knows_its_licence() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {"suites": "bench/suites"}
    assert project["project"]["scripts"] == {"bench": "bench.cli:main"}
    assert project["project"]["license"] == "Apache-2.0"
