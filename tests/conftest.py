"""Settings for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Small models on small machines: a second thread only waits for its turn beside other processes. Workers set their own.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from browsing import chromium

    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def made_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two made runs."""
    from made_run import made_quick_run, made_run

    from bench.report import render
    from bench.report.beside import Beside

    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(render([made_run(), made_quick_run()], Beside(chance={"imdb": 0.5})), encoding="utf-8")
    return path
