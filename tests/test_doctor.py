"""Every rule on both sides of its limit, and the command."""

from __future__ import annotations

import getpass
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import bench.cli.doctor
from bench.cli import main
from bench.doctor import GpuReadings, Level, Readings, findings
from bench.doctor.gpu import GPU_RULES
from bench.doctor.processor import RULES
from bench.errors import ExitCode
from bench.observations import Ceiling
from bench.probes import noise
from bench.records import Outcome

GIB = 2**30
QUIET = Readings(
    watched_s=2.0,
    processors=4,
    foreign_processors=0.02,
    steal_share=0.0,
    switches_per_s=3.0,
    waiting=1.0,
    jitter=1.05,
    timer_s=5e-8,
    raised_priority=True,
    weighs_memory=True,
    governors=("performance",),
    turbo=False,
    turbo_command="switch turbo off",
    smt=False,
    quota_processors=None,
    throttled_periods=0,
    thermal_events=0,
    memory_bytes=32 * GIB,
    memory_available_bytes=16 * GIB,
    swap_used_bytes=0,
)
GPU = GpuReadings(
    other_processes=0,
    event_reasons=0x0,
    sm_clock_mhz=1980,
    sm_clock_max_mhz=1980,
    persistence=True,
    ecc=True,
    ecc_next=True,
    mig=False,
    temperature_c=41,
    temperature_limit_c=87,
)


def level(readings: Readings, name: str) -> Level | None:
    """What is said under a name; None where nothing is."""
    said = [finding for finding in findings(readings) if finding.name == name]
    assert len(said) <= 1
    return said[0].level if said else None


def test_on_a_quiet_machine_every_rule_says_ok() -> None:
    found = findings(replace(QUIET, gpus=(GPU,)))
    assert {finding.level for finding in found} == {Level.OK}
    assert len(found) == len(RULES) + len(GPU_RULES)
    assert not any(finding.effect or finding.fix for finding in found)


CASES: list[tuple[str, Level | None, dict[str, object]]] = [
    ("load of others", Level.OK, {"foreign_processors": 0.1}),
    ("load of others", Level.NOTE, {"foreign_processors": 0.11}),
    ("load of others", Level.NOTE, {"foreign_processors": 3.1}),
    ("load of others", Level.WARNING, {"foreign_processors": 3.2}),
    ("load of others", None, {"foreign_processors": None}),
    ("steal", Level.OK, {"steal_share": 0.01}),
    ("steal", Level.WARNING, {"steal_share": 0.011}),
    ("steal", None, {"steal_share": None}),
    ("waiting", Level.OK, {"waiting": 1.03}),
    ("waiting", Level.WARNING, {"waiting": 1.04}),
    ("context switches", Level.OK, {"switches_per_s": 40.0}),
    ("context switches", Level.WARNING, {"switches_per_s": 41.0}),
    ("jitter", Level.OK, {"jitter": 1.25}),
    ("jitter", Level.NOTE, {"jitter": 1.26}),
    ("jitter", Level.WARNING, {"jitter": 2.1}),
    ("quota", Level.OK, {"quota_processors": 4.0}),
    ("quota", Level.NOTE, {"quota_processors": 2.5}),
    ("quota", Level.WARNING, {"quota_processors": 0.5}),
    ("quota", Level.WARNING, {"quota_processors": 4.0, "throttled_periods": 1}),
    ("heat", Level.WARNING, {"thermal_events": 1}),
    ("heat", None, {"thermal_events": None}),
    ("memory", Level.OK, {"memory_available_bytes": 4 * GIB}),
    ("memory", Level.WARNING, {"memory_available_bytes": 3 * GIB}),
    ("memory", Level.WARNING, {"memory_bytes": 4 * GIB, "memory_available_bytes": GIB}),
    ("swap", Level.OK, {"swap_used_bytes": 16 * 2**20}),
    ("swap", Level.NOTE, {"swap_used_bytes": GIB}),
    ("swap", Level.WARNING, {"swap_used_bytes": 20 * GIB}),
    ("priority", Level.NOTE, {"raised_priority": False}),
    ("governor", Level.NOTE, {"governors": ("performance", "powersave")}),
    ("governor", None, {"governors": None}),
    ("turbo", Level.NOTE, {"turbo": True}),
    ("turbo", None, {"turbo": None}),
    ("SMT", Level.NOTE, {"smt": True}),
    ("SMT", None, {"smt": None}),
    ("timer", Level.OK, {"timer_s": 1e-6}),
    ("timer", Level.NOTE, {"timer_s": 2e-6}),
    ("peak of memory", Level.NOTE, {"weighs_memory": False}),
    ("compiler", Level.NOTE, {"compile_lacks": ("g++",)}),
    ("environment", Level.OK, {"environment": {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}}),
    ("environment", Level.OK, {"environment": {"CUDA_LAUNCH_BLOCKING": "0"}}),
    ("environment", Level.WARNING, {"environment": {"CUDA_LAUNCH_BLOCKING": "1"}}),
    ("environment", Level.WARNING, {"environment": {"OMP_PROC_BIND": "true"}}),
    ("environment", Level.WARNING, {"environment": {"OMP_THREAD_LIMIT": "1", "TORCH_LOGS": "all"}}),
    ("environment", Level.WARNING, {"environment": {"KMP_AFFINITY": "compact"}}),
    ("environment", Level.NOTE, {"environment": {"KMP_BLOCKTIME": "1"}}),
    ("environment", Level.NOTE, {"environment": {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}}),
    ("environment", Level.NOTE, {"environment": {"TORCH_LOGS": "all"}}),
]
GPU_CASES: list[tuple[str, Level | None, dict[str, object]]] = [
    ("others on the GPU", Level.WARNING, {"other_processes": 1}),
    ("others on the GPU", None, {"other_processes": None}),
    ("GPU throttling", Level.OK, {"event_reasons": 0x1}),
    ("GPU throttling", Level.NOTE, {"event_reasons": 0x4}),
    ("GPU throttling", Level.WARNING, {"event_reasons": 0x4 | 0x20}),
    ("GPU throttling", Level.WARNING, {"event_reasons": 0x80}),
    ("GPU throttling", None, {"event_reasons": None}),
    ("GPU clock", Level.OK, {"sm_clock_mhz": 1485}),
    ("GPU clock", Level.WARNING, {"sm_clock_mhz": 1484}),
    ("GPU clock", None, {"sm_clock_mhz": 345, "event_reasons": 0x1}),
    ("GPU clock", None, {"sm_clock_mhz": None}),
    ("GPU temperature", Level.OK, {"temperature_c": 81}),
    ("GPU temperature", Level.WARNING, {"temperature_c": 82}),
    ("GPU temperature", Level.OK, {"temperature_c": 84, "temperature_limit_c": None}),
    ("GPU temperature", Level.WARNING, {"temperature_c": 85, "temperature_limit_c": None}),
    ("GPU temperature", None, {"temperature_c": None}),
    ("persistence mode", Level.NOTE, {"persistence": False}),
    ("persistence mode", None, {"persistence": None}),
    ("ECC", Level.OK, {"ecc": False, "ecc_next": False}),
    ("ECC", Level.NOTE, {"ecc_next": False}),
    ("ECC", None, {"ecc": None, "ecc_next": None}),
    ("MIG", Level.NOTE, {"mig": True}),
    ("MIG", None, {"mig": None}),
]


@pytest.mark.parametrize(("name", "expected", "change"), CASES)
def test_a_rule_says_what_its_reading_means(name: str, expected: Level | None, change: dict[str, object]) -> None:
    readings = replace(QUIET, **change)  # type: ignore[arg-type]
    assert level(readings, name) is expected
    others = {finding.level for finding in findings(readings) if finding.name != name}
    assert others == {Level.OK}


@pytest.mark.parametrize(("name", "expected", "change"), GPU_CASES)
def test_a_rule_about_gpus_says_what_its_reading_means(
    name: str, expected: Level | None, change: dict[str, object]
) -> None:
    assert level(replace(QUIET, gpus=(replace(GPU, **change),)), name) is expected  # type: ignore[arg-type]


def test_every_rule_has_been_seen_to_object() -> None:
    objected = {name for name, expected, _ in (*CASES, *GPU_CASES) if expected in (Level.NOTE, Level.WARNING)}
    assert objected == {finding.name for finding in findings(replace(QUIET, gpus=(GPU,)))}


@pytest.mark.parametrize(("name", "expected", "change"), [*CASES, *GPU_CASES])
def test_whoever_objects_says_what_it_does_and_what_helps(
    name: str, expected: Level | None, change: dict[str, object]
) -> None:
    of_gpu = (name, expected, change) in GPU_CASES
    readings = replace(QUIET, gpus=(replace(GPU, **change),)) if of_gpu else replace(QUIET, **change)  # type: ignore[arg-type]
    for finding in findings(readings):
        assert bool(finding.effect) is bool(finding.fix) is (finding.level is not Level.OK)


def test_the_worst_comes_first_and_gpus_have_their_number() -> None:
    noisy = replace(QUIET, smt=True, steal_share=0.2, gpus=(GPU, replace(GPU, other_processes=2)))
    found = findings(noisy)
    assert [finding.level for finding in found[:4]] == [Level.WARNING, Level.WARNING, Level.NOTE, Level.OK]
    assert [finding.found for finding in found if finding.level is Level.WARNING] == [
        "the host gives 20.0 % of a processor to others",
        "GPU 1: 2 other processes on it",
    ]


def test_only_what_changes_numbers_is_to_be_unset() -> None:
    variables = {"KMP_BLOCKTIME": "1", "OMP_NUM_THREADS": "1", "OMP_PROC_BIND": "true"}
    (finding,) = [each for each in findings(replace(QUIET, environment=variables)) if each.name == "environment"]
    assert finding.fix == "unset KMP_BLOCKTIME OMP_PROC_BIND"
    assert finding.found == "KMP_BLOCKTIME=1, OMP_PROC_BIND=true"


# ── the command ────────────────────────────────────────────────────────────────────────────────────────────────────


def leave(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return int(exit_info.value.code or 0)


def scripted(monkeypatch: pytest.MonkeyPatch, readings: Readings) -> None:
    """The machine of a script: what is read and measured of this one is seen by the slow test."""

    def ceilings(device: str, _: object) -> Iterator[Ceiling]:
        for threads, reached in ((1, 1e11), (2, None)):
            outcome, reason = (Outcome.OK, "") if reached else (Outcome.OUT_OF_MEMORY, "no [room]")
            yield Ceiling(
                device=device,
                precision="fp32",
                threads=threads,
                outcome=outcome,
                reason=reason,
                flops_per_s=reached,
                bytes_per_s=2e10,
            )

    monkeypatch.setattr(noise, "read", lambda **_: readings)
    monkeypatch.setattr(bench.cli.doctor, "_ceilings", ceilings)
    monkeypatch.setenv("COLUMNS", "140")


def test_a_quiet_machine_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    scripted(monkeypatch, replace(QUIET, turbo=None, unknown={"turbo": "why"}))
    assert leave("doctor", "--device", "cpu") == ExitCode.OK
    out, err = capsys.readouterr()
    assert "nothing disturbs a measurement here right now" in out
    assert "fix:" not in out
    assert "1 thread 100 GFLOP/s, 20.0 GB/s; 2 threads: n/a (no [room])" in out
    assert re.search(r"not told +turbo", out)
    assert "watching this machine" in err


def test_what_disturbs_is_told_with_its_fix_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted(monkeypatch, replace(QUIET, turbo=True, foreign_processors=3.9))
    assert leave("doctor", "--device", "cpu") == ExitCode.OK
    out, _ = capsys.readouterr()
    assert "nothing disturbs" not in out
    assert out.index("other programs use 3.90 of 4 processors") < out.index("turbo is on")
    assert "fix: switch turbo off" in out


def test_programs_get_readings_and_findings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted(monkeypatch, replace(QUIET, turbo=True))
    assert leave("doctor", "--device", "cpu", "--format", "json") == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["readings"]["jitter"] == QUIET.jitter
    assert document["findings"][0] | {"effect": ""} == {
        "name": "turbo",
        "level": "note",
        "found": "turbo is on",
        "effect": "",
        "fix": "switch turbo off",
    }
    assert [ceiling["flops_per_s"] for ceiling in document["ceilings"]] == [1e11, None]
    assert "hard" in document["machine"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pairs", "5"], "take 6"),
        (["--selftest", "--device", "cuda"], "--device cpu"),
        (["--device", "tpu"], "device 'tpu' is unknown"),
        (["--comparisons", "0"], "--comparisons"),
    ],
)
def test_what_cannot_be_asked_is_said(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert leave("doctor", *arguments) == ExitCode.USAGE
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_this_machine_is_examined_and_nobody_is_named() -> None:
    command = [sys.executable, "-m", "bench", "doctor", "--device", "cpu", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TORCH_HOME": str(Path.home())})
    assert done.returncode == ExitCode.OK, done.stderr
    document = json.loads(done.stdout)
    assert {ceiling["outcome"] for ceiling in document["ceilings"]} == {"ok"}
    assert all(ceiling["flops_per_s"] > 1e8 for ceiling in document["ceilings"])
    assert document["readings"]["watched_s"] >= 2
    assert document["readings"]["jitter"] >= 1
    words = set(re.findall(r"[\w.-]+", done.stdout))
    assert not words & {getpass.getuser(), socket.gethostname()}
    assert str(Path.home()) not in done.stdout


@pytest.mark.slow
def test_ctrl_c_ends_the_examination_at_once() -> None:
    command = [sys.executable, "-m", "bench", "doctor", "--device", "cpu"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell starts what runs in the background with this signal ignored, and processes inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    assert "watching" in process.stderr.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == ExitCode.INTERRUPTED, err
    assert "Traceback" not in err
