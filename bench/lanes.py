"""Where the arms of a comparison run: from one server with the modules of several checkouts, or from servers of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from bench.jobs import Job
from bench.observations import Observation
from bench.runner import Executor


class Arm(StrEnum):
    """What is put side by side; a control is base against base, once in the place of head."""

    BASE = "base"
    HEAD = "head"
    CONTROL_BASE = "control-base"
    CONTROL = "control"


Lane = Mapping[Arm, Executor]
"""Where the jobs of each arm run while fresh servers are up."""

OpenLane = Callable[[Collection[Arm]], AbstractContextManager[Lane]]
"""Starts fresh servers for these arms."""


@dataclass(frozen=True, slots=True)
class Sourced:
    """An executor whose workers measure the modules of a checkout.

    Attributes:
        top: the repository that it is a checkout of; what a suite names below it stands at the same place in the checkout.
    """

    executor: Executor
    source: Path
    top: Path

    def run(self, job: Job) -> Iterator[Observation | str]:
        """Do a job with the modules of the checkout."""
        folder = moved(Path(job.folder), self.top, self.source)
        return self.executor.run(replace(job, source=str(self.source), source_folder=str(folder)))


def moved(folder: Path, top: Path, source: Path) -> Path:
    """What stands for a folder in a checkout of the repository at `top`; one outside of the repository stays itself."""
    absolute = folder.resolve()
    return source / absolute.relative_to(top.resolve()) if absolute.is_relative_to(top.resolve()) else absolute


@contextmanager
def one_server(arms: Collection[Arm]) -> Iterator[Lane]:
    """One server for all arms, which differ in their cases alone."""
    from bench.executors.local import Server

    with Server() as server:
        yield dict.fromkeys(arms, server)


def of_checkouts(checkouts: Mapping[Arm, Path], top: Path) -> OpenLane:
    """One server for all arms, whose children import the modules of their arm's checkout."""

    @contextmanager
    def start(arms: Collection[Arm]) -> Iterator[Lane]:
        from bench.executors.local import Server

        with Server(bare=True) as server:
            yield {arm: Sourced(server, checkouts[arm], top) for arm in arms}

    return start


def of_environments(pythons: Mapping[Arm, str]) -> OpenLane:
    """A server for each arm, started with the interpreter of its environment."""

    @contextmanager
    def start(arms: Collection[Arm]) -> Iterator[Lane]:
        from bench.executors.local import Server

        with ExitStack() as servers:
            yield {arm: servers.enter_context(Server(python=pythons[arm])) for arm in arms}

    return start
