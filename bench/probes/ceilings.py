"""What this machine can do at most: a large matmul, and a large copy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch

from bench.probes.clock import clock_for
from bench.sampling import Call, Clock
from bench.workloads.training import AUTOCAST

# The rate of a matmul rises with its size until all cores and caches are at work. A product that takes this long is large
# enough for the machine, whatever that is: 20 ms are 1024^3 on one core of a laptop, or 8192^3 in fp32 on an H200.
SIZES = (512, 1024, 2048, 4096, 8192)
LONG_ENOUGH_S = 0.015
# Source and target together are 512 MiB on a CPU and 2 GiB on a GPU: many times the last-level cache (2 to 100 MiB, 50 MiB).
COPIED_BYTES = {"cpu": 2**28, "cuda": 2**30}
# the best of these is what nobody disturbed: many where one is short
LEAST_REPEATS = 5
REPEATED_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """The best of several repeats, in base units; bytes are those read plus those written."""

    flops_per_s: float
    bytes_per_s: float


def measure_ceilings(device: torch.device, precision: str) -> Ceilings:
    """Measure both, with the threads and the TF32 setting that this process has; takes about a second on a CPU."""
    clock = clock_for(device)
    return Ceilings(flops_per_s=_matmul(clock, device, precision), bytes_per_s=_copy(clock, device))


def _matmul(clock: Clock, device: torch.device, precision: str) -> float:
    dtype = AUTOCAST.get(precision, torch.float32)
    best = 0.0
    for size in SIZES:
        # random values, not zeros: chips draw less power for zeros and clock higher
        left, right, product = (torch.randn(size, size, device=device).to(dtype) for _ in range(3))
        seconds = _fastest(clock, partial(torch.mm, left, right, out=product))
        best = max(best, 2 * size**3 / seconds)
        if seconds >= LONG_ENOUGH_S:
            break
    return best


def _copy(clock: Clock, device: torch.device) -> float:
    # memory does not care for the values, as long as every page has been written once
    source = torch.ones(COPIED_BYTES[device.type] // 4, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _fastest(clock, partial(target.copy_, source))


def _fastest(clock: Clock, call: Call) -> float:
    """Seconds of the fastest repeat, after one that does not count."""
    clock.time(call, 1)
    times: list[float] = []
    while len(times) < LEAST_REPEATS or sum(times) < REPEATED_S:
        times.append(clock.time(call, 1))
    return min(times)
