"""What no model can be built of is told while a suite is planned, all of it at once, and nothing is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.architectures import ARCHITECTURES
from bench.cli import main
from bench.errors import ExitCode, SuiteError
from bench.plan import resolve
from bench.records import Plan
from bench.suite import load

SPEED = '[speed]\nworkloads = ["inference"]\nsequence_lengths = [16, 600]\nbatch_sizes = [1]\n'
CONTRADICTORY = [
    ("lstm", "forget_gate = false\nforget_bias = 2.0", "forget_bias is 2.0, but forget_gate is false"),
    ("transformer", "embedding_dim = 65", "embedding_dim 65 is not a multiple of num_heads 4"),
    ("bert", 'weights = "no/such/folder"', "'no/such/folder': is no folder"),
]


def planned(tmp_path: Path, *entries: tuple[str, str], rest: str = SPEED, task: str = 'task = "imdb"') -> Plan:
    tables = "".join(f'[[architecture]]\nname = "{name}"\n{options}\n' for name, options in entries)
    path = tmp_path / "made.toml"
    path.write_text(f'name = "made"\n{task}\n{tables}{rest}')
    return resolve(load(path), threads=1, device="cpu")


def problems(tmp_path: Path, *entries: tuple[str, str], rest: str = SPEED, task: str = 'task = "imdb"') -> list[str]:
    with pytest.raises(SuiteError) as caught:
        planned(tmp_path, *entries, rest=rest, task=task)
    return list(caught.value.problems)


def test_contradictory_options_are_suite_errors_all_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, *((name, options) for name, options, _ in CONTRADICTORY), ("gru", "num_layer = 2"))
    assert len(found) == 4
    for place, (name, _, says) in enumerate(CONTRADICTORY, 1):
        (sentence,) = (one for one in found if f"[[architecture]] {place} ({name}): " in one)
        assert says in sentence
    assert any("did you mean 'num_layers'?" in one for one in found)


def test_they_are_told_beside_what_is_wrong_with_the_shape(tmp_path: Path) -> None:
    found = problems(tmp_path, CONTRADICTORY[0][:2], rest=SPEED.replace("batch_sizes", "batchsizes"))
    assert any("batchsizes" in one for one in found)
    assert any("forget_bias is 2.0" in one for one in found)


def test_several_tasks_that_say_the_same_say_it_once(tmp_path: Path) -> None:
    tasks = '[[task]]\nname = "imdb"\n[[task]]\nname = "parity"\n'
    assert len(problems(tmp_path, CONTRADICTORY[1][:2], task=tasks)) == 1


def test_nothing_is_measured_and_the_exit_code_is_that_of_a_suite_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    problems(tmp_path, CONTRADICTORY[0][:2])
    with pytest.raises(SystemExit) as left:
        main(["run", "made.toml"])
    assert left.value.code == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("error: made.toml: [[architecture]] 1 (lstm): ")
    assert not list(tmp_path.glob("results/*"))


MODELS = """
import torch
from torch import nn
from bench.architectures import architecture
from bench.errors import ModelError
from bench.options import option
from dataclasses import dataclass
from bench.spec import InputKind, OutputKind

class Refusing(nn.Module):
    def __init__(self, vocab_size, num_classes):
        raise ValueError("not today")

@dataclass(frozen=True, kw_only=True)
class Settings:
    longest: int = option(100, "most words")

def registered(name):
    return architecture(name, summary="s", source="s", inputs=[InputKind.TOKENS], outputs=[OutputKind.CLASSES],
                        hyperparameters=Settings)

@registered("short")
def short(spec, settings):
    if spec.sequence_length > settings.longest:
        raise ModelError(f"short: length {spec.sequence_length} is above {settings.longest}")
    return nn.EmbeddingBag(spec.vocabulary_size, spec.classes)

@registered("valued")
def valued(spec, settings):
    torch.ones(1).item()  # there are no values on meta
    return nn.EmbeddingBag(spec.vocabulary_size, spec.classes)
"""


@pytest.fixture
def models(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "models.py").write_text(MODELS)
    yield 'task = "imdb"\nimport = ["models.py"]\n'
    for name in ("short", "valued"):  # other tests look at the names that are registered
        ARCHITECTURES._things.pop(name, None)


def test_the_longest_sequence_counts_and_an_entrys_own_goes_before_the_suites(tmp_path: Path, models: str) -> None:
    (found,) = problems(tmp_path, ("short", ""), task=models)
    assert found.endswith("short: length 600 is above 100")
    own = "[architecture.speed]\nsequence_lengths = [32]\n"
    assert len(planned(tmp_path, ("short", own), task=models).cases) == 1
    fit = "[accuracy]\nsequence_lengths = [200]\nepochs = 1\n"
    (found,) = problems(tmp_path, ("short", own), task=models, rest=SPEED + fit)
    assert found.endswith("length 200 is above 100")


def test_plain_classes_and_what_fails_without_values_alone_are_left_to_the_run(tmp_path: Path, models: str) -> None:
    plan = planned(tmp_path, ("models.py:Refusing", ""), ("valued", ""), task=models)
    assert {case.variant.label for case in plan.cases} == {"Refusing", "valued"}


def test_weights_from_elsewhere_are_not_fetched_for_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.tasks.data.checkpoints.fetch", lambda _: pytest.fail("it was fetched"))
    entries = [("bert", f'weights = "{name}"\nlabel = "{place}"') for place, name in enumerate(("minilm", "hub:a/b"))]
    short = SPEED.replace("[16, 600]", "[16]")
    assert planned(tmp_path, *entries, rest=short).pretrained == ("minilm", "hub:a/b")


def test_it_leaves_the_random_state_as_it_was(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    planned(tmp_path, ("grid-lstm", ""), ("textcnn", ""))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.slow
def test_planning_the_default_suite_does_not_import_the_compiler() -> None:
    code = "import sys\nfrom bench.cli.planning import planned\nplanned('quick')\nprint('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"  # importing it takes a second, building all of its variants 0.01 s
