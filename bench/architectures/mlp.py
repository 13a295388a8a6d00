"""The multi-layer perceptron, for structured data, and for images and windows of a series read as one long row."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import architecture
from bench.architectures.layers import answer_size, flat_size, known, linear_count, real_mask
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `mlp`."""

    hidden_dim: int = option(128, "size of every hidden layer", at_least=1)
    num_layers: int = option(1, "hidden layers", at_least=1)
    dropout: float = option(0.2, "share dropped in training after every hidden layer", at_least=0, below=1)


class Perceptron(nn.Module):
    """(B, D) features, (B, C, H, W) images or (B, L, D) vectors to (B, C) logits or values."""

    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        self.length = row_length(spec)
        sizes = [row_size(spec)] + [hyperparameters.hidden_dim] * hyperparameters.num_layers
        hidden: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            hidden += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(hyperparameters.dropout)]
        self.hidden = nn.Sequential(*hidden)
        self.classifier = nn.Linear(hyperparameters.hidden_dim, answer_size(spec))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits or values; what a sequence lacks of the longest one is zeros, and so is its padding."""
        if self.length is not None:
            if lengths is not None:
                inputs = inputs * real_mask(lengths, inputs.shape[1], inputs.device)[:, :, None]
            inputs = functional.pad(inputs, (0, 0, 0, self.length - inputs.shape[1]))
        return cast(Tensor, self.classifier(self.hidden(inputs.flatten(1))))


def row_length(spec: Spec) -> int | None:
    """Steps of the longest sequence; None where items have no length."""
    return known(spec.sequence_length, "sequence_length") if spec.inputs is InputKind.VECTORS else None


def row_size(spec: Spec) -> int:
    """Number of values of one item."""
    return flat_size(spec) * (row_length(spec) or 1)


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Hidden layers and classifier."""
    hidden = hyperparameters.hidden_dim
    between = (hyperparameters.num_layers - 1) * linear_count(hidden, hidden)
    return linear_count(row_size(spec), hidden) + between + linear_count(hidden, answer_size(spec))


@architecture(
    "mlp",
    summary="linear layers with ReLU between them",
    source="Rumelhart, Hinton & Williams 1986, Learning Representations by Back-propagating Errors",
    inputs=[InputKind.FEATURES, InputKind.IMAGE, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES, OutputKind.VALUE],
    hyperparameters=Hyperparameters,
    width="hidden_dim",
    parameter_count=parameter_count,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A multi-layer perceptron."""
    return Perceptron(spec, hyperparameters)
