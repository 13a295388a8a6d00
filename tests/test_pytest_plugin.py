"""Suites as pytest items and `bench_case`, in real sessions: with a scripted server where times must be known, else workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

import pytest
from scripted import ScriptedServer, trial

from bench import baseline, store
from bench.cli import main
from bench.cli.planning import planned
from bench.jobs import Job, JobKind
from bench.observations import Observation, Trial
from bench.probes import machine
from bench.pytest_plugin import items, measuring, timing  # noqa: F401 - see `loaded`
from bench.records import Outcome
from bench.runner import confirm, measure
from bench.store import RunFolder

pytest_plugins = ["pytester"]
Answer = Callable[[Job], Sequence[Observation | str] | None]

IS_INSTALLED = any(entry.value == "bench.pytest_plugin" for entry in entry_points(group="pytest11"))
PLUGIN = [] if IS_INSTALLED else ["-p", "bench.pytest_plugin"]
SUITE = """
name = "one"
task = "tabular"
[[architecture]]
name = "mlp"
hidden_dim = 8
[speed]
workloads = ["inference", "training"]
batch_sizes = [8, 16]
threads = [1]
[accuracy]
epochs = 1
folds = 2
[measure]
min_rounds = 5
max_rounds = 5
passes = ["memory"]
"""
FOUR = [f"tabular/mlp/{workload}/B{size}-fp32-cpu-t1" for workload in ("inference", "training") for size in (8, 16)]
SMALL, LARGE = FOUR[:2]


@pytest.fixture(scope="module", autouse=True)
def loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import all that sessions need: what is imported in one pytester forgets, and torch takes seconds each time."""
    path = tmp_path_factory.mktemp("loaded") / "one.toml"
    path.write_text(SUITE)
    _, plan = planned(str(path))
    machine.snapshot(plan.cases[0].device)


@pytest.fixture(autouse=True)
def place(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pytester's own folder, with a suite and without what an outer session says."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "250")  # else the summary is cut
    (pytester.path / "one.toml").write_text(SUITE)
    return pytester.path


@pytest.fixture
def session(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Run pytest here, where every warning is an error."""
    known = ["-W", "error", "-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    return partial(pytester.runpytest_inprocess, *PLUGIN, *known, "-p", "no:cacheprovider", "-p", "no:hypothesispytest")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ScriptedServer]:
    """Let sessions measure with a scripted server."""

    def with_answer(answer: Answer = lambda _: None) -> ScriptedServer:
        server = ScriptedServer(answer)
        for function in (measure, confirm):
            monkeypatch.setattr(measuring, function.__name__, partial(function, start_server=server))
        return server

    return with_answer


def timed(factor: float, *, only: str = "", rounds: range = range(1, 1000), spread: float = 0.0) -> Answer:
    """Trials that take so many times as long, those of odd rounds a little longer still."""

    def answer(job: Job) -> list[Observation | str] | None:
        if job.kind is not JobKind.TRIAL or only not in job.case.id:
            return None
        return [trial(job, 0.002 * (factor if job.round in rounds else 1.0) * (1 + spread * (job.round % 2)))]

    return answer


def ending(outcome: Outcome, reason: str, *, only: str) -> Answer:
    """Trials of some cases that end like this."""

    def answer(job: Job) -> list[Observation | str] | None:
        return [job.ended(outcome, reason)] if job.kind is JobKind.TRIAL and only in job.case.id else None

    return answer


def newest() -> RunFolder:
    # by their time on disk: the names of two runs within a second say nothing of it
    return store.open_run(max(store.run_folders(Path("results")), key=lambda path: path.stat().st_mtime_ns))


def cases_of(path: Path) -> dict[str, ElementTree.Element]:
    """The tests in a JUnit file by name."""
    return {case.attrib["name"]: case for case in ElementTree.parse(path).iter("testcase")}


def benchmarks(path: Path) -> dict[str, dict[str, object]]:
    """What pytest-benchmark wrote, by name."""
    return {entry["name"]: entry for entry in json.loads(path.read_text())["benchmarks"]}


# ── what is collected ──────────────────────────────────────────────────────────────────────────────────────────────


def collected(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def test_a_suite_is_an_item_for_each_timed_case(session: Callable[..., pytest.RunResult]) -> None:
    found = session("one.toml", "--collect-only", "-q")
    assert collected(found) == [f"one.toml::{name}" for name in FOUR]
    assert found.ret == 0


def test_only_a_suite_that_was_asked_for_is_collected(session: Callable[..., pytest.RunResult], place: Path) -> None:
    (place / "other.toml").write_text("this is no suite, and not even TOML")
    (place / "test_x.py").write_text("def test_x(): pass")
    assert collected(session("--collect-only", "-q")) == ["test_x.py::test_x"]
    assert len(collected(session("--collect-only", "-q", "--bench", "./one.toml"))) == 5
    assert len(collected(session(".", "one.toml", "--collect-only", "-q"))) == 5
    (place / "pytest.ini").write_text("[pytest]\nbench_suites = one.toml\n")
    assert len(collected(session("--collect-only", "-q"))) == 5
    assert collected(session("test_x.py", "--collect-only", "-q")) == ["test_x.py::test_x"]


def test_a_suite_is_found_by_its_name(session: Callable[..., pytest.RunResult]) -> None:
    names = collected(session("--collect-only", "-q", "--bench", "ci"))
    assert len(names) == 10
    assert all("::imdb/" in name for name in names)
    wrong = session("--bench", "cii")
    wrong.stderr.fnmatch_lines(["ERROR: --bench: suite 'cii' is unknown; did you mean 'ci'?*"])


def test_all_that_is_wrong_with_a_suite_is_told_without_a_traceback(
    session: Callable[..., pytest.RunResult], place: Path
) -> None:
    (place / "one.toml").write_text(SUITE.replace('"mlp"', '"mlpp"') + "tril = 3\n")
    found = session("one.toml")
    found.stdout.fnmatch_lines(["one.toml: 'measure.tril' is unknown; did you mean 'trial'?", "*'mlpp' is unknown*"])
    found.stdout.no_fnmatch_line("*Traceback*")
    assert found.ret == pytest.ExitCode.INTERRUPTED


@pytest.mark.slow
def test_it_costs_nothing_where_it_is_not_used(place: Path) -> None:
    (place / "test_x.py").write_text("import sys\ndef test_x(): print(*sorted(sys.modules), sep='\\n')")
    (place / "other.toml").write_text("")
    made = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, "-s", "-q"], capture_output=True, text=True, check=True
    )
    loaded = set(made.stdout.split())
    assert {"bench", "bench.pytest_plugin"} <= loaded
    assert not {name for name in loaded if name.startswith("bench.")} - {"bench.pytest_plugin"}
    assert not loaded & {"torch", "pandas", "pydantic", "numpy", "typer", "rich.console"}


# ── what is measured ───────────────────────────────────────────────────────────────────────────────────────────────


def test_all_cases_are_measured_in_rounds_before_the_first_is_told(
    session: Callable[..., pytest.RunResult], serve: Callable[..., ScriptedServer]
) -> None:
    server = serve()
    found = session("one.toml", "--benchmark-only")
    found.assert_outcomes(passed=4)
    rounds = [job.round for job in server.jobs if job.kind is JobKind.TRIAL]
    assert rounds == sorted(rounds)
    assert len(rounds) == 4 * 5
    assert server.started == 1 + 5
    run = newest()
    assert run.complete
    assert [case.id for case in run.run.plan.cases] == FOUR
    assert run.run.command == "bench run one.toml --results results"
    found.stdout.fnmatch_lines([f"bench: kept in results/{run.run.run_id}"])


def test_what_is_not_selected_is_not_measured(
    session: Callable[..., pytest.RunResult], serve: Callable[..., ScriptedServer]
) -> None:
    server = serve()
    session("one.toml", "-k", "training and B8").assert_outcomes(passed=1, deselected=3)
    assert {job.case.id for job in server.jobs} == {FOUR[2]}
    session(f"one.toml::{SMALL}").assert_outcomes(passed=1)
    assert [case.id for case in newest().run.plan.cases] == [SMALL]
    server.jobs.clear()
    session("one.toml", "--collect-only")
    assert server.jobs == []


def test_every_sample_reaches_the_files_of_pytest_benchmark(
    session: Callable[..., pytest.RunResult], serve: Callable[..., ScriptedServer], place: Path
) -> None:
    serve(timed(2.0, only="B16"))
    session("one.toml", "--benchmark-only", "--benchmark-json=out.json").assert_outcomes(passed=4)
    found = benchmarks(place / "out.json")
    assert list(found) == FOUR
    for name, entry in found.items():
        stats, seconds = entry["stats"], 0.004 if "B16" in name else 0.002
        samples = [seconds * (1 + 0.001 * place) for place in range(10)] * 5
        assert stats["data"] == pytest.approx(samples, rel=1e-12)
        assert (stats["rounds"], stats["iterations"]) == (50, 4)
        assert stats["min"] == pytest.approx(seconds, rel=1e-12)
        assert entry["fullname"] == f"one.toml::{name}"
        assert entry["options"]["timer"] == "bench"
        size = "16" if "B16" in name else "8"
        assert entry["group"] == f"tabular, {name.split('/')[2]}, batch {size}, fp32"
        info = entry["extra_info"]
        assert info["case"] == name
        assert info["run"] == newest().run.run_id
        assert info["latency_s"] == pytest.approx(seconds * 1.0045, rel=1e-6)
        assert (info["trials"], info["interval"], info["flags"]) == (5, "t95_trials", [])
        assert info["latency_low_s"] <= info["latency_s"] <= info["latency_high_s"]


def test_saved_files_are_compared_by_pytest_benchmark_itself(
    session: Callable[..., pytest.RunResult], serve: Callable[..., ScriptedServer], place: Path
) -> None:
    serve()
    session("one.toml", "--benchmark-autosave", "--benchmark-json=out.json").assert_outcomes(passed=4)
    (saved,) = place.glob(".benchmarks/*/0001_*.json")
    assert list(benchmarks(saved)) == FOUR
    serve(timed(3.0))
    again = session("one.toml", "--benchmark-compare", "--benchmark-columns=min", "--benchmark-group-by=fullname")
    again.assert_outcomes(passed=4)
    again.stdout.fnmatch_lines([f"{SMALL} (0001_*2.0000 (1.0)*", f"{SMALL} (NOW)*6.0000 (3.00)*"])
    told = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", "out.json"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert all(name in told.stdout for name in FOUR)


def test_what_ended_otherwise_is_told_as_it_ended(
    session: Callable[..., pytest.RunResult], serve: Callable[..., ScriptedServer], place: Path
) -> None:
    failing = ending(Outcome.FAILED, "RuntimeError: no such operator", only=f"{SMALL}")
    too_large = ending(Outcome.OUT_OF_MEMORY, "asked for 12.5 GiB", only=LARGE)
    serve(lambda job: failing(job) or too_large(job))
    found = session("one.toml", "-rsf", "--benchmark-json=out.json", "--junit-xml=j.xml")
    found.assert_outcomes(passed=2, failed=1, skipped=1)
    found.stdout.fnmatch_lines(
        [f"FAILED one.toml::{SMALL} - Failed: failed: RuntimeError: no such operator*"], consecutive=True
    )
    found.stdout.no_fnmatch_line("*Traceback*")
    assert "out of memory: asked for 12.5 GiB" in found.stdout.str()
    assert list(benchmarks(place / "out.json")) == FOUR[2:]
    assert cases_of(place / "j.xml")[SMALL].find("failure") is not None


def test_it_works_without_pytest_benchmark(
    session: Callable[..., pytest.RunResult], serve: Callable[..., ScriptedServer], place: Path
) -> None:
    serve()
    (place / "test_x.py").write_text(
        "def test_x(bench_case):\n    assert bench_case('mlp', task='tabular', batch_size=8).latency_s > 0"
    )
    session("one.toml", "test_x.py", "-p", "no:benchmark").assert_outcomes(passed=5)


@pytest.mark.parametrize("how", ["--benchmark-disable", "xdist"])
def test_where_benchmarks_are_off_nothing_is_measured_and_no_gate_is_green(
    how: str,
    session: Callable[..., pytest.RunResult],
    serve: Callable[..., ScriptedServer],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serve()
    session("one.toml").assert_outcomes(passed=4)
    baseline.save(Path("results"), "main", newest())
    if how == "xdist":
        monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")  # gw0 is warned by pytest-benchmark as well
    options = [how] if how.startswith("-") else []
    (place / "test_x.py").write_text("def test_x(bench_case): raise AssertionError('never')")
    server = serve()
    session("one.toml", "test_x.py", *options).assert_outcomes(skipped=5)
    session("one.toml", "--bench-baseline", "main", *options).assert_outcomes(errors=4)
    assert server.jobs == []


# ── what is judged ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def save(session: Callable[..., pytest.RunResult], serve: Callable[..., ScriptedServer]) -> Callable[..., None]:
    """Measure the suite and keep it as the baseline `main`."""

    def with_answer(answer: Answer = lambda _: None) -> None:
        serve(answer)
        session("one.toml").assert_outcomes(passed=4)
        baseline.save(Path("results"), "main", newest())

    return with_answer


OUTCOMES = {
    "regressed": "failure",
    "missing": "failure",
    "not comparable": "failure",
    "inconclusive": "skipped",
    "improved": "passed",
    "unchanged": "passed",
}
ARMS: dict[str, tuple[Answer, Answer]] = {
    "the same": (timed(1.0), timed(1.0)),
    "slower": (timed(1.0), timed(1.3, only=f"{SMALL}")),
    "faster": (timed(1.0), timed(0.7)),
    "slower by luck": (timed(1.0), timed(1.3, rounds=range(1, 6))),
    "too noisy to tell": (timed(1.0, spread=0.1), timed(1.14, spread=0.1)),
    "failed": (timed(1.0), ending(Outcome.FAILED, "no such operator", only="training")),
    "no longer fits": (timed(1.0), ending(Outcome.OUT_OF_MEMORY, "asked for 1 GiB", only="B16")),
    "fits now": (ending(Outcome.OUT_OF_MEMORY, "asked for 1 GiB", only="B16"), timed(1.0)),
    "fits neither": tuple([ending(Outcome.OUT_OF_MEMORY, "asked for 1 GiB", only="B16")] * 2),
}


@pytest.mark.parametrize(("before", "now"), ARMS.values(), ids=ARMS)
def test_every_verdict_is_that_of_bench_check(
    before: Answer,
    now: Answer,
    session: Callable[..., pytest.RunResult],
    serve: Callable[..., ScriptedServer],
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    serve(before)
    session("one.toml")
    baseline.save(Path("results"), "main", newest())
    serve(now)
    session("one.toml", "--bench-baseline", "main", "--junit-xml=j.xml")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["check", "--baseline", "main", "--run", newest().run.run_id, "--format", "json"])
    told = json.loads(capsys.readouterr().out)["comparisons"]
    found = cases_of(place / "j.xml")
    assert set(found) == {one["case_id"] for one in told} == set(FOUR)
    order = list(OUTCOMES)
    for name, case in found.items():
        verdict = min((one["verdict"] for one in told if one["case_id"] == name), key=order.index)
        outcome = next((kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None), "passed")
        # what ended alike without a sample is unchanged, and nothing was timed
        untimed = all(one["metric"] == "" for one in told if one["case_id"] == name) and verdict == "unchanged"
        assert outcome == ("skipped" if untimed else OUTCOMES[verdict]), (name, verdict)


def test_a_regression_is_one_failure_with_its_sentence(
    session: Callable[..., pytest.RunResult],
    serve: Callable[..., ScriptedServer],
    save: Callable[..., None],
    place: Path,
) -> None:
    save()
    server = serve(timed(1.3, only=SMALL))
    found = session("one.toml", "--bench-baseline", "main", "--junit-xml=j.xml", "--benchmark-json=out.json")
    found.assert_outcomes(passed=3, failed=1)
    assert found.ret == pytest.ExitCode.TESTS_FAILED
    suite = ElementTree.parse(place / "j.xml").find("testsuite")
    assert suite is not None
    assert [suite.attrib[key] for key in ("tests", "failures", "errors", "skipped")] == ["4", "1", "0", "0"]
    failure = cases_of(place / "j.xml")[SMALL].find("failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("Failed: regressed: latency +30.0 % (")
    assert f"bench check one.toml --baseline main --results results --filter {SMALL}" in (failure.text or "")
    assert list(benchmarks(place / "out.json")) == FOUR  # it was measured all the same
    found.stdout.fnmatch_lines(["bench: 1 regressed, * unchanged"])
    # what was flagged was measured afresh, calibrated as the baseline was
    again = [one for one in newest().observations if isinstance(one, Trial) and one.confirming]
    assert [one.case_id for one in again] == [SMALL] * 5
    assert JobKind.PILOT not in {job.kind for job in server.jobs}


def test_inconclusive_is_skipped_and_says_what_would_have_been_seen(
    session: Callable[..., pytest.RunResult], serve: Callable[..., ScriptedServer], save: Callable[..., None]
) -> None:
    save(timed(1.0, spread=0.1))
    serve(timed(1.14, spread=0.1))
    found = session("one.toml", "-rs", "--bench-baseline", "main")
    found.assert_outcomes(skipped=4)
    found.stdout.fnmatch_lines(["SKIPPED*inconclusive: latency *would have seen >= *"])


def test_a_case_that_is_gone_or_new_fails_unless_it_is_allowed(
    session: Callable[..., pytest.RunResult],
    serve: Callable[..., ScriptedServer],
    save: Callable[..., None],
    place: Path,
) -> None:
    save()
    serve()
    (place / "one.toml").write_text(SUITE.replace("[8, 16]", "[16, 32]"))
    found = session("one.toml", "--bench-baseline", "main", "-k", "inference")
    found.assert_outcomes(passed=1, failed=2, deselected=3)
    found.stdout.fnmatch_lines(
        [
            f"FAILED one.toml::{SMALL.replace('B8', 'B32')} - Failed: missing: measured now, but *",
            f"FAILED one.toml::{SMALL} - Failed: missing: not measured now, but *",
        ]
    )
    session("one.toml", "--bench-baseline", "main", "-k", "B8", "--benchmark-only").assert_outcomes(
        failed=2, deselected=4
    )
    allowed = '[[gate.case]]\nmatch = "*"\nallow_missing = true\n'
    (place / "one.toml").write_text(SUITE.replace("[8, 16]", "[16, 32]") + allowed)
    found = session("one.toml", "--bench-baseline", "main", "-k", "inference")
    found.assert_outcomes(passed=1, skipped=2, deselected=3)


def test_without_a_baseline_nothing_is_measured(
    session: Callable[..., pytest.RunResult], serve: Callable[..., ScriptedServer]
) -> None:
    server = serve()
    found = session("one.toml", "--bench-baseline", "main")
    found.stdout.fnmatch_lines(["no baseline 'main' for this machine; *`bench baseline save main`*"])
    assert found.ret == pytest.ExitCode.INTERRUPTED
    assert server.jobs == []


# ── the fixture ────────────────────────────────────────────────────────────────────────────────────────────────────

CASE = "bench_case('mlp', task='tabular', batch_size=8, hidden_dim=4)"


def test_a_model_is_timed_in_three_lines(
    session: Callable[..., pytest.RunResult], serve: Callable[..., ScriptedServer], place: Path
) -> None:
    server = serve()
    (place / "test_x.py").write_text(
        f"""
import pytest

@pytest.mark.benchmark(group="mine")
def test_x(bench_case):
    result = {CASE}
    assert result.case == "tabular/mlp/inference/B8-fp32-cpu-t1"
    assert result.latency_s == pytest.approx(0.002009)
    assert result.low_s <= result.latency_s <= result.high_s
    assert len(result.samples_s) == 50
    assert result.flags == ()
    assert result.estimates["parameters"].value == 1000
    assert bench_case("mlp", task={{"name": "tabular"}}, workload="training", batch_size=4).latency_s > 0
"""
    )
    session("--benchmark-only", "--benchmark-json=out.json").assert_outcomes(passed=1)
    (entry,) = benchmarks(place / "out.json").values()
    assert (entry["group"], entry["stats"]["rounds"]) == ("mine", 50)
    assert entry["extra_info"]["case"] == "tabular/mlp/inference/B8-fp32-cpu-t1"
    hyperparameters = {job.case.variant.hyperparameters["hidden_dim"] for job in server.jobs}
    assert 4 in hyperparameters


def test_what_cannot_be_is_told_as_in_a_suite(
    session: Callable[..., pytest.RunResult], serve: Callable[..., ScriptedServer], place: Path
) -> None:
    serve(ending(Outcome.FAILED, "no such operator", only="B16"))
    (place / "test_x.py").write_text(
        """
import pytest
from bench.errors import SuiteError

def test_wrong(bench_case):
    with pytest.raises(SuiteError, match="'hidden_dims' is unknown; did you mean 'hidden_dim'"):
        bench_case("mlp", task="tabular", hidden_dims=4)

def test_skipped(bench_case):
    bench_case("mlp", task="tabular", precision="fp16")

def test_failed(bench_case):
    bench_case("mlp", task="tabular", batch_size=16)
"""
    )
    # that pytest-benchmark's fixture was not used is nothing to warn of where nothing was timed
    found = session("-rsf", "-W", "ignore:Benchmark fixture was not used")
    found.assert_outcomes(passed=1, skipped=1, failed=1)
    found.stdout.fnmatch_lines(["*fp16 is not measured on cpu*", "FAILED *failed: no such operator"])


# ── with workers ───────────────────────────────────────────────────────────────────────────────────────────────────

TINY = (
    SUITE.replace("= 5", "= 3").replace('["inference", "training"]', '["inference"]')
    + 'trial = "50ms"\nwarmup = 0.05\n'
)
MODEL = """
from torch import nn

class MyNet(nn.Module):
    def __init__(self, input_dim, num_classes, hidden_dim=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(input_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, num_classes))

    def forward(self, x):
        return self.layers(x)
"""


@pytest.mark.long
def test_with_workers_a_model_that_does_more_work_fails_its_test(place: Path) -> None:
    """A baseline, then a model that computes everything ten times."""
    (place / "models.py").write_text(MODEL)
    (place / "one.toml").write_text(TINY.replace('"mlp"', '"models.py:MyNet"'))
    case = "bench_case('models.py:MyNet', task='tabular', batch_size=8, measure={'max_rounds': 5})"
    (place / "test_x.py").write_text(
        f"def test_x(bench_case):\n    result = {case}\n"
        "    assert result.latency_s > 0 and result.estimates['parameters'].value > 0 and len(result.samples_s) >= 30"
    )

    def session(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", *PLUGIN, "-p", "no:cacheprovider", "-W", "error", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))

    first = session("one.toml", "test_x.py", "--benchmark-json=out.json")
    assert first.returncode == 0, first.stdout
    assert "\nround 1, " in first.stdout  # told as it goes on
    assert len(benchmarks(place / "out.json")) == 3
    baseline.save(Path("results"), "main", store.open_run(store.find(Path("results"), "latest", suite="one")))
    slower = MODEL.replace("return self.layers(x)", "return sum(self.layers(x) for _ in range(10)) / 10")
    (place / "models.py").write_text(slower)
    second = session("one.toml", "--bench-baseline", "main", "--junit-xml=j.xml")
    assert second.returncode == pytest.ExitCode.TESTS_FAILED, second.stdout
    failures = [case.find("failure") for case in cases_of(place / "j.xml").values()]
    assert len(failures) == 2
    assert all(failure is not None and "regressed: latency +" in failure.attrib["message"] for failure in failures)
