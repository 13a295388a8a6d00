"""Peak memory of one step, and what it is made of: weights, gradients, optimizer state, activations, workspace."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from bench.jobs import Job
from bench.passes import Found
from bench.probes.memory import TOO_SMALL, measure_memory
from bench.subjects import measured
from bench.workloads import Measured, Subject

OVERLAP = "activations and gradients never stand side by side as a whole: their sum is above the peak"


def observe(job: Job) -> Found:
    """Weigh one step; the peak comes first, so that nothing of the split is in it."""
    subject, step = measured(job)
    values = measure_memory(step.call, subject.device)
    reasons = {name: TOO_SMALL for name, value in values.items() if value is None}
    values["weights_bytes"] = _bytes(subject.model.parameters())
    known = 0.0
    if step.marked is not None:
        gradients = _bytes(parameter.grad for parameter in subject.model.parameters() if parameter.grad is not None)
        state = [
            tensor for optimizer in step.optimizers for entry in optimizer.state.values() for tensor in entry.values()
        ]
        values["gradients_bytes"] = gradients
        values["optimizer_bytes"] = _bytes(tensor for tensor in state if isinstance(tensor, Tensor))
        activations = _activations(subject, step)
        values["activations_bytes"] = activations
        known = gradients + activations
    if subject.device.type == "cuda":
        # the allocator's peak counts what was there before the step as well
        inputs = [tensor for batch in subject.batches for tensor in (batch.inputs, batch.targets) if tensor is not None]
        known += _bytes(inputs) + sum(values.get(name) or 0.0 for name in ("weights_bytes", "optimizer_bytes"))
    peak_name = "peak_allocated_bytes" if subject.device.type == "cuda" else "peak_rss_bytes"
    if peak_name in values:
        values["workspace_bytes"], why = _rest(values[peak_name], known)
        if why:
            reasons["workspace_bytes"] = why
    return Found(values=values, reasons=reasons)


def _rest(peak: float | None, known: float) -> tuple[float | None, str]:
    """What of a peak is not accounted for, or why that cannot be said."""
    if peak is None:
        return None, TOO_SMALL
    return (peak - known, "") if peak >= known else (None, OVERLAP)


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of different storages: what two tensors share counts once."""
    # a view of a large tensor keeps all of it
    return sum({_place(tensor): tensor.untyped_storage().nbytes() for tensor in tensors}.values())


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _activations(subject: Subject, step: Measured) -> int:
    """Bytes that a forward keeps for its backward, of the largest phase; without parameters, buffers and inputs."""
    assert step.marked is not None
    there = {_place(tensor) for tensor in (*subject.model.parameters(), *subject.model.buffers())}
    for batch in subject.batches:
        there |= {_place(tensor) for tensor in (batch.inputs, batch.targets, batch.lengths) if tensor is not None}
    kept: dict[int, Tensor] = {}
    sums = [0]

    def keep(tensor: Tensor) -> Tensor:
        if _place(tensor) not in there:
            kept[_place(tensor)] = tensor.detach()
        return tensor

    def mark(part: str) -> None:
        if part == "forward":
            sums.append(_bytes(kept.values()))
            kept.clear()

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step.marked(mark)
    return max(sums)
