"""Priority of workers: asked for where a clock is held against them, and no harm where it is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.probes import priority


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
