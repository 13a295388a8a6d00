"""Clocks: seconds of a number of calls, on the CPU and on CUDA."""

from __future__ import annotations

import time
from collections import defaultdict

import torch

from bench.sampling import Call, Clock, MarkedCall


class CpuClock:
    """`perf_counter_ns` around the calls; operators on the CPU return when they are done."""

    least_sample_s = 2e-3

    def time(self, call: Call, iterations: int) -> float:
        """Seconds that `iterations` calls took together."""
        began = time.perf_counter_ns()
        for _ in range(iterations):
            call()
        return (time.perf_counter_ns() - began) * 1e-9

    def parts(self, call: MarkedCall) -> dict[str, float]:
        """Seconds of the parts of one call; parts of one name are added up."""
        marks: list[tuple[str, int]] = []
        began = time.perf_counter_ns()
        call(lambda name: marks.append((name, time.perf_counter_ns())))
        seconds: defaultdict[str, float] = defaultdict(float)
        for name, ended in marks:
            seconds[name] += (ended - began) * 1e-9
            began = ended
        return dict(seconds)


class CudaClock:
    """CUDA events around the calls and one synchronisation after them; queued work from before is waited for first."""

    least_sample_s = 1e-3

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._began = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._ended = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def time(self, call: Call, iterations: int) -> float:
        """Seconds that `iterations` calls took together on the device, launches included."""
        torch.cuda.synchronize(self._device)
        self._began.record()
        for _ in range(iterations):
            call()
        self._ended.record()
        torch.cuda.synchronize(self._device)
        return float(self._began.elapsed_time(self._ended)) * 1e-3

    def parts(self, call: MarkedCall) -> dict[str, float]:
        """Seconds of the parts of one call on the device; parts of one name are added up."""
        marks: list[tuple[str, torch.cuda.Event]] = []

        def mark(name: str) -> None:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            marks.append((name, event))

        torch.cuda.synchronize(self._device)
        self._began.record()
        call(mark)
        torch.cuda.synchronize(self._device)
        seconds: defaultdict[str, float] = defaultdict(float)
        before = self._began
        for name, event in marks:
            seconds[name] += float(before.elapsed_time(event)) * 1e-3
            before = event
        return dict(seconds)


def clock_for(device: torch.device) -> Clock:
    """The clock that a device needs."""
    return CudaClock(device) if device.type == "cuda" else CpuClock()
