"""Architectures of features and images: sizes that follow from the spec, and answers against plain twins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from bench.architectures.foreign import lookup
from bench.errors import ModelError
from bench.spec import InputKind, OutputKind, Spec


def image(*shape: int) -> Spec:
    channels, height, width = shape
    return Spec(inputs=InputKind.IMAGE, outputs=OutputKind.CLASSES, image_shape=(channels, height, width), classes=10)


FEATURES = Spec(inputs=InputKind.FEATURES, outputs=OutputKind.CLASSES, input_size=30, classes=2)
WINDOW = Spec(inputs=InputKind.VECTORS, outputs=OutputKind.VALUE, sequence_length=6, input_size=2, output_size=3)
IMAGES = [image(1, 8, 8), image(1, 28, 28), image(3, 32, 20), image(1, 5, 4)]


def build(name: str, spec: Spec, **options: Any) -> nn.Module:
    architecture = lookup(name, Path())
    torch.manual_seed(0)
    return architecture.build(spec, architecture.hyperparameters(**options)).eval()


@pytest.mark.parametrize(
    ("name", "spec", "options"),
    [
        *(("cnn", spec, options) for spec in IMAGES for options in ({}, {"num_filters": 5})),
        *(("mdlstm", spec, options) for spec in IMAGES for options in ({}, {"patch": 2, "directions": 1})),
        *(
            ("mlp", spec, options)
            for spec in (FEATURES, *IMAGES)
            for options in ({}, {"num_layers": 3, "hidden_dim": 7})
        ),
    ],
)
def test_sizes_follow_from_the_spec(name: str, spec: Spec, options: dict[str, Any]) -> None:
    model = build(name, spec, **options)
    shape = (30,) if spec.image_shape is None else spec.image_shape
    assert model(torch.randn(4, *shape)).shape == (4, spec.classes)
    architecture = lookup(name, Path())
    assert architecture.parameter_count is not None
    expected = architecture.parameter_count(spec, architecture.hyperparameters(**options))
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def test_mlp_is_linear_relu_linear() -> None:
    model, inputs = build("mlp", FEATURES), torch.randn(5, 30)
    first, last = [part for part in model.modules() if isinstance(part, nn.Linear)]
    expected = (inputs @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias
    assert torch.allclose(model(inputs), expected, atol=1e-6)


def test_mlp_reads_a_window_as_one_row_and_padding_as_zeros() -> None:
    model, inputs = build("mlp", WINDOW), torch.randn(2, 6, 2)
    first, last = [part for part in model.modules() if isinstance(part, nn.Linear)]
    row = (inputs * torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])[..., None]).reshape(2, 12)
    expected = (row @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias
    assert expected.shape == (2, 3)
    assert torch.allclose(model(inputs, torch.tensor([6, 4])), expected, atol=1e-6)
    # without the columns that are padding, and without lengths, it is the same row
    assert torch.allclose(model(inputs[1:, :4]), expected[1:], atol=1e-6)
    architecture = lookup("mlp", Path())
    assert architecture.parameter_count is not None
    counted = architecture.parameter_count(WINDOW, architecture.hyperparameters())
    assert counted == sum(parameter.numel() for parameter in model.parameters()) == 13 * 128 + 129 * 3


def test_cnn_pools_twice_and_keeps_its_borders() -> None:
    model, inputs = build("cnn", image(1, 8, 8)), torch.randn(5, 1, 8, 8)
    first, second = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    hidden = inputs
    for convolution in (first, second):
        bordered = functional.pad(hidden, (1, 1, 1, 1))
        filtered = functional.conv2d(bordered, convolution.weight, convolution.bias).clamp(min=0)
        hidden = filtered.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).amax(dim=(3, 5))
    assert hidden.shape == (5, 64, 2, 2)
    assert torch.allclose(model(inputs), model.get_submodule("classifier")(hidden.flatten(1)), atol=1e-6)


def test_cnn_refuses_images_that_pooling_would_use_up() -> None:
    with pytest.raises(ModelError, match=r"\(1, 3, 8\); expected at least 4 x 4"):
        build("cnn", image(1, 3, 8))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("mlp", 0.95), ("cnn", 0.97), ("mdlstm", 0.85)])
def test_digits_are_learnt(name: str, least: float) -> None:
    images, labels = (torch.as_tensor(part) for part in (load_digits().images, load_digits().target))
    inputs = (images.float() / 16)[:, None]
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, test = order[:1400], order[1400:]
    model = build(name, image(1, 8, 8)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(20):
        for rows in train[torch.randperm(len(train))].split(32):
            optimizer.zero_grad()
            functional.cross_entropy(model(inputs[rows]), labels[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        right = model.eval()(inputs[test]).argmax(dim=1) == labels[test]
    assert right.float().mean().item() >= least
