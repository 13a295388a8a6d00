"""A judgement as workflow commands of GitHub, which it shows beside a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.report.judgement import Row, blind_words, control_words, rows
from bench.verdicts import Judgement, Verdict

_LEVELS = {
    Verdict.REGRESSED: "error",
    Verdict.MISSING: "error",
    Verdict.NOT_COMPARABLE: "error",
    Verdict.INCONCLUSIVE: "notice",
}
# GitHub shows so many of a level in one step, and drops the others without a word
MOST = 10


def workflow_commands(judgement: Judgement) -> list[str]:
    """Errors for what fails the gate, warnings where the measuring failed, notices for what could not be told."""
    by_level: dict[str, list[str]] = {"error": [], "warning": [], "notice": []}
    for row in rows(judgement):
        level = _LEVELS.get(row.comparison.verdict)
        if level and not row.comparison.allowed:
            title = ", ".join(part for part in (f"{row.verdict}: {row.case}", row.metric) if part)
            by_level[level].append(_command(level, title, "\n".join(_message(row))))
    failed = [control_words(judgement, control) for control in judgement.controls if control.failed]
    by_level["warning"] += [_command("warning", "bench", words) for words in (*failed, *blind_words(judgement))]
    return [line for level, found in by_level.items() for line in _limited(level, found)]


def _message(row: Row) -> Iterator[str]:
    if row.change:
        yield f"{row.base} -> {row.head}, {row.change}"
    yield row.why
    if row.advice:
        yield row.advice
    if row.command:
        yield f"measure it again: {row.command}"


def _limited(level: str, found: Sequence[str]) -> Sequence[str]:
    if len(found) <= MOST:
        return found
    return [*found[: MOST - 1], _command(level, f"and {len(found) - MOST + 1} more", "the job summary names them")]


def _command(level: str, title: str, message: str) -> str:
    # the escaping of GitHub's own toolkit; a property ends at a colon or a comma, too
    return f"::{level} title={_escaped(title).replace(':', '%3A').replace(',', '%2C')}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
