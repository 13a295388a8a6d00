"""TCN against plain loops, and how far it sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.nn import functional

from bench.architectures.tcn import CausalConvolution, Hyperparameters, TCNClassifier, build, receptive_field
from bench.options import fill
from bench.spec import InputKind, OutputKind, Spec
from tests.twins import tcn as twin

TOKENS = Spec(inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=40, vocabulary_size=20, classes=3)
VECTORS = Spec(inputs=InputKind.VECTORS, outputs=OutputKind.VALUE, sequence_length=40, input_size=6, output_size=3)
FORMS: list[dict[str, Any]] = [{}, {"num_layers": 2, "kernel_size": 4}, {"num_layers": 1, "hidden_dim": 5}]
each_form = pytest.mark.parametrize("options", FORMS, ids=str)


def model_of(options: dict[str, Any], spec: Spec = TOKENS) -> TCNClassifier:
    """A small model in `eval()` whose filters have other lengths than at the start."""
    torch.manual_seed(0)
    model = cast(TCNClassifier, build(spec, Hyperparameters(**{"embedding_dim": 5, "hidden_dim": 6, **options}))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return model


def random_inputs(rows: int, columns: int, spec: Spec = TOKENS) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if spec.inputs is InputKind.TOKENS:
        return torch.randint(1, 20, (rows, columns), generator=generator)
    return torch.randn(rows, columns, 6, generator=generator, dtype=torch.float64)


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item()


# ── plain loops ────────────────────────────────────────────────────────────────────────────────────────────────────


def plain_convolution(layer: nn.Module, words: list[Tensor], dilation: int) -> list[Tensor]:
    filters, width = len(layer.direction), layer.direction.shape[2]
    found = []
    for place in range(len(words)):
        values = []
        for number in range(filters):
            direction = layer.direction[number]
            weight = layer.length[number] * direction / (direction * direction).sum().sqrt()
            value = layer.bias[number]
            for back in range(width):
                if place - back * dilation >= 0:
                    value = value + weight[:, width - 1 - back] @ words[place - back * dilation]
            values.append(torch.clamp(value, min=0))
        found.append(torch.stack(values))
    return found


def plain_logits(model: nn.Module, words: list[Tensor]) -> Tensor:
    for place, block in enumerate(model.blocks):
        parts = plain_convolution(block.second, plain_convolution(block.first, words, 2**place), 2**place)
        if isinstance(block.residual, nn.Conv1d):
            words = [block.residual.weight[:, :, 0] @ word + block.residual.bias for word in words]
        words = [torch.clamp(word + part, min=0) for word, part in zip(words, parts, strict=True)]
    return model.classifier.weight @ words[-1] + model.classifier.bias


@each_form
@pytest.mark.parametrize("spec", [TOKENS, VECTORS], ids=["tokens", "vectors"])
@torch.no_grad()
def test_equals_a_plain_loop_over_each_text(options: dict[str, Any], spec: Spec) -> None:
    model, lengths = model_of(options, spec).double(), [19, 1, 8]
    batch = random_inputs(3, 19, spec)
    logits = model(batch, torch.tensor(lengths))
    for place, length in enumerate(lengths):
        words = list(model.embedding(batch[place : place + 1, :length])[0].unbind(0))
        assert difference(logits[place], plain_logits(model, words)) <= 1e-10


@each_form
def test_gradients_are_those_of_autograd_through_all_windows(options: dict[str, Any]) -> None:
    model, inputs = model_of(options).double(), random_inputs(4, 21)
    parameters = dict(model.named_parameters())
    wanted = torch.linspace(-1, 1, 12, dtype=torch.float64).view(4, 3)
    found = torch.autograd.grad((model(inputs) * wanted).sum(), list(parameters.values()))
    expected = torch.autograd.grad((twin(model, inputs) * wanted).sum(), list(parameters.values()))
    for name, one, other in zip(parameters, found, expected, strict=True):
        assert difference(one, other) <= 1e-10, name


def test_gradcheck() -> None:
    model = model_of({"num_layers": 2, "hidden_dim": 3}, VECTORS).double()
    assert gradcheck(model, (random_inputs(2, 7, VECTORS).requires_grad_(),))


# ── weight normalisation ───────────────────────────────────────────────────────────────────────────────────────────


@torch.no_grad()
def test_a_filter_starts_as_torchs_own_and_its_length_is_a_parameter() -> None:
    torch.manual_seed(3)
    layer = CausalConvolution(4, 6, 3, 2)
    torch.manual_seed(3)
    start = nn.Conv1d(4, 6, 3, dilation=2)
    x_BDL = torch.randn(2, 4, 9)
    assert difference(layer(x_BDL), start(functional.pad(x_BDL, (4, 0)))) <= 1e-6
    torchs = torch.nn.utils.parametrizations.weight_norm(start)
    assert difference(layer.weight(), torchs.weight) <= 1e-6
    layer.direction.mul_(7)  # its length says nothing
    assert difference(layer.weight(), torchs.weight) <= 1e-6
    layer.length.copy_(torch.arange(1.0, 7.0))
    assert difference(layer.weight().flatten(1).norm(dim=1), torch.arange(1.0, 7.0)) <= 1e-5


@torch.no_grad()
def test_steps_normalise_once_and_follow_parameters_that_change(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = model_of({"num_layers": 2}), random_inputs(2, 9)
    made: list[object] = []
    weight = CausalConvolution.weight
    monkeypatch.setattr(CausalConvolution, "weight", lambda layer: made.append(layer) or weight(layer))  # type: ignore[func-returns-value]

    def stepped(times: int) -> Tensor:
        state = model.init_state(inputs[:, : 9 - times])
        made.clear()
        for place in range(9 - times, 9):
            output, state = model.step(inputs[:, place], state)
        return output

    before = stepped(4)
    assert len(made) == 4
    model.blocks[1].second.length.mul_(-2)
    assert difference(stepped(1), model(inputs)) <= 1e-5
    assert difference(stepped(1), before) > 1e-3
    assert made == []
    assert difference(model.double().step(inputs[:, 8], model.init_state(inputs[:, :8]))[0], model(inputs)) <= 1e-10


# ── how far it sees ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("num_layers", "kernel_size"), [(1, 2), (1, 3), (2, 3), (3, 2), (2, 5)])
@torch.no_grad()
def test_an_answer_depends_on_so_many_positions_and_no_more(num_layers: int, kernel_size: int) -> None:
    spec = replace(VECTORS, outputs=OutputKind.STEP_CLASSES, classes=3)
    model = model_of({"num_layers": num_layers, "kernel_size": kernel_size, "hidden_dim": 16}, spec).double()
    seen = receptive_field(num_layers, kernel_size)
    inputs = random_inputs(8, seen + 5, spec)
    changed = inputs.clone()
    changed[:, 2] += 1
    moved = (model(changed) - model(inputs)).abs().amax(dim=(0, 2))
    assert (moved != 0).nonzero().flatten().tolist() == list(range(2, 2 + seen))


@pytest.mark.parametrize("kernel_size", [2, 3, 7])
@pytest.mark.parametrize("length", [1, 5, 6, 64, 253, 254, 1000])
def test_by_default_it_sees_the_longest_sequence_with_the_fewest_blocks(length: int, kernel_size: int) -> None:
    with torch.device("meta"):
        model = build(replace(TOKENS, sequence_length=length), Hyperparameters(kernel_size=kernel_size))
    blocks = len(cast(TCNClassifier, model).blocks)
    assert receptive_field(blocks, kernel_size) >= length
    assert blocks == 1 or receptive_field(blocks - 1, kernel_size) < length


def test_the_receptive_fields_that_the_docstring_names() -> None:
    assert [receptive_field(blocks, 3) for blocks in (2, 6, 7)] == [13, 253, 509]
    assert fill(Hyperparameters, {"kernel_size": 1})[1] == ["'kernel_size' is 1; expected at least 2"]


# ── what else is promised ──────────────────────────────────────────────────────────────────────────────────────────


def test_lower_precisions() -> None:
    model, inputs, lengths = model_of({"hidden_dim": 16}), random_inputs(4, 12), torch.tensor([12, 1, 5, 9])
    expected = model(inputs, lengths)
    bound = 0.05 * expected.abs().max().item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(inputs, lengths)
    assert logits.dtype == torch.bfloat16
    assert difference(logits.float(), expected) <= bound
    functional.cross_entropy(logits.float(), torch.arange(4) % 3).backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all()
    model.to(torch.bfloat16)
    with torch.inference_mode():
        lower = model(inputs, lengths)
        streamed, state = model.step(inputs[:, 11], model.init_state(inputs[:, :11]))
    assert lower.dtype == streamed.dtype == torch.bfloat16
    assert {window.dtype for window in state} == {torch.bfloat16}
    assert difference(lower.float(), expected) <= bound
    assert difference(streamed[0].float(), expected[0]) <= bound


def test_dropout_follows_each_convolution_in_training_only() -> None:
    model, inputs = model_of({"num_layers": 1, "hidden_dim": 32, "dropout": 0.5}), random_inputs(2, 9)
    assert torch.equal(model(inputs), model(inputs))
    block, x_BDL = model.blocks[0].train(), torch.randn(2, 5, 9)
    after_BHL, between_BHL = block.read(x_BDL)
    plain_BHL = block.first(x_BDL).relu()
    assert ((between_BHL == 0) | ((between_BHL - 2 * plain_BHL).abs() <= 1e-6)).all()
    assert (between_BHL == 0).float().mean() > (plain_BHL == 0).float().mean() + 0.1
    assert not torch.equal(after_BHL, block.read(x_BDL)[0])
