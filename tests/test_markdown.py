"""Markdown for a pull request: short, true, and text as it was written."""

from __future__ import annotations

import re
from dataclasses import replace

from made_judgement import made_judgement
from made_run import golden, made_run
from made_runs import OTHER, later, slower
from markupsafe import Markup

from bench.report import markdown
from bench.report.markdown_text import escaped, folded, sentence

NASTY = "</summary><b>*x*</b> | `y`\n# z <strong>w</strong>"


def test_a_usual_run_is_short() -> None:
    lines = markdown.render([made_run()]).splitlines()
    assert len(lines) <= 60
    at = lines.index("<details><summary>Throughput at every size</summary>")
    assert at < 30


def test_side_by_side_is_the_golden_one() -> None:
    small = made_run(("nbow", "lstm"), lengths=(64, 256))
    made = markdown.render([small, later(slower(small, {"nbow": 0.5}), machine=OTHER)])
    assert made == golden("side_by_side.md", made)


def test_strong_words_are_bold_and_all_else_is_text() -> None:
    told = Markup("<strong>{}</strong> ({}) is the fastest.").format(NASTY, "1 < 2 & 3")
    bold = r"**\</summary\>\<b\>\*x\*\</b\> \| \`y\` \# z \<strong\>w\</strong\>**"
    assert sentence(told) == rf"{bold} (1 \< 2 & 3) is the fastest."
    assert sentence("<strong>a</strong>") == r"\<strong\>a\</strong\>"
    assert escaped("  a\n b ") == "a b"
    assert sentence(Markup("<strong>a</strong> and <strong>b</strong>.")) == "**a** and **b**."


def test_a_fold_cannot_be_broken_by_its_title() -> None:
    assert next(iter(folded(NASTY, []))) == (
        "<details><summary>&lt;/summary&gt;&lt;b&gt;*x*&lt;/b&gt; | `y` # z &lt;strong&gt;w&lt;/strong&gt;</summary>"
    )


def test_hostile_names_break_no_table() -> None:
    nasty = replace(OTHER, name=NASTY)
    small = made_run(("nbow", "<script>alert(1)</script>"), lengths=(64, 256))
    lines = markdown.render([small, later(small, machine=nasty)]).splitlines()
    tables: list[list[int]] = [[]]
    for line in lines:
        if line.startswith("|"):
            tables[-1].append(len(re.findall(r"(?<!\\)\|", line)))
        elif tables[-1]:
            tables.append([])
    assert len(tables) > 5
    assert all(len(set(widths)) <= 1 for widths in tables)
    tags = {tag for line in lines for tag in re.findall(r"(?<!\\)<(/?\w+)", line)}
    assert tags == {"details", "/details", "summary", "/summary", "br"}


def test_the_judgement_stands_below() -> None:
    text = markdown.render([made_run(("lstm",))], baselines=[made_judgement()])
    assert text.index("## sentiment") < text.index("## suite ci: main against HEAD")
    assert "| **regressed** | imdb, lstm, inference, length 256, batch 32 | latency |" in text


def test_marks_are_starred_where_no_column_names_them() -> None:
    text = markdown.render([made_run()])
    league, grids = text.split("<details>")
    assert r"\*" not in league
    assert r"3.24 k/s\* ±13.2 %" in grids
    assert r"Marked \*: breaks a contract (8), noisy (1), wide interval (2)." in grids
