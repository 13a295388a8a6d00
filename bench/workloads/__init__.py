"""What is measured of a model: the callable that a clock is held against, its items and tokens, its metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from bench.architectures import Architecture
from bench.batch import Batch
from bench.records import Case
from bench.registry import Registry
from bench.sampling import Call, MarkedCall
from bench.spec import OutputKind, Spec
from bench.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model that has been built and put on its device, with the batches it is measured on (rotated, at least one)."""

    case: Case
    task: Task
    spec: Spec
    architecture: Architecture
    model: nn.Module
    device: torch.device
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the clock calls, and what one call gets through.

    Attributes:
        tokens, real_tokens: positions of one call, the mean over the batches that are rotated.
        rotation: calls after which the same batch comes again; a sample holds whole rotations.
        marked: the same call, telling which of its parts has ended; None where it has none.
        repeated: parts that a call goes through several times, with how often; one of them is what is timed.
        optimizers: what the call steps, for what they keep.
        state_bytes: what is carried from one call to the next; None where nothing is.
    """

    call: Call
    items: int
    tokens: float | None = None
    real_tokens: float | None = None
    rotation: int = 1
    marked: MarkedCall | None = None
    repeated: Mapping[str, int] = field(default_factory=dict)
    optimizers: tuple[Optimizer, ...] = ()
    state_bytes: int | None = None

    def rotate(self) -> None:
        """Call as often as there are batches of different sizes, so that the largest is among them."""
        for _ in range(self.rotation):
            self.call()

    @classmethod
    def of(cls, call: Call, batches: Sequence[Batch], **more: Any) -> Measured:
        """A call that gets through one batch after another, and begins again."""
        lengths = batches[0].tokens is not None
        return cls(
            call=call,
            items=batches[0].items,
            tokens=fmean(batch.tokens or 0 for batch in batches) if lengths else None,
            real_tokens=fmean(batch.real_tokens or 0 for batch in batches) if lengths else None,
            # full batches cost the same: only then may a sample end anywhere in the rotation
            rotation=1 if batches[0].lengths is None else len(batches),
            **more,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Something that can be measured of a model.

    Attributes:
        axes: the axes of a case that it varies with.
        metrics: names of the metrics that it yields, the first of them its headline.
        prepare: makes the measured call; None for `fit`, which is trained to accuracy instead of timed.
        casts_weights: whether a lower precision casts weights and inputs; else it is autocast over fp32 weights.
        streaming: whether it is for sequences, full ones, and for models that stream.
        outputs: what tasks it is for, by what comes out of their models; every task where it is None.
    """

    name: str
    summary: str
    axes: tuple[str, ...]
    metrics: tuple[str, ...]
    prepare: Callable[[Subject], Measured] | None
    casts_weights: bool = False
    streaming: bool = False
    outputs: OutputKind | None = None


WORKLOADS: Registry[Workload] = Registry(
    "workload",
    {
        "inference": "bench.workloads.inference",
        "training": "bench.workloads.training",
        "step": "bench.workloads.step",
        "decode": "bench.workloads.decode",
        "generate": "bench.workloads.generate",
        "fit": "bench.workloads.fit",
    },
    group="bench.workloads",
)

TIMED_AXES = ("sequence_length", "batch_size", "precision", "device", "threads", "compile")
TIMED_METRICS = (
    "throughput_items_per_s",
    "latency_s",
    "latency_iqr_low_s",
    "latency_iqr_high_s",
    "latency_p10_s",
    "throughput_tokens_per_s",
    "throughput_real_tokens_per_s",
    "padding_share",
    "first_call_s",
)
