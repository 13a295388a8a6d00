"""Every error that a user can meet: one sentence (where, found, expected, what to do) and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """What `python -m bench` leaves behind for a shell or a CI job."""

    OK = 0
    REGRESSED = 1
    USAGE = 2
    INCONCLUSIVE = 3
    NOT_COMPARABLE = 4
    INCOMPLETE = 5
    INTERRUPTED = 130


class BenchError(Exception):
    """The root: caught once, in the command line, which prints the sentence and exits with the code."""

    exit_code: ExitCode = ExitCode.USAGE


class UsageError(BenchError):
    """The command line asks for something that does not exist or does not fit."""


class SuiteError(BenchError):
    """A suite file is wrong; carries every problem that was found in it, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class DataError(BenchError):
    """A data set is not here and no provider could bring it, or it is not what was expected."""


class StoreError(BenchError):
    """Results cannot be written or read."""


class ModelError(BenchError):
    """A user's own model or task cannot be imported or built."""


class NotMeasuredError(BenchError):
    """A case cannot be measured on this machine, or of this model: a finding, whose outcome is `skipped`."""


class NotComparableError(BenchError):
    """Two things may not be put side by side: another machine, commit, torch or schema."""

    exit_code = ExitCode.NOT_COMPARABLE


class WorkerError(BenchError):
    """The measuring server itself could not be started or broke its protocol."""

    exit_code = ExitCode.INCOMPLETE
