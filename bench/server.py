"""The measuring server and its children.

`python -m bench.server FD` is a fresh interpreter that imports torch once, then forks a child for every job that arrives
as a line of JSON on the socket FD. The server runs no operator and imports no user code: a child forked from a process in
which an operator has run hangs at its first one, because threads do not survive a fork. Children answer on the same
socket, one document a line; when a child is gone the server says how it ended.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import re
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.codec import dumps, from_json
from bench.errors import NotMeasuredError
from bench.jobs import Job, JobKind
from bench.records import Outcome
from bench.source import use_checkout

_PR_SET_PDEATHSIG = 1
# of what `bench.worker` imports, all that stands below architectures and tasks: it would cost every child 0.1 s
UNDER_NO_TEST = (
    "bench.batch",
    "bench.estimates",
    "bench.lengths",
    "bench.options",
    "bench.probes.clock",
    "bench.probes.energy",
    "bench.probes.evidence",
    "bench.probes.flops",
    "bench.probes.memory",
    "bench.probes.operators",
    "platformdirs",
)

Send = Callable[[dict[str, object]], None]


def thread_count() -> int:
    """Threads of this process, as the kernel counts them; 1 where it cannot be asked."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent is gone, so that `kill -9` of the runner leaves nothing behind."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def serve(channel: socket.socket, *, bare: bool = False) -> None:
    """Fork a child for each job until the runner closes the channel.

    A bare server has imported nothing that is under test: its children do, each from the checkout that its job names.
    """
    gc.disable()  # importing makes objects that stay: looking through them again and again took a quarter of the time
    import torch._dynamo  # an optimizer imports it when it is made: a second and more, once here instead of in every child

    # a bare server imports what its children need of ours and what does not depend on their checkout
    for name in UNDER_NO_TEST if bare else ("bench.worker",):
        importlib.import_module(name)

    # what was made so far is never collected: a child's collector would copy every page of it
    gc.freeze()
    gc.enable()
    send = _sender(channel)
    # the first operator of a child must be the first of its process: nothing may have started a thread here
    send({"ready": True, "threads": thread_count(), "torch": torch.__version__})
    lines = channel.makefile("r", encoding="utf-8")
    for line in lines:
        document = json.loads(line)
        kills = _out_of_memory_kills()
        forked = time.monotonic()
        child = os.fork()
        if child == 0:
            _child(document, channel, forked)
        send({"forked": child})
        _, status = os.waitpid(child, 0)
        killed_for_memory = _out_of_memory_kills() > kills
        send({"exit": os.waitstatus_to_exitcode(status), "killed_for_memory": killed_for_memory})


def _sender(channel: socket.socket) -> Send:
    # the leading line feed ends what a dying child may have left half-written
    return lambda document: channel.sendall(f"\n{dumps(document)}\n".encode())


def _out_of_memory_kills() -> int:
    """How often this kernel, or this control group, has killed a process for memory."""
    counters = 0
    for place in (Path("/proc/vmstat"), Path("/sys/fs/cgroup/memory.events")):
        found = re.search(r"^oom_kill (\d+)$", place.read_text(), re.MULTILINE) if place.exists() else None
        counters += int(found[1]) if found else 0
    return counters


def _child(document: dict[str, object], channel: socket.socket, forked: float) -> None:
    """Do one job and leave without running exit handlers; never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        die_with_parent()
        log = os.open(str(document["log"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        _work(from_json(Job, document["job"]), _sender(channel), forked)
        code = 0
    except BaseException:
        # what went wrong outside the job itself (a broken request, a lost channel) goes to the log, whose end is reported
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _work(job: Job, send: Send, forked: float) -> None:
    if job.case.device == "cpu":
        _limit_address_space(job.measure.limit_bytes if job.kind is JobKind.PROBE else None)
    began = time.monotonic()
    try:
        if job.source:
            use_checkout(Path(job.source))
        # a checkout of another time may lack what the harness asks of it: then this case has failed, and is told why
        from bench.worker import perform

        observation = perform(job, send, forked)
    except NotMeasuredError as finding:
        observation = job.ended(Outcome.SKIPPED, str(finding), time.monotonic() - began)
    except Exception as error:
        outcome = Outcome.OUT_OF_MEMORY if is_out_of_memory(error) else Outcome.FAILED
        observation = job.ended(outcome, _sentence(error), time.monotonic() - began)
    send({"observation": type(observation).__name__.lower(), "document": observation})


def _limit_address_space(most_bytes: int | None = None) -> None:
    """Let this process grow by 90 % of the memory that is free, so that asking for more is an error here and not a kill.

    `most_bytes` makes that less, never more.
    """
    meminfo, statm = Path("/proc/meminfo"), Path("/proc/self/statm")
    if not (meminfo.exists() and statm.exists()):
        return
    available = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE)
    if available is None:
        return
    present = int(statm.read_text().split()[0]) * resource.getpagesize()
    free = int(int(available[1]) * 1024 * 0.9)
    limit = present + (free if most_bytes is None else min(free, most_bytes))
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: CUDA's own class, Python's, or the sentence of torch's CPU allocator."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and bool(
        re.search(r"can't allocate memory|not enough memory|CUDA out of memory|bad alloc|bad_alloc", str(error))
    )


def _sentence(error: Exception) -> str:
    """The error in one line, without the name of anybody's home folder."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}".replace(str(Path.home()), "~")[:500]


if __name__ == "__main__":
    os.setsid()
    die_with_parent()
    # interrupts are the runner's business, which ends its workers itself
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(socket.socket(fileno=int(sys.argv[1])), bare="--bare" in sys.argv)
