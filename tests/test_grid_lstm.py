"""Grid LSTM against a plain loop over time and depth, against torch's cells, one token at a time, and on parity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from bench.architectures import Streaming
from bench.architectures.foreign import lookup
from bench.contracts import check
from bench.options import fill
from bench.probes.flops import count
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks import TASKS

LENGTH = 9
TOKENS = Spec(
    inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=LENGTH, vocabulary_size=50, classes=3
)
VECTORS = Spec(inputs=InputKind.VECTORS, outputs=OutputKind.CLASSES, sequence_length=LENGTH, input_size=6, classes=3)
VARIANTS: list[dict[str, Any]] = [
    {},
    {"num_layers": 1},
    {"num_layers": 3, "tied": True},
    {"num_layers": 4, "embedding_dim": 3},
]
each_variant = pytest.mark.parametrize("options", VARIANTS, ids=str)


def build(options: dict[str, Any], spec: Spec = TOKENS, size: int = 5) -> nn.Module:
    architecture = lookup("grid-lstm", Path())
    torch.manual_seed(0)
    return architecture.build(spec, architecture.hyperparameters(**{"hidden_dim": size, **options})).eval()


def random_inputs(spec: Spec = TOKENS, rows: int = 3, columns: int = LENGTH) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if spec.inputs is InputKind.TOKENS:
        return torch.randint(2, 50, (rows, columns), generator=generator)
    return torch.randn(rows, columns, 6, generator=generator, dtype=torch.float64)


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item()


# ── the plain loop ─────────────────────────────────────────────────────────────────────────────────────────────────


def transform(gates: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    size = gates.shape[1] // 4
    memory = (
        gates[:, size : 2 * size].sigmoid() * memory + gates[:, :size].sigmoid() * gates[:, 2 * size : -size].tanh()
    )
    return gates[:, -size:].sigmoid() * memory.tanh(), memory


def plain(model: nn.Module, inputs: Tensor, length: int) -> Tensor:
    """Logits after `length` positions: a loop over time around one over depth, block by block."""
    table = model.embedding.table
    vectors = table.weight[inputs] if isinstance(table, nn.Embedding) else inputs @ table.weight.T + table.bias
    size, layers = model.classifier.in_features, model.num_layers
    time_h = time_m = [vectors.new_zeros(len(inputs), size)] * layers
    for t in range(length):
        entering = vectors[:, t] @ model.entrance.weight.T + model.entrance.bias
        h, m = entering[:, :size], entering[:, size:]
        next_h, next_m = [], []
        for layer in range(layers):
            time, depth = model.time[layer % len(model.time)], model.depth[layer % len(model.depth)]
            along = h @ time.weight_ih_l0.T + time.bias_ih_l0 + time_h[layer] @ time.weight_hh_l0.T + time.bias_hh_l0
            new_h, new_m = transform(along, time_m[layer])
            if layer + 1 < layers or t + 1 == length:  # what leaves the top is read at the end only
                upward = torch.cat([time_h[layer], h], dim=1) @ depth.weight.T + depth.bias
                h, m = transform(upward, m)
            next_h.append(new_h)
            next_m.append(new_m)
        time_h, time_m = next_h, next_m
    return h @ model.classifier.weight.T + model.classifier.bias


@each_variant
@pytest.mark.parametrize("spec", [TOKENS, VECTORS], ids=["tokens", "vectors"])
def test_layer_by_layer_answers_as_block_by_block_and_has_its_gradients(options: dict[str, Any], spec: Spec) -> None:
    model, inputs, lengths = build(options, spec).double(), random_inputs(spec), [LENGTH, 1, 4]
    found = model(inputs, torch.tensor(lengths))
    expected = torch.cat([plain(model, inputs[row, None], length) for row, length in enumerate(lengths)])
    assert difference(found, expected) <= 1e-10
    assert difference(model(inputs), plain(model, inputs, LENGTH)) <= 1e-10
    weights = torch.randn(found.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found_gradients = torch.autograd.grad((found * weights).sum(), list(model.parameters()))
    expected_gradients = torch.autograd.grad((expected * weights).sum(), list(model.parameters()))
    for one, other in zip(found_gradients, expected_gradients, strict=True):
        assert difference(one, other) <= 1e-10


@each_variant
@torch.no_grad()
def test_every_block_is_two_lstm_cells_of_torch(options: dict[str, Any]) -> None:
    size = 5
    model, inputs = build(options, VECTORS).double(), random_inputs(VECTORS)
    along, upward = [], []
    for layer in range(model.num_layers):
        time, depth = model.time[layer % len(model.time)], model.depth[layer % len(model.depth)]
        along.append(nn.LSTMCell(size, size).double())
        along[-1].load_state_dict({name.removesuffix("_l0"): value for name, value in time.state_dict().items()})
        # the other dimension's h is its input, its own h its state
        upward.append(nn.LSTMCell(size, size).double())
        upward[-1].weight_ih.copy_(depth.weight[:, :size])
        upward[-1].weight_hh.copy_(depth.weight[:, size:])
        upward[-1].bias_ih.copy_(depth.bias)
        upward[-1].bias_hh.zero_()
    times = [(torch.zeros(3, size, dtype=torch.float64), torch.zeros(3, size, dtype=torch.float64))] * len(along)
    for t in range(LENGTH):
        depth_state = tuple(model.entrance(model.embedding(inputs[:, t])).chunk(2, dim=1))
        for layer, before in enumerate(times.copy()):
            times[layer] = along[layer](depth_state[0], before)
            depth_state = upward[layer](before[0], depth_state)
    assert difference(model(inputs), model.classifier(depth_state[0])) <= 1e-10


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"num_layers": 2, "tied": True}], ids=str)
def test_gradients_are_those_of_finite_differences(options: dict[str, Any]) -> None:
    model = build({"embedding_dim": 2, **options}, VECTORS, size=2).double()
    inputs = random_inputs(VECTORS, 2, 3).requires_grad_()
    names, values = zip(*model.named_parameters(), strict=True)

    def logits(vectors: Tensor, *parameters: Tensor) -> Tensor:
        named = dict(zip(names, parameters, strict=True))
        answer: Tensor = functional_call(model, named, (vectors, torch.tensor([3, 2])))
        return answer

    assert torch.autograd.gradcheck(logits, (inputs, *(value.detach().requires_grad_() for value in values)))


@torch.no_grad()
def test_tied_layers_are_untied_ones_of_equal_weights() -> None:
    tied, untied = build({"num_layers": 3, "tied": True}), build({"num_layers": 3})
    state = tied.state_dict()
    for layer in (1, 2):
        of_first = {name: value for name, value in state.items() if name.startswith(("time.0.", "depth.0."))}
        state |= {name.replace(".0.", f".{layer}."): value for name, value in of_first.items()}
    untied.load_state_dict(state)
    assert difference(tied(random_inputs()), untied(random_inputs())) <= 1e-6


def test_tied_layers_add_depth_and_no_parameters() -> None:
    sizes = {
        tied: [sum(value.numel() for value in build({"num_layers": n, "tied": tied}).parameters()) for n in (1, 2, 5)]
        for tied in (True, False)
    }
    assert len(set(sizes[True])) == 1
    # per layer: 4 gates of two states of 5, twice; torch's two biases along time, one along depth
    layer = 2 * 4 * 5 * 10 + 3 * 4 * 5
    assert sizes[False] == [sizes[True][0] + layer * more for more in (0, 1, 4)]


@pytest.mark.parametrize("tied", [False, True])
def test_forget_gates_start_at_one_in_both_dimensions(tied: bool) -> None:
    model = build({"num_layers": 2, "tied": tied}, size=6)
    assert len(model.time) == len(model.depth) == (1 if tied else 2)
    for time, depth in zip(model.time, model.depth, strict=True):
        for bias in (time.bias_ih_l0 + time.bias_hh_l0, depth.bias):
            assert (bias[6:12] == 1).all()
            assert (bias[:6] != 1).all()
            assert (bias[12:] != 1).all()


# ── one token at a time ────────────────────────────────────────────────────────────────────────────────────────────


@each_variant
@pytest.mark.parametrize("spec", [TOKENS, VECTORS], ids=["tokens", "vectors"])
@pytest.mark.parametrize("prefix", [0, 1, 4])
@torch.no_grad()
def test_token_by_token_answers_as_forward_from_any_prefix(options: dict[str, Any], spec: Spec, prefix: int) -> None:
    model, inputs = build(options, spec).double(), random_inputs(spec)
    assert isinstance(model, Streaming)
    state = model.init_state(inputs[:, :prefix])
    for place in range(prefix, LENGTH):
        before = [part.clone() for part in state]
        output, after = model.step(inputs[:, place], state)
        assert difference(output, model(inputs[:, : place + 1])) <= 1e-12
        assert all(torch.equal(one, other) for one, other in zip(state, before, strict=True))
        state = after
    assert [part.shape for part in state] == [(model.num_layers, 3, 5)] * 2


# ── the rest of what a model owes ──────────────────────────────────────────────────────────────────────────────────


@each_variant
def test_every_contract_holds(options: dict[str, Any]) -> None:
    architecture = lookup("grid-lstm", Path())
    kind = TASKS.get("imdb")
    made, problems = fill(kind.options, {})
    assert not problems
    task = kind.make(made)
    assert check(architecture, task, task.spec(64), architecture.hyperparameters(**options)) == {}


@each_variant
def test_flops_are_those_of_the_plain_loop(options: dict[str, Any]) -> None:
    model, inputs, size = build(options, size=12), random_inputs(), 12
    architecture = lookup("grid-lstm", Path())
    with torch.device("meta"):
        hollow = architecture.build(TOKENS, architecture.hyperparameters(**{"hidden_dim": size, **options}))
    with torch.no_grad():
        found = count(lambda: hollow(inputs.to("meta")))
        with FlopCounterMode(display=False) as expected:
            plain(model, inputs, LENGTH)
    assert (found.flops, found.uncounted) == (expected.get_total_flops(), ())
    training = count(lambda: hollow(inputs.to("meta")).sum().backward())
    # three times forward; but the first state of each layer is no parameter, and gets no gradient along time
    without = model.num_layers * 2 * len(inputs) * 4 * size * size
    assert (training.flops, training.uncounted) == (3 * found.flops - without, ())


def test_lower_precisions_answer_nearly_alike() -> None:
    model, inputs, lengths = build({"num_layers": 3}), random_inputs(), torch.tensor([LENGTH, 2, 5])
    with torch.inference_mode():
        expected = model(inputs, lengths)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert difference(model(inputs, lengths).float(), expected) <= 0.05
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(inputs, lengths).float().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with torch.inference_mode():
        model.bfloat16()
        assert difference(model(inputs, lengths).float(), expected) <= 0.05
        output, _ = model.step(inputs[:, 3], model.init_state(inputs[:, :3]))
        assert output.dtype == torch.bfloat16
        assert difference(output, model(inputs[:, :4])) <= 0.02


def test_states_are_dropped_between_layers_and_before_the_classifier_in_training_only() -> None:
    inputs = random_inputs()
    for num_layers in (1, 2):
        model = build({"num_layers": num_layers})
        assert torch.equal(model(inputs), model(inputs))
        model.train()
        assert not torch.equal(model(inputs), model(inputs))
        seen = [model._climb(inputs)[0] for _ in range(2)]
        assert torch.equal(*seen) == (num_layers == 1)


# ── parity ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_tied_grid_learns_the_parity_of_bits_that_it_sees_at_once() -> None:
    # as in the source: the whole string enters at the bottom, and what counts the bits is depth
    bits, layers = 8, 8
    spec = Spec(inputs=InputKind.VECTORS, outputs=OutputKind.CLASSES, sequence_length=1, input_size=bits, classes=2)
    model = build({"num_layers": layers, "tied": True, "dropout": 0.0, "embedding_dim": 32}, spec, size=32).train()
    every = (torch.arange(2**bits)[:, None] >> torch.arange(bits)) & 1
    inputs, targets = every.float()[:, None] * 2 - 1, every.sum(dim=1) % 2
    order = torch.randperm(2**bits)
    unseen, seen = order[:64], order[64:]
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(300):
        loss = functional.cross_entropy(model(inputs[seen]), targets[seen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        right = (model.eval()(inputs).argmax(dim=1) == targets).float()
    assert right[seen].mean() >= 0.95
    assert right[unseen].mean() >= 0.7  # which remembering the others would leave at chance, .5
