"""Priority of workers: asked for where a clock is held against them, and no harm where it is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from scripted import case

from bench import worker
from bench.jobs import Job, JobKind
from bench.probes import priority
from bench.records import Measure


def test_the_highest_priority_is_asked_for_and_a_refusal_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[int, int, int]] = []
    group = tmp_path / "autogroup"
    group.write_text("0\n")
    monkeypatch.setattr(priority, "_AUTOGROUP", group)
    monkeypatch.setattr(os, "setpriority", lambda *values: asked.append(values))
    priority.raise_priority()
    assert asked == [(os.PRIO_PROCESS, 0, -20)]
    assert group.read_text() == "-20\n"

    def refuse(*_: int) -> None:
        raise PermissionError

    group.write_text("0\n")
    monkeypatch.setattr(os, "setpriority", refuse)
    priority.raise_priority()
    assert group.read_text() == "0\n"


def test_priority_is_asked_for_before_anything_starts_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    # a thread keeps the priority that it is born with: one from before would be starved by those from after
    order: list[str] = []

    class EndError(Exception):
        pass

    def end(*_: object) -> None:
        order.append("threads")
        raise EndError

    monkeypatch.setattr(worker, "raise_priority", lambda: order.append("priority"))
    monkeypatch.setattr(worker, "import_module", lambda *_: order.append("import"))
    monkeypatch.setattr(worker.backends, "apply", end)
    for kind in (JobKind.TRIAL, JobKind.FIT):
        with pytest.raises(EndError):
            worker.perform(Job(kind=kind, case=case(), measure=Measure(), imports=("mine",)), lambda _: None, 0.0)
    assert order == ["priority", "import", "threads", "import", "threads"]
