"""p90 and p99 of single calls: the mean of several calls, which a sample is, would hide the tail."""

from __future__ import annotations

from bench.estimates import P99_CALLS
from bench.jobs import Job
from bench.passes import Found
from bench.probes.clock import clock_for
from bench.sampling import single_calls, warm_up
from bench.subjects import measured


def observe(job: Job) -> Found:
    """Time single calls: as many as p99 needs, unless they take too long."""
    subject, step = measured(job)
    clock = clock_for(subject.device)
    warm_up(clock, step.call, job.measure, step.rotation)
    return Found(samples_s={"call": tuple(single_calls(clock, step.call, P99_CALLS, job.measure.tails_s))})
