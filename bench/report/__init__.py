"""Runs, told: as a page, as Markdown, as the tidy table, for other tools. Drawing libraries load only when needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from bench.frames import Runs, to_csv, to_json_text, to_parquet
from bench.quantity import Better
from bench.report.raw import trust_json
from bench.verdicts import Judgement

if TYPE_CHECKING:
    from bench.report.beside import Beside


def render(runs: Runs, beside: Beside | None = None) -> str:
    """Some runs as one self-contained HTML page; each with its results in the order of its plan."""
    from bench.report import page
    from bench.report.beside import Beside

    return page.render(runs, beside or Beside())


def to_markdown(runs: Runs, *, baselines: Sequence[Judgement] = (), changes: Sequence[Judgement] = ()) -> str:
    """Some runs as Markdown for a pull request; see `render`."""
    from bench.report import markdown

    return markdown.render(runs, baselines=baselines, changes=changes)


def _pytest_benchmark(runs: Runs) -> str:
    from bench.report import exports, pytest_benchmark

    return pytest_benchmark.render(*exports.single(runs, "pytest-benchmark"))


def _github_benchmark(better: Better, runs: Runs) -> str:
    from bench.report import exports

    return exports.github_benchmark(exports.of_run(*exports.single(runs, "github-action-benchmark")), better)


def _bencher(runs: Runs) -> str:
    from bench.report import exports

    return exports.bencher(exports.of_run(*exports.single(runs, "bencher")))


FORMATS: Mapping[str, Callable[[Runs], str | bytes]] = {
    "html": render,
    "markdown": to_markdown,
    "csv": to_csv,
    "json": to_json_text,
    "parquet": to_parquet,
    "trust": trust_json,
    "pytest-benchmark": _pytest_benchmark,
    "github-action-benchmark": partial(_github_benchmark, Better.LOWER),
    "github-action-benchmark-bigger": partial(_github_benchmark, Better.HIGHER),
    "bencher": _bencher,
}
"""Every format that runs can be told in, by the name it has on the command line."""
