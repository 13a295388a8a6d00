"""`bench recommend` on stored runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from made_results import Made, observed
from test_recommendation import ACCURATE, ALL

from bench import store
from bench.cli import main


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one run in it, and a screen of 100 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    _store(ALL)
    return tmp_path


def _store(variants: Sequence[Made], **more: Any) -> None:
    run, seen = observed(variants, **more)
    folder = store.create(Path("results"), run)
    for observation in seen:
        folder.append(observation)
    folder.close()


def _recommend(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(["recommend", *arguments])
    return int(exit_info.value.code or 0)


def test_the_choice_comes_first_then_why_the_table_and_what_would_change_it(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _recommend("--max-latency", "15ms", "--min-score", "75%") == 0
    said = capsys.readouterr().out
    lines = [line.rstrip() for line in said.splitlines()]
    assert lines[:2] == [
        "Take quick (reviews: inference, length 64, batch 32).",
        "1 of 3 meets the limits: accuracy at least 75.0 % and latency at most 15.0 ms.",
    ]
    assert [line.split()[0] for line in lines if line.endswith("MiB")] == ["accurate", "quick", "small"]
    assert said.index("≤ 15 ms") < said.index("With --max-latency 20.3ms: accurate (accuracy +10.0 points")


def test_that_nothing_keeps_to_the_limits_is_a_finding(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _recommend("--min-accuracy", "0.99", "--length", "64", "--batch", "32", "--workload", "inference") == 0
    assert capsys.readouterr().out.startswith(
        "Nothing meets every limit (reviews: inference, length 64, batch 32).\nNearest: "
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--max-latency", "soon"], "--max-latency: 'soon' is not a time; expected one such as 150s, 2m, 1h or 5ms"),
        (["--max-latency", "0ms"], "--max-latency: found 0ms, which nothing can keep to; expected more than 0"),
        (
            ["--max-memory", "2 apples"],
            "--max-memory: '2 apples' is not a size; expected one such as 512MiB, 2GB or 2GiB",
        ),
        (["--min-accuracy", "85"], "--min-accuracy: '85' is no share of one; write 85% or 0.85"),
        (
            ["--max-score", "0.5"],
            "task 'reviews': its score is accuracy, higher is better, so --max-score does not fit",
        ),
        (["--length", "100"], "task 'reviews': this run has no speed cases of sequence length 100; it has inference"),
        (["--task", "review"], "--task review: this run has no such task; did you mean 'reviews'?"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert _recommend(*arguments) == 2
    assert sentence in capsys.readouterr().err


def test_a_run_without_speed_cases_has_nothing_to_choose_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _store([ACCURATE], lengths=())
    assert _recommend() == 2
    assert "has no speed cases, so there is nothing to choose by" in capsys.readouterr().err


def test_programs_pull_requests_and_files(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _recommend("--format", "json", "--max-memory", "20MB") == 0
    (made,) = json.loads(capsys.readouterr().out)
    assert (made["choice"], made["limits"]) == (["small"], {"memory": 20_000_000})
    assert _recommend("--format", "markdown") == 0
    said = capsys.readouterr().out
    assert said.startswith("**Take accurate ")
    assert "\n|" not in said
    assert _recommend("--format", "markdown", "--max-latency", "1s") == 0
    assert "\n| accurate | **take** |" in capsys.readouterr().out
    assert _recommend("--output", "said.txt") == 0
    assert capsys.readouterr().out == "said.txt\n"
    assert (place / "said.txt").read_text().startswith("Take accurate ")


@pytest.mark.slow
def test_the_page_takes_the_limits(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _recommend("--format", "html", "--max-latency", "15ms") == 0
    page = Path(capsys.readouterr().out.strip()).read_text()
    assert "Which one to take" in page
    assert "Take quick (reviews: inference, length 64, batch 32)." in page
