from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import bench.runner
from bench import errors, store
from bench.cli import main
from bench.cli.outcomes import SEVERITY, worst
from bench.cli.run import with_resume_value
from bench.errors import BenchError, ExitCode, SuiteError
from bench.observations import End, Fit, Observation, Trial
from bench.records import Outcome, Run

SUITE = """
name = "one"
task = "tabular"
[[architecture]]
name = "mlp"
[speed]
workloads = ["inference"]
batch_sizes = [8]
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with one suite in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.toml").write_text(SUITE)
    return tmp_path


def leave(*arguments: str) -> int:
    """Run the command line in this process; what it exits with."""
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return int(exit_info.value.code or 0)


def scripted(outcome: Outcome | None, *, interrupt: bool = False) -> Callable[..., Iterator[Observation]]:
    """A runner that ends every case with an outcome (or never begins it), and may be interrupted after the first."""

    def measure(run: Run, observed: Sequence[Observation], folder: Path) -> Iterator[Observation]:
        seen = {getattr(one, "case_id", "") for one in observed}
        for case in run.plan.cases:
            if outcome is not None and case.id not in seen:
                yield _ended(case.id, outcome)
            if interrupt:
                raise KeyboardInterrupt
        yield End(finished="", wall_s=1.0)

    return measure


def _ended(case_id: str, outcome: Outcome) -> Observation:
    if case_id.endswith("/fit"):
        return Fit(case_id=case_id, seed=0, fold=0, outcome=outcome, metrics={"accuracy": 0.9}, correct=9, total=10)
    samples = (0.01,) * 10 if outcome is Outcome.OK else ()
    return Trial(case_id=case_id, round=1, outcome=outcome, reason="made up", samples_s=samples, items=8)


@pytest.mark.parametrize(
    ("outcome", "interrupt", "expected"),
    [
        (Outcome.OK, False, ExitCode.OK),
        (Outcome.OUT_OF_MEMORY, False, ExitCode.OK),
        (Outcome.DIVERGED, False, ExitCode.OK),
        (Outcome.FAILED, False, ExitCode.INCOMPLETE),
        (Outcome.TIMED_OUT, False, ExitCode.INCOMPLETE),
        (None, False, ExitCode.INCOMPLETE),
        (Outcome.OK, True, ExitCode.INTERRUPTED),
        (Outcome.FAILED, True, ExitCode.INTERRUPTED),
    ],
)
def test_run_leaves_with_the_code_of_its_outcomes(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    outcome: Outcome | None,
    interrupt: bool,
    expected: ExitCode,
) -> None:
    monkeypatch.setattr(bench.runner, "measure", scripted(outcome, interrupt=interrupt))
    assert leave("run", "one.toml") == expected
    assert len(list((place / "reports").glob("*.html"))) == (0 if interrupt else 1)


@pytest.mark.parametrize(
    ("arguments", "expected", "said"),
    [
        (["list", "suites"], ExitCode.OK, "quick"),
        (["--version"], ExitCode.OK, bench.__version__),
        (["rum"], ExitCode.USAGE, "Did you mean 'run'?"),
        (["list", "suits"], ExitCode.USAGE, "Did you mean 'suites'?"),
        (["run", "--bugdet", "3"], ExitCode.USAGE, "--budget"),
        (["run", "smoek"], ExitCode.USAGE, "did you mean 'smoke'?"),
        (["run", "one.toml", "--budget", "soon"], ExitCode.USAGE, "--budget: 'soon' is not a time"),
        (["run", "one.toml", "--set", "sped.batch_sizes=[1]"], ExitCode.USAGE, "did you mean 'speed'?"),
        (["run", "one.toml", "--device", "tpu"], ExitCode.USAGE, "tpu"),
        (["run", "one.toml", "--filter", "nothing-like-it"], ExitCode.USAGE, "nothing-like-it"),
        (["run", "--resume", "--budget", "3s"], ExitCode.USAGE, "--budget: a run goes on as it was planned"),
        (["run", "--resume"], ExitCode.USAGE, "no unfinished run"),
        (["run", "one.toml", "--results", "one.toml"], ExitCode.USAGE, "--results"),
        (["run", "one.toml", "--reports", "one.toml"], ExitCode.USAGE, "--reports"),
        (["report", "nothing"], ExitCode.USAGE, "no run 'nothing'"),
        (["report", "--format", "pdf"], ExitCode.USAGE, "pdf"),
        (["data", "verify", "imbd"], ExitCode.USAGE, "did you mean 'imdb'?"),
        (["list", "architectures", "lstn"], ExitCode.USAGE, "did you mean 'lstm'?"),
    ],
)
def test_commands_leave_with_one_clear_message(
    place: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], expected: ExitCode, said: str
) -> None:
    assert leave(*arguments) == expected
    out, err = capfd.readouterr()
    assert said in (err if expected else out)
    assert "Traceback" not in err
    assert not (place / "results").is_dir() or not list((place / "results").iterdir())


def _every_error() -> list[type[BenchError]]:
    return [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, BenchError)]


@pytest.mark.parametrize("kind", _every_error())
def test_every_error_becomes_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: type[BenchError]
) -> None:
    error = SuiteError(["first [red]", "second"]) if kind is SuiteError else kind("first [red]")

    def fail(results: Path) -> list[Path]:
        raise error

    monkeypatch.setattr(store, "run_folders", fail)
    assert leave("list", "runs") == kind.exit_code
    assert capsys.readouterr().err.startswith("error: first [red]\n")


def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(results: Path) -> list[Path]:
        raise ZeroDivisionError

    monkeypatch.setattr(store, "run_folders", fail)
    with pytest.raises(ZeroDivisionError):
        main(["list", "runs"])


def test_the_gravest_code_wins() -> None:
    assert [int(code) for code in SEVERITY] == [130, 2, 1, 5, 4, 3]
    assert set(SEVERITY) | {ExitCode.OK} == set(ExitCode)
    for place, code in enumerate(SEVERITY):
        assert worst([ExitCode.OK, *reversed(SEVERITY[place:])]) is code
    assert worst([]) is ExitCode.OK


def test_windows_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert leave("list", "suites") == ExitCode.USAGE
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (["run", "--resume"], ["run", "--resume=latest"]),
        (["run", "smoke", "--resume"], ["run", "smoke", "--resume=latest"]),
        (["run", "--resume", "--results", "x"], ["run", "--resume=latest", "--results", "x"]),
        (["run", "--resume", "2026"], ["run", "--resume", "2026"]),
        (["run", "--resume=2026"], ["run", "--resume=2026"]),
        (["report", "latest"], ["report", "latest"]),
    ],
)
def test_resume_may_stand_without_a_value(given: list[str], made: list[str]) -> None:
    assert with_resume_value(given) == made


@pytest.mark.parametrize("how", [["--resume"], ["one", "--resume"], ["--resume", "RUN"]])
def test_resume_goes_on_with_what_is_missing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: list[str]
) -> None:
    monkeypatch.setattr(bench.runner, "measure", scripted(Outcome.OK, interrupt=True))
    assert leave("run", "one.toml", "--set", "speed.batch_sizes=[1, 8]") == ExitCode.INTERRUPTED
    (folder,) = store.run_folders(place / "results")
    assert f"run --resume {folder.name}" in capsys.readouterr().out
    monkeypatch.setattr(bench.runner, "measure", scripted(Outcome.OK))
    assert leave("run", *(folder.name[:20] if word == "RUN" else word for word in how)) == ExitCode.OK
    stored = store.open_run(folder)
    assert stored.complete
    assert [len(result.trials) for result in stored.results()] == [1, 1]


def test_resume_is_refused_on_another_commit(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench.runner, "measure", scripted(Outcome.OK, interrupt=True))
    assert leave("run", "one.toml") == ExitCode.INTERRUPTED
    monkeypatch.setattr("bench.cli.run.source", lambda: ("another", False))
    assert leave("run", "--resume") == ExitCode.NOT_COMPARABLE
    assert "another" in capsys.readouterr().err


@pytest.mark.parametrize(
    "what", ["suites", "architectures", "tasks", "workloads", "cases", "runs", "architectures lstm", "data"]
)
def test_lists_are_arrays_of_objects_with_names(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    monkeypatch.setattr(bench.runner, "measure", scripted(Outcome.OK))
    assert leave("run", "one.toml") == ExitCode.OK
    words = {"cases": ["list", "cases", "one.toml"], "data": ["data", "list"]}.get(what, ["list", *what.split()])
    capsys.readouterr()
    assert leave(*words, "--format", "json") == ExitCode.OK
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert all(isinstance(row["name"], str) and row["name"] for row in rows)
    assert leave(*words) == ExitCode.OK
    assert rows[0]["name"] in capsys.readouterr().out


@pytest.mark.parametrize("format", ["csv", "json", "markdown"])
def test_report_prints_the_tidy_table(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    monkeypatch.setattr(bench.runner, "measure", scripted(Outcome.OK))
    assert leave("run", "one.toml") == ExitCode.OK
    capsys.readouterr()
    assert leave("report", "--format", format) == ExitCode.OK
    printed = capsys.readouterr().out
    assert "throughput" in printed
    assert leave("report", "latest", "--format", format, "--output", "deep/table.txt") == ExitCode.OK
    assert (place / "deep" / "table.txt").read_text() == printed


def test_load_gives_the_same_rows_as_the_export(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import frames

    monkeypatch.setattr(bench.runner, "measure", scripted(Outcome.OK))
    assert leave("run", "one.toml") == ExitCode.OK
    loaded = bench.load("latest")
    frame = loaded.to_frame()
    assert tuple(frame.columns) == frames.COLUMNS
    assert len(frame) == len(frames.rows(loaded.run, loaded.results))


def test_records_hold_no_home_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.runner, "measure", scripted(Outcome.OK))
    home = place / "home" / "alice"
    (home / "data").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("BENCH_DATA", "")
    (place / "one.toml").write_text(f"# kept in {home}\n{SUITE}")
    monkeypatch.setattr(sys, "argv", ["bench", "run", "one.toml", "--data", str(home / "data")])
    assert leave("run", "one.toml", "--data", str(home / "data")) == ExitCode.OK
    (folder,) = store.run_folders(place / "results")
    text = (folder / "run.json").read_text()
    assert "alice" not in text
    assert "--data '~/data'" in text or "--data ~/data" in text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
@pytest.mark.parametrize("option", ["--results", "--reports"])
def test_a_full_disk_is_said_before_anything_is_measured(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    monkeypatch.setattr(bench.runner, "measure", lambda *_: pytest.fail("something was measured"))
    small = place / "small"
    small.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)], capture_output=True)
    if mount.returncode:
        pytest.skip("this machine lets nobody mount a small file system")
    try:
        assert leave("run", "one.toml", option, str(small)) == ExitCode.USAGE
        assert capsys.readouterr().err.count("error:") == 1
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.slow
def test_smoke_runs_and_plain_output_has_no_escape_codes(place: Path) -> None:
    command = [sys.executable, "-m", "bench", "run", "smoke"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CI": "true"})
    assert done.returncode == ExitCode.OK, done.stderr
    assert "\x1b" not in done.stdout
    assert "round 1" in done.stdout
    (page,) = (place / "reports").glob("*.html")
    assert f"report   reports/{page.name}" in done.stdout


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_tells_how_to_go_on(place: Path) -> None:
    command = [sys.executable, "-m", "bench", "run", "smoke"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell starts what runs in the background with this signal ignored, and processes inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    lines = 0
    while lines < 3:
        lines = sum(path.read_bytes().count(b"\n") for path in place.glob("results/*/cases.jsonl"))
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED, err
    assert "Traceback" not in err
    resume = out.strip().splitlines()[-1].split()
    assert resume[:5] == ["python", "-m", "bench", "run", "--resume"]
    again = subprocess.run([sys.executable, *resume[1:]], capture_output=True, text=True)
    assert again.returncode == ExitCode.OK, again.stderr
    (folder,) = store.run_folders(place / "results")
    assert store.open_run(folder).complete
