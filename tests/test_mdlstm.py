"""The two-dimensional LSTM by anti-diagonals against a plain double loop over rows and columns, and against torch's LSTM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from bench.architectures.foreign import lookup
from bench.architectures.mdlstm import diagonals, scan_order
from bench.contracts import check
from bench.errors import ModelError
from bench.options import fill
from bench.probes.flops import count
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks import TASKS

CORNERS = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
"""Where each direction goes: down or up, right or left."""


def image(*shape: int) -> Spec:
    channels, height, width = shape
    return Spec(inputs=InputKind.IMAGE, outputs=OutputKind.CLASSES, image_shape=(channels, height, width), classes=3)


def build(spec: Spec, **options: Any) -> nn.Module:
    architecture = lookup("mdlstm", Path())
    torch.manual_seed(0)
    model = architecture.build(spec, architecture.hyperparameters(**options)).eval()
    with torch.no_grad():
        model.scan.bias.normal_(std=0.3)  # zeros would hide a bias that is added to the wrong gate
    return model


def random_images(spec: Spec, rows: int = 3) -> Tensor:
    assert spec.image_shape is not None
    return torch.randn(rows, *spec.image_shape, generator=torch.Generator().manual_seed(1))


def close(one: Tensor, other: Tensor, tolerance: float = 1e-10) -> bool:
    return one.shape == other.shape and (one - other).abs().max().item() <= tolerance


# ── the plain loop ─────────────────────────────────────────────────────────────────────────────────────────────────


def plain_mean(model: nn.Module, images: Tensor, direction: int) -> Tensor:
    """The mean state (B, H) of one direction, by a double loop over rows and columns."""
    side, (down, right) = model.patch, CORNERS[direction]
    height, width = images.shape[2:]
    rows, columns = -(-height // side), -(-width // side)
    filled = images.new_zeros(*images.shape[:2], rows * side, columns * side)
    filled[:, :, :height, :width] = images
    scan = model.scan
    weight, bias = scan.weight[direction], scan.bias[direction, 0]
    size = len(bias) // 5
    states: dict[tuple[int, int], Tensor] = {}
    cells: dict[tuple[int, int], Tensor] = {}
    outside = images.new_zeros(len(images), size)
    for i in list(range(rows))[::down]:
        for j in list(range(columns))[::right]:
            above, left = (i - down, j), (i, j - right)
            patch = filled[:, :, i * side : (i + 1) * side, j * side : (j + 1) * side].flatten(1)
            seen = torch.cat([patch, states.get(above, outside), states.get(left, outside)], dim=1)
            gates = seen @ weight + bias
            entering, leaving = gates[:, :size].sigmoid(), gates[:, size : 2 * size].sigmoid()
            keep_above = gates[:, 2 * size : 3 * size].sigmoid() * cells.get(above, outside)
            keep_left = gates[:, 3 * size : 4 * size].sigmoid() * cells.get(left, outside)
            cells[i, j] = entering * gates[:, 4 * size :].tanh() + keep_above + keep_left
            states[i, j] = leaving * cells[i, j].tanh()
    return torch.stack(list(states.values())).mean(dim=0)


def plain(model: nn.Module, images: Tensor) -> Tensor:
    """Logits, one direction after the other."""
    means = [plain_mean(model, images, direction) for direction in range(len(model.scan.bias))]
    return torch.cat(means, dim=1) @ model.classifier.weight.T + model.classifier.bias


SIZES: list[tuple[Spec, dict[str, Any]]] = [
    (image(1, 1, 1), {}),
    (image(1, 6, 6), {}),
    (image(3, 4, 7), {"directions": 1}),
    (image(1, 7, 4), {}),
    (image(1, 1, 5), {}),
    (image(2, 5, 1), {}),
    (image(2, 6, 4), {"patch": 2}),
    (image(1, 5, 8), {"patch": 3, "directions": 1}),
    (image(2, 5, 7), {"patch": 2}),
    (image(1, 3, 3), {"patch": 4}),
]
each_size = pytest.mark.parametrize(("spec", "options"), SIZES, ids=str)


@each_size
def test_anti_diagonals_answer_as_a_double_loop_and_have_its_gradients(spec: Spec, options: dict[str, Any]) -> None:
    model, images = build(spec, hidden_dim=5, **options).double(), random_images(spec).double().requires_grad_()
    asked = [images, *model.parameters()]
    found, expected = model(images), plain(model, images)
    assert close(found, expected)
    weights = torch.randn(found.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found_gradients = torch.autograd.grad((found * weights).sum(), asked)
    expected_gradients = torch.autograd.grad((expected * weights).sum(), asked)
    for one, other in zip(found_gradients, expected_gradients, strict=True):
        assert close(one, other)


@pytest.mark.parametrize(("spec", "options"), [(image(1, 3, 2), {"directions": 1}), (image(1, 3, 4), {"patch": 2})])
def test_gradients_are_those_of_finite_differences(spec: Spec, options: dict[str, Any]) -> None:
    model, images = build(spec, hidden_dim=2, **options).double(), random_images(spec, 2).double().requires_grad_()
    names, values = zip(*model.named_parameters(), strict=True)

    def logits(pixels: Tensor, *parameters: Tensor) -> Tensor:
        answer: Tensor = functional_call(model, dict(zip(names, parameters, strict=True)), (pixels,))
        return answer

    assert torch.autograd.gradcheck(logits, (images, *(value.detach().requires_grad_() for value in values)))


@torch.no_grad()
def test_a_column_of_pixels_is_an_lstm_of_torch() -> None:
    spec, size = image(2, 9, 1), 4
    model, images = build(spec, hidden_dim=size, directions=1).double(), random_images(spec).double()
    cell = nn.LSTM(2, size, batch_first=True).double()
    # torch's order is input, forget, candidate, output; the only neighbour is the one above
    order = torch.cat([torch.arange(size) + gate * size for gate in (0, 2, 4, 1)])
    pixels, above, _ = model.scan.weight[0].T[order].split([2, size, size], dim=1)
    cell.weight_ih_l0.copy_(pixels)
    cell.weight_hh_l0.copy_(above)
    cell.bias_ih_l0.copy_(model.scan.bias[0, 0, order])
    cell.bias_hh_l0.zero_()
    states_BLH, _ = cell(images[:, :, :, 0].transpose(1, 2))
    assert close(model(images), model.classifier(states_BLH.mean(dim=1)))


# ── symmetries ─────────────────────────────────────────────────────────────────────────────────────────────────────


def exchanged(model: nn.Module, mirrored: nn.Module, order: list[int]) -> None:
    """Give `mirrored` the weights of `model`, its directions in another order."""
    state = model.state_dict()
    for name in ("scan.weight", "scan.bias"):
        state[name] = state[name][order]
    state["classifier.weight"] = state["classifier.weight"].unflatten(1, (len(order), -1))[:, order].flatten(1)
    mirrored.load_state_dict(state)


@pytest.mark.parametrize("directions", [1, 4])
@pytest.mark.parametrize("side", [1, 2])
@torch.no_grad()
def test_transposing_the_image_exchanges_the_neighbours(directions: int, side: int) -> None:
    model, images = (
        build(image(2, 6, 4), hidden_dim=5, directions=directions, patch=side),
        random_images(image(2, 6, 4)),
    )
    turned = build(image(2, 4, 6), hidden_dim=5, directions=directions, patch=side)
    exchanged(model, turned, [0, 2, 1, 3] if directions == 4 else [0])
    scan = turned.scan
    pixels, above, left = scan.weight.split([2 * side * side, 5, 5], dim=1)
    pixels = pixels.unflatten(1, (2, side, side)).transpose(2, 3).flatten(1, 3)
    for parameter, value in ((scan.weight, torch.cat([pixels, left, above], dim=1)), (scan.bias, scan.bias.clone())):
        entering, leaving, keep_above, keep_left, candidate = value.chunk(5, dim=2)
        parameter.copy_(torch.cat([entering, leaving, keep_left, keep_above, candidate], dim=2))
    assert close(turned(images.transpose(2, 3)), model(images), 1e-6)
    assert not close(
        build(image(2, 4, 6), hidden_dim=5, directions=directions, patch=side)(images.mT), model(images), 1e-3
    )


@pytest.mark.parametrize(("sides", "order"), [((3,), [1, 0, 3, 2]), ((2,), [2, 3, 0, 1]), ((2, 3), [3, 2, 1, 0])])
@torch.no_grad()
def test_turning_the_image_round_exchanges_the_directions(sides: tuple[int, ...], order: list[int]) -> None:
    spec = image(1, 5, 4)
    model, mirrored, images = build(spec), build(spec), random_images(spec)
    exchanged(model, mirrored, order)
    assert close(mirrored(images.flip(sides)), model(images), 1e-6)
    assert not close(model(images.flip(sides)), model(images), 1e-3)


# ── anti-diagonals ─────────────────────────────────────────────────────────────────────────────────────────────────


class Products(TorchDispatchMode):
    """Counts batched matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += func.overloadpacket in (torch.ops.aten.bmm, torch.ops.aten.baddbmm)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("directions", [1, 4])
@pytest.mark.parametrize(("shape", "side"), [((1, 8, 8), 1), ((1, 5, 9), 1), ((3, 9, 4), 2)])
@torch.no_grad()
def test_an_image_takes_one_step_for_each_anti_diagonal(shape: tuple[int, ...], side: int, directions: int) -> None:
    spec = image(*shape)
    model, images = build(spec, directions=directions, patch=side), random_images(spec)
    with Products() as products:
        model(images)
    rows, columns = -(-shape[1] // side), -(-shape[2] // side)
    assert products.calls == rows + columns - 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (6, 1), (4, 4), (3, 7), (7, 3)])
def test_every_anti_diagonal_finds_its_neighbours(height: int, width: int) -> None:
    orders = scan_order(height, width).tolist()
    for order, (down, right) in zip(orders, CORNERS, strict=True):
        assert sorted(order) == list(range(height * width))
        places = [divmod(place, width) for place in order]
        before: list[tuple[int, int] | None] = [None, None]
        for first, number in diagonals(height, width):
            now, places = places[:number], places[number:]
            for place, (i, j) in enumerate(now):
                inside = {(i - down, j): before[first + place], (i, j - right): before[first + place + 1]}
                for expected, found in inside.items():
                    within = 0 <= expected[0] < height and 0 <= expected[1] < width
                    assert found == (expected if within else None)
            before = [None, *now, None]
        assert not places


# ── the rest of what a model owes ──────────────────────────────────────────────────────────────────────────────────

VARIANTS: list[dict[str, Any]] = [{}, {"directions": 1}, {"patch": 2, "hidden_dim": 7}, {"patch": 3, "directions": 1}]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_contract_holds(options: dict[str, Any]) -> None:
    architecture = lookup("mdlstm", Path())
    kind = TASKS.get("images")
    made, problems = fill(kind.options, {})
    assert not problems
    task = kind.make(made)
    assert check(architecture, task, task.spec(None), architecture.hyperparameters(**options)) == {}


def test_it_has_the_size_that_counting_by_hand_gives() -> None:
    model = build(image(3, 8, 8), hidden_dim=10, patch=2)
    # 4 directions of 5 gates, each of 12 pixels, two neighbours of 10 and a bias; 40 x 3 + 3
    assert sum(parameter.numel() for parameter in model.parameters()) == 4 * 5 * 10 * (12 + 20 + 1) + 123


@pytest.mark.parametrize(("spec", "options"), [SIZES[1], SIZES[2], SIZES[8]], ids=str)
def test_flops_are_those_of_the_double_loop(spec: Spec, options: dict[str, Any]) -> None:
    model, images = build(spec, hidden_dim=6, **options), random_images(spec)
    with torch.device("meta"):
        architecture = lookup("mdlstm", Path())
        hollow = architecture.build(spec, architecture.hyperparameters(hidden_dim=6, **options))
    with torch.no_grad():
        found = count(lambda: hollow(images.to("meta")))
        with FlopCounterMode(display=False) as expected:
            plain(model, images)
    assert (found.flops, found.uncounted) == (expected.get_total_flops(), ())
    training = count(lambda: hollow(images.to("meta")).sum().backward())
    with FlopCounterMode(display=False) as expected:
        plain(model, images).sum().backward()
    assert (training.flops, training.uncounted) == (expected.get_total_flops(), ())


def test_lower_precisions_answer_nearly_alike() -> None:
    spec = image(1, 8, 8)
    model, images = build(spec), random_images(spec)
    with torch.inference_mode():
        expected = model(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert close(model(images).float(), expected, 0.05)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(images).float().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with torch.inference_mode():
        rough = model.bfloat16()(images.bfloat16())
    assert rough.dtype == torch.bfloat16
    assert close(rough.float(), expected, 0.05)


def test_states_are_dropped_in_training_only() -> None:
    spec = image(1, 4, 4)
    model, images = build(spec), random_images(spec)
    assert torch.equal(model(images), model(images))
    model.train()
    assert not torch.equal(model(images), model(images))


def test_a_task_without_images_is_refused() -> None:
    with pytest.raises(ModelError, match="gives no image_shape"):
        build(Spec(inputs=InputKind.FEATURES, outputs=OutputKind.CLASSES, input_size=4, classes=2))
