from __future__ import annotations

import getpass
import json
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from bench.codec import to_json
from bench.probes import machine


class FakeNvml:
    """A driver with two GPUs, the second of which tells neither clock nor temperature."""

    NVMLError = pynvml.NVMLError
    NVML_CLOCK_SM = pynvml.NVML_CLOCK_SM
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU

    def __init__(self) -> None:
        self.closed = False

    def nvmlInit(self) -> None: ...  # noqa: N802

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.closed = True

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle: int) -> bytes:  # noqa: N802
        return b"NVIDIA H200"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=141 * 2**30)

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> int:  # noqa: N802
        return self._told(handle, 1980)

    def nvmlDeviceGetTemperature(self, handle: int, kind: int) -> int:  # noqa: N802
        return self._told(handle, 41)

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "570.00"

    def _told(self, handle: int, value: int) -> int:
        if handle == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return value


def test_snapshot_has_what_must_match_and_no_names_of_people_or_folders() -> None:
    record = machine.snapshot("cpu")
    text = json.dumps(to_json(record))
    user, host = getpass.getuser(), socket.gethostname()
    words = {word for value in text.split('"') for word in value.replace("/", " ").split()}
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text
    assert user not in words
    assert host not in words
    assert {"cpu", "cores", "gpus", "torch", "torch_build", "cuda", "cudnn", "os", "deterministic"} <= set(record.hard)
    assert record.name == f"{machine.cpu_model()}, {machine.cores()} core{'s' if machine.cores() > 1 else ''}"


def test_fingerprint_ignores_load_and_follows_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.snapshot("cpu")
    monkeypatch.setattr(psutil, "getloadavg", lambda: (9.0, 9.0, 9.0))
    busy = machine.snapshot("cpu")
    monkeypatch.setattr(machine, "cores", lambda: 96)
    other = machine.snapshot("cpu")
    assert busy.state["load_average"] == [9.0, 9.0, 9.0]
    assert busy.fingerprint == before.fingerprint
    assert other.fingerprint != before.fingerprint


def test_gpus_are_read_from_the_driver_without_a_cuda_context(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeNvml()
    monkeypatch.setitem(__import__("sys").modules, "pynvml", driver)
    gpus, version = machine.read_gpus()
    record = machine.snapshot("cuda")
    import torch

    assert [gpu.name for gpu in gpus] == ["NVIDIA H200", "NVIDIA H200"]
    assert [gpu.temperature_c for gpu in gpus] == [41, None]
    assert version == "570.00"
    assert driver.closed
    assert record.name == "2x NVIDIA H200"
    assert record.hard["gpu_memory_gib"] == [141, 141]
    assert not torch.cuda.is_initialized()


@pytest.mark.parametrize(
    ("brand", "expected"),
    [
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "Intel Xeon"),
        ("AMD EPYC 7763 64-Core Processor", "AMD EPYC 7763"),
        ("Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz", "Intel Core i7-8700K"),
        ("Apple M3 Pro", "Apple M3 Pro"),
    ],
)
def test_cpu_names_lose_trade_marks_and_clock_rates(monkeypatch: pytest.MonkeyPatch, brand: str, expected: str) -> None:
    monkeypatch.setattr(machine, "_cpu_brand", lambda: brand)
    machine.cpu_model.cache_clear()
    try:
        assert machine.cpu_model() == expected
    finally:
        machine.cpu_model.cache_clear()


def test_cores_respect_the_quota_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_quota", lambda: 1)
    assert machine.cores() == 1


def test_source_state_tells_commit_and_changes(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "file.py").write_text("a = 1\n")
    assert machine.source_state(tmp_path) == (None, None)
    git("init", "-q")
    git("add", "file.py")
    git("commit", "-q", "-m", "first")
    assert machine.source_state(tmp_path) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "file.py").write_text("a = 2\n")
    assert machine.source_state(tmp_path) == (git("rev-parse", "HEAD"), True)
    (tmp_path / "installed").mkdir()
    assert machine.source_state(tmp_path / "installed") == (None, None)
