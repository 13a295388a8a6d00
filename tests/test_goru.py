"""GORU against plain loops in double precision: its recurrence, its gradient, and matrices that stay orthogonal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from bench.architectures import ARCHITECTURES, Streaming
from bench.architectures.goru import GORUClassifier, Hyperparameters, Recurrence, build, scan
from bench.architectures.orthogonal import Reflections, Rotations, product_of_reflections, rotate
from bench.contracts import check
from bench.options import fill
from bench.probes.flops import count
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks import TASKS
from tests.twins import goru as twin

TOKENS = Spec(inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=40, vocabulary_size=20, classes=3)
VECTORS = Spec(inputs=InputKind.VECTORS, outputs=OutputKind.CLASSES, sequence_length=40, input_size=6, classes=3)
FORMS: list[dict[str, Any]] = [{}, {"rotations": 3}, {"rotations": 4, "num_layers": 2, "hidden_dim": 7}]
each_form = pytest.mark.parametrize("options", FORMS, ids=str)


def model_of(options: dict[str, Any], spec: Spec = TOKENS, *, stirred: bool = True) -> GORUClassifier:
    """A small model in `eval()`; stirred, so that gates and thresholds of both signs have something to say."""
    torch.manual_seed(0)
    hyperparameters = Hyperparameters(**{"embedding_dim": 5, "hidden_dim": 6, **options})
    model = cast(GORUClassifier, build(spec, hyperparameters)).eval()
    if stirred:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return model


def random_inputs(rows: int, columns: int, spec: Spec = TOKENS) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if spec.inputs is InputKind.TOKENS:
        return torch.randint(1, 20, (rows, columns), generator=generator)
    return torch.randn(rows, columns, 6, generator=generator)


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item()


def doubles(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ── plain twins ────────────────────────────────────────────────────────────────────────────────────────────────────


def plain_reflections(vectors: Tensor) -> Tensor:
    """One reflection after the other."""
    size = vectors.shape[1]
    matrix = torch.eye(size, dtype=vectors.dtype)
    for vector in vectors:
        matrix = matrix @ (torch.eye(size, dtype=vectors.dtype) - 2 * torch.outer(vector, vector) / (vector @ vector))
    return matrix


def plain_rotations(angles: Tensor, size: int) -> Tensor:
    """Every rotation as a matrix of its own."""
    matrix = torch.eye(size, dtype=angles.dtype)
    for layer, row in enumerate(angles.tolist()):
        for place, angle in enumerate(row):
            first = 2 * place + layer % 2
            second = (first + 1) % size
            turn = torch.eye(size, dtype=angles.dtype)
            turn[first, first] = turn[second, second] = math.cos(angle)
            turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
            matrix = turn @ matrix
    return matrix


def plain_matrix(layer: nn.Module) -> Tensor:
    form = layer.orthogonal
    if isinstance(form, Rotations):
        return plain_rotations(form.angles.detach(), form.size)
    return plain_reflections(form.vectors.detach())


def plain_states(layer: nn.Module, words: list[Tensor]) -> list[Tensor]:
    """The states of one text, step by step, from the formulas of the paper."""
    size, matrix = len(layer.threshold), plain_matrix(layer)
    into_reset, into_update, into_candidate = layer.input_weight.split(size)
    from_reset, from_update = layer.gate_weight.split(size)
    reset_bias, update_bias = layer.gate_bias.split(size)
    state, states = torch.zeros(size, dtype=torch.float64), []
    for word in words:
        reset = 1 / (1 + torch.exp(-(into_reset @ word + from_reset @ state + reset_bias)))
        update = 1 / (1 + torch.exp(-(into_update @ word + from_update @ state + update_bias)))
        inside = into_candidate @ word + reset * (matrix @ state)
        candidate = torch.stack(
            [value.sign() * max(value.abs() + t, 0.0 * t) for value, t in zip(inside, layer.threshold, strict=True)]
        )
        state = update * state + (1 - update) * candidate
        states.append(state)
    return states


def plain_logits(model: nn.Module, words: list[Tensor]) -> Tensor:
    for layer in model.layers:
        words = plain_states(layer, words)
    return model.classifier.weight @ words[-1] + model.classifier.bias


# ── orthogonal matrices ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("vectors_count", "size"), [(1, 1), (2, 2), (3, 3), (5, 5), (8, 8), (31, 31), (3, 9), (9, 3)])
def test_the_product_of_reflections_is_that_of_one_after_the_other(vectors_count: int, size: int) -> None:
    vectors = doubles(vectors_count, size)
    found = product_of_reflections(vectors)
    assert difference(found, plain_reflections(vectors)) <= 1e-12
    assert difference(found.T @ found, torch.eye(size, dtype=torch.float64)) <= 1e-12
    assert torch.linalg.det(found).item() == pytest.approx((-1) ** vectors_count)


@pytest.mark.parametrize("size", [2, 5, 6, 31])
@pytest.mark.parametrize("layers", [1, 2, 7])
def test_layers_of_rotations_are_the_product_of_all_their_rotations(size: int, layers: int) -> None:
    angles = doubles(layers, size // 2)
    form = Rotations(size, layers).double()
    form.angles.data = angles
    dense = plain_rotations(angles, size)
    assert difference(form(), dense) <= 1e-12
    # turning vectors one layer at a time, as in the paper, is the same as one product with the dense matrix
    vectors = doubles(size, 4, seed=1)
    assert difference(rotate(vectors, angles), dense @ vectors) <= 1e-12
    assert torch.linalg.det(dense).item() == pytest.approx(1)


def test_a_vector_of_zeros_reflects_nothing_and_lengths_do_not_matter() -> None:
    vectors = doubles(4, 6)
    scaled = vectors * torch.tensor([[1e-6], [1.0], [300.0], [1e6]], dtype=torch.float64)
    assert difference(product_of_reflections(scaled), product_of_reflections(vectors)) <= 1e-12
    with_zeros = torch.cat([vectors[:2], torch.zeros(1, 6, dtype=torch.float64), vectors[2:]])
    assert difference(product_of_reflections(with_zeros), product_of_reflections(vectors)) <= 1e-12


@pytest.mark.parametrize(
    "vectors",
    [torch.zeros(64, 64), torch.ones(64, 64), torch.eye(64), torch.randn(64, 64).mul(1e8), torch.ones(64, 64).tril()],
    ids=["zeros", "all the same", "axes", "huge", "nearly parallel"],
)
def test_reflections_are_orthogonal_for_all_values(vectors: Tensor) -> None:
    found = product_of_reflections(vectors)
    assert difference(found.T @ found, torch.eye(64)) <= 1e-5


def test_gradients_of_both_forms() -> None:
    assert gradcheck(product_of_reflections, (doubles(5, 5).requires_grad_(),))
    identity = torch.eye(5, dtype=torch.float64)
    assert gradcheck(lambda angles: rotate(identity, angles), (doubles(3, 2).requires_grad_(),))


@pytest.mark.parametrize("rotations", [0, 6])
def test_the_matrix_stays_orthogonal_through_training(rotations: int) -> None:
    model = model_of({"hidden_dim": 128, "rotations": rotations}, stirred=False).train()
    form = model.layers[0].orthogonal
    before = form().detach()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    inputs, targets = random_inputs(8, 12), torch.arange(8) % 3
    losses = []
    for _ in range(50):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    after = form().detach()
    assert losses[-1] < losses[0] / 2
    assert difference(after, before) > 0.05
    assert difference(after.T @ after, torch.eye(128)) <= 1e-5


def test_flops_of_reflections_are_a_closed_form() -> None:
    def flops(size: int) -> int:
        return count(lambda: product_of_reflections(torch.empty(size, size, device="meta"))).flops

    # dot products, the triangular factor by halves, and two products with the vectors
    assert flops(128) == 3 * 2 * 128**3 + 2 * 128 * (128**2 - 1) // 3
    # 48 vectors are filled up to 64
    assert flops(48) == 3 * 2 * 48**3 + 2 * 64 * (64**2 - 1) // 3


# ── the recurrence ─────────────────────────────────────────────────────────────────────────────────────────────────


@each_form
@pytest.mark.parametrize("spec", [TOKENS, VECTORS], ids=["tokens", "vectors"])
def test_goru_equals_a_plain_loop_over_each_text(options: dict[str, Any], spec: Spec) -> None:
    model, lengths = model_of(options, spec).double(), [9, 1, 4]
    batch = random_inputs(3, 9, spec)
    if batch.is_floating_point():
        batch = batch.double()
    with_gradient = model(batch, torch.tensor(lengths))
    with torch.no_grad():
        without = model(batch, torch.tensor(lengths))
        for place, length in enumerate(lengths):
            words = list(model.embedding(batch[place : place + 1, :length])[0].unbind(0))
            expected = plain_logits(model, words)
            assert difference(with_gradient[place], expected) <= 1e-10
            assert difference(without[place], expected) <= 1e-10


@each_form
@pytest.mark.parametrize("length", [1, 2, 11])
def test_gradients_are_those_of_autograd_through_the_loop(options: dict[str, Any], length: int) -> None:
    model, inputs = model_of(options).double(), random_inputs(4, length)
    assert difference(model(inputs), twin(model, inputs)) <= 1e-10
    parameters = dict(model.named_parameters())
    wanted = torch.linspace(-1, 1, 12, dtype=torch.float64).view(4, 3)
    found = torch.autograd.grad((model(inputs) * wanted).sum(), list(parameters.values()))
    expected = torch.autograd.grad((twin(model, inputs) * wanted).sum(), list(parameters.values()), allow_unused=True)
    for name, one, other in zip(parameters, found, expected, strict=True):
        assert other is not None, name
        assert difference(one.to_dense(), other.to_dense()) <= 1e-10, name


def test_gradcheck_over_all_states() -> None:
    length, rows, size = 4, 2, 3
    inputs = [doubles(length, rows, 3 * size), doubles(size, 3 * size, seed=1), 0.3 * doubles(size, seed=2)]
    assert {bool(threshold > 0) for threshold in inputs[2]} == {True, False}
    assert gradcheck(Recurrence.apply, [each.requires_grad_() for each in inputs])


def test_what_modrelu_shuts_off_gets_no_gradient() -> None:
    entering = doubles(3, 2, 12).requires_grad_()
    weight = doubles(4, 12, seed=1).requires_grad_()
    shut = torch.full((4,), -100.0, dtype=torch.float64, requires_grad=True)
    states = Recurrence.apply(entering, weight, shut)
    assert not states.any()
    for gradient in torch.autograd.grad(states.sum(), [entering, weight, shut]):
        assert not gradient.any()


def test_an_open_gate_turns_the_state_and_never_stretches_it() -> None:
    size = 32
    weight = torch.cat([torch.zeros(size, 2 * size), product_of_reflections(torch.randn(size, size)).T], dim=1)
    entering = torch.zeros(200, 1, 3 * size)
    entering[..., :size], entering[..., size : 2 * size] = 30.0, -30.0  # reset open, nothing kept
    start = torch.randn(1, size)
    states, mixtures, candidates = scan(entering, start, weight, torch.zeros(size), keep=False)
    assert (mixtures, candidates) == ([], [])
    norms = torch.stack(states).norm(dim=2)
    assert difference(norms / start.norm(), torch.ones(200, 1)) <= 1e-4
    assert difference(states[0], start @ weight[:, 2 * size :]) <= 1e-5


def test_gates_start_open_and_modrelu_as_the_identity() -> None:
    layer = model_of({"hidden_dim": 8}, stirred=False).layers[0]
    assert layer.gate_bias.tolist() == [2.0] * 8 + [0.0] * 8
    assert layer.threshold.tolist() == [0.0] * 8
    assert layer.gate_weight.abs().max() <= 0.01


# ── what else is promised ──────────────────────────────────────────────────────────────────────────────────────────


@each_form
@pytest.mark.parametrize("task_name", ["imdb", "first-token"])
def test_every_contract_is_kept(options: dict[str, Any], task_name: str) -> None:
    kind = TASKS.get(task_name)
    task = kind.make(fill(kind.options, {})[0])
    assert check(ARCHITECTURES.get("goru"), task, task.spec(40), Hyperparameters(**options)) == {}


@each_form
@pytest.mark.parametrize("training", [False, True])
def test_flops_are_those_of_the_plain_loop(options: dict[str, Any], training: bool) -> None:
    def run(model: nn.Module, forward: Callable[[Tensor], Tensor], inputs: Tensor) -> None:
        if training:
            forward(inputs).sum().backward()  # type: ignore[no-untyped-call]
        else:
            with torch.inference_mode():
                forward(inputs)

    model, inputs = model_of({"hidden_dim": 24, **options}), random_inputs(3, 11)
    with FlopCounterMode(display=False) as counter:
        run(model, lambda given: twin(model, given), inputs)
    with torch.device("meta"):
        shapes = model_of({"hidden_dim": 24, **options}, stirred=False)
    found = count(lambda: run(shapes, shapes, inputs.to("meta")))
    assert found.uncounted == ()
    assert found.flops == counter.get_total_flops() > 0


@each_form
@torch.inference_mode()
def test_steps_answer_as_forward_and_make_the_matrix_once(options: dict[str, Any]) -> None:
    model, inputs = model_of(options), random_inputs(3, 10)
    made: list[object] = []
    for layer in model.layers:
        layer.orthogonal.register_forward_hook(lambda *_: made.append(_))
    streaming: Streaming = model
    state = streaming.init_state(inputs[:, :0])
    assert state[0].shape == (len(model.layers), 3, len(model.layers[0].threshold))
    outputs = []
    for place in range(10):
        output, state = streaming.step(inputs[:, place], state)
        outputs.append(output)
    assert len(made) == len(model.layers)
    for place, output in enumerate(outputs):
        assert difference(output, model(inputs[:, : place + 1])) <= 1e-5
    made.clear()
    model(inputs)
    assert len(made) == len(model.layers)


@each_form
@torch.no_grad()
def test_steps_follow_parameters_that_change(options: dict[str, Any]) -> None:
    model, inputs = model_of(options), random_inputs(2, 4)
    other = model_of(options, stirred=False)

    def stepped() -> Tensor:
        return model.step(inputs[:, 3], model.init_state(inputs[:, :3]))[0]

    before = stepped()
    next(model.layers[0].orthogonal.parameters()).mul_(-0.5).add_(torch.randn(()))
    assert difference(stepped(), model(inputs)) <= 1e-5
    assert difference(stepped(), before) > 1e-4
    model.load_state_dict(other.state_dict())
    assert difference(stepped(), other(inputs)) <= 1e-5
    model.load_state_dict(model_of(options).state_dict(), assign=True)
    assert difference(stepped(), before) <= 1e-5
    assert difference(model.double().step(inputs[:, 3], model.init_state(inputs[:, :3]))[0], model(inputs)) <= 1e-10


@each_form
def test_lower_precisions(options: dict[str, Any]) -> None:
    model, inputs, lengths = model_of({"hidden_dim": 32, **options}), random_inputs(4, 12), torch.tensor([12, 1, 5, 9])
    with torch.no_grad():
        for layer in model.layers:
            layer.threshold.clamp_(max=0)  # above 0 modReLU jumps, and rounding may take a value to the other side
    expected = model(inputs, lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(inputs, lengths)
        matrix = model.layers[0].orthogonal()
    assert logits.dtype == torch.bfloat16
    assert difference(logits.float(), expected) <= 0.05 * expected.abs().max().item() + 0.02
    # what is turned must not be stretched: the matrix itself is never computed in a lower precision
    assert difference(matrix.T @ matrix, torch.eye(len(matrix))) <= 1e-5
    functional.cross_entropy(logits.float(), torch.arange(4) % 3).backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.to_dense().isfinite().all()
    model.to(torch.bfloat16)
    with torch.inference_mode():
        lower = model(inputs, lengths)
        streamed, _ = model.step(inputs[:, 11], model.init_state(inputs[:, :11]))
    assert lower.dtype == streamed.dtype == torch.bfloat16
    assert difference(lower.float(), expected) <= 0.05 * expected.abs().max().item() + 0.02
    assert difference(streamed[0].float(), expected[0]) <= 0.05 * expected.abs().max().item() + 0.02


def test_dropout_is_between_layers_and_before_the_classifier_in_training_only() -> None:
    inputs = random_inputs(2, 9)
    for num_layers in (1, 2):
        model = model_of({"num_layers": num_layers, "hidden_dim": 32})
        assert torch.equal(model(inputs), model(inputs))
        model.train()
        assert not torch.equal(model(inputs), model(inputs))
        assert torch.equal(model._states(inputs)[-1], model._states(inputs)[-1]) == (num_layers == 1)


def test_capacity_is_what_a_matrix_has_parameters_for() -> None:
    assert sum(p.numel() for p in Reflections(12).parameters()) == 144
    assert sum(p.numel() for p in Rotations(12, 5).parameters()) == 30
    assert fill(Hyperparameters, {"hidden_dim": 1})[1] == ["'hidden_dim' is 1; expected at least 2"]
