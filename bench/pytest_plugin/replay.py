"""Samples that a worker took, put into pytest-benchmark's statistics and files through its public API alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from bench.observations import CaseResult
    from bench.records import Run

BENCHMARK = "benchmark"
"""The name of pytest-benchmark, of its fixture and of its mark."""


class Benchmark(Protocol):
    """What is used of the fixture of pytest-benchmark."""

    group: str | None
    extra_info: dict[str, Any]

    def pedantic(self, target: Callable[[], object], *, rounds: int = 1, iterations: int = 1) -> object:
        """Call and time the target so many times."""


class Replay:
    """A timer that pytest-benchmark asks twice for every sample, and that answers with what was timed elsewhere."""

    def __init__(self) -> None:
        self.__name__ = "bench"  # what pytest-benchmark calls its timer in files
        self._times: Iterator[float] = iter(())

    def __call__(self) -> float:
        """The beginning of a sample, then its end."""
        return next(self._times)

    def hand_over(self, benchmark: Benchmark, run: Run, result: CaseResult) -> None:
        """Tell pytest-benchmark all samples of a case's trials; it shows none where there are none."""
        from bench.report.pytest_benchmark import group
        from bench.trust import used_trials

        trials = used_trials(result)
        if not trials:
            self.leave_out(benchmark)
            return
        iterations = trials[0].iterations or 1
        samples_s = [sample for trial in trials for sample in trial.samples_s]
        self._times = chain.from_iterable((0.0, sample * iterations) for sample in samples_s)
        benchmark.group = benchmark.group or group(result.case)
        benchmark.extra_info.update(_facts(run, result))
        benchmark.pedantic(_nothing, rounds=len(samples_s), iterations=iterations)

    def leave_out(self, benchmark: Benchmark) -> None:
        """Have pytest-benchmark show nothing of this item, and not complain that its fixture was not used."""
        # there is no time to tell, and what ended in an error is left out
        with suppress(StopIteration):
            benchmark.pedantic(_nothing)


REPLAY = pytest.StashKey[Replay]()


def prepare(item: pytest.Function) -> None:
    """Have pytest-benchmark time this item by a replay, whatever else its own mark of the item says."""
    if BENCHMARK not in item.fixturenames:
        item.fixturenames.append(BENCHMARK)
    mark = item.get_closest_marker(BENCHMARK)
    given: Mapping[str, Any] = mark.kwargs if mark else {}
    replay = item.stash[REPLAY] = Replay()
    item.add_marker(pytest.mark.benchmark(**{**given, "timer": replay}), append=False)


def _nothing() -> None:
    """What pytest-benchmark calls while it believes to time."""


def _facts(run: Run, result: CaseResult) -> dict[str, Any]:
    """What we know of a case that pytest-benchmark's statistics do not say: they take samples for independent."""
    from bench.estimates import estimates, flags
    from bench.trust import used_trials

    latency = estimates(result)["latency_s"]
    return {
        "case": result.case.id,
        "run": run.run_id,
        "latency_s": latency.value,
        "latency_low_s": latency.low,
        "latency_high_s": latency.high,
        "interval": latency.interval.value,
        "trials": len(used_trials(result)),
        "flags": list(flags(result, run.plan.measure)),
    }
