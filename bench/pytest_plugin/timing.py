"""The fixture `bench_case`: a model timed in a user's own test, as `bench run` would time it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from bench.estimates import estimates, flags
from bench.pytest_plugin.measuring import measured, why_not
from bench.pytest_plugin.replay import BENCHMARK, REPLAY
from bench.records import Outcome
from bench.suite_check import read
from bench.trust import used_trials

if TYPE_CHECKING:
    from bench.observations import CaseResult
    from bench.records import Run
    from bench.stats import Estimate

MEASURE: Mapping[str, Any] = {"trial": "300ms", "samples": 30, "passes": ["memory"]}
"""What holds where `[measure]` of a suite would say nothing: a test has less time than a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What was found out about one case.

    Attributes:
        case, run: ids of the case, and of the run that is stored.
        latency_s: median over trials of the trial medians, in seconds.
        low_s, high_s: its 95 % interval over trials.
        estimates: every metric that was observed, with its interval, by name: `peak_rss_bytes`, `parameters`, ...
        samples_s: seconds per call, one value a sample, of all trials that are used.
        flags: the doubts about it, such as `noisy` or `wide_interval`; empty at best.
    """

    case: str
    run: str
    latency_s: float
    low_s: float | None
    high_s: float | None
    estimates: Mapping[str, Estimate]
    samples_s: tuple[float, ...]
    flags: tuple[str, ...]


class BenchCase:
    """Times a model in fresh processes; the first call of a test fills pytest-benchmark's statistics."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        if reason := why_not(request.config):
            pytest.skip(reason)
        self._request = request
        self._is_first = True

    def __call__(
        self,
        architecture: str,
        *,
        task: str | Mapping[str, Any],
        workload: str = "inference",
        sequence_length: int | None = None,
        batch_size: int = 1,
        precision: str = "fp32",
        threads: int = 1,
        measure: Mapping[str, Any] | None = None,
        **hyperparameters: Any,
    ) -> Timed:
        """Measure one case; the test is skipped where it cannot be measured here, and fails where it failed.

        Args:
            architecture: a name, or a class of yours, `models.py:MyNet`, from the folder of the test on.
            task: a name, or a table with options: `{"name": "text-classification", "file": "mine.csv"}`.
            workload: `inference`, `training` or another that is timed.
            sequence_length: none where the task has none.
            batch_size: items of a call.
            precision: as in a suite.
            threads: of the worker.
            measure: what `[measure]` of a suite says, over what `MEASURE` does.
            hyperparameters: what an `[[architecture]]` of a suite says.

        Raises:
            SuiteError: there is no such case; says all that is wrong with it.
        """
        __tracebackhide__ = True  # what fails is told at the line of the test
        from bench.plan import resolve

        axes = {"workloads": workload, "batch_sizes": batch_size, "precisions": precision, "threads": threads}
        axes |= {} if sequence_length is None else {"sequence_lengths": sequence_length}
        tables = {
            "name": "bench-case",
            "task": [{"name": task} if isinstance(task, str) else dict(task)],
            "architecture": [{"name": architecture, **_plain(hyperparameters)}],
            "speed": {axis: [value] for axis, value in axes.items()},
            "measure": _plain({**MEASURE, **(measure or {})}),
        }
        suite = read(tables, path=self._request.path, where="bench_case", text="", options={})
        folder = measured(self._request.config, suite, resolve(suite, threads=threads), command="")
        (result,) = folder.results()
        self._hand_over(folder.run, result)
        return _timed(folder.run, result)

    def _hand_over(self, run: Run, result: CaseResult) -> None:
        """Tell pytest-benchmark, which knows one figure a test, the first."""
        replay = self._request.node.stash.get(REPLAY, None)
        if self._is_first and replay is not None:
            replay.hand_over(self._request.getfixturevalue(BENCHMARK), run, result)
        self._is_first = False


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table as TOML would give it, which knows no tuples."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in table.items()}


def _timed(run: Run, result: CaseResult) -> Timed:
    __tracebackhide__ = True
    outcome, reason = result.verdict
    found = estimates(result)
    latency = found.get("latency_s")
    if outcome is not Outcome.OK or latency is None or latency.value is None:
        words = f"{result.case.id}: {(outcome or Outcome.FAILED).value.replace('_', ' ')}: {reason}"
        (pytest.skip if outcome is Outcome.SKIPPED else pytest.fail)(words)
    return Timed(
        case=result.case.id,
        run=run.run_id,
        latency_s=latency.value,
        low_s=latency.low,
        high_s=latency.high,
        estimates=found,
        samples_s=tuple(sample for trial in used_trials(result) for sample in trial.samples_s),
        flags=flags(result, run.plan.measure),
    )
