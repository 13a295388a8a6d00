"""`decode`: read the inputs and write N target tokens, each the likeliest, from the state that those before it left.

Every row writes all N, whatever they are: an end that is met early would let a model be fast for what it says. A token that
is counted is one that was written. The first one has the reading of the inputs in it.
"""

from __future__ import annotations

from itertools import cycle

import torch

from bench.architectures import Decoder
from bench.architectures.decoding import greedy
from bench.errors import ModelError
from bench.sampling import Mark
from bench.spec import OutputKind
from bench.workloads import TIMED_AXES, TIMED_METRICS, WORKLOADS, Measured, Subject, Workload


def _prepare(subject: Subject) -> Measured:
    model, new_tokens = subject.model.eval(), subject.case.new_tokens
    if not isinstance(model, Decoder):
        raise ModelError(f"{subject.architecture.name}: decodes nothing, its model has no start and next")
    if new_tokens is None:
        raise ModelError(f"case '{subject.case.id}': 'decode' needs new_tokens")
    batches = cycle(subject.batches)

    @torch.inference_mode()
    def decode(*mark: Mark) -> object:
        batch = next(batches)
        marks = {"mark": mark[0]} if mark else {}
        return greedy(model, batch.inputs, batch.lengths, new_tokens, stop=False, **marks)

    rows = subject.batches[0].items
    return Measured(
        call=decode,
        items=rows,
        tokens=rows * new_tokens,
        real_tokens=rows * new_tokens,
        rotation=1 if subject.batches[0].lengths is None else len(subject.batches),
        marked=decode,
        repeated={"token": max(1, new_tokens - 1)},
    )


WORKLOADS.register(
    "decode",
    Workload(
        name="decode",
        summary="read the inputs and write N target tokens, the likeliest each time; tokens/s are those written",
        axes=(*TIMED_AXES, "new_tokens"),
        metrics=("throughput_tokens_per_s", "first_token_s", "token_s", *TIMED_METRICS),
        prepare=_prepare,
        casts_weights=True,
        outputs=OutputKind.TOKENS,
    ),
)
