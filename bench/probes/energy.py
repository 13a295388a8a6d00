"""Energy of a call on a GPU, from the driver's counter."""

from __future__ import annotations

import math

import torch

from bench.probes.nvml import open_gpu
from bench.sampling import Call, Clock

# the counter moves some ten times a second: over less than a second its steps would show
LEAST_S = 1.0


def measure_energy(clock: Clock, call: Call, call_s: float, device: torch.device) -> tuple[float | None, str]:
    """Joules of one call, or None and why they are not known; what the GPU draws when idle is part of them.

    The call is warm and takes about `call_s`; the clock waits for the device before the counter is read again.
    """
    gpu = open_gpu(device)
    if gpu is None:
        return None, f"no NVML driver answers for {device}"
    before = gpu.ask("nvmlDeviceGetTotalEnergyConsumption")
    if before is None:
        return None, "this GPU or its driver has no energy counter"
    seconds, calls = 0.0, 0
    while seconds < LEAST_S:
        more = max(1, math.ceil((LEAST_S - seconds) / call_s))
        seconds += clock.time(call, more)
        calls += more
    after = gpu.ask("nvmlDeviceGetTotalEnergyConsumption")
    if after is None or after <= before:
        return None, "the energy counter of this GPU stood still"
    return (after - before) * 1e-3 / calls, ""  # it counts millijoules
