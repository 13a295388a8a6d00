"""What a child does for each kind of job: build, then check, calibrate, time, weigh or train. One observation comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from bench.architectures.foreign import import_module
from bench.compilation import require_graph
from bench.contracts import check
from bench.errors import ModelError, StoreError
from bench.jobs import Job, JobKind
from bench.observations import Ceiling, Epoch, Observation, Pass, Pilot, Preflight, Trial
from bench.passes import Found, compile, cost, energy, memory, split, tails
from bench.probes import backends
from bench.probes.ceilings import measure_ceilings
from bench.probes.clock import clock_for
from bench.probes.evidence import Evidence
from bench.probes.priority import raise_priority
from bench.records import Outcome, PassKind
from bench.sampling import Call, calibrate, collect, samples_per_trial, warm_up
from bench.spec import Spec
from bench.subjects import build_subject, measured, parts
from bench.tasks import Data, legend_of
from bench.workloads.fit import FitRun, fit

Send = Callable[[dict[str, object]], None]

PASSES: dict[PassKind, Callable[[Job], Found]] = {
    PassKind.MEMORY: memory.observe,
    PassKind.COST: cost.observe,
    PassKind.SPLIT: split.observe,
    PassKind.TAILS: tails.observe,
    PassKind.COMPILE: compile.observe,
    PassKind.ENERGY: energy.observe,
}


# an accuracy takes hours and nobody's clock is held against it: it takes its turn with everybody else
TIMED = (JobKind.PILOT, JobKind.TRIAL, JobKind.PASS, JobKind.CEILING)


def perform(job: Job, send: Send, forked: float) -> Observation:
    """Do one job; `forked` is the monotonic time at which this child was forked, in seconds."""
    if job.kind in TIMED:
        raise_priority()  # before anything that starts threads: they keep the priority that they are born with
    for module in job.imports:
        import_module(module, job.code_folder)
    backends.apply(job.case.precision, job.case.threads)
    match job.kind:
        case JobKind.PREFLIGHT:
            return _preflight(job)
        case JobKind.PILOT:
            return _pilot(job)
        case JobKind.TRIAL:
            return _trial(job, forked)
        case JobKind.PASS:
            return _pass(job)
        case JobKind.PROBE:
            return _probe(job)
        case JobKind.CEILING:
            return _ceiling(job)
        case JobKind.FIT:
            return _fit(job, send)


def _preflight(job: Job) -> Preflight:
    began = time.monotonic()
    task, spec, architecture, hyperparameters = parts(job)
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
    subject, step = measured(job)
    clock = clock_for(subject.device)
    first = step.call()
    require_graph(job.case)
    if not _is_finite(first):
        reason = "the first result is not finite (NaN or infinity)"
        return Pilot(case_id=job.case.id, outcome=Outcome.DIVERGED, reason=reason, attempt=job.attempt)
    warm = warm_up(clock, step.call, job.measure, step.rotation)
    iterations = calibrate(clock, step.call, warm.call_s, step.rotation)
    return Pilot(
        case_id=job.case.id,
        outcome=Outcome.OK,
        attempt=job.attempt,
        iterations=iterations,
        samples=samples_per_trial(iterations * warm.call_s, job.measure),
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
    subject, step = measured(job)
    clock = clock_for(subject.device)
    start_s = time.monotonic() - forked
    call = slowed(step.call, job.slowdown_s) if job.slowdown_s else step.call
    warm = warm_up(clock, call, job.measure, step.rotation)
    evidence = Evidence(subject.device)
    samples = collect(clock, call, job.iterations, job.samples)
    return Trial(
        case_id=job.case.id,
        round=job.round,
        outcome=Outcome.OK,
        started=started,
        samples_s=tuple(samples),
        iterations=job.iterations,
        items=step.items,
        tokens=step.tokens,
        real_tokens=step.real_tokens,
        state_bytes=step.state_bytes,
        start_s=start_s,
        first_call_s=warm.first_call_s,
        warmup_s=warm.seconds,
        warmup_calls=warm.calls,
        steady=warm.steady,
        wall_s=time.monotonic() - forked,
        evidence=evidence.seen(),
    )


def slowed(call: Call, seconds: float) -> Call:
    """The same call, longer by a busy wait of some seconds: a slowdown whose size is known."""
    wait_ns = round(seconds * 1e9)

    def longer() -> object:
        result = call()
        end = time.perf_counter_ns() + wait_ns
        while time.perf_counter_ns() < end:
            pass
        return result

    return longer


def _pass(job: Job) -> Pass:
    began = time.monotonic()
    if job.passing is None:
        raise ModelError(f"case '{job.case.id}': a pass needs its kind")
    found = PASSES[job.passing](job)
    return Pass(
        case_id=job.case.id,
        name=job.passing,
        outcome=found.outcome,
        reason=found.reason,
        attempt=job.attempt,
        values=found.values,
        reasons=found.reasons,
        samples_s=found.samples_s,
        wall_s=time.monotonic() - began,
    )


def _probe(job: Job) -> Observation:
    began = time.monotonic()
    _limit_gpu_memory(job)
    subject, step = measured(job)
    # optimizers make their state in the first step and need it beside everything else in those after it, over every batch
    for _ in range(1 + step.rotation):
        step.call()
    if subject.device.type == "cuda":
        torch.cuda.synchronize(subject.device)
    return job.ended(Outcome.OK, "", time.monotonic() - began)


def _limit_gpu_memory(job: Job) -> None:
    """On CUDA, let torch's allocator have no more than a search may use; on CPU the server has limited this process."""
    device = torch.device(job.case.device)
    if device.type == "cuda" and job.measure.limit_bytes is not None:
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, job.measure.limit_bytes / total), device)


def _ceiling(job: Job) -> Observation:
    began = time.monotonic()
    reached = measure_ceilings(torch.device(job.case.device), job.case.precision)
    ended = job.ended(Outcome.OK, "", time.monotonic() - began)
    assert isinstance(ended, Ceiling)
    return replace(ended, flops_per_s=reached.flops_per_s, bytes_per_s=reached.bytes_per_s)


def _fit(job: Job, send: Send) -> Observation:
    began = time.monotonic()
    settings = job.case.fit
    if settings is None:
        raise ModelError(f"case '{job.case.id}': a fit needs its settings")
    task, spec, architecture, hyperparameters = parts(job)
    encoding = architecture.encoding(hyperparameters)
    data = task.load(spec, encoding, job.fold)

    def tell(news: Epoch | str) -> None:
        send({"news": news} if isinstance(news, str) else {"observation": "epoch", "document": news})

    finished = fit(
        FitRun(
            build=lambda: build_subject(job, seed=job.seed, inputs=False),
            data=data,
            settings=settings,
            seed=job.seed,
            fold=job.fold,
            checkpoint=Path(job.checkpoint) if job.checkpoint else None,
            tell=tell,
            known_epochs=job.known_epochs,
            keep=_keeper(job, data, spec, encoding, task.headline) if job.model else None,
        )
    )
    return replace(finished, wall_s=time.monotonic() - began)


def _keeper(job: Job, data: Data, spec: Spec, encoding: str, metric: str) -> Callable[[Mapping[str, Tensor]], str]:
    """What writes the weights of a finished fit to their place, and says what went wrong: the fit itself is not lost by it."""
    # imported here: no child that is timed or weighed holds it
    from bench.saved import SavedModel, write

    def keep(weights: Mapping[str, Tensor]) -> str:
        try:
            write(Path(job.model), SavedModel.of(job, legend_of(data, spec, encoding), metric), weights)
        except (StoreError, ValueError) as error:  # the latter of data that do not go with their spec
            return f"its model was not kept: {error}"
        return ""

    return keep
