"""The generative adversarial network: what each phase moves, by which loss, and that pictures do not see each other."""

from __future__ import annotations

import copy

import pytest
import torch
from scripted import case
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES, Adversarial, Likelihood, Phase
from bench.batch import Batch
from bench.records import FitSettings
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks import TASKS
from bench.workloads import Subject
from bench.workloads.training import build_step
from tests.twins import gan_losses

SMALL = Spec(inputs=InputKind.NOISE, outputs=OutputKind.IMAGE, input_size=3, image_shape=(1, 4, 5))
PARTS = ("discriminator", "generator")


def build(spec: Spec = SMALL, **options: float) -> nn.Module:
    architecture = ARCHITECTURES.get("gan")
    torch.manual_seed(0)
    return architecture.build(spec, architecture.hyperparameters(**({"hidden_dim": 4, "dropout": 0.0} | options)))


def batch_of(items: int = 6, dtype: torch.dtype = torch.float64) -> Batch:
    generator = torch.Generator().manual_seed(1)
    pictures = torch.rand((items, 1, 4, 5), generator=generator, dtype=dtype)
    return Batch(inputs=torch.randn((items, 3), generator=generator, dtype=dtype), targets=pictures, items=items)


def phases_of(model: nn.Module) -> tuple[Phase, ...]:
    def never(*_: object) -> Tensor:
        raise AssertionError("the task has no loss")

    return tuple(ARCHITECTURES.get("gan").training_phases(model, never))


def test_losses_are_those_of_plain_probabilities() -> None:
    model, batch = build().double().train(), batch_of()
    found = [phase.loss(model, batch).item() for phase in phases_of(model)]
    assert found == pytest.approx([loss.item() for loss in gan_losses(model, batch)], rel=1e-10)


def test_losses_of_no_batch_overflow() -> None:
    model = build()
    with torch.no_grad():
        model.get_submodule("discriminator.7").bias.fill_(-500.0)
    assert model.generator_loss(torch.randn(2, 3)).tolist() == pytest.approx([500.0] * 2, rel=1e-2)
    assert model.discriminator_loss(torch.rand(2, 1, 4, 5), torch.randn(2, 3)).isfinite().all()


def test_each_phase_has_its_own_parameters_and_leaves_gradients_on_no_others() -> None:
    model, batch = build().double(), batch_of()
    for phase, own in zip(phases_of(model), PARTS, strict=True):
        model.zero_grad()
        phase.loss(model, batch).backward()
        assert phase.name == own
        assert set(phase.parameters) == set(model.get_submodule(own).parameters())
        for name, parameter in model.named_parameters():
            assert (parameter.grad is not None) == name.startswith(own), name


def step_on(model: nn.Module) -> tuple[Subject, FitSettings]:
    kind = TASKS.get("generation")
    subject = Subject(
        case=case("gan", workload="training"),
        task=kind.make(kind.options()),
        spec=SMALL,
        architecture=ARCHITECTURES.get("gan"),
        model=model,
        device=torch.device("cpu"),
        batches=(),
    )
    return subject, FitSettings(epochs=1, batch_size=6)


def test_a_step_moves_the_discriminator_then_the_generator_each_as_if_alone() -> None:
    model, batch = build().train(), batch_of(dtype=torch.float32)
    twin = copy.deepcopy(model)
    step = build_step(*step_on(model), learning_rate=1.0)
    assert [type(optimizer) for optimizer in step.optimizers] == [torch.optim.Adam] * 2
    assert {(group["lr"], group["betas"]) for each in step.optimizers for group in each.param_groups} == {
        (2e-4, (0.5, 0.999))  # its own: the suite's learning rate is 1
    }
    losses = step(batch)
    for place, (phase, own) in enumerate(zip(phases_of(twin), PARTS, strict=True)):
        before = copy.deepcopy(twin.state_dict())
        optimizer = torch.optim.Adam(twin.get_submodule(own).parameters(), lr=2e-4, betas=(0.5, 0.999))
        twin.zero_grad()
        loss = phase.loss(twin, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(phase.parameters, 1.0)
        optimizer.step()
        assert losses[place].item() == pytest.approx(loss.item(), rel=1e-6)
        for name, value in twin.named_parameters():
            assert torch.equal(value, before[name]) != name.startswith(own), name
    for name, value in twin.state_dict().items():
        assert torch.allclose(model.state_dict()[name], value, atol=1e-7), name


def test_steps_make_the_discriminator_right_and_then_the_generator_good() -> None:
    model, batch = build(hidden_dim=16).train(), batch_of(64, torch.float32)
    first, second = phases_of(model)
    made = {}
    for phase in (first, second):
        optimizer = torch.optim.Adam(phase.parameters, lr=0.01)
        before = phase.loss(model, batch).item()
        for _ in range(60):
            optimizer.zero_grad()
            phase.loss(model, batch).backward()
            optimizer.step()
        made[phase.name] = before, phase.loss(model, batch).item()
    assert all(after < before * 0.7 for before, after in made.values())


@pytest.mark.parametrize("place", range(2))
def test_gradients_are_those_of_the_losses(place: int) -> None:
    model, batch = build().double().eval(), batch_of(3)
    phase = phases_of(model)[place]
    for parameter in phase.parameters:
        (gradient,) = torch.autograd.grad(phase.loss(model, batch), [parameter])
        for at in range(0, parameter.numel(), 7):
            found = []
            for move in (1e-6, -1e-6):
                with torch.no_grad():
                    parameter.view(-1)[at] += move
                    found.append(phase.loss(model, batch).item())
                    parameter.view(-1)[at] -= move
            assert gradient.flatten()[at].item() == pytest.approx((found[0] - found[1]) / 2e-6, abs=1e-7)


def test_in_eval_a_picture_depends_on_its_own_noise_alone() -> None:
    model, batch = build().double(), batch_of()
    model.train()
    model.generator_loss(batch.inputs)  # moves the running means
    model.eval()
    together = model(batch.inputs)
    assert 0 < together.min() < together.max() < 1
    for place in range(6):
        assert torch.allclose(model(batch.inputs[place : place + 1])[0], together[place], rtol=1e-12)


def test_a_batch_of_one_can_be_trained_on() -> None:
    model, batch = build(dropout=0.3).train(), batch_of(1, torch.float32)
    for phase in phases_of(model):
        loss = phase.loss(model, batch)
        loss.backward()
        assert loss.isfinite()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_normalisation_is_torchs_own_and_keeps_its_statistics() -> None:
    model, other = (nn.Sequential(part(5)) for part in (type(build().get_submodule("generator.1")), nn.BatchNorm1d))
    rows = torch.randn(7, 5, generator=torch.Generator().manual_seed(2)) * 3 + 1
    for training in (True, False):
        assert torch.equal(model.train(training)(rows), other.train(training)(rows))
    assert torch.equal(model[0].running_var, other[0].running_var)


def test_it_knows_how_well_it_passes_but_no_likelihood() -> None:
    model = build()
    assert isinstance(model, Adversarial)
    assert not isinstance(model, Likelihood)


def test_bfloat16_weights_make_pictures_too() -> None:
    model, batch = build().bfloat16().eval(), batch_of(dtype=torch.bfloat16)
    with torch.inference_mode():
        made = model(batch.inputs)
    assert made.dtype == torch.bfloat16
    assert made.isfinite().all()
