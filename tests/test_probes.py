"""Clocks, memory and outside evidence: the order of events on CUDA with fakes, real figures on the CPU."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from bench.probes import backends
from bench.probes.clock import CpuClock, CudaClock, clock_for
from bench.probes.evidence import Evidence
from bench.probes.memory import measure_memory

CUDA = torch.device("cuda:0")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """torch.cuda as far as it is used here, writing down what is asked of it."""
    events: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            events.append("record")

        def elapsed_time(self, _: Event) -> float:
            events.append("read")
            return 12.5  # milliseconds, as CUDA gives them

    fakes = {
        "Event": Event,
        "synchronize": lambda _: events.append("synchronize"),
        "reset_peak_memory_stats": lambda _: events.append("reset peaks"),
        "max_memory_allocated": lambda _: events.append("read peak") or 100,
        "max_memory_reserved": lambda _: 200,
        "mem_get_info": lambda _: (700, 1000),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return events


def test_the_cuda_clock_waits_before_and_after_and_never_between(log: list[str]) -> None:
    seconds = CudaClock(CUDA).time(lambda: log.append("call"), 3)
    assert log == ["synchronize", "record", "call", "call", "call", "record", "synchronize", "read"]
    assert seconds == pytest.approx(0.0125)


def test_cuda_memory_is_the_peak_of_the_second_call_alone(log: list[str]) -> None:
    values = measure_memory(lambda: log.append("call"), CUDA)
    assert log == ["call", "synchronize", "reset peaks", "call", "synchronize", "read peak"]
    assert values == {"peak_allocated_bytes": 100, "peak_reserved_bytes": 200, "driver_bytes": 300}


def test_each_device_has_its_clock(log: list[str]) -> None:
    assert isinstance(clock_for(torch.device("cpu")), CpuClock)
    assert isinstance(clock_for(CUDA), CudaClock)


def test_the_cpu_clock_counts_all_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([1_000, 4_001_000])
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(ticks))
    calls: list[int] = []
    assert CpuClock().time(lambda: calls.append(1), 4) == pytest.approx(0.004)
    assert len(calls) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_what_is_too_small_to_be_seen_is_unknown_and_not_zero() -> None:
    torch.set_num_threads(1)
    small = torch.ones(8)
    assert measure_memory(lambda: small + 1, torch.device("cpu")) == {"peak_rss_bytes": None}


def test_evidence_tells_our_cpu_time_from_waiting() -> None:
    evidence = Evidence(torch.device("cpu"))
    began = time.process_time()
    while time.process_time() - began < 0.05:
        pass
    time.sleep(0.1)
    seen = evidence.seen()
    assert 0.05 <= seen["cpu_s"] < seen["wall_s"]
    assert seen["wall_s"] >= 0.15
    assert set(seen) == {"wall_s", "cpu_s", "foreign_cpu_s", "steal_s", "involuntary_switches", "nice", "processors"}


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A driver that answers from a table; what is not in it is not supported."""
    answers: dict[str, object] = {"uuid": "GPU-1234"}

    class NVMLError(Exception):
        pass

    def answer(name: str) -> Callable[..., object]:
        def told(*_: object) -> object:
            if name not in answers:
                raise NVMLError(name)
            return answers[name]

        return told

    def by_uuid(uuid: str) -> str:
        if uuid != answers["uuid"]:
            raise NVMLError("no such device")
        return uuid

    names = ("ClockInfo", "MaxClockInfo", "CurrentClocksEventReasons", "TotalEnergyConsumption")
    functions = {f"nvmlDeviceGet{name}": answer(name) for name in names}
    fake = SimpleNamespace(
        NVMLError=NVMLError,
        NVML_CLOCK_SM=1,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=by_uuid,
        **functions,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="1234"))
    return answers


def test_evidence_on_a_gpu_has_its_clocks_as_far_as_the_driver_tells(nvml: dict[str, object]) -> None:
    nvml |= {"ClockInfo": 1200, "MaxClockInfo": 1980, "CurrentClocksEventReasons": 0x40}
    seen = Evidence(CUDA).seen()
    assert (seen["sm_clock_mhz"], seen["sm_clock_max_mhz"], seen["clock_event_reasons"]) == (1200.0, 1980.0, 64.0)
    del nvml["CurrentClocksEventReasons"]
    assert "clock_event_reasons" not in Evidence(CUDA).seen()
    nvml["uuid"] = "GPU-another"
    assert "sm_clock_mhz" not in Evidence(CUDA).seen()


def test_parts_of_a_step_are_timed_between_marks_on_both_clocks(
    log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(mark: Callable[[str], None]) -> None:
        for part in ("optimizer", "forward", "backward", "optimizer"):
            log.append(part)
            mark(part)

    ticks = iter([0, 1_000_000, 4_000_000, 10_000_000, 12_000_000])
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(ticks))
    parts = CpuClock().parts(step)
    assert parts == pytest.approx({"optimizer": 0.003, "forward": 0.003, "backward": 0.006})
    log.clear()
    parts = CudaClock(CUDA).parts(step)
    assert parts == pytest.approx({"optimizer": 0.025, "forward": 0.0125, "backward": 0.0125})
    assert log[:4] == ["synchronize", "record", "optimizer", "record"]
    assert log.index("synchronize", 1) < log.index("read")


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("tf32", True), ("bf16", False)])
def test_backends_are_set_for_the_precision(precision: str, allowed: bool) -> None:
    threads = torch.get_num_threads()
    try:
        backends.apply(precision, 1)
        assert torch.backends.cuda.matmul.allow_tf32 is allowed
        assert torch.backends.cudnn.allow_tf32 is allowed
        assert torch.get_num_threads() == 1
    finally:
        backends.apply("fp32", threads)
