"""One more token: the same answer as `forward` on everything so far, from a state whose size is known in closed form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scripted import case
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES, State, Streaming
from bench.architectures.foreign import lookup
from bench.batch import forward
from bench.errors import SuiteError
from bench.estimates import estimates
from bench.jobs import Job, JobKind
from bench.observations import CaseResult, Trial
from bench.plan import resolve
from bench.records import Case, LengthDistribution, Measure, Outcome, Variant
from bench.spec import InputKind, OutputKind, Spec
from bench.subjects import measured
from bench.suite import load
from bench.workloads import WORKLOADS

LENGTH = 12
TOKENS = Spec(
    inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=LENGTH, vocabulary_size=50, classes=3
)
VECTORS = Spec(inputs=InputKind.VECTORS, outputs=OutputKind.CLASSES, sequence_length=LENGTH, input_size=6, classes=3)
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *(("goru", options) for options in ({}, {"rotations": 3, "num_layers": 2})),
    *((name, options) for name in ("s4d", "mamba") for options in ({}, {"num_layers": 3, "state_dim": 4})),
    ("nbow", {}),
    *((name, options) for name in ("rnn", "lstm", "gru", "attention-rnn") for options in ({}, {"num_layers": 3})),
    *(("lstm", {"forget_gate": False, "num_layers": layers}) for layers in (1, 3)),
    ("rnn", {"nonlinearity": "relu", "init": "identity"}),
    ("attention-rnn", {"cell": "gru", "score": "dot", "window": 4}),
    ("attention-rnn", {"cell": "rnn", "window": 2}),
    ("textcnn", {}),
    ("textcnn", {"kernel_sizes": (1, 7, 2)}),
    ("textcnn", {"kernel_sizes": (1,)}),
    *(("transformer", {"positions": positions}) for positions in ("learned", "sinusoidal", "none")),
    ("transformer", {"pooling": "cls", "num_layers": 1}),
    *(("grid-lstm", options) for options in ({}, {"num_layers": 1}, {"num_layers": 3, "tied": True})),
    *(("tcn", options) for options in ({}, {"num_layers": 2, "kernel_size": 5}, {"hidden_dim": 12})),
    *((name, options) for name in ("mingru", "minlstm") for options in ({}, {"num_layers": 1})),
    *(("linear-attention", {"positions": positions}) for positions in ("learned", "sinusoidal", "none")),
]
each_variant = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)


def build(name: str, options: dict[str, Any], spec: Spec = TOKENS) -> tuple[nn.Module, Streaming]:
    """The model, and the same one in its role."""
    architecture = lookup(name, Path())
    torch.manual_seed(0)
    model = architecture.build(spec, architecture.hyperparameters(**options)).eval()
    assert isinstance(model, Streaming)
    return model, model


def inputs(spec: Spec = TOKENS, rows: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if spec.inputs is InputKind.TOKENS:
        return torch.randint(2, 50, (rows, LENGTH), generator=generator)
    return torch.randn(rows, LENGTH, 6, generator=generator)


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item()


# ── the same answer as forward ─────────────────────────────────────────────────────────────────────────────────────


@each_variant
@pytest.mark.parametrize("spec", [TOKENS, VECTORS], ids=["tokens", "vectors"])
@torch.no_grad()
def test_token_by_token_answers_as_forward_on_the_prefix(name: str, options: dict[str, Any], spec: Spec) -> None:
    model, streaming = build(name, options, spec)
    whole = inputs(spec)
    state = streaming.init_state(whole[:, :0])
    for place in range(LENGTH):
        output, state = streaming.step(whole[:, place], state)
        assert difference(output, model(whole[:, : place + 1])) <= 1e-5


IN_ORDER = ("rnn", "lstm", "gru", "grid-lstm", "goru", "tcn", "mingru", "minlstm", "linear-attention")


@pytest.mark.parametrize(("name", "options"), [entry for entry in VARIANTS if entry[0] in IN_ORDER], ids=str)
@torch.no_grad()
def test_where_each_step_has_a_class_no_later_token_matters(name: str, options: dict[str, Any]) -> None:
    model, streaming = build(name, options, replace(TOKENS, outputs=OutputKind.STEP_CLASSES))
    whole = inputs()
    at_once = model(whole)
    state = streaming.init_state(whole[:, :0])
    for place in range(LENGTH):
        output, state = streaming.step(whole[:, place], state)
        assert difference(output, at_once[:, place]) <= 1e-5
    changed = whole.clone()
    changed[:, 5] = 1 + (whole[:, 5] + 7) % 49
    moved = (model(changed) - at_once).abs().amax(dim=2)
    assert moved[:, :5].max() <= 1e-6
    assert moved[:, 5].min() > 1e-5


@each_variant
@pytest.mark.parametrize("prefix", [1, 3, LENGTH - 1])
@torch.no_grad()
def test_a_prefix_read_at_once_leaves_the_state_that_its_tokens_leave(
    name: str, options: dict[str, Any], prefix: int
) -> None:
    _, streaming = build(name, options)
    whole = inputs()
    state = streaming.init_state(whole[:, :0])
    for place in range(prefix):
        _, state = streaming.step(whole[:, place], state)
    at_once = streaming.init_state(whole[:, :prefix])
    for one, other in zip(state, at_once, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)  # minus infinity equals itself


@each_variant
@torch.no_grad()
def test_a_step_leaves_the_state_that_it_starts_from_as_it_was(name: str, options: dict[str, Any]) -> None:
    _, streaming = build(name, options)
    whole = inputs()
    state = streaming.init_state(whole[:, :5])
    before = [tensor.clone() for tensor in state]
    first, _ = streaming.step(whole[:, 5], state)
    again, _ = streaming.step(whole[:, 5], state)
    assert torch.equal(first, again)
    assert all(torch.equal(one, other) for one, other in zip(state, before, strict=True))


@torch.no_grad()
def test_a_sum_in_bf16_goes_on_growing() -> None:
    model, streaming = build("nbow", {})
    model.to(torch.bfloat16)
    word = torch.tensor([7])
    state = streaming.init_state(word[:, None])
    for _ in range(1000):
        _, state = streaming.step(word, state)
    embedding = model.get_parameter("embedding.table.weight")[7].float()
    assert state[1] == 1001
    assert difference(state[0][0] / 1001, embedding) <= 1e-4


# ── who streams ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ARCHITECTURES.built_in())
def test_an_architecture_is_said_to_stream_if_its_model_does(name: str) -> None:
    architecture = lookup(name, Path())
    spec = Spec(
        inputs=sorted(architecture.inputs)[0],
        outputs=sorted(architecture.outputs)[0],
        sequence_length=8,
        vocabulary_size=50,
        input_size=6,
        image_shape=(1, 8, 8),
        classes=3,
        target_vocabulary_size=7,
        target_length=4,
    )
    settings = architecture.hyperparameters()
    says = not architecture.not_streaming(settings)
    assert isinstance(architecture.build(spec, settings), Streaming) is says


def test_one_that_reads_both_ways_does_not_stream() -> None:
    architecture = lookup("gru", Path())
    assert "last word" in architecture.not_streaming(architecture.hyperparameters(bidirectional=True))


# ── what is measured ───────────────────────────────────────────────────────────────────────────────────────────────


def step_case(name: str, **more: object) -> Case:
    variant = Variant(architecture=name, label=name, hyperparameters={})
    return replace(case(name, workload="step", variant=variant, sequence_length=20, batch_size=3), **more)  # type: ignore[arg-type]


def step_job(one: Case) -> Job:
    return Job(kind=JobKind.TRIAL, case=one, measure=Measure(), seed=3)


STATE_BYTES = {
    "nbow": 3 * 128 * 4 + 8,  # a sum, and the count
    "rnn": 3 * 128 * 4,
    "lstm": 2 * 3 * 128 * 4,  # hidden and cell
    "gru": 3 * 128 * 4,
    "attention-rnn": 2 * 3 * 128 * 4 + 2 * 3 * 20 * 128 * 4,  # those of an lstm, then 20 outputs and their keys
    "goru": 3 * 128 * 4,
    "mingru": 2 * 3 * 128 * 4,
    "minlstm": 2 * 3 * 128 * 4,
    "tcn": 3 * (2 * 2 * (1 + 2 + 4)) * 128 * 4,  # 28 earlier inputs of convolutions: three blocks see 20 positions
    "linear-attention": 2 * 3 * 4 * 16 * 17 * 4 + 8,  # per layer and head a matrix and a vector, and the count
    "s4d": 2 * 3 * 64 * 32 * 8,  # complex, one of each pair
    "mamba": 2 * 3 * 128 * (16 + 3) * 4,  # what the convolution looks back at, and the states of two layers
    "grid-lstm": 2 * 2 * 3 * 128 * 4,  # hidden state and memory of two layers along time
    "textcnn": 3 * 128 * 4 * 4 + 3 * 3 * 100 * 4,  # four embeddings, and the maxima of three groups of filters
    "transformer": 3 * 20 * 8,  # token ids
}


@pytest.mark.parametrize("name", STATE_BYTES)
@torch.inference_mode()
def test_a_call_is_the_last_word_again_and_again(name: str) -> None:
    subject, step = measured(step_job(step_case(name)))
    assert (step.items, step.tokens, step.real_tokens) == (3, 3, 3)
    assert step.state_bytes == STATE_BYTES[name]
    assert not subject.model.training
    expected = [forward(subject.model, batch, subject.spec) for batch in subject.batches]
    for answer in (*expected, *expected):
        found = step.call()
        assert isinstance(found, Tensor)
        assert difference(found, answer) <= 1e-5


def test_what_came_before_is_read_outside_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    _, streaming = build("gru", {})
    read: list[str] = []
    kind: Any = type(streaming)
    init_state, step = kind.init_state, kind.step

    def reading(self: Any, prefix: Tensor) -> State:
        read.append(f"prefix of {prefix.shape[1]}")
        state: State = init_state(self, prefix)
        return state

    def stepping(self: Any, word: Tensor, state: State) -> object:
        read.append(f"word {tuple(word.shape)}")
        return step(self, word, state)

    monkeypatch.setattr(kind, "init_state", reading)
    monkeypatch.setattr(kind, "step", stepping)
    _, prepared = measured(step_job(step_case("gru")))
    assert set(read) == {"prefix of 19", "prefix of 20"}
    read.clear()
    prepared.call()
    prepared.call()
    assert read == ["word (3,)", "word (3,)"]


def test_lower_precisions_cast_weights_and_state() -> None:
    subject, step = measured(step_job(step_case("lstm", precision="bf16")))
    assert {parameter.dtype for parameter in subject.model.parameters()} == {torch.bfloat16}
    assert step.state_bytes == STATE_BYTES["lstm"] / 2


def test_a_steps_latency_and_state_are_metrics_of_their_own() -> None:
    def found(state_bytes: int | None) -> dict[str, Any]:
        trials = [
            Trial(case_id="", round=place, outcome=Outcome.OK, samples_s=(1e-3 * place,), state_bytes=state_bytes)
            for place in (1, 2, 3)
        ]
        return estimates(CaseResult(case=step_case("lstm"), trials=tuple(trials)))

    with_state = found(3072)
    assert with_state["step_s"] == with_state["latency_s"]
    assert with_state["state_bytes"].value == 3072
    assert not {"step_s", "state_bytes"} & set(found(None))


# ── suites ─────────────────────────────────────────────────────────────────────────────────────────────────────────

STEPS = """
name = "steps"
task = "imdb"
[[architecture]]
name = "lstm"
[[architecture]]
name = "lstm"
label = "both ways"
bidirectional = true
[speed]
workloads = ["inference", "step"]
sequence_lengths = [64]
batch_sizes = [1]
length_distributions = ["fixed", "uniform"]
"""


def planned(folder: Path, text: str) -> tuple[Case, ...]:
    path = folder / "mine.toml"
    path.write_text(text)
    return resolve(load(path), device="cpu", threads=2).cases


def test_who_cannot_stream_is_skipped_for_steps_alone(tmp_path: Path) -> None:
    cases = planned(tmp_path, STEPS)
    skipped = {case.id: case.skip for case in cases if case.skip}
    assert list(skipped) == ["imdb/both-ways/step/L64-B1-fp32-cpu-t2"]
    assert "both ways cannot answer word by word" in skipped["imdb/both-ways/step/L64-B1-fp32-cpu-t2"]


def test_a_step_has_no_padding_to_be_spread(tmp_path: Path) -> None:
    steps = [case for case in planned(tmp_path, STEPS) if case.workload == "step"]
    assert {case.length_distribution for case in steps} == {LengthDistribution.FIXED}
    assert len(steps) == 2


def test_a_task_without_sequences_has_no_steps(tmp_path: Path) -> None:
    text = STEPS.replace('"imdb"', '"tabular"').replace('"lstm"', '"mlp"').replace("bidirectional = true", "")
    text = text.replace("sequence_lengths = [64]", "").replace('length_distributions = ["fixed", "uniform"]', "")
    with pytest.raises(SuiteError, match=r"'speed.workloads': 'step' goes through a sequence, but task 'tabular' has"):
        planned(tmp_path, text)


def test_the_workload_says_what_it_yields() -> None:
    step = WORKLOADS.get("step")
    assert step.metrics[:2] == ("step_s", "state_bytes")
    assert step.streaming
    assert not WORKLOADS.get("inference").streaming
