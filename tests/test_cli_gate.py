"""What `bench check --run`, `bench compare` and `bench baseline` say of stored runs, and the codes they leave with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from stored import MACHINE, OTHER_TORCH, observed, speed, stored, trained

from bench import baseline, store
from bench.cli import main
from bench.codec import dumps
from bench.errors import ExitCode
from bench.observations import Observation, Trial
from bench.records import METHOD_VERSION, SCHEMA_VERSION, Case, Gate, GateRule, Machine, Outcome
from benchmarks.gate import without_noise
from benchmarks.gate.big_check import whole_s, write

BASE, HEAD = "20260101T000000Z-made-a", "20260102T000000Z-made-b"
LSTM, GRU = speed("lstm"), speed("gru")


def leave(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return int(exit_info.value.code or 0)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def both(
    base: Sequence[Observation], head: Sequence[Observation], *cases: Case, machine: Machine = MACHINE, **more: object
) -> None:
    """A baseline `main` of the first, and a run of the second; `more` is of the later run."""
    cases = cases or (LSTM,)
    results = Path("results")
    baseline.save(results, "main", stored(results, base, *cases, name=BASE, machine=machine))
    stored(results, head, *cases, name=HEAD, **more)  # type: ignore[arg-type]


def check(*more: str) -> int:
    return leave("check", "--baseline", "main", "--run", HEAD, *more)


# ── verdicts ───────────────────────────────────────────────────────────────────────────────────────────────────────

SIDES: dict[str, tuple[dict[str, object], dict[str, object], ExitCode]] = {
    "the same": ({}, {}, ExitCode.OK),
    "faster": ({}, {"seconds": 0.001}, ExitCode.OK),
    "slower": ({}, {"seconds": 0.0026}, ExitCode.REGRESSED),
    "a little slower, as machines drift": ({}, {"seconds": 0.0021}, ExitCode.OK),
    "smaller": ({}, {"memory": 2e7, "parameters": 900, "operators": 39.0}, ExitCode.OK),
    "five per cent more memory": ({}, {"memory": 4.2e7}, ExitCode.REGRESSED),
    "one operator more": ({}, {"operators": 41.0}, ExitCode.REGRESSED),
    "one parameter more": ({}, {"parameters": 1001}, ExitCode.REGRESSED),
    "a single trial": ({}, {"trials": 1}, ExitCode.INCONCLUSIVE),
}


@pytest.mark.parametrize("what", SIDES)
def test_a_run_is_judged_by_what_was_measured(what: str) -> None:
    before, now, expected = SIDES[what]
    both(observed(LSTM, **before), observed(LSTM, **now))  # type: ignore[arg-type]
    assert check() == expected
    # the same verdicts, but nothing is gated
    assert leave("compare", BASE, HEAD) == ExitCode.OK


@pytest.mark.parametrize(("by", "expected"), [(0.0, ExitCode.OK), (0.05, ExitCode.OK), (-0.05, ExitCode.REGRESSED)])
def test_accuracy_is_judged_over_other_seeds(by: float, expected: ExitCode) -> None:
    case = trained()
    scores = [0.8 + by, 0.803 + by, 0.799 + by, 0.801 + by, 0.8 + by]
    both(observed(case, scores=[0.8, 0.801, 0.799, 0.802, 0.8]), observed(case, scores=scores, seeds=5), case)
    assert check() == expected


def test_fits_are_not_judged_where_the_baseline_has_none_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    results, fit = Path("results"), trained()
    baseline.save(results, "main", stored(results, observed(LSTM), LSTM, name=BASE))
    stored(results, [*observed(LSTM), *observed(fit)], LSTM, fit, name=HEAD)
    assert check() == ExitCode.OK
    assert "training to accuracy is not judged" in capsys.readouterr().out


def test_trials_that_confirm_are_no_part_of_a_baseline() -> None:
    confirmed = [replace(one, samples_s=(1.0,)) if _confirms(one) else one for one in observed(LSTM, confirming=5)]
    both(confirmed, observed(LSTM))
    assert check() == ExitCode.OK


def _confirms(one: Observation) -> bool:
    return isinstance(one, Trial) and one.confirming


def _failed() -> list[Observation]:
    lost = [Trial(case_id=GRU.id, round=number, outcome=Outcome.FAILED, reason="no such operator") for number in (1, 2)]
    return [*observed(LSTM), *observed(GRU, trials=0), *lost]


def test_a_failed_case_is_named_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    both([*observed(LSTM), *observed(GRU)], _failed(), LSTM, GRU)
    assert check() == ExitCode.INCOMPLETE
    assert "no such operator" in capsys.readouterr().out


@pytest.mark.parametrize(("allowed", "expected"), [(False, ExitCode.INCOMPLETE), (True, ExitCode.OK)])
@pytest.mark.parametrize("missing_in", ["base", "head"])
def test_a_missing_case_is_named_and_fails_unless_it_is_allowed(
    capsys: pytest.CaptureFixture[str], missing_in: str, allowed: bool, expected: ExitCode
) -> None:
    results, every = Path("results"), [*observed(LSTM), *observed(GRU)]
    sides = {BASE: (every, LSTM, GRU), HEAD: (every, LSTM, GRU)}
    sides[BASE if missing_in == "base" else HEAD] = (observed(LSTM), LSTM)
    for name, (observations, *cases) in sides.items():
        folder = stored(results, observations, *cases, name=name)
        if allowed:
            gate = Gate(rules=(GateRule(match="*/gru/*", allow_missing=True),))
            folder.run = replace(folder.run, plan=replace(folder.run.plan, gate=gate))
            (folder.path / "run.json").write_text(dumps(folder.run))
    baseline.save(results, "main", store.open_run(results / BASE))
    assert check() == expected
    assert GRU.variant.label in capsys.readouterr().out
    assert check("--filter", "lstm") == ExitCode.OK


def test_a_case_of_the_same_name_that_means_something_else_is_not_compared(capsys: pytest.CaptureFixture[str]) -> None:
    results = Path("results")
    baseline.save(results, "main", stored(results, observed(LSTM), LSTM, name=BASE))
    stored(results, observed(LSTM), replace(LSTM, definition_hash="other"), name=HEAD)
    assert check() == ExitCode.NOT_COMPARABLE
    assert "another model, task or method" in capsys.readouterr().out


# ── machines ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_another_torch_is_another_machine(capsys: pytest.CaptureFixture[str]) -> None:
    both(observed(LSTM), observed(LSTM), machine=OTHER_TORCH)
    assert check() == ExitCode.NOT_COMPARABLE
    assert (
        "no baseline 'main' for this machine; the nearest differs in torch 2.12.0 -> 2.13.0" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("now", "expected"),
    [({"seconds": 0.01, "memory": 9e7}, ExitCode.OK), ({"parameters": 1001}, ExitCode.REGRESSED)],
)
def test_what_does_not_depend_on_the_machine_is_judged_across_machines(
    capsys: pytest.CaptureFixture[str], now: dict[str, object], expected: ExitCode
) -> None:
    both(observed(LSTM), observed(LSTM, **now), machine=OTHER_TORCH)  # type: ignore[arg-type]
    assert check("--exact") == expected
    assert "another machine (torch 2.12.0 -> 2.13.0)" in capsys.readouterr().out


def test_comparing_two_machines_tells_no_times_and_leaves_with_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    both(observed(LSTM), observed(LSTM, seconds=0.01, parameters=1001), machine=OTHER_TORCH)
    assert leave("compare", BASE, HEAD, "--format", "json") == ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    found = {one["metric"]: one["verdict"] for one in told["comparisons"]}
    assert found["latency_s"] == "not comparable"
    assert found["parameters"] == "regressed"
    assert "peak_rss_bytes" not in found


@pytest.mark.parametrize(
    ("python", "seconds", "expected"),
    [
        ("3.11", 0.0023, ExitCode.REGRESSED),
        ("3.12", 0.0023, ExitCode.OK),
        ("3.12", 0.0026, ExitCode.REGRESSED),
    ],
)
def test_soft_facts_that_differ_widen_what_counts_and_are_said(
    capsys: pytest.CaptureFixture[str], python: str, seconds: float, expected: ExitCode
) -> None:
    both(observed(LSTM), observed(LSTM, seconds=seconds), machine=replace(MACHINE, soft={"python": python}))
    assert check() == expected
    assert ("python 3.12 -> 3.11" in capsys.readouterr().out) == (python == "3.12")


# ── what is wrong with a baseline ──────────────────────────────────────────────────────────────────────────────────


def _cut(path: Path) -> None:
    whole = (path / "cases.jsonl").read_bytes()
    (path / "cases.jsonl").write_bytes(whole[: len(whole) // 2])


def _torn(path: Path) -> None:
    (path / "cases.jsonl").write_bytes((path / "cases.jsonl").read_bytes()[:-3])


def _corrupted(path: Path) -> None:
    (path / "cases.jsonl").write_bytes(b"\x00\xff" + (path / "cases.jsonl").read_bytes())


def _changed(key: str, value: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        document = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps({**document, key: value}))

    return change


@pytest.mark.parametrize(
    ("spoil", "expected", "said"),
    [
        (_cut, ExitCode.USAGE, "is cut off"),
        (_torn, ExitCode.USAGE, "is cut off"),
        (_corrupted, ExitCode.USAGE, "line 1: is damaged"),
        (lambda path: (path / "run.json").write_text("{"), ExitCode.USAGE, "run.json: is damaged"),
        (_changed("schema", SCHEMA_VERSION + 1), ExitCode.NOT_COMPARABLE, "install a newer version of bench"),
        (_changed("method", METHOD_VERSION + 1), ExitCode.NOT_COMPARABLE, "the same figures mean something else"),
        (baseline.remove, ExitCode.NOT_COMPARABLE, "no baseline 'main' for this machine; `bench baseline save main`"),
    ],
)
def test_a_baseline_that_cannot_be_used_says_why_and_what_to_do(
    capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object], expected: ExitCode, said: str
) -> None:
    both(observed(LSTM), observed(LSTM))
    (path,) = baseline.paths(Path("results"))
    spoil(path)
    assert check() == expected
    told = capsys.readouterr().err
    assert said in told
    assert told.count("error:") == 1


def test_a_run_that_was_torn_is_judged_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    both(observed(LSTM), observed(LSTM))
    with (Path("results") / HEAD / "cases.jsonl").open("a") as file:
        file.write('{"kind":"tri')
    assert check() == ExitCode.OK
    assert "half-written and is left out" in capsys.readouterr().out


# ── commands ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_row_tells_the_command_that_measures_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    both(observed(LSTM), observed(LSTM, operators=41.0), command="bench run mine.toml --junit old.xml --filter l")
    assert check() == ExitCode.REGRESSED
    assert f"bench run mine.toml --filter {LSTM.id}\n" in capsys.readouterr().out


def test_the_sides_of_an_ab_session_are_compared_in_pairs_and_with_their_controls(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arm, seconds in (("base", 0.002), ("head", 0.0022), ("control-base", 0.002), ("control", 0.002)):
        stored(Path("results/session"), observed(LSTM, seconds=seconds, trials=10, confirming=10), LSTM, name=arm)
    assert leave("compare", "session/base", "session/head", "--format", "json") == ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    (time,) = (one for one in told["comparisons"] if one["metric"] == "latency_s")
    assert (time["verdict"], time["reason"], time["count"]) == ("regressed", "confirmed", 10)
    assert [one["failed"] for one in told["controls"]] == [False]


def test_the_script_that_times_a_check_of_many_cases_runs_in_small(place: Path) -> None:
    wall_s, processor_s = whole_s(place, write(place, 20))
    assert processor_s > 0
    assert wall_s > 0


def test_baselines_are_saved_listed_shown_and_removed(capsys: pytest.CaptureFixture[str]) -> None:
    results = Path("results")
    stored(results, [*observed(LSTM), *observed(trained())], LSTM, trained(), name=BASE)
    assert leave("baseline", "save", "main") == ExitCode.OK
    assert capsys.readouterr().out.strip() == f"results/baselines/{MACHINE.fingerprint}/main"
    for words in (["list"], ["show", "main"]):
        assert leave("baseline", *words, "--format", "json") == ExitCode.OK
        rows = json.loads(capsys.readouterr().out)
        assert all(row["name"] for row in rows)
        assert leave("baseline", *words) == ExitCode.OK
        assert rows[0]["name"] in capsys.readouterr().out
    assert [row["trials"] for row in rows] == [5, 0]
    assert rows[0]["values"]["parameters"] == 1000
    assert rows[1]["values"]["accuracy"] == pytest.approx(0.801)
    assert leave("baseline", "rm", "mian") == ExitCode.USAGE
    assert "did you mean 'main'?" in capsys.readouterr().err
    assert leave("baseline", "rm", "main") == ExitCode.OK
    assert not baseline.paths(results)


def test_a_name_that_several_machines_have_needs_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    results = Path("results")
    for name, machine in ((BASE, MACHINE), (HEAD, OTHER_TORCH)):
        baseline.save(results, "main", stored(results, observed(LSTM), LSTM, name=name, machine=machine))
    assert leave("baseline", "rm", "main") == ExitCode.USAGE
    assert "add --machine" in capsys.readouterr().err
    assert leave("baseline", "rm", "main", "--machine", OTHER_TORCH.fingerprint[:6]) == ExitCode.OK
    assert [path.parent.name for path in baseline.paths(results)] == [MACHINE.fingerprint]


def test_judging_stored_runs_imports_neither_torch_nor_pandas() -> None:
    both(observed(LSTM), observed(LSTM))
    for words in (["check", "--baseline", "main", "--run", HEAD], ["compare", BASE, HEAD]):
        code = "import contextlib, io, sys\nfrom bench.cli import main\nout = io.StringIO()\n"
        code += "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(out):\n"
        code += f"    main({words!r})\nassert 'against' in out.getvalue()\nprint('\\n'.join(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert not set(done.stdout.split()) & {"torch", "pandas", "matplotlib", "scipy.stats"}


# ── for real ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")
def test_more_memory_and_one_operator_more_are_found_for_real(place: Path) -> None:
    without_noise.save(place)
    for change in without_noise.CHANGES:
        assert without_noise.seen(place, change)[0], change.what
    # and what is seen is told from what is not
    assert not without_noise.seen(place, replace(without_noise.CHANGES[0], metric="parameters"))[0]
