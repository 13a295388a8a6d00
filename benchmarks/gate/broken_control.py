"""A session whose second slot is slower, whatever code runs there: its control sees that, and red becomes inconclusive.

`python -m benchmarks.gate.broken_control [--share S]` has three sessions of one case against itself, as `bench ab` measures
and judges them: untouched, with HEAD slowed, and with all that runs in HEAD's slot slowed, its control as well. Expected
are the exit codes 0, 1 and 3; anything else leaves with 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.ab import Told, judge, measure_pairs
from bench.cli.measuring import new_run
from bench.cli.outcomes import worst
from bench.cli.planning import planned
from bench.errors import BenchError, ExitCode
from bench.executors.local import Server
from bench.jobs import Job, JobKind
from bench.lanes import Arm, Lane, one_server
from bench.observations import Observation, Pilot, gather
from bench.records import Case, Run
from bench.report.judgement import control_words, summary
from bench.runner import Executor
from bench.verdicts import Judgement

CASE = "imdb/lstm/inference/*"
SESSIONS: Mapping[str, tuple[frozenset[Arm], ExitCode]] = {
    "identical code": (frozenset(), ExitCode.OK),
    "HEAD is slower": (frozenset({Arm.HEAD}), ExitCode.REGRESSED),
    "HEAD's slot is slower": (frozenset({Arm.HEAD, Arm.CONTROL}), ExitCode.INCONCLUSIVE),
}


@dataclass(frozen=True, slots=True)
class Slower:
    """An executor whose trials wait some seconds in every call, busily."""

    executor: Executor
    by_s: float

    def run(self, job: Job) -> Iterator[Observation | str]:
        """Do a job, later."""
        return self.executor.run(replace(job, slowdown_s=self.by_s) if job.kind is JobKind.TRIAL else job)


def main() -> None:
    """Have all three sessions, and tell how each ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.2, help="how much slower, relative to a call (0.2)")
    asked = parser.parse_args()
    try:
        right = [_ends_as_expected(name, asked.share) for name in SESSIONS]
    except BenchError as error:
        sys.exit(str(error))
    sys.exit(0 if all(right) else 1)


def _ends_as_expected(name: str, share: float) -> bool:
    slowed, expected = SESSIONS[name]
    suite, plan = planned("ci", filter=CASE, device="cpu")
    run = new_run(suite, plan, 0)
    judgement = _judged(run, slowed, share * _call_s(plan.cases[0], run))
    code = worst(judgement.exit_codes())
    print(f"{name}: exit code {int(code)}, expected {int(expected)}")
    for line in (summary(judgement), *(control_words(judgement, one) for one in judgement.controls)):
        print(f"  {line}", flush=True)
    return code is expected


def _call_s(case: Case, run: Run) -> float:
    with Server() as server:
        *_, pilot = server.run(Job(kind=JobKind.PILOT, case=case, measure=run.plan.measure))
    assert isinstance(pilot, Pilot)
    assert pilot.call_s is not None, pilot.reason
    return pilot.call_s


def _judged(run: Run, slowed: Collection[Arm], by_s: float) -> Judgement:
    @contextmanager
    def open_lane(arms: Collection[Arm]) -> Iterator[Lane]:
        with one_server(arms) as lane:
            yield {arm: Slower(each, by_s) if arm in slowed else each for arm, each in lane.items()}

    observed: dict[Arm, list[Observation]] = {arm: [] for arm in Arm}
    with tempfile.TemporaryDirectory() as folder:
        for event in measure_pairs(dict.fromkeys(Arm, run), dict.fromkeys(Arm, Path(folder)), open_lane):
            if isinstance(event, Told):
                observed[event.arm].append(event.observation)
    results = {arm: gather(run.plan, observations) for arm, observations in observed.items()}
    comparisons, controls = judge(results, run.plan.gate)
    cases = {case.id: case.id for case in run.plan.cases}
    return Judgement(
        title="a session",
        base="base",
        head="head",
        comparisons=tuple(comparisons),
        cases=cases,
        commands=dict.fromkeys(cases, ""),
        controls=tuple(controls),
    )


if __name__ == "__main__":
    main()
