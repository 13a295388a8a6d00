"""Stored runs in a row: what a jump is, and what it is not."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from stored import MACHINE, OTHER_TORCH, observed, speed, stored, trained

from bench.cli import main
from bench.errors import ExitCode
from bench.history import LEAST_RUNS, Series, change_points, history
from bench.records import Case, Gate, GateRule, Machine

LSTM = speed("lstm")
NOISE = (0.01, -0.012, 0.004, 0.009, -0.007, 0.002, -0.004, 0.011, -0.009, 0.003)


def noisy(*levels: float) -> list[float]:
    """One value after the other, each with a per cent of noise."""
    return [level * (1 + NOISE[place % len(NOISE)]) for place, level in enumerate(levels)]


def runs(
    results: Path, of: Case, values: list[dict[str, object]], machine: Machine = MACHINE, first: int = 1, **more: object
) -> None:
    for day, value in enumerate(values, first):
        stored(
            results,
            observed(of, **value),  # type: ignore[arg-type]
            of,
            name=f"202601{day:02d}T000000Z-made-{day:06x}",
            created=f"2026-01-{day:02d}T00:00:00+00:00",
            commit=f"{day:040x}",
            machine=machine,
            **more,
        )


def found(results: Path) -> dict[tuple[str, str], Series]:
    from bench import store

    folders = [store.open_run(path) for path in store.run_folders(results)]
    return {(one.machine, one.metric): one for one in history([(each.run, each.results()) for each in folders])}


# ── change points ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_levels_are_told_apart_where_they_change() -> None:
    draw = random.Random(0)
    values = [draw.gauss(level, 0.01) for level in [1.0] * 8 + [1.2] * 6 + [0.9] * 7]
    assert change_points(values, threshold=0.03, level=0.01) == [8, 14]


def test_noise_alone_has_no_change_points() -> None:
    draw = random.Random(1)
    series = [[draw.gauss(0.0, 1.0) for _ in range(20)] for _ in range(400)]
    wrong = sum(bool(change_points(values, threshold=0.0, level=0.05)) for values in series)
    # Bonferroni over the places keeps it below the level: places beside each other say nearly the same
    assert wrong <= 0.05 * len(series)


def test_a_change_below_what_counts_is_none() -> None:
    values = noisy(*[1.0] * 10, *[1.1] * 10)
    assert change_points(values, threshold=0.05, level=0.01) == [10]
    assert change_points(values, threshold=0.15, level=0.01) == []


def test_two_runs_are_never_a_level() -> None:
    assert change_points([1.0] * 10 + [2.0] * (LEAST_RUNS - 1), threshold=0.03, level=0.01) == []
    assert change_points([1.0, 1.01] * 5 + [2.0] * LEAST_RUNS, threshold=0.03, level=0.01) == [10]


# ── stored runs ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_jump_of_the_time_has_its_size_and_interval(tmp_path: Path) -> None:
    runs(tmp_path, LSTM, [{"seconds": value} for value in noisy(*[0.002] * 6, *[0.0023] * 6)])
    (jump,) = found(tmp_path)[MACHINE.name, "latency_p10_s"].jumps
    assert jump.at == 6
    assert jump.low is not None
    assert jump.high is not None
    assert jump.low < 0.15 < jump.high
    assert jump.change == pytest.approx(0.15, abs=0.01)


def test_what_has_no_noise_jumps_at_every_change(tmp_path: Path) -> None:
    runs(tmp_path, LSTM, [{"parameters": count} for count in (1000, 1000, 1001, 900)])
    series = found(tmp_path)[MACHINE.name, "parameters"]
    assert [(jump.at, jump.change, jump.low) for jump in series.jumps] == [
        (2, pytest.approx(0.001), None),
        (3, pytest.approx(900 / 1001 - 1), None),
    ]
    assert [len(level) for level in series.levels()] == [2, 1, 1]


def test_a_score_jumps_in_points(tmp_path: Path) -> None:
    scores = noisy(*[0.8] * 5, *[0.7] * 5)
    runs(tmp_path, trained(), [{"scores": (score, score, score, score, score)} for score in scores])
    (jump,) = found(tmp_path)[MACHINE.name, "accuracy"].jumps
    assert (jump.at, jump.change) == (5, pytest.approx(-0.1, abs=0.005))


def test_machines_are_series_of_their_own(tmp_path: Path) -> None:
    other = replace(OTHER_TORCH, name="another torch")
    runs(tmp_path, LSTM, [{"seconds": value} for value in noisy(*[0.002] * 6)])
    runs(tmp_path, LSTM, [{"seconds": value} for value in noisy(*[0.003] * 6)], machine=other, first=7)
    series = found(tmp_path)
    for name in (MACHINE.name, other.name):
        assert (len(series[name, "latency_p10_s"].points), series[name, "latency_p10_s"].jumps) == (6, ())


def test_another_definition_is_a_series_of_its_own(tmp_path: Path) -> None:
    from bench import store

    runs(tmp_path, LSTM, [{}] * 3)
    runs(tmp_path, replace(LSTM, definition_hash="0123"), [{}] * 2, first=4)
    folders = [store.open_run(path) for path in store.run_folders(tmp_path)]
    every = history([(each.run, each.results()) for each in folders])
    assert sorted(len(one.points) for one in every if one.metric == "parameters") == [2, 3]


def test_the_gate_of_the_newest_run_says_what_counts(tmp_path: Path) -> None:
    values: list[dict[str, object]] = [{"seconds": value} for value in noisy(*[0.002] * 6, *[0.0023] * 5)]
    runs(tmp_path, LSTM, values)
    assert found(tmp_path)[MACHINE.name, "latency_p10_s"].jumps
    from bench import store

    folders = [store.open_run(path) for path in store.run_folders(tmp_path)]
    newest = folders[0].run
    rule = GateRule(match="*lstm*", thresholds={"latency_s": 0.3})
    judged = replace(newest, plan=replace(newest.plan, gate=Gate(rules=(rule,))))
    told = history([(judged if each.run is newest else each.run, each.results()) for each in folders])
    assert [one.jumps for one in told if one.metric == "latency_p10_s"] == [()]


# ── the command ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def leave(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return int(exit_info.value.code or 0)


def test_the_command_names_the_run_and_draws_a_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs(Path("results"), LSTM, [{"seconds": value} for value in noisy(*[0.002] * 6, *[0.0023] * 6)])
    assert leave("history", "made") == ExitCode.OK
    said = capsys.readouterr().out
    assert "20260107T000000Z-made-000007" in said
    assert f"{6:040x}"[:10] + ".." + f"{7:040x}"[:10] in said
    assert "worse" in said
    assert "12 runs on Made Processor 3000, 2 cores: 1 jump in" in said
    page = (place / "reports" / "history-made.html").read_text()
    assert page.count("<svg") == 1
    assert LSTM.id in page


def test_few_runs_are_said_to_be_too_few(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs(Path("results"), LSTM, [{}, {"seconds": 0.004}])
    assert leave("history", "made") == ExitCode.OK
    assert "1 are too short to tell one (6 runs for times and scores, 2 for the rest)" in capsys.readouterr().out


def test_programs_get_every_point(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs(Path("results"), LSTM, [{"parameters": count} for count in (1000, 2000)])
    assert leave("history", "made", "--format", "json") == ExitCode.OK
    document = {one["metric"]: one for one in json.loads(capsys.readouterr().out)}
    assert [point["value"] for point in document["parameters"]["points"]] == [1000, 2000]
    (jump,) = document["parameters"]["jumps"]
    assert (jump["run"], jump["change"], jump["verdict"]) == ("20260102T000000Z-made-000002", 1.0, "worse")
    assert not (place / "reports").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["other"], "holds no run of suite 'other'; those with runs: made"),
        (["made", "--filter", "gru"], "--filter gru: fits no case of suite 'made'"),
    ],
)
def test_what_is_not_there_is_said(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    runs(Path("results"), LSTM, [{}])
    assert leave("history", *arguments) == ExitCode.USAGE
    assert told in capsys.readouterr().err
