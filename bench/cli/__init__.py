"""The command line: the only place that prints, parses arguments and exits. Commands import what they need when they run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

import bench
from bench.cli import ab, baseline, check, compare, data, doctor, history, listing, predict, recommend, report, run
from bench.errors import BenchError, ExitCode, SuiteError

app = typer.Typer(
    name="bench",
    help="Compare neural architectures honestly: throughput, memory and accuracy, with error bars.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # an unexpected exception is a bug, and its plain traceback belongs into the report
)
app.command("run")(run.run)
app.command("report")(report.report)
app.command("recommend")(recommend.recommend)
app.command("ab")(ab.ab)
app.command("check")(check.check)
app.command("compare")(compare.compare)
app.command("history")(history.history)
app.command("predict")(predict.predict)
app.command("doctor")(doctor.doctor)
app.add_typer(listing.app, name="list")
app.add_typer(data.app, name="data")
app.add_typer(baseline.app, name="baseline")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"bench {bench.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options before any command."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; errors that a user can meet become one message on stderr and their exit code."""
    if sys.platform == "win32":
        _fail(["bench forks its workers, which Windows cannot; run it in WSL or on Linux"], ExitCode.USAGE)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(run.with_resume_value(given), prog_name="bench")
    except BenchError as error:
        _fail(error.problems if isinstance(error, SuiteError) else [str(error)], error.exit_code)
    sys.exit(ExitCode.OK)


def _fail(sentences: Sequence[str], code: ExitCode) -> NoReturn:
    for sentence in sentences:
        print(f"error: {sentence}", file=sys.stderr)
    sys.exit(int(code))
