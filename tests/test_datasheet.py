"""All about one architecture, or one task: figures that others give as well, and what nobody can tell is said to be so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from bench import contracts
from bench.architectures import ARCHITECTURES
from bench.cli import main, sheets
from bench.datasheet import ArchitectureSheet, State, TaskSheet, of_architecture, of_task
from bench.errors import ExitCode, ModelError, UsageError
from bench.jobs import Job, JobKind
from bench.passes.cost import count_on_meta
from bench.records import Case, Measure, Variant
from bench.tasks import TASKS

HERE = Path(__file__).parent
PLAIN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, vocab_size, size, num_classes):
        super().__init__()
        self.table = nn.Embedding(vocab_size, size)
        self.head = nn.Linear(size, num_classes)
    def forward(self, inputs):
        return self.head(self.table(inputs).mean(1))

class Pictures(nn.Module):
    '''Looks at pictures.

    And nothing else.
    '''
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.look = nn.Conv2d(in_channels, num_classes, 3)
    def forward(self, inputs):
        return self.look(inputs).mean((2, 3))

class OffMeta(Pictures):
    def forward(self, inputs):
        return super().forward(inputs) * float(inputs.max() >= 0)

class Nowhere(nn.Module):
    def __init__(self):
        super().__init__()
    def forward(self, inputs):
        raise ValueError("no")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.py").write_text(PLAIN)
    return tmp_path


def drawn(sheet: ArchitectureSheet | TaskSheet) -> str:
    """What stands on a wide terminal, with single spaces."""
    console = Console(width=200, force_terminal=False, color_system=None)
    with console.capture() as capture:
        for part in sheets.architecture(sheet) if isinstance(sheet, ArchitectureSheet) else sheets.task(sheet):
            console.print(part)
    return " ".join(capture.get().split())


def states(sheet: ArchitectureSheet) -> dict[str, State]:
    return {one.name: one.state for one in sheet.contracts}


# ── built-ins ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_name_tells_everything() -> None:
    sheet = of_architecture("lstm", HERE)
    assert (sheet.inputs, sheet.width) == (("tokens", "vectors"), "hidden_dim")
    assert sheet.outputs == ("classes", "step_classes", "value")
    assert (sheet.streams, sheet.task, sheet.sequence_length) == (True, "imdb", 256)
    assert {one.name: one.default for one in sheet.hyperparameters} == ARCHITECTURES.get("lstm").defaults()
    dropout = next(one for one in sheet.hyperparameters if one.name == "dropout")
    assert (dropout.at_least, dropout.below, dropout.required) == (0, 1, False)
    assert {name for name, state in states(sheet).items() if state is not State.GREEN} == {"causality", "decoding"}
    assert {states(sheet)[name] for name in ("causality", "decoding")} == {State.NOT_ASKED}
    assert list(states(sheet)) == list(contracts.CONTRACTS)
    fits = {one.name: one.fits for one in sheet.tasks}
    assert (fits["imdb"], fits["images"], fits["text-classification"]) == (True, False, None)
    assert next(one.reason for one in sheet.tasks if one.name == "images") == "image in, classes out"
    assert {"quick", "sentiment"} <= set(sheet.suites)
    assert "images" not in sheet.suites


def test_it_fits_a_sheet_of_screen() -> None:
    said = drawn(of_architecture("textcnn", HERE))
    for part in ("textcnn: parallel n-gram", "source Kim 2014", "width num_filters", "streams yes", "3, 4, 5"):
        assert part in said
    # 20,000 words of 128, windows of 3, 4 and 5 of them for 100 filters each, two classes
    assert 20_000 * 128 + (12 * 128 + 3) * 100 + 301 * 2 == 2_714_502
    assert "On imdb at length 256, with its defaults: parameters 2,714,502, by its closed form" in said
    assert "not told text-classification (needs file)" in said
    assert "padding green A text by itself" in said
    assert "dropout 0.5 from 0, below 1" in said


@pytest.mark.parametrize("name", ["rnn", "transformer", "cnn", "mlp"])
def test_cost_is_what_a_run_would_count(name: str) -> None:
    sheet = of_architecture(name, HERE)
    assert sheet.task is not None
    case = Case(
        id="x",
        definition_hash="x",
        task=sheet.task,
        variant=Variant(architecture=name, label=name, hyperparameters={}),
        workload="inference",
        sequence_length=sheet.sequence_length,
        batch_size=4,
        precision="fp32",
        device="cpu",
        threads=1,
    )
    counted, items = count_on_meta(Job(kind=JobKind.PASS, case=case, measure=Measure()))
    assert sheet.cost.flops_per_item == counted.flops / items
    task = TASKS.get(sheet.task).make(TASKS.get(sheet.task).options())
    architecture = ARCHITECTURES.get(name)
    model = architecture.build(task.spec(sheet.sequence_length), architecture.hyperparameters())
    assert sheet.cost.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_what_is_given_replaces_defaults() -> None:
    sheet = of_architecture("rnn", HERE, {"bidirectional": True})
    assert sheet.streams is False
    default = of_architecture("rnn", HERE)
    assert (sheet.cost.parameters or 0) > (default.cost.parameters or 0)
    assert "with bidirectional = yes:" in drawn(sheet)
    assert f"streams no: {sheet.not_streaming}" in drawn(sheet)
    with pytest.raises(UsageError, match="rnn: 'num_layer' is unknown; did you mean 'num_layers'"):
        of_architecture("rnn", HERE, {"num_layer": 2})


def test_it_leaves_the_random_state_as_it_was() -> None:
    before = torch.random.get_rng_state()
    of_architecture("nbow", HERE)
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'lstm'"):
        of_architecture("lstn", HERE)


# ── the user's own ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_class_that_needs_arguments_says_which(folder: Path) -> None:
    sheet = of_architecture("plain.py:Net", folder)
    assert (sheet.needs, sheet.streams, sheet.task, sheet.summary) == (("size",), None, None, "")
    assert set(states(sheet).values()) == {State.NOT_ASKED}
    assert sheet.cost.reasons == {"parameters": "needs size", "flops_per_item": "needs size"}
    said = drawn(sheet)
    assert "give what has no default, --set size=..." in said
    assert "size must be given" in said
    assert "contract now" not in said


def test_a_class_with_its_arguments_is_held_to_the_contracts(folder: Path) -> None:
    sheet = of_architecture("plain.py:Net", folder, {"size": 8})
    assert sheet.cost.parameters == 20_000 * 8 + 9 * 2
    assert not sheet.cost.closed_form
    assert states(sheet)["padding"] is State.RED
    assert states(sheet)["parameter_count"] is State.NOT_ASKED
    reasons = {one.name: one.reason for one in sheet.contracts}
    assert "is answered differently" in reasons["padding"]
    assert reasons["parameter_count"] == "no closed form is known"
    tasks = {one.name: one for one in sheet.tasks}
    assert all(tasks[name].fits for name in ("imdb", "first-token", "parity", "recall"))
    assert tasks["images"].fits is False
    assert tasks["images"].reason.startswith("'plain.py:Net': the task gives no 'vocab_size'")


def test_a_class_for_pictures_has_no_padding_to_ignore(folder: Path) -> None:
    sheet = of_architecture("plain.py:Pictures", folder)
    assert (sheet.summary, sheet.task, sheet.sequence_length) == ("Looks at pictures.", "images", None)
    assert next(one.reason for one in sheet.contracts if one.name == "padding") == "items have no length"
    assert "On images, with its defaults:" in drawn(sheet)


def test_what_cannot_run_without_values_has_no_known_cost(folder: Path) -> None:
    sheet = of_architecture("plain.py:OffMeta", folder)
    assert states(sheet)["meta"] is State.RED
    assert states(sheet)["rows"] is State.GREEN
    assert (sheet.cost.parameters, sheet.cost.flops_per_item) == (10 * 9 + 10, None)
    assert list(sheet.cost.reasons) == ["flops_per_item"]
    assert sheet.cost.reasons["flops_per_item"].startswith("it does not run on `meta`")
    assert "forward n/a: it does not run on `meta`" in drawn(sheet)


def test_a_model_that_fits_nothing_says_so(folder: Path) -> None:
    sheet = of_architecture("plain.py:Nowhere", folder)
    assert sheet.task is None
    assert not any(one.fits for one in sheet.tasks)
    assert "fits none of the tasks that are here" in drawn(sheet)
    with pytest.raises(ModelError, match="did you mean 'Pictures'"):
        of_architecture("plain.py:Picture", folder)


# ── tasks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_task_tells_who_fits_and_what_knowing_nothing_scores() -> None:
    sheet = of_task("imdb")
    assert (sheet.inputs, sheet.outputs, sheet.classes, sheet.chance, sheet.folds) == ("tokens", "classes", 2, 0.5, 0)
    assert sheet.architectures is not None
    assert {"lstm", "textcnn"} <= set(sheet.architectures)
    assert not {"cnn", "mlp"} & set(sheet.architectures)
    said = drawn(sheet)
    assert "headline accuracy; knowing nothing scores 50.0 %" in said
    assert "vocabulary_size 20000 from 3" in said
    assert "split 5 folds" in drawn(of_task("tabular"))


def test_a_task_that_needs_a_file_says_so() -> None:
    sheet = of_task("text-classification")
    assert (sheet.reason, sheet.inputs, sheet.architectures) == ("needs file", None, None)
    assert "(needs file)" in drawn(sheet)
    with pytest.raises(UsageError, match="did you mean 'imdb'"):
        of_task("imbd")


# ── the command line ───────────────────────────────────────────────────────────────────────────────────────────────


def left(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return int(exit_info.value.code or 0)


def test_json_is_an_array_of_one_object_with_every_field(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert left("list", "architectures", "plain.py:Net", "--set", "size=8", "--format", "json") == ExitCode.OK
    (row,) = json.loads(capsys.readouterr().out)
    fields: dict[str, Any] = {"name": "plain.py:Net", "given": {"size": 8}, "task": "imdb"}
    assert row.items() >= fields.items()
    assert row["cost"]["parameters"] == 160_018
    assert set(row) == set(ArchitectureSheet.__dataclass_fields__)
    assert left("list", "tasks", "parity", "--format", "json") == ExitCode.OK
    (row,) = json.loads(capsys.readouterr().out)
    assert set(row) == set(TaskSheet.__dataclass_fields__)
    assert row["metrics"][0].keys() == {"name", "title", "unit", "better"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["architectures", "lstn"], "did you mean 'lstm'?"),
        (["architectures", "plain.py:Nett"], "did you mean 'Net'?"),
        (["architectures", "nothing.py:Net"], "there is no such file"),
        (["architectures", "lstm", "--set", "hiden_dim=3"], "did you mean 'hidden_dim'?"),
        (["architectures", "lstm", "--set", "hidden_dim"], "expected key=value"),
        (["architectures", "--set", "hidden_dim=3"], "--set"),
        (["architectures", "--import", "nothing.py"], "there is no such file"),
        (["tasks", "imbd"], "did you mean 'imdb'?"),
        (["workloads", "infernce"], "did you mean 'inference'?"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_mistakes_are_one_sentence(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    assert left("list", *arguments) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert says in said
    assert said.count("\n") == 1


def test_a_workload_tells_its_axes_and_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    assert left("list", "workloads", "step") == ExitCode.OK
    said = capsys.readouterr().out
    assert "state_bytes" in said
    assert "sequence_length" in said
    assert left("list", "workloads", "step", "--format", "json") == ExitCode.OK
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["step"]
