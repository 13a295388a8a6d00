"""Encoder-decoders of tokens: the same answer as plain loops over each item alone, sizes, gradients, and what they learn."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from fakes import Reverse, ReverseOptions
from made_writers import (
    ITEMS,
    RNN,
    TEXTS,
    TRANSFORMER,
    alone,
    difference,
    fresh,
    items,
    logits,
    target_rows,
    writer,
)
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from bench.architectures import ARCHITECTURES
from bench.architectures.decoding import greedy
from bench.errors import ModelError
from bench.spec import START_ID, TARGET_PADDING_ID

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
both_ways = pytest.mark.parametrize("bidirectional", [True, False], ids=["both ways", "one way"])
each_rnn = pytest.mark.parametrize("options", RNN, ids=str)
each_transformer = pytest.mark.parametrize("options", TRANSFORMER, ids=str)

# ── a recurrent one as plain loops ─────────────────────────────────────────────────────────────────────────────────


def turn(cell: str, part: str, layer: int, state: dict[str, Tensor], x: Tensor, hidden: Tensor, memory: Tensor) -> Any:
    """One step of one layer, gate by gate: state and cell after it; an entry of `state` is a row of gates."""
    names = [f"{part}.{kind}_{end}_l{layer}" for kind in ("weight", "bias") for end in ("ih", "hh")]
    weight_in, weight_state, bias_in, bias_state = (state[name] for name in names)
    count = {"rnn": 1, "gru": 3, "lstm": 4}[cell]
    entering = (weight_in @ x + bias_in).chunk(count)
    kept = (weight_state @ hidden + bias_state).chunk(count)
    if cell == "rnn":
        return torch.tanh(entering[0] + kept[0]), memory
    if cell == "gru":
        reset, update = (torch.sigmoid(entering[one] + kept[one]) for one in (0, 1))
        fresh_state = torch.tanh(entering[2] + reset * kept[2])
        return (1 - update) * fresh_state + update * hidden, memory
    into, forget, candidate, out = (one + other for one, other in zip(entering, kept, strict=True))
    memory = torch.sigmoid(forget) * memory + torch.sigmoid(into) * torch.tanh(candidate)
    return torch.sigmoid(out) * torch.tanh(memory), memory


def plain_rnn(model: nn.Module, options: dict[str, Any], row_L: Tensor, targets_T: Tensor) -> Tensor:
    """(T, V): what is said of one item without padding; torch's cells read, loops write."""
    state, layers, size = model.state_dict(), options.get("num_layers", 1), options["hidden_dim"]
    shape = {"num_layers": layers, "bidirectional": options["bidirectional"], "batch_first": True}
    reader = CELLS[options["cell"]](options["embedding_dim"], size, **shape).double()
    reader.load_state_dict({key.removeprefix("encoder."): one for key, one in state.items() if "encoder." in key})
    memory = reader(state["embedding.table.weight"][row_L][None])[0][0]
    last = torch.cat([memory[-1, :size], memory[0, size:]])  # each direction where it ends
    first = torch.tanh(state["decoder.bridge.weight"] @ last + state["decoder.bridge.bias"]).view(-1, layers, size)
    hidden, cells = list(first[0]), list(first[-1])
    said = []
    for token in [START_ID, *targets_T.tolist()[:-1]]:
        x = state["decoder.embedding.table.weight"][token]
        for layer in range(layers):
            part = "decoder.recurrent"
            x, cells[layer] = turn(options["cell"], part, layer, state, x, hidden[layer], cells[layer])
            hidden[layer] = x
        said.append(state["decoder.classifier.weight"] @ joined(state, options, x, memory))
    return torch.stack(said) + state["decoder.classifier.bias"]


def joined(state: dict[str, Tensor], options: dict[str, Any], asking: Tensor, memory: Tensor) -> Tensor:
    """What the output layer sees, from a loop over the places that are looked at."""
    if options["attention"] == "none":
        return asking
    key = state["decoder.score.key.weight"]
    shares = []
    for place in memory:
        if options["attention"] == "dot":
            fit = float(asking @ (key @ place))
        else:
            inner = torch.tanh(key @ place + state["decoder.score.query.weight"] @ asking)
            fit = float(state["decoder.score.fit.weight"][0] @ inner)
        shares.append(math.exp(fit))
    context = sum(share / sum(shares) * place for share, place in zip(shares, memory, strict=True))
    both = torch.cat([torch.as_tensor(context), asking])
    return torch.tanh(state["decoder.join.weight"] @ both + state["decoder.join.bias"])


@each_rnn
@both_ways
@torch.no_grad()
def test_a_recurrent_one_equals_plain_loops_on_each_item_alone(options: dict[str, Any], bidirectional: bool) -> None:
    options = {**options, "bidirectional": bidirectional}
    model, (inputs, lengths), targets = writer("rnn-seq2seq", **options), items("rnn-seq2seq"), target_rows()
    found = logits(model, "rnn-seq2seq", inputs, lengths, targets)
    for place in range(ITEMS):
        row = alone(inputs, lengths, place)[0]
        assert difference(found[place], plain_rnn(model, options, row, targets[place])) <= 1e-10


@each_rnn
@torch.no_grad()
def test_weights_sum_to_one_over_real_tokens_and_are_nothing_elsewhere(options: dict[str, Any]) -> None:
    if options["attention"] == "none":
        return
    model, (inputs, lengths) = writer("rnn-seq2seq", **options), items("rnn-seq2seq")
    assert lengths is not None
    decoder, state_BTH = model.decoder, torch.randn(ITEMS, 4, options["hidden_dim"], dtype=torch.float64)
    _, memory = decoder._split(model.start(inputs, lengths))
    weights_BTM = decoder.attend(state_BTH, memory)
    assert weights_BTM.shape == (ITEMS, 4, inputs.shape[1])
    for row, length in zip(weights_BTM, lengths.clamp(min=1).tolist(), strict=True):
        assert (row.sum(dim=1) - 1).abs().max() <= 1e-12
        assert (row[:, :length] > 0).all()
        assert not row[:, length:].any()


def test_forget_gates_of_an_lstm_start_at_one() -> None:
    model = fresh("rnn-seq2seq", cell="lstm", hidden_dim=5, num_layers=2)
    for network in (model.encoder, model.decoder.recurrent):
        biases = {name: one for name, one in network.state_dict().items() if name.startswith("bias")}  # type: ignore[union-attr]
        assert {float(one[5:10].unique()) for name, one in biases.items() if "_ih_" in name} == {1.0}
        assert {float(one[5:10].unique()) for name, one in biases.items() if "_hh_" in name} == {0.0}


# ── a Transformer as plain loops ───────────────────────────────────────────────────────────────────────────────────


def look(query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """What one position takes from others, a head and a place at a time."""
    found = []
    for head in range(heads):
        part = slice(head * len(query) // heads, (head + 1) * len(query) // heads)
        shares = [math.exp(float(query[part] @ key[part]) / math.sqrt(len(query) / heads)) for key in keys]
        found.append(sum(share / sum(shares) * value[part] for share, value in zip(shares, values, strict=True)))
    return torch.cat([torch.as_tensor(one) for one in found])


class Plain:
    """The parts of a Transformer by their names in its state, on positions (L, D) of one item."""

    def __init__(self, model: nn.Module, heads: int) -> None:
        self.state, self.heads = model.state_dict(), heads
        tables = {name: one for name, one in model.named_buffers() if "position" in name}
        self.positions = {**tables, **{name: one for name, one in self.state.items() if "position" in name}}

    def linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def norm(self, name: str, x: Tensor) -> Tensor:
        spread = (x - x.mean(dim=1, keepdim=True)).square().mean(dim=1, keepdim=True)
        standard = (x - x.mean(dim=1, keepdim=True)) / torch.sqrt(spread + 1e-5)
        return standard * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def placed(self, name: str, ids: list[int]) -> Tensor:
        x = self.state[f"{name}.embedding.table.weight"][ids]
        table = self.positions.get(f"{name}.position_table")
        return x if table is None else x + table[: len(ids)]

    def attended(self, name: str, x: Tensor, *, causal: bool) -> Tensor:
        query, key, value = self.linear(f"{name}.query_key_value", self.norm(f"{name}.attention_norm", x)).chunk(
            3, dim=1
        )
        ends = [place + 1 if causal else len(x) for place in range(len(x))]
        mixed = [look(one, key[:end], value[:end], self.heads) for one, end in zip(query, ends, strict=True)]
        return x + self.linear(f"{name}.attention_output", torch.stack(mixed))

    def fed(self, name: str, x: Tensor) -> Tensor:
        inner = self.linear(f"{name}.feedforward.0", self.norm(f"{name}.feedforward_norm", x)).clamp(min=0)
        return x + self.linear(f"{name}.feedforward.2", inner)

    def says(self, row: Tensor, targets: Tensor, layers: int) -> Tensor:
        memory = self.placed("entrance", row.tolist())
        for layer in range(layers):
            memory = self.fed(f"layers.{layer}", self.attended(f"layers.{layer}", memory, causal=False))
        memory = self.norm("norm", memory)
        x = self.placed("decoder.entrance", [START_ID, *targets.tolist()[:-1]])
        for layer in range(layers):
            name = f"decoder.layers.{layer}"
            x = self.attended(f"{name}.own", x, causal=True)
            key, value = self.linear(f"{name}.key_value", memory).chunk(2, dim=1)
            query = self.linear(f"{name}.query", self.norm(f"{name}.memory_norm", x))
            x = x + self.linear(f"{name}.output", torch.stack([look(one, key, value, self.heads) for one in query]))
            x = self.fed(f"{name}.own", x)
        return self.linear("decoder.classifier", self.norm("decoder.norm", x))


@each_transformer
@torch.no_grad()
def test_a_transformer_equals_plain_loops_on_each_item_alone(options: dict[str, Any]) -> None:
    name = "transformer-seq2seq"
    model, (inputs, lengths), targets = writer(name, **options), items(name), target_rows()
    plain, found = Plain(model, options["num_heads"]), logits(model, name, inputs, lengths, targets)
    for place in range(ITEMS):
        expected = plain.says(alone(inputs, lengths, place)[0], targets[place], options["num_layers"])
        assert difference(found[place], expected) <= 1e-10


def test_heads_must_share_the_width() -> None:
    for name in ("transformer-seq2seq", "cnn-transformer"):
        with pytest.raises(ModelError, match=f"{name}: embedding_dim 10 is not a multiple of num_heads 4"):
            fresh(name, embedding_dim=10, num_heads=4)


# ── sizes, start, gradients ────────────────────────────────────────────────────────────────────────────────────────

SOME: list[tuple[str, dict[str, Any]]] = [
    *(("rnn-seq2seq", {**options, "bidirectional": place % 2 == 0}) for place, options in enumerate(RNN)),
    *(("transformer-seq2seq", options) for options in TRANSFORMER),
]
each_variant = pytest.mark.parametrize(("name", "options"), SOME, ids=str)


@each_variant
def test_parameter_count_is_the_closed_form(name: str, options: dict[str, Any]) -> None:
    architecture = ARCHITECTURES.get(name)
    settings = architecture.hyperparameters(**options)
    assert architecture.parameter_count is not None
    found = sum(parameter.numel() for parameter in fresh(name, **options).parameters())
    assert architecture.parameter_count(TEXTS, settings) == found
    assert architecture.width is not None
    wider = architecture.at_width(settings, 2 * getattr(settings, architecture.width))
    assert architecture.parameter_count(TEXTS, wider) > found


def test_they_have_the_sizes_that_a_textbook_gives() -> None:
    gru = sum(one.numel() for one in fresh("rnn-seq2seq", embedding_dim=4, hidden_dim=5).parameters())
    # tables; three networks of 3 gates with two biases each; first state; keys, query, fit; join; output
    assert (
        gru == 11 * 4 + 7 * 4 + 3 * 3 * 5 * (4 + 5 + 2) + (10 + 1) * 5 + (10 + 5 + 1) * 5 + (15 + 1) * 5 + (5 + 1) * 7
    )
    sizes = {"embedding_dim": 6, "num_heads": 2, "feedforward_dim": 7, "num_layers": 1}
    transformer = sum(one.numel() for one in fresh("transformer-seq2seq", **sizes).parameters())
    attention, inner, norm = 4 * (6 + 1) * 6, (6 + 1) * 7 + (7 + 1) * 6, 2 * 6
    encoder = (11 + 9) * 6 + attention + inner + 3 * norm
    decoder = (7 + 6) * 6 + 2 * attention + inner + 4 * norm + (6 + 1) * 7
    assert transformer == encoder + decoder


@each_variant
def test_padding_has_a_zero_vector_on_both_sides_and_gets_no_gradient(name: str, options: dict[str, Any]) -> None:
    model, (inputs, lengths), targets = fresh(name, **options), items(name), target_rows().clone()
    targets[:, 3:] = TARGET_PADDING_ID
    logits(model, name, inputs, lengths, targets)[:, :3].square().sum().backward()
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    assert sorted(len(table.weight) for table in tables) == [7, 11]
    for table in tables:
        assert table.weight.grad is not None
        assert not table.weight[0].any()
        assert not table.weight.grad[0].any()
        assert table.weight[1:].any(dim=1).all()


@each_variant
def test_gradients_are_those_of_finite_differences(name: str, options: dict[str, Any]) -> None:
    sizes = {"embedding_dim": 2, "num_heads": 1, "feedforward_dim": 2, "hidden_dim": 2}
    model = writer(name, **{key: sizes.get(key, value) for key, value in options.items()})
    names, values = zip(*model.named_parameters(), strict=True)
    inputs, lengths = torch.tensor([[5, 2, 9], [3, 4, 1]]), torch.tensor([3, 2])
    targets = torch.tensor([[4, 5, 3], [6, 3, 0]])

    def call(*parameters: Tensor) -> Tensor:
        said = functional_call(model, dict(zip(names, parameters, strict=True)), (inputs, lengths, targets))
        return functional.cross_entropy(said.flatten(0, 1), targets.flatten(), ignore_index=TARGET_PADDING_ID)

    # an embedding's padding row gets no gradient, whatever it does: at zero it does nothing here
    arguments = [value.detach().clone() for value in values]
    for part, argument in zip(names, arguments, strict=True):
        if part.endswith("table.weight"):
            argument[0] = 0
    moving = [one.requires_grad_() for one in arguments]
    assert torch.autograd.gradcheck(call, moving, fast_mode=True)


# ── what they learn ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rnn-seq2seq", {"embedding_dim": 32, "hidden_dim": 48, "dropout": 0.0}),
        ("transformer-seq2seq", {"embedding_dim": 32, "feedforward_dim": 64, "dropout": 0.0}),
    ],
    ids=str,
)
def test_they_learn_to_write_a_row_backwards(name: str, options: dict[str, Any]) -> None:
    task = Reverse(ReverseOptions())
    spec = task.spec(4)
    model = fresh(name, spec, **options).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(300):
        batch = task.random_batch(spec, 32, seed=step)
        optimizer.zero_grad()
        task.loss(model(batch.inputs, None, batch.targets), batch).backward()
        optimizer.step()
    batch = task.random_batch(spec, 64, seed=10_000)
    written = greedy(model.eval(), batch.inputs, None, 5)  # type: ignore[arg-type]
    assert (written == batch.targets).all(dim=1).float().mean() >= 0.9
