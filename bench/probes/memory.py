"""Peak memory of one call, on CUDA from the allocator, on Linux CPUs from the kernel's high-water mark."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path

import torch

from bench.observations import MEMORY_RESOLUTION_BYTES
from bench.sampling import Call

# mallopt's M_MMAP_THRESHOLD: larger blocks are mapped, and so given back to the kernel as soon as they are freed
_M_MMAP_THRESHOLD = -3
_MMAP_THRESHOLD_BYTES = 65_536
TOO_SMALL = f"below {MEMORY_RESOLUTION_BYTES // 1024} KiB, which the kernel's page counts do not resolve"


def measure_memory(call: Call, device: torch.device, between: Call = lambda: None) -> dict[str, float | None]:
    """Bytes at the peak of one call after a warm one, by metric name; `between` runs between the two.

    CUDA: `peak_allocated_bytes`, `peak_reserved_bytes` (weights included, as the allocator counts them) and
    `driver_bytes` (what the driver says this device holds). CPU: `peak_rss_bytes`, what the call added to resident memory;
    None where that is `TOO_SMALL` to be seen.
    """
    if device.type == "cuda":
        return _cuda(call, device, between)
    if sys.platform != "linux":
        return {}
    grown = _resident_growth(call, between)
    return {"peak_rss_bytes": grown if grown >= MEMORY_RESOLUTION_BYTES else None}


def _cuda(call: Call, device: torch.device, between: Call) -> dict[str, float | None]:
    call()
    between()
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    torch.cuda.synchronize(device)
    free, total = torch.cuda.mem_get_info(device)
    return {
        "peak_allocated_bytes": torch.cuda.max_memory_allocated(device),
        "peak_reserved_bytes": torch.cuda.max_memory_reserved(device),
        "driver_bytes": total - free,
    }


def _resident_growth(call: Call, between: Call) -> float:
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
    call()
    between()
    libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_bytes("VmRSS")
    call()
    return max(0, _status_bytes("VmHWM") - before)


def _status_bytes(field: str) -> int:
    match = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if match is None:
        raise RuntimeError(f"/proc/self/status has no {field}")
    return int(match[1]) * 1024
