"""minGRU and minLSTM against plain loops and against the parallel form of their paper."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.nn import functional

from bench.architectures import ARCHITECTURES
from bench.architectures.minimal_rnn import Hyperparameters, MinimalRNN
from bench.spec import InputKind, OutputKind, Spec
from tests.twins import minimal_rnn as twin

TOKENS = Spec(inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=40, vocabulary_size=20, classes=3)
VECTORS = Spec(inputs=InputKind.VECTORS, outputs=OutputKind.VALUE, sequence_length=40, input_size=6, output_size=3)
each_cell = pytest.mark.parametrize("cell", ["mingru", "minlstm"])


def model_of(cell: str, spec: Spec = TOKENS, **options: Any) -> MinimalRNN:
    """A small model in `eval()` whose gates have something to say."""
    torch.manual_seed(0)
    hyperparameters = Hyperparameters(**{"embedding_dim": 5, "hidden_dim": 6, **options})
    model = cast(MinimalRNN, ARCHITECTURES.get(cell).build(spec, hyperparameters)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    return model


def random_inputs(rows: int, columns: int, spec: Spec = TOKENS) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if spec.inputs is InputKind.TOKENS:
        return torch.randint(1, 20, (rows, columns), generator=generator)
    return torch.randn(rows, columns, 6, generator=generator, dtype=torch.float64)


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item()


def plain_logits(model: nn.Module, words: list[Tensor]) -> Tensor:
    """One text, one step and one number after the other, from the formulas of the paper."""

    def sigmoid(value: float) -> float:
        return 1 / (1 + float(torch.tensor(-value, dtype=torch.float64).exp()))

    rows = [word.tolist() for word in words]
    for layer in model.layers:
        weight, bias = layer.entering.weight.tolist(), layer.entering.bias.tolist()
        size = len(bias) // (layer.gates + 1)
        state, states = [0.0] * size, []
        for row in rows:
            lines = [
                b + sum(w * x for w, x in zip(line, row, strict=True)) for line, b in zip(weight, bias, strict=True)
            ]
            after = []
            for place, old in enumerate(state):
                inside = lines[layer.gates * size + place]
                candidate = inside + 0.5 if inside >= 0 else sigmoid(inside)
                if layer.gates == 1:
                    keep, take = 1 - sigmoid(lines[place]), sigmoid(lines[place])
                else:
                    forget, enter = sigmoid(lines[place]), sigmoid(lines[size + place])
                    keep, take = forget / (forget + enter), enter / (forget + enter)
                after.append(keep * old + take * candidate)
            state = after
            states.append(state)
        rows = states
    return model.classifier.weight @ torch.tensor(rows[-1], dtype=torch.float64) + model.classifier.bias


def logarithms(cell: str, layer: nn.Module, x_BLD: Tensor) -> Tensor:
    """All states of a layer as in the paper's appendix, without a first state."""
    *gates, inside = layer.entering(x_BLD).chunk(layer.gates + 1, dim=2)
    if cell == "mingru":
        log_keep, log_take = -functional.softplus(gates[0]), -functional.softplus(-gates[0])
    else:
        apart = functional.softplus(-gates[0]) - functional.softplus(-gates[1])
        log_keep, log_take = -functional.softplus(apart), -functional.softplus(-apart)
    log_candidate = torch.where(inside >= 0, (inside.relu() + 0.5).log(), -functional.softplus(-inside))
    sums = log_keep.cumsum(1)
    return (sums + torch.logcumsumexp(log_take + log_candidate - sums, 1)).exp()


@each_cell
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("spec", [TOKENS, VECTORS], ids=["tokens", "vectors"])
@torch.no_grad()
def test_equals_a_plain_loop_over_each_text(cell: str, num_layers: int, spec: Spec) -> None:
    model, lengths = model_of(cell, spec, num_layers=num_layers).double(), [9, 1, 4]
    batch = random_inputs(3, 9, spec)
    logits = model(batch, torch.tensor(lengths))
    for place, length in enumerate(lengths):
        words = list(model.embedding(batch[place : place + 1, :length])[0].unbind(0))
        assert difference(logits[place], plain_logits(model, words)) <= 1e-10


@each_cell
@torch.no_grad()
def test_equals_the_parallel_form_of_the_paper(cell: str) -> None:
    layer = model_of(cell).double().layers[0]
    x_BLD = torch.randn(2, 300, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert difference(layer(x_BLD), logarithms(cell, layer, x_BLD)) <= 1e-10


@each_cell
@pytest.mark.parametrize("length", [1, 2, 11, 50])
def test_gradients_are_those_of_autograd_through_the_loop(cell: str, length: int) -> None:
    model, inputs = model_of(cell).double(), random_inputs(4, length)
    assert difference(model(inputs), twin(model, inputs)) <= 1e-10
    parameters = dict(model.named_parameters())
    wanted = torch.linspace(-1, 1, 12, dtype=torch.float64).view(4, 3)
    found = torch.autograd.grad((model(inputs) * wanted).sum(), list(parameters.values()))
    expected = torch.autograd.grad((twin(model, inputs) * wanted).sum(), list(parameters.values()))
    for name, one, other in zip(parameters, found, expected, strict=True):
        assert difference(one, other) <= 1e-10, name


@each_cell
def test_gradcheck(cell: str) -> None:
    model = model_of(cell, VECTORS, hidden_dim=3).double()
    assert gradcheck(model, (random_inputs(2, 5, VECTORS).requires_grad_(),))


@each_cell
@torch.no_grad()
def test_gates_that_are_shut_or_open_as_far_as_can_be_are_still_numbers(cell: str) -> None:
    layer = model_of(cell).layers[0]
    x_BLD = torch.randn(2, 30, 5, generator=torch.Generator().manual_seed(2))
    layer.entering.bias[: layer.gates * 6] = -300.0
    assert layer(x_BLD).isfinite().all()
    if cell == "mingru":
        assert not layer(x_BLD).any()
    else:  # both gates shut: the larger one of them decides
        layer.entering.bias[6:12] = -200.0
        assert (
            difference(
                layer(x_BLD),
                torch.maximum(layer.entering(x_BLD)[..., 12:] + 0.5, layer.entering(x_BLD)[..., 12:].sigmoid()),
            )
            <= 1e-6
        )


@each_cell
def test_lower_precisions_add_up_in_fp32(cell: str) -> None:
    model, inputs, lengths = model_of(cell, hidden_dim=32), random_inputs(4, 40), torch.tensor([40, 1, 5, 33])
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
        state = model.init_state(inputs[:, :0])
        for place in range(40):
            streamed, state = model.step(inputs[:, place], state)
    assert lower.dtype == streamed.dtype == torch.bfloat16
    assert state[0].dtype == torch.float32
    assert difference(lower.float(), expected) <= bound
    assert difference(streamed[0].float(), expected[0]) <= bound


@each_cell
def test_dropout_is_between_layers_and_before_the_classifier_in_training_only(cell: str) -> None:
    inputs = random_inputs(2, 9)
    for num_layers in (1, 2):
        model = model_of(cell, num_layers=num_layers, hidden_dim=32)
        assert torch.equal(model(inputs), model(inputs))
        model.train()
        assert not torch.equal(model(inputs), model(inputs))
        assert torch.equal(model._states(inputs)[-1], model._states(inputs)[-1]) == (num_layers == 1)
