"""What disturbs measurements on a machine: readings in, findings out - each with its figure, what it does, and what helps.

Pure. The limits are those by which trials are thrown away (`bench.trust`), wherever a trial shows the same thing.
"""

from __future__ import annotations

from dataclasses import replace

from bench.doctor.gpu import GPU_RULES
from bench.doctor.processor import RULES
from bench.doctor.readings import Finding, GpuReadings, Level, Readings

__all__ = ["Finding", "GpuReadings", "Level", "Readings", "findings"]


def findings(readings: Readings) -> tuple[Finding, ...]:
    """What every rule says, the worst first; a rule about an unknown reading says nothing."""
    found = [finding for rule in RULES if (finding := rule(readings)) is not None]
    for number, gpu in enumerate(readings.gpus):
        said = [finding for rule in GPU_RULES if (finding := rule(gpu)) is not None]
        found += [replace(finding, found=f"GPU {number}: {finding.found}") for finding in said]
    order = list(Level)
    return tuple(sorted(found, key=lambda finding: order.index(finding.level)))
