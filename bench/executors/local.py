"""The measuring server on this machine: started afresh for every round, asked for one job at a time."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.codec import dumps, from_json
from bench.errors import WorkerError
from bench.jobs import Job
from bench.observations import OBSERVATIONS, Observation
from bench.records import Outcome

START_TIMEOUT_S = 120.0
# after a kill the kernel has this long to let the child go
KILL_TIMEOUT_S = 10.0


class Server:
    """A fresh interpreter that forks a child per job; a context manager that leaves nothing running.

    Raises:
        WorkerError: the server did not start, or has threads before its first fork.
    """

    def __init__(self, *, bare: bool = False, python: str = sys.executable) -> None:
        """Start it, bare as `bench.server.serve` has it; `python` may be of another environment with a bench of its own."""
        ours, theirs = socket.socketpair()
        self._channel = ours
        self._buffer = b""
        self._child: int | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        self._log = Path(self._folder.name) / "child.log"
        with theirs, (Path(self._folder.name) / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [python, "-P", "-m", "bench.server", str(theirs.fileno()), *(["--bare"] if bare else [])],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(python),
            )
        try:
            ready = self._read(time.monotonic() + START_TIMEOUT_S)
            if ready.get("threads") != 1:
                raise WorkerError(
                    f"the measuring server has {ready.get('threads')} threads before its first fork, expected 1"
                )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def close(self) -> None:
        """Kill the child in work, if there is one, and the server."""
        self._kill_child()
        self._channel.close()
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def run(self, job: Job) -> Iterator[Observation | str]:
        """Do a job in a child of its own; yields news as text, finished epochs, and last the job's own observation.

        A child that crashes, hangs or is killed gives an observation with its outcome; it never raises.
        """
        began = time.monotonic()
        self._channel.sendall((dumps({"job": job, "log": str(self._log)}) + "\n").encode())
        last: Observation | None = None
        timed_out = False
        deadline = began + job.timeout_s
        while True:
            try:
                message = self._read(deadline)
            except TimeoutError:
                if timed_out:
                    raise WorkerError("the measuring server does not answer after its child was killed") from None
                timed_out, deadline = True, time.monotonic() + KILL_TIMEOUT_S
                self._kill_child()
                continue
            if "exit" in message:
                self._child = None
                yield last if last is not None else self._unanswered(job, message, timed_out, time.monotonic() - began)
                return
            if "forked" in message:
                self._child = message["forked"]
            elif "news" in message:
                yield str(message["news"])
            elif not timed_out:
                if last is not None:
                    yield last
                last = _observation(message)

    def _unanswered(self, job: Job, message: Mapping[str, Any], timed_out: bool, wall_s: float) -> Observation:
        if timed_out:
            return job.ended(Outcome.TIMED_OUT, f"no answer within {job.timeout_s:g} s", wall_s)
        if message["killed_for_memory"]:
            return job.ended(Outcome.OUT_OF_MEMORY, "the kernel killed the worker for memory", wall_s)
        code = int(message["exit"])
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"left with exit code {code} and no answer"
        said = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        reason = f"the worker {how}" + (f": {said[-1].strip()}" if said else "")
        return job.ended(Outcome.FAILED, reason.replace(str(Path.home()), "~")[:500], wall_s)

    def _kill_child(self) -> None:
        if self._child is not None:
            # its whole group: a worker may have started processes of its own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child, signal.SIGKILL)

    def _read(self, deadline: float) -> dict[str, Any]:
        """The next document on the channel; blocks without using the processor."""
        while True:
            line, separator, rest = self._buffer.partition(b"\n")
            if separator:
                self._buffer = rest
                document = _document(line)
                if document is not None:
                    return document
                continue
            if not select.select([self._channel], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            received = self._channel.recv(1 << 20)
            if not received:
                raise WorkerError(f"the measuring server ended: {self._server_log()}")
            self._buffer += received

    def _server_log(self) -> str:
        text = (Path(self._folder.name) / "server.log").read_text(errors="replace").strip()
        return text.splitlines()[-1] if text else "it said nothing"


def _document(line: bytes) -> dict[str, Any] | None:
    """One line as a document; None for an empty one, and for one that a dying child left half-written."""
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _observation(message: Mapping[str, Any]) -> Observation:
    return from_json(OBSERVATIONS[message["observation"]], message["document"])


def _environment(python: str) -> dict[str, str]:
    """Without the thread that numpy's OpenBLAS starts on import; where it is our own interpreter, with this very package.

    It stands before the folder one works in, which may hold a bench as well. Another environment has its own.
    """
    places = [str(Path(__file__).resolve().parents[2]), str(Path.cwd())] if python == sys.executable else []
    path = os.pathsep.join(part for part in (*places, os.environ.get("PYTHONPATH", "")) if part)
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path}
