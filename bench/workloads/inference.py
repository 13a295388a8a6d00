"""`inference`: one forward of a batch in `eval()` under `torch.inference_mode()`."""

from __future__ import annotations

from itertools import cycle

import torch

from bench.batch import forward
from bench.workloads import TIMED_AXES, TIMED_METRICS, WORKLOADS, Measured, Subject, Workload


def _prepare(subject: Subject) -> Measured:
    model, spec = subject.model.eval(), subject.spec
    batches = cycle(subject.batches)

    @torch.inference_mode()
    def call() -> object:
        return forward(model, next(batches), spec)

    return Measured.of(call, subject.batches)


WORKLOADS.register(
    "inference",
    Workload(
        name="inference",
        summary="one forward in eval() under torch.inference_mode(); lower precisions cast weights and inputs",
        axes=TIMED_AXES,
        metrics=TIMED_METRICS,
        prepare=_prepare,
        casts_weights=True,
    ),
)
