"""Mamba against plain loops in double precision: its scan in every cut, its gradient, its layers, and its steps."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional

from bench.architectures import ARCHITECTURES, selective_scan
from bench.architectures.mamba import Hyperparameters, Layer, build
from bench.architectures.selective_scan import SPAN, Blocks, accumulate, blocks
from bench.architectures.state_space import StateSpaceClassifier
from bench.contracts import check
from bench.options import fill
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks import TASKS

TOKENS = Spec(inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=40, vocabulary_size=20, classes=3)
STEPS = Spec(
    inputs=InputKind.TOKENS, outputs=OutputKind.STEP_CLASSES, sequence_length=40, vocabulary_size=20, classes=3
)
VALUES = Spec(inputs=InputKind.VECTORS, outputs=OutputKind.VALUE, sequence_length=40, input_size=6, output_size=2)
FORMS: list[dict[str, Any]] = [{}, {"embedding_dim": 17, "state_dim": 3, "num_layers": 3}]
each_form = pytest.mark.parametrize("options", FORMS, ids=str)
CUTS = [
    Blocks(3, 11, 1),  # all at once
    Blocks(3, 11, 3),  # stretches of 3, and two positions left over
    Blocks(2, 4, 2),  # a last block of one row and one of three positions
    Blocks(1, 5, 2),
    Blocks(3, 1, 1),
]
each_cut = pytest.mark.parametrize("cut", CUTS, ids=str)


@pytest.fixture
def cutting(cut: Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selective_scan, "blocks", lambda *_: cut)


def model_of(options: dict[str, Any], spec: Spec = TOKENS) -> StateSpaceClassifier:
    """A small model in `eval()`, away from where it starts."""
    torch.manual_seed(0)
    hyperparameters = Hyperparameters(**{"embedding_dim": 6, "state_dim": 4, **options})
    model = cast(StateSpaceClassifier, build(spec, hyperparameters)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model


def random_inputs(rows: int, columns: int, spec: Spec = TOKENS) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if spec.inputs is InputKind.TOKENS:
        return torch.randint(1, 20, (rows, columns), generator=generator)
    return torch.randn(rows, columns, 6, generator=generator)


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item() if one.numel() else 0.0


def scan_inputs(rows: int = 3, length: int = 11, channels: int = 2, states: int = 3) -> list[Tensor]:
    """Steps, drives, B, C, rates and the start, in double precision."""
    generator = torch.Generator().manual_seed(0)
    wide, narrow = (rows, length, channels), (rows, length, states)
    given = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in (wide, wide, narrow, narrow)]
    given[0] = functional.softplus(given[0])
    rate = -torch.rand(states, channels, generator=generator, dtype=torch.float64) - 0.1
    return [*given, rate, torch.randn(rows, states, channels, generator=generator, dtype=torch.float64)]


def plain_scan(
    step: Tensor, drive: Tensor, into: Tensor, out: Tensor, rate: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    """One number after the other."""
    outputs, last = torch.zeros_like(step), start.clone()
    for row in range(step.shape[0]):
        for channel in range(step.shape[2]):
            for state in range(len(rate)):
                h = start[row, state, channel].item()
                for place in range(step.shape[1]):
                    h *= math.exp(step[row, place, channel].item() * rate[state, channel].item())
                    h += drive[row, place, channel].item() * into[row, place, state].item()
                    outputs[row, place, channel] += out[row, place, state].item() * h
                last[row, state, channel] = h
    return outputs, last


# ── the scan ───────────────────────────────────────────────────────────────────────────────────────────────────────


@each_cut
@pytest.mark.parametrize("length", [1, 2, 11])
@pytest.mark.usefixtures("cutting")
def test_the_scan_is_the_plain_double_loop(length: int) -> None:
    given = scan_inputs(length=length)
    for found, expected in zip(selective_scan.selective_scan(*given), plain_scan(*given), strict=True):
        assert difference(found, expected) <= 1e-10


@each_cut
@pytest.mark.usefixtures("cutting")
def test_gradcheck_in_every_cut() -> None:
    *given, start = scan_inputs(length=7, states=2)
    assert gradcheck(
        lambda *inputs: selective_scan.selective_scan(*inputs, start)[0], [each.requires_grad_() for each in given]
    )


def test_the_last_state_has_no_gradient() -> None:
    given = [each.requires_grad_() for each in scan_inputs()]
    outputs, last = selective_scan.selective_scan(*given)
    assert outputs.requires_grad
    assert not last.requires_grad
    assert torch.autograd.grad(outputs.sum(), given[-1], allow_unused=True) == (None,)


def test_autocast_does_not_reach_the_scan_or_its_gradient() -> None:
    *given, start = (each.float() for each in scan_inputs())
    inputs = [each.requires_grad_() for each in given]

    def scanned() -> list[Tensor]:
        outputs, last = selective_scan.selective_scan(*inputs, start)
        return [outputs, last, *torch.autograd.grad(outputs.square().sum(), inputs)]

    expected = scanned()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = scanned()
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("parts", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [0, 1, 3, 4, 11, 12])
def test_what_is_left_is_carried_on_in_either_direction(length: int, parts: int, backwards: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    values, decays = (torch.rand(2, length, 3, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    carry = torch.rand(2, 3, 2, generator=generator, dtype=torch.float64)
    expected, before, last = values.clone(), decays.clone(), carry
    for place in list(range(length))[:: -1 if backwards else 1]:
        expected[:, place] += decays[:, place] * last
        last = expected[:, place]
    found = accumulate(values, decays, carry, parts, backwards=backwards)
    assert difference(values, expected) <= 1e-12
    assert difference(found, last) <= 1e-12
    assert torch.equal(decays, before)


@pytest.mark.parametrize("cut", [Blocks(3, 64, 8), Blocks(3, 64, 1)], ids=str)
@pytest.mark.usefixtures("cutting")
def test_large_and_tiny_steps_stay_finite() -> None:
    *given, start = (each.float() for each in scan_inputs(length=64))
    given[0] = torch.where(torch.arange(64)[:, None] % 2 == 0, 1e4, 1e-6) * given[0]
    outputs, _ = selective_scan.selective_scan(*(each.requires_grad_() for each in given), start)
    assert outputs.isfinite().all()
    assert difference(outputs, plain_scan(*(each.detach() for each in given), start)[0]) <= 1e-5
    for gradient in torch.autograd.grad(outputs.sum(), given):
        assert gradient.isfinite().all()


def test_blocks_hold_what_fits_and_few_states_are_kept() -> None:
    for rows, length, channels in [
        (1, 256, 256),
        (32, 256, 256),
        (7, 5, 3),
        (1, 1, 1),
        (1, 100_000, 16),
        (2, 9, 10**6),
    ]:
        cut = blocks(torch.zeros(1).expand(rows, length, channels), 16)
        assert 1 <= cut.rows <= rows
        assert min(SPAN, length) <= cut.span <= length
        assert 1 <= cut.parts <= cut.span
        assert cut.rows * cut.span * 16 * channels <= max(2**19, SPAN * 16 * channels)


# ── the model ──────────────────────────────────────────────────────────────────────────────────────────────────────


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    return x / torch.sqrt((x * x).mean(dim=-1, keepdim=True) + 1e-5) * weight


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def plain_layer(layer: Layer, x_LD: Tensor) -> Tensor:
    """One text, from the formulas of the paper."""
    inner, states = layer.log_rate.shape
    entering, gate = (rms_norm(x_LD, layer.norm.weight) @ layer.entrance.weight.T).split(inner, dim=1)
    past = torch.cat([entering.new_zeros(3, inner), entering])
    filtered = torch.stack(
        [(past[place : place + 4].T * layer.convolution.weight[:, 0]).sum(dim=1) for place in range(len(x_LD))]
    )
    u = silu(filtered + layer.convolution.bias)
    low, into, out = (u @ layer.selection.weight.T).split([layer.step_size.in_features, states, states], dim=1)
    step = torch.log1p(torch.exp(low @ layer.step_size.weight.T + layer.step_size.bias))
    rate = -torch.exp(layer.log_rate).T
    start = torch.zeros(1, states, inner, dtype=torch.float64)
    y = plain_scan(step[None], (step * u)[None], into[None], out[None], rate, start)[0][0] + layer.skip * u
    return x_LD + (y * silu(gate)) @ layer.exit.weight.T


def plain_logits(model: StateSpaceClassifier, words: Tensor) -> Tensor:
    """All logits (L, C) of one text."""
    x_LD = model.embedding(words)
    for layer in model.layers:
        x_LD = plain_layer(cast(Layer, layer), x_LD)
    return rms_norm(x_LD, model.norm.weight) @ model.classifier.weight.T + model.classifier.bias


@each_form
@pytest.mark.parametrize("spec", [TOKENS, VALUES, STEPS], ids=["classes", "values", "each step"])
@torch.no_grad()
def test_mamba_equals_a_plain_loop_over_each_text(options: dict[str, Any], spec: Spec) -> None:
    model, lengths = model_of(options, spec).double(), [9, 1, 4]
    batch = random_inputs(3, 9, spec)
    if batch.is_floating_point():
        batch = batch.double()
    found = model(batch, torch.tensor(lengths))
    for place, length in enumerate(lengths):
        expected = plain_logits(model, batch[place, :length])
        if spec.outputs is OutputKind.STEP_CLASSES:
            assert difference(found[place, :length], expected) <= 1e-10
        else:
            assert difference(found[place], expected[-1]) <= 1e-10


@pytest.mark.slow
@torch.no_grad()
def test_a_layer_equals_that_of_transformers() -> None:
    pytest.importorskip("transformers", reason="transformers is an extra")
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    layer = cast(Layer, model_of({"embedding_dim": 24, "state_dim": 5}).layers[0])
    config = MambaConfig(hidden_size=24, state_size=5, num_hidden_layers=1, vocab_size=8)
    mixer = MambaMixer(config, layer_idx=0).eval()
    names = {
        "in_proj": "entrance", "conv1d": "convolution", "x_proj": "selection", "dt_proj": "step_size",
        "A_log": "log_rate", "D": "skip", "out_proj": "exit",
    }  # fmt: skip
    own = layer.state_dict()
    mixer.load_state_dict(
        {key: own[key.replace(key.split(".")[0], names[key.split(".")[0]])] for key in mixer.state_dict()}
    )
    x = torch.randn(2, 40, 24, generator=torch.Generator().manual_seed(0))
    assert difference(layer(x), x + mixer(layer.norm(x))) <= 1e-5


def test_steps_and_rates_start_as_published() -> None:
    torch.manual_seed(0)
    layer = Layer(Hyperparameters(embedding_dim=256, state_dim=5))
    steps = functional.softplus(layer.step_size.bias)
    assert 0.00099 <= steps.min() < 0.0012
    assert 0.08 < steps.max() <= 0.101
    assert layer.step_size.in_features == 16
    assert layer.step_size.weight.abs().max() <= 16**-0.5
    assert difference(layer.log_rate.exp(), torch.arange(1.0, 6).expand(512, 5)) <= 1e-5
    assert layer.skip.tolist() == [1.0] * 512


@each_form
@torch.no_grad()
def test_what_comes_later_changes_nothing_before(options: dict[str, Any]) -> None:
    model, inputs = model_of(options, STEPS), random_inputs(3, 20)
    changed = inputs.clone()
    changed[:, 12:] = 1 + changed[:, 12:] % 19
    before, after = model(inputs), model(changed)
    assert difference(before[:, :12], after[:, :12]) <= 1e-6
    assert difference(before[:, 12], after[:, 12]) > 1e-3


@each_form
@pytest.mark.parametrize("task_name", ["imdb", "first-token"])
def test_every_contract_is_kept(options: dict[str, Any], task_name: str) -> None:
    kind = TASKS.get(task_name)
    task = kind.make(fill(kind.options, {})[0])
    assert check(ARCHITECTURES.get("mamba"), task, task.spec(40), Hyperparameters(**options)) == {}


@each_form
@torch.inference_mode()
def test_steps_answer_as_forward(options: dict[str, Any]) -> None:
    model, inputs = model_of(options), random_inputs(3, 10)
    state = model.init_state(inputs[:, :0])
    for place in range(10):
        kept = [part.clone() for part in state]
        output, after = model.step(inputs[:, place], state)
        assert all(torch.equal(*pair) for pair in zip(state, kept, strict=True))
        state = after
        assert difference(output, model(inputs[:, : place + 1])) <= 1e-5
    for one, other in zip(state, model.init_state(inputs), strict=True):
        assert difference(one, other) <= 1e-5


@each_form
def test_lower_precisions(options: dict[str, Any]) -> None:
    model, inputs, lengths = (
        model_of({"embedding_dim": 32, **options}),
        random_inputs(4, 12),
        torch.tensor([12, 1, 5, 9]),
    )
    expected = model(inputs, lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(inputs, lengths)
        functional.cross_entropy(logits.float(), torch.arange(4) % 3).backward()  # type: ignore[no-untyped-call]
    assert logits.dtype == torch.bfloat16
    assert difference(logits.float(), expected) <= 0.05 * expected.abs().max().item() + 0.02
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.to_dense().isfinite().all()
    model.to(torch.bfloat16)
    with torch.inference_mode():
        lower = model(inputs, lengths)
        state = model.init_state(inputs[:, :11])
        streamed, _ = model.step(inputs[:, 11], state)
        # of the same, rounded, parameters
        expected = model.float()(inputs, lengths)
    assert lower.dtype == streamed.dtype == torch.bfloat16
    assert [part.dtype for part in state[:2]] == [torch.bfloat16, torch.float32]
    assert difference(lower.float(), expected) <= 0.05 * expected.abs().max().item() + 0.02
    assert difference(streamed[0].float(), expected[0]) <= 0.05 * expected.abs().max().item() + 0.02


def test_dropout_is_after_the_embedding_and_each_layer_in_training_only() -> None:
    inputs, model = random_inputs(2, 9), model_of({"embedding_dim": 32})
    assert torch.equal(model(inputs), model(inputs))
    model.train()
    assert not torch.equal(model(inputs), model(inputs))
    x = torch.randn(2, 9, 32)
    assert not torch.equal(model.layers[0](x), model.layers[0](x))
