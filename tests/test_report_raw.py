"""What a page carries to be taken along: the same figures, samples and trust records as the records hold."""

from __future__ import annotations

import csv
import gzip
import io
import json
from base64 import b64decode
from dataclasses import replace

import pytest
from made_run import made_quick_run, made_run

from bench.frames import to_csv
from bench.report import FORMATS, raw
from bench.trust import used_trials


def _unpacked(one: raw.Download) -> str:
    return gzip.decompress(b64decode(one.content)).decode()


def test_files_hold_what_the_formats_of_the_command_line_say() -> None:
    runs = [made_run(("lstm", "gru")), made_quick_run()]
    results, samples, trust = raw.downloads(runs, "sentiment-smoke")
    assert [one.name for one in (results, samples, trust)] == [
        f"sentiment-smoke-{name}" for name in ("results.csv", "samples.csv", "trust.json")
    ]
    assert _unpacked(results) == to_csv(runs)
    assert _unpacked(samples) == raw.samples_csv(runs)
    assert _unpacked(trust) == FORMATS["trust"](runs)
    assert len(json.loads(_unpacked(trust))) == 34 + 8
    assert raw.downloads(runs, "sentiment-smoke") == [results, samples, trust]


def test_every_trial_is_a_row_that_says_whether_it_is_used() -> None:
    run, results = made_run(("gru", "BiLSTM x2"), lengths=(512,))
    rows = list(csv.DictReader(io.StringIO(raw.samples_csv([(run, results)]))))
    assert len(rows) == sum(len(result.trials) for result in results)
    by_case = {result.case.id: result for result in results}
    for row in rows:
        result = by_case[row["case"]]
        trial = next(one for one in result.trials if str(one.round) == row["round"])
        samples = [float(sample) for sample in row["samples_s"].split()]
        assert samples == pytest.approx(trial.samples_s, rel=1e-5)
        assert (row["used"] == "yes") is (trial in used_trials(result))
    (disturbed,) = (row for row in rows if row["left_out_for"] == "foreign_cpu")
    assert (disturbed["case"], disturbed["round"]) == ("imdb/gru/inference/L512/B1", "1")
    assert {row["left_out_for"] for row in rows} == {
        "",
        "foreign_cpu",
        "failed: RuntimeError: made to fail | on purpose",
    }


def test_too_many_samples_stay_where_they_are_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    run, results = made_run(("lstm",), lengths=(64,))
    taken = sum(len(trial.samples_s) for result in results for trial in result.trials)
    monkeypatch.setattr(raw, "MOST_SAMPLES", taken)
    assert raw.downloads([(run, results)], "x")[1].content
    monkeypatch.setattr(raw, "MOST_SAMPLES", taken - 1)
    (_, samples, _) = raw.downloads([(run, results)], "x")
    assert samples.content == ""
    assert f"{run.run_id}/cases.jsonl" in samples.says


def test_all_of_a_run_that_measured_nothing_can_be_taken_along() -> None:
    run, results = made_run(("lstm",), lengths=(64,))
    nothing = [replace(result, trials=(), fits=(), passes=(), preflight=None, pilots=()) for result in results]
    _, samples, trust = raw.downloads([(run, nothing)], "x")
    assert _unpacked(samples) == "run,case,round,used,left_out_for,iterations,samples_s\n"
    assert len(json.loads(_unpacked(trust))) == len(results)
