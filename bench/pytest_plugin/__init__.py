"""Suites as pytest items, and a fixture that times a model; both fill pytest-benchmark's statistics where it is there.

Loaded with every pytest session, so it imports nothing until a suite is collected or `bench_case` is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin.items import SuiteFile
    from bench.pytest_plugin.timing import BenchCase


SUITES = pytest.StashKey[frozenset[str]]()
REMARKS = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of our own; all else is pytest's and pytest-benchmark's."""
    group = parser.getgroup("bench", "bench: cases of suites as tests")
    group.addoption(
        "--bench", action="append", default=[], metavar="SUITE", help="Collect this suite too, by its name or path."
    )
    group.addoption(
        "--bench-baseline", metavar="NAME", help="Judge every case against this stored baseline; a regression fails."
    )
    group.addoption(
        "--bench-results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="Folder that holds runs and baselines.",
    )
    parser.addini("bench_suites", type="paths", default=[], help="Suites to collect where pytest comes across them.")


def pytest_configure(config: pytest.Config) -> None:
    """Note which files are suites: those on the command line, those of the settings, and those that `--bench` adds."""
    if names := config.getoption("bench"):
        from bench.errors import BenchError
        from bench.suite import find

        try:
            config.args += [str(find(name)) for name in names]
        except BenchError as error:
            raise pytest.UsageError(f"--bench: {error}") from error
    given = [word.partition("::")[0] for word in config.args]
    suites = [config.invocation_params.dir / word for word in given if word.endswith(".toml")]
    # not by Session.isinitpath: pytest forgets a file that a folder beside it on the command line holds
    config.stash[SUITES] = frozenset(map(os.path.abspath, (*suites, *config.getini("bench_suites"))))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SuiteFile | None:
    """A suite that was asked for; any other file of its kind is left alone."""
    if str(file_path) not in parent.config.stash[SUITES]:
        return None
    from bench.pytest_plugin.items import SuiteFile

    return SuiteFile.from_parent(parent, path=file_path)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """A test that uses `bench_case` is a benchmark to pytest-benchmark, which looks for its own fixture's name."""
    if not config.pluginmanager.hasplugin("benchmark"):
        return
    for item in items:
        if isinstance(item, pytest.Function) and "bench_case" in item.fixturenames:
            from bench.pytest_plugin.replay import prepare

            prepare(item)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Where what was measured lies, and what one must know of it."""
    for line in config.stash.get(REMARKS, []):
        terminalreporter.write_line(f"bench: {line}")


def remark(config: pytest.Config, lines: Iterable[str]) -> None:
    """Say these at the end of the session."""
    config.stash.setdefault(REMARKS, []).extend(lines)


@pytest.fixture
def bench_case(request: pytest.FixtureRequest) -> BenchCase:
    """Time a model in fresh processes, in a test of your own; docs/ci.md has an example."""
    from bench.pytest_plugin.timing import BenchCase

    return BenchCase(request)
