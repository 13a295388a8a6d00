"""`bench check`, measuring: what is planned, calibrated, measured afresh and judged; with a scripted server, instantly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from scripted import ScriptedServer, trial, usual

import bench.runner
from bench import baseline, store
from bench.cli import main
from bench.cli.measuring import new_run
from bench.cli.planning import planned
from bench.errors import ExitCode
from bench.jobs import Job, JobKind
from bench.observations import Fit, Observation, Pass, Pilot, Preflight, Trial
from bench.progress import Progress
from bench.records import Outcome, PassKind
from bench.runner import confirm, count, measure
from bench.store import RunFolder

Answer = Callable[[Job], Sequence[Observation | str] | None]

SUITE = """
name = "one"
task = "tabular"
[[architecture]]
name = "mlp"
[speed]
workloads = ["inference"]
batch_sizes = [8, 16]
[accuracy]
seeds = [0, 1, 2, 3, 4]
folds = 2
epochs = 1
[measure]
min_rounds = 5
max_rounds = 5
passes = ["memory"]
"""
TWO = ["tabular/mlp/inference/B8", "tabular/mlp/inference/B16"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.toml").write_text(SUITE)
    return tmp_path


def leave(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return int(exit_info.value.code or 0)


def save(
    answer: Answer = lambda _: None,
    *,
    filter: str | None = "inference",
    seed: int = 0,
    server: ScriptedServer | None = None,
) -> RunFolder:
    """Measure the suite as `bench run` does and save it as the baseline `main`."""
    loaded, plan = planned("one.toml", filter=filter)
    folder = store.create(Path("results"), new_run(loaded, plan, seed))
    for event in measure(folder.run, [], folder.path, start_server=server or ScriptedServer(answer)):
        if not isinstance(event, Progress):
            folder.append(event)
    folder.close()
    baseline.save(Path("results"), "main", folder)
    return folder


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ScriptedServer]:
    """Let `bench check` measure with a scripted server."""

    def with_answer(answer: Answer = lambda _: None) -> ScriptedServer:
        server = ScriptedServer(answer)
        for function in (measure, confirm, count):
            monkeypatch.setattr(bench.runner, function.__name__, partial(function, start_server=server))
        return server

    return with_answer


def timed(factor: float, *, rounds: range = range(1, 1000), only: str = "") -> Answer:
    """Trials that take so many times as long."""

    def answer(job: Job) -> list[Observation | str] | None:
        wanted = job.kind is JobKind.TRIAL and job.round in rounds and only in job.case.id
        return [trial(job, 0.002 * factor)] if wanted else None

    return answer


def with_values(**values: float) -> Answer:
    """Passes and pre-flights that find these sizes."""

    def answer(job: Job) -> list[Observation | str] | None:
        if job.kind is JobKind.PASS and job.passing is not None:
            found = {name: value for name, value in values.items() if name != "parameters"}
            return [Pass(case_id=job.case.id, name=job.passing, outcome=Outcome.OK, values=found)]
        if job.kind is JobKind.PREFLIGHT and "parameters" in values:
            key = {"task_key": job.case.task_key, "variant_id": job.case.variant.variant_id}
            return [Preflight(**key, outcome=Outcome.OK, parameters=int(values["parameters"]), weights_bytes=4000)]
        return None

    return answer


def newest() -> RunFolder:
    # two runs of one second are in no order by name
    return store.open_run(max(store.run_folders(Path("results")), key=lambda path: path.stat().st_ctime_ns))


def kinds(server: ScriptedServer) -> list[JobKind]:
    return list(dict.fromkeys(job.kind for job in server.jobs))


# ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_code_is_unchanged_with_the_baselines_calibration(serve: Callable[..., ScriptedServer]) -> None:
    def calibrated(job: Job) -> list[Observation | str] | None:
        if job.kind is JobKind.PILOT:
            return [Pilot(case_id=job.case.id, outcome=Outcome.OK, iterations=33, samples=12, call_s=0.001)]
        return None

    save(calibrated)
    server = serve()
    assert leave("check", "one.toml", "--baseline", "main") == ExitCode.OK
    assert kinds(server) == [JobKind.PREFLIGHT, JobKind.PASS, JobKind.TRIAL]
    trials = [job for job in server.jobs if job.kind is JobKind.TRIAL]
    assert {(job.iterations, job.samples) for job in trials} == {(33, 12)}
    assert not any(one.confirming for one in newest().observations if isinstance(one, Trial))
    assert newest().complete


@pytest.mark.parametrize(("more", "alike"), [([], True), (["--seed", "3"], False)])
def test_both_sides_see_the_same_inputs(serve: Callable[..., ScriptedServer], more: list[str], alike: bool) -> None:
    before = ScriptedServer()
    save(seed=7, server=before)
    now = serve()
    assert leave("check", "one.toml", "--baseline", "main", *more) == ExitCode.OK
    seeds = [{job.seed for job in server.jobs if job.kind is JobKind.TRIAL} for server in (before, now)]
    assert (seeds[0] == seeds[1]) is alike


def test_what_is_slower_is_measured_afresh_from_fresh_servers_and_then_red(
    serve: Callable[..., ScriptedServer], capsys: pytest.CaptureFixture[str]
) -> None:
    save()
    server = serve(timed(1.3, only="B16"))
    assert leave("check", "one.toml", "--baseline", "main") == ExitCode.REGRESSED
    slow, calm = (result for result in newest().results() if result.case.fit is None)
    slow, calm = (slow, calm) if "B16" in slow.case.id else (calm, slow)
    assert [one.confirming for one in slow.trials] == [False] * 5 + [True] * 5
    assert [one.round for one in slow.trials] == list(range(1, 11))
    assert [one.confirming for one in calm.trials] == [False] * 5
    # one to get ready, one for each of ten rounds
    assert server.started == 11
    told = capsys.readouterr().out
    assert "found again" in told
    assert f"--filter {slow.case.id}" in told


def test_what_is_not_found_again_is_inconclusive(serve: Callable[..., ScriptedServer]) -> None:
    save()
    serve(timed(1.3, rounds=range(1, 6)))
    assert leave("check", "one.toml", "--baseline", "main") == ExitCode.OK
    serve(timed(1.3, rounds=range(1, 6)))
    assert leave("check", "one.toml", "--baseline", "main", "--strict") == ExitCode.INCONCLUSIVE


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (timed(1.0), timed(0.5), ExitCode.OK),
        (with_values(peak_rss_bytes=1e8), with_values(peak_rss_bytes=0.9e8), ExitCode.OK),
        (with_values(parameters=1000), with_values(parameters=999), ExitCode.OK),
        (with_values(peak_rss_bytes=1e8), with_values(peak_rss_bytes=1.05e8), ExitCode.REGRESSED),
        (with_values(peak_rss_bytes=1e8), with_values(peak_rss_bytes=1.02e8), ExitCode.OK),
        (with_values(operator_count=40), with_values(operator_count=41), ExitCode.REGRESSED),
        (with_values(parameters=1000), with_values(parameters=1001), ExitCode.REGRESSED),
    ],
)
def test_faster_and_smaller_never_fail_and_a_little_larger_does(
    serve: Callable[..., ScriptedServer], before: Answer, now: Answer, expected: ExitCode
) -> None:
    save(before)
    serve(now)
    assert leave("check", "one.toml", "--baseline", "main") == expected


def test_a_case_that_fails_now_is_no_green(
    serve: Callable[..., ScriptedServer], capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(job: Job) -> list[Observation | str] | None:
        broken = job.kind is JobKind.TRIAL and "B16" in job.case.id
        return [job.ended(Outcome.FAILED, "no such operator")] if broken else None

    save()
    serve(failing)
    assert leave("check", "one.toml", "--baseline", "main") == ExitCode.INCOMPLETE
    assert "no such operator" in capsys.readouterr().out


# ── accuracy ───────────────────────────────────────────────────────────────────────────────────────────────────────


def scoring(by: float) -> Answer:
    def answer(job: Job) -> list[Observation | str] | None:
        if job.kind is not JobKind.FIT:
            return None
        score = 0.8 + by + 0.001 * (job.seed % 3)
        return [Fit(case_id=job.case.id, seed=job.seed, fold=job.fold, outcome=Outcome.OK, metrics={"accuracy": score})]

    return answer


@pytest.mark.parametrize(("by", "expected"), [(-0.05, ExitCode.REGRESSED), (0.0, ExitCode.OK), (0.05, ExitCode.OK)])
def test_fits_take_as_many_seeds_that_the_baseline_did_not(
    serve: Callable[..., ScriptedServer], by: float, expected: ExitCode
) -> None:
    save(scoring(0.0), filter=None)
    server = serve(scoring(by))
    assert leave("check", "one.toml", "--baseline", "main") == expected
    fits = [job for job in server.jobs if job.kind is JobKind.FIT]
    assert {job.seed for job in fits} == {5, 6, 7, 8, 9}
    assert {job.fold for job in fits} == {0, 1}


def test_fits_are_left_out_where_the_baseline_has_none_and_that_is_said(
    serve: Callable[..., ScriptedServer], capsys: pytest.CaptureFixture[str]
) -> None:
    save()
    server = serve()
    assert leave("check", "one.toml", "--baseline", "main") == ExitCode.OK
    assert JobKind.FIT not in kinds(server)
    assert "training to accuracy is not judged" in capsys.readouterr().out
    assert leave("check", "one.toml", "--baseline", "main", "--filter", "fit") == ExitCode.NOT_COMPARABLE


# ── what has no noise ──────────────────────────────────────────────────────────────────────────────────────────────


def to_another_machine() -> None:
    """Pretend that the baseline was saved on a machine with other cores and another torch."""
    (path,) = baseline.paths(Path("results"))
    document = json.loads((path / "run.json").read_text())
    document["machine"]["hard"] |= {"torch": "1.0", "memory_gib": 7}
    (path / "run.json").write_text(json.dumps(document))
    elsewhere = path.parent.with_name("another")
    path.parent.rename(elsewhere)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (with_values(parameters=1000), ExitCode.OK),
        (with_values(parameters=1001), ExitCode.REGRESSED),
        (with_values(flops_per_item=101), ExitCode.REGRESSED),
        (with_values(flops_per_item=99, operator_count=99), ExitCode.OK),
    ],
)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_exact_counts_in_seconds_against_the_baseline_of_any_machine(
    serve: Callable[..., ScriptedServer], now: Answer, expected: ExitCode, elsewhere: bool
) -> None:
    save(with_values(flops_per_item=100, parameters=1000, operator_count=1), filter=None)
    if elsewhere:
        to_another_machine()
    server = serve(now)
    assert leave("check", "one.toml", "--baseline", "main", "--exact") == expected
    assert kinds(server) == [JobKind.PREFLIGHT, JobKind.PASS]
    assert {job.passing for job in server.jobs if job.passing} == {PassKind.MEMORY, PassKind.COST}
    assert server.started == 1
    assert newest().complete
    if elsewhere:
        assert leave("check", "one.toml", "--baseline", "main") == ExitCode.NOT_COMPARABLE


def test_a_suite_that_sets_no_threads_makes_the_same_cases_on_a_machine_of_other_cores(
    serve: Callable[..., ScriptedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("bench.probes.machine.cores", lambda: 48)
        save()
    server = serve()
    assert leave("check", "one.toml", "--baseline", "main", "--exact") == ExitCode.OK
    assert {job.case.threads for job in server.jobs} == {48}


def test_a_model_that_can_no_longer_be_checked_is_no_green_either(serve: Callable[..., ScriptedServer]) -> None:
    save()
    serve(lambda job: [job.ended(Outcome.FAILED, "broken")] if job.kind is JobKind.PREFLIGHT else None)
    assert leave("check", "one.toml", "--baseline", "main", "--exact") == ExitCode.INCOMPLETE


# ── the command ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_baseline_nothing_is_measured(
    serve: Callable[..., ScriptedServer], capsys: pytest.CaptureFixture[str]
) -> None:
    save()
    server = serve()
    assert leave("check", "one.toml", "--baseline", "mian") == ExitCode.NOT_COMPARABLE
    assert "did you mean 'main'?" in capsys.readouterr().err
    assert not server.jobs
    assert len(store.run_folders(Path("results"))) == 1


def test_a_filter_leaves_out_the_same_cases_of_the_baseline(serve: Callable[..., ScriptedServer]) -> None:
    whole = save()
    server = serve()
    (name,) = (case.id for case in whole.run.plan.cases if "B16" in case.id)
    assert leave("check", "one.toml", "--baseline", "main", "--filter", name) == ExitCode.OK
    assert {job.case.id for job in server.jobs if job.kind is JobKind.TRIAL} == {name}


def test_a_case_that_the_suite_no_longer_has_is_missing(
    serve: Callable[..., ScriptedServer], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save()
    (place / "one.toml").write_text(SUITE.replace("[8, 16]", "[8]"))
    serve()
    assert leave("check", "one.toml", "--baseline", "main") == ExitCode.INCOMPLETE
    assert "stands in the baseline" in capsys.readouterr().out
    gate = '[[gate.case]]\nmatch = "*B16*"\nallow_missing = true\n'
    (place / "one.toml").write_text(SUITE.replace("[8, 16]", "[8]") + gate)
    assert leave("check", "one.toml", "--baseline", "main") == ExitCode.OK


def test_the_thresholds_are_those_of_the_suite_as_it_is_now(serve: Callable[..., ScriptedServer], place: Path) -> None:
    save(with_values(peak_rss_bytes=1e8))
    serve(with_values(peak_rss_bytes=1.05e8))
    (place / "one.toml").write_text(f"{SUITE}[gate]\nthresholds = {{ peak_rss_bytes = 0.1 }}\n")
    assert leave("check", "one.toml", "--baseline", "main") == ExitCode.OK


def test_programs_read_the_judgement_alone(
    serve: Callable[..., ScriptedServer], capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    save()
    serve()
    capsys.readouterr()
    more = ["--format", "json", "--junit", "deep/gate.xml"]
    assert leave("check", "one.toml", "--baseline", "main", *more) == ExitCode.OK
    out, err = capsys.readouterr()
    assert json.loads(out)
    assert "round 1" in err
    assert (place / "deep" / "gate.xml").read_text().startswith("<?xml")


@pytest.mark.parametrize("when", [JobKind.PASS, JobKind.TRIAL])
def test_ctrl_c_keeps_what_is_finished_and_tells_how_to_go_on(
    serve: Callable[..., ScriptedServer], capsys: pytest.CaptureFixture[str], when: JobKind
) -> None:
    def interrupted(job: Job) -> Iterator[Observation | str]:
        if job.kind is when and "B16" in job.case.id:
            raise KeyboardInterrupt
        yield from usual(job)

    save()
    serve(interrupted)
    assert leave("check", "one.toml", "--baseline", "main") == ExitCode.INTERRUPTED
    folder = newest()
    assert not folder.complete
    again = f"bench run --resume {folder.run.run_id} && bench check --baseline main --run {folder.run.run_id}"
    assert again in capsys.readouterr().err
    serve()
    assert leave("run", "--resume", folder.run.run_id) == ExitCode.OK
    assert leave("check", "--baseline", "main", "--run", folder.run.run_id) == ExitCode.OK


@pytest.mark.parametrize(
    "more", [["one.toml"], ["--budget", "2m"], ["--seed", "1"], ["--device", "cpu"], ["--set", "a=1"]]
)
def test_a_stored_run_is_judged_as_it_was_measured(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("check", "--baseline", "main", "--run", "latest", *more) == ExitCode.USAGE
    assert "judged as it was measured" in capsys.readouterr().err
