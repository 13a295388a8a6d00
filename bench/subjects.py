"""From a job to what is measured: the task, the model on its device in its precision, and its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench.architectures import Architecture
from bench.architectures.foreign import lookup
from bench.batch import Batch
from bench.compilation import compile_model
from bench.errors import ModelError
from bench.jobs import Job
from bench.lengths import deal
from bench.options import fill
from bench.records import Case, LengthDistribution
from bench.spec import PADDED_CLASS, InputKind, OutputKind, Spec
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
    architecture = lookup(job.case.variant.architecture, job.code_folder)
    hyperparameters, problems = fill(architecture.hyperparameters, job.case.variant.hyperparameters)
    if problems:
        raise ModelError(f"architecture '{architecture.name}': {'; '.join(problems)}")
    task = open_task(job.case, Path(job.folder))
    return task, task.spec(job.case.sequence_length), architecture, hyperparameters


def build_subject(job: Job, *, seed: int, inputs: bool = True) -> Subject:
    """Build the model on its device in its precision, with made inputs unless they come from real data."""
    task, spec, architecture, hyperparameters = parts(job)
    case, device = job.case, torch.device(job.case.device)
    torch.manual_seed(seed)
    model = architecture.build(spec, hyperparameters)
    dtype = CASTS.get(case.precision) if WORKLOADS.get(case.workload).casts_weights else None
    model = model.to(device, dtype)
    batches = _inputs(task, spec, case, job.seed) if inputs else ()
    return Subject(
        case=case,
        task=task,
        spec=spec,
        architecture=architecture,
        model=model,
        device=device,
        batches=tuple(batch.to(device, dtype) for batch in batches),
    )


def _inputs(task: Task, spec: Spec, case: Case, seed: int) -> list[Batch]:
    if case.length_distribution is not LengthDistribution.FIXED:
        dealt = deal(_population(task, spec, case.length_distribution), ROTATED_SETS, case.batch_size)
        return [_padded(task, spec, lengths, seed + place) for place, lengths in enumerate(dealt)]
    first = task.random_batch(spec, case.batch_size, seed)
    sets = ROTATED_SETS if first.inputs.nbytes * ROTATED_SETS <= ROTATED_BYTES else 1
    return [first, *(task.random_batch(spec, case.batch_size, seed + place) for place in range(1, sets))]


def _population(task: Task, spec: Spec, distribution: LengthDistribution) -> Sequence[int]:
    """The lengths that rows are dealt from."""
    if spec.sequence_length is None:
        raise ModelError(f"task '{task.name}': its items have no length, so lengths cannot be '{distribution}'")
    if distribution is LengthDistribution.UNIFORM:
        return range(1, spec.sequence_length + 1)
    lengths = task.training_lengths(spec)
    if not lengths:
        raise ModelError(f"task '{task.name}': its training split has no lengths; take 'fixed' or 'uniform'")
    return lengths


def _padded(task: Task, spec: Spec, lengths: Sequence[int], seed: int) -> Batch:
    """A made batch of rows of these lengths, padded on the right to the longest of them."""
    full = task.random_batch(replace(spec, sequence_length=max(lengths)), len(lengths), seed)
    lengths_B = torch.tensor(lengths)
    padding_BL = torch.arange(max(lengths)) >= lengths_B[:, None]
    if spec.inputs is InputKind.TOKENS:
        mask = padding_BL if spec.ids_per_token == 1 else padding_BL[:, :, None]
        inputs = full.inputs.masked_fill(mask, spec.padding_id)
    else:
        inputs = full.inputs.masked_fill(padding_BL[:, :, None], 0.0)
    targets = full.targets
    if targets is not None and spec.outputs is OutputKind.STEP_CLASSES:
        targets = targets.masked_fill(padding_BL, PADDED_CLASS)
    return replace(
        full,
        inputs=inputs,
        lengths=lengths_B,
        targets=targets,
        tokens=padding_BL.numel(),
        real_tokens=int(lengths_B.sum().item()),
    )


def measured(job: Job) -> tuple[Subject, Measured]:
    """The subject of a timed case, and what the clock calls."""
    subject = build_subject(job, seed=job.seed)
    compile_model(subject.model, job.case, job.compiled)
    prepare = WORKLOADS.get(job.case.workload).prepare
    if prepare is None:
        raise ModelError(f"workload '{job.case.workload}' is trained, not timed")
    return subject, prepare(subject)
