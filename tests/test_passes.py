"""Passes beside trials, for real: what memory holds against closed forms, parts of a step, tails of single calls."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fakes import Reverse
from made_captions import Captions
from scripted import case

from bench.architectures import ARCHITECTURES
from bench.estimates import P90_CALLS, P99_CALLS, estimates
from bench.executors.local import Server
from bench.jobs import Job, JobKind, bytes_asked, passes_of
from bench.observations import CaseResult, Pass
from bench.records import Case, Measure, Outcome, PassKind, Variant
from bench.spec import InputKind, OutputKind
from bench.tasks import TASKS

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
HERE = Path(__file__).parent
MADE = ("made_captions",)  # and what it imports: the tasks of what writes
QUICK = Measure(warmup_s=0.01, warmup_calls=3, warmup_cap_s=0.1, tails_s=0.3)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


def made(architecture: str, workload: str, *, batch_size: int, **hyperparameters: object) -> Case:
    variant = Variant(architecture=architecture, label=architecture, hyperparameters=hyperparameters)
    known = ARCHITECTURES.get(architecture)
    takes_words, writes = InputKind.TOKENS in known.inputs, OutputKind.TOKENS in known.outputs
    if writes:
        task, length = (Reverse.name, 32) if takes_words else (Captions.name, None)
    elif InputKind.NOISE in known.inputs:
        task, length = "generation", None
    else:
        task, length = ("imdb", 32) if takes_words else ("images", None)
    return case(workload=workload, task=task, sequence_length=length, batch_size=batch_size, variant=variant)


def passed(server: Server, kind: PassKind, one: Case) -> Pass:
    job = Job(kind=JobKind.PASS, passing=kind, case=one, measure=QUICK, seed=1, imports=MADE, folder=str(HERE))
    (found,) = server.run(job)
    assert isinstance(found, Pass)
    assert found.outcome is Outcome.OK, found.reason
    return found


ITEMS, HIDDEN, PIXELS, CLASSES = 16_384, 512, 64, 10
PARAMETERS = (PIXELS + 1) * HIDDEN + (HIDDEN + 1) * CLASSES
HIDDEN_BYTES = ITEMS * HIDDEN * 4


@LINUX
def test_the_memory_of_an_mlp_step_is_its_closed_form(server: Server) -> None:
    one = made("mlp", "training", batch_size=ITEMS, hidden_dim=HIDDEN)
    repeats = [dict(passed(server, PassKind.MEMORY, one).values) for _ in range(3)]
    values = repeats[0]
    assert values["weights_bytes"] == values["gradients_bytes"] == 4 * PARAMETERS
    # AdamW: two moments of every parameter, and one count of steps (fp32) for each of four tensors
    assert values["optimizer_bytes"] == 8 * PARAMETERS + 4 * 4
    # kept for the backward: ReLU's output, what dropout let through and its mask, log-probabilities, a few small ones
    logits = ITEMS * CLASSES * 4
    assert values["activations_bytes"] == pytest.approx(3 * HIDDEN_BYTES + logits, rel=0.01)
    # at the peak the gradient of one hidden layer stands beside all of that
    peak = values["peak_rss_bytes"]
    assert peak == pytest.approx(4 * HIDDEN_BYTES + logits, rel=0.1)
    assert values["workspace_bytes"] == peak - values["activations_bytes"]
    peaks = [float(one["peak_rss_bytes"] or 0) for one in repeats]
    assert max(peaks) <= 1.02 * min(peaks)


@LINUX
@pytest.mark.parametrize("architecture", ["lstm", "textcnn", "transformer"])
def test_three_repeats_of_a_memory_pass_agree_within_two_per_cent(server: Server, architecture: str) -> None:
    one = made(architecture, "training", batch_size=64)
    peaks = [float(passed(server, PassKind.MEMORY, one).values["peak_rss_bytes"] or 0) for _ in range(3)]
    assert 0 < max(peaks) <= 1.02 * min(peaks)


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES.built_in())
def test_every_architecture_has_its_memory_split(server: Server, architecture: str) -> None:
    one = made(architecture, "training", batch_size=64)
    values = {name: float(value or 0) for name, value in passed(server, PassKind.MEMORY, one).values.items()}
    kind = TASKS.get(one.task)
    spec, known = kind.make(kind.options()).spec(one.sequence_length), ARCHITECTURES.get(architecture)
    assert known.parameter_count is not None
    parameters = known.parameter_count(spec, known.hyperparameters())
    assert values["weights_bytes"] == 4 * parameters
    # of a step with several phases there are those of the last one
    last = known.training_phases(known.build(spec, known.hyperparameters()), loss=lambda *_: torch.zeros(()))[-1]
    assert values["gradients_bytes"] == 4 * sum(parameter.numel() for parameter in last.parameters)
    tensors = (values["optimizer_bytes"] - 8 * parameters) / 4
    assert 0 < tensors < 200
    assert tensors == int(tensors)  # two moments of every parameter, and one count of steps for each tensor
    assert values["activations_bytes"] > 0
    assert values["workspace_bytes"] == max(
        0, values["peak_rss_bytes"] - max(values["activations_bytes"], values["gradients_bytes"])
    )


@LINUX
def test_inference_keeps_nothing_and_holds_weights_in_its_precision(server: Server) -> None:
    one = made("mlp", "inference", batch_size=ITEMS, hidden_dim=HIDDEN)
    values = passed(server, PassKind.MEMORY, one).values
    assert set(values) == {"peak_rss_bytes", "weights_bytes", "workspace_bytes"}
    halved = replace(one, batch_size=512, precision="bf16")
    assert passed(server, PassKind.MEMORY, halved).values["weights_bytes"] == 2 * PARAMETERS


def test_the_parts_of_a_step_are_all_of_it(server: Server) -> None:
    one = made("mlp", "training", batch_size=2048, hidden_dim=HIDDEN)
    split = passed(server, PassKind.SPLIT, one)
    assert set(split.samples_s) == {"forward", "backward", "optimizer"}
    assert {len(taken) for taken in split.samples_s.values()} >= {len(split.samples_s["forward"])}
    assert len(split.samples_s["forward"]) >= QUICK.samples
    found = estimates(CaseResult(case=one, passes=(split,)))
    assert {"forward_s", "backward_s", "optimizer_s"} <= set(found)
    # 2,048 rows through two layers cost more going back than going forth, and both more than AdamW over 38,000 weights
    values = [found[f"{part}_s"].value or 0.0 for part in ("optimizer", "forward", "backward")]
    assert 0 < values[0] < values[2]
    assert values[1] > 0


def test_tails_come_from_single_calls_and_only_from_enough_of_them(server: Server) -> None:
    one = made("mlp", "inference", batch_size=1, hidden_dim=8)
    tails = passed(server, PassKind.TAILS, one)
    assert len(tails.samples_s["call"]) == P99_CALLS
    found = estimates(CaseResult(case=one, passes=(tails,)))
    assert 0 < (found["latency_p90_s"].value or 0) <= (found["latency_p99_s"].value or 0)


@pytest.mark.parametrize(("calls", "known"), [(199, 0), (200, 1), (999, 1), (1000, 2)])
def test_a_tail_without_enough_calls_is_unknown_with_its_reason(calls: int, known: int) -> None:
    times = tuple(0.001 * (place + 1) for place in range(calls))
    tails = Pass(case_id="c", name=PassKind.TAILS, outcome=Outcome.OK, samples_s={"call": times})
    found = estimates(CaseResult(case=case(), passes=(tails,)))
    values = [found["latency_p90_s"].value, found["latency_p99_s"].value]
    assert sum(value is not None for value in values) == known
    if known < 2:
        least = P90_CALLS if known == 0 else P99_CALLS
        assert (
            f"{calls} calls were timed, and this quantile needs {least}" in found[f"latency_p{90 + 9 * known}_s"].reason
        )
    else:
        assert values == pytest.approx([0.9001, 0.99001])


def test_passes_are_made_where_they_say_something() -> None:
    every = Measure()
    assert passes_of(case(), every) == (PassKind.MEMORY, PassKind.COST, PassKind.TAILS)
    assert PassKind.SPLIT in passes_of(case(workload="training"), every)
    assert PassKind.COMPILE in passes_of(case(compile="default"), every)
    assert PassKind.ENERGY in passes_of(case(device="cuda"), every)
    assert passes_of(case(), Measure(passes=(PassKind.TAILS,))) == (PassKind.TAILS,)


def test_the_bytes_that_were_asked_for_are_read_from_both_allocators() -> None:
    cpu = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4398046511104 bytes. Error code 12"
    cuda = "CUDA out of memory. Tried to allocate 20.50 GiB. GPU 0 has a total capacity of 139.80 GiB"
    assert bytes_asked(cpu) == 4 * 2**40
    assert bytes_asked(cuda) == round(20.5 * 2**30)
    assert bytes_asked("std::bad_alloc") is None
