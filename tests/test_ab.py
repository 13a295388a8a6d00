"""Pairs, their order and number, confirmation and controls: with scripted servers, instantly."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bench.ab import LEAST_PAIRS, Told, aligned, judge, measure_pairs
from bench.errors import ExitCode
from bench.jobs import Job, JobKind
from bench.lanes import Arm, Lane
from bench.observations import CaseResult, End, Fit, Observation, Pilot, Stopped, Trial, gather
from bench.progress import Progress
from bench.records import Case, FitSettings, Gate, GateRule, Outcome, Run
from bench.verdicts import TIME, Comparison, Control, Judgement, Reason, Verdict
from tests.arms import DISTURBED
from tests.scripted import case, run_of, trial, usual

Answers = Sequence[Observation | str]
ARMS = {"b": Arm.BASE, "h": Arm.HEAD, "c": Arm.CONTROL_BASE, "C": Arm.CONTROL}


def noise(arm: Arm, job: Job, spread: float = 0.004) -> float:
    """A trial's own luck."""
    return 1 + random.Random(f"{arm}/{job.case.id}/{job.round}").gauss(0, spread)


def quiet(arm: Arm, job: Job) -> Answers | None:
    return [trial(job, 0.002 * noise(arm, job))] if job.kind is JobKind.TRIAL else None


def slower(by: float, *arms: Arm, only: str = "", spread: float = 0.004) -> Callable[[Arm, Job], Answers | None]:
    """These arms are slower in every trial."""

    def answer(arm: Arm, job: Job) -> Answers | None:
        if job.kind is not JobKind.TRIAL:
            return None
        more = by if arm in arms and only in job.case.id else 0.0
        return [trial(job, 0.002 * (1 + more) * noise(arm, job, spread))]

    return answer


@dataclass
class Lanes:
    """Opens lanes whose executors answer as a script says, and keeps every job with its arm and the number of its server."""

    answer: Callable[[Arm, Job], Answers | None] = quiet
    jobs: list[tuple[int, Arm, Job]] = field(default_factory=list)
    started: int = 0
    running: int = 0

    @contextmanager
    def __call__(self, arms: Collection[Arm]) -> Iterator[Lane]:
        self.started += 1
        self.running += 1
        try:
            yield {arm: _Lane(self, arm) for arm in arms}
        finally:
            self.running -= 1

    def trials(self, name: str = "", control: bool = False) -> list[tuple[int, Arm, Job]]:
        wanted = (Arm.CONTROL_BASE, Arm.CONTROL) if control else (Arm.BASE, Arm.HEAD)
        return [
            one for one in self.jobs if one[2].kind is JobKind.TRIAL and one[1] in wanted and name in one[2].case.id
        ]

    def rounds(self, name: str = "", control: bool = False) -> list[str]:
        """The arms of each server in turn: `bhhb`."""
        letters = {arm: letter for letter, arm in ARMS.items()}
        found: dict[int, str] = {}
        for server, arm, _ in self.trials(name, control):
            found[server] = found.get(server, "") + letters[arm]
        return list(found.values())


@dataclass
class _Lane:
    lanes: Lanes
    arm: Arm

    def run(self, job: Job) -> Iterator[Observation | str]:
        self.lanes.jobs.append((self.lanes.started, self.arm, job))
        answers = self.lanes.answer(self.arm, job)
        yield from usual(job) if answers is None else answers


@dataclass
class Session:
    lanes: Lanes
    results: dict[Arm, list[CaseResult]]
    observed: dict[Arm, list[Observation]]
    comparisons: list[Comparison]
    controls: list[Control]
    progress: list[Progress]

    def time(self, name: str = "") -> Comparison:
        (found,) = [one for one in self.comparisons if one.metric == TIME and name in one.case_id]
        return found

    def pairs(self, name: str = "", *, confirming: bool = False) -> int:
        trials = [one for one in self.observed[Arm.BASE] if isinstance(one, Trial) and name in one.case_id]
        return sum(one.confirming is confirming for one in trials)


def session(
    folder: Path,
    lanes: Lanes,
    *cases: Case,
    head: Sequence[Case] = (),
    gate: Gate | None = None,
    budget_s: float | None = None,
    **more: Any,
) -> Session:
    """Measure both arms to the end, and judge them."""
    runs = runs_of(*(cases or (case(),)), head=head, gate=gate)
    runs = {arm: within(run, budget_s) for arm, run in runs.items()}
    events = list(measure_pairs(runs, folders(folder), lanes, **more))
    observed: dict[Arm, list[Observation]] = {arm: [] for arm in Arm}
    for event in events:
        if isinstance(event, Told):
            observed[event.arm].append(event.observation)
    results = {arm: gather(run.plan, observed[arm]) for arm, run in runs.items()}
    comparisons, controls = judge(results, runs[Arm.BASE].plan.gate)
    progress = [event for event in events if isinstance(event, Progress)]
    return Session(lanes, results, observed, comparisons, controls, progress)


def runs_of(*cases: Case, head: Sequence[Case] = (), gate: Gate | None = None) -> dict[Arm, Run]:
    base = run_of(*cases)
    base = replace(base, plan=replace(base.plan, gate=gate or Gate()))
    other = replace(base, plan=replace(base.plan, cases=tuple(head) or base.plan.cases, seeds=(5,)))
    return {arm: other if arm is Arm.HEAD else base for arm in Arm}


def within(run: Run, budget_s: float | None) -> Run:
    return replace(run, plan=replace(run.plan, measure=replace(run.plan.measure, budget_s=budget_s)))


def folders(place: Path) -> dict[Arm, Path]:
    made = {arm: place / arm.value for arm in Arm}
    for folder in made.values():
        folder.mkdir()
    return made


# ── order ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_round_is_base_head_head_base_from_one_fresh_server_and_confirming_it_is_the_other_way_round(
    tmp_path: Path,
) -> None:
    lanes = Lanes(slower(0.10, Arm.HEAD))
    session(tmp_path, lanes)
    assert lanes.rounds() == ["bhhb"] * (LEAST_PAIRS // 2) + ["hbbh"] * (LEAST_PAIRS // 2)
    assert lanes.rounds(control=True) == ["cCCc"] * (LEAST_PAIRS // 2)
    servers = {server for server, _, job in lanes.jobs if job.kind is JobKind.TRIAL}
    assert len(servers) == LEAST_PAIRS
    assert lanes.running == 0


def test_arms_with_servers_of_their_own_get_one_pair_from_each_and_turn_all_the_same(tmp_path: Path) -> None:
    lanes = Lanes()
    session(tmp_path, lanes, pairs_a_server=1)
    assert lanes.rounds() == ["bh", "hb"] * (LEAST_PAIRS // 2)


def test_a_round_holds_every_case_in_an_order_of_its_own(tmp_path: Path) -> None:
    lanes = Lanes()
    session(tmp_path, lanes, *(case(f"a{place}") for place in range(8)))
    orders: dict[int, list[str]] = {}
    for server, _, job in lanes.trials():
        names = orders.setdefault(server, [])
        names += [job.case.id] if job.case.id not in names else []
    assert {tuple(sorted(names)) for names in orders.values()} == {
        tuple(f"imdb/a{place}/inference" for place in range(8))
    }
    assert len({tuple(names) for names in orders.values()}) > 1


def test_both_arms_of_a_pair_see_the_same_inputs_and_the_same_calibration(tmp_path: Path) -> None:
    head = case("other", definition_hash="another")  # another setting is another case
    lanes = Lanes()
    session(tmp_path, lanes, case(), head=[head])
    by_round: dict[int, set[tuple[object, ...]]] = {}
    for _, _, job in [*lanes.trials(), *lanes.trials(control=True)]:
        by_round.setdefault(job.round, set()).add((job.seed, job.iterations, job.samples))
    assert [len(settings) for settings in by_round.values()] == [1] * LEAST_PAIRS
    assert len({seed for settings in by_round.values() for seed, *_ in settings}) == LEAST_PAIRS
    pilots = [arm for _, arm, job in lanes.jobs if job.kind is JobKind.PILOT]
    assert pilots == [Arm.BASE]


def test_both_arms_are_checked_and_get_their_own_passes(tmp_path: Path) -> None:
    lanes = Lanes()
    session(tmp_path, lanes)
    for kind in (JobKind.PREFLIGHT, JobKind.PASS):
        assert [arm for _, arm, job in lanes.jobs if job.kind is kind] == [Arm.BASE, Arm.HEAD]


# ── how many ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pairs_follow_the_spread_and_never_the_difference(tmp_path: Path) -> None:
    def answer(arm: Arm, job: Job) -> Answers | None:
        spread = 0.03 if "noisy" in job.case.id else 0.004
        return slower(0.5, Arm.HEAD, only="slow", spread=spread)(arm, job)

    found = session(tmp_path, Lanes(answer), case("plain"), case("slow"), case("noisy"), case("noisy-slow"))
    assert found.pairs("/plain/") == found.pairs("/slow/") == LEAST_PAIRS
    assert found.pairs("/noisy/") > LEAST_PAIRS
    assert found.pairs("/noisy-slow/") == pytest.approx(found.pairs("/noisy/"), abs=8)


def test_a_case_that_is_too_noisy_stops_at_the_cap_and_says_what_it_would_have_seen(tmp_path: Path) -> None:
    found = session(tmp_path, Lanes(slower(0.0, spread=0.2)), gate=Gate(max_pairs=12))
    assert found.pairs() == 12
    time = found.time()
    assert time.verdict is Verdict.INCONCLUSIVE
    assert time.smallest is not None
    assert time.smallest > 0.1
    assert [one.criterion for one in found.observed[Arm.HEAD] if isinstance(one, Stopped)] == ["cap of 12 pairs"]


def test_fewer_pairs_than_usual_are_enough_where_the_suite_says_so(tmp_path: Path) -> None:
    assert session(tmp_path, Lanes(), gate=Gate(max_pairs=4)).pairs() == 4


@pytest.mark.parametrize("arm", [Arm.BASE, Arm.HEAD])
def test_a_disturbed_trial_costs_the_pair_which_is_taken_again(tmp_path: Path, arm: Arm) -> None:
    def answer(of: Arm, job: Job) -> Answers | None:
        if job.kind is not JobKind.TRIAL:
            return None
        disturbed = of is arm and job.round in (3, 4, 7)
        return [trial(job, 0.002 * noise(of, job) * (2 if disturbed else 1), evidence=DISTURBED if disturbed else {})]

    found = session(tmp_path, Lanes(answer))
    assert found.pairs() == LEAST_PAIRS + 4  # they come in twos
    assert found.time().count == LEAST_PAIRS + 1
    assert [one.criterion for one in found.observed[Arm.BASE] if isinstance(one, Stopped)] == [
        "11 pairs, enough for its spread"
    ]


def test_where_everything_is_disturbed_pairs_are_taken_twice_as_often_and_no_more(tmp_path: Path) -> None:
    def answer(arm: Arm, job: Job) -> Answers | None:
        return [trial(job, 0.002 * noise(arm, job), evidence=DISTURBED)] if job.kind is JobKind.TRIAL else None

    found = session(tmp_path, Lanes(answer))
    assert found.pairs() == 2 * LEAST_PAIRS
    assert found.time().count == 2 * LEAST_PAIRS, "never end with none"


@dataclass
class Clock:
    """A second passes with every trial."""

    lanes: Lanes

    def __call__(self) -> float:
        return float(sum(job.kind is JobKind.TRIAL for _, _, job in self.lanes.jobs))


def test_a_budget_ends_at_the_end_of_a_round_and_what_is_flagged_is_confirmed_all_the_same(tmp_path: Path) -> None:
    lanes = Lanes(slower(0.20, Arm.HEAD, only="slow"))
    # a round of two cases and a control takes twelve seconds: two are begun in twenty
    found = session(tmp_path, lanes, case("slow"), case("plain"), budget_s=20.0, now=Clock(lanes))
    assert (found.pairs("plain"), found.pairs("slow")) == (4, 4)
    assert found.pairs("slow", confirming=True) == 4
    assert {one.criterion for one in found.observed[Arm.HEAD] if isinstance(one, Stopped)} == {"budget of 20 s spent"}


def test_what_is_left_is_never_more_than_the_budget_and_a_round(tmp_path: Path) -> None:
    lanes = Lanes()
    found = session(tmp_path, lanes, budget_s=10.0, now=Clock(lanes))
    # of the ten seconds two are left, and a round of eight trials: half a second each, and a quarter for their servers
    left = [one.remaining_s for one in found.progress if one.phase == "round 2"]
    assert left[0] == pytest.approx(2 + 8 * 0.75)


def test_a_budget_that_is_enough_changes_nothing(tmp_path: Path) -> None:
    lanes = Lanes()
    found = session(tmp_path, lanes, budget_s=1000.0, now=Clock(lanes))
    assert found.pairs() == LEAST_PAIRS
    assert {one.criterion for one in found.observed[Arm.HEAD] if isinstance(one, Stopped)} == {
        f"{LEAST_PAIRS} pairs, enough for its spread"
    }


def test_a_time_that_nobody_judges_gets_one_round(tmp_path: Path) -> None:
    found = session(tmp_path, Lanes(), gate=Gate(rules=(GateRule(ignore=(TIME,)),)))
    assert found.pairs() == 2
    assert not [one for one in found.comparisons if one.metric == TIME or one.verdict is Verdict.MISSING]


# ── what is said ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_slower_is_red_and_the_rest_is_not(tmp_path: Path) -> None:
    found = session(tmp_path, Lanes(slower(0.10, Arm.HEAD, only="slow")), case("slow"), case("plain"))
    assert (found.time("slow").verdict, found.time("slow").reason) == (Verdict.REGRESSED, Reason.CONFIRMED)
    assert found.time("slow").change == pytest.approx(0.10, abs=0.01)
    assert found.time("plain").verdict is Verdict.UNCHANGED
    assert found.pairs("slow", confirming=True) == LEAST_PAIRS
    assert found.pairs("plain", confirming=True) == 0
    assert [control.failed for control in found.controls] == [False]
    assert codes(found) == [ExitCode.REGRESSED]


def test_what_is_faster_is_no_failure(tmp_path: Path) -> None:
    found = session(tmp_path, Lanes(slower(0.10, Arm.BASE, Arm.CONTROL_BASE, Arm.CONTROL)))
    assert found.time().verdict is Verdict.IMPROVED
    assert codes(found) == []


def test_what_fresh_pairs_do_not_find_again_is_inconclusive(tmp_path: Path) -> None:
    def answer(arm: Arm, job: Job) -> Answers | None:
        return slower(0.10 if job.round <= LEAST_PAIRS else 0.0, Arm.HEAD)(arm, job)

    found = session(tmp_path, Lanes(answer))
    assert (found.time().verdict, found.time().reason) == (Verdict.INCONCLUSIVE, Reason.NOT_CONFIRMED)
    assert found.pairs(confirming=True) == LEAST_PAIRS


def test_fresh_pairs_are_more_where_the_first_were_alike_by_luck(tmp_path: Path) -> None:
    def answer(arm: Arm, job: Job) -> Answers | None:
        return slower(0.10, Arm.HEAD, spread=0.004 if job.round <= LEAST_PAIRS else 0.04)(arm, job)

    found = session(tmp_path, Lanes(answer))
    assert found.pairs() == LEAST_PAIRS
    assert LEAST_PAIRS < found.pairs(confirming=True) <= Gate().max_pairs
    assert found.time().verdict is Verdict.REGRESSED


def test_a_control_that_fails_turns_red_into_inconclusive(tmp_path: Path) -> None:
    found = session(tmp_path, Lanes(slower(0.10, Arm.HEAD, Arm.CONTROL)))
    assert [control.failed for control in found.controls] == [True]
    assert (found.time().verdict, found.time().reason) == (Verdict.INCONCLUSIVE, Reason.CONTROL_FAILED)
    assert codes(found) == [ExitCode.INCONCLUSIVE]


def test_there_is_a_control_for_every_ten_cases(tmp_path: Path) -> None:
    lanes = Lanes()
    found = session(tmp_path, lanes, *(case(f"a{place}") for place in range(21)), gate=Gate(max_pairs=2))
    assert len(found.controls) == 3
    assert len({job.case.id for _, _, job in lanes.trials(control=True)}) == 3


def test_a_control_goes_on_until_it_could_see_a_difference(tmp_path: Path) -> None:
    def answer(arm: Arm, job: Job) -> Answers | None:
        return slower(0.0, spread=0.02 if arm in (Arm.CONTROL_BASE, Arm.CONTROL) else 0.004)(arm, job)

    lanes = Lanes(answer)
    session(tmp_path, lanes)
    assert len(lanes.rounds(control=True)) > len(lanes.rounds()) == LEAST_PAIRS // 2


def codes(found: Session) -> list[ExitCode]:
    told = Judgement(title="", base="", head="", comparisons=tuple(found.comparisons), controls=tuple(found.controls))
    return told.exit_codes()


# ── what goes wrong ────────────────────────────────────────────────────────────────────────────────────────────────


def failing(*arms: Arm, kind: JobKind = JobKind.TRIAL) -> Callable[[Arm, Job], Answers | None]:
    def answer(arm: Arm, job: Job) -> Answers | None:
        if arm in arms and job.kind is kind and "broken" in job.case.id:
            return [job.ended(Outcome.FAILED, "I will not", 0.1)]
        return quiet(arm, job)

    return answer


def test_a_head_that_fails_ends_its_case_and_no_other(tmp_path: Path) -> None:
    lanes = Lanes(failing(Arm.HEAD))
    found = session(tmp_path, lanes, case("broken"), case("plain"))
    (broken,) = [one for one in found.comparisons if "broken" in one.case_id and not one.metric]
    assert (broken.verdict, broken.reason, broken.detail) == (Verdict.MISSING, Reason.FAILED, "I will not")
    assert lanes.rounds("broken") == ["bhhb"]
    assert found.time("plain").verdict is Verdict.UNCHANGED
    assert ExitCode.INCOMPLETE in codes(found)


def test_a_head_that_cannot_be_checked_is_not_timed(tmp_path: Path) -> None:
    lanes = Lanes(failing(Arm.HEAD, kind=JobKind.PREFLIGHT))
    found = session(tmp_path, lanes, case("broken"), case("plain"))
    assert lanes.trials("broken") == []
    assert {job.case.id for _, _, job in lanes.trials(control=True)} == {"imdb/plain/inference"}
    (broken,) = [one for one in found.comparisons if "broken" in one.case_id]
    assert broken.verdict is Verdict.MISSING
    assert [one.criterion for one in found.observed[Arm.BASE] if isinstance(one, Stopped)] == [
        "head: its model cannot be checked: failed",
        f"{LEAST_PAIRS} pairs, enough for its spread",
    ]


@pytest.mark.parametrize("kind", [JobKind.PREFLIGHT, JobKind.PILOT])
def test_a_case_that_only_head_can_run_is_said_to_be_new(tmp_path: Path, kind: JobKind) -> None:
    lanes = Lanes(failing(Arm.BASE, kind=kind))
    found = session(tmp_path, lanes, case("broken"))
    assert lanes.rounds("broken") == ["h"]
    (broken,) = [one for one in found.comparisons if not one.metric]
    assert (broken.verdict, broken.reason) == (Verdict.MISSING, Reason.NOT_IN_BASE)


def test_a_case_that_one_setting_cannot_have_is_named(tmp_path: Path) -> None:
    lanes = Lanes()
    head = case(skip="fp16 is not measured on cpu", definition_hash="another")
    found = session(tmp_path, lanes, case(), head=[head])
    assert lanes.trials() == []
    (missing,) = found.comparisons
    assert (missing.verdict, missing.detail) == (Verdict.MISSING, "fp16 is not measured on cpu")


def test_an_interruption_ends_the_servers(tmp_path: Path) -> None:
    lanes = Lanes()
    events = measure_pairs(runs_of(case()), folders(tmp_path), lanes)
    for event in events:
        if isinstance(event, Told) and isinstance(event.observation, Trial):
            break
    assert lanes.running == 1
    events.close()
    assert lanes.running == 0


# ── the rest ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fits_have_seeds_of_their_own_in_each_arm(tmp_path: Path) -> None:
    fit = case("gru", workload="fit", fit=FitSettings(epochs=1, batch_size=8))
    found = session(tmp_path, Lanes(), case(), fit)
    seeds = {arm: [one.seed for one in found.observed[arm] if isinstance(one, Fit)] for arm in Arm}
    assert seeds == {Arm.BASE: [0], Arm.HEAD: [5], Arm.CONTROL_BASE: [], Arm.CONTROL: []}


def test_every_arm_ends_and_can_be_reported_as_a_run(tmp_path: Path) -> None:
    found = session(tmp_path, Lanes())
    for arm in Arm:
        assert isinstance(found.observed[arm][-1], End)
    assert isinstance(found.observed[Arm.HEAD][0], Pilot)
    assert all(result.criterion for arm in (Arm.BASE, Arm.HEAD) for result in found.results[arm])


def test_progress_never_goes_back_within_a_phase_and_ends_near_its_end(tmp_path: Path) -> None:
    found = session(tmp_path, Lanes(), case("a"), case("b"), case("c"))
    rounds = [one for one in found.progress if one.phase.startswith("round")]
    assert [one.done for one in rounds] == sorted(one.done for one in rounds)
    assert {one.total for one in rounds} == {2 * LEAST_PAIRS * 4}
    assert rounds[-1].total - rounds[-1].done == 4
    assert all(one.remaining_s for one in rounds)
    assert all(one.done <= one.total for one in found.progress)


def test_results_of_head_stand_under_the_names_of_base_and_keep_their_own_settings() -> None:
    base, head = case(threads=1), case("other", definition_hash="another", threads=2)
    (result,) = aligned([CaseResult(case=base)], [CaseResult(case=head)])
    assert (result.case.id, result.case.definition_hash, result.case.threads) == (base.id, base.definition_hash, 2)
