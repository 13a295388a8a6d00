"""The nouns: what was read of a machine, and what was found in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters; the gravest first."""

    WARNING = "warning"
    NOTE = "note"
    OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found, what that does to a measurement, and how to change it; an `ok` has neither of the last two."""

    name: str
    level: Level
    found: str
    effect: str = ""
    fix: str = ""


def finding(name: str, level: Level, found: str, effect: str, fix: str) -> Finding:
    """A finding, which keeps effect and fix to itself where all is well."""
    if level is Level.OK:
        return Finding(name=name, level=level, found=found)
    return Finding(name=name, level=level, found=found, effect=effect, fix=fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReadings:
    """One GPU as its driver describes it now; what it does not tell is None.

    Attributes:
        event_reasons: NVML's bits of why the clock is what it is.
        ecc_next: whether memory will be error-correcting after the next restart.
        temperature_limit_c: where the driver begins to slow it.
    """

    other_processes: int | None = None
    event_reasons: int | None = None
    sm_clock_mhz: int | None = None
    sm_clock_max_mhz: int | None = None
    persistence: bool | None = None
    ecc: bool | None = None
    ecc_next: bool | None = None
    mig: bool | None = None
    temperature_c: int | None = None
    temperature_limit_c: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """A machine as it was watched for some seconds, one thread of ours busy all the time.

    Attributes:
        processors: logical ones of the whole machine.
        foreign_processors: CPU seconds of others in a second.
        steal_share: of the time of one processor, what the host gave to others.
        switches_per_s: involuntary context switches of that thread.
        waiting: its time on the wall over its CPU time.
        jitter: p99 over p50 of equal short loops.
        timer_s: the least step between two readings of the clock.
        raised_priority: whether a worker may raise its priority.
        weighs_memory: whether the peak of resident memory can be reset.
        turbo_command: what switches turbo off.
        quota_processors: processors' worth of time that the control group may use; None without a limit.
        throttled_periods, thermal_events: how often it was stopped for its quota, or slowed for heat, while watched.
        environment: variables that torch, OpenMP or CUDA listen to.
        compile_lacks: what torch.compile needs on a CPU and does not find.
        unknown: why a reading is None, by its name.
    """

    watched_s: float
    processors: int
    foreign_processors: float | None
    steal_share: float | None
    switches_per_s: float
    waiting: float
    jitter: float
    timer_s: float
    raised_priority: bool
    weighs_memory: bool
    governors: tuple[str, ...] | None
    turbo: bool | None
    turbo_command: str
    smt: bool | None
    quota_processors: float | None
    throttled_periods: int
    thermal_events: int | None
    memory_bytes: int
    memory_available_bytes: int
    swap_used_bytes: int
    environment: Mapping[str, str] = field(default_factory=dict)
    compile_lacks: tuple[str, ...] = ()
    gpus: tuple[GpuReadings, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
