"""Run folders: nothing that was appended is lost, nothing damaged is taken for a result."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path

import pytest
from scripted import case, run_of

from bench.errors import NotComparableError, StoreError, UsageError
from bench.estimates import estimates
from bench.observations import End, Pilot, Trial
from bench.records import SCHEMA_VERSION, Machine, Outcome, PassKind
from bench.store import compatible, create, find, open_run, run_folders, run_id

PILOT = Pilot(case_id="imdb/lstm/inference", outcome=Outcome.OK, iterations=4, samples=10, call_s=0.25)
TRIAL = Trial(case_id="imdb/lstm/inference", round=1, outcome=Outcome.OK, samples_s=(0.1, 0.2), evidence={"cpu_s": 1.5})


def test_what_is_appended_reads_back_equal(tmp_path: Path) -> None:
    run = run_of(case())
    folder = create(tmp_path, run)
    folder.append(PILOT)
    folder.append(TRIAL)
    again = open_run(folder.path)
    assert again.run == run
    assert again.observations == [PILOT, TRIAL]
    assert not again.torn
    assert not again.complete
    folder.append(End(finished="2026-01-02T03:04:05+00:00", wall_s=1.0))
    assert open_run(folder.path).complete


def test_each_line_is_on_disk_before_append_returns(tmp_path: Path) -> None:
    folder = create(tmp_path, run_of(case()))
    folder.append(TRIAL)
    assert (folder.path / "cases.jsonl").read_text().count("\n") == 1


def test_a_torn_last_line_is_left_out_and_cut_off_before_more_is_written(tmp_path: Path) -> None:
    first = create(tmp_path, run_of(case()))
    first.close()
    path = first.path
    whole = json.dumps({"kind": "pilot", "case_id": PILOT.case_id, "outcome": "ok"}) + "\n"
    (path / "cases.jsonl").write_text(whole + '{"kind":"trial","case_id":"imd')
    folder = open_run(path)
    assert folder.torn
    assert len(folder.observations) == 1
    folder.append(TRIAL)
    again = open_run(path)
    assert not again.torn
    assert again.observations[1] == TRIAL


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"kind":"trial"}', "line 1: is damaged"),
        ("not json", "line 1: is damaged"),
        ('{"kind":"dance","case_id":"x"}', "line 1: is damaged"),
        ('{"kind":"pilot","case_id":"imdb/other","outcome":"ok"}', "case 'imdb/other' is not in run.json"),
        ('{"kind":"pilot","case_id":"imdb/lstm/inference","outcome":"splendid"}', "line 1: is damaged"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = create(tmp_path, run_of(case())).path
    (path / "cases.jsonl").write_text(line + "\n")
    with pytest.raises(StoreError, match=said):
        open_run(path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 1}', '{"schema": "1"}'])
def test_a_damaged_run_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(StoreError, match=r"run\.json"):
        open_run(tmp_path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema": SCHEMA_VERSION + 1}))
    with pytest.raises(NotComparableError, match="install a newer version"):
        open_run(tmp_path)


def test_a_run_of_the_first_schema_still_reads() -> None:
    folder = open_run(Path(__file__).parent / "golden" / "schema1")
    assert folder.complete
    assert folder.run.plan.measure.passes == (PassKind.MEMORY,)
    timed, fitted = folder.results()
    assert timed.case.workload == "inference"
    assert estimates(timed)["peak_rss_bytes"].value == 17_244_160.0
    assert [len(trial.samples_s) for trial in timed.trials] == [23, 23, 23]
    assert [fit.metrics["accuracy"] for fit in fitted.fits] == [0.6365461847389559]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"has no run\.json"):
        open_run(tmp_path)


def test_two_runs_never_share_a_folder(tmp_path: Path) -> None:
    create(tmp_path, run_of(case()))
    with pytest.raises(StoreError, match="cannot keep results"):
        create(tmp_path, run_of(case()))
    assert len({run_id("2026-01-02T03:04:05", "smoke") for _ in range(100)}) == 100
    assert run_id("2026-01-02T03:04:05.123+00:00", "smoke").startswith("20260102T030405Z-smoke-")


def test_two_processes_never_append_to_one_run(tmp_path: Path) -> None:
    folder = create(tmp_path, run_of(case()))
    with pytest.raises(StoreError, match="at work here"):
        open_run(folder.path).take()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_one_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="name another folder with --results"):
        create(tmp_path / "results", run_of(case()))


def test_a_file_in_the_place_of_the_results_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(StoreError, match="name another folder with --results"):
        create(tmp_path / "results", run_of(case()))


def test_a_full_disk_loses_nothing_that_was_written_before(tmp_path: Path) -> None:
    folder = create(tmp_path, run_of(case()))
    folder.append(PILOT)
    size = (folder.path / "cases.jsonl").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            folder.append(TRIAL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    again = open_run(folder.path)
    assert again.observations == [PILOT]
    assert not again.torn
    folder.append(TRIAL)
    assert open_run(folder.path).observations == [PILOT, TRIAL]


def test_runs_are_found_by_path_id_beginning_and_latest(tmp_path: Path) -> None:
    from dataclasses import replace

    runs = [replace(run_of(case()), run_id=f"2026010{day}T000000Z-made-{day}") for day in (1, 2, 3)]
    folders = [create(tmp_path, run) for run in runs]
    folders[2].append(End(finished="", wall_s=1.0))
    assert run_folders(tmp_path) == [folder.path for folder in reversed(folders)]
    assert find(tmp_path, str(folders[0].path)) == folders[0].path
    assert find(tmp_path, "20260102") == folders[1].path
    assert find(tmp_path, "latest") == folders[2].path
    assert find(tmp_path, "latest", suite="made", unfinished=True) == folders[1].path
    for reference, said in (("2026", "fits several"), ("1999", "holds no run '1999'")):
        with pytest.raises(UsageError, match=said):
            find(tmp_path, reference)
    with pytest.raises(UsageError, match="no unfinished run of suite 'other'"):
        find(tmp_path, "latest", suite="other", unfinished=True)


def test_a_run_goes_on_only_on_its_own_machine_and_commit() -> None:
    run = run_of(case())
    compatible(run, run.machine, None)
    with pytest.raises(NotComparableError, match="cpu a -> b"):
        compatible(run, Machine(name="other", hard={"cpu": "b"}, soft={}), None)
    with pytest.raises(NotComparableError, match="commit none -> abc"):
        compatible(run, run.machine, "abc")
