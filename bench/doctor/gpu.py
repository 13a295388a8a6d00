"""Rules about one GPU, one function each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.doctor.readings import Finding, GpuReadings, Level, finding
from bench.trust import LEAST_CLOCK, THROTTLING

HOT_C = 85
NEAR_LIMIT_C = 5
# bits of NVML's clock event reasons beside those of `bench.trust`
IDLE = 0x1
_SLOWED = {**THROTTLING, 0x8: "hardware slowdown"}
_LIMITED = {0x2: "clocks set by hand", 0x4: "power limit", 0x10: "clocks in step with other GPUs"}


def _others(gpu: GpuReadings) -> Finding | None:
    others = gpu.other_processes
    if others is None:
        return None
    return finding(
        "others on the GPU",
        Level.WARNING if others else Level.OK,
        f"{others} other process{'' if others == 1 else 'es'} on it",
        "kernels take turns with theirs, and their memory is missing",
        "see who it is: nvidia-smi --query-compute-apps=pid,used_memory --format=csv; end it, or wait",
    )


def _throttling(gpu: GpuReadings) -> Finding | None:
    if gpu.event_reasons is None:
        return None
    slowed = [name for bit, name in _SLOWED.items() if gpu.event_reasons & bit]
    limited = [name for bit, name in _LIMITED.items() if gpu.event_reasons & bit]
    return finding(
        "GPU throttling",
        Level.WARNING if slowed else Level.NOTE if limited else Level.OK,
        f"its clock is held down: {', '.join(slowed + limited)}"
        if slowed + limited
        else "nothing holds its clock down",
        "times follow heat and power; trials slowed by them are thrown away and repeated",
        "nvidia-smi -q -d PERFORMANCE,POWER,CLOCK tells more; cool it, or undo settings: sudo nvidia-smi -rac -rgc",
    )


def _clock(gpu: GpuReadings) -> Finding | None:
    # an idle GPU rests at a low clock: that says nothing
    idle = gpu.event_reasons is None or gpu.event_reasons & IDLE
    if idle or gpu.sm_clock_mhz is None or not gpu.sm_clock_max_mhz:
        return None
    return finding(
        "GPU clock",
        Level.WARNING if gpu.sm_clock_mhz < LEAST_CLOCK * gpu.sm_clock_max_mhz else Level.OK,
        f"its clock is {gpu.sm_clock_mhz} of {gpu.sm_clock_max_mhz} MHz",
        f"trials below {LEAST_CLOCK * 100:.0f} % of the maximum are thrown away and repeated",
        "sudo nvidia-smi -rgc; else look at heat and power: nvidia-smi -q -d CLOCK,PERFORMANCE",
    )


def _heat(gpu: GpuReadings) -> Finding | None:
    if gpu.temperature_c is None:
        return None
    hot = HOT_C if gpu.temperature_limit_c is None else gpu.temperature_limit_c - NEAR_LIMIT_C
    return finding(
        "GPU temperature",
        Level.WARNING if gpu.temperature_c >= hot else Level.OK,
        f"{gpu.temperature_c} °C, where {hot} °C is hot",
        "it lowers its clock soon, and later trials are slower",
        "let it cool, or cool it better",
    )


def _persistence(gpu: GpuReadings) -> Finding | None:
    if gpu.persistence is None:
        return None
    return finding(
        "persistence mode",
        Level.OK if gpu.persistence else Level.NOTE,
        f"persistence mode is {_switch(gpu.persistence)}",
        "the driver unloads between workers: every trial starts later, at a low clock",
        "sudo nvidia-smi -pm 1",
    )


def _ecc(gpu: GpuReadings) -> Finding | None:
    if gpu.ecc is None or gpu.ecc_next is None:
        return None
    changes = gpu.ecc is not gpu.ecc_next
    next_time = f", and {_switch(gpu.ecc_next)} after the next restart" if changes else ""
    return finding(
        "ECC",
        Level.NOTE if changes else Level.OK,
        f"error correction is {_switch(gpu.ecc)}{next_time}",
        "bandwidth and free memory change with it: runs before and after are not alike",
        f"restart before measuring, or keep it: sudo nvidia-smi -e {int(gpu.ecc)}",
    )


def _mig(gpu: GpuReadings) -> Finding | None:
    if gpu.mig is None:
        return None
    return finding(
        "MIG",
        Level.NOTE if gpu.mig else Level.OK,
        "it is divided (MIG)" if gpu.mig else "it is not divided (MIG)",
        "a slice is measured: shares of the data sheet's peak are too low, of the measured ceiling they are right",
        "where the whole GPU is meant: sudo nvidia-smi -mig 0",
    )


def _switch(on: bool) -> str:
    return "on" if on else "off"


GPU_RULES: Sequence[Callable[[GpuReadings], Finding | None]] = (
    _others,
    _throttling,
    _clock,
    _heat,
    _persistence,
    _ecc,
    _mig,
)
