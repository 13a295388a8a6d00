"""`step`: one more token for a model that streams, at position L, in `eval()` under `torch.inference_mode()`.

The L - 1 tokens before it are read outside the clock, and every call goes on from that same state, which so never grows.
An item is one step of one row. What is told as the state is what is there after the step, of L tokens.
"""

from __future__ import annotations

from itertools import cycle

import torch

from bench.architectures import Streaming
from bench.errors import ModelError
from bench.workloads import TIMED_AXES, TIMED_METRICS, WORKLOADS, Measured, Subject, Workload


@torch.inference_mode()
def _prepare(subject: Subject) -> Measured:
    model = subject.model.eval()
    if not isinstance(model, Streaming):
        raise ModelError(f"{subject.architecture.name}: is said to stream, but its model has no init_state and step")
    turns = cycle(
        [(batch.inputs[:, -1].contiguous(), model.init_state(batch.inputs[:, :-1])) for batch in subject.batches]
    )

    @torch.inference_mode()
    def call() -> object:
        output, _ = model.step(*next(turns))
        return output

    rows = subject.batches[0].items
    after = model.init_state(subject.batches[0].inputs)
    state_bytes = sum(tensor.nbytes for tensor in after)
    return Measured(call=call, items=rows, tokens=rows, real_tokens=rows, state_bytes=state_bytes)


WORKLOADS.register(
    "step",
    Workload(
        name="step",
        summary="one more token for a model that streams, from the state that all tokens before it left behind",
        axes=TIMED_AXES,
        metrics=("step_s", "state_bytes", *TIMED_METRICS),
        prepare=_prepare,
        casts_weights=True,
        streaming=True,
    ),
)
