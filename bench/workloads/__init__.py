"""What is measured of a model: the callable that a clock is held against, its items and tokens, its metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from bench.architectures import Architecture
from bench.batch import Batch
from bench.records import Case
from bench.registry import Registry
from bench.spec import Spec
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
    """What the clock calls, and what one call gets through."""

    call: Callable[[], object]
    items: int
    tokens: int | None = None
    real_tokens: int | None = None

    @classmethod
    def of(cls, call: Callable[[], object], batch: Batch) -> Measured:
        """A call that gets through one batch."""
        return cls(call=call, items=batch.items, tokens=batch.tokens, real_tokens=batch.real_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Something that can be measured of a model.

    Attributes:
        axes: the axes of a case that it varies with.
        metrics: names of the metrics that it yields, the first of them its headline.
        prepare: makes the measured call; None for `fit`, which is trained to accuracy instead of timed.
        casts_weights: whether a lower precision casts weights and inputs; else it is autocast over fp32 weights.
    """

    name: str
    summary: str
    axes: tuple[str, ...]
    metrics: tuple[str, ...]
    prepare: Callable[[Subject], Measured] | None
    casts_weights: bool = False


WORKLOADS: Registry[Workload] = Registry(
    "workload",
    {
        "inference": "bench.workloads.inference",
        "training": "bench.workloads.training",
        "fit": "bench.workloads.fit",
    },
    group="bench.workloads",
)

TIMED_AXES = ("sequence_length", "batch_size", "precision", "device", "threads")
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
