"""The study of `copying` in small: what it prints falls from a blind guess towards the memoryless loss, and beyond it."""

from __future__ import annotations

import pytest

from benchmarks import copying


def test_losses_fall(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(
        "sys.argv", ["copying", "goru", "gru", "--wait", "1", "--steps", "100", "--batch", "16", "--rate", "0.01"]
    )
    copying.main()
    title, *rows = capsys.readouterr().out.splitlines()
    assert title == "T 1: memoryless 0.9902 nats a step"
    assert [row.split()[0] for row in rows] == ["goru", "goru", "gru", "gru"]
    for before, after in (rows[:2], rows[2:]):
        first, last = (float(row.split()[-1]) for row in (before, after))
        assert last < first < 2.2  # ln 9: a blind guess
