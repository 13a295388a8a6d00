"""The machine as a record: what must match before two runs are compared, and what is only said.

Nothing here creates a CUDA context (GPU facts come from NVML), and no host, user or folder name is read.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from bench.probes.backends import SETTINGS
from bench.records import Machine

_GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as the driver describes it; what it does not tell is None."""

    name: str
    memory_bytes: int
    sm_clock_mhz: int | None = None
    temperature_c: int | None = None


def snapshot(device: str) -> Machine:
    """The machine as it is now, for a run on `device` (`cpu`, `cuda`, `cuda:0`)."""
    gpus, driver = read_gpus()
    return Machine(
        name=_name(device, gpus),
        hard={
            "cpu": cpu_model(),
            "cores": cores(),
            "memory_gib": round(psutil.virtual_memory().total / _GIB),
            "gpus": [gpu.name for gpu in gpus],
            "gpu_memory_gib": [round(gpu.memory_bytes / _GIB) for gpu in gpus],
            "os": platform.system().lower(),
            "architecture": platform.machine(),
            **_torch_build(),
            **SETTINGS,
        },
        soft={
            "python": ".".join(platform.python_version_tuple()[:2]),
            "driver": driver,
            "kernel": _first(r"\d+(\.\d+)*", platform.release()),  # the number alone: a suffix may be somebody's name
            "blas": _blas(),
        },
        state=_state(gpus),
    )


def cores() -> int:
    """Physical cores that this process may use: by affinity and, in a container, by its quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or allowed
    return max(1, min(allowed, physical, _quota() or allowed))


def _quota() -> int | None:
    """Whole processors' worth of time that the container may use; None without a limit."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return None  # no cgroup v2 here, so no such limit either
    return None if limit == "max" else max(1, int(limit) // int(period))


@cache
def cpu_model() -> str:
    """The processor's name without trade marks and clock rates: `AMD EPYC 7763`."""
    name = _cpu_brand()
    name = re.sub(r"\((R|TM)\)|\bCPU\b|\bProcessor\b|@.*$|\b\d+-Core\b", " ", name)
    return " ".join(name.split()) or platform.machine()


def _cpu_brand() -> str:
    if platform.system() == "Darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or ""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return ""
    return _first(r"(?<=\nmodel name)\s*:\s*(.+)", "\n" + text, group=1) or ""


def _name(device: str, gpus: tuple[Gpu, ...]) -> str:
    if device.startswith("cuda") and gpus:
        return f"{len(gpus)}x {gpus[0].name}" if len(gpus) > 1 else gpus[0].name
    count = cores()
    return f"{cpu_model()}, {count} core{'s' if count > 1 else ''}"


def read_gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """Every GPU that the driver reports, and the driver's version; nothing where no driver answers.

    Where NVML does not answer, torch is asked in a process of its own, because its answer costs a CUDA context.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return _gpus_of_torch(), None
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return tuple(_gpu(pynvml, handle) for handle in handles), _text(pynvml.nvmlSystemGetDriverVersion())
    finally:
        pynvml.nvmlShutdown()


def _gpu(pynvml: Any, handle: object) -> Gpu:
    def optional(read: str, *arguments: object) -> int | None:
        try:
            return int(getattr(pynvml, read)(handle, *arguments))
        except pynvml.NVMLError:
            return None  # not every device and driver tells

    return Gpu(
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
        sm_clock_mhz=optional("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_SM),
        temperature_c=optional("nvmlDeviceGetTemperature", pynvml.NVML_TEMPERATURE_GPU),
    )


_ASK_TORCH = """
import json, torch
properties = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
print(json.dumps([{"name": entry.name, "memory_bytes": entry.total_memory} for entry in properties]))
"""


def _gpus_of_torch() -> tuple[Gpu, ...]:
    if default_device() == "cpu":
        return ()
    answer = _output(sys.executable, "-c", _ASK_TORCH)
    return tuple(Gpu(**entry) for entry in json.loads(answer)) if answer else ()


def _torch_build() -> dict[str, Any]:
    import torch

    return {
        "torch": torch.__version__,
        "torch_build": torch.version.git_version,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.version.cuda else None,  # type: ignore[no-untyped-call]
    }


def _blas() -> str | None:
    import torch

    return _first(r"(?<=BLAS_INFO=)\w+", torch.__config__.show())


def _state(gpus: tuple[Gpu, ...]) -> Mapping[str, Any]:
    frequency = psutil.cpu_freq()
    sensors: dict[str, list[Any]] = getattr(psutil, "sensors_temperatures", dict)()
    temperatures = [reading.current for readings in sensors.values() for reading in readings if reading.current]
    return {
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
        "memory_available_gib": round(psutil.virtual_memory().available / _GIB, 1),
        "cpu_mhz": round(frequency.current) if frequency else None,
        "cpu_temperature_c": max(temperatures, default=None),
        "gpu_sm_clock_mhz": [gpu.sm_clock_mhz for gpu in gpus],
        "gpu_temperature_c": [gpu.temperature_c for gpu in gpus],
    }


def default_device() -> str:
    """`cuda` where torch can use a GPU, else `cpu`; counts devices through the driver, without a context."""
    import torch

    return "cuda" if torch.cuda.device_count() else "cpu"


def source_state(folder: Path) -> tuple[str | None, bool | None]:
    """The commit that the files in `folder` come from, and whether any of them was changed since.

    Both are None where the folder is no part of a git checkout: an installed wheel, say.
    """
    if not _output("git", "-C", str(folder), "ls-files", "--", "."):
        return None, None
    commit = _output("git", "-C", str(folder), "rev-parse", "HEAD")
    changes = _output("git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no", "--", ".")
    return (commit, bool(changes)) if commit else (None, None)


def _output(*command: str) -> str | None:
    """What a command prints; None where it fails or does not exist."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=_quiet_git())
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _quiet_git() -> dict[str, str]:
    return {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}


def _first(pattern: str, text: str, group: int = 0) -> str | None:
    found = re.search(pattern, text)
    return found.group(group).strip() if found else None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
