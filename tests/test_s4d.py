"""S4D against a plain recurrence in double precision: its kernel, its convolution, its steps, and its gradient."""

from __future__ import annotations

import cmath
import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.func import functional_call
from torch.nn import functional

from bench.architectures import ARCHITECTURES
from bench.architectures.s4d import STRETCH, DiagonalStateSpace, Hyperparameters, build, transform_size
from bench.architectures.state_space import StateSpaceClassifier
from bench.contracts import check
from bench.errors import ModelError
from bench.options import fill
from bench.probes.flops import count
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks import TASKS

TOKENS = Spec(inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=40, vocabulary_size=20, classes=3)
STEPS = Spec(
    inputs=InputKind.TOKENS, outputs=OutputKind.STEP_CLASSES, sequence_length=40, vocabulary_size=20, classes=3
)
VALUES = Spec(inputs=InputKind.VECTORS, outputs=OutputKind.VALUE, sequence_length=40, input_size=6, output_size=2)
FORMS: list[dict[str, Any]] = [{}, {"embedding_dim": 3, "state_dim": 2, "num_layers": 3}]
each_form = pytest.mark.parametrize("options", FORMS, ids=str)


def model_of(options: dict[str, Any], spec: Spec = TOKENS) -> StateSpaceClassifier:
    """A small model in `eval()`, away from where it starts."""
    torch.manual_seed(0)
    hyperparameters = Hyperparameters(**{"embedding_dim": 5, "state_dim": 8, **options})
    model = cast(StateSpaceClassifier, build(spec, hyperparameters)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model


def space_of(size: int = 3, state_dim: int = 6) -> DiagonalStateSpace:
    torch.manual_seed(0)
    space = DiagonalStateSpace(size, state_dim).double()
    with torch.no_grad():
        for parameter in space.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return space


def random_inputs(rows: int, columns: int, spec: Spec = TOKENS) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if spec.inputs is InputKind.TOKENS:
        return torch.randint(1, 20, (rows, columns), generator=generator)
    return torch.randn(rows, columns, 6, generator=generator)


def doubles(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item()


# ── the plain recurrence ───────────────────────────────────────────────────────────────────────────────────────────


def plain_constants(space: DiagonalStateSpace, channel: int) -> list[tuple[complex, complex, complex]]:
    """A-bar, B-bar and C of every state of one channel, conjugates included: zero-order hold with B = 1."""
    step = math.exp(space.log_step[channel].item())
    found = []
    for pair in range(space.frequency.shape[1]):
        rate = complex(-math.exp(space.log_decay[channel, pair].item()), space.frequency[channel, pair].item())
        output = complex(*space.output[channel, pair].tolist())
        kept = cmath.exp(step * rate)
        one = (kept, (kept - 1) / rate, output)
        found += [one, cast(tuple[complex, complex, complex], tuple(part.conjugate() for part in one))]
    return found


def plain_channel(space: DiagonalStateSpace, channel: int, inputs: list[float]) -> list[float]:
    """One channel of one text, a state and a step at a time, in Python's complex numbers."""
    constants, skip = plain_constants(space, channel), space.skip[channel].item()
    states, outputs = [0j] * len(constants), []
    for u in inputs:
        states = [kept * state + into * u for (kept, into, _), state in zip(constants, states, strict=True)]
        y = sum(out * state for (_, _, out), state in zip(constants, states, strict=True))
        assert abs(y.imag) <= 1e-9
        outputs.append(y.real + skip * u)
    return outputs


def plain_space(space: DiagonalStateSpace, u_LD: Tensor) -> Tensor:
    columns = [plain_channel(space, place, column.tolist()) for place, column in enumerate(u_LD.unbind(1))]
    return torch.tensor(columns, dtype=torch.float64).T


def plain_logits(model: StateSpaceClassifier, words: Tensor) -> Tensor:
    """All logits (L, C) of one text."""
    x_LD = model.embedding(words)
    for layer in model.layers:
        y_LD = plain_space(layer.space, functional.layer_norm(x_LD, x_LD.shape[1:], layer.norm.weight, layer.norm.bias))
        active_LD = y_LD * (1 + torch.erf(y_LD / math.sqrt(2))) / 2
        mixed = active_LD @ layer.mix.weight.T + layer.mix.bias
        x_LD = x_LD + mixed[:, : x_LD.shape[1]] / (1 + torch.exp(-mixed[:, x_LD.shape[1] :]))
    x_LD = functional.layer_norm(x_LD, x_LD.shape[1:], model.norm.weight, model.norm.bias)
    return x_LD @ model.classifier.weight.T + model.classifier.bias


@each_form
@pytest.mark.parametrize("spec", [TOKENS, VALUES, STEPS], ids=["classes", "values", "each step"])
@torch.no_grad()
def test_s4d_equals_a_plain_loop_over_each_text(options: dict[str, Any], spec: Spec) -> None:
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


@pytest.mark.parametrize("length", [1, 2, 3, 16, 17, 50])
@torch.no_grad()
def test_convolution_steps_and_states_are_those_of_the_plain_loop(length: int) -> None:
    space, u = space_of(), doubles(2, length, 3)
    expected = torch.stack([plain_space(space, row) for row in u])
    assert difference(space(u), expected) <= 1e-10
    state = space.zeros(2)
    for place in range(length):
        y, state = space.step(u[:, place], state)
        assert difference(y, expected[:, place]) <= 1e-10
    assert difference(space.state_after(u), state) <= 1e-10


@torch.no_grad()
def test_a_long_prefix_is_read_in_stretches() -> None:
    space, u = space_of(), doubles(2, 2 * STRETCH + 3, 3)
    state = space.zeros(2)
    for place in range(u.shape[1]):
        _, state = space.step(u[:, place], state)
    assert difference(space.state_after(u), state) <= 1e-10


@pytest.mark.parametrize("length", [1, 5, 12])
@torch.no_grad()
def test_the_kernel_is_made_of_powers(length: int) -> None:
    space = space_of()
    kernel = space.kernel(length)
    for channel, row in enumerate(kernel):
        constants = plain_constants(space, channel)
        for place, value in enumerate(row.tolist()):
            assert abs(value - sum(out * kept**place * into for kept, into, out in constants)) <= 1e-10


def test_transforms_are_long_enough_and_have_small_factors_only() -> None:
    for positions in range(1, 400):
        size = transform_size(positions)
        assert size >= 2 * positions - 1
        assert (2 * 3 * 5) ** 10 % size == 0
    assert [transform_size(positions) for positions in (1, 2, 256, 257, 1000)] == [1, 3, 512, 540, 2000]


def test_gradcheck_over_every_parameter() -> None:
    space, u = space_of(2, 4), doubles(2, 5, 2).requires_grad_()
    names, parameters = zip(*space.named_parameters(), strict=True)

    def convolved(inputs: Tensor, *given: Tensor) -> Tensor:
        return functional_call(space, dict(zip(names, given, strict=True)), (inputs,))

    assert gradcheck(convolved, (u, *parameters))


# ── what else is promised ──────────────────────────────────────────────────────────────────────────────────────────


def test_it_starts_as_s4d_lin() -> None:
    torch.manual_seed(0)
    space = DiagonalStateSpace(400, 8)
    steps = space.log_step.exp()
    assert 0.001 <= steps.min() < 0.0012
    assert 0.08 < steps.max() <= 0.1
    assert difference(-space.log_decay.exp(), torch.full((400, 4), -0.5)) <= 1e-6
    assert difference(space.frequency, math.pi * torch.arange(4.0).expand(400, 4)) <= 1e-6
    # complex normal: real and imaginary part of variance 1/2 each
    assert space.output.var().item() == pytest.approx(0.5, rel=0.1)


@each_form
@torch.no_grad()
def test_what_comes_later_changes_nothing_before(options: dict[str, Any]) -> None:
    model, inputs = model_of(options, STEPS).double(), random_inputs(3, 20)
    changed = inputs.clone()
    changed[:, 12:] = 1 + changed[:, 12:] % 19
    before, after = model(inputs), model(changed)
    assert difference(before[:, :12], after[:, :12]) <= 1e-10
    assert difference(before[:, 12], after[:, 12]) > 1e-3


@each_form
@pytest.mark.parametrize("task_name", ["imdb", "first-token"])
def test_every_contract_is_kept(options: dict[str, Any], task_name: str) -> None:
    kind = TASKS.get(task_name)
    task = kind.make(fill(kind.options, {})[0])
    assert check(ARCHITECTURES.get("s4d"), task, task.spec(40), Hyperparameters(**options)) == {}


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
        assert difference(one, other) <= 1e-5 * (1 + other.abs().max().item())


def test_flops_are_products_and_three_transforms() -> None:
    length, rows, size, states = 100, 3, 5, 8
    with torch.device("meta"):
        space, u = DiagonalStateSpace(size, states), torch.empty(rows, length, size)
        found = count(lambda: space(u))
    # the kernel: 10 x 10 positions; transforms of 200 values: inputs, kernel, outputs
    kernel, transforms = 2 * size * states * 10 * 10, (2 * rows + 1) * size
    assert found.uncounted == ()
    assert found.flops == pytest.approx(kernel + transforms * 2.5 * 200 * math.log2(200), abs=2)


@each_form
def test_lower_precisions(options: dict[str, Any]) -> None:
    model, inputs, lengths = model_of({"state_dim": 32, **options}), random_inputs(4, 12), torch.tensor([12, 1, 5, 9])
    expected, u = model(inputs, lengths), doubles(1, 12, model.norm.weight.numel()).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, kernel = model(inputs, lengths), model.layers[0].space.kernel(12)
        state = model.layers[0].space.state_after(u)
    assert logits.dtype == torch.bfloat16
    assert difference(logits.float(), expected) <= 0.05 * expected.abs().max().item() + 0.02
    # what is inside the convolution is never in a lower precision
    assert (kernel.dtype, state.dtype) == (torch.float32, torch.complex64)
    assert difference(kernel, model.layers[0].space.kernel(12)) <= 1e-5
    assert difference(state, model.layers[0].space.state_after(u)) <= 1e-5
    functional.cross_entropy(logits.float(), torch.arange(4) % 3).backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.to_dense().isfinite().all()
    model.to(torch.bfloat16)
    with torch.inference_mode():
        lower = model(inputs, lengths)
        streamed, _ = model.step(inputs[:, 11], model.init_state(inputs[:, :11]))
        # of the same, rounded, parameters
        expected = model.float()(inputs, lengths)
    assert lower.dtype == streamed.dtype == torch.bfloat16
    assert difference(lower.float(), expected) <= 0.05 * expected.abs().max().item() + 0.02
    assert difference(streamed[0].float(), expected[0]) <= 0.05 * expected.abs().max().item() + 0.02


def test_dropout_is_after_the_embedding_and_in_layers_in_training_only() -> None:
    inputs, model = random_inputs(2, 9), model_of({"embedding_dim": 32})
    assert torch.equal(model(inputs), model(inputs))
    model.train()
    assert not torch.equal(model(inputs), model(inputs))
    x = torch.randn(2, 9, 32)
    assert not torch.equal(model.layers[0](x), model.layers[0](x))


def test_states_come_in_pairs() -> None:
    with pytest.raises(ModelError, match=r"s4d: state_dim is 7; expected an even number"):
        build(TOKENS, Hyperparameters(state_dim=7))
