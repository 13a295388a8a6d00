"""How `compare`, `check` and `ab` tell their judgement: the screen, files, GitHub, and the exit code."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import ExitCode, StoreError

if TYPE_CHECKING:
    from bench.verdicts import Judgement

# GitHub takes no summary above a megabyte; a row has some 300 characters
SUMMARY_ROWS = 500


class JudgementFormat(StrEnum):
    """What a judgement is turned into."""

    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"
    GITHUB_ACTION_BENCHMARK = "github-action-benchmark"
    GITHUB_ACTION_BENCHMARK_BIGGER = "github-action-benchmark-bigger"
    BENCHER = "bencher"


JudgementFormatOption = Annotated[
    JudgementFormat,
    typer.Option(
        "--format",
        help="For people, for pull requests, or for programs; github-action-benchmark has an array a direction.",
    ),
]
JudgementOutputOption = Annotated[
    Path | None, typer.Option("--output", help="File to write; the judgement goes to the screen if none is named.")
]
JunitOption = Annotated[Path | None, typer.Option("--junit", help="JUnit XML file to write beside all else.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Leave with 3 where anything is inconclusive.")]
AllOption = Annotated[bool, typer.Option("--all", help="List what is unchanged, too.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where a judgement goes, and how.

    Attributes:
        output: a file instead of the screen.
        strict: inconclusive is not good enough.
        all: rows that are unchanged, too.
    """

    format: JudgementFormat = JudgementFormat.TABLE
    output: Path | None = None
    junit: Path | None = None
    strict: bool = False
    all: bool = False


def tell(judgement: Judgement, outputs: Outputs) -> ExitCode:
    """Tell a judgement wherever it is wanted, and answer the exit code.

    Raises:
        StoreError: a file cannot be written.
    """
    from bench.cli.outcomes import worst
    from bench.cli.report import write
    from bench.report import github, judgement_markdown, junit
    from bench.report.judgement import summary

    if outputs.output is not None:
        write(outputs.output, _made(judgement, outputs).encode(), "--output")
        print(summary(judgement))
        print(outputs.output)
    elif outputs.format is JudgementFormat.TABLE:
        _show(judgement, outputs)
    else:
        sys.stdout.write(_made(judgement, outputs))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in github.workflow_commands(judgement):
            # GitHub reads both streams, and a program may read the other one
            print(line, file=sys.stderr)
    if outputs.junit is not None:
        write(outputs.junit, junit.render(judgement), "--junit")
    if place := os.environ.get("GITHUB_STEP_SUMMARY"):
        _append(Path(place), judgement_markdown.render(judgement, most=SUMMARY_ROWS))
    return worst(judgement.exit_codes(strict=outputs.strict))


def _show(judgement: Judgement, outputs: Outputs) -> None:
    from bench.cli.judgement_table import shown
    from bench.cli.screen import console

    screen = console()
    screen.print(shown(judgement, screen.width, every=outputs.all), crop=False)


def _made(judgement: Judgement, outputs: Outputs) -> str:
    from bench.quantity import Better
    from bench.report import exports, judgement_markdown

    match outputs.format:
        case JudgementFormat.TABLE:
            return _table(judgement, outputs)
        case JudgementFormat.MARKDOWN:
            return judgement_markdown.render(judgement, every=outputs.all)
        case JudgementFormat.JSON:
            return exports.judgement_json(judgement)
        case JudgementFormat.GITHUB_ACTION_BENCHMARK:
            return exports.github_benchmark(exports.of_judgement(judgement), Better.LOWER)
        case JudgementFormat.GITHUB_ACTION_BENCHMARK_BIGGER:
            return exports.github_benchmark(exports.of_judgement(judgement), Better.HIGHER)
        case JudgementFormat.BENCHER:
            return exports.bencher(exports.of_judgement(judgement))


def _table(judgement: Judgement, outputs: Outputs) -> str:
    from bench.cli.judgement_table import shown
    from bench.cli.output import FILE_WIDTH, as_text

    return as_text([shown(judgement, FILE_WIDTH, every=outputs.all)])


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        reason = f"the job summary cannot be written ({error.strerror})"
        raise StoreError(f"{path}: {reason}; point GITHUB_STEP_SUMMARY at a file that can") from error
