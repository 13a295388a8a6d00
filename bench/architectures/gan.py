"""The generative adversarial network: one perceptron makes pictures, another one learns to tell them from real ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.optim import Optimizer

from bench.architectures import Loss, Phase, architecture
from bench.architectures.layers import at_least_fp32, known, linear_count
from bench.batch import Batch, asked
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec

SLOPE = 0.2
# one-sided label smoothing (Salimans et al. 2016): a discriminator that is never quite sure teaches longer
SAID_OF_REAL = 0.9
LEARNING_RATE = 2e-4
BETAS = (0.5, 0.999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `gan`."""

    hidden_dim: int = option(
        128, "size of the layer next to the noise, and next to the verdict; the others are twice that", at_least=1
    )
    dropout: float = option(0.3, "share dropped in training within the discriminator", at_least=0, below=1)


class AdversarialPair(nn.Module):
    """(B, D) noise to (B, C, H, W) pictures by the generator; training also needs the discriminator, a logit a picture."""

    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        self.image_shape = known(spec.image_shape, "image_shape")
        noise, pixels = known(spec.input_size, "input_size"), math.prod(self.image_shape)
        small, large = hyperparameters.hidden_dim, 2 * hyperparameters.hidden_dim
        self.generator = nn.Sequential(*_normalised(noise, small), *_normalised(small, large), nn.Linear(large, pixels))
        self.discriminator = nn.Sequential(
            nn.Flatten(),
            nn.Linear(pixels, large),
            nn.LeakyReLU(SLOPE),
            nn.Dropout(hyperparameters.dropout),
            nn.Linear(large, small),
            nn.LeakyReLU(SLOPE),
            nn.Dropout(hyperparameters.dropout),
            nn.Linear(small, 1),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Pictures, every pixel between 0 and 1."""
        return self.made(inputs)

    def made(self, noise: Tensor) -> Tensor:
        """The same; losses call this one, as no time would be that of a step of which a compiler sees the forward alone."""
        return cast(Tensor, self.generator(noise)).sigmoid().reshape(-1, *self.image_shape)

    def generator_loss(self, noise: Tensor) -> Tensor:
        """-log of the probability (B,) that the discriminator, as it stands, takes made pictures for real ones.

        No gradient reaches the discriminator. Source: Goodfellow et al. 2014, section 3 (non-saturating).
        """
        as_it_stands = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        logits_B1 = functional_call(self.discriminator, as_it_stands, (self.made(noise),))
        return functional.softplus(-at_least_fp32(logits_B1.squeeze(1)))

    def discriminator_loss(self, pictures: Tensor, noise: Tensor) -> Tensor:
        """Cross-entropy (B,) over a real and a made picture each; no gradient reaches the generator."""
        with torch.no_grad():
            made = self.made(noise)
        real_B, made_B = (at_least_fp32(self.discriminator(seen).squeeze(1)) for seen in (pictures, made))
        said_of_real = torch.full_like(real_B, SAID_OF_REAL)
        real_loss_B = functional.binary_cross_entropy_with_logits(real_B, said_of_real, reduction="none")
        return real_loss_B + functional.softplus(made_B)


class Normalisation(nn.BatchNorm1d):
    """torch's own, except that a single row, which has no spread, is normalised in training as in `eval()`."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, H), by the batch's mean and spread in training, by their running means in `eval()`."""
        whole = self.training and len(inputs) > 1
        statistics = self.running_mean, self.running_var
        return functional.batch_norm(inputs, *statistics, self.weight, self.bias, whole, self.momentum or 0.0, self.eps)


def _normalised(inputs: int, outputs: int) -> list[nn.Module]:
    # no bias: the mean is taken away
    return [nn.Linear(inputs, outputs, bias=False), Normalisation(outputs), nn.LeakyReLU(SLOPE)]


def _adam(parameters: Iterable[nn.Parameter]) -> Optimizer:
    return torch.optim.Adam(parameters, lr=LEARNING_RATE, betas=BETAS)


def phases(model: nn.Module, loss: Loss) -> Sequence[Phase]:  # noqa: ARG001 - the task has none for it
    """First the discriminator, then the generator against it, each with its own parameters and Adam."""
    pair = cast(AdversarialPair, model)

    def discriminate(_: nn.Module, batch: Batch) -> Tensor:
        return pair.discriminator_loss(asked(batch), batch.inputs).mean()

    def generate(_: nn.Module, batch: Batch) -> Tensor:
        return pair.generator_loss(batch.inputs).mean()

    return [
        Phase(name=name, parameters=list(part.parameters()), loss=lost, optimizer=_adam)
        for name, part, lost in (
            ("discriminator", pair.discriminator, discriminate),
            ("generator", pair.generator, generate),
        )
    ]


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Three linear layers each; two of the generator's have a scale and a shift of their normalisation for a bias."""
    noise, pixels = known(spec.input_size, "input_size"), math.prod(known(spec.image_shape, "image_shape"))
    small, large = hyperparameters.hidden_dim, 2 * hyperparameters.hidden_dim
    generator = (noise + 2) * small + (small + 2) * large + linear_count(large, pixels)
    return generator + linear_count(pixels, large) + linear_count(large, small) + linear_count(small, 1)


@architecture(
    "gan",
    summary="generative adversarial network: two perceptrons trained in turn, one to make pictures, one to see through it",
    source="Goodfellow et al. 2014, Generative Adversarial Nets; step sizes: Radford, Metz & Chintala 2016 (DCGAN)",
    inputs=[InputKind.NOISE],
    outputs=[OutputKind.IMAGE],
    hyperparameters=Hyperparameters,
    width="hidden_dim",
    parameter_count=parameter_count,
    phases=phases,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A generator with its discriminator."""
    return AdversarialPair(spec, hyperparameters)
