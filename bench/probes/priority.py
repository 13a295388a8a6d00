"""Scheduling priority of a worker: where the system permits it, others wait for what is timed and not the other way round."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

HIGHEST = -20

_AUTOGROUP = Path("/proc/self/autogroup")


def raise_priority() -> None:
    """Ask for the highest priority of an ordinary process.

    It needs a privilege (CAP_SYS_NICE) that an ordinary user has not; then nothing changes.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, HIGHEST)
        # Linux shares the processor between sessions first: nice values count within one session only
        if _AUTOGROUP.exists():
            with contextlib.suppress(OSError):  # not every kernel lets it be written
                _AUTOGROUP.write_text(f"{HIGHEST}\n")


def priority() -> int:
    """The nice value of this process: -20 is the highest priority, 0 the usual one."""
    return os.getpriority(os.PRIO_PROCESS, 0)
