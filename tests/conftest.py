"""Settings for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bench.observations import CaseResult
    from bench.records import Run

# Small models on small machines: a second thread only waits for its turn beside other processes. Workers set their own.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from browsing import chromium

    with chromium() as one:
        yield one


@pytest.fixture(scope="session")
def made_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of one made run; nobody changes it."""
    from made_run import made_run

    return _written(tmp_path_factory, made_run())


@pytest.fixture(scope="session")
def pair_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two small made runs of one suite, from two machines; nobody changes it."""
    from made_run import made_run
    from made_runs import OTHER, later

    small = made_run(("lstm", "gru"), lengths=(64, 256))
    return _written(tmp_path_factory, small, later(small, machine=OTHER))


def _written(folders: pytest.TempPathFactory, *runs: tuple[Run, list[CaseResult]]) -> Path:
    from bench.report import render
    from bench.report.beside import Beside

    path = folders.mktemp("page") / "page.html"
    path.write_text(render(runs, Beside(chance={"imdb": 0.5})), encoding="utf-8")
    return path
