"""The order of things, retries, stopping, budgets and going on: with a scripted server, instantly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from scripted import ScriptedServer, case, run_of, trial, usual

from bench.jobs import Job, JobKind
from bench.observations import End, Epoch, Fit, Observation, Pass, Pilot, Preflight, Stopped, Trial, gather
from bench.progress import Progress
from bench.records import FitSettings, Measure, Outcome, PassKind, Run
from bench.runner import measure

FIT = FitSettings(epochs=1, batch_size=8)


@dataclass
class TimedServer(ScriptedServer):
    """A scripted server whose clock goes on by 1.5 s when it starts, and by the wall time of what it answers."""

    seconds: float = 0.0

    def __enter__(self) -> ScriptedServer:
        self.seconds += 1.5
        return super().__enter__()

    def run(self, job: Job) -> Iterator[Observation | str]:
        for one in super().run(job):
            self.seconds += getattr(one, "wall_s", None) or 0.0
            yield one


def observe(
    run: Run, server: ScriptedServer, folder: Path, observed: list[Observation] | None = None
) -> list[Observation]:
    events = measure(run, observed or [], folder, start_server=server)
    return [event for event in events if not isinstance(event, Progress)]


def test_a_run_goes_from_preflight_to_fits_and_ends(tmp_path: Path) -> None:
    run = run_of(case("gru"), case("gru", workload="fit", fit=FIT))
    server = ScriptedServer()
    observed = observe(run, server, tmp_path)
    kinds = [type(one) for one in observed]
    assert kinds == [Preflight, Pilot, Pass, Trial, Trial, Trial, Stopped, Epoch, Fit, End]
    # one server to get ready, one a round, one a fit; none left
    assert server.started == 5
    assert server.running == 0


def test_trials_use_the_pilots_calibration_and_inputs_of_their_own_round(tmp_path: Path) -> None:
    server = ScriptedServer()
    observe(run_of(case()), server, tmp_path)
    trials = [job for job in server.jobs if job.kind is JobKind.TRIAL]
    assert {(job.iterations, job.samples) for job in trials} == {(4, 10)}
    assert len({job.seed for job in trials}) == 3


def test_every_round_holds_every_unfinished_case_in_an_order_that_the_seed_decides(tmp_path: Path) -> None:
    cases = [case(f"a{place}") for place in range(8)]
    orders = []
    for _ in range(2):
        server = ScriptedServer()
        observe(run_of(*cases), server, tmp_path)
        orders.append([(job.round, job.case.id) for job in server.jobs if job.kind is JobKind.TRIAL])
    assert orders[0] == orders[1]
    rounds = [[case_id for number, case_id in orders[0] if number == wanted] for wanted in (1, 2, 3)]
    assert all(sorted(order) == sorted(one.id for one in cases) for order in rounds)
    assert rounds[0] != rounds[1]


def test_a_wide_case_goes_on_to_the_cap_while_a_precise_one_stops(tmp_path: Path) -> None:
    def answer(job: Job) -> list[Observation | str] | None:
        if job.kind is JobKind.TRIAL and "wide" in job.case.id:
            return [trial(job, 0.002 * (1 + 0.2 * (job.round % 2)))]
        return None

    observed = observe(run_of(case("wide"), case("precise")), ScriptedServer(answer), tmp_path)
    counts = Counter(one.case_id for one in observed if isinstance(one, Trial))
    assert counts == {"imdb/wide/inference": 5, "imdb/precise/inference": 3}
    criteria = {one.case_id: one.criterion for one in observed if isinstance(one, Stopped)}
    assert criteria == {
        "imdb/wide/inference": "cap of 5 trials",
        "imdb/precise/inference": "precision of 2.0% reached",
    }


def test_a_budget_ends_at_the_end_of_a_round(tmp_path: Path) -> None:
    server = TimedServer()
    run = run_of(case("a"), case("b"), measure=Measure(min_rounds=5, max_rounds=20, budget_s=12, passes=()))
    events = list(measure(run, [], tmp_path, server, now=lambda: server.seconds))
    trials = [one for one in events if isinstance(one, Trial)]
    # 1.5 s of a server, 1.2 s to get ready, then rounds of 2.5 s: the last one ends beyond the budget, or holds one case
    assert [sum(one.round == number for one in trials) for number in (1, 2, 3, 4, 5)] == [2, 2, 2, 1, 0]
    assert {one.criterion for one in events if isinstance(one, Stopped)} == {"budget of 12 s spent"}


def test_the_widest_intervals_get_what_is_left_of_a_budget(tmp_path: Path) -> None:
    def answer(job: Job) -> list[Observation | str] | None:
        wide = 0.2 * (job.round % 2) if "wide" in job.case.id else 0.03 * (job.round % 2)
        return [trial(job, 0.002 * (1 + wide))] if job.kind is JobKind.TRIAL else None

    server = TimedServer(answer)
    cases = [case(name) for name in ("narrow1", "wide", "narrow2", "narrow3")]
    run = run_of(*cases, measure=Measure(min_rounds=3, max_rounds=20, budget_s=17, passes=()))
    events = list(measure(run, [], tmp_path, server, now=lambda: server.seconds))
    counts = Counter(one.case_id for one in events if isinstance(one, Trial))
    assert counts["imdb/wide/inference"] > max(count for name, count in counts.items() if "narrow" in name)


def test_remaining_time_is_an_upper_bound_right_within_a_quarter_where_rounds_are_fixed(tmp_path: Path) -> None:
    server = TimedServer(lambda job: [trial(job, wall_s=1.0 if "a" in job.case.id else 2.0)] if job.round else None)
    limits = Measure(min_rounds=8, max_rounds=8, passes=(PassKind.MEMORY, PassKind.TAILS))
    run = run_of(*(case(name) for name in "abcdef"), measure=limits)
    told = [
        (event.remaining_s, server.seconds)
        for event in measure(run, [], tmp_path, server, now=lambda: server.seconds)
        if isinstance(event, Progress)
    ]
    late = [(left, server.seconds - at) for left, at in told if left is not None and 15 < server.seconds - at < 87]
    # a first round is guessed from the pilots; from the second on it is known
    assert len(late) > 30
    for left, truth in late:
        assert truth <= left <= 1.25 * truth


def test_what_fails_once_is_tried_again_and_what_fails_twice_alike_is_not(tmp_path: Path) -> None:
    def answer(job: Job) -> list[Observation | str] | None:
        if job.kind is JobKind.TRIAL and ("dead" in job.case.id or ("shaky" in job.case.id and job.round == 2)):
            return [job.ended(Outcome.FAILED, "the worker died of SIGSEGV")]
        return None

    observed = observe(run_of(case("dead"), case("shaky"), case("well")), ScriptedServer(answer), tmp_path)
    trials = Counter((one.case_id, one.outcome) for one in observed if isinstance(one, Trial))
    assert trials["imdb/dead/inference", Outcome.FAILED] == 2
    assert trials["imdb/shaky/inference", Outcome.FAILED] == 1
    assert trials["imdb/shaky/inference", Outcome.OK] == 3
    verdicts = {
        result.case.id: result.verdict
        for result in gather(run_of(case("dead"), case("shaky"), case("well")).plan, observed)
    }
    assert verdicts["imdb/dead/inference"] == (Outcome.FAILED, "the worker died of SIGSEGV")
    assert verdicts["imdb/shaky/inference"] == (Outcome.OK, "")


def test_a_model_that_cannot_be_checked_is_neither_timed_nor_trained(tmp_path: Path) -> None:
    def answer(job: Job) -> list[Observation | str] | None:
        return [job.ended(Outcome.TIMED_OUT, "no answer within 5 s")] if job.kind is JobKind.PREFLIGHT else None

    run = run_of(case("stuck"), case("stuck", workload="fit", fit=FIT))
    server = ScriptedServer(answer)
    observed = observe(run, server, tmp_path)
    assert [job.kind for job in server.jobs] == [JobKind.PREFLIGHT] * 2
    for result in gather(run.plan, observed):
        assert result.verdict == (Outcome.TIMED_OUT, "no answer within 5 s")
    assert isinstance(observed[-1], End)


def test_a_case_whose_pilots_fail_gets_no_trial_and_no_memory_pass(tmp_path: Path) -> None:
    def answer(job: Job) -> list[Observation | str] | None:
        return [job.ended(Outcome.OUT_OF_MEMORY, "too large")] if job.kind is JobKind.PILOT else None

    server = ScriptedServer(answer)
    observed = observe(run_of(case()), server, tmp_path)
    assert [job.kind for job in server.jobs] == [JobKind.PREFLIGHT, JobKind.PILOT, JobKind.PILOT]
    assert [job.attempt for job in server.jobs] == [0, 0, 1]
    assert gather(run_of(case()).plan, observed)[0].verdict == (Outcome.OUT_OF_MEMORY, "too large")


def test_a_case_with_a_pilot_and_no_trial_is_not_measured_yet(tmp_path: Path) -> None:
    run = run_of(case())
    observed = observe(run, ScriptedServer(), tmp_path)
    first_trial = next(place for place, one in enumerate(observed) if isinstance(one, Trial))
    assert gather(run.plan, observed[:first_trial])[0].verdict == (None, "not measured yet")
    assert gather(run.plan, observed[: first_trial + 1])[0].verdict == (Outcome.OK, "")


def test_a_skipped_case_is_never_started(tmp_path: Path) -> None:
    server = ScriptedServer()
    run = run_of(case("a", skip="fp16 is not measured on cpu"), case("b"))
    observed = observe(run, server, tmp_path)
    assert {job.case.id for job in server.jobs} == {"imdb/b/inference"}
    assert gather(run.plan, observed)[0].verdict == (Outcome.SKIPPED, "fp16 is not measured on cpu")


def test_seeds_and_folds_each_get_a_fit_with_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    server = ScriptedServer()
    observe(run_of(case("a", workload="fit", fit=FIT), seeds=(0, 1), folds=3), server, tmp_path)
    fits = [job for job in server.jobs if job.kind is JobKind.FIT]
    assert [(job.seed, job.fold) for job in fits] == [(seed, fold) for seed in (0, 1) for fold in (0, 1, 2)]
    assert len({job.checkpoint for job in fits}) == 6
    assert all(job.checkpoint.startswith(str(tmp_path)) for job in fits)


@pytest.mark.parametrize("cut", range(24))
def test_an_interrupted_run_goes_on_with_exactly_what_is_missing(tmp_path: Path, cut: int) -> None:
    run = run_of(case("a"), case("b"), case("a", workload="fit", fit=FIT), seeds=(0, 1))
    whole = observe(run, ScriptedServer(), tmp_path)
    rest = observe(run, ScriptedServer(resumed), tmp_path, whole[:cut])
    assert keys(whole[:cut] + rest) == keys(whole)


def resumed(job: Job) -> list[Observation | str] | None:
    """A fit whose epoch is stored already does not tell of it again, as `bench.workloads.fit` does it."""
    if job.kind is JobKind.FIT and job.known_epochs:
        return [usual(job)[-1]]
    return None


def keys(observed: list[Observation]) -> Counter[object]:
    names = ("case_id", "variant_id", "round", "attempt", "seed", "fold", "epoch", "criterion")
    return Counter((type(one).__name__, *(getattr(one, name, None) for name in names)) for one in observed)


def test_a_complete_run_is_left_alone(tmp_path: Path) -> None:
    whole = observe(run_of(case()), ScriptedServer(), tmp_path)
    server = ScriptedServer()
    assert observe(run_of(case()), server, tmp_path, whole) == []
    assert server.jobs == []


def test_closing_the_generator_ends_the_server(tmp_path: Path) -> None:
    server = ScriptedServer()
    events = measure(run_of(case()), [], tmp_path, start_server=server)
    next(events)
    assert server.running == 1
    events.close()
    assert server.running == 0


def test_progress_never_goes_back_and_ends_at_its_total(tmp_path: Path) -> None:
    run = run_of(case("a"), case("b"), case("a", workload="fit", fit=replace(FIT, epochs=1)))
    events = [event for event in measure(run, [], tmp_path, ScriptedServer()) if isinstance(event, Progress)]
    done = [event.done for event in events]
    assert done == sorted(done)
    assert all(event.done < event.total for event in events)
    assert events[-1].done == events[-1].total - 1 or events[-1].phase == "training to accuracy"


def test_remaining_time_is_unknown_at_first_and_bounded_by_the_cap_later(tmp_path: Path) -> None:
    events = list(measure(run_of(case("a")), [], tmp_path, ScriptedServer(), now=lambda: 0.0))
    left = [event.remaining_s for event in events if isinstance(event, Progress)]
    assert left[0] is None
    # before round 1: five rounds of a trial as long as the pilot (0.5 s) and a server (2 s)
    assert left[-3:] == pytest.approx([12.5, 10.0, 7.5])
