"""`kill -9` of a real run: nothing finished is lost or measured twice, and nothing is left running."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.survival import kill_group_and_resume, kill_parent

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")]


@pytest.mark.parametrize("after_s", [6.0, 12.0])
def test_a_killed_run_goes_on_to_its_end(tmp_path: Path, after_s: float) -> None:
    kill_group_and_resume(tmp_path, "smoke", after_s)


def test_a_killed_parent_leaves_nothing_behind(tmp_path: Path) -> None:
    kill_parent(tmp_path, "smoke", 7.0)
