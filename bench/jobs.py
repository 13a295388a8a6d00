"""What the runner asks of a worker, and what is recorded when the worker cannot answer for itself. No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from bench.observations import Ceiling, Fit, Observation, Pass, Pilot, Preflight, Probe, Trial
from bench.records import Case, Measure, Outcome, PassKind

MODELS = "models"
"""The folder of kept models in a run's own."""


class JobKind(StrEnum):
    """The things a worker can do; each ends in one observation of the same name."""

    PREFLIGHT = "preflight"
    PILOT = "pilot"
    TRIAL = "trial"
    PASS = "pass"
    PROBE = "probe"
    CEILING = "ceiling"
    FIT = "fit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request to a measuring server.

    Attributes:
        seed: of the inputs (and of the model's initial weights); for a fit, of its initialisation and data order.
        attempt: counts from 0 for pilots and passes.
        passing: which pass to make.
        probing: the metric that a probe searches for; the case has the size to try.
        iterations, samples: as the case's pilot calibrated them; for trials.
        slowdown_s: seconds of busy waiting that a trial adds to every call; for the selftest alone.
        checkpoint: where a fit keeps its state between epochs, so that it can go on; empty for none.
        model: where a fit keeps its best weights when it has finished; empty for nowhere.
        compiled: the folder that keeps what was compiled, for all trials of a run; empty for torch's own.
        known_epochs: how many epoch lines of this fit are stored already.
        imports, folder: the user's own modules, and where relative references start.
        source: the folder of a checkout whose modules are measured; empty for what is installed.
        source_folder: in that checkout what `folder` is outside of it: references to code start there, those to data never.
    """

    kind: JobKind
    case: Case
    measure: Measure
    seed: int = 0
    round: int = 0
    attempt: int = 0
    passing: PassKind | None = None
    probing: str = ""
    iterations: int | None = None
    samples: int | None = None
    slowdown_s: float = 0.0
    fold: int | None = None
    checkpoint: str = ""
    model: str = ""
    compiled: str = ""
    known_epochs: int = 0
    imports: tuple[str, ...] = field(default=())
    folder: str = "."
    source: str = ""
    source_folder: str = ""

    @property
    def code_folder(self) -> Path:
        """Where relative references to the user's own code start."""
        return Path(self.source_folder or self.folder)

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
            case JobKind.PASS:
                assert self.passing is not None
                return Pass(
                    case_id=case_id,
                    name=self.passing,
                    outcome=outcome,
                    reason=reason,
                    attempt=self.attempt,
                    wall_s=wall_s,
                )
            case JobKind.PROBE:
                length = self.case.sequence_length or 0
                return Probe(
                    case_id=case_id,
                    metric=self.probing,
                    size=self.case.batch_size if self.probing == "max_batch_size" else length,
                    outcome=outcome,
                    reason=reason,
                    bytes_asked=bytes_asked(reason),
                    wall_s=wall_s,
                )
            case JobKind.CEILING:
                case = self.case
                return Ceiling(
                    device=case.device,
                    precision=case.precision,
                    threads=case.threads,
                    outcome=outcome,
                    reason=reason,
                    wall_s=wall_s,
                )
            case JobKind.FIT:
                return Fit(
                    case_id=case_id, seed=self.seed, fold=self.fold, outcome=outcome, reason=reason, wall_s=wall_s
                )


def model_path(folder: Path, case: Case, seed: int, fold: int | None) -> Path:
    """Where in a run's folder the model of one fit is kept."""
    # of an id any letters may be a part, and two ids may have the same letters: the hash tells them apart
    slug = re.sub(r"[^A-Za-z0-9.=+_-]+", "-", case.id)[:100]
    part = "" if fold is None else f"-fold{fold}"
    return folder / MODELS / f"{slug}-{case.definition_hash}-seed{seed}{part}.safetensors"


def passes_of(case: Case, measure: Measure) -> tuple[PassKind, ...]:
    """The passes that are asked for and say something about a case."""
    says = {
        PassKind.SPLIT: case.workload in ("training", "decode"),
        PassKind.COMPILE: case.compile != "none",
        PassKind.ENERGY: case.device != "cpu",
    }
    return tuple(kind for kind in measure.passes if says.get(kind, True))


_BYTES = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def bytes_asked(reason: str) -> int | None:
    """The allocation that failed, from the sentences of torch's CPU and CUDA allocators."""
    cpu = re.search(r"you tried to allocate (\d+) bytes", reason)
    if cpu:
        return int(cpu[1])
    cuda = re.search(r"[Tt]ried to allocate ([\d.]+) ?([KMGT]iB|bytes)", reason)
    return round(float(cuda[1]) * _BYTES.get(cuda[2], 1)) if cuda else None
