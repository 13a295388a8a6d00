"""Readings of a machine: made-up /proc and /sys trees, a driver that follows a script, and this machine's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pynvml
import pytest

from bench.doctor import GpuReadings
from bench.errors import WorkerError
from bench.probes import noise

CPU = "sys/devices/system/cpu"
Make = Callable[[dict[str, str]], Path]
SEEN = {
    "wall_s": 2.0,
    "cpu_s": 1.9,
    "foreign_cpu_s": 0.5,
    "steal_s": 0.1,
    "involuntary_switches": 30,
    "nice": -20,
    "jitter": 1.1,
    "timer_s": 5e-8,
    "weighs_memory": True,
}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def files(texts: dict[str, str]) -> Path:
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return tmp_path

    return files


def test_governors_of_all_processors(make: Make) -> None:
    names = ("powersave", "performance", "powersave")
    root = make({f"{CPU}/cpu{n}/cpufreq/scaling_governor": name for n, name in enumerate(names)})
    assert noise._governors(root) == ("performance", "powersave")


@pytest.mark.parametrize(
    ("place", "text", "expected"),
    [
        ("intel_pstate/no_turbo", "0", True),
        ("intel_pstate/no_turbo", "1", False),
        ("cpufreq/boost", "1", True),
        ("cpufreq/boost", "0", False),
    ],
)
def test_turbo_and_what_switches_it_off(make: Make, place: str, text: str, expected: bool) -> None:
    on, command = noise._turbo(make({f"{CPU}/{place}": text}))
    assert on is expected
    # what the command writes is what an off switch reads
    off = command.split()[1]
    assert (text == off) is not on
    assert command.endswith(f"/{CPU}/{place}")


def test_thermal_events_are_added_up(make: Make) -> None:
    counters = {
        f"{CPU}/cpu{n}/thermal_throttle/{kind}_throttle_count": "2" for n in (0, 1) for kind in ("core", "package")
    }
    assert noise._thermal_events(make(counters)) == 8


def test_what_the_system_does_not_tell_is_unknown(tmp_path: Path) -> None:
    assert noise._governors(tmp_path) is None
    assert noise._turbo(tmp_path) == (None, "")
    assert noise._thermal_events(tmp_path) is None
    assert noise._switch(tmp_path / "active") is None
    assert noise._quota(tmp_path) is None
    assert noise._throttled_periods(tmp_path) == 0


def test_the_least_quota_of_all_groups_counts(make: Make) -> None:
    root = make(
        {
            "proc/self/cgroup": "0::/slice/scope",
            "sys/fs/cgroup/slice/scope/cpu.max": "max 100000",
            "sys/fs/cgroup/slice/cpu.max": "150000 100000",
            "sys/fs/cgroup/cpu.max": "400000 100000",
            "sys/fs/cgroup/slice/cpu.stat": "usage_usec 5\nnr_periods 9\nnr_throttled 3",
        }
    )
    assert noise._quota(root) == 1.5
    assert noise._throttled_periods(root) == 3


@pytest.mark.parametrize(("quota", "expected"), [("-1", None), ("250000", 2.5)])
def test_quota_of_the_older_control_groups(make: Make, quota: str, expected: float | None) -> None:
    root = make(
        {
            "proc/self/cgroup": "5:memory:/m\n3:cpuset:/other\n2:cpu,cpuacct:/job\n0::/",
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": quota,
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpu/job/cpu.stat": "nr_throttled 4",
            "sys/fs/cgroup/cpu/other/cpu.cfs_quota_us": "1",
        }
    )
    assert noise._quota(root) == expected
    assert noise._throttled_periods(root) == 4


def test_only_variables_that_are_heard_and_no_places() -> None:
    variables = {"OMP_NUM_THREADS": "2", "TORCH_HOME": "/home/alice", "HOME": "/home/alice", "TORCH_LOGS": "all"}
    assert noise._environment(variables | {"USER": "alice"}) == {"OMP_NUM_THREADS": "2", "TORCH_LOGS": "all"}


def test_a_compiler_that_is_missing_is_named_without_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/strange++")
    assert "strange++" in noise._compile_lacks()
    monkeypatch.setenv("CXX", sys.executable)
    assert not {"strange++", Path(sys.executable).name} & set(noise._compile_lacks())


def test_readings_are_rates_and_differences(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = f"{CPU}/cpu0/thermal_throttle/core_throttle_count"
    stat = "sys/fs/cgroup/cpu.stat"
    root = make({counter: "5", "proc/self/cgroup": "0::/", stat: "nr_throttled 1"})

    def spin(seconds: float) -> dict[str, float]:
        make({counter: "7", stat: "nr_throttled 4"})
        return SEEN

    monkeypatch.setattr(noise, "_spin_apart", spin)
    readings = noise.read(2.0, gpus=False, root=root)
    assert (readings.thermal_events, readings.throttled_periods) == (2, 3)
    assert (readings.foreign_processors, readings.steal_share, readings.switches_per_s) == (0.25, 0.05, 15)
    assert readings.waiting == pytest.approx(2.0 / 1.9)
    assert readings.raised_priority
    assert readings.gpus == ()
    assert set(readings.unknown) == {"governors", "turbo", "smt"}


def test_priority_that_stayed_as_it_was_is_not_raised(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "_spin_apart", lambda _: SEEN | {"nice": 0})
    assert not noise.read(gpus=False, root=make({})).raised_priority


def test_loops_are_timed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count(0, 30)
    monkeypatch.setattr(noise.time, "perf_counter_ns", lambda: next(ticks))
    monkeypatch.setattr(noise, "_LOOP", 1)
    assert list(noise._loops(100)) == [30, 30, 30, 30]


def test_the_clock_steps_by_its_least_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = (n // 3 * 40 for n in count())  # every time is read three times over
    monkeypatch.setattr(noise.time, "perf_counter_ns", lambda: next(ticks))
    assert noise._timer_s() == pytest.approx(40e-9)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_a_process_on_the_same_processor_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    where = {max(os.sched_getaffinity(0))}

    def alone() -> None:
        """Neither of the two goes first."""

    monkeypatch.setattr(noise, "raise_priority", alone)
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, where)
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        seen = noise.spin(1.0)
    finally:
        other.kill()
        other.wait()
        os.sched_setaffinity(0, ours)
    assert seen["wall_s"] / seen["cpu_s"] > 1.3
    assert seen["involuntary_switches"] > 10
    assert seen["foreign_cpu_s"] > 0.2


@pytest.mark.slow
def test_a_thread_that_fails_says_why() -> None:
    with pytest.raises(WorkerError, match="without an answer: IndexError"):
        noise._spin_apart(-1.0)  # it has no time for a single loop


class FakeNvml:
    """A driver with two GPUs, the second of which tells nothing at all."""

    NVMLError = pynvml.NVMLError
    NVML_CLOCK_SM = pynvml.NVML_CLOCK_SM
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU
    NVML_TEMPERATURE_THRESHOLD_SLOWDOWN = pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
    ANSWERS: ClassVar[dict[str, Any]] = {
        "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=1), SimpleNamespace(pid=os.getpid())],
        "nvmlDeviceGetCurrentClocksEventReasons": 0x24,
        "nvmlDeviceGetClockInfo": 1200,
        "nvmlDeviceGetMaxClockInfo": 1980,
        "nvmlDeviceGetPersistenceMode": 0,
        "nvmlDeviceGetEccMode": [1, 0],
        "nvmlDeviceGetMigMode": [0, 0],
        "nvmlDeviceGetTemperature": 41,
        "nvmlDeviceGetTemperatureThreshold": 87,
    }

    def __init__(self) -> None:
        self.open = False

    def nvmlInit(self) -> None:  # noqa: N802
        self.open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open = False

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answer = self.ANSWERS[name]

        def tell(handle: int, *_: object) -> Any:
            if handle == 1:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return answer

        return tell


def test_gpus_are_read_from_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    first, second = noise.read_gpus()
    assert first == GpuReadings(
        other_processes=1,
        event_reasons=0x24,
        sm_clock_mhz=1200,
        sm_clock_max_mhz=1980,
        persistence=False,
        ecc=True,
        ecc_next=False,
        mig=False,
        temperature_c=41,
        temperature_limit_c=87,
    )
    assert second == GpuReadings()
    assert not driver.open


def test_where_no_driver_answers_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert noise.read_gpus() == ()


@pytest.mark.slow
def test_the_busy_thread_answers_as_it_was_asked() -> None:
    done = subprocess.run([sys.executable, "-m", "bench.probes.noise", "0.2"], check=True, capture_output=True)
    seen = json.loads(done.stdout)
    assert set(seen) >= set(SEEN)
    assert seen["wall_s"] >= 0.2
    assert 0 < seen["timer_s"] < 1e-3
