"""The variational autoencoder: its bound against plain sums in double precision, and where its noise goes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.func import functional_call

from bench.architectures import ARCHITECTURES, Likelihood
from bench.batch import Batch
from bench.errors import ModelError
from bench.spec import InputKind, OutputKind, Spec
from tests.twins import vae_parts

SMALL = Spec(inputs=InputKind.NOISE, outputs=OutputKind.IMAGE, input_size=3, image_shape=(1, 4, 5))


def build(spec: Spec = SMALL, **options: int) -> nn.Module:
    architecture = ARCHITECTURES.get("vae")
    torch.manual_seed(0)
    return architecture.build(spec, architecture.hyperparameters(**({"hidden_dim": 7} | options)))


def drawn(items: int = 6) -> tuple[Tensor, Tensor]:
    """Pictures and noise in double precision."""
    generator = torch.Generator().manual_seed(1)
    pictures = torch.rand((items, 1, 4, 5), generator=generator, dtype=torch.float64)
    return pictures, torch.randn((items, 3), generator=generator, dtype=torch.float64)


def test_the_bound_is_what_plain_sums_give() -> None:
    model, (pictures, noise) = build().double(), drawn()
    assert isinstance(model, Likelihood)
    for found, expected in zip(model.negative_elbo(pictures, noise), vae_parts(model, pictures, noise), strict=True):
        assert found.shape == (6,)
        assert torch.allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_the_divergence_is_that_of_two_normals() -> None:
    model, (pictures, noise) = build().double(), drawn()
    mean, log_variance = model.get_submodule("encoder")(pictures.flatten(1)).chunk(2, dim=1)
    normals = Normal(mean, (log_variance / 2).exp()), Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = kl_divergence(*normals).sum(dim=1)
    assert torch.allclose(model.negative_elbo(pictures, noise)[1], expected, rtol=1e-10)


def test_noise_moves_the_reconstruction_alone() -> None:
    model, (pictures, noise) = build().double(), drawn()
    first, second = model.negative_elbo(pictures, noise), model.negative_elbo(pictures, -noise)
    assert torch.equal(first[1], second[1])
    assert not torch.allclose(first[0], second[0])


class Bound(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor, noise: Tensor) -> Tensor:
        return sum(self.model.negative_elbo(pictures, noise)).mean()


def test_gradients_are_those_of_the_bound() -> None:
    bound, drawn_2 = Bound(build(hidden_dim=4).double()), drawn(2)
    names, values = zip(*bound.named_parameters(), strict=True)
    assert torch.autograd.gradcheck(
        lambda *moved: functional_call(bound, dict(zip(names, moved, strict=True)), drawn_2), values
    )


def test_pictures_come_from_the_decoder_and_are_between_0_and_1() -> None:
    model, (_, noise) = build().double().eval(), drawn()
    made = model(100 * noise)
    assert made.shape == (6, 1, 4, 5)
    assert 0 <= made.min() < made.max() <= 1
    assert torch.equal(made.flatten(1), model.get_submodule("decoder")(100 * noise).sigmoid())


def test_training_is_one_phase_by_the_mean_bound() -> None:
    architecture, model, (pictures, noise) = ARCHITECTURES.get("vae"), build().double(), drawn()

    def never(*_: object) -> Tensor:
        raise AssertionError("the task has no loss")

    (phase,) = architecture.training_phases(model, never)
    assert phase.optimizer is None
    assert set(phase.parameters) == set(model.parameters())
    loss = phase.loss(model, Batch(inputs=noise, targets=pictures, items=6))
    assert loss.item() == pytest.approx(sum(model.negative_elbo(pictures, noise)).mean().item(), rel=1e-12)


def test_under_autocast_the_bound_is_in_single_precision() -> None:
    model, (pictures, noise) = build(), (each.float() for each in drawn())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        parts = model.negative_elbo(pictures, noise)
    assert [part.dtype for part in parts] == [torch.float32] * 2
    assert torch.allclose(sum(parts), sum(model.negative_elbo(pictures, noise)), rtol=0.02)


def test_a_blind_decoder_costs_the_entropy_of_grey() -> None:
    model, (pictures, noise) = build().double(), drawn()
    for parameter in model.parameters():
        parameter.data.zero_()
    reconstruction, divergence = model.negative_elbo(pictures, noise)
    assert reconstruction.tolist() == pytest.approx([20 * math.log(2)] * 6)
    assert divergence.tolist() == [0.0] * 6


def test_the_number_of_parameters_follows_from_the_spec() -> None:
    mnist = Spec(inputs=InputKind.NOISE, outputs=OutputKind.IMAGE, input_size=20, image_shape=(1, 28, 28))
    count = ARCHITECTURES.get("vae").parameter_count
    assert count is not None
    size = count(mnist, ARCHITECTURES.get("vae").hyperparameters())
    # Kingma's sizes: 784-400-(20, 20) and 20-400-784
    assert size == 784 * 400 + 400 + 2 * (400 * 20 + 20) + 20 * 400 + 400 + 400 * 784 + 784
    assert size == sum(parameter.numel() for parameter in build(mnist, hidden_dim=400).parameters())


def test_a_spec_without_a_picture_is_one_sentence() -> None:
    with pytest.raises(ModelError, match="gives no image_shape"):
        build(Spec(inputs=InputKind.NOISE, outputs=OutputKind.IMAGE, input_size=3))
