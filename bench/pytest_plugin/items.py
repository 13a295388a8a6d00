"""A suite as pytest items: one a timed case, all of them measured before the first is told."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

import pytest

from bench import baseline
from bench.cli.outcomes import is_incomplete
from bench.cli.planning import planned
from bench.errors import BenchError
from bench.probes import machine
from bench.pytest_plugin import remark
from bench.pytest_plugin.judging import judge, tell
from bench.pytest_plugin.measuring import measured, why_not
from bench.pytest_plugin.replay import BENCHMARK, REPLAY, Benchmark, prepare
from bench.records import Case, Outcome
from bench.report.judgement import ADVICE, remarks, summary
from bench.verdicts import WORDS, Reason, Verdict

if TYPE_CHECKING:
    from bench.observations import CaseResult
    from bench.records import Plan
    from bench.store import RunFolder
    from bench.suite import Suite
    from bench.verdicts import Judgement


class CaseItem(pytest.Function):
    """One case; its name is the case's id."""

    def reportinfo(self) -> tuple[str, int, str]:
        """Where it stands: the first line, for a suite has no line of its own for a case."""
        return str(self.path), 0, self.name


class SuiteFile(pytest.Module):
    """A suite that was asked for; cases that are trained to accuracy are left to `bench check`."""

    obj = None  # there is no Python module behind it

    _suite: Suite
    _plan: Plan
    _base: RunFolder | None = None
    _run: RunFolder | None = None
    _results: Mapping[str, CaseResult] = MappingProxyType({})
    _judgement: Judgement | None = None

    def collect(self) -> Iterator[CaseItem]:
        """An item for every timed case of the suite, and for every one that only the baseline has."""
        try:
            before = self._read()
        except BenchError as error:
            raise self.CollectError(str(error)) from error
        known = {case.id for case in self._plan.cases}
        yield from map(self._item, (*self._plan.cases, *(case for case in before if case.id not in known)))

    def _read(self) -> list[Case]:
        """Read suite and baseline; the timed cases of the baseline."""
        name, cores = self.config.getoption("bench_baseline"), None
        if name:
            # what must match is the same for every device of a machine
            self._base = baseline.find(self.config.getoption("bench_results"), name, machine.snapshot("cpu"))
            cores = self._base.run.machine.hard.get("cores")
        self._suite, plan = planned(str(self.path), threads=cores)
        self._plan = replace(plan, cases=tuple(case for case in plan.cases if case.fit is None), seeds=())
        return [case for case in self._base.run.plan.cases if case.fit is None] if self._base else []

    def _item(self, case: Case) -> CaseItem:
        def plain() -> None:
            self._tell(case)

        def benchmarked(benchmark: Benchmark) -> None:
            replay = item.stash[REPLAY]
            if self._run is None or case.id not in self._results:
                replay.leave_out(benchmark)
            else:
                replay.hand_over(benchmark, self._run.run, self._results[case.id])
            self._tell(case)

        has_statistics = self.config.pluginmanager.hasplugin(BENCHMARK)
        item = CaseItem.from_parent(self, name=case.id, callobj=benchmarked if has_statistics else plain)
        if has_statistics:
            prepare(item)
        return item

    # ── measuring ──────────────────────────────────────────────────────────────────────────────────────────────

    def setup(self) -> None:
        """Measure all cases that are left of the selection, once, in rounds over all of them."""
        names = [item.name for item in self.session.items if item.parent is self]
        cases = tuple(case for case in self._plan.cases if case.id in names)
        if self._run is not None or not cases:
            return
        if reason := why_not(self.config):
            if self._base is not None:
                pytest.fail(f"a gate that looked at nothing is not green: {reason}", pytrace=False)
            pytest.skip(reason)
        try:
            self._run = measured(
                self.config, self._suite, replace(self._plan, cases=cases), command=self._command(), base=self._base
            )
        except BenchError as error:
            pytest.fail(str(error), pytrace=False)
        self._results = {result.case.id: result for result in self._run.results()}
        if self._base is not None:
            self._judgement = judge(self._base, self._run, names)
            remark(self.config, (summary(self._judgement), *remarks(self._judgement)))
        remark(self.config, [f"kept in {self._run.path}"])

    def _command(self) -> str:
        words = ["bench", "run", self._suite.where]
        if self._base is not None:
            words = ["bench", "check", self._suite.where, "--baseline", self._base.path.name]
        return shlex.join([*words, "--results", str(self.config.getoption("bench_results"))])

    # ── telling ────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self, case: Case) -> None:
        """Pass, fail or skip, as the case was judged, or as it ended where nothing is judged."""
        if case.id not in self._results:
            self._tell_gone(case)
        if self._judgement is not None:
            tell(self._judgement, case.id)
        result = self._results[case.id]
        outcome, reason = result.verdict
        words = f"{(outcome or Outcome.FAILED).value.replace('_', ' ')}: {reason}"
        if is_incomplete(result):
            pytest.fail(words, pytrace=False)
        if outcome is not Outcome.OK:
            pytest.skip(f"{case.id}: {words}")

    def _tell_gone(self, case: Case) -> NoReturn:
        words = f"{Verdict.MISSING.value}: {WORDS[Reason.NOT_IN_HEAD]}; {ADVICE[Reason.NOT_IN_HEAD]}"
        if self._plan.gate.allows_missing(case.id):
            pytest.skip(f"{case.id}: {words}")
        pytest.fail(words, pytrace=False)
