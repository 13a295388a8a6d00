"""What is measured when: pre-flights, pilots, memory passes, rounds of trials, fits. Knows neither store nor screen.

`measure` is a generator: it yields each observation as it ends, and is asked for the next only when that one is safe. Given
what an interrupted run had observed, it goes on with exactly what is missing.
"""

from __future__ import annotations

import itertools
import random
import shutil
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from bench.bisection import AXES, Search, next_size, searches
from bench.jobs import Job, JobKind, model_path, passes_of
from bench.observations import (
    CaseResult,
    Ceiling,
    End,
    Epoch,
    Fit,
    Observation,
    Pass,
    Pilot,
    Preflight,
    Stopped,
    Trial,
    gather,
)
from bench.progress import Progress, fits_s, remaining_s, steps
from bench.records import Case, Outcome, PassKind, Run
from bench.rounds import affordable, cannot_run
from bench.rounds import criterion as stopping
from bench.trust import good_trials

ATTEMPTS = 2
# of the run's folder: what was compiled is shared by its trials, and gone when it ends
COMPILED = "compiled"


class Executor(Protocol):
    """Where jobs run: one at a time, each in a process of its own."""

    def run(self, job: Job) -> Iterator[Observation | str]:
        """News and finished epochs as they come, and last the job's observation; a lost worker is an outcome, no error."""


StartServer = Callable[[], AbstractContextManager[Executor]]


Event = Progress | Observation


def local_server() -> AbstractContextManager[Executor]:
    """A measuring server on this machine."""
    from bench.executors.local import Server

    return Server()


def measure(
    run: Run,
    observed: Sequence[Observation],
    folder: Path,
    start_server: StartServer = local_server,
    now: Callable[[], float] = time.monotonic,
) -> Generator[Event, None, None]:
    """Measure what is missing of a run.

    Args:
        run: the run with its plan.
        observed: what an earlier, interrupted invocation observed.
        folder: the run's folder, where fits keep their state between epochs.
        start_server: makes a fresh server; called once per round.
        now: the clock of budgets and remaining time.
    """
    if any(isinstance(observation, End) for observation in observed):
        return
    session = Session(run, observed, folder, start_server, now)
    began = now()
    yield from session.prepare()
    yield from session.rounds()
    yield from session.limits()
    shutil.rmtree(folder / COMPILED, ignore_errors=True)  # there is none where nothing was compiled
    yield from session.fits()
    yield _end(session.spent_before_s + now() - began)


def count(
    run: Run,
    observed: Sequence[Observation],
    folder: Path,
    start_server: StartServer = local_server,
    now: Callable[[], float] = time.monotonic,
) -> Generator[Event, None, None]:
    """Observe what has no noise, and nothing else: pre-flights and the plan's passes, without calibration or trials."""
    began = now()
    yield from Session(run, observed, folder, start_server, now).counts()
    yield _end(now() - began)


def confirm(
    run: Run,
    observed: Sequence[Observation],
    folder: Path,
    names: Sequence[str],
    start_server: StartServer = local_server,
    now: Callable[[], float] = time.monotonic,
) -> Generator[Event, None, None]:
    """Take the trials of some cases of a finished run once more: what was flagged by luck is not found again."""
    yield from Session(run, observed, folder, start_server, now).again(names)


def _end(wall_s: float) -> End:
    return End(finished=datetime.now(UTC).isoformat(timespec="seconds"), wall_s=wall_s)


class Session:
    """One invocation over one plan: what has been observed so far decides what comes next."""

    def __init__(
        self,
        run: Run,
        observed: Sequence[Observation],
        folder: Path,
        start_server: StartServer,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._plan, self._folder = run, run.plan, folder
        self._measure = run.plan.measure
        self.observed = list(observed)
        self._start_server, self._now = start_server, now
        self.spent_before_s = sum(getattr(one, "wall_s", None) or 0.0 for one in observed)
        # the budget is for speed cases: what fits cost before an interruption is not counted
        self._speed_began = now() - (self.spent_before_s - fits_s(observed))

    # ── speed cases ────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> Iterator[Event]:
        """Pre-flights, pilots and passes; what fails is tried once more, in a fresh server."""
        for _ in range(ATTEMPTS):
            yield from self._do(self._preparations(), "getting ready")

    def _preparations(self) -> Iterator[Job]:
        # each list is made when its turn comes: what may be calibrated depends on what has been checked by then
        yield from self._preflights()
        yield from self._pilots()
        yield from self._ceilings()
        yield from self._passes()

    def results(self) -> dict[str, CaseResult]:
        """What has been observed so far, by case."""
        return {result.case.id: result for result in gather(self._plan, self.observed)}

    def _cases(self, *, timed: bool) -> list[Case]:
        return [case for case in self._plan.cases if (case.fit is None) == timed and not case.skip]

    def _job(self, kind: JobKind, case: Case, **more: object) -> Job:
        imports, folder = self._plan.imports, str(Path(self._plan.folder).expanduser())
        compiled = str(self._folder / COMPILED)
        job = Job(kind=kind, case=case, measure=self._measure, imports=imports, folder=folder, compiled=compiled)
        return replace(job, **more)  # type: ignore[arg-type]

    def _preflights(self) -> list[Job]:
        seen: dict[tuple[str, str], list[Preflight]] = {}
        for one in self.observed:
            if isinstance(one, Preflight):
                seen.setdefault((one.task_key, one.variant_id), []).append(one)
        wanted = {
            (case.task_key, case.variant.variant_id): case for case in reversed(self._plan.cases) if not case.skip
        }
        return [
            self._job(JobKind.PREFLIGHT, replace(case, device="cpu"))
            for key, case in reversed(wanted.items())
            if _try_again(seen.get(key, ()))
        ]

    def _pilots(self) -> list[Job]:
        results = self.results()
        return [
            self._job(JobKind.PILOT, case, seed=_seed(self._run, case, 0), attempt=len(results[case.id].pilots))
            for case in self._cases(timed=True)
            if _is_checked(results[case.id]) and _try_again(results[case.id].pilots)
        ]

    def _ceilings(self) -> list[Job]:
        """One for each setting of cases that are costed, timed in this run's own moment: machines change with their load."""
        if PassKind.COST not in self._measure.passes:
            return []
        settings = {(case.device, case.precision, case.threads): case for case in self._cases(timed=True)}
        for one in self.observed:
            if isinstance(one, Ceiling):
                settings.pop((one.device, one.precision, one.threads), None)
        return [self._job(JobKind.CEILING, case) for case in settings.values()]

    def counts(self) -> Iterator[Event]:
        """Pre-flights and passes of cases that are not calibrated, because no trial will be taken of them."""
        for _ in range(ATTEMPTS):
            yield from self._do(self._countable(), "counting")

    def _countable(self) -> Iterator[Job]:
        yield from self._preflights()
        results = self.results()
        for case in self._cases(timed=True):
            if _is_checked(results[case.id]):
                yield from self._passes_of(results[case.id])

    def _passes(self) -> Iterator[Job]:
        results = self.results()
        for case in self._cases(timed=True):
            if not cannot_run(results[case.id]):
                yield from self._passes_of(results[case.id])

    def _passes_of(self, result: CaseResult) -> Iterator[Job]:
        for kind in passes_of(result.case, self._measure):
            attempts = result.attempts(kind)
            if _try_again(attempts):
                seed, attempt = _seed(self._run, result.case, 0), len(attempts)
                yield self._job(JobKind.PASS, result.case, passing=kind, seed=seed, attempt=attempt)

    def rounds(self) -> Iterator[Event]:
        """Rounds of one trial of every unfinished case, each from a fresh server, until precise, capped or out of budget."""
        for number in itertools.count(1):
            yield from self._stop(number)
            results = self.results()
            unfinished = [results[case.id] for case in self._cases(timed=True) if not results[case.id].criterion]
            if not unfinished:
                return
            open_cases = [result.case for result in affordable(unfinished, self._left_s())]
            random.Random(f"{self._run.seed}/{number}").shuffle(open_cases)
            missing = [case for case in open_cases if all(one.round != number for one in results[case.id].trials)]
            yield from self._do([self.trial(case, number) for case in missing], f"round {number}")

    def again(self, names: Sequence[str]) -> Iterator[Event]:
        """As many fresh trials of each of these cases as it has, in rounds of fresh servers, flagged as confirming."""
        results = self.results()
        wanted = {name: len(good_trials(results[name])) for name in names}
        last = max((trial.round for name in names for trial in results[name].trials), default=0)
        done, total = 0, sum(wanted.values())
        for number in range(1, max(wanted.values(), default=0) + 1):
            cases = [results[name].case for name in names if number <= wanted[name]]
            random.Random(f"{self._run.seed}/{last + number}").shuffle(cases)
            jobs = [self.trial(case, last + number) for case in cases]
            for event in self._do(jobs, "confirming", f"round {number}", confirming=True):
                if isinstance(event, Progress):
                    event = replace(event, done=done, total=total, remaining_s=None)
                    done += 1
                yield event

    def trial(self, case: Case, number: int) -> Job:
        """One trial of a case that was calibrated."""
        pilots = [one for one in self.observed if isinstance(one, Pilot) and one.case_id == case.id]
        pilot = next(pilot for pilot in pilots if pilot.outcome is Outcome.OK)
        seed = _seed(self._run, case, number)
        return self._job(
            JobKind.TRIAL, case, seed=seed, round=number, iterations=pilot.iterations, samples=pilot.samples
        )

    def _left_s(self) -> float | None:
        """Seconds of the budget that are left; None without one."""
        budget = self._measure.budget_s
        return None if budget is None else budget - (self._now() - self._speed_began)

    def _stop(self, number: int) -> Iterator[Event]:
        """Say of every case that needs no further trial why it does not; `number` is the round about to begin."""
        budget, left_s = self._measure.budget_s, self._left_s()
        spent = left_s is not None and number > 1 and left_s <= 0
        for result in self.results().values():
            if result.case.fit is not None or result.case.skip or result.criterion:
                continue
            criterion = stopping(result, self._measure)
            begun = any(trial.round >= number for trial in result.trials)
            if criterion is None and spent and not begun:
                criterion = f"budget of {budget:g} s spent"
            if criterion is not None:
                yield from self._seen(Stopped(case_id=result.case.id, criterion=criterion))

    def limits(self) -> Iterator[Event]:
        """Searches for the largest batch and the longest sequence, each in a server of its own.

        They were asked for one by one, so no budget ends them.
        """
        for search in searches(self._plan.cases) if self._measure.limits else ():
            if _is_checked(self.results()[search.case.id]):
                yield from self._do(self._tries(search), "searching for limits")

    def _tries(self, search: Search) -> Iterator[Job]:
        """One try after another: each is chosen when the answers to those before it are known."""
        seed = _seed(self._run, search.case, 0)
        while (size := next_size(search, self.results()[search.case.id].probes)) is not None:
            yield self._job(JobKind.PROBE, search.case_at(size), probing=search.metric, seed=seed)

    # ── fits ───────────────────────────────────────────────────────────────────────────────────────────────────

    def fits(self) -> Iterator[Event]:
        """Every fit case with every seed and fold, each in a fresh server."""
        for case in self._cases(timed=False):
            if not _is_checked(self.results()[case.id]):
                continue
            for seed in self._plan.seeds:
                for fold in range(self._plan.folds.get(case.task_key, 0)) or [None]:
                    yield from self._fit(case, seed, fold)

    def _fit(self, case: Case, seed: int, fold: int | None) -> Iterator[Event]:
        name = f"{case.definition_hash}-{seed}{'' if fold is None else f'-{fold}'}"
        checkpoint = self._folder / "fits" / f"{name}.pt"
        checkpoint.parent.mkdir(exist_ok=True)
        model = str(model_path(self._folder, case, seed, fold)) if self._plan.save_models else ""
        places = {"checkpoint": str(checkpoint), "model": model}
        for _ in range(ATTEMPTS):
            mine = [one for one in self.observed if _is_of(one, case, seed, fold)]
            if not _try_again([one for one in mine if isinstance(one, Fit)]):
                break
            known = sum(isinstance(one, Epoch) for one in mine)
            job = self._job(JobKind.FIT, case, seed=seed, fold=fold, known_epochs=known, **places)
            where = f"seed {seed}" + ("" if fold is None else f", fold {fold}")
            yield from self._do([job], "training to accuracy", where)
        checkpoint.unlink(missing_ok=True)

    # ── both ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _do(self, jobs: Iterable[Job], phase: str, where: str = "", *, confirming: bool = False) -> Iterator[Event]:
        waiting = iter(jobs)
        first = next(waiting, None)
        if first is None:
            return
        with self._start_server() as server:
            for job in itertools.chain([first], waiting):
                detail = where or _detail(job)
                yield self._progress(phase, job.case, detail)
                for answer in server.run(job):
                    if isinstance(answer, str):
                        yield self._progress(phase, job.case, f"{detail}, {answer}")
                    else:
                        if confirming and isinstance(answer, Trial):
                            answer = replace(answer, confirming=True)
                        yield from self._seen(answer)

    def _seen(self, observation: Observation) -> Iterator[Event]:
        self.observed.append(observation)
        yield observation

    def _progress(self, phase: str, case: Case, detail: str) -> Progress:
        results = self.results()
        done, total = steps(self._plan, results)
        left = remaining_s(self._plan, self.observed, results, self._now() - self._speed_began)
        return Progress(phase=phase, done=done, total=total, case=case, detail=detail, remaining_s=left)


def _detail(job: Job) -> str:
    return f"{job.probing} {getattr(job.case, AXES[job.probing]):,}" if job.probing else job.kind.value


def _try_again(attempts: Sequence[Preflight | Pilot | Pass | Fit]) -> bool:
    # what diverges does so again: its seed is the same
    settled = (Outcome.OK, Outcome.SKIPPED, Outcome.DIVERGED)
    return len(attempts) < ATTEMPTS and all(attempt.outcome not in settled for attempt in attempts)


def _is_of(observation: Observation, case: Case, seed: int, fold: int | None) -> bool:
    return (
        isinstance(observation, Fit | Epoch)
        and observation.case_id == case.id
        and (observation.seed, observation.fold) == (seed, fold)
    )


def _is_checked(result: CaseResult) -> bool:
    return result.preflight is not None and result.preflight.outcome is Outcome.OK


def _seed(run: Run, case: Case, number: int) -> int:
    """Of inputs and initial weights: decided by run, case and round, so that both arms of a pair see the same."""
    return zlib.crc32(f"{run.seed}/{case.definition_hash}/{number}".encode())
