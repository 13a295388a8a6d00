"""What the NVIDIA driver tells of the GPU that a case runs on, through NVML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as NVML knows it."""

    library: Any
    handle: object

    def ask(self, name: str, *arguments: object) -> float | None:
        """The answer of a function of NVML; None where this device or driver does not tell."""
        read: Callable[..., Any] = getattr(self.library, name)
        try:
            return float(read(self.handle, *arguments))
        except self.library.NVMLError:
            return None


def open_gpu(device: torch.device) -> Gpu | None:
    """The GPU behind a device of torch, whichever devices are visible; None where no driver answers."""
    import pynvml

    if device.type != "cuda":
        return None
    # NVML counts all GPUs, torch the visible ones: only the UUID means the same to both
    uuid = torch.cuda.get_device_properties(device).uuid
    try:
        pynvml.nvmlInit()
        return Gpu(library=pynvml, handle=pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
    except pynvml.NVMLError:
        return None


def clocks(gpu: Gpu) -> dict[str, float]:
    """SM clock now and at most, in MHz, and the bits that say why it is not higher; what is not told is left out."""
    told = {
        "sm_clock_mhz": gpu.ask("nvmlDeviceGetClockInfo", gpu.library.NVML_CLOCK_SM),
        "sm_clock_max_mhz": gpu.ask("nvmlDeviceGetMaxClockInfo", gpu.library.NVML_CLOCK_SM),
        "clock_event_reasons": gpu.ask("nvmlDeviceGetCurrentClocksEventReasons"),
    }
    return {name: value for name, value in told.items() if value is not None}
