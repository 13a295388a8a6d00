"""What must hold on a real GPU: it answers as the CPU does, trains, writes and streams there, and a suite runs through."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from scripted import case
from test_contracts import made_task, spec_of
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES, Architecture, Decoder, Streaming
from bench.batch import Batch, asked, forward
from bench.probes import backends
from bench.probes.clock import clock_for
from bench.records import FitSettings
from bench.spec import START_ID, Spec
from bench.tasks import Task
from bench.workloads import WORKLOADS, Subject
from bench.workloads.training import build_step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]
DEVICE = torch.device("cuda")
TASKS_TRIED = ("imdb", "images", "translation", "captions", "generation", "tabular", "pos", "forecast")
EVERY = ARCHITECTURES.built_in()


@pytest.fixture(autouse=True)
def exact() -> None:
    backends.apply("fp32", 2)


def fitting(name: str, folder: Path) -> tuple[Architecture, Task, Spec]:
    """An architecture with the first task that it is for."""
    architecture = ARCHITECTURES.get(name)
    for task_name in TASKS_TRIED:
        task = made_task(task_name, folder)
        spec = spec_of(task)
        if architecture.supports(spec):
            return architecture, task, spec
    raise AssertionError(f"{name} fits none of {TASKS_TRIED}")


def subject(name: str, folder: Path, *, precision: str = "fp32") -> Subject:
    architecture, task, spec = fitting(name, folder)
    torch.manual_seed(0)
    model = architecture.build(spec, architecture.hyperparameters())
    batch = task.random_batch(spec, 8, 0)
    return Subject(
        case=case(name, workload="training", precision=precision, device=DEVICE.type),
        task=task,
        spec=spec,
        architecture=architecture,
        model=model.to(DEVICE),
        device=DEVICE,
        batches=(batch.to(DEVICE),),
    )


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one.cpu(), other.cpu(), rtol=1e-3, atol=1e-3)


@torch.no_grad()
def answer(model: nn.Module, batch: Batch, spec: Spec) -> Tensor:
    return forward(model.eval(), batch, spec)


@pytest.mark.parametrize("name", EVERY)
def test_it_answers_as_on_the_cpu(name: str, tmp_path: Path) -> None:
    there = subject(name, tmp_path)
    said = answer(there.model, there.batches[0], there.spec)
    assert said.device.type == DEVICE.type
    close(said, answer(there.model.cpu(), there.batches[0].to(torch.device("cpu")), there.spec))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", EVERY)
def test_it_trains_in_every_precision(name: str, precision: str, tmp_path: Path) -> None:
    there = subject(name, tmp_path, precision=precision)
    before = {key: value.clone() for key, value in there.model.named_parameters()}
    step = build_step(there, FitSettings(epochs=1, batch_size=8), 1e-3)
    there.model.train()
    for _ in range(3):  # a scaler may leave the first steps out
        losses = step(there.batches[0])
    assert losses.device.type == DEVICE.type
    assert losses.isfinite().all()
    moved = [key for key, value in there.model.named_parameters() if not torch.equal(value, before[key])]
    assert len(moved) > len(before) // 2
    assert {parameter.dtype for parameter in there.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["rnn-seq2seq", "transformer-seq2seq", "cnn-rnn", "cnn-transformer"])
@torch.no_grad()
def test_what_writes_says_alone_what_it_says_of_all(name: str, tmp_path: Path) -> None:
    there = subject(name, tmp_path)
    batch, model = there.batches[0], there.model.eval()
    assert isinstance(model, Decoder)
    together = answer(there.model, batch, there.spec)
    state, tokens = model.start(batch.inputs, batch.lengths), torch.full_like(asked(batch)[:, 0], START_ID)
    for place in range(together.shape[1]):
        said, state = model.next(tokens, state)
        close(said, together[:, place])
        tokens = asked(batch)[:, place]


@pytest.mark.parametrize("name", EVERY)
@torch.no_grad()
def test_what_streams_says_after_the_last_token_what_it_says_of_all(name: str, tmp_path: Path) -> None:
    there = subject(name, tmp_path)
    model, batch = there.model.eval(), there.batches[0]
    if there.architecture.not_streaming(there.architecture.hyperparameters()):
        pytest.skip("it does not stream")
    assert isinstance(model, Streaming)
    said, _ = model.step(batch.inputs[:, -1], model.init_state(batch.inputs[:, :-1]))
    close(said, answer(there.model, batch, there.spec))


@pytest.mark.parametrize(
    ("name", "workload"), [("rnn-seq2seq", "decode"), ("cnn-transformer", "decode"), ("gan", "generate")]
)
def test_writing_and_drawing_are_timed_there(name: str, workload: str, tmp_path: Path) -> None:
    there = subject(name, tmp_path)
    asked_for = dataclasses.replace(there.case, workload=workload, new_tokens=4 if workload == "decode" else None)
    prepare = WORKLOADS.get(workload).prepare
    assert prepare is not None
    measured = prepare(dataclasses.replace(there, case=asked_for))
    clock = clock_for(DEVICE)
    assert clock.time(measured.call, 3) > 0
    if measured.marked is not None:
        parts = clock.parts(measured.marked)
        assert set(parts) == {"first_token", "token"}
        assert min(parts.values()) > 0


def test_a_suite_runs_through_and_tells_of_gpu_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench"]
    folders = ["--results", str(tmp_path / "results")]
    ran = subprocess.run(
        [*command, "run", "smoke", "--device", "cuda", "--reports", str(tmp_path), *folders],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = subprocess.run([*command, "report", "latest", "--format", "json", *folders], capture_output=True, check=True)
    rows: list[dict[str, Any]] = json.loads(told.stdout)
    assert {row["device"] for row in rows} == {"cuda"}
    peaks = [row["value"] for row in rows if row["metric"] == "peak_allocated_bytes"]
    assert peaks
    assert all(value is None or value > 0 for value in peaks)
