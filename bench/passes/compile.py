"""Seconds of one cold compilation, and how often it was broken off."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from bench.compilation import graph_breaks
from bench.jobs import Job
from bench.passes import Found
from bench.probes.clock import clock_for
from bench.sampling import warm_up
from bench.subjects import measured

# what is compiled in the first call may be compiled again in the second, for another shape, and recorded in the third
FIRST_CALLS = 3


def observe(job: Job) -> Found:
    """Compile with an empty cache: what the first calls take beyond as many steady ones."""
    if job.compiled:
        Path(job.compiled).mkdir(exist_ok=True)
    # within the run's own folder: a child that is killed leaves nothing elsewhere
    with tempfile.TemporaryDirectory(prefix="cold-", dir=job.compiled or None) as empty:
        subject, step = measured(replace(job, compiled=empty))
        clock = clock_for(subject.device)
        first_s = sum(clock.time(step.call, 1) for _ in range(FIRST_CALLS))
        warm = warm_up(clock, step.call, job.measure, step.rotation)
    values = {"compile_s": first_s - FIRST_CALLS * warm.call_s, "graph_breaks": float(graph_breaks())}
    return Found(values=values)
