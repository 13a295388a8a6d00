"""What can be seen from outside while a trial samples: context switches, CPU seconds of ours and of others, steal."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.probes.nvml import clocks, open_gpu
from bench.probes.priority import priority

_STAT = Path("/proc/stat")


@dataclass(frozen=True, slots=True)
class _Reading:
    wall_s: float
    cpu_s: float
    switches: int
    busy_s: float
    steal_s: float


def _read() -> _Reading:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    busy = steal = 0.0
    if _STAT.exists():
        ticks = [int(word) for word in _STAT.read_text().split("\n", 1)[0].split()[1:]]
        user, nice, system, _idle, _iowait, irq, softirq, stolen = ticks[:8]
        second = os.sysconf("SC_CLK_TCK")
        busy, steal = (user + nice + system + irq + softirq) / second, stolen / second
    return _Reading(time.monotonic(), usage.ru_utime + usage.ru_stime, usage.ru_nivcsw, busy, steal)


class Evidence:
    """Readings at the beginning and the end of what is observed."""

    def __init__(self, device: torch.device) -> None:
        self._gpu = open_gpu(device)
        self._before = _read()

    def seen(self) -> dict[str, float]:
        """What happened since: seconds on the wall, of our CPU time, of others' (to a clock tick), stolen; switches.

        On a GPU also its clocks at this moment, right after the last sample.
        """
        gpu = clocks(self._gpu) if self._gpu else {}
        before, after = self._before, _read()
        cpu_s = after.cpu_s - before.cpu_s
        return {
            "wall_s": after.wall_s - before.wall_s,
            "cpu_s": cpu_s,
            "foreign_cpu_s": max(0.0, after.busy_s - before.busy_s - cpu_s),
            "steal_s": after.steal_s - before.steal_s,
            "involuntary_switches": after.switches - before.switches,
            "nice": priority(),
            "processors": os.cpu_count() or 1,
            **gpu,
        }
