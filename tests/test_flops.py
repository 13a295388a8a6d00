"""FLOPs counted on `meta` against the same model as plain matrix products, and what is said where they cannot be counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from fakes import Reverse
from made_captions import Captions
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from bench.architectures import ARCHITECTURES
from bench.batch import Batch, asked, forward
from bench.jobs import Job, JobKind
from bench.passes.cost import count_on_meta
from bench.probes.flops import count
from bench.records import Case, Measure, PassKind, Variant
from bench.spec import OutputKind
from bench.subjects import build_subject
from bench.workloads import Subject
from tests.scripted import case
from tests.twins import LOSSES, TWINS
from tests.twins_writing import WRITING

Sizes = list[tuple[dict[str, Any], dict[str, Any]]]
"""Hyperparameters and settings of the case, three sizes of each architecture."""

RECURRENT: Sizes = [
    ({}, {"sequence_length": 32, "batch_size": 4}),
    ({"embedding_dim": 16, "hidden_dim": 48, "num_layers": 2}, {"sequence_length": 17, "batch_size": 1}),
    (
        {"embedding_dim": 24, "hidden_dim": 20, "num_layers": 2, "bidirectional": True},
        {"sequence_length": 9, "batch_size": 3},
    ),
]
MINIMAL: Sizes = [
    ({}, {"sequence_length": 32, "batch_size": 4}),
    ({"embedding_dim": 16, "hidden_dim": 48, "num_layers": 1}, {"sequence_length": 17, "batch_size": 1}),
    ({"hidden_dim": 20, "num_layers": 3}, {"sequence_length": 9, "batch_size": 3}),
]
REVERSE, CAPTIONS = Reverse.name, Captions.name
EVERY_TWIN = TWINS | WRITING
SIZES: dict[str, Sizes] = {
    "tcn": [
        ({}, {"sequence_length": 32, "batch_size": 4}),
        ({"embedding_dim": 16, "hidden_dim": 24, "kernel_size": 2}, {"sequence_length": 17, "batch_size": 1}),
        ({"hidden_dim": 20, "num_layers": 2, "kernel_size": 5}, {"sequence_length": 9, "batch_size": 3}),
    ],
    "mingru": MINIMAL,
    "minlstm": MINIMAL,
    "linear-attention": [
        ({}, {"sequence_length": 64, "batch_size": 4}),
        ({"embedding_dim": 12, "num_heads": 3, "feedforward_dim": 20}, {"sequence_length": 200, "batch_size": 1}),
        ({"num_layers": 1, "positions": "none"}, {"sequence_length": 33, "batch_size": 2}),
    ],
    "goru": [
        ({}, {"sequence_length": 32, "batch_size": 4}),
        ({"embedding_dim": 16, "hidden_dim": 48, "num_layers": 2}, {"sequence_length": 17, "batch_size": 1}),
        ({"hidden_dim": 20, "rotations": 4}, {"sequence_length": 9, "batch_size": 3}),
    ],
    "s4d": [
        ({}, {"sequence_length": 32, "batch_size": 4}),
        ({"embedding_dim": 12, "state_dim": 6, "num_layers": 1}, {"sequence_length": 17, "batch_size": 1}),
        ({"embedding_dim": 20, "state_dim": 16}, {"sequence_length": 9, "batch_size": 3}),
    ],
    "mamba": [
        ({}, {"sequence_length": 32, "batch_size": 4}),
        ({"embedding_dim": 12, "state_dim": 5, "num_layers": 1}, {"sequence_length": 17, "batch_size": 1}),
        ({"embedding_dim": 20, "state_dim": 8}, {"sequence_length": 9, "batch_size": 3}),
    ],
    "nbow": [
        ({}, {"sequence_length": 64, "batch_size": 8}),
        ({"embedding_dim": 32}, {"sequence_length": 5, "batch_size": 1}),
        ({"embedding_dim": 300}, {"sequence_length": 200, "batch_size": 2}),
    ],
    "rnn": RECURRENT,
    "lstm": RECURRENT,
    "gru": RECURRENT,
    "attention-rnn": [
        RECURRENT[0],
        ({"cell": "gru", "score": "dot", "window": 5, "num_layers": 2}, {"sequence_length": 17, "batch_size": 2}),
        ({"cell": "rnn", "hidden_dim": 20, "bidirectional": True}, {"sequence_length": 9, "batch_size": 3}),
    ],
    "textcnn": [
        ({}, {"sequence_length": 64, "batch_size": 4}),
        ({"embedding_dim": 20, "num_filters": 7, "kernel_sizes": (2, 7)}, {"sequence_length": 11, "batch_size": 1}),
        ({"embedding_dim": 50, "num_filters": 64, "kernel_sizes": (3,)}, {"sequence_length": 128, "batch_size": 2}),
    ],
    "transformer": [
        ({}, {"sequence_length": 64, "batch_size": 4}),
        ({"embedding_dim": 12, "num_heads": 3, "feedforward_dim": 20}, {"sequence_length": 200, "batch_size": 1}),
        ({"num_layers": 1, "pooling": "cls", "positions": "none"}, {"sequence_length": 33, "batch_size": 2}),
    ],
    "bert": [
        ({}, {"sequence_length": 64, "batch_size": 4}),
        ({"size": "mini", "dropout": 0.0}, {"sequence_length": 33, "batch_size": 1}),
        ({"size": "small"}, {"sequence_length": 7, "batch_size": 2}),
    ],
    "mdlstm": [
        ({}, {"task": "images", "batch_size": 4}),
        ({"hidden_dim": 20, "directions": 1}, {"task": "images", "batch_size": 1}),
        ({"hidden_dim": 7, "patch": 3}, {"task": "images", "batch_size": 2}),
    ],
    "grid-lstm": [
        ({}, {"sequence_length": 32, "batch_size": 4}),
        ({"embedding_dim": 16, "hidden_dim": 48, "num_layers": 1}, {"sequence_length": 17, "batch_size": 1}),
        ({"hidden_dim": 20, "num_layers": 4, "tied": True}, {"sequence_length": 9, "batch_size": 3}),
    ],
    "mlp": [
        ({}, {"task": "images", "batch_size": 8}),
        ({"hidden_dim": 256, "num_layers": 3}, {"task": "images", "batch_size": 1}),
        ({"hidden_dim": 31}, {"task": "tabular", "batch_size": 16}),
        ({}, {"task": "forecast", "sequence_length": 24, "batch_size": 4}),
    ],
    "cnn": [
        ({}, {"task": "images", "batch_size": 4}),
        ({"num_filters": 5}, {"task": "images", "batch_size": 1}),
        ({"num_filters": 64}, {"task": "images", "batch_size": 2}),
    ],
    "rnn-seq2seq": [
        ({}, {"task": REVERSE, "sequence_length": 9, "batch_size": 4}),
        (
            {"cell": "lstm", "attention": "dot", "hidden_dim": 20, "num_layers": 2},
            {"task": REVERSE, "sequence_length": 7, "batch_size": 3},
        ),
        (
            {"cell": "rnn", "attention": "none", "embedding_dim": 12, "bidirectional": False},
            {"task": REVERSE, "sequence_length": 17, "batch_size": 1},
        ),
    ],
    "transformer-seq2seq": [
        ({}, {"task": REVERSE, "sequence_length": 9, "batch_size": 4}),
        (
            {"embedding_dim": 12, "num_heads": 3, "feedforward_dim": 20, "num_layers": 1},
            {"task": REVERSE, "sequence_length": 40, "batch_size": 1},
        ),
        ({"positions": "none", "num_layers": 3}, {"task": REVERSE, "sequence_length": 7, "batch_size": 2}),
    ],
    "cnn-rnn": [
        ({}, {"task": CAPTIONS, "batch_size": 4}),
        ({"cell": "lstm", "attention": "none", "num_layers": 2}, {"task": CAPTIONS, "batch_size": 1}),
        ({"num_filters": 5, "attention": "dot", "hidden_dim": 20}, {"task": CAPTIONS, "batch_size": 2}),
    ],
    "cnn-transformer": [
        ({}, {"task": CAPTIONS, "batch_size": 4}),
        ({"num_filters": 5, "num_layers": 1}, {"task": CAPTIONS, "batch_size": 1}),
        ({"embedding_dim": 12, "num_heads": 3, "positions": "none"}, {"task": CAPTIONS, "batch_size": 2}),
    ],
    "vae": [
        ({}, {"task": "generation", "batch_size": 4}),
        ({"hidden_dim": 31}, {"task": "generation", "batch_size": 1}),
        ({"hidden_dim": 64}, {"task": "generation", "task_options": {"noise_dim": 7}, "batch_size": 2}),
    ],
    "gan": [
        ({}, {"task": "generation", "batch_size": 4}),
        ({"hidden_dim": 31}, {"task": "generation", "batch_size": 1}),
        ({"hidden_dim": 64}, {"task": "generation", "task_options": {"noise_dim": 7}, "batch_size": 2}),
    ],
}
EVERY = [(name, *sizes) for name, all_sizes in SIZES.items() for sizes in all_sizes]
every_size = pytest.mark.parametrize(("name", "hyperparameters", "settings"), EVERY, ids=str)


def made(name: str, hyperparameters: dict[str, Any], settings: dict[str, Any], workload: str = "inference") -> Job:
    variant = Variant(architecture=name, label=name, hyperparameters=hyperparameters)
    made_case: Case = case(name, workload=workload, variant=variant, **({"sequence_length": None} | settings))
    return Job(kind=JobKind.PASS, case=made_case, measure=Measure(), passing=PassKind.COST)


def transform(inputs: Sequence[int], dims: Sequence[int], *_: object, out_shape: Sequence[int], **__: object) -> int:
    """Of a real transform along the last dimension, which torch's counter does not know: half of 5 n log2 n."""
    full = max(inputs[-1], out_shape[-1])
    assert dims in ([len(inputs) - 1], [-1])
    return round(2.5 * math.prod(inputs[:-1]) * full * math.log2(full))


def complex_transform(*arguments: Any, **more: Any) -> int:
    return 2 * transform(*arguments, **more)


FFTS = {
    torch.ops.aten._fft_r2c: transform,
    torch.ops.aten._fft_c2r: transform,
    torch.ops.aten._fft_c2c: complex_transform,
}


def oracle(subject: Subject, workload: str) -> int:
    """FLOPs of one call of the twin, counted where it runs."""
    batch = subject.batches[0]
    with FlopCounterMode(display=False, custom_mapping=FFTS) as counter:
        if workload == "inference":
            with torch.no_grad():
                of_twin(subject, batch)
        elif subject.architecture.phases is not None:
            for loss in LOSSES[subject.case.variant.architecture](subject.model, batch):
                loss.backward()
        else:
            subject.task.loss(of_twin(subject, batch), batch).backward()
    return counter.get_total_flops()


def of_twin(subject: Subject, batch: Batch) -> Tensor:
    """What the twin answers; it reads the targets too where tokens are written."""
    targets = (asked(batch),) if subject.spec.outputs is OutputKind.TOKENS else ()
    return EVERY_TWIN[subject.case.variant.architecture](subject.model, batch.inputs, *targets)


def test_every_built_in_architecture_has_a_twin() -> None:
    assert set(EVERY_TWIN) == set(SIZES) == set(ARCHITECTURES.built_in())
    assert set(LOSSES) == {name for name in EVERY_TWIN if ARCHITECTURES.get(name).phases is not None}
    assert all(len(sizes) >= 3 for sizes in SIZES.values())


@every_size
@torch.no_grad()
def test_twins_answer_as_their_models(name: str, hyperparameters: dict[str, Any], settings: dict[str, Any]) -> None:
    subject = build_subject(made(name, hyperparameters, settings), seed=0)
    model, batch = subject.model.eval().double(), subject.batches[0].to(subject.device, torch.float64)
    expected = forward(model, batch, subject.spec)
    assert torch.allclose(of_twin(replace(subject, model=model), batch), expected, rtol=1e-10, atol=1e-10)


@every_size
@pytest.mark.parametrize("workload", ["inference", "training"])
def test_flops_are_those_of_the_twin(
    name: str, hyperparameters: dict[str, Any], settings: dict[str, Any], workload: str
) -> None:
    job = made(name, hyperparameters, settings, workload)
    counted, items = count_on_meta(job)
    expected = oracle(build_subject(job, seed=0), workload)
    assert counted.uncounted == ()
    assert items == job.case.batch_size
    assert expected > 0
    assert counted.flops == pytest.approx(expected, rel=0.01)


def test_an_lstm_counts_its_closed_form_and_trains_for_three_forwards_less_what_tokens_do_not_need() -> None:
    length, items, size, hidden = 32, 4, 128, 128
    job = made("lstm", {}, {"sequence_length": length, "batch_size": items})
    products = 2 * items * length * 4 * hidden * (size + hidden) + 2 * items * hidden * 2
    assert count_on_meta(job)[0].flops == products
    # no gradient of the first state, which is no parameter; none of tokens either, whose embedding counts nothing
    without = 2 * items * 4 * hidden * hidden
    training = made("lstm", {}, {"sequence_length": length, "batch_size": items}, "training")
    assert count_on_meta(training)[0].flops == 3 * products - without


# ── formulas ───────────────────────────────────────────────────────────────────────────────────────────────────────


def on_meta(*shape: int, **more: Any) -> Tensor:
    return torch.empty(*shape, device="meta", **more)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: torch.fft.fft(on_meta(3, 64, dtype=torch.complex64)), 3 * 5 * 64 * 6),
        (lambda: torch.fft.rfft(on_meta(3, 64)), 3 * 2.5 * 64 * 6),
        (lambda: torch.fft.irfft(on_meta(3, 33, dtype=torch.complex64)), 3 * 2.5 * 64 * 6),
        (lambda: torch.fft.fft2(on_meta(3, 8, 16, dtype=torch.complex64)), 3 * 5 * 128 * 7),
        (lambda: torch.fft.fft(on_meta(12, dtype=torch.complex64)), 5 * 12 * math.log2(12)),
        (lambda: on_meta(5, 7) @ on_meta(7), 2 * 5 * 7),
        (lambda: on_meta(2, 5, 7) @ on_meta(7), 2 * 2 * 5 * 7),
        (lambda: torch.dot(on_meta(7), on_meta(7)), 2 * 7),
        (lambda: torch.addmv(on_meta(5), on_meta(5, 7), on_meta(7)), 2 * 5 * 7),
        (lambda: torch.addbmm(on_meta(5, 3), on_meta(2, 5, 7), on_meta(2, 7, 3)), 2 * 2 * 5 * 7 * 3),
    ],
)
def test_formulas_of_our_own(call: Callable[[], object], expected: float) -> None:
    found = count(call)
    assert found.uncounted == ()
    assert found.flops == round(expected)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("groups", "per_weight"), [(1, 6 * 4), (2, 3 * 4)])
def test_gradients_of_a_convolution_cost_as_much_as_it_does_whatever_its_groups(
    groups: int, per_weight: int, transposed: bool
) -> None:
    kind = functional.conv_transpose1d if transposed else functional.conv1d
    weight = on_meta(6, 4 // groups, 3) if transposed else on_meta(4, 6 // groups, 3)
    inputs, weight = on_meta(2, 6, 11, requires_grad=True), weight.requires_grad_()
    products = 2 * 2 * (11 if transposed else 9) * 3 * per_weight
    assert count(lambda: kind(inputs, weight, groups=groups)).flops == products
    assert count(lambda: kind(inputs, weight, groups=groups).sum().backward()).flops == 3 * products
    weight.requires_grad_(False)
    assert count(lambda: kind(inputs, weight, groups=groups).sum().backward()).flops == 2 * products


def test_an_encoder_layer_of_torch_hides_nothing_on_meta() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, device="meta").eval()
    with torch.inference_mode():
        found = count(lambda: layer(on_meta(3, 10, 16)))
    assert found.uncounted == ()
    assert found.flops == 2 * 3 * 10 * (4 * 16 * 16 + 2 * 16 * 32) + 2 * 2 * 3 * 10 * 10 * 16


# ── what has no formula is named ───────────────────────────────────────────────────────────────────────────────────


@torch.library.custom_op("bench_tests::scan", mutates_args=())
def scan(x: Tensor) -> Tensor:
    return x.cumsum(0)


@scan.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: torch.linalg.svd(on_meta(4, 4)), "_linalg_svd"),
        (lambda: torch.linalg.solve(on_meta(4, 4), on_meta(4, 2)), "_linalg_solve_ex"),
        (lambda: torch.cdist(on_meta(4, 3), on_meta(5, 3)), "_cdist_forward"),
        (lambda: nn.Bilinear(3, 4, 5, device="meta")(on_meta(2, 3), on_meta(2, 4)), "_trilinear"),
        (
            lambda: functional.grid_sample(on_meta(1, 2, 4, 4), on_meta(1, 3, 3, 2), align_corners=False),
            "grid_sampler_2d",
        ),
        (lambda: on_meta(4, 5).addmm_(on_meta(4, 3), on_meta(3, 5)), "addmm_"),
        (lambda: on_meta(4, 4, dtype=torch.complex64) @ on_meta(4, 4, dtype=torch.complex64), "mm of complex numbers"),
        (lambda: scan(on_meta(4)), "bench_tests::scan"),
    ],
)
def test_costly_operators_without_a_formula_are_named(call: Callable[[], object], name: str) -> None:
    assert count(lambda: (call(), on_meta(2, 2) @ on_meta(2, 2))).uncounted == (name,)


@pytest.mark.parametrize(
    ("model", "inputs", "name"),
    [
        (nn.LSTM(4, 4), (3, 2, 4), "mkldnn_rnn_layer"),
        (nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), (3, 10, 16), "_transformer_encoder_layer_fwd"),
    ],
    ids=["lstm", "encoder layer"],
)
@torch.inference_mode()
def test_fused_kernels_are_named_where_they_do_not_come_apart(model: nn.Module, inputs: list[int], name: str) -> None:
    assert count(lambda: model.eval()(torch.zeros(*inputs))).uncounted == (name,)


def test_elementwise_work_is_neither_counted_nor_named() -> None:
    def call() -> None:
        x = on_meta(4, 6)
        functional.gelu(functional.layer_norm(x.relu().softmax(dim=1), (6,)))
        torch.linalg.vector_norm(x)
        functional.interpolate(on_meta(1, 2, 4, 4), scale_factor=2, mode="bilinear")
        x.bfloat16()

    found = count(call)
    assert (found.flops, found.uncounted) == (0, ())


# ── traffic ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("call", "floats"),
    [
        (lambda: on_meta(3, 5) @ on_meta(5, 2), 15 + 10 + 6),
        (lambda: on_meta(3, 5).relu(), 15 + 15),
        (lambda: on_meta(3, 5).relu_(), 15 + 15),
        (lambda: on_meta(3, 5).T.view(5, 3).unsqueeze(0).detach(), 0),
        (lambda: on_meta(3, 5).bfloat16(), 15 + 7.5),
        # what is expanded stands in memory once, and of a table only the rows that are asked for are read
        (lambda: on_meta(5).expand(3, 5).relu(), 5 + 15),
        (lambda: functional.embedding(on_meta(2, dtype=torch.int64), on_meta(1000, 5)), 4 + 10 + 10),
        (lambda: on_meta(1000, 5)[on_meta(2, dtype=torch.int64)], 4 + 10 + 10),
    ],
)
def test_traffic_is_what_each_operator_reads_and_writes(call: Callable[[], object], floats: float) -> None:
    assert count(call).traffic_bytes == 4 * floats


def test_a_second_call_counts_as_the_first() -> None:
    def call() -> None:
        functional.layer_norm(on_meta(3, 5) @ on_meta(5, 4), (4,)).relu()

    once, twice = count(call), count(lambda: (call(), call()))
    assert (twice.flops, twice.traffic_bytes) == (2 * once.flops, 2 * once.traffic_bytes)
    assert once.flops == 2 * 3 * 5 * 4


def test_what_depends_on_values_is_never_remembered() -> None:
    # masks and lengths stay on the CPU, where they have values
    masks = torch.tensor([[True, False, True, False], [True, True, True, False]])
    assert count(lambda: [on_meta(4, 5)[mask] @ on_meta(5, 3) for mask in masks]).flops == (2 + 3) * 2 * 5 * 3
    cell = nn.LSTM(4, 4, bidirectional=True, batch_first=True, device="meta")

    def packed(length_B: Tensor) -> object:
        return cell(nn.utils.rnn.pack_padded_sequence(on_meta(2, 7, 4), length_B, batch_first=True))

    lengths = torch.tensor([[7, 2], [3, 1]])
    assert count(lambda: [packed(one) for one in lengths]).flops == (9 + 4) * 2 * 2 * 4 * 4 * (4 + 4)


def test_traffic_of_a_lower_precision_is_half() -> None:
    sizes = {"sequence_length": 64, "batch_size": 4}
    full, half = (
        count_on_meta(made("textcnn", {}, {**sizes, "precision": precision}))[0] for precision in ("fp32", "bf16")
    )
    assert half.flops == full.flops
    assert half.traffic_bytes == pytest.approx(full.traffic_bytes / 2, rel=0.01)
