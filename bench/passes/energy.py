"""Energy of an item, on devices whose driver counts it."""

from __future__ import annotations

from bench.jobs import Job
from bench.passes import Found
from bench.probes.clock import clock_for
from bench.probes.energy import measure_energy
from bench.sampling import warm_up
from bench.subjects import measured


def observe(job: Job) -> Found:
    """Call the step for at least a second between two readings of the counter."""
    subject, step = measured(job)
    clock = clock_for(subject.device)
    warm = warm_up(clock, step.call, job.measure, step.rotation)
    joules, why = measure_energy(clock, step.call, warm.call_s, subject.device)
    name = "energy_j_per_item"
    return Found(values={name: None if joules is None else joules / step.items}, reasons={name: why} if why else {})
