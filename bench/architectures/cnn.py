"""A small convolutional network for images: two convolutions, each followed by pooling, and a linear layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from bench.architectures import architecture
from bench.architectures.layers import answer_size, linear_count
from bench.errors import ModelError
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec

KERNEL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `cnn`."""

    num_filters: int = option(32, "filters of the first convolution; the second has twice as many", at_least=1)
    dropout: float = option(0.2, "share dropped in training before the classifier", at_least=0, below=1)


class ConvolutionalClassifier(nn.Module):
    """(B, C, H, W) images to (B, classes) logits; each pooling halves height and width."""

    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        self.features = convolutions(image_shape(spec)[0], hyperparameters.num_filters)
        self.dropout = nn.Dropout(hyperparameters.dropout)
        self.classifier = nn.Linear(pooled_size(spec, hyperparameters), answer_size(spec))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        return cast(Tensor, self.classifier(self.dropout(self.features(inputs).flatten(1))))


def convolutions(channels: int, filters: int) -> nn.Sequential:
    """(B, C, H, W) to (B, 2 * filters, H // 4, W // 4)."""
    return nn.Sequential(
        nn.Conv2d(channels, filters, KERNEL, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(filters, 2 * filters, KERNEL, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


def convolutions_count(channels: int, filters: int) -> int:
    """Number of parameters of `convolutions`."""
    area = KERNEL * KERNEL
    return linear_count(channels * area, filters) + linear_count(filters * area, 2 * filters)


def image_shape(spec: Spec) -> tuple[int, int, int]:
    """(C, H, W) of the spec's images.

    Raises:
        ModelError: there are none, or nothing would be left of them after pooling twice.
    """
    if spec.image_shape is None or min(spec.image_shape[1:]) < 4:
        raise ModelError(f"cnn: the task's images are {spec.image_shape}; expected at least 4 x 4 pixels")
    return spec.image_shape


def pooled_size(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Number of features after both poolings."""
    _, height, width = image_shape(spec)
    return 2 * hyperparameters.num_filters * (height // 4) * (width // 4)


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Two convolutions and the classifier."""
    found = convolutions_count(image_shape(spec)[0], hyperparameters.num_filters)
    return found + linear_count(pooled_size(spec, hyperparameters), answer_size(spec))


@architecture(
    "cnn",
    summary="convolution, pooling, convolution, pooling, linear layer",
    source="LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition",
    inputs=[InputKind.IMAGE],
    outputs=[OutputKind.CLASSES, OutputKind.VALUE],
    hyperparameters=Hyperparameters,
    width="num_filters",
    parameter_count=parameter_count,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A convolutional image classifier."""
    return ConvolutionalClassifier(spec, hyperparameters)
