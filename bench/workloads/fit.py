"""`fit`: train on train, choose the epoch (and learning rate) on validation, report on test, once.

A fit keeps its whole state after every epoch and goes on from there after an interruption, with the numbers it would have had.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.batch import Batch
from bench.observations import Epoch, Fit
from bench.quantity import Better
from bench.records import FitSettings, Outcome
from bench.tasks import Data, Evaluation, Examples, Showing, Task
from bench.workloads import WORKLOADS, Subject, Workload
from bench.workloads.training import Step, build_step

# An epoch whose mean loss is this many times the first batch's has exploded. Losses of phases that play against each other
# rise and fall: of those it is only asked that they are finite.
EXPLODED = 10.0


@dataclass(slots=True, kw_only=True)
class State:
    """Where a fit stands: what goes into its checkpoint, beside model and optimizers."""

    rate: int = 0
    epoch: int = 0
    fit_s: float = 0.0
    items: int = 0
    first_loss: float | None = None
    time_to_target_s: float | None = None
    best_score: float | None = None
    best_epoch: int | None = None
    best_rate: int | None = None
    best_weights: dict[str, Tensor] | None = None
    diverged: list[str] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRun:
    """One fit: how a fresh subject is made (seeded alike each time), its data, and where news and state go.

    Attributes:
        tell: takes each finished epoch, and every few seconds a line on the one in work.
        known_epochs: finished epochs that were told before the interruption.
        keep: takes the weights of the best epoch of a fit that ended well; says what was amiss with keeping them, or nothing.
    """

    build: Callable[[], Subject]
    data: Data
    settings: FitSettings
    seed: int
    fold: int | None
    checkpoint: Path | None
    tell: Callable[[Epoch | str], None]
    known_epochs: int = 0
    keep: Callable[[Mapping[str, Tensor]], str] | None = None


def fit(run: FitRun) -> Fit:
    """Train every learning rate of the grid, then evaluate the best epoch on the test split."""
    state, saved = State(), _load(run.checkpoint)
    if saved is not None:
        state = State(**saved["state"])
        for kept in state.epochs[run.known_epochs :]:
            run.tell(Epoch(**kept))
    while state.rate < len(run.settings.learning_rates):
        subject = run.build()
        step = build_step(subject, run.settings, run.settings.learning_rates[state.rate])
        if saved is not None and saved["model"] is not None:
            _restore(saved, step)
        saved = None
        while state.epoch < run.settings.epochs:
            entry = _one_epoch(run, subject, step, state)
            # first kept, then told: what is told and lost with this process is told again from the state
            _save(run, state, step)
            if entry is not None:
                run.tell(entry)
        state.rate, state.epoch, state.first_loss = state.rate + 1, 0, None
        _save(run, state, None)
    return _report(run, state)


def _one_epoch(run: FitRun, subject: Subject, step: Step, state: State) -> Epoch | None:
    """Train on every item once and look at the validation split; None if training diverged."""
    settings, case_id = run.settings, subject.case.id
    order = torch.Generator().manual_seed(run.seed * 1_000_003 + state.epoch)
    items = min(settings.train_items or len(run.data.train), len(run.data.train))
    # the same items for every seed and architecture, in an order that only the seed decides
    shuffled = _subset(len(run.data.train), items)[torch.randperm(items, generator=order)].tolist()
    began = time.perf_counter()
    losses = _pass(run, subject, step, state, shuffled)
    loss = losses[-1]
    seconds = time.perf_counter() - began
    state.fit_s, state.items, state.epoch = state.fit_s + seconds, state.items + items, state.epoch + 1
    exploded = len(losses) == 1 and loss > EXPLODED * (state.first_loss or math.inf)
    if exploded or not all(map(math.isfinite, losses)):
        _give_up(settings, state, f"mean training loss {' and '.join(f'{one:.3g}' for one in losses)}")
        return None
    evaluated = evaluate(subject, run.data.validation, settings.batch_size)
    score = subject.task.score(*evaluated[1:]).metrics[subject.task.headline]
    if not math.isfinite(score):
        _give_up(settings, state, f"{subject.task.headline} {score} on the validation split")
        return None
    sign = _sign(subject.task)
    if state.best_score is None or sign * score > sign * state.best_score:
        state.best_score, state.best_epoch, state.best_rate = score, state.epoch, state.rate
        state.best_weights = {name: value.detach().cpu().clone() for name, value in subject.model.state_dict().items()}
    if settings.target is not None and sign * score >= sign * settings.target and state.time_to_target_s is None:
        state.time_to_target_s = state.fit_s
    entry = Epoch(
        case_id=case_id,
        seed=run.seed,
        fold=run.fold,
        learning_rate=settings.learning_rates[state.rate],
        epoch=state.epoch,
        train_loss=loss,
        validation_loss=evaluated[0],
        validation_score=score,
        seconds=seconds,
        items=items,
        losses={phase.name: one for phase, one in zip(step.phases, losses, strict=True)} if len(losses) > 1 else {},
    )
    state.epochs.append(asdict(entry))
    return entry


def _give_up(settings: FitSettings, state: State, found: str) -> None:
    """Leave the epochs of a learning rate that are left."""
    state.diverged.append(f"{found} in epoch {state.epoch} at learning rate {settings.learning_rates[state.rate]:g}")
    state.epoch = settings.epochs


def _sign(task: Task) -> int:
    """1 where more is better of the metric that epochs are chosen by, -1 where less is."""
    headline = next(metric for metric in task.metrics if metric.name == task.headline)
    return -1 if headline.better is Better.LOWER else 1


def _subset(total: int, items: int) -> Tensor:
    if items >= total:
        return torch.arange(total)
    return torch.randperm(total, generator=torch.Generator().manual_seed(0))[:items]


def _pass(run: FitRun, subject: Subject, step: Step, state: State, order: list[int]) -> list[float]:
    """Train on the items in this order; the mean loss of each phase, infinite as soon as one is not finite."""
    subject.model.train()
    total = torch.zeros(len(step.phases), device=subject.device)
    news = time.monotonic()
    for place, batch in enumerate(_batches(run.data.train, order, run.settings.batch_size)):
        loss = step(batch.to(subject.device))
        total += loss.float() * batch.items
        if state.first_loss is None:
            state.first_loss = float(loss[-1])
        # looking at the loss waits for the device: now and then is enough
        if place % 50 == 49 and not total.isfinite().all():
            return [math.inf] * len(total)
        if time.monotonic() - news > 5:
            news = time.monotonic()
            run.tell(f"epoch {state.epoch + 1}: {(place + 1) * run.settings.batch_size / len(order):.0%}")
    return [one / len(order) for one in total.tolist()]


def _batches(examples: Examples, order: list[int], size: int) -> Iterator[Batch]:
    return (examples.batch(order[start : start + size]) for start in range(0, len(order), size))


@torch.inference_mode()
def evaluate(subject: Subject, examples: Examples, batch_size: int) -> tuple[float, list[Any], list[Any]]:
    """Mean loss, predictions and truths over a split, in its order."""
    subject.model.eval()
    seen: list[Evaluation] = [
        subject.task.evaluate(subject.model, batch.to(subject.device), subject.spec)
        for batch in _batches(examples, list(range(len(examples))), max(batch_size, 64))
    ]
    loss = sum(part.loss_sum for part in seen) / sum(part.items for part in seen)
    predicted = [one for part in seen for one in part.predicted]
    return loss, predicted, [one for part in seen for one in part.expected]


def _report(run: FitRun, state: State) -> Fit:
    common = {"seed": run.seed, "fold": run.fold, "fit_s": state.fit_s, "items": state.items}
    subject = run.build()
    if state.best_weights is None:
        reason = "; ".join(state.diverged)
        return Fit(case_id=subject.case.id, outcome=Outcome.DIVERGED, reason=reason, **common)  # type: ignore[arg-type]
    subject.model.load_state_dict(state.best_weights)
    loss, predicted, expected = evaluate(subject, run.data.test, run.settings.batch_size)
    score = subject.task.score(predicted, expected)
    metrics = {**score.metrics, "test_loss": loss}
    if unknown := [name for name, value in metrics.items() if not math.isfinite(value)]:
        reason = f"not finite on the test split: {', '.join(unknown)}"
        return Fit(case_id=subject.case.id, outcome=Outcome.DIVERGED, reason=reason, **common)  # type: ignore[arg-type]
    unkept = run.keep(state.best_weights) if run.keep is not None else ""
    return Fit(
        case_id=subject.case.id,
        outcome=Outcome.OK,
        reason="; ".join([*state.diverged, *([unkept] if unkept else [])]),
        metrics=metrics,
        correct=score.correct,
        total=score.total,
        confusion=score.confusion,
        classes=run.data.classes,
        predictions=tuple(predicted) if score.kept is None else score.kept,
        floors=run.data.floors,
        exhibits=subject.task.exhibits(run.data, predicted, expected) if isinstance(subject.task, Showing) else (),
        best_epoch=state.best_epoch,
        learning_rate=run.settings.learning_rates[state.best_rate or 0],
        time_to_target_s=state.time_to_target_s,
        data_fingerprint=run.data.fingerprint,
        **common,  # type: ignore[arg-type]
    )


def _save(run: FitRun, state: State, step: Step | None) -> None:
    """Write the state beside its place and move it there, so that a kill leaves the old one or the new one.

    Where it cannot be written the fit goes on without: an interruption would then begin it anew.
    """
    if run.checkpoint is None:
        return
    document = {
        "state": {name: getattr(state, name) for name in State.__dataclass_fields__},
        "model": step and step.model.state_dict(),
        "optimizers": step and [optimizer.state_dict() for optimizer in step.optimizers],
        "scaler": step and step.scaler.state_dict(),
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all() if step and step.device_type == "cuda" else [],
    }
    beside = run.checkpoint.with_suffix(".part")
    try:
        torch.save(document, beside)
        beside.replace(run.checkpoint)
    except (OSError, RuntimeError) as error:  # torch's writer raises the latter on a full disk
        run.tell(f"its state cannot be kept: {error}")


def _load(checkpoint: Path | None) -> dict[str, Any] | None:
    if checkpoint is None or not checkpoint.exists():
        return None
    loaded: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return loaded


def _restore(saved: dict[str, Any], step: Step) -> None:
    step.model.load_state_dict(saved["model"])
    for optimizer, kept in zip(step.optimizers, saved["optimizers"], strict=True):
        optimizer.load_state_dict(kept)
    step.scaler.load_state_dict(saved["scaler"])
    torch.set_rng_state(saved["random"])
    if saved["cuda_random"]:
        torch.cuda.set_rng_state_all(saved["cuda_random"])


WORKLOADS.register(
    "fit",
    Workload(
        name="fit",
        summary="train to final accuracy: epoch chosen on validation, reported on test, over seeds and folds",
        axes=("sequence_length", "device", "threads"),
        metrics=("accuracy", "test_loss", "fit_s"),
        prepare=None,
    ),
)
