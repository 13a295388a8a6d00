"""Operators and kernels of one call, as torch's profiler saw them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity, profile

from bench.sampling import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """What one call set going.

    Attributes:
        operators: aten operators that the model or autograd called, not those that were called by another one.
        kernels: CUDA kernels, without copies and fills by the driver; always 0 on a CPU.
    """

    operators: int
    kernels: int


def count_launches(call: Call, device: torch.device) -> tuple[Launched, Launched]:
    """Counts of two calls in a row, after a warm one: where they differ, neither stands for the call."""
    # the warm call is profiled as well: the profiler's own first start would otherwise fall into a count
    _, first, second = (_launched(call, device) for _ in range(3))
    return first, second


def _launched(call: Call, device: torch.device) -> Launched:
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    events = list(profiler.events() or ())
    return Launched(operators=sum(map(_is_called, events)), kernels=sum(map(_is_kernel, events)))


def _is_called(event: Any) -> bool:
    return _is_operator(event) and not any(_is_operator(above) for above in _above(event))


def _above(event: Any) -> Iterable[Any]:
    while (event := event.cpu_parent) is not None:
        yield event


def _is_operator(event: Any) -> bool:
    return bool(event.device_type == DeviceType.CPU and event.name.startswith("aten::"))


def _is_kernel(event: Any) -> bool:
    # ranges that code marks by name are shown on the device as well
    ours = event.device_type == DeviceType.CUDA and not event.is_user_annotation
    return bool(ours and not event.name.startswith(("Memcpy", "Memset")))
