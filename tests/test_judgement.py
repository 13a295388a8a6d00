"""A judgement told: in words, on the screen, as Markdown, through the one place that all commands tell it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_judgement import (
    ALLOWED,
    ANOTHER,
    BROKEN,
    CALM,
    EQUAL,
    FIT,
    LARGER,
    LOST,
    NASTY,
    SLOWER,
    SMALLER,
    STEADY,
    TORN,
    UNSURE,
    WORSE,
    made_judgement,
)
from made_run import golden
from rich.cells import cell_len
from rich.console import Console

from bench.cli.judged import JudgementFormat, Outputs, tell
from bench.cli.judgement_table import shown
from bench.errors import ExitCode, StoreError
from bench.report.judgement import ADVICE, blind_words, control_words, remarks, row, rows, summary
from bench.report.judgement_markdown import render
from bench.verdicts import WORDS, Judgement, Reason, Verdict


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever machine the tests run on, GitHub hears nothing of them."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def _judgement(*comparisons: object, **more: object) -> Judgement:
    return replace(made_judgement(), comparisons=comparisons, **more)  # type: ignore[arg-type]


def _screen(judgement: Judgement, width: int, *, every: bool = False) -> str:
    console = Console(width=width, color_system=None, force_terminal=False, highlight=False)
    with console.capture() as capture:
        console.print(shown(judgement, width, every=every), crop=False)
    return capture.get()


# ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_slower_case_in_words() -> None:
    told = row(made_judgement(), SLOWER)
    assert told.verdict == "regressed"
    assert told.case == "imdb, lstm, inference, length 256, batch 32"
    assert (told.metric, told.base, told.head) == ("latency", "1.24 ms", "1.31 ms")
    assert told.change == "+5.2 % (4.1 to 6.3)"
    assert told.why == "found, and found again in fresh pairs, whose change is shown"
    assert told.command.startswith("python -m bench ab main HEAD")


def test_scores_change_by_points_and_everything_else_by_per_cent() -> None:
    told = row(made_judgement(), WORSE)
    assert (told.base, told.head, told.change) == ("87.1 %", "84.6 %", "-2.5 points (-3.4 to -1.6)")
    assert told.why == "beyond the threshold (1.0 points)"
    assert row(made_judgement(), SMALLER).change == "-24.5 %"
    nats = replace(WORSE, metric="test_loss", base=0.351, head=0.368, change=0.017, low=0.004, high=0.03)
    assert row(made_judgement(), nats).change == "+0.0170 nats (0.0040 to 0.0300)"
    own = replace(WORSE, metric="a_task_of_ones_own")
    assert row(made_judgement(), own).metric == "a_task_of_ones_own"


def test_a_single_parameter_shows() -> None:
    told = row(made_judgement(), LARGER)
    assert (told.base, told.head, told.change) == ("1,313,410", "1,313,510", "+0.0076 %")
    assert told.why == "beyond the threshold (any change counts)"
    from_nothing = replace(LARGER, metric="graph_breaks", base=0.0, head=2.0, change=float("inf"))
    assert row(made_judgement(), from_nothing).change == "from 0"


def test_inconclusive_says_what_would_have_been_seen() -> None:
    told = row(made_judgement(), UNSURE)
    assert told.change == "+2.1 % (-1.2 to 5.5)"
    assert told.why == "the interval reaches beyond the threshold (3.0 %); would have seen >= 4.1 %"
    assert told.advice
    assert "would have seen" not in row(made_judgement(), SLOWER).why
    assert row(made_judgement(), TORN).why == "p10 and median point in opposite directions; p90 -8.0 %"
    few = replace(WORSE, verdict=Verdict.INCONCLUSIVE, reason=Reason.FEW_SEEDS)
    assert row(made_judgement(), few).why.endswith("would have seen >= 1.9 points")


def test_every_reason_has_words_and_what_fails_a_gate_has_advice() -> None:
    assert set(WORDS) == set(Reason)
    missing = {Reason.NOT_IN_HEAD, Reason.NOT_IN_BASE, Reason.FAILED, Reason.NO_VALUE, Reason.OTHER_DEFINITION}
    assert missing <= set(ADVICE)
    assert "allow_missing in [gate]" in row(made_judgement(), LOST).advice
    assert "save the baseline anew" in row(made_judgement(), ANOTHER).advice
    assert row(made_judgement(), ALLOWED).advice == ""
    assert row(made_judgement(), ALLOWED).verdict == "missing (allowed)"
    for reason in Reason:
        for verdict in Verdict:
            told = row(made_judgement(), replace(SLOWER, verdict=verdict, reason=reason))
            assert WORDS[reason] in told.why
            assert told.verdict == verdict.value


def test_words_of_others_are_one_line_that_no_terminal_obeys() -> None:
    told = row(made_judgement(), BROKEN)
    assert told.case.startswith("imdb, a|b <i>`c`</i> [31m 100 %: é ::error::no, inference")
    assert told.why == "it failed: RuntimeError: a & b ]]> ```sh"
    assert all(text.isprintable() for text in (told.case, told.why))


def test_what_needs_a_look_first_and_unchanged_only_if_asked_for() -> None:
    order = [one.comparison.verdict for one in rows(made_judgement())]
    assert order == sorted(order, key=list(Verdict).index)
    assert Verdict.UNCHANGED not in order
    first = [one.comparison for one in rows(made_judgement())][:3]
    assert first == [SLOWER, WORSE, LARGER]
    every = rows(made_judgement(), every=True)
    assert [one.comparison for one in every[len(order) :]] == [STEADY, EQUAL]


def test_the_sentence_counts_every_row() -> None:
    assert summary(made_judgement()) == (
        "3 regressed, 2 missing, 1 missing (allowed), 1 not comparable, 2 inconclusive, 1 improved, 2 unchanged; "
        "the control saw no difference"
    )
    assert summary(_judgement(EQUAL, STEADY, controls=())) == "2 unchanged"
    assert summary(_judgement(controls=())) == "nothing was compared"
    failed = replace(CALM, failed=True)
    assert summary(_judgement(EQUAL, controls=(failed,))) == "1 unchanged; the control failed"
    assert summary(_judgement(EQUAL, controls=(failed, CALM))) == "1 unchanged; 1 of 2 controls failed"
    assert summary(_judgement(EQUAL, controls=(CALM, CALM))) == "1 unchanged; 2 controls saw no difference"


def test_controls_say_what_they_saw() -> None:
    judgement = made_judgement()
    assert control_words(judgement, CALM) == (
        "control: imdb, lstm, inference, length 256, batch 32: identical code differed by +0.1 % (-0.9 to 1.1), at 99.9 %"
    )
    slower = replace(CALM, failed=True, change=0.05, low=0.03, high=0.07)
    assert "+5.0 % (3.0 to 7.0), at 99.9 %, so times cannot be believed" in control_words(judgement, slower)
    wide = replace(CALM, failed=True, low=-0.1, high=0.1)
    assert "too wide to tell" in control_words(judgement, wide)
    assert "too little was measured" in control_words(judgement, replace(CALM, failed=True, change=None))


def test_a_gate_that_could_not_have_seen_anything_says_so() -> None:
    blind = replace(STEADY, smallest=0.3)
    assert ExitCode.INCONCLUSIVE in _judgement(blind).exit_codes()
    (words,) = blind_words(_judgement(blind))
    assert words in remarks(_judgement(blind))
    assert words in " ".join(_screen(_judgement(blind), 80).split())
    assert not list(blind_words(_judgement(STEADY)))
    assert not list(blind_words(_judgement(STEADY, controls=(replace(CALM, failed=True),))))


# ── the screen ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen_is_the_golden_one(width: int) -> None:
    made = _screen(made_judgement(), width, every=width == 120)
    assert made == golden(f"judgement_{width}.txt", made)


@pytest.mark.parametrize("width", [80, 120])
def test_only_commands_are_wider_than_the_screen(width: int) -> None:
    lines = _screen(made_judgement(), width, every=True).splitlines()
    assert max(cell_len(line) for line in lines if "python -m bench" not in line) <= width
    assert [line for line in lines if "python -m bench" in line and "\x1b" not in line]


def test_figures_stand_below_each_other() -> None:
    lines = _screen(made_judgement(), 80, every=True).splitlines()
    (heads,) = [line for line in lines if line.split() == ["base", "head", "change"]]
    for one in (SLOWER, WORSE, UNSURE, EQUAL):
        told = row(made_judgement(), one)
        (line,) = [line for line in lines if line.startswith(f"  {told.metric} ") and told.change in line]
        assert line.index(told.change) == heads.index("change")
        assert line[: heads.index("base") + len("base")].endswith(told.base)
        assert line[: heads.index("head") + len("head")].endswith(told.head)


def test_rows_of_one_case_share_its_heading_and_command() -> None:
    text = _screen(_judgement(SLOWER, LARGER, WORSE), 80)
    assert text.count("imdb, lstm, inference") == 2  # the heading, and the control
    assert text.count("python -m bench") == 2


def test_colours_say_which_way() -> None:
    console = Console(width=80, force_terminal=True, color_system="standard", highlight=False)
    with console.capture() as capture:
        console.print(shown(_judgement(SLOWER, UNSURE, SMALLER, controls=()), 80))
    text = capture.get()
    for colour, word in ((31, "regressed"), (33, "inconclusive"), (32, "improved")):
        assert f"\x1b[1;{colour}m{word}\x1b[0m" in text
    assert text.rstrip().splitlines()[-1].startswith("\x1b[1;31m1 regressed")


# ── Markdown ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_markdown_is_the_golden_one() -> None:
    made = render(made_judgement())
    assert made == golden("judgement.md", made)


def test_markdown_cells_show_what_was_written() -> None:
    lines = render(_judgement(BROKEN)).splitlines()
    (line,) = [line for line in lines if line.startswith("| **")]
    assert r"a\|b \<i\>\`c\`\</i\>" in line
    assert len(re.findall(r"(?<!\\)\|", line)) == 8
    assert "<br>mend it" in line


def test_commands_stand_in_a_fence_that_nothing_in_them_closes() -> None:
    command = "bench run --filter '````'"
    lines = render(_judgement(BROKEN, commands={NASTY: command})).splitlines()
    place = lines.index(command)
    assert lines[place - 2] == "`````sh"
    assert lines[place + 1] == "`````"


def test_a_summary_of_very_many_rows_is_cut() -> None:
    many = [replace(SLOWER, case_id=f"case {number}") for number in range(20)]
    text = render(_judgement(*many), most=5)
    assert text.count("| **regressed** |") == 5
    assert "And 15 more." in text
    assert "20 regressed" in text


# ── telling ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tell_shows_the_table_and_answers_the_gravest_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(made_judgement(), Outputs()) is ExitCode.REGRESSED
    out, err = capsys.readouterr()
    assert "+5.2 % (4.1 to 6.3)" in out
    assert "operators" not in out
    assert "\x1b" not in out
    assert err == ""
    assert tell(_judgement(EQUAL), Outputs(all=True)) is ExitCode.OK
    assert "operators" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("comparison", "strict", "code"),
    [
        (SLOWER, False, ExitCode.REGRESSED),
        (LOST, False, ExitCode.INCOMPLETE),
        (ALLOWED, False, ExitCode.OK),
        (ANOTHER, False, ExitCode.NOT_COMPARABLE),
        (UNSURE, False, ExitCode.OK),
        (UNSURE, True, ExitCode.INCONCLUSIVE),
        (SMALLER, True, ExitCode.OK),
    ],
)
def test_exit_codes(comparison: object, strict: bool, code: ExitCode) -> None:
    assert tell(_judgement(comparison), Outputs(strict=strict)) is code


@pytest.mark.parametrize("format", list(JudgementFormat))
def test_every_format_goes_to_a_file_or_the_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], format: JudgementFormat
) -> None:
    tell(made_judgement(), Outputs(format=format))
    printed = capsys.readouterr().out
    path = tmp_path / "deep" / "told"
    tell(made_judgement(), Outputs(format=format, output=path))
    said = capsys.readouterr().out
    assert said.splitlines() == [summary(made_judgement()), str(path)]
    stored = path.read_text(encoding="utf-8")
    assert "+5.2 % (4.1 to 6.3)" in stored or json.loads(stored)
    if format is not JudgementFormat.TABLE:
        assert printed == stored


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    inside = tmp_path / "file" / "x"
    with pytest.raises(StoreError, match="--junit"):
        tell(made_judgement(), Outputs(junit=inside))
    with pytest.raises(StoreError, match="--output"):
        tell(made_judgement(), Outputs(output=inside))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(inside))
    with pytest.raises(StoreError, match="GITHUB_STEP_SUMMARY"):
        tell(made_judgement(), Outputs())


def test_github_gets_a_summary_and_annotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "summary.md").write_text("before\n")
    tell(made_judgement(), Outputs(format=JudgementFormat.JSON, junit=tmp_path / "junit.xml"))
    out, err = capsys.readouterr()
    json.loads(out)
    assert err.startswith("::error title=regressed%3A imdb%2C lstm")
    assert (tmp_path / "summary.md").read_text() == f"before\n{render(made_judgement())}"
    assert (tmp_path / "junit.xml").read_bytes().startswith(b"<?xml")


def test_telling_imports_no_heavy_library() -> None:
    code = (
        "import sys\nfrom made_judgement import made_judgement\nfrom bench.cli.judged import Outputs, tell\n"
        "tell(made_judgement(), Outputs())\nprint(*sys.modules)"
    )
    found = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": found}
    )
    assert not set(done.stdout.splitlines()[-1].split()) & {"torch", "pandas", "matplotlib", "scipy.stats"}


def test_the_case_id_stands_where_there_are_no_words() -> None:
    assert row(_judgement(WORSE, cases={}), WORSE).case == FIT


def test_a_number_keeps_its_sign_and_lines_have_no_blank_ends() -> None:
    for width in range(60, 130):
        lines = _screen(made_judgement(), width).splitlines()
        assert not [line for line in lines if line.lstrip().startswith("%") or line.endswith(">=")]
        assert lines == [line.rstrip() for line in lines]


def test_what_was_not_measured_shows_no_values() -> None:
    other = replace(STEADY, base=None, head=None, change=None, low=None, high=None, reason=Reason.OTHER_MACHINE)
    told = row(made_judgement(), replace(other, verdict=Verdict.NOT_COMPARABLE))
    assert (told.metric, told.base, told.head, told.change) == ("latency", "", "", "")
    assert told.advice == "save a baseline on this machine"
    gone = replace(LARGER, head=None, change=None, verdict=Verdict.MISSING, reason=Reason.NO_VALUE)
    assert row(made_judgement(), gone).head == "n/a"
