"""What is observed of a timed case beside its trials: one file a kind, each in a worker of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.records import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a pass found; see `bench.observations.Pass`."""

    values: Mapping[str, float | None] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    samples_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    outcome: Outcome = Outcome.OK
    reason: str = ""
