"""Seconds of the parts of a training step: forward, backward, optimizer."""

from __future__ import annotations

from bench.errors import ModelError
from bench.jobs import Job
from bench.passes import Found
from bench.probes.clock import clock_for
from bench.sampling import at_rest, samples_per_trial, warm_up
from bench.subjects import measured


def observe(job: Job) -> Found:
    """Take steps whose parts are timed one by one."""
    subject, step = measured(job)
    if step.marked is None:
        raise ModelError(f"workload '{job.case.workload}' has no parts to be timed")
    clock = clock_for(subject.device)
    warm = warm_up(clock, step.call, job.measure, step.rotation)
    count = samples_per_trial(warm.call_s, job.measure)
    with at_rest():
        taken = [clock.parts(step.marked) for _ in range(count)]
    return Found(samples_s={name: tuple(one[name] for one in taken) for name in taken[0]})
