"""Two arms measured side by side: pairs from fresh servers, in turning order, until a 5 % change would be found.

A generator like `bench.runner.measure`, which prepares both arms: it knows neither store nor screen nor git. What is flagged
gets fresh pairs, in reversed order, before anything is said of it.
"""

from __future__ import annotations

import itertools
import math
import random
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.compare import compare, to_confirm
from bench.compare_times import CONTROL_CONFIDENCE, TIME_THRESHOLD, Design, control, planned_pairs
from bench.differences import taken_in_pairs
from bench.jobs import passes_of
from bench.lanes import Arm, OpenLane
from bench.observations import CaseResult, End, Observation, Pilot, Stopped, Trial, repeated_failure
from bench.progress import SERVER_S, Progress, trial_s
from bench.records import Case, Gate, Outcome, Run
from bench.rounds import cannot_run
from bench.runner import COMPILED, Executor, Session
from bench.trust import undisturbed
from bench.verdicts import TIME, Comparison, Control

LEAST_PAIRS = 10
CASES_A_CONTROL = 10
# of what is disturbed, at most as many pairs again
MOST_TIMES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One observation of one arm."""

    arm: Arm
    observation: Observation


Event = Progress | Told


@dataclass(frozen=True, slots=True)
class _Match:
    """One case in two arms: base and head, or the two arms of a control."""

    place: int
    first: Arm
    second: Arm


def measure_pairs(
    runs: Mapping[Arm, Run],
    folders: Mapping[Arm, Path],
    open_lane: OpenLane,
    *,
    pairs_a_server: int = 2,
    now: Callable[[], float] = time.monotonic,
) -> Generator[Event, None, None]:
    """Measure all that a judgement needs.

    Args:
        runs: of every arm, with as many cases each, in the same order; those of the controls are base's.
        folders: of every arm, where fits keep their state.
        open_lane: starts fresh servers; called for every round.
        pairs_a_server: pairs of a case in a round: two make base, head, head, base of one server. Where the arms have servers
            of their own, pairs of the same two would share their luck, so it must be one.
        now: the clock of the budget, and of how long it took.
    """
    began = now()
    session = _Pairs(runs, folders, open_lane, pairs_a_server, now)
    yield from session.prepare()
    yield from session.pairs()
    yield from session.confirm()
    yield from session.fits()
    for arm, folder in folders.items():
        shutil.rmtree(folder / COMPILED, ignore_errors=True)  # there is none where nothing was compiled
        end = End(finished=datetime.now(UTC).isoformat(timespec="seconds"), wall_s=now() - began)
        yield Told(arm=arm, observation=end)


def judge(results: Mapping[Arm, Sequence[CaseResult]], gate: Gate) -> tuple[list[Comparison], list[Control]]:
    """Verdicts over what was measured, and what the controls saw."""
    identical = aligned(results[Arm.CONTROL_BASE], results[Arm.CONTROL])
    pairs = zip(results[Arm.CONTROL_BASE], identical, strict=True)
    controls = [control(base, again, gate) for base, again in pairs if base.trials]
    design = Design(paired=True, confirms=True, control_failed=any(one.failed for one in controls))
    base = results[Arm.BASE]
    return compare(base, aligned(base, results[Arm.HEAD]), gate, design), controls


def aligned(base: Sequence[CaseResult], head: Sequence[CaseResult]) -> list[CaseResult]:
    """Results of head under the names of base: two settings of one revision are two cases, and here they are one."""
    return [
        replace(now, case=replace(now.case, id=before.case.id, definition_hash=before.case.definition_hash))
        for before, now in zip(base, head, strict=True)
    ]


class _Pairs:
    """One session: what has been observed so far decides what comes next."""

    def __init__(
        self,
        runs: Mapping[Arm, Run],
        folders: Mapping[Arm, Path],
        open_lane: OpenLane,
        pairs_a_server: int,
        now: Callable[[], float],
    ) -> None:
        self._plan, self._seed = runs[Arm.BASE].plan, runs[Arm.BASE].seed
        self._open_lane, self._pairs_a_server, self._now = open_lane, pairs_a_server, now
        self._cases = {arm: run.plan.cases for arm, run in runs.items()}
        self._arms = {arm: Session(run, (), folders[arm], partial(self._server_of, arm)) for arm, run in runs.items()}
        self._timed = [place for place, case in enumerate(self._plan.cases) if case.fit is None]
        judged = [case for case in self._plan.cases if case.fit is None and self._usual(case) is not None]
        self._together = max(1, len(judged))
        self._matches: list[_Match] = []
        self._wanted: dict[_Match, int] = {}
        self._pairs = self._done = self._left = 0
        self._trial_s = self._round_s = 0.0
        self._ends_s = math.inf
        self._look()

    @contextmanager
    def _server_of(self, arm: Arm) -> Iterator[Executor]:
        with self._open_lane([arm]) as lane:
            yield lane[arm]

    def _look(self) -> None:
        """Gather what has been observed so far."""
        self._results = {arm: list(session.results().values()) for arm, session in self._arms.items()}

    def _both(self, match: _Match) -> tuple[CaseResult, CaseResult]:
        return self._results[match.first][match.place], self._results[match.second][match.place]

    def _keep(self, arm: Arm, observation: Observation) -> Told:
        self._arms[arm].observed.append(observation)
        return Told(arm=arm, observation=observation)

    # ── before and after the pairs ─────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> Iterator[Event]:
        """Checks and passes of both arms; base is calibrated, and its calibration serves every arm."""
        self._left = self._preparations()
        yield from self._prepare(Arm.BASE)
        names = [case.id for case in self._plan.cases]
        for pilot in [one for one in self._arms[Arm.BASE].observed if isinstance(one, Pilot)]:
            for arm in (Arm.HEAD, Arm.CONTROL_BASE, Arm.CONTROL):
                case = self._cases[arm][names.index(pilot.case_id)]
                if pilot.outcome is Outcome.OK and not case.skip:
                    yield self._keep(arm, replace(pilot, case_id=case.id))
        yield from self._prepare(Arm.HEAD)
        self._look()
        yield from self._alone()
        self._matches = self._paired()

    def _prepare(self, arm: Arm) -> Iterator[Event]:
        for event in self._arms[arm].prepare():
            if isinstance(event, Progress):
                detail = f"{arm.value}: {event.detail}"
                yield replace(event, done=self._done, total=self._done + self._left, detail=detail, remaining_s=None)
            else:
                self._done, self._left = self._done + 1, max(1, self._left - 1)
                yield Told(arm=arm, observation=event)

    def _preparations(self) -> int:
        """Jobs before the first pair, about: checks and passes of both arms, and pilots of base."""
        cases = [self._plan.cases[place] for place in self._timed]
        checks = {(case.task_key, case.variant.variant_id) for case in self._plan.cases}
        return len(cases) + 2 * (len(checks) + sum(len(passes_of(case, self._plan.measure)) for case in cases))

    def _alone(self) -> Iterator[Event]:
        """One trial of each case that runs in head alone: that it does is an answer."""
        places = [
            place
            for place in self._timed
            if cannot_run(self._results[Arm.BASE][place]) and not cannot_run(self._results[Arm.HEAD][place])
        ]
        if places:
            with self._open_lane([Arm.HEAD]) as lane:
                for place in places:
                    case = self._cases[Arm.HEAD][place]
                    yield Progress(phase="head alone", done=self._done, total=self._done + 1, case=case)
                    for answer in lane[Arm.HEAD].run(self._arms[Arm.HEAD].trial(case, 0)):
                        if isinstance(answer, Trial):
                            yield self._keep(Arm.HEAD, answer)

    def _paired(self) -> list[_Match]:
        """Every case that runs in both arms, and one control for every ten of them."""
        running = [
            place
            for place in self._timed
            if not any(cannot_run(self._results[arm][place]) for arm in (Arm.BASE, Arm.HEAD))
        ]
        controls = random.Random(self._seed).sample(running, math.ceil(len(running) / CASES_A_CONTROL))
        return [
            *(_Match(place, Arm.BASE, Arm.HEAD) for place in running),
            *(_Match(place, Arm.CONTROL_BASE, Arm.CONTROL) for place in sorted(controls)),
        ]

    def fits(self) -> Iterator[Event]:
        """Every fit of both arms."""
        for arm in (Arm.BASE, Arm.HEAD):
            for event in self._arms[arm].fits():
                if isinstance(event, Progress):
                    yield replace(event, detail=f"{arm.value}: {event.detail}")
                else:
                    yield Told(arm=arm, observation=event)

    # ── pairs ──────────────────────────────────────────────────────────────────────────────────────────────────

    def pairs(self) -> Iterator[Event]:
        """Rounds of every case that still needs pairs, and of the controls among them, until the budget is spent."""
        self._done = 0
        budget = self._plan.measure.budget_s
        self._ends_s = math.inf if budget is None else self._now() + budget
        for number in itertools.count(1):
            self._look()
            self._wanted = {match: self._needed(match) for match in self._matches}
            waiting = [match for match in self._matches if self._lacks(match, confirming=False)]
            if not waiting or self._now() >= self._ends_s:
                break
            yield from self._round(waiting, f"round {number}", confirming=False)
        for place in self._timed:
            criterion = self._criterion(place)
            for arm in (Arm.BASE, Arm.HEAD):
                yield self._keep(arm, Stopped(case_id=self._cases[arm][place].id, criterion=criterion))

    def confirm(self) -> Iterator[Event]:
        """Fresh pairs of what is flagged, in reversed order, whatever the budget: unconfirmed it would tell nothing.

        They are as many as the first ones, and more where these were alike by luck: pairs end early where they look so.
        """
        self._ends_s = math.inf
        base = self._results[Arm.BASE]
        design = Design(paired=True, confirms=True)
        flagged = set(to_confirm(base, aligned(base, self._results[Arm.HEAD]), self._plan.gate, design))
        matches = [one for one in self._matches if one.first is Arm.BASE and base[one.place].case.id in flagged]
        first = {match: taken_in_pairs(*self._both(match)) for match in matches}
        least = {match: times.p10.count for match, times in first.items() if times is not None}
        for number in itertools.count(1):
            self._wanted = {match: self._to_confirm(match, count, len(least)) for match, count in least.items()}
            waiting = [match for match in matches if self._lacks(match, confirming=True)]
            if not waiting:
                return
            yield from self._round(waiting, f"confirming, round {number}", confirming=True)
            self._look()

    def _to_confirm(self, match: _Match, least: int, together: int) -> int:
        """Fresh pairs of a flagged case, by their own spread."""
        base, head = self._both(match)
        times, usual = taken_in_pairs(base, head, confirming=True), self._usual(base.case)
        if times is None or usual is None:
            return least
        most = max(least, self._plan.gate.max_pairs)
        return planned_pairs(times, usual, together, least=least, most=most)

    def _round(self, matches: Sequence[_Match], phase: str, *, confirming: bool) -> Iterator[Event]:
        order = list(matches)
        random.Random(f"{self._seed}/{self._pairs}").shuffle(order)
        missing = {match: self._missing(match, confirming=confirming) for match in matches}
        self._left = 2 * sum(missing.values())
        self._trial_s = self._seconds(missing) / self._left
        self._round_s = self._trial_s * 2 * self._pairs_a_server * len(matches)
        with self._open_lane({arm for match in order for arm in (match.first, match.second)}) as lane:
            for match in order:
                yield self._progress(phase, match)
                for number in range(self._pairs + 1, self._pairs + self._pairs_a_server + 1):
                    forward = number % 2 == 1
                    arms = (match.first, match.second) if forward != confirming else (match.second, match.first)
                    for arm in arms:
                        yield from self._trial(arm, match.place, number, lane[arm], confirming=confirming)
        self._pairs += self._pairs_a_server

    def _trial(self, arm: Arm, place: int, number: int, executor: Executor, *, confirming: bool) -> Iterator[Event]:
        job = self._arms[arm].trial(self._cases[arm][place], number)
        # both arms see the same inputs, also where their cases are two
        seed = self._arms[Arm.BASE].trial(self._plan.cases[place], number).seed
        for answer in executor.run(replace(job, seed=seed)):
            if isinstance(answer, Trial):
                self._done, self._left = self._done + 1, max(0, self._left - 1)
                yield self._keep(arm, replace(answer, confirming=confirming))

    def _calm(self, match: _Match, *, confirming: bool) -> int:
        """Pairs in which neither arm was disturbed."""
        first, second = (
            {trial.round for trial in undisturbed(one) if trial.confirming is confirming} for one in self._both(match)
        )
        return len(first & second)

    def _missing(self, match: _Match, *, confirming: bool) -> int:
        return max(self._pairs_a_server, self._wanted[match] - self._calm(match, confirming=confirming))

    def _lacks(self, match: _Match, *, confirming: bool) -> bool:
        """Whether a case has not the pairs that it wants, and can have more."""
        base, head = self._both(match)
        if any(repeated_failure(one.trials) for one in (base, head)):
            return False
        wanted, taken = self._wanted[match], sum(trial.confirming is confirming for trial in base.trials)
        return self._calm(match, confirming=confirming) < wanted and taken < MOST_TIMES * wanted

    def _usual(self, case: Case) -> float | None:
        """What counts in practice for the time of a case; None where it is not judged."""
        return self._plan.gate.threshold(case.id, TIME, TIME_THRESHOLD)

    def _needed(self, match: _Match) -> int:
        """Pairs by which a change is found, and found again, by the spread that was seen; never by what was found."""
        base, head = self._both(match)
        gate, times = self._plan.gate, taken_in_pairs(base, head)
        least = min(LEAST_PAIRS, gate.max_pairs)
        threshold = self._usual(base.case)
        if match.first is Arm.CONTROL_BASE:
            limit = math.log1p(TIME_THRESHOLD if threshold is None else threshold)
            if times is None or times.p10.half_width(CONTROL_CONFIDENCE) <= limit:
                return least
            return min(gate.max_pairs, max(least, times.p10.count + 1))
        if threshold is None:
            return self._pairs_a_server  # nobody judges its time, but that it runs
        if times is None:
            return least
        return planned_pairs(times, threshold, self._together, least=least, most=gate.max_pairs)

    def _criterion(self, place: int) -> str:
        """Why a case gets no more pairs."""
        for arm in (Arm.BASE, Arm.HEAD):
            result = self._results[arm][place]
            if reason := cannot_run(result):
                return f"{arm.value}: {reason}"
            if failure := repeated_failure(result.trials):
                return f"{arm.value}: failed twice alike: {failure.outcome.value}"
        match = _Match(place, Arm.BASE, Arm.HEAD)
        calm, wanted, taken = self._calm(match, confirming=False), self._wanted[match], len(self._both(match)[0].trials)
        if self._lacks(match, confirming=False):
            return f"budget of {self._plan.measure.budget_s:g} s spent"
        if calm < wanted:
            return f"cap of {taken} pairs, {calm} of them undisturbed"
        return f"cap of {calm} pairs" if wanted >= self._plan.gate.max_pairs else f"{calm} pairs, enough for its spread"

    def _seconds(self, missing: Mapping[_Match, int]) -> float:
        """How long the pairs take that are missing, by the trials so far; servers start once a round."""
        trials = sum(2 * count * max(trial_s(one) for one in self._both(match)) for match, count in missing.items())
        return trials + SERVER_S * math.ceil(max(missing.values()) / self._pairs_a_server)

    def _progress(self, phase: str, match: _Match) -> Progress:
        return Progress(
            phase=phase,
            done=self._done,
            total=self._done + self._left,
            case=self._plan.cases[match.place],
            detail="control" if match.first is Arm.CONTROL_BASE else "",
            # a budget ends at the end of a round
            remaining_s=min(self._left * self._trial_s, max(0.0, self._ends_s - self._now()) + self._round_s),
        )
