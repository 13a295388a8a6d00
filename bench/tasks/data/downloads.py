"""How bytes come to this machine: from an address, by way of pip, by way of npm. What comes is checked elsewhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.errors import DataError

Watch = Callable[[int], None]
"""Takes the number of bytes so far."""

TIMEOUT_S = 10.0
_CHUNK_BYTES = 1 << 20
_POLL_S = 0.1


def download(url: str, goal: Path, watch: Watch) -> None:
    """A file at an address."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, goal.open("wb") as file:
        watch(0)
        while chunk := answer.read(_CHUNK_BYTES):
            file.write(chunk)
            watch(file.tell())


def pip_command(requirement: str, folder: Path) -> list[str]:
    """How pip brings a wheel into a folder, without its dependencies."""
    command = [sys.executable, "-m", "pip", "download", requirement, "--dest", str(folder), "--no-deps"]
    command += ["--only-binary", ":all:", "--no-input", "--quiet", "--disable-pip-version-check"]
    return [*command, "--retries", "1", "--timeout", str(int(TIMEOUT_S))]


def npm_command(requirement: str, folder: Path) -> list[str]:
    """How npm brings a tarball into a folder, from whatever registry the user has set.

    Raises:
        DataError: there is no npm on this machine.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not installed")
    command = [npm, "pack", requirement, "--pack-destination", str(folder), "--ignore-scripts", "--loglevel", "error"]
    # its own cache lies in the same folder, so that its bytes can be counted and are cleared away with ours
    command += ["--cache", str(folder / "npm-cache"), "--logs-max", "0", "--no-update-notifier"]
    return [*command, "--fetch-retries", "1", "--fetch-timeout", str(int(TIMEOUT_S * 1000))]


def run(command: Sequence[str], folder: Path, watch: Watch) -> None:
    """Let a command bring a file into a folder.

    Raises:
        DataError: it failed; with the line of its output that says why.
    """
    # pip writes to the temporary folder first: put there, its bytes can be counted and are cleared away with ours
    environment = {**os.environ, "TMPDIR": str(folder)}
    log = folder / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
        try:
            while not _ended(process):
                watch(_size(folder))
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise DataError(_reason(log.read_text(errors="replace"), process.returncode))


def _reason(output: str, code: int) -> str:
    """The line that says why: of npm's errors the first, of pip's the last."""
    lines = output.splitlines() or [f"it ended with code {code}"]
    npm = [line.removeprefix("npm error ") for line in lines if line.startswith("npm error ")]
    pip = [line for line in lines if "ERROR" in line] or lines
    return npm[0] if npm else pip[-1].removeprefix("ERROR: ")


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _size(folder: Path) -> int:
    """Bytes below a folder in which files come and go."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(place) / name).stat().st_size
    return total
