"""`torch.compile`: an axis of cases, what it leaves alone is skipped, and a cold compilation is cold."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from scripted import ScriptedServer, case, run_of
from torch import Tensor, nn

from bench import compilation
from bench.architectures import ARCHITECTURES
from bench.architectures.foreign import lookup
from bench.errors import NotMeasuredError, SuiteError
from bench.executors.local import Server
from bench.jobs import Job, JobKind
from bench.matrix import skip_reason
from bench.observations import End, Observation, Pass, Pilot, Stopped, Trial, gather
from bench.plan import resolve
from bench.progress import Progress
from bench.records import Case, Measure, Outcome, PassKind, Plan, Variant
from bench.runner import COMPILED, measure
from bench.spec import InputKind, OutputKind, Spec
from bench.suite import load

SUITE = """
name = "compiled"
task = "imdb"
[[architecture]]
name = "nbow"
[speed]
workloads = ["inference"]
sequence_lengths = [64]
batch_sizes = [1]
"""
SPEC = Spec(inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=16, vocabulary_size=50, classes=3)
# torch's own, when it imports its compiler
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is:DeprecationWarning")
WITH_COMPILER = pytest.mark.skipif(not compilation._has_compiler(), reason="no C++ compiler")


def planned(folder: Path, modes: str = "") -> Plan:
    path = folder / "mine.toml"
    path.write_text(SUITE + (f"compile = {modes}\n" if modes else ""))
    return resolve(load(path), device="cpu", threads=2)


def build(name: str, spec: Spec = SPEC) -> nn.Module:
    architecture = lookup(name, Path())
    torch.manual_seed(0)
    return architecture.build(spec, architecture.hyperparameters()).eval()


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A process as a child finds it, with a cache folder; leaves torch's settings as they were."""
    from torch._dynamo.utils import counters
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch._dynamo.reset()
    counters.clear()
    with config.patch(compile_threads=1, fx_graph_cache=True, cpp_cache_precompile_headers=False):
        yield str(tmp_path)
    torch._dynamo.reset()


# ── the axis ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_mode_makes_cases_of_its_own(tmp_path: Path) -> None:
    cases = planned(tmp_path, '["none", "default", "reduce-overhead"]').cases
    assert {case.compile: case.id for case in cases} == {
        "none": "imdb/nbow/inference/L64-B1-fp32-cpu-t2",
        "default": "imdb/nbow/inference/L64-B1-fp32-cpu-t2-default",
        "reduce-overhead": "imdb/nbow/inference/L64-B1-fp32-cpu-t2-reduce-overhead",
    }
    assert len({case.definition_hash for case in cases}) == 3
    assert planned(tmp_path).cases == cases[:1]


def test_cuda_graphs_are_skipped_on_cpu(tmp_path: Path) -> None:
    skips = [case.skip for case in planned(tmp_path, '["none", "default", "reduce-overhead"]').cases]
    assert skips[:2] == ["", ""]
    assert skips[2].startswith("reduce-overhead is not measured on cpu: ")
    assert not skip_reason("fp32", "cuda", "reduce-overhead")


def test_another_mode_is_a_suite_error(tmp_path: Path) -> None:
    with pytest.raises(
        SuiteError, match=r'compile.* is "max-autotune"; expected one of: default, none, reduce-overhead'
    ):
        planned(tmp_path, '["max-autotune"]')


# ── what cannot be compiled ────────────────────────────────────────────────────────────────────────────────────────


def test_the_lstm_of_1997_is_left_alone_too() -> None:
    architecture = ARCHITECTURES.get("lstm")
    model = architecture.build(SPEC, architecture.hyperparameters(forget_gate=False))
    assert "leaves ForgetlessLSTM as it is" in compilation.obstacle(model, "cpu")


@pytest.mark.parametrize(("name", "layer"), [("rnn", "RNN"), ("lstm", "LSTM"), ("gru", "GRU")])
def test_fused_recurrents_are_left_alone(name: str, layer: str, fresh: str) -> None:
    model = build(name)
    assert f"leaves {layer} as it is" in compilation.obstacle(model, "cpu")
    with pytest.raises(NotMeasuredError, match="not be its compiled time"):
        compilation.compile_model(model, case(compile="default"), fresh)
    # and rightly so: of all that such a model does, torch sees no more than the embedding
    graphs: list[list[str]] = []

    def recording(graph: torch.fx.GraphModule, _: object) -> Any:
        graphs.append([getattr(node.target, "__name__", "") for node in graph.graph.nodes if "call" in node.op])
        return graph.forward

    model.forward = torch.compile(model.forward, backend=recording)
    with torch.no_grad():
        model(torch.randint(2, 50, (2, 16)))
    assert graphs in ([], [["embedding"]])


@WITH_COMPILER
@pytest.mark.parametrize("name", ["nbow", "textcnn", "transformer"])
def test_nothing_stands_against_the_others(name: str) -> None:
    assert compilation.obstacle(build(name), "cpu") == ""


def test_without_a_compiler_there_is_nothing_to_time() -> None:
    from torch._inductor import config

    with config.patch("cpp.cxx", (None, "no-such-compiler")):
        assert "C++ compiler" in compilation.obstacle(build("nbow"), "cpu")


def test_nothing_is_done_where_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    model = build("lstm")
    compilation.compile_model(model, case(compile="none"), "somewhere")
    assert "forward" not in vars(model)
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
    compilation.require_graph(case(compile="none"))


class Closed(nn.Module):
    """Tells torch to keep out."""

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + 1


@WITH_COMPILER
def test_a_model_without_a_graph_is_not_timed_as_compiled(fresh: str) -> None:
    model = Closed()
    compilation.compile_model(model, case(compile="default"), fresh)
    assert torch.equal(model(torch.zeros(2)), torch.ones(2))
    with pytest.raises(NotMeasuredError, match="finds no graph"):
        compilation.require_graph(case(compile="default"))


# ── what comes of it ───────────────────────────────────────────────────────────────────────────────────────────────


class Layer(nn.Module):
    """A linear layer of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.linear(inputs)
        return result


class Between(nn.Module):
    """Two layers with something between them that torch cannot trace: two graphs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Layer(), Layer()

    def forward(self, inputs: Tensor) -> Tensor:
        between = self.first(inputs)
        torch._dynamo.graph_break()
        result: Tensor = self.second(between)
        return result


class Looping(Between):
    """The same in a loop: torch gives up all of `forward`, and compiles the layers by themselves."""

    def forward(self, inputs: Tensor) -> Tensor:
        for layer in (self.first, self.second):
            inputs = layer(inputs)
            torch._dynamo.graph_break()
        return inputs


@WITH_COMPILER
@pytest.mark.slow
@pytest.mark.parametrize("kind", [Between, Looping])
def test_graph_breaks_are_counted(kind: type[nn.Module], fresh: str) -> None:
    model = kind()
    compilation.compile_model(model, case(compile="default"), fresh)
    with torch.inference_mode():
        model(torch.zeros(2, 4))
    compilation.require_graph(case(compile="default"))
    assert compilation.graph_breaks() == 1


@WITH_COMPILER
@pytest.mark.slow
@pytest.mark.parametrize("root", ["an architecture", "torch's own"])
def test_a_compiled_model_answers_as_before_and_keeps_its_results(root: str, fresh: str) -> None:
    model = (
        build("nbow") if root == "an architecture" else nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 3), nn.ReLU())
    )
    tokens = torch.randint(2, 50, (3, 16), generator=torch.Generator().manual_seed(1))
    names, threads = set(model.state_dict()), threading.enumerate()
    with torch.inference_mode():
        before = model(tokens)
        compilation.compile_model(model, case(compile="default"), fresh)
        assert (model(tokens) - before).abs().max() <= 1e-4
    compilation.require_graph(case(compile="default"))
    assert compilation.graph_breaks() == 0
    assert set(model.state_dict()) == names
    assert list(Path(fresh).rglob("*.so"))
    # by this very thread: nothing is left that could outlive a child
    assert threading.enumerate() == threads
    assert psutil.Process().children(recursive=True) == []


@WITH_COMPILER
@pytest.mark.slow
def test_a_compiled_step_is_one_graph_and_answers_as_before(fresh: str) -> None:
    from torch._dynamo.utils import counters

    model: Any = build("textcnn")
    tokens = torch.randint(2, 50, (2, 16), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        state = model.init_state(tokens[:, :-1])
        before, _ = model.step(tokens[:, -1], state)
        compilation.compile_model(model, case(compile="default"), fresh)
        after, _ = model.step(tokens[:, -1], state)
    assert (after - before).abs().max() <= 1e-4
    assert counters["stats"]["unique_graphs"] == 1
    assert compilation.graph_breaks() == 0


# ── in children ────────────────────────────────────────────────────────────────────────────────────────────────────


def child_job(kind: JobKind, name: str, folder: Path, **more: object) -> Job:
    one = case(name, variant=Variant(architecture=name, label=name, hyperparameters={}), compile="default")
    measure = Measure(warmup_s=0.01, warmup_calls=3, warmup_cap_s=0.2)
    job = Job(kind=kind, case=one, measure=measure, compiled=str(folder / "compiled"), iterations=2, samples=10)
    return replace(job, **more)  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")
def test_a_pilot_says_that_there_is_nothing_to_compile(tmp_path: Path) -> None:
    with Server() as server:
        (pilot,) = server.run(child_job(JobKind.PILOT, "lstm", tmp_path))
    assert isinstance(pilot, Pilot)
    assert pilot.outcome is Outcome.SKIPPED
    assert pilot.reason.startswith("torch.compile leaves LSTM as it is")


@WITH_COMPILER
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")
def test_trials_share_what_was_compiled_and_a_cold_compilation_does_not(tmp_path: Path) -> None:
    with Server() as server:
        (first,) = server.run(child_job(JobKind.TRIAL, "nbow", tmp_path))
        kept = {path for path in (tmp_path / "compiled").rglob("*") if path.is_file()}
        (second,) = server.run(child_job(JobKind.TRIAL, "nbow", tmp_path))
        (cold,) = server.run(child_job(JobKind.PASS, "nbow", tmp_path, passing=PassKind.COMPILE))
    assert isinstance(first, Trial)
    assert isinstance(second, Trial)
    assert isinstance(cold, Pass)
    assert (first.outcome, second.outcome, cold.outcome) == (Outcome.OK,) * 3
    assert first.first_call_s is not None
    assert second.first_call_s is not None
    assert first.first_call_s > 2 * second.first_call_s
    # the cache was full by then
    compile_s = cold.values["compile_s"]
    assert compile_s is not None
    assert compile_s > 2 * second.first_call_s
    assert cold.values["graph_breaks"] == 0
    assert kept
    assert {path for path in (tmp_path / "compiled").rglob("*") if path.is_file()} == kept


# ── the run ────────────────────────────────────────────────────────────────────────────────────────────────────────


def observe(cases: tuple[Case, ...], server: ScriptedServer, folder: Path) -> list[Observation]:
    events = measure(run_of(*cases), [], folder, start_server=server)
    return [event for event in events if not isinstance(event, Progress)]


def test_what_cannot_be_compiled_is_tried_once_and_never_sampled(tmp_path: Path) -> None:
    def skipping(job: Job) -> list[Observation] | None:
        return [job.ended(Outcome.SKIPPED, "no graph")] if job.kind is JobKind.PILOT else None

    one = case(compile="default")
    observed = observe((one,), ScriptedServer(answer=skipping), tmp_path)
    assert [type(each) for each in observed[1:]] == [Pilot, Stopped, End]
    (result,) = gather(run_of(one).plan, observed)
    assert result.verdict == (Outcome.SKIPPED, "no graph")


def test_what_was_compiled_is_shared_within_a_run_and_gone_after_it(tmp_path: Path) -> None:
    folders: set[str] = set()

    def compiling(job: Job) -> None:
        folders.add(job.compiled)
        Path(job.compiled).mkdir(exist_ok=True)
        (Path(job.compiled) / "kernel.so").touch()

    observe((case(), case("gru")), ScriptedServer(answer=compiling), tmp_path)
    assert folders == {str(tmp_path / COMPILED)}
    assert not (tmp_path / COMPILED).exists()
