"""The cost pass, the ceilings and the energy of a machine, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.autograd import DeviceType

from bench.cost_model import cost_estimates
from bench.jobs import Job, JobKind
from bench.observations import CaseResult, Ceiling, Pass
from bench.passes import cost, energy
from bench.probes import ceilings, operators
from bench.probes import energy as energy_probe
from bench.probes.ceilings import measure_ceilings
from bench.probes.energy import measure_energy
from bench.probes.nvml import Gpu
from bench.probes.operators import Launched, count_launches
from bench.probes.peaks import vendor_peak
from bench.quantity import METRICS
from bench.records import LengthDistribution, Measure, Outcome, PassKind, Variant
from bench.sampling import Call
from bench.stats import Estimate, IntervalKind
from bench.subjects import measured
from bench.worker import PASSES
from tests.scripted import case

CPU = torch.device("cpu")
CUDA = torch.device("cuda:0")


def job(name: str, workload: str = "inference", folder: Path | str = ".", **more: Any) -> Job:
    made = case(name, workload=workload, **more)
    return Job(kind=JobKind.PASS, case=made, measure=Measure(), passing=PassKind.COST, folder=str(folder))


# ── operators and kernels ──────────────────────────────────────────────────────────────────────────────────────────


def test_operators_are_those_that_the_model_or_autograd_called() -> None:
    layer, inputs = torch.nn.Linear(3, 3), torch.ones(2, 3)
    # a linear layer calls addmm and others in its turn: they are part of it
    assert count_launches(lambda: layer(inputs).relu(), CPU) == (Launched(operators=2, kernels=0),) * 2
    forward = count_launches(lambda: layer(inputs).sum(), CPU)[0].operators
    assert forward == 2
    assert count_launches(lambda: layer(inputs).sum().backward(), CPU)[0].operators > 2 * forward


@pytest.mark.parametrize("workload", ["inference", "training"])
@pytest.mark.parametrize("name", ["nbow", "lstm", "textcnn", "transformer"])
def test_operator_counts_repeat_exactly(name: str, workload: str) -> None:
    found = {one for _ in range(2) for one in count_launches(measured(job(name, workload))[1].call, CPU)}
    assert len(found) == 1
    assert found.pop().operators > 3


def event(name: str, device: DeviceType, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(name=name, device_type=device, cpu_parent=None, is_user_annotation=False, **more)


def test_kernels_are_counted_without_copies_fills_and_named_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    named = event("Optimizer.step#AdamW.step", DeviceType.CUDA)
    named.is_user_annotation = True
    seen = [
        event("aten::linear", DeviceType.CPU),
        event("cudaLaunchKernel", DeviceType.CPU),
        event("sm90_xmma_gemm_bf16", DeviceType.CUDA),
        event("void at::native::vectorized_elementwise_kernel", DeviceType.CUDA),
        event("Memcpy HtoD (Pageable -> Device)", DeviceType.CUDA),
        event("Memset (Device)", DeviceType.CUDA),
        named,
    ]
    log: list[object] = []

    class Profile:
        def __init__(self, activities: list[object]) -> None:
            log.append(activities)

        def __enter__(self) -> Profile:
            return self

        def __exit__(self, *_: object) -> None:
            log.append("stop")

        def events(self) -> list[SimpleNamespace]:
            return seen

    monkeypatch.setattr(operators, "profile", Profile)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: log.append("synchronize"))
    both = count_launches(lambda: log.append("call"), CUDA)
    assert both == (Launched(operators=1, kernels=2),) * 2
    # launched is not done: the profiler stops only when the device has finished
    activities = [operators.ProfilerActivity.CPU, operators.ProfilerActivity.CUDA]
    assert log == [activities, "call", "synchronize", "stop"] * 3


def test_what_differs_from_step_to_step_has_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = (Launched(operators=7, kernels=3), Launched(operators=9, kernels=4))
    monkeypatch.setattr(cost, "count_launches", lambda *_: pair)
    found = cost.observe(job("nbow"))
    assert found.values["operator_count"] is None
    assert found.reasons["operator_count"] == "two steps called 7 and 9"
    assert found.values["kernel_count"] is None
    assert found.reasons["kernel_count"] == "two steps launched 3 and 4"


# ── the pass ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bag_of_words_costs_its_classifier_and_its_traffic() -> None:
    found = cost.observe(job("nbow", sequence_length=64, batch_size=8))
    assert set(found.values) <= set(METRICS)
    assert found.values["flops_per_item"] == 2 * 128 * 2
    # ids and rows are read, rows written; all rows read again for their mean
    least = 64 * 8 + 3 * 64 * 128 * 4
    assert least <= (found.values["traffic_bytes_per_item"] or 0) <= 1.1 * least
    assert found.values["kernel_count"] is None
    assert found.values["peak_flops_per_s"] is None
    assert found.reasons == {"kernel_count": "no kernels on a CPU", "peak_flops_per_s": "no peak known for cpu fp32"}


def test_a_step_of_training_moves_the_optimizers_state_too() -> None:
    inference, training = (cost.observe(job("nbow", workload)).values for workload in ("inference", "training"))
    table = 20_000 * 128 * 4 / 8
    assert (training["traffic_bytes_per_item"] or 0) > (inference["traffic_bytes_per_item"] or 0) + 10 * table


def test_traffic_under_autocast_is_that_of_fp32_and_says_so() -> None:
    full, half = (cost.observe(job("nbow", "training", precision=precision)) for precision in ("fp32", "bf16"))
    assert half.values["traffic_bytes_per_item"] == full.values["traffic_bytes_per_item"]
    assert half.reasons["traffic_bytes_per_item"] == cost.IN_FP32
    assert "traffic_bytes_per_item" not in full.reasons


def test_padded_rows_are_counted_as_computed_over_a_whole_rotation() -> None:
    full, some = (
        cost.observe(job("textcnn", sequence_length=64, length_distribution=lengths)).values["flops_per_item"] or 0
        for lengths in (LengthDistribution.FIXED, LengthDistribution.UNIFORM)
    )
    assert 0.5 * full < some < full


USERS = """
import torch
from torch import nn

class Base(nn.Module):
    def __init__(self, input_dim: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_dim, num_classes)

class Peeking(Base):
    def forward(self, inputs):
        return self.linear(inputs) * (2.0 if inputs.sum().item() > 0 else 1.0)

class Solving(Base):
    def forward(self, inputs):
        return self.linear(inputs) * torch.linalg.svdvals(self.linear.weight)[0]

class Adding(Base):
    def forward(self, inputs):
        return inputs.sum(dim=1, keepdim=True) + self.linear.bias
"""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Peeking", "it does not run on `meta`, where cost is counted: RuntimeError: Tensor.item() cannot be called"),
        ("Solving", "no formula for _linalg_svd"),
        ("Adding", cost.NOTHING_COUNTED),
    ],
)
def test_what_cannot_be_counted_says_why_and_keeps_the_rest(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "users.py").write_text(USERS)
    variant = Variant(architecture=f"users.py:{name}", label=name, hyperparameters={})
    found = cost.observe(job(name, folder=tmp_path, task="tabular", sequence_length=None, variant=variant))
    assert found.values["flops_per_item"] is None
    assert found.reasons["flops_per_item"].startswith(reason)
    assert (found.values["operator_count"] or 0) >= 2
    assert (found.values["traffic_bytes_per_item"] is None) == (name == "Peeking")


def test_the_worker_makes_both_passes() -> None:
    assert PASSES[PassKind.COST] is cost.observe
    assert PASSES[PassKind.ENERGY] is energy.observe


# ── peaks and ceilings ─────────────────────────────────────────────────────────────────────────────────────────────


def test_peaks_are_dense_and_only_of_devices_that_are_known() -> None:
    assert vendor_peak("NVIDIA H200", "bf16") == 989.4e12
    assert vendor_peak("NVIDIA H200", "tf32") == 494.7e12
    assert vendor_peak("NVIDIA H200", "fp32") == pytest.approx(66.9e12)
    assert vendor_peak("NVIDIA H200 NVL", "bf16") is None
    assert vendor_peak("Tesla T4", "bf16") is None
    assert vendor_peak("cpu", "fp32") is None


@dataclass
class RatedClock:
    """A machine that multiplies at `flops_per_s` and copies in `copy_s`; each third call is disturbed, and takes longer."""

    flops_per_s: float
    copy_s: float
    least_sample_s: float = 1e-3
    sizes: list[int] = field(default_factory=list)
    dtypes: set[torch.dtype] = field(default_factory=set)
    calls: int = 0

    def time(self, call: Call, iterations: int) -> float:
        self.calls += 1
        slower = 3.0 if self.calls % 3 == 0 else 1.0
        if call.func is not torch.mm:  # type: ignore[attr-defined]
            return self.copy_s * slower
        size, dtype = len(call.args[0]), call.args[0].dtype  # type: ignore[attr-defined]
        self.sizes.append(size)
        self.dtypes.add(dtype)
        return 2 * size**3 / self.flops_per_s * slower

    def parts(self, call: object) -> dict[str, float]:
        raise AssertionError("a ceiling has no parts")


@pytest.mark.parametrize(("flops_per_s", "largest"), [(1e9, 512), (1e11, 1024), (5e11, 2048)])
@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_ceilings_are_the_best_repeats_of_a_product_that_is_large_enough(
    monkeypatch: pytest.MonkeyPatch, flops_per_s: float, largest: int, precision: str, dtype: torch.dtype
) -> None:
    clock = RatedClock(flops_per_s, copy_s=0.05)
    monkeypatch.setattr(ceilings, "clock_for", lambda _: clock)
    monkeypatch.setattr(ceilings, "COPIED_BYTES", {"cpu": 2**20})
    found = measure_ceilings(CPU, precision)
    assert found.flops_per_s == pytest.approx(flops_per_s)
    assert found.bytes_per_s == pytest.approx(2 * 2**20 / 0.05)
    assert max(clock.sizes) == largest
    assert clock.dtypes == {dtype}


def test_ceilings_of_this_machine_can_be_measured() -> None:
    found = measure_ceilings(CPU, "fp32")
    # slower than this no processor of this century multiplies or copies
    assert found.flops_per_s > 1e8
    assert found.bytes_per_s > 1e8


# ── energy ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class NVMLError(Exception):
    pass


def driver(log: list[str], readings: list[int | None]) -> Gpu:
    """A GPU whose counter is read in this order; None is a counter that is not there."""

    def read(handle: object) -> int:
        log.append(f"read {handle}")
        value = readings.pop(0)
        if value is None:
            raise NVMLError("Not Supported")
        return value

    library = SimpleNamespace(NVMLError=NVMLError, nvmlDeviceGetTotalEnergyConsumption=read)
    return Gpu(library=library, handle="gpu")


@dataclass
class LoggingClock:
    log: list[str]
    call_s: float
    least_sample_s: float = 1e-3

    def time(self, call: Call, iterations: int) -> float:
        self.log.append(f"time x{iterations}")
        return iterations * self.call_s

    def parts(self, call: object) -> dict[str, float]:
        raise AssertionError("energy has no parts")


def test_energy_is_read_around_a_second_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    monkeypatch.setattr(energy_probe, "open_gpu", lambda _: driver(log, [5_000, 305_000]))
    # calls turn out faster than in the warm-up: more of them follow until the second is full
    joules, why = measure_energy(LoggingClock(log, call_s=1 / 128), lambda: None, 0.01, CUDA)
    assert log == ["read gpu", "time x100", "time x22", "time x5", "time x1", "read gpu"]
    assert (joules, why) == (pytest.approx(300 / 128), "")


@pytest.mark.parametrize(
    ("readings", "why"),
    [([None], "no energy counter"), ([7, 7], "stood still"), ([7, None], "stood still"), (None, "no NVML driver")],
)
def test_energy_is_unknown_without_a_counter_that_moves(
    monkeypatch: pytest.MonkeyPatch, readings: list[int | None] | None, why: str
) -> None:
    gpu = None if readings is None else driver([], readings)
    monkeypatch.setattr(energy_probe, "open_gpu", lambda _: gpu)
    joules, reason = measure_energy(LoggingClock([], call_s=0.5), lambda: None, 0.5, CUDA)
    assert joules is None
    assert why in reason


def test_the_energy_pass_is_per_item(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = replace(job("nbow", batch_size=8), measure=Measure(warmup_s=0.0, warmup_calls=1, warmup_cap_s=0.1))
    assert energy.observe(quick).values == {"energy_j_per_item": None}
    assert "no NVML driver" in energy.observe(quick).reasons["energy_j_per_item"]
    monkeypatch.setattr(energy, "measure_energy", lambda *_: (4.0, ""))
    found = energy.observe(quick)
    assert (found.values, found.reasons) == ({"energy_j_per_item": 0.5}, {})


# ── what follows ───────────────────────────────────────────────────────────────────────────────────────────────────

LATENCY = Estimate(value=0.002, low=0.001, high=0.004, interval=IntervalKind.T95_TRIALS)
COST = Pass(
    case_id="c",
    name=PassKind.COST,
    outcome=Outcome.OK,
    values={"flops_per_item": 1e9, "peak_flops_per_s": 20e12},
)
CEILING = Ceiling(device="cpu", precision="fp32", threads=1, outcome=Outcome.OK, flops_per_s=8e12, bytes_per_s=1e10)


def result(*passes: Pass, ceiling: Ceiling | None = CEILING) -> CaseResult:
    return CaseResult(case=case(batch_size=8), passes=passes, ceiling=ceiling)


def numbers(estimate: Estimate) -> tuple[float | None, ...]:
    return estimate.value, estimate.low, estimate.high


def test_achieved_rates_and_shares_have_the_interval_of_the_latency() -> None:
    found = cost_estimates(result(COST), LATENCY)
    assert numbers(found["flops_per_s"]) == pytest.approx((4e12, 2e12, 8e12))
    assert numbers(found["mfu"]) == pytest.approx((0.2, 0.1, 0.4))
    assert numbers(found["ceiling_share"]) == pytest.approx((0.5, 0.25, 1.0))
    assert {found[name].interval for name in ("flops_per_s", "mfu", "ceiling_share")} == {IntervalKind.T95_TRIALS}
    assert found["ceiling_flops_per_s"] == Estimate(value=8e12)
    assert found["ceiling_bytes_per_s"] == Estimate(value=1e10)
    assert set(found) <= set(METRICS)


def test_one_trial_gives_shares_without_an_interval() -> None:
    found = cost_estimates(result(COST), Estimate(value=0.002, reason="a single trial has no interval"))
    assert numbers(found["mfu"]) == (pytest.approx(0.2), None, None)
    assert found["mfu"].reason == "a single trial has no interval"


FAILED = replace(CEILING, outcome=Outcome.FAILED, reason="it broke", flops_per_s=None, bytes_per_s=None)
NO_PEAK = replace(
    COST,
    values={"flops_per_item": 1e9, "peak_flops_per_s": None},
    reasons={"peak_flops_per_s": "no peak known for cpu fp32"},
)
NO_FLOPS = replace(COST, values={"flops_per_item": None}, reasons={"flops_per_item": "no formula for _linalg_svd"})


@pytest.mark.parametrize(
    ("observed", "reasons"),
    [
        (result(NO_PEAK), {"mfu": "no peak known for cpu fp32"}),
        (result(COST, ceiling=None), {"ceiling_share": "the ceiling of this machine was not measured"}),
        (
            result(COST, ceiling=FAILED),
            dict.fromkeys(("ceiling_share", "ceiling_flops_per_s", "ceiling_bytes_per_s"), "it broke"),
        ),
        (result(NO_FLOPS), dict.fromkeys(("flops_per_s", "mfu", "ceiling_share"), "no formula for _linalg_svd")),
    ],
)
def test_what_is_unknown_says_why(observed: CaseResult, reasons: dict[str, str]) -> None:
    found = cost_estimates(observed, LATENCY)
    assert {name: one.reason for name, one in found.items() if one.value is None} == reasons


def test_the_last_good_pass_counts_and_none_gives_nothing_but_ceilings() -> None:
    broken = replace(COST, outcome=Outcome.FAILED, values={})
    other = replace(COST, values={"flops_per_item": 2e9, "peak_flops_per_s": 20e12})
    assert cost_estimates(result(COST, other, broken), LATENCY)["mfu"].value == pytest.approx(0.4)
    assert set(cost_estimates(result(broken), LATENCY)) == {"ceiling_flops_per_s", "ceiling_bytes_per_s"}
    assert cost_estimates(result(ceiling=None), LATENCY) == {}


def test_without_a_latency_nothing_was_achieved() -> None:
    unknown: Callable[[], Estimate] = lambda: Estimate(value=None, reason="not measured yet")  # noqa: E731
    found = cost_estimates(result(COST), unknown())
    assert (found["mfu"].value, found["mfu"].reason) == (None, "not measured yet")
