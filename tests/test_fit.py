"""Training to accuracy: what decides, what is counted, and that an interruption changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fakes import DecoderHyperparameters, Reverse, ReverseOptions, TwoPhase, TwoPhaseHyperparameters
from scripted import case
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES
from bench.codec import from_json, to_json
from bench.observations import Epoch, Fit
from bench.records import FitSettings, Outcome
from bench.tasks import TASKS, Data
from bench.workloads import Subject
from bench.workloads.fit import FitRun, fit
from bench.workloads.training import build_step

TASK = Reverse(ReverseOptions(items=96))
SPEC = TASK.spec(4)
SETTINGS = FitSettings(epochs=4, batch_size=16, learning_rates=(0.02,))


class KilledError(Exception):
    """Stands for the end of the process."""


def build(seed: int = 0) -> Subject:
    torch.manual_seed(seed)
    architecture = ARCHITECTURES.get("fake-decoder")
    return Subject(
        case=case("fake-decoder", workload="fit", fit=SETTINGS),
        task=TASK,
        spec=SPEC,
        architecture=architecture,
        model=architecture.build(SPEC, DecoderHyperparameters()),
        device=torch.device("cpu"),
        batches=(),
    )


def run_of(told: list[Epoch | str], **more: object) -> FitRun:
    settings: dict[str, object] = {"seed": 0, "fold": None, "checkpoint": None, "settings": SETTINGS}
    settings |= {"data": TASK.load(SPEC), "tell": told.append} | more
    return FitRun(build=lambda: build(int(str(settings["seed"]))), **settings)  # type: ignore[arg-type]


def test_the_epoch_is_chosen_on_validation_and_reported_on_test() -> None:
    told: list[Epoch | str] = []
    result = fit(run_of(told))
    scores = [epoch.validation_score or 0 for epoch in told if isinstance(epoch, Epoch)]
    assert result.best_epoch == scores.index(max(scores)) + 1
    # the same fit, stopped at that epoch, reports the same test figures
    shorter = fit(run_of([], settings=replace(SETTINGS, epochs=result.best_epoch or 0)))
    assert shorter.metrics == result.metrics
    # who knows nothing loses ln 11 nats at each of the symbols
    assert result.metrics["test_loss"] < 0.8 * math.log(TASK.vocabulary - 1)
    assert (result.total, len(result.predictions)) == (96 * 4, 96)


def test_where_less_is_better_the_epoch_of_the_least_error_is_taken_and_a_target_lies_below() -> None:
    task = TASKS.get("adding").make(TASKS.get("adding").options(train_items=64))
    spec, architecture = task.spec(4), ARCHITECTURES.get("gru")

    def built() -> Subject:
        torch.manual_seed(0)
        sizes = architecture.hyperparameters(embedding_dim=8, hidden_dim=16, dropout=0.0)
        return replace(build(), task=task, spec=spec, architecture=architecture, model=architecture.build(spec, sizes))

    told: list[Epoch] = []
    settings = FitSettings(epochs=6, batch_size=16, learning_rates=(0.3,), target=0.3)
    run = replace(run_of([]), build=built, data=task.load(spec), settings=settings)
    result = fit(replace(run, tell=lambda news: told.extend([news] if isinstance(news, Epoch) else [])))
    errors = [epoch.validation_score or 0 for epoch in told]
    assert errors[0] > 0.3  # so that the first epoch does not reach the target
    assert result.best_epoch == errors.index(min(errors)) + 1
    assert min(errors) < 0.3
    assert result.metrics["mse"] < 0.3
    reached = next(place for place, error in enumerate(errors) if error <= 0.3)
    assert result.time_to_target_s == pytest.approx(sum(epoch.seconds for epoch in told[: reached + 1]))


class Exploding(nn.Module):
    """Trains like any other, but answers what no number is: from some call in `eval()` on, or up to it."""

    def __init__(self, good: set[int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.good, self.evaluated = good, 0

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        answer = self.weight * inputs.sum(dim=(1, 2))[:, None]
        if self.training:
            return answer
        self.evaluated += 1
        return answer if self.evaluated in self.good else answer * float("nan")


@pytest.mark.parametrize(
    ("good", "outcome", "reason"),
    [
        (set(), Outcome.DIVERGED, "mse nan on the validation split in epoch 1 at learning rate 0.001"),
        (set(range(1, 17)), Outcome.DIVERGED, "not finite on the test split: mse, mae, test_loss"),
        (set(range(1, 1000)), Outcome.OK, ""),
    ],
)
def test_an_answer_that_is_no_number_is_a_finding(good: set[int], outcome: Outcome, reason: str) -> None:
    task = TASKS.get("adding").make(TASKS.get("adding").options(train_items=64))
    spec, models = task.spec(4), []

    def built() -> Subject:
        models.append(Exploding(good if len(models) < 1 or len(good) > 100 else set()))
        return replace(build(), task=task, spec=spec, architecture=ARCHITECTURES.get("gru"), model=models[-1])

    told: list[Epoch | str] = []
    settings = FitSettings(epochs=1, batch_size=16, learning_rates=(1e-3,))
    run = replace(run_of(told), build=built, data=task.load(spec), settings=settings)
    result = fit(run)
    assert (result.outcome, result.reason) == (outcome, reason)
    assert from_json(Fit, to_json(result)) == result


@pytest.mark.parametrize("last_is_lost", [False, True])
@pytest.mark.parametrize("stop", [1, 3, 5, 8])
def test_an_interrupted_fit_goes_on_with_the_numbers_it_would_have_had(
    tmp_path: Path, stop: int, last_is_lost: bool
) -> None:
    grid = replace(SETTINGS, learning_rates=(0.02, 0.01))
    whole: list[Epoch | str] = []
    expected = fit(run_of(whole, settings=grid))
    told: list[Epoch | str] = []

    def until_killed(news: Epoch | str) -> None:
        told.extend([news] if isinstance(news, Epoch) else [])
        if len(told) == stop:
            raise KilledError

    checkpoint = tmp_path / "fit.pt"
    with pytest.raises(KilledError):
        fit(run_of(told, settings=grid, checkpoint=checkpoint, tell=until_killed))
    # the state is kept before the epoch is told: an epoch that nobody stored is told again, one that was stored is not
    if last_is_lost:
        told.pop()
    found = fit(run_of(told, settings=grid, checkpoint=checkpoint, known_epochs=len(told)))
    assert timeless_epochs(told) == timeless_epochs(whole)
    assert timeless(found) == timeless(expected)


def timeless_epochs(told: list[Epoch | str]) -> list[object]:
    # on a slow machine there are also lines on the epoch in work
    return [timeless(one) for one in told if isinstance(one, Epoch)]


def timeless(record: Epoch | Fit | str) -> object:
    if isinstance(record, Epoch):
        return replace(record, seconds=0.0)
    return replace(record, fit_s=0.0) if isinstance(record, Fit) else record


def test_a_disk_that_takes_no_state_does_not_end_a_fit(tmp_path: Path) -> None:
    told: list[Epoch | str] = []
    whole = fit(run_of([]))
    found = fit(run_of(told, checkpoint=tmp_path / "nowhere" / "fit.pt"))
    assert timeless(found) == timeless(whole)
    assert any("its state cannot be kept" in one for one in told if isinstance(one, str))


def test_a_seed_decides_initial_weights_and_order_and_nothing_else_does() -> None:
    first, again, other = (fit(run_of([], seed=seed)) for seed in (1, 1, 2))
    assert timeless(first) == timeless(again)
    assert first.metrics != other.metrics


def recorded(order: list[tuple[int, ...]]) -> Data:
    data = TASK.load(SPEC)

    class Recording:
        def __len__(self) -> int:
            return len(data.train)

        def batch(self, indices: list[int]) -> object:
            order.append(tuple(indices))
            return data.train.batch(indices)

    return replace(data, train=Recording())  # type: ignore[arg-type]


def test_a_subset_holds_the_same_items_for_every_seed_in_an_order_of_its_own() -> None:
    orders: list[list[int]] = []
    for seed in (0, 1):
        batches: list[tuple[int, ...]] = []
        fit(run_of([], seed=seed, data=recorded(batches), settings=replace(SETTINGS, epochs=1, train_items=40)))
        orders.append([index for batch in batches for index in batch])
    assert sorted(orders[0]) == sorted(orders[1])
    assert len(set(orders[0])) == 40
    assert orders[0] != orders[1]


def test_every_epoch_has_an_order_of_its_own() -> None:
    batches: list[tuple[int, ...]] = []
    fit(run_of([], data=recorded(batches), settings=replace(SETTINGS, epochs=2)))
    assert batches[:6] != batches[6:]
    assert sorted(sum(batches[:6], ())) == sorted(sum(batches[6:], ())) == list(range(96))


def test_a_grid_takes_the_best_learning_rate_on_validation_and_counts_its_cost() -> None:
    told: list[Epoch | str] = []
    result = fit(run_of(told, settings=replace(SETTINGS, epochs=2, learning_rates=(1e-6, 0.02))))
    assert result.learning_rate == 0.02
    assert result.items == 2 * 2 * 96
    assert result.fit_s == pytest.approx(sum(epoch.seconds for epoch in told if isinstance(epoch, Epoch)))


def test_divergence_is_an_outcome_and_in_a_grid_only_a_remark() -> None:
    settings = replace(SETTINGS, optimizer="sgd", learning_rates=(1e30,), clip_norm=None)
    lost = fit(run_of([], settings=settings))
    assert lost.outcome is Outcome.DIVERGED
    assert "at learning rate 1e+30" in lost.reason
    saved = fit(run_of([], settings=replace(settings, learning_rates=(1e30, 0.1))))
    assert saved.outcome is Outcome.OK
    assert saved.learning_rate == 0.1
    assert "1e+30" in saved.reason


def test_time_to_target_is_the_training_time_until_validation_reached_it() -> None:
    told: list[Epoch | str] = []
    easy = fit(run_of(told, settings=replace(SETTINGS, target=0.0)))
    first = next(epoch for epoch in told if isinstance(epoch, Epoch))
    assert easy.time_to_target_s == pytest.approx(first.seconds)
    assert fit(run_of([], settings=replace(SETTINGS, target=1.1))).time_to_target_s is None


# ── the step that speed cases and fits share ───────────────────────────────────────────────────────────────────────


def two_phase(precision: str = "fp32") -> tuple[Subject, Callable[[], dict[str, torch.Tensor]]]:
    from bench.tasks import TASKS

    kind = TASKS.get("tabular")
    task = kind.make(kind.options())
    spec = task.spec(None)
    torch.manual_seed(0)
    model = TwoPhase(spec, TwoPhaseHyperparameters())
    subject = Subject(
        case=case("fake-two-phase", workload="training", precision=precision),
        task=task,
        spec=spec,
        architecture=ARCHITECTURES.get("fake-two-phase"),
        model=model,
        device=torch.device("cpu"),
        batches=(task.random_batch(spec, 32, 0),),
    )
    return subject, lambda: {name: value.clone() for name, value in model.state_dict().items()}


def test_each_phase_moves_its_own_parameters_and_no_others() -> None:
    subject, weights = two_phase()
    step = build_step(subject, FitSettings(epochs=1, batch_size=1), 0.01)
    discriminator = replace(step, phases=step.phases[:1], optimizers=step.optimizers[:1])
    before = weights()
    discriminator(subject.batches[0])
    moved = {name for name, value in weights().items() if not torch.equal(value, before[name])}
    assert moved == {"discriminator.weight", "discriminator.bias"}
    before = weights()
    replace(step, phases=step.phases[1:], optimizers=step.optimizers[1:])(subject.batches[0])
    moved = {name for name, value in weights().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if not name.startswith("discriminator")}


def test_a_phase_may_bring_its_own_optimizer() -> None:
    subject, _ = two_phase()
    step = build_step(subject, FitSettings(epochs=1, batch_size=1, weight_decay=0.5), 0.01)
    assert [type(optimizer).__name__ for optimizer in step.optimizers] == ["SGD", "AdamW"]
    assert step.optimizers[1].defaults["lr"] == 0.01
    assert step.optimizers[1].defaults["weight_decay"] == 0.5


def test_gradients_are_clipped_to_the_norm_that_was_asked_for() -> None:
    subject, _ = two_phase()
    settings = FitSettings(epochs=1, batch_size=1, clip_norm=1e-3)
    step = build_step(subject, settings, 0.01)
    step(subject.batches[0])
    norm = nn.utils.get_total_norm([p.grad for p in step.phases[1].parameters if p.grad is not None])
    assert float(norm) == pytest.approx(1e-3, rel=1e-2)


def test_training_in_bf16_keeps_fp32_weights_and_learns() -> None:
    subject, _ = two_phase("bf16")
    step = build_step(subject, FitSettings(epochs=1, batch_size=1), 0.01)
    losses = [step(subject.batches[0]).tolist() for _ in range(30)]
    assert all(last < first for first, last in zip(losses[0], losses[-1], strict=True))
    assert {parameter.dtype for parameter in subject.model.parameters()} == {torch.float32}
