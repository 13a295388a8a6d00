"""`training`: one optimizer step - zero_grad, forward, loss, backward, clipping where asked for, AdamW - phase by phase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.architectures import Phase
from bench.batch import Batch, forward
from bench.records import FitSettings
from bench.sampling import Mark
from bench.workloads import TIMED_AXES, TIMED_METRICS, WORKLOADS, Measured, Subject, Workload

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
SPEED_SETTINGS = FitSettings(epochs=1, batch_size=1, clip_norm=None)
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def _unmarked(_: str) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One training step over its phases; called with a batch, it returns the loss of each phase, detached: (phases,)."""

    model: nn.Module
    phases: tuple[Phase, ...]
    optimizers: tuple[Optimizer, ...]
    clip_norm: float | None
    autocast: torch.dtype | None
    device_type: str
    scaler: torch.amp.GradScaler

    def __call__(self, batch: Batch, mark: Mark = _unmarked) -> Tensor:
        """Take the step on a batch that is on the model's device, and mark its parts: `forward`, `backward`, `optimizer`."""
        losses = []
        for phase, optimizer in zip(self.phases, self.optimizers, strict=True):
            self.model.zero_grad(set_to_none=True)
            mark("optimizer")
            with torch.autocast(self.device_type, dtype=self.autocast, enabled=self.autocast is not None):
                loss = phase.loss(self.model, batch)
            mark("forward")
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            mark("backward")
            if self.clip_norm is not None:
                self.scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(phase.parameters, self.clip_norm)
            self.scaler.step(optimizer)
            self.scaler.update()
            mark("optimizer")
            losses.append(loss.detach())
        return torch.stack(losses)


def build_step(subject: Subject, settings: FitSettings, learning_rate: float) -> Step:
    """The training step of a subject: its architecture's phases, each with its own optimizer or the suite's."""
    task, spec = subject.task, subject.spec

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return task.loss(forward(model, batch, spec), batch)

    phases = tuple(subject.architecture.training_phases(subject.model, loss))
    make = OPTIMIZERS[settings.optimizer]
    optimizers = tuple(
        phase.optimizer(phase.parameters)
        if phase.optimizer
        else make(phase.parameters, lr=learning_rate, weight_decay=settings.weight_decay)
        for phase in phases
    )
    return Step(
        model=subject.model,
        phases=phases,
        optimizers=optimizers,
        clip_norm=settings.clip_norm,
        autocast=AUTOCAST.get(subject.case.precision),
        device_type=subject.device.type,
        # a scaler that is off costs one `if` a call, so that there is one code path for every precision
        scaler=torch.amp.GradScaler(subject.device.type, enabled=subject.case.precision == "fp16"),
    )


def _prepare(subject: Subject) -> Measured:
    subject.model.train()
    step = build_step(subject, SPEED_SETTINGS, SPEED_SETTINGS.learning_rates[0])
    batches = cycle(subject.batches)
    return Measured.of(
        lambda: step(next(batches)),
        subject.batches,
        marked=lambda mark: step(next(batches), mark),
        optimizers=step.optimizers,
    )


WORKLOADS.register(
    "training",
    Workload(
        name="training",
        summary="one optimizer step: zero_grad, forward, loss, backward, AdamW; lower precisions by autocast over fp32 weights",
        axes=TIMED_AXES,
        metrics=TIMED_METRICS,
        prepare=_prepare,
    ),
)
