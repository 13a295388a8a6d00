"""What `bench report` puts stored runs beside: the baseline that is named, the only one there is, and each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from stored import MACHINE, OTHER_TORCH, observed, speed, stored, trained

from bench import baseline
from bench.cli import main
from bench.errors import ExitCode
from bench.observations import Observation
from bench.records import Case, Machine
from bench.store import RunFolder

LSTM, GRU = speed("lstm"), speed("gru")
BASE, HEAD, THIRD = "20260101T000000Z-made-a", "20260102T000000Z-made-b", "20260103T000000Z-made-c"
_DAYS = {BASE: "2026-01-01T00:00:00Z", HEAD: "2026-01-02T00:00:00Z", THIRD: "2026-01-03T00:00:00Z"}


def leave(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return int(exit_info.value.code or 0)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name: str, seconds: float, *cases: Case, machine: Machine = MACHINE, **more: object) -> RunFolder:
    cases = cases or (LSTM,)
    seen = [one for case in cases for one in observed(case, seconds=seconds)]
    return stored(Path("results"), seen, *cases, name=name, machine=machine, created=_DAYS[name], **more)


def page(*arguments: str) -> str:
    assert leave("report", *arguments, "--output", "page.html") == ExitCode.OK
    return re.sub(r"\s+", " ", Path("page.html").read_text(encoding="utf-8"))


def test_a_named_baseline_is_judged_against() -> None:
    baseline.save(Path("results"), "main", run(BASE, 0.002, LSTM, GRU))
    run(HEAD, 0.003, LSTM, GRU)
    text = page(HEAD, "--baseline", "main")
    assert ">Against the baseline main</h2>" in text
    # nothing was confirmed, and `check --run` says the same
    assert "2 regressed, 12 unchanged" in text
    assert text.count("+50.0 %") == 2
    assert "beyond what one machine drifts between two runs" in text


def test_a_run_may_be_named_as_the_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    run(BASE, 0.002)
    run(HEAD, 0.002)
    assert f"Against the baseline {BASE}" in page(HEAD, "--baseline", "20260101")
    assert leave("report", HEAD, "--baseline", "20260101", "--format", "markdown") == ExitCode.OK
    assert f"against {BASE}" in capsys.readouterr().out


def test_the_only_baseline_of_the_machine_and_suite_is_used_unasked() -> None:
    results = Path("results")
    first = run(BASE, 0.002)
    baseline.save(results, "main", first)
    assert "Against the baseline" not in page(BASE)  # it is the baseline itself
    run(HEAD, 0.002)
    assert "Against the baseline main" in page(HEAD)
    run(THIRD, 0.002, machine=OTHER_TORCH)
    assert "Against the baseline" not in page(THIRD)
    baseline.save(results, "older", first)
    assert "Against the baseline" not in page(HEAD)  # which of the two?
    assert "Against the baseline older" in page(HEAD, "--baseline", "older")


def test_a_baseline_that_nobody_asked_for_never_costs_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    kept = baseline.save(Path("results"), "main", run(BASE, 0.002))
    run(HEAD, 0.002)
    (kept / "cases.jsonl").write_text("half", encoding="utf-8")
    assert "Against the baseline" not in page(HEAD)
    assert "note: no comparison with a baseline" in capsys.readouterr().err
    assert leave("report", HEAD, "--baseline", "main") == ExitCode.USAGE


def test_of_another_machine_only_sizes_are_judged() -> None:
    baseline.save(Path("results"), "main", run(BASE, 0.002))
    run(HEAD, 0.2, machine=OTHER_TORCH)
    text = page(HEAD, "--baseline", "main")
    assert "Another machine (torch 2.13.0 -&gt; 2.12.0): only what does not depend on it is judged." in text
    assert "regressed" not in text


def test_a_baseline_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    baseline.save(Path("results"), "main", run(BASE, 0.002))
    assert leave("report", BASE, "--baseline", "mian") == ExitCode.USAGE
    assert "--baseline mian: neither a baseline nor a run; did you mean 'main'?" in capsys.readouterr().err
    assert leave("report", BASE, "--baseline", "main", "--format", "csv") == ExitCode.USAGE
    assert "--format csv has no place for it; expected html or markdown" in capsys.readouterr().err


def test_later_runs_of_a_machine_are_judged_against_its_first() -> None:
    run(BASE, 0.002)
    run(HEAD, 0.002, machine=OTHER_TORCH)
    run(THIRD, 0.003)
    text = page(BASE, HEAD, THIRD)
    assert "torch 2.13.0, 2026-01-03 against torch 2.13.0, 2026-01-01" in text
    assert text.count(" against torch") == 1
    assert "1 regressed, 6 unchanged" in text
    assert "Against the baseline" not in text


def test_a_run_that_is_named_twice_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    run(BASE, 0.002)
    assert "Side by side" not in page(BASE, "latest", f"results/{BASE}")
    assert capsys.readouterr().err.count("named twice, told once") == 2


def test_markdown_holds_what_the_page_does(capsys: pytest.CaptureFixture[str]) -> None:
    baseline.save(Path("results"), "main", run(BASE, 0.002, LSTM, trained()))
    run(HEAD, 0.003, LSTM, trained())
    assert leave("report", HEAD, "--baseline", "main", "--format", "markdown") == ExitCode.OK
    alone = capsys.readouterr().out
    assert alone.startswith("## made\n")
    assert "against main" in alone
    assert "| **regressed** | imdb, lstm, inference, length 64, batch 8 | latency |" in alone
    assert leave("report", BASE, HEAD, "--format", "markdown") == ExitCode.OK
    both = capsys.readouterr().out
    assert both.startswith("## made: 2 runs side by side\n")
    assert "2026-01-01<br>throughput | 2026-01-01<br>latency" in both
    assert both.count("<details>") == both.count("</details>") == 2
    assert both.index("| **regressed** |") < both.index("<details>")


def test_a_run_of_nothing_but_a_plan_is_told() -> None:
    results = Path("results")
    empty: Sequence[Observation] = ()
    for name in (BASE, HEAD):
        stored(results, empty, LSTM, GRU, name=name, created=_DAYS[name], ended=False)
    text = page(BASE, HEAD)
    assert ": 2 runs</h1>" in text
    assert "not measured yet" in text


def test_the_machine_of_a_run_decides_and_not_this_one() -> None:
    machine = replace(MACHINE, name="far away", hard={**MACHINE.hard, "cores": 99})
    baseline.save(Path("results"), "main", run(BASE, 0.002, machine=machine))
    run(HEAD, 0.003, machine=machine)
    assert "1 regressed, 6 unchanged" in page(HEAD)
