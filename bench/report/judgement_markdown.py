"""A judgement as Markdown for a pull request or a job summary."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bench.report.judgement import Row, remarks, rows, summary
from bench.report.markdown_text import escaped
from bench.verdicts import Judgement


def render(judgement: Judgement, *, every: bool = False, most: int | None = None) -> str:
    """The sentence, what must be known, a row a comparison, and the commands that repeat them.

    `every`: also what is unchanged. `most`: so many rows at most; a job summary may not be longer than a megabyte.
    """
    found = rows(judgement, every=every)
    return "".join(f"{line}\n" for line in _lines(judgement, found[:most], len(found)))


def _lines(judgement: Judgement, shown: Sequence[Row], count: int) -> Iterator[str]:
    yield f"## {escaped(judgement.title)}"
    yield ""
    yield f"**{escaped(summary(judgement))}**"
    yield ""
    for remark in remarks(judgement):
        yield f"> {escaped(remark)}"
        yield ""
    if not shown:
        return
    yield f"| | case | metric | {escaped(judgement.base)} | {escaped(judgement.head)} | change | why |"
    yield "|:--|:--|:--|--:|--:|:--|:--|"
    for row in shown:
        cells = (row.case, row.metric, row.base, row.head, row.change)
        why = "<br>".join(escaped(words) for words in (row.why, row.advice) if words)
        yield f"| **{escaped(row.verdict)}** | {' | '.join(map(escaped, cells))} | {why} |"
    yield ""
    if count > len(shown):
        yield f"And {count - len(shown)} more."
        yield ""
    yield from _commands(shown)


def _commands(shown: Sequence[Row]) -> Iterator[str]:
    commands = {row.comparison.case_id: (row.case, row.command) for row in shown if row.command}
    if not commands:
        return
    longest = max(len(run) for _, text in commands.values() for run in re.findall("`+", text) or [""])
    fence = "`" * max(3, longest + 1)
    yield "<details><summary>Measure a row again</summary>"
    yield ""
    yield f"{fence}sh"
    for case, command in commands.values():
        yield f"# {case}"
        yield command
    yield fence
    yield ""
    yield "</details>"
    yield ""
