"""The variational autoencoder: a Gaussian behind every picture, and a decoder that says how bright each of its pixels is.

Shape suffixes: B items, P pixels, H hidden, D noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import Loss, Phase, architecture
from bench.architectures.layers import at_least_fp32, known, linear_count
from bench.batch import Batch, asked
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `vae`."""

    hidden_dim: int = option(400, "size of the hidden layer of encoder and decoder", at_least=1)


class VariationalAutoencoder(nn.Module):
    """(B, D) noise to (B, C, H, W) pictures by the decoder; training also needs the encoder, one Gaussian of D a picture."""

    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        self.image_shape = known(spec.image_shape, "image_shape")
        noise, hidden = known(spec.input_size, "input_size"), hyperparameters.hidden_dim
        pixels = math.prod(self.image_shape)
        # mean and logarithm of the variance side by side
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 2 * noise))
        self.decoder = nn.Sequential(nn.Linear(noise, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

    def forward(self, inputs: Tensor) -> Tensor:
        """Pictures: the mean of every pixel, between 0 and 1."""
        return cast(Tensor, self.decoder(inputs)).sigmoid().reshape(-1, *self.image_shape)

    def negative_elbo(self, pictures: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction (B,) from one sample and divergence (B,) from a standard normal, in nats, computed in fp32.

        Of pixels between 0 and 1 the reconstruction is their cross-entropy with Bernoulli means; of grey ones, at best, their
        own entropy remains.
        """
        pixels_BP = pictures.flatten(1)
        mean_BD, log_variance_BD = at_least_fp32(self.encoder(pixels_BP)).chunk(2, dim=1)
        hidden_BD = mean_BD + (log_variance_BD / 2).exp() * noise
        logits_BP = at_least_fp32(self.decoder(hidden_BD))
        entropy_BP = functional.binary_cross_entropy_with_logits(logits_BP, pixels_BP, reduction="none")
        divergence_BD = (mean_BD.square() + log_variance_BD.exp() - 1 - log_variance_BD) / 2
        return entropy_BP.sum(dim=1), divergence_BD.sum(dim=1)


def phases(model: nn.Module, loss: Loss) -> Sequence[Phase]:  # noqa: ARG001 - the task has none for it
    """One phase: the mean negative ELBO of the batch's pictures, in nats a picture."""
    autoencoder = cast(VariationalAutoencoder, model)

    def negative_elbo(_: nn.Module, batch: Batch) -> Tensor:
        reconstruction_B, divergence_B = autoencoder.negative_elbo(asked(batch), batch.inputs)
        return (reconstruction_B + divergence_B).mean()

    return [Phase(name="model", parameters=list(model.parameters()), loss=negative_elbo)]


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Two linear layers of the encoder, two of the decoder."""
    pixels, noise = math.prod(known(spec.image_shape, "image_shape")), known(spec.input_size, "input_size")
    hidden = hyperparameters.hidden_dim
    encoder = linear_count(pixels, hidden) + linear_count(hidden, 2 * noise)
    return encoder + linear_count(noise, hidden) + linear_count(hidden, pixels)


@architecture(
    "vae",
    summary="variational autoencoder: Gaussian encoder, Bernoulli decoder, one hidden layer each; noise is its code",
    source="Kingma & Welling 2014, Auto-Encoding Variational Bayes",
    inputs=[InputKind.NOISE],
    outputs=[OutputKind.IMAGE],
    hyperparameters=Hyperparameters,
    width="hidden_dim",
    parameter_count=parameter_count,
    phases=phases,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A variational autoencoder."""
    return VariationalAutoencoder(spec, hyperparameters)
