"""Peak memory of one step, and what it is made of: weights, gradients, optimizer state, activations, workspace."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from bench.jobs import Job
from bench.passes import Found
from bench.probes.memory import TOO_SMALL, measure_memory
from bench.subjects import measured
from bench.workloads import Measured, Subject


def observe(job: Job) -> Found:
    """Weigh one step; the peak comes first, so that nothing of the split is in it."""
    subject, step = measured(job)
    # last step's gradients are freed by the next one: they are part of its peak, not of what was there before
    values = measure_memory(step.rotate, subject.device, lambda: subject.model.zero_grad(set_to_none=True))
    reasons = {name: TOO_SMALL for name, value in values.items() if value is None}
    there = {"weights_bytes": _bytes(subject.model.parameters())}
    passing = {}
    if step.optimizers:
        there["optimizer_bytes"] = _bytes(_state(step.optimizers))
        passing["gradients_bytes"] = _bytes(one.grad for one in subject.model.parameters() if one.grad is not None)
        passing["activations_bytes"] = _activations(subject, step)
    # activations go while gradients come: the larger of them is there at once, the other only in part
    known = max(passing.values(), default=0)
    if subject.device.type == "cuda":
        # the allocator's peak counts what was there before the step as well
        inputs = [tensor for batch in subject.batches for tensor in (batch.inputs, batch.targets) if tensor is not None]
        known += _bytes(inputs) + sum(there.values())
    peak_name = "peak_allocated_bytes" if subject.device.type == "cuda" else "peak_rss_bytes"
    values |= there | passing
    if peak_name in values:
        peak = values[peak_name]
        values["workspace_bytes"] = None if peak is None else max(0, peak - known)
        if peak is None:
            reasons["workspace_bytes"] = TOO_SMALL
    return Found(values=values, reasons=reasons)


def _state(optimizers: Iterable[Optimizer]) -> list[Tensor]:
    entries = [entry for optimizer in optimizers for state in optimizer.state.values() for entry in state.values()]
    return [entry for entry in entries if isinstance(entry, Tensor)]


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
        for _ in range(step.rotation):
            step.marked(mark)
    return max(sums)
