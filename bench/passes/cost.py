"""What a step costs on paper: FLOPs and traffic, counted on `meta`; and its operators and kernels, from the profiler."""

from __future__ import annotations

from dataclasses import replace

import torch

from bench.jobs import Job
from bench.passes import Found
from bench.probes.flops import Counted, count
from bench.probes.operators import count_launches
from bench.probes.peaks import vendor_peak
from bench.subjects import build_subject, measured
from bench.workloads import WORKLOADS, Measured

Values = dict[str, float | None]
Reasons = dict[str, str]

NOTHING_COUNTED = "nothing of what it does is counted: no matrix product, convolution, attention or FFT"
IN_FP32 = "counted in fp32: autocast does not reach `meta`"


def observe(job: Job) -> Found:
    """Count one step each way; what cannot be counted on `meta` is said, and costs nothing else."""
    subject, step = measured(job)
    values, reasons = _launches(step, subject.device)
    peak, why = _peak(subject.device, job.case.precision)
    values["peak_flops_per_s"] = peak
    if why:
        reasons["peak_flops_per_s"] = why
    try:
        counted, items = count_on_meta(job)
    except Exception as error:  # a user's own model may raise anything here, and still be measured well
        said = f"it does not run on `meta`, where cost is counted: {type(error).__name__}: {error}"
        values |= {"flops_per_item": None, "traffic_bytes_per_item": None}
        reasons |= {"flops_per_item": said, "traffic_bytes_per_item": said}
        return Found(values=values, reasons=reasons)
    values["flops_per_item"], why = per_item(counted, items)
    if why:
        reasons["flops_per_item"] = why
    values["traffic_bytes_per_item"] = counted.traffic_bytes / items
    if job.case.precision in ("bf16", "fp16") and not WORKLOADS.get(job.case.workload).casts_weights:
        reasons["traffic_bytes_per_item"] = IN_FP32
    return Found(values=values, reasons=reasons)


def count_on_meta(job: Job) -> tuple[Counted, int]:
    """FLOPs and traffic of whole rotations over the batches, and the items that they get through.

    Whatever the model raises on `meta` is passed on.
    """
    workload = WORKLOADS.get(job.case.workload)
    precision = job.case.precision if workload.casts_weights else "fp32"
    case = replace(job.case, device="meta", precision=precision, compile="none")
    subject = build_subject(replace(job, case=case), seed=job.seed)
    assert workload.prepare is not None
    # autocast is off, but wants to hear of a device that it knows
    step = workload.prepare(replace(subject, device=torch.device("cpu")))

    return count(step.rotate), step.rotation * step.items


def per_item(counted: Counted, items: int) -> tuple[float | None, str]:
    """FLOPs of one item, or None and why nobody knows."""
    if counted.uncounted:
        return None, f"no formula for {', '.join(counted.uncounted)}"
    return (counted.flops / items, "") if counted.flops else (None, NOTHING_COUNTED)


def _launches(step: Measured, device: torch.device) -> tuple[Values, Reasons]:
    first, second = count_launches(step.call, device)
    values: Values = {"operator_count": first.operators, "kernel_count": first.kernels}
    reasons: Reasons = {}
    if first.operators != second.operators:
        values["operator_count"] = None
        reasons["operator_count"] = f"two steps called {first.operators} and {second.operators}"
    if not first.kernels:
        values["kernel_count"] = None
        reasons["kernel_count"] = "no kernels on a CPU" if device.type == "cpu" else "the profiler saw no kernel"
    elif first.kernels != second.kernels:
        values["kernel_count"] = None
        reasons["kernel_count"] = f"two steps launched {first.kernels} and {second.kernels}"
    return values, reasons


def _peak(device: torch.device, precision: str) -> tuple[float | None, str]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    peak = vendor_peak(name, precision)
    return peak, "" if peak is not None else f"no peak known for {name} {precision}"
