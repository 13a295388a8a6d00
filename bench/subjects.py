"""From a job to what is measured: the task, the model on its device in its precision, and its inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bench.architectures import Architecture
from bench.architectures.foreign import lookup
from bench.batch import Batch
from bench.errors import ModelError
from bench.jobs import Job
from bench.options import fill
from bench.records import Case
from bench.spec import Spec
from bench.tasks import TASKS, Task
from bench.workloads import WORKLOADS, Measured, Subject

CASTS = {"bf16": torch.bfloat16, "fp16": torch.float16}
# inputs are rotated while all of them fit in a last-level cache of this size
ROTATED_SETS = 4
ROTATED_BYTES = 8 * 2**20


def open_task(case: Case, folder: Path) -> Task:
    """The task of a case, with its options; file names start at the suite's folder."""
    kind = TASKS.get(case.task)
    given = {
        name: str(folder / value) if name in kind.asked_paths else value for name, value in case.task_options.items()
    }
    options, problems = fill(kind.options, given)
    if options is None:
        raise ModelError(f"task '{case.task}': {'; '.join(problems)}")
    return kind.make(options)


def parts(job: Job) -> tuple[Task, Spec, Architecture, Any]:
    """What a job names, looked up: the task, its spec, the architecture and its hyperparameters."""
    folder = Path(job.folder)
    architecture = lookup(job.case.variant.architecture, folder)
    hyperparameters, problems = fill(architecture.hyperparameters, job.case.variant.hyperparameters)
    if problems:
        raise ModelError(f"architecture '{architecture.name}': {'; '.join(problems)}")
    task = open_task(job.case, folder)
    return task, task.spec(job.case.sequence_length), architecture, hyperparameters


def build_subject(job: Job, *, seed: int, inputs: bool = True) -> Subject:
    """Build the model on its device in its precision, with made inputs unless they come from real data."""
    task, spec, architecture, hyperparameters = parts(job)
    case, device = job.case, torch.device(job.case.device)
    torch.manual_seed(seed)
    model = architecture.build(spec, hyperparameters)
    dtype = CASTS.get(case.precision) if WORKLOADS.get(case.workload).casts_weights else None
    model = model.to(device, dtype)
    batches = _inputs(task, spec, case.batch_size, job.seed, device, dtype) if inputs else ()
    return Subject(
        case=case, task=task, spec=spec, architecture=architecture, model=model, device=device, batches=batches
    )


def _inputs(
    task: Task, spec: Spec, batch_size: int, seed: int, device: torch.device, dtype: torch.dtype | None
) -> tuple[Batch, ...]:
    first = task.random_batch(spec, batch_size, seed)
    sets = ROTATED_SETS if first.inputs.nbytes * ROTATED_SETS <= ROTATED_BYTES else 1
    rest = [task.random_batch(spec, batch_size, seed + place) for place in range(1, sets)]
    return tuple(batch.to(device, dtype) for batch in (first, *rest))


def measured(job: Job) -> tuple[Subject, Measured]:
    """The subject of a timed case, and what the clock calls."""
    subject = build_subject(job, seed=job.seed)
    prepare = WORKLOADS.get(job.case.workload).prepare
    if prepare is None:
        raise ModelError(f"workload '{job.case.workload}' is trained, not timed")
    return subject, prepare(subject)
