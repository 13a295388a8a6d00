"""What the runner asks of a worker, and what is recorded when the worker cannot answer for itself. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bench.records import Case, Fit, Measure, Memory, Observation, Outcome, Pilot, Preflight, Trial


class JobKind(StrEnum):
    """The things a worker can do; each ends in one observation of the same name."""

    PREFLIGHT = "preflight"
    PILOT = "pilot"
    TRIAL = "trial"
    MEMORY = "memory"
    FIT = "fit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request to a measuring server.

    Attributes:
        seed: of the inputs (and of the model's initial weights); for a fit, of its initialisation and data order.
        attempt: counts from 0 for pilots and memory passes.
        iterations, samples: as the case's pilot calibrated them; for trials.
        checkpoint: where a fit keeps its state between epochs, so that it can go on; empty for none.
        known_epochs: how many epoch lines of this fit are stored already.
        imports, folder: the user's own modules, and where relative references start.
    """

    kind: JobKind
    case: Case
    measure: Measure
    seed: int = 0
    round: int = 0
    attempt: int = 0
    iterations: int | None = None
    samples: int | None = None
    fold: int | None = None
    checkpoint: str = ""
    known_epochs: int = 0
    imports: tuple[str, ...] = field(default=())
    folder: str = "."

    @property
    def timeout_s(self) -> float:
        """Seconds after which the worker is killed."""
        return self.measure.fit_timeout_s if self.kind is JobKind.FIT else self.measure.timeout_s

    def ended(self, outcome: Outcome, reason: str, wall_s: float | None = None) -> Observation:
        """The observation of this job when it did not end well."""
        case_id = self.case.id
        match self.kind:
            case JobKind.PREFLIGHT:
                variant_id = self.case.variant.variant_id
                return Preflight(
                    task_key=self.case.task_key, variant_id=variant_id, outcome=outcome, reason=reason, wall_s=wall_s
                )
            case JobKind.PILOT:
                return Pilot(case_id=case_id, outcome=outcome, reason=reason, attempt=self.attempt, wall_s=wall_s)
            case JobKind.TRIAL:
                return Trial(case_id=case_id, round=self.round, outcome=outcome, reason=reason, wall_s=wall_s)
            case JobKind.MEMORY:
                return Memory(case_id=case_id, outcome=outcome, reason=reason, attempt=self.attempt, wall_s=wall_s)
            case JobKind.FIT:
                return Fit(
                    case_id=case_id, seed=self.seed, fold=self.fold, outcome=outcome, reason=reason, wall_s=wall_s
                )
