"""Seconds of the parts of a training step - forward, backward, optimizer - and how far back its gradient reaches.

Of decoding: of the first token, and of each one after it.
"""

from __future__ import annotations

from bench.errors import ModelError
from bench.jobs import Job
from bench.passes import Found
from bench.probes.clock import clock_for
from bench.probes.gradients import gradient_ratio
from bench.sampling import at_rest, samples_per_trial, warm_up
from bench.subjects import build_subject, measured


def observe(job: Job) -> Found:
    """Take steps whose parts are timed one by one; of training on sequences, see how much gradient reaches the first step."""
    subject, step = measured(job)
    if step.marked is None:
        raise ModelError(f"workload '{job.case.workload}' has no parts to be timed")
    clock = clock_for(subject.device)
    warm = warm_up(clock, step.call, job.measure, step.rotation)
    count = samples_per_trial(warm.call_s, job.measure)
    with at_rest():
        taken = [clock.parts(step.marked) for _ in range(count)]
    samples_s = {name: tuple(one[name] / step.repeated.get(name, 1) for one in taken) for name in taken[0]}
    if job.case.workload != "training" or not subject.spec.inputs.is_sequence:
        return Found(samples_s=samples_s)
    value, why = _gradient_ratio(job)
    return Found(samples_s=samples_s, values={"gradient_ratio": value}, reasons={"gradient_ratio": why} if why else {})


def _gradient_ratio(job: Job) -> tuple[float | None, str]:
    """Of a fresh model: the one that was timed has learnt something."""
    fresh = build_subject(job, seed=job.seed, inputs=False)
    try:
        return gradient_ratio(fresh.model, fresh.task, fresh.spec), ""
    except Exception as error:  # a user's own model may raise anything in double precision, and still be measured well
        return None, f"it has no gradient ratio: {type(error).__name__}: {error}"
