"""Baselines: whole or not there, small, and found only where they may be judged against."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from scripted import run_of
from stored import MACHINE, OTHER_TORCH, observed, speed, stored, trained

from bench import baseline
from bench.compare import compare
from bench.compare_times import Design
from bench.errors import BenchError, ExitCode, NotComparableError, StoreError, UsageError
from bench.observations import End, Epoch, Fit, Pass, Trial
from bench.records import METHOD_VERSION, SCHEMA_VERSION, Gate, PassKind
from bench.store import create, open_run
from bench.verdicts import Verdict


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The folder of a baseline `main`."""
    cases = speed(), trained()
    everything = [one for case in cases for one in observed(case, confirming=5)]
    return baseline.save(tmp_path, "main", stored(tmp_path, everything, *cases))


def test_it_is_judged_as_the_run_that_it_was_made_of(tmp_path: Path, saved: Path) -> None:
    run = open_run(tmp_path / "20260102T030405Z-made-abcdef")
    kept = baseline.find(tmp_path, "main", MACHINE)
    found = compare(kept.results(), run.results(), Gate(), Design(paired=False, confirms=False))
    assert {one.metric for one in found} >= {"latency_s", "parameters", "flops_per_item", "peak_rss_bytes", "accuracy"}
    assert {one.verdict for one in found} == {Verdict.UNCHANGED}
    assert all(one.change == 0.0 for one in found if one.metric != "latency_s")
    assert saved == tmp_path / "baselines" / MACHINE.fingerprint / "main"


def test_it_keeps_raw_samples_to_seven_digits_and_nothing_that_is_not_judged(tmp_path: Path, saved: Path) -> None:
    observations = baseline.read(saved).observations
    trials = [one for one in observations if isinstance(one, Trial)]
    assert [len(trial.samples_s) for trial in trials] == [10] * 5
    assert trials[0].evidence["cpu_s"] == 0.1234568
    assert not any(trial.confirming for trial in trials)
    assert not [one for one in observations if isinstance(one, Epoch)]
    assert not [one for one in observations if isinstance(one, Pass) and one.name is PassKind.TAILS]
    fits = [one for one in observations if isinstance(one, Fit)]
    assert len(fits) == 5
    assert not any(fit.predictions or fit.confusion for fit in fits)
    assert isinstance(observations[-1], End)
    assert baseline.read(saved).run.machine.state == {}


def test_a_second_one_of_the_same_name_takes_the_place_of_the_first(tmp_path: Path, saved: Path) -> None:
    again = stored(tmp_path, observed(speed(), trials=7), speed(), name="20260103T000000Z-made-b")
    assert baseline.save(tmp_path, "main", again) == saved
    assert len(baseline.read(saved).results()[0].trials) == 7
    assert [path.name for path in saved.parent.iterdir()] == ["main"]


def test_an_interruption_leaves_the_one_before_and_nothing_half(
    tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = stored(tmp_path, observed(speed(), trials=7), speed(), name="20260103T000000Z-made-b")
    lines = 0

    def interrupted(_: object, *, sparse: bool) -> str:
        nonlocal lines
        lines += 1
        if lines == 3:
            raise KeyboardInterrupt
        return "{}\n"

    monkeypatch.setattr(baseline, "line_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        baseline.save(tmp_path, "main", again)
    assert len(baseline.read(saved).results()[0].trials) == 5
    assert [path.name for path in saved.parent.iterdir()] == ["main"]


@pytest.mark.parametrize("name", ["", ".hidden", "-x", "a/b", "..", "a b", "ä", "main\n"])
def test_a_name_is_letters_digits_dots_and_dashes(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="letters, digits, dots and dashes"):
        baseline.save(tmp_path, name, stored(tmp_path, observed(speed()), speed()))


def test_an_unfinished_run_is_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bench run --resume 20260102T030405Z-made-abcdef"):
        baseline.save(tmp_path, "main", stored(tmp_path, observed(speed()), speed(), ended=False))


def test_a_run_of_an_older_schema_is_saved_in_the_present_one(tmp_path: Path) -> None:
    folder = stored(tmp_path, observed(speed()), speed())
    path = folder.path / "run.json"
    document = json.loads(path.read_text())
    document["schema"] = 1
    document["plan"]["measure"]["memory"] = bool(document["plan"]["measure"].pop("passes"))
    path.write_text(json.dumps(document))
    saved = baseline.save(tmp_path, "main", open_run(folder.path))
    assert baseline.read(saved).run.schema == SCHEMA_VERSION
    assert baseline.read(saved).results()[0].trials


# ── finding ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_nearest_machine_is_named_with_what_it_differs_in(tmp_path: Path) -> None:
    far = replace(MACHINE, hard={"cpu": "Old", "cores": 1, "gpus": ["A"], "torch": "2.9", "os": "linux"})
    for number, machine in enumerate((far, OTHER_TORCH)):
        run = stored(tmp_path, observed(speed()), speed(), name=f"2026010{number}T000000Z-made-x", machine=machine)
        baseline.save(tmp_path, "main", run)
    with pytest.raises(NotComparableError) as error:
        baseline.find(tmp_path, "main", MACHINE)
    assert str(error.value) == (
        "no baseline 'main' for this machine; the nearest differs in torch 2.12.0 -> 2.13.0; `bench baseline save main` "
        "makes one of a stored run"
    )
    shutil.rmtree(tmp_path / "baselines" / OTHER_TORCH.fingerprint)
    with pytest.raises(NotComparableError, match=r"cpu Old -> Made Processor 3000, .*, and 1 more"):
        baseline.find(tmp_path, "main", MACHINE)


def test_another_name_is_suggested_and_none_at_all_is_said(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(NotComparableError, match="did you mean 'main'"):
        baseline.find(tmp_path, "mian", MACHINE)
    with pytest.raises(NotComparableError, match="for this machine; `bench baseline save main` makes one"):
        baseline.find(tmp_path / "nowhere", "main", MACHINE)


def test_a_broken_baseline_of_another_machine_is_in_nobodys_way(tmp_path: Path) -> None:
    other = baseline.save(tmp_path, "main", stored(tmp_path, observed(speed()), speed(), machine=OTHER_TORCH))
    (other / "run.json").write_text("{")
    with pytest.raises(NotComparableError, match="for this machine; `bench baseline save main` makes one"):
        baseline.find(tmp_path, "main", MACHINE)


def _first_line(path: Path, change: Callable[[str], str]) -> None:
    lines = (path / "cases.jsonl").read_text().splitlines(keepends=True)
    (path / "cases.jsonl").write_text(change(lines[0]) + "".join(lines[1:]))


def _last_line(path: Path, change: Callable[[str], str]) -> None:
    lines = (path / "cases.jsonl").read_text().splitlines(keepends=True)
    (path / "cases.jsonl").write_text("".join(lines[:-1]) + change(lines[-1]))


def _in_run(path: Path, key: str, value: object) -> None:
    document = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**document, key: value}))


SPOILT: dict[str, tuple[Callable[[Path], object], type[BenchError], str]] = {
    "a damaged line": (lambda path: _first_line(path, lambda line: line[5:]), StoreError, "line 1: is damaged"),
    "a line that is none of ours": (
        lambda path: _first_line(path, lambda _: '{"a":1}\n'),
        StoreError,
        "line 1: is damaged",
    ),
    "a torn last line": (lambda path: _last_line(path, lambda line: line[:-5]), StoreError, "is cut off"),
    "half a line after the last": (lambda path: _last_line(path, lambda line: line + '{"k'), StoreError, "is cut off"),
    "no last line": (lambda path: _last_line(path, lambda _: ""), StoreError, "is cut off"),
    "no lines": (lambda path: (path / "cases.jsonl").unlink(), StoreError, "is cut off"),
    "no run": (lambda path: (path / "run.json").unlink(), StoreError, r"has no run\.json"),
    "half a run": (
        lambda path: (path / "run.json").write_text('{"schema": 2, "run'),
        StoreError,
        r"run\.json: is damaged",
    ),
    "a newer schema": (
        lambda path: _in_run(path, "schema", SCHEMA_VERSION + 1),
        NotComparableError,
        "install a newer version of bench",
    ),
    "another method": (
        lambda path: _in_run(path, "method", METHOD_VERSION - 1),
        NotComparableError,
        f"by method {METHOD_VERSION - 1}, and this is method {METHOD_VERSION}",
    ),
    "another machine's, moved here": (
        lambda path: _in_run(path, "machine", {"name": "x", "hard": OTHER_TORCH.hard, "soft": {}}),
        NotComparableError,
        "measured on another machine, which differs in torch 2.12.0 -> 2.13.0",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_whatever_is_wrong_with_it_is_said_in_a_sentence_of_its_own(tmp_path: Path, saved: Path, what: str) -> None:
    spoil, error, said = SPOILT[what]
    spoil(saved)
    with pytest.raises(error, match=said) as found:
        baseline.find(tmp_path, "main", MACHINE)
    assert "main" in str(found.value)
    assert found.value.exit_code == (ExitCode.NOT_COMPARABLE if error is NotComparableError else ExitCode.USAGE)


def test_what_holds_on_every_machine_takes_this_ones_first_and_then_the_nearest(tmp_path: Path, saved: Path) -> None:
    third = replace(MACHINE, hard={**OTHER_TORCH.hard, "cores": 64})
    for number, machine in enumerate((third, OTHER_TORCH)):
        run = stored(tmp_path, observed(speed()), speed(), name=f"2026010{number}T000000Z-made-x", machine=machine)
        baseline.save(tmp_path, "main", run)
    assert baseline.find_any(tmp_path, "main", MACHINE).path == saved
    baseline.remove(saved)
    assert baseline.find_any(tmp_path, "main", MACHINE).run.machine.hard == OTHER_TORCH.hard
    with pytest.raises(NotComparableError, match="no baseline 'other'"):
        baseline.find_any(tmp_path, "other", MACHINE)


# ── the folder ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_are_listed_by_name_without_what_a_kill_left(tmp_path: Path, saved: Path) -> None:
    run = stored(tmp_path, observed(speed()), speed(), name="20260101T000000Z-made-x", machine=OTHER_TORCH)
    others = [baseline.save(tmp_path, name, run) for name in ("v1.2", "a")]
    shutil.copytree(saved, saved.parent / ".half")
    assert baseline.paths(tmp_path) == [others[1], saved, others[0]]


def test_what_is_removed_leaves_no_empty_folder(tmp_path: Path, saved: Path) -> None:
    other = baseline.save(tmp_path, "v1", baseline.read(saved))
    baseline.remove(saved)
    assert baseline.paths(tmp_path) == [other]
    baseline.remove(other)
    assert list((tmp_path / "baselines").iterdir()) == []
    with pytest.raises(StoreError, match="cannot be removed"):
        baseline.remove(other)


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    run = create(tmp_path / "results", run_of(speed()))
    run.append(End(finished="", wall_s=1.0))
    (tmp_path / "results" / "baselines").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written .*--results"):
        baseline.save(tmp_path / "results", "main", run)
