"""The LSTM without a forget gate and the RNN's own options: against plain loops, torch's cells and finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench.architectures.cells import packed, read_real, unpacked
from bench.architectures.forgetless import ForgetlessLSTM
from bench.errors import ModelError
from bench.passes.cost import count_on_meta
from tests.test_architectures_text import SPEC, build, difference, random_inputs
from tests.test_flops import made

IRNN = {"nonlinearity": "relu", "init": "identity"}
SHAPES: list[tuple[int, bool]] = [(1, False), (1, True), (3, False), (2, True)]
each_shape = pytest.mark.parametrize(("num_layers", "bidirectional"), SHAPES)
LENGTHS = torch.tensor([7, 1, 4])


def forgetless(
    num_layers: int = 1, bidirectional: bool = False, *, size: int = 5, hidden: int = 4, dropout: float = 0.0
) -> ForgetlessLSTM:
    torch.manual_seed(0)
    return ForgetlessLSTM(size, hidden, num_layers=num_layers, bidirectional=bidirectional, dropout=dropout).double()


def vectors(rows: int = 3, columns: int = 7, size: int = 5) -> Tensor:
    return torch.randn(rows, columns, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def states(cell: ForgetlessLSTM, rows: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    sizes = (len(cell.suffixes), rows, cell.hidden_size)
    hidden, memory = torch.randn(2, *sizes, generator=generator, dtype=torch.float64)
    return hidden, memory


# ── against a plain loop ───────────────────────────────────────────────────────────────────────────────────────────


def plain_direction(
    cell: ForgetlessLSTM, suffix: str, words: list[Tensor], hidden: Tensor, memory: Tensor
) -> list[Tensor]:
    """Hidden states after each word of one item, gate by gate, and at the end the cell."""
    size, parameters = len(hidden), dict(cell.named_parameters())
    input_matrix, state_matrix = parameters[f"weight_ih{suffix}"], parameters[f"weight_hh{suffix}"]
    bias = parameters[f"bias_ih{suffix}"] + parameters[f"bias_hh{suffix}"]
    found = []
    for word in words:
        gates = [
            input_matrix[own] @ word + state_matrix[own] @ hidden + bias[own]
            for own in (slice(0, size), slice(size, 2 * size), slice(2 * size, 3 * size))
        ]
        entering, leaving = 1 / (1 + torch.exp(-gates[0])), 1 / (1 + torch.exp(-gates[2]))
        memory = memory + entering * torch.tanh(gates[1])
        hidden = leaving * torch.tanh(memory)
        found.append(hidden)
    return [*found, memory]


def plain(cell: ForgetlessLSTM, words: list[Tensor]) -> Tensor:
    """(L, K) outputs of one item without padding."""
    start = torch.zeros(cell.hidden_size, dtype=torch.float64)
    for layer in range(cell.num_layers):
        ways = [plain_direction(cell, f"_l{layer}", words, start, start)[:-1]]
        if cell.bidirectional:
            ways.append(plain_direction(cell, f"_l{layer}_reverse", words[::-1], start, start)[-2::-1])
        words = [torch.cat(both) for both in zip(*ways, strict=True)]
    return torch.stack(words)


@each_shape
@pytest.mark.parametrize("grad", [True, False])
def test_forgetless_equals_a_plain_loop_over_each_row_alone(num_layers: int, bidirectional: bool, grad: bool) -> None:
    cell, x_BLD = forgetless(num_layers, bidirectional), vectors()
    with torch.set_grad_enabled(grad):
        full, _ = cell(x_BLD)
        some = unpacked(read_real(cell, x_BLD, LENGTHS)[1], x_BLD.shape[1])
    for place, length in enumerate(LENGTHS.tolist()):
        assert difference(full[place], plain(cell, list(x_BLD[place]))) <= 1e-10
        assert difference(some[place, :length], plain(cell, list(x_BLD[place, :length]))) <= 1e-10


@torch.no_grad()
def test_forgetless_goes_on_from_a_state() -> None:
    cell, x_BLD = forgetless(2), vectors()
    (hidden, memory), whole = states(cell), vectors()
    output, (last_hidden, last_memory) = cell(x_BLD, (hidden, memory))
    for row in range(3):
        words = list(whole[row])
        for layer in range(2):
            *words, end = plain_direction(cell, f"_l{layer}", words, hidden[layer, row], memory[layer, row])
            assert difference(last_hidden[layer, row], words[-1]) <= 1e-10
            assert difference(last_memory[layer, row], end) <= 1e-10
        assert difference(output[row], torch.stack(words)) <= 1e-10


def test_packed_rows_go_on_from_their_own_states() -> None:
    cell, x_BLD = forgetless(2), vectors()
    hidden, memory = states(cell)
    _, (last_hidden, last_memory) = cell(packed(x_BLD, torch.tensor([2, 7, 5])), (hidden, memory))
    for row, length in enumerate((2, 7, 5)):
        own = slice(row, row + 1)
        _, (alone_hidden, alone_memory) = cell(x_BLD[own, :length], (hidden[:, own], memory[:, own]))
        assert difference(last_hidden[:, own], alone_hidden) <= 1e-10
        assert difference(last_memory[:, own], alone_memory) <= 1e-10


@torch.no_grad()
def test_weights_are_put_together_anew_after_a_change() -> None:
    cell, x_BLD = forgetless(), vectors()
    before = cell(x_BLD)[0]
    assert torch.equal(cell(x_BLD)[0], before)
    cell.get_parameter("weight_hh_l0").mul_(2)
    assert not torch.equal(cell(x_BLD)[0], before)


# ── against torch ──────────────────────────────────────────────────────────────────────────────────────────────────


def held_at_one(cell: ForgetlessLSTM, size: int) -> nn.LSTM:
    """torch's LSTM of the same weights, whose forget gates are 1 whatever comes."""
    hidden, layers = cell.hidden_size, cell.num_layers
    fused = nn.LSTM(size, hidden, layers, bidirectional=cell.bidirectional, batch_first=True).double()
    with torch.no_grad():
        for name, values in cell.named_parameters():
            entering, candidate, output = values.chunk(3)
            forget = torch.full_like(entering, 60.0 if name.startswith("bias_ih") else 0.0)
            fused.get_parameter(name).copy_(torch.cat([entering, forget, candidate, output]))
    return fused


@each_shape
def test_forgetless_is_the_lstm_with_its_forget_gate_held_at_one(num_layers: int, bidirectional: bool) -> None:
    cell, start = forgetless(num_layers, bidirectional), states(forgetless(num_layers, bidirectional))
    fused, ours, theirs = held_at_one(cell, 5), vectors().requires_grad_(), vectors().requires_grad_()
    output, state = cell(ours, start)
    expected, end = fused(theirs, start)
    assert difference(output, expected) <= 1e-10
    assert all(difference(one, other) <= 1e-10 for one, other in zip(state, end, strict=True))
    (output.sin().sum() + state[1].cos().sum()).backward()
    (expected.sin().sum() + end[1].cos().sum()).backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    assert difference(ours.grad, theirs.grad) <= 1e-10


@each_shape
def test_a_forgetless_classifier_answers_as_that_lstm_on_rows_of_any_length(
    num_layers: int, bidirectional: bool
) -> None:
    options = {"num_layers": num_layers, "bidirectional": bidirectional}
    model = build("lstm", embedding_dim=5, hidden_dim=4, forget_gate=False, **options).double()
    fused = build("lstm", embedding_dim=5, hidden_dim=4, **options).double()
    fused.embedding, fused.classifier = model.embedding, model.classifier
    fused.recurrent = held_at_one(model.recurrent, 5)
    batch = random_inputs(3, 7)
    for lengths in (None, LENGTHS, torch.tensor([0, 7, 7])):
        assert difference(model(batch, lengths), fused(batch, lengths)) <= 1e-10


# ── its derivative ─────────────────────────────────────────────────────────────────────────────────────────────────


@each_shape
@pytest.mark.parametrize("lengths", [None, torch.tensor([3, 1])], ids=["full", "padded"])
def test_gradients_are_those_of_finite_differences(
    num_layers: int, bidirectional: bool, lengths: Tensor | None
) -> None:
    cell = forgetless(num_layers, bidirectional, size=2, hidden=2)
    names, values = zip(*cell.named_parameters(), strict=True)

    def call(x_BLD: Tensor, hidden: Tensor, memory: Tensor, *parameters: Tensor) -> Any:
        given = dict(zip(names, parameters, strict=True))
        if lengths is None:
            output, state = functional_call(cell, given, (x_BLD, (hidden, memory)))
            return output, *state
        return functional_call(cell, given, (packed(x_BLD, lengths),))[0].data

    arguments = [vectors(2, 3, 2), *states(cell, 2), *(value.detach() for value in values)]
    arguments = [one.requires_grad_(lengths is None or place not in (1, 2)) for place, one in enumerate(arguments)]
    assert torch.autograd.gradcheck(call, arguments)


def test_what_needs_no_gradient_gets_none() -> None:
    cell, x_BLD = forgetless(), vectors()
    cell.requires_grad_(False)
    assert not cell(x_BLD)[0].requires_grad
    hidden, memory = (one.requires_grad_() for one in states(cell))
    output, _ = cell(x_BLD, (hidden, memory.detach()))
    output.sum().backward()
    assert hidden.grad is not None
    assert memory.grad is None


# ── how it is built, and in which precision ────────────────────────────────────────────────────────────────────────


def test_it_has_three_gates_of_the_four_and_starts_as_torch_does() -> None:
    options = {"embedding_dim": 9, "hidden_dim": 400}
    with_gate, without = (
        build("lstm", forget_gate=gate, **options).get_submodule("recurrent") for gate in (True, False)
    )
    counts = [sum(parameter.numel() for parameter in cell.parameters()) for cell in (with_gate, without)]
    assert 3 * counts[0] == 4 * counts[1]
    for parameter in without.parameters():
        assert parameter.abs().max() <= 1 / 20
        assert parameter.abs().mean().item() == pytest.approx(1 / 40, rel=0.1)


def test_a_bias_of_a_gate_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelError, match=r"lstm: forget_bias is 0\.5, but forget_gate is false; remove one"):
        build("lstm", forget_gate=False, forget_bias=0.5)


@torch.no_grad()
def test_it_drops_between_layers_in_training_only() -> None:
    x_BLD = vectors()
    for num_layers in (1, 2):
        cell = forgetless(num_layers, dropout=0.5)
        assert torch.equal(cell(x_BLD)[0], cell(x_BLD)[0]) == (num_layers == 1)
        cell.eval()
        assert torch.equal(cell(x_BLD)[0], cell(x_BLD)[0])


def test_it_trains_under_autocast() -> None:
    batch, lengths = random_inputs(3, 7), LENGTHS
    for options in ({}, {"num_layers": 2, "bidirectional": True}):
        model, gradients = build("lstm", forget_gate=False, **options), []
        for lower in (False, True):
            model.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=lower):
                loss = model(batch, lengths).float().square().sum()
            loss.backward()
            gradients.append(torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None]))
        assert gradients[1].dtype == torch.float32
        assert torch.linalg.vector_norm(gradients[1] - gradients[0]) <= 0.05 * torch.linalg.vector_norm(gradients[0])


@torch.no_grad()
def test_inference_mode_changes_nothing() -> None:
    model, batch = build("lstm", forget_gate=False, num_layers=2, bidirectional=True), random_inputs(3, 7)
    expected = model(batch, LENGTHS)
    with torch.inference_mode():
        assert torch.equal(model(batch, LENGTHS), expected)


# ── what it costs ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("workload", ["inference", "training"])
@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, {"sequence_length": 32, "batch_size": 4}),
        ({"embedding_dim": 16, "hidden_dim": 48, "num_layers": 2}, {"sequence_length": 17, "batch_size": 1}),
        ({"embedding_dim": 24, "hidden_dim": 20, "num_layers": 2, "bidirectional": True}, {"sequence_length": 9}),
    ],
    ids=str,
)
def test_flops_are_those_of_the_four_gates_that_run(
    options: dict[str, Any], settings: dict[str, Any], workload: str
) -> None:
    three, four = (
        count_on_meta(made("lstm", {"forget_gate": gate, **options}, settings, workload))[0] for gate in (False, True)
    )
    assert three.uncounted == ()
    assert three.flops == four.flops


# ── rnn ────────────────────────────────────────────────────────────────────────────────────────────────────────────

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": lambda x: x.clamp(min=0)}


@pytest.mark.parametrize("nonlinearity", ACTIVATIONS)
@pytest.mark.parametrize("init", ["default", "identity"])
@torch.no_grad()
def test_rnn_equals_a_plain_loop(nonlinearity: str, init: str) -> None:
    model = build("rnn", embedding_dim=5, hidden_dim=4, nonlinearity=nonlinearity, init=init).double()
    batch, state = random_inputs(3, 7), model.state_dict()
    for place, length in enumerate(LENGTHS.tolist()):
        hidden = torch.zeros(4, dtype=torch.float64)
        for token in batch[place, :length]:
            from_word = state["recurrent.weight_ih_l0"] @ state["embedding.table.weight"][token]
            from_state = state["recurrent.weight_hh_l0"] @ hidden
            both = from_word + from_state + state["recurrent.bias_ih_l0"] + state["recurrent.bias_hh_l0"]
            hidden = ACTIVATIONS[nonlinearity](both)
        expected = state["classifier.weight"] @ hidden + state["classifier.bias"]
        assert difference(model(batch, LENGTHS)[place], expected) <= 1e-10


def test_identity_init_is_the_identity_in_every_layer_and_direction() -> None:
    state = build("rnn", hidden_dim=6, num_layers=2, bidirectional=True, **IRNN).state_dict()
    recurrent = {name: values for name, values in state.items() if name.startswith("recurrent.")}
    assert len(recurrent) == 16
    for name, values in recurrent.items():
        if "bias" in name:
            assert not values.any()
        elif "weight_hh" in name:
            assert torch.equal(values, torch.eye(6))
        else:
            assert values.std().item() == pytest.approx(1e-3, rel=0.5)


@torch.no_grad()
def test_an_irnn_keeps_a_word_for_good() -> None:
    """Where nothing is added any more, what was read stays: after zeros an IRNN answers as before them."""
    inputs = torch.cat([random_inputs(1, 1), torch.zeros(1, 90, dtype=torch.int64)], dim=1)
    for options, keeps in ((IRNN, True), ({}, False)):
        model = build("rnn", SPEC, **options)
        assert torch.allclose(model(inputs), model(inputs[:, :1]), atol=1e-8) is keeps
