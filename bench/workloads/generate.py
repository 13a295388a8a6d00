"""`generate`: pictures from noise, which is drawn on the device within the call; an item is a picture."""

from __future__ import annotations

from dataclasses import replace

import torch

from bench.batch import forward
from bench.spec import OutputKind
from bench.workloads import TIMED_AXES, TIMED_METRICS, WORKLOADS, Measured, Subject, Workload


def _prepare(subject: Subject) -> Measured:
    model, spec, batch = subject.model.eval(), subject.spec, subject.batches[0]

    @torch.inference_mode()
    def call() -> object:
        return forward(model, replace(batch, inputs=torch.randn_like(batch.inputs)), spec)

    return Measured(call=call, items=batch.items)


WORKLOADS.register(
    "generate",
    Workload(
        name="generate",
        summary="pictures from fresh noise, in eval() under torch.inference_mode()",
        axes=TIMED_AXES,
        metrics=TIMED_METRICS,
        prepare=_prepare,
        casts_weights=True,
        outputs=OutputKind.IMAGE,
    ),
)
