"""What a child does for each kind of job: build, then check, calibrate, time, weigh or train. One observation comes out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from bench.architectures import Architecture
from bench.architectures.foreign import import_module, lookup
from bench.batch import Batch
from bench.contracts import check
from bench.errors import ModelError
from bench.jobs import Job, JobKind
from bench.options import fill
from bench.probes import backends
from bench.probes.clock import clock_for
from bench.probes.evidence import Evidence
from bench.probes.memory import TOO_SMALL, measure_memory
from bench.records import Case, Epoch, Memory, Observation, Outcome, Pilot, Preflight, Trial
from bench.sampling import calibrate, collect, samples_per_trial, warm_up
from bench.spec import Spec
from bench.tasks import TASKS, Task
from bench.workloads import WORKLOADS, Measured, Subject
from bench.workloads.fit import FitRun, fit

Send = Callable[[dict[str, object]], None]

CASTS = {"bf16": torch.bfloat16, "fp16": torch.float16}
# inputs are rotated while all of them fit in a last-level cache of this size
ROTATED_SETS = 4
ROTATED_BYTES = 8 * 2**20


def perform(job: Job, send: Send, forked: float) -> Observation:
    """Do one job; `forked` is the monotonic time at which this child was forked, in seconds."""
    for module in job.imports:
        import_module(module, Path(job.folder))
    backends.apply(job.case.precision, job.case.threads)
    match job.kind:
        case JobKind.PREFLIGHT:
            return _preflight(job)
        case JobKind.PILOT:
            return _pilot(job)
        case JobKind.TRIAL:
            return _trial(job, forked)
        case JobKind.MEMORY:
            return _memory(job)
        case JobKind.FIT:
            return _fit(job, send)


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


def _parts(job: Job) -> tuple[Task, Spec, Architecture, Any]:
    folder = Path(job.folder)
    architecture = lookup(job.case.variant.architecture, folder)
    hyperparameters, problems = fill(architecture.hyperparameters, job.case.variant.hyperparameters)
    if problems:
        raise ModelError(f"architecture '{architecture.name}': {'; '.join(problems)}")
    task = open_task(job.case, folder)
    return task, task.spec(job.case.sequence_length), architecture, hyperparameters


def build_subject(job: Job, *, seed: int, inputs: bool = True) -> Subject:
    """Build the model on its device in its precision, with made inputs unless they come from real data."""
    task, spec, architecture, hyperparameters = _parts(job)
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


def _measured(job: Job) -> Measured:
    subject = build_subject(job, seed=job.seed)
    prepare = WORKLOADS.get(job.case.workload).prepare
    if prepare is None:
        raise ModelError(f"workload '{job.case.workload}' is trained, not timed")
    return prepare(subject)


def _preflight(job: Job) -> Preflight:
    began = time.monotonic()
    task, spec, architecture, hyperparameters = _parts(job)
    red = check(architecture, task, spec, hyperparameters)
    with torch.device("cpu"):
        model = architecture.build(spec, hyperparameters)
    parameters = list(model.parameters())
    return Preflight(
        task_key=job.case.task_key,
        variant_id=job.case.variant.variant_id,
        outcome=Outcome.OK,
        reason="; ".join(f"{name}: {sentence}" for name, sentence in red.items()),
        red=tuple(red),
        parameters=sum(parameter.numel() for parameter in parameters),
        weights_bytes=sum(parameter.nbytes for parameter in parameters),
        wall_s=time.monotonic() - began,
    )


def _pilot(job: Job) -> Pilot:
    began = time.monotonic()
    measured, clock = _measured(job), clock_for(torch.device(job.case.device))
    if not _is_finite(measured.call()):
        reason = "the first result is not finite (NaN or infinity)"
        return Pilot(case_id=job.case.id, outcome=Outcome.DIVERGED, reason=reason, attempt=job.attempt)
    warm = warm_up(clock, measured.call, job.measure)
    iterations = calibrate(clock, measured.call, warm.call_s)
    return Pilot(
        case_id=job.case.id,
        outcome=Outcome.OK,
        attempt=job.attempt,
        iterations=iterations,
        samples=samples_per_trial(iterations * warm.call_s, job.measure.samples),
        call_s=warm.call_s,
        wall_s=time.monotonic() - began,
    )


def _is_finite(result: object) -> bool:
    """Whether a tensor that was returned is finite all over; other results are not looked into."""
    return not isinstance(result, torch.Tensor) or bool(torch.isfinite(result).all())


def _trial(job: Job, forked: float) -> Trial:
    if job.iterations is None or job.samples is None:
        raise ModelError(f"case '{job.case.id}': a trial needs the iterations and samples of its pilot")
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    measured, clock = _measured(job), clock_for(torch.device(job.case.device))
    start_s = time.monotonic() - forked
    warm = warm_up(clock, measured.call, job.measure)
    evidence = Evidence()
    samples = collect(clock, measured.call, job.iterations, job.samples)
    return Trial(
        case_id=job.case.id,
        round=job.round,
        outcome=Outcome.OK,
        started=started,
        samples_s=tuple(samples),
        iterations=job.iterations,
        items=measured.items,
        tokens=measured.tokens,
        real_tokens=measured.real_tokens,
        start_s=start_s,
        first_call_s=warm.first_call_s,
        warmup_s=warm.seconds,
        warmup_calls=warm.calls,
        steady=warm.steady,
        wall_s=time.monotonic() - forked,
        evidence=evidence.seen(),
    )


def _memory(job: Job) -> Memory:
    began = time.monotonic()
    values = measure_memory(_measured(job).call, torch.device(job.case.device))
    return Memory(
        case_id=job.case.id,
        outcome=Outcome.OK,
        reason=TOO_SMALL if None in values.values() else "",
        attempt=job.attempt,
        values=values,
        wall_s=time.monotonic() - began,
    )


def _fit(job: Job, send: Send) -> Observation:
    began = time.monotonic()
    settings = job.case.fit
    if settings is None:
        raise ModelError(f"case '{job.case.id}': a fit needs its settings")
    task, spec, architecture, _ = _parts(job)

    def tell(news: Epoch | str) -> None:
        send({"news": news} if isinstance(news, str) else {"observation": "epoch", "document": news})

    finished = fit(
        FitRun(
            build=lambda: build_subject(job, seed=job.seed, inputs=False),
            data=task.load(spec, architecture.encoding, job.fold),
            settings=settings,
            seed=job.seed,
            fold=job.fold,
            checkpoint=Path(job.checkpoint) if job.checkpoint else None,
            tell=tell,
            known_epochs=job.known_epochs,
        )
    )
    return replace(finished, wall_s=time.monotonic() - began)
