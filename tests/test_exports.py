"""What other tools read: github-action-benchmark, bencher, pytest-benchmark, GitHub's annotations, plain JSON."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_judgement import (
    ALLOWED,
    BROKEN,
    CALM,
    GRU,
    LARGER,
    LSTM,
    NASTY,
    SLOWER,
    STEADY,
    UNSURE,
    WORSE,
    made_judgement,
)
from made_run import made_quick_run, made_run
from pytest_benchmark.stats import Stats

from bench.errors import UsageError
from bench.estimates import estimates
from bench.quantity import METRICS, Better
from bench.report import FORMATS, exports, github, pytest_benchmark
from bench.trust import used_trials
from bench.verdicts import TIME, Comparison, Judgement


def _only(*comparisons: Comparison) -> Judgement:
    return replace(made_judgement(), comparisons=comparisons, controls=())


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def _read(text: str | bytes) -> Any:
    return json.loads(text, parse_constant=_refuse)


# ── judgements ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_json_holds_the_whole_judgement() -> None:
    judgement = made_judgement()
    found = _read(exports.judgement_json(judgement))
    assert found["summary"].startswith("3 regressed")
    assert len(found["comparisons"]) == len(judgement.comparisons)
    first = found["comparisons"][0]
    assert (first["case_id"], first["verdict"], first["reason"], first["change"]) == (
        LSTM,
        "regressed",
        "confirmed",
        0.052,
    )
    assert found["cases"][NASTY] == judgement.cases[NASTY]
    assert found["controls"][0]["failed"] is False
    from_nothing = replace(LARGER, base=0.0, change=float("inf"))
    assert _read(exports.judgement_json(_only(from_nothing)))["comparisons"][0]["change"] is None


def test_judgements_for_github_action_benchmark_go_by_direction() -> None:
    figures = exports.of_judgement(made_judgement())
    smaller = _read(exports.github_benchmark(figures, Better.LOWER))
    bigger = _read(exports.github_benchmark(figures, Better.HIGHER))
    assert smaller[0] == {
        "name": f"{LSTM}: latency_s",
        "unit": "s",
        "value": 0.00131,
        "extra": (
            "regressed: +5.2 % (4.1 to 6.3) against main\nfound, and found again in fresh pairs, whose change is shown"
        ),
    }
    assert [one["name"] for one in bigger] == ["imdb/lstm/fit/L256: accuracy"]
    judged = [one for one in made_judgement().comparisons if one.head is not None]
    assert len(smaller) + len(bigger) == len(judged)


def test_judgements_for_bencher() -> None:
    found = _read(exports.bencher(exports.of_judgement(made_judgement())))
    assert found[LSTM] == {"latency_s": {"value": 0.00131}, "parameters": {"value": 1_313_510}}
    assert set(found[GRU]) == {"latency_s", "peak_rss_bytes", "operator_count"}


# ── annotations ────────────────────────────────────────────────────────────────────────────────────────────────────


def _unescaped(text: str) -> str:
    for code, sign in (("%0A", "\n"), ("%0D", "\r"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, sign)
    return text


def test_annotations_say_what_fails_and_what_could_not_be_told() -> None:
    lines = github.workflow_commands(made_judgement())
    levels = [line[2:].partition(" ")[0] for line in lines]
    assert levels == ["error"] * 6 + ["notice"] * 2
    assert lines[0] == (
        "::error title=regressed%3A imdb%2C lstm%2C inference%2C length 256%2C batch 32%2C latency"
        "::1.24 ms -> 1.31 ms, +5.2 %25 (4.1 to 6.3)"
        "%0Afound, and found again in fresh pairs, whose change is shown"
        f"%0Ameasure it again: {made_judgement().commands[LSTM]}"
    )
    assert github.workflow_commands(_only(STEADY, ALLOWED)) == []


def test_annotations_are_one_line_each_whatever_labels_hold() -> None:
    label = "50% ::error::, a:b\r\n%0A"
    judgement = replace(_only(BROKEN), cases={NASTY: label}, commands={NASTY: "run 'a\nb\r%0A'"})
    (line,) = github.workflow_commands(judgement)
    assert len(line.splitlines()) == 1
    title, separator, message = line.removeprefix("::error title=").partition("::")
    assert separator
    assert not set(title) & set(",:")
    assert _unescaped(title) == "missing: 50% ::error::, a:b %0A"
    assert _unescaped(message).endswith("run 'a\nb\r%0A'")


def test_no_more_annotations_than_github_shows() -> None:
    many = [replace(SLOWER, case_id=f"case {number}") for number in range(30)]
    lines = github.workflow_commands(_only(*many, UNSURE))
    assert len([line for line in lines if line.startswith("::error")]) == github.MOST
    assert lines[9] == "::error title=and 21 more::the job summary names them"
    assert lines[10].startswith("::notice")


def test_failed_measuring_is_a_warning() -> None:
    failed = replace(_only(STEADY), controls=(replace(CALM, failed=True),))
    (line,) = github.workflow_commands(failed)
    assert line.startswith("::warning title=bench::control failed: imdb, lstm")
    (line,) = github.workflow_commands(_only(replace(STEADY, smallest=0.5)))
    assert line.startswith("::warning title=bench::fewer than half")


# ── runs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_runs_for_github_action_benchmark() -> None:
    run, results = made_run(("lstm", "gru"), lengths=(64, 128))
    smaller = _read(str(FORMATS["github-action-benchmark"]([(run, results)])))
    bigger = _read(str(FORMATS["github-action-benchmark-bigger"]([(run, results)])))
    by_name = {one["name"]: one for one in smaller}
    latency = by_name["imdb/lstm/inference/L64/B1: latency_s"]
    assert latency["unit"] == "s"
    assert 1e-4 < latency["value"] < 1e-3
    assert latency["range"].startswith("±")
    assert by_name["imdb/gru/inference/L128/B32: latency_s"]["extra"] == "wide_interval"
    assert {one["name"].rpartition(" ")[2] for one in bigger} == {"throughput_items_per_s", "accuracy"}
    assert len(by_name) == len(smaller)
    for entries, better in ((smaller, Better.LOWER), (bigger, Better.HIGHER)):
        assert {METRICS[one["name"].rpartition(" ")[2]].better for one in entries} == {better}
        assert all(isinstance(one["value"], int | float) for one in entries)


def test_runs_for_bencher() -> None:
    run, results = made_run(("lstm", "gru"), lengths=(64,))
    found = _read(str(FORMATS["bencher"]([(run, results)])))
    latency = found["imdb/lstm/inference/L64/B1"]["latency_s"]
    assert latency["lower_value"] <= latency["value"] <= latency["upper_value"]
    assert found["imdb/lstm/inference/L64/B1"]["parameters"] == {"value": 1_313_410}
    seeds = next(estimates(result)["accuracy"] for result in results if result.case.id == "imdb/lstm/fit/L256")
    told = {"value": seeds.value, "lower_value": seeds.low, "upper_value": seeds.high}
    assert found["imdb/lstm/fit/L256"]["accuracy"] == told  # over seeds, not over test items


@pytest.mark.parametrize("format", ["pytest-benchmark", "github-action-benchmark", "bencher"])
def test_files_of_one_run_refuse_several(format: str) -> None:
    with pytest.raises(UsageError, match=f"--format {format}: found 2 runs"):
        FORMATS[format]([made_quick_run(), made_quick_run()])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 50, 51, 53])
def test_statistics_are_those_of_pytest_benchmark(count: int) -> None:
    draw = random.Random(count)
    samples = [1e-3 + 1e-4 * (draw.expovariate(1) - draw.expovariate(1)) for _ in range(count)]
    theirs = Stats()
    for sample in samples:
        theirs.update(sample)
    ours = pytest_benchmark.statistics(samples)
    assert ours.pop("outliers") == theirs.outliers
    assert ours == pytest.approx({name: theirs.as_dict()[name] for name in ours}, rel=1e-12)
    assert {*ours, "outliers"} == set(Stats.fields)


def test_runs_for_pytest_benchmark() -> None:
    run, results = made_quick_run()
    found = _read(pytest_benchmark.render(run, results))
    timed = [result for result in results if result.case.fit is None and used_trials(result)]
    assert [one["name"] for one in found["benchmarks"]] == [result.case.id for result in timed]
    first, trials = found["benchmarks"][0], used_trials(timed[0])
    assert first["stats"]["rounds"] == len(first["stats"]["data"]) == sum(len(trial.samples_s) for trial in trials)
    assert first["stats"]["iterations"] == 4
    assert first["stats"]["min"] == min(min(trial.samples_s) for trial in trials)
    assert first["group"] == "images, inference, batch 1, fp32"
    assert first["extra_info"]["trials"] == 3
    assert found["commit_info"] == {"id": run.commit, "dirty": False}
    keys = {"group", "name", "fullname", "params", "param", "extra_info", "options", "stats"}
    assert set(first) == keys


def test_pytest_benchmark_compares_two_of_our_runs(tmp_path: Path) -> None:
    for name, (run, results) in {"0001_base": made_run(("lstm", "gru"), (64,)), "0002_head": made_quick_run()}.items():
        (tmp_path / f"{name}.json").write_text(pytest_benchmark.render(run, results))
    files = sorted(str(path) for path in tmp_path.glob("*.json"))
    command = [sys.executable, "-c", "from pytest_benchmark.cli import main; main()", "compare"]
    done = subprocess.run([*command, *files, "--csv=out.csv"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "benchmark 'imdb, inference, length 64, batch 1, fp32': 2 tests" in done.stdout
    assert "images/nbow/inference/B1" in done.stdout
    assert "Failed to load" not in done.stdout + done.stderr
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert len(rows) == 1 + 8 + 5
    grouped = subprocess.run(
        [*command, files[0], "--group-by=param:sequence_length"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "sequence_length=64" in grouped.stdout, grouped.stderr
    between = subprocess.run([*command, *files, "--between=median"], cwd=tmp_path, capture_output=True, text=True)
    assert between.returncode == 0, between.stderr


def test_judged_metrics_of_a_run_are_exported() -> None:
    run, results = made_run(("lstm",), lengths=(64,))
    names = {figure.metric for figure in exports.of_run(run, results)}
    assert {TIME, "parameters", "peak_rss_bytes", "flops_per_item", "operator_count", "accuracy"} <= names
    assert "latency_p99_s" not in names
    assert WORSE.metric in names
