"""What disturbs this machine now: some seconds of one busy thread, and how Linux, the environment and the driver are set.

`python -m bench.probes.noise SECONDS` is that thread, in a process of its own with a worker's priority. No name of a host, a
user or a folder is read.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import torch

from bench.doctor.processor import is_heard
from bench.doctor.readings import GpuReadings, Readings
from bench.errors import WorkerError
from bench.probes.evidence import Evidence
from bench.probes.priority import HIGHEST, priority, raise_priority
from bench.sampling import at_rest
from bench.stats import quantile

WATCH_S = 2.0
_ROOT = Path("/")
# steps of one loop: about 100 microseconds, long enough for the clock, short enough for ten thousand of them
_LOOP = 10_000
_START_TIMEOUT_S = 60.0


def read(seconds: float = WATCH_S, *, gpus: bool = True, root: Path = _ROOT) -> Readings:
    """Watch this machine for some seconds.

    Args:
        seconds: how long; the finest share that is seen of others' time and of steal is a tick of 10 ms in it.
        gpus: whether to ask the driver of GPUs.
        root: where `/proc` and `/sys` are.

    Raises:
        WorkerError: the busy thread ended without an answer.
    """
    stopped, slowed = _throttled_periods(root), _thermal_events(root)
    seen = _spin_apart(seconds)
    stopped = _throttled_periods(root) - stopped
    slowed_now = _thermal_events(root)
    memory = psutil.virtual_memory()
    turbo, turbo_command = _turbo(root)
    linux = sys.platform == "linux"
    known: dict[str, Any] = {
        "foreign_processors": seen["foreign_cpu_s"] / seen["wall_s"] if linux else None,
        "steal_share": seen["steal_s"] / seen["wall_s"] if linux else None,
        "governors": _governors(root),
        "turbo": turbo,
        "smt": _switch(root / "sys/devices/system/cpu/smt/active"),
        "thermal_events": None if slowed is None or slowed_now is None else slowed_now - slowed,
    }
    return Readings(
        watched_s=seen["wall_s"],
        processors=os.cpu_count() or 1,
        switches_per_s=seen["involuntary_switches"] / seen["wall_s"],
        waiting=max(1.0, seen["wall_s"] / seen["cpu_s"]),
        jitter=seen["jitter"],
        timer_s=seen["timer_s"],
        raised_priority=seen["nice"] <= HIGHEST,
        weighs_memory=bool(seen["weighs_memory"]),
        turbo_command=turbo_command,
        quota_processors=_quota(root),
        throttled_periods=stopped,
        memory_bytes=memory.total,
        memory_available_bytes=memory.available,
        swap_used_bytes=psutil.swap_memory().used,
        environment=_environment(os.environ),
        compile_lacks=_compile_lacks(),
        gpus=read_gpus() if gpus else (),
        unknown={name: "this system does not tell" for name, value in known.items() if value is None},
        **known,
    )


# ── the busy thread ────────────────────────────────────────────────────────────────────────────────────────────────


def spin(seconds: float) -> dict[str, float]:
    """Keep one processor busy with equal short loops, at a worker's priority, and tell what came in between."""
    raise_priority()
    weighs_memory = _weighs_memory()
    timer_s = _timer_s()
    with at_rest():
        evidence = Evidence(torch.device("cpu"))
        loops_ns = list(_loops(round(seconds * 1e9)))
        seen = evidence.seen()
    jitter = quantile(loops_ns, 0.99) / quantile(loops_ns, 0.5)
    more = {"nice": priority(), "jitter": jitter, "timer_s": timer_s, "weighs_memory": weighs_memory}
    return seen | more


def _loops(nanoseconds: int) -> Iterator[int]:
    """How long each of the loops took that begin in a span of time."""
    began = now = time.perf_counter_ns()
    while now - began < nanoseconds:
        for _ in range(_LOOP):
            pass
        before, now = now, time.perf_counter_ns()
        yield now - before


def _timer_s() -> float:
    """The least step between two different readings of the clock."""
    steps = []
    for _ in range(1000):
        before = after = time.perf_counter_ns()
        while after == before:
            after = time.perf_counter_ns()
        steps.append(after - before)
    return min(steps) * 1e-9


def _weighs_memory() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _spin_apart(seconds: float) -> dict[str, float]:
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH", "")) if part)
    command = [sys.executable, "-m", "bench.probes.noise", str(seconds)]
    environment = {**os.environ, "PYTHONPATH": path}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds + _START_TIMEOUT_S,
            check=True,
            env=environment,
        )
    except subprocess.SubprocessError as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]
        raise WorkerError(f"the thread that watches this machine ended without an answer: {said}") from error
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


# ── Linux ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None  # not every kernel and container shows it


def _switch(path: Path) -> bool | None:
    text = _text(path)
    return None if text is None else text == "1"


def _governors(root: Path) -> tuple[str, ...] | None:
    places = root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    return tuple(sorted({text for place in places if (text := _text(place))})) or None


def _turbo(root: Path) -> tuple[bool | None, str]:
    """Whether it is on, and the command that switches it off."""
    for place, off in (("intel_pstate/no_turbo", "1"), ("cpufreq/boost", "0")):
        text = _text(root / "sys/devices/system/cpu" / place)
        if text is not None:
            return text != off, f"echo {off} | sudo tee /sys/devices/system/cpu/{place}"
    return None, ""


def _thermal_events(root: Path) -> int | None:
    counters = list(root.glob("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count"))
    return sum(int(_text(counter) or 0) for counter in counters) if counters else None


def _control_groups(root: Path) -> Iterator[Path]:
    """Folders of the control groups that this process is in, as far as processor time goes, up to the root."""
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        folder = top / place.strip("/")
        while folder != top:
            yield folder
            folder = folder.parent
        yield top


def _quota(root: Path) -> float | None:
    """Processors' worth of time that may be used, the least of all groups; None without a limit."""
    quotas = []
    for folder in _control_groups(root):
        words = (_text(folder / "cpu.max") or "").split() or [
            _text(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")
        ]
        if words[0].isdigit():  # neither "max" nor -1, which are no limit
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def _throttled_periods(root: Path) -> int:
    lines = [
        line.split() for folder in _control_groups(root) for line in (_text(folder / "cpu.stat") or "").splitlines()
    ]
    return sum(int(value) for name, value in lines if name == "nr_throttled")


# ── the environment ────────────────────────────────────────────────────────────────────────────────────────────────


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Variables that may change numbers; those that name a place change none, and may name somebody's home."""
    return {name: value for name, value in sorted(variables.items()) if is_heard(name) and os.sep not in value}


def _compile_lacks() -> tuple[str, ...]:
    compiler = os.environ.get("CXX", "g++")
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    lacks = [] if shutil.which(compiler) else [Path(compiler).name]
    return (*lacks, *([] if headers.exists() else [headers.name]))


# ── GPUs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_gpus() -> tuple[GpuReadings, ...]:
    """Every GPU that the driver reports; nothing where no driver answers."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return tuple(_gpu(pynvml, pynvml.nvmlDeviceGetHandleByIndex(at)) for at in range(pynvml.nvmlDeviceGetCount()))
    finally:
        pynvml.nvmlShutdown()


def _gpu(nvml: Any, handle: object) -> GpuReadings:
    def ask(what: Callable[..., Any], *more: object) -> Any:
        try:
            return what(handle, *more)
        except nvml.NVMLError:
            return None  # not every device and driver tells

    def on(state: int | None) -> bool | None:
        return None if state is None else bool(state)

    processes = ask(nvml.nvmlDeviceGetComputeRunningProcesses)
    ecc = ask(nvml.nvmlDeviceGetEccMode) or (None, None)
    mig = ask(nvml.nvmlDeviceGetMigMode) or (None, None)
    return GpuReadings(
        other_processes=None if processes is None else sum(each.pid != os.getpid() for each in processes),
        event_reasons=ask(nvml.nvmlDeviceGetCurrentClocksEventReasons),
        sm_clock_mhz=ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
        sm_clock_max_mhz=ask(nvml.nvmlDeviceGetMaxClockInfo, nvml.NVML_CLOCK_SM),
        persistence=on(ask(nvml.nvmlDeviceGetPersistenceMode)),
        ecc=on(ecc[0]),
        ecc_next=on(ecc[1]),
        mig=on(mig[0]),
        temperature_c=ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
        temperature_limit_c=ask(nvml.nvmlDeviceGetTemperatureThreshold, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(spin(float(sys.argv[1]))))
