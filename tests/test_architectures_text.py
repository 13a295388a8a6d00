"""Two ways, one answer: text classifiers against plain twins, and padding that changes nothing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.architectures.foreign import lookup
from bench.errors import ModelError
from bench.spec import InputKind, OutputKind, Spec

LENGTH = 24
SPEC = Spec(
    inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=4 * LENGTH, vocabulary_size=50, classes=3
)
VECTORS = Spec(
    inputs=InputKind.VECTORS, outputs=OutputKind.CLASSES, sequence_length=4 * LENGTH, input_size=6, classes=3
)
FULL = {"num_layers": 2, "bidirectional": True}

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("nbow", {}),
    *((name, options) for name in ("rnn", "lstm", "gru") for options in ({}, {"num_layers": 3}, FULL)),
    ("lstm", {"forget_bias": 0.0}),
    *(("lstm", {"forget_gate": False, **options}) for options in ({}, {"num_layers": 3}, FULL)),
    ("rnn", {"nonlinearity": "relu", "init": "identity", **FULL}),
    ("attention-rnn", {}),
    ("attention-rnn", {"cell": "gru", "score": "dot", "window": 5, "num_layers": 2}),
    ("attention-rnn", {"cell": "rnn", "score": "dot", **FULL}),
    ("attention-rnn", {"window": 3, **FULL}),
    ("textcnn", {}),
    ("textcnn", {"kernel_sizes": (2, 7), "num_filters": 9}),
    *(("transformer", {"positions": positions}) for positions in ("learned", "sinusoidal", "none")),
    ("transformer", {"pooling": "cls", "num_layers": 1}),
    ("transformer", {"embedding_dim": 12, "num_heads": 3, "feedforward_dim": 20}),
    *(("grid-lstm", options) for options in ({}, {"num_layers": 1}, {"num_layers": 3, "tied": True})),
    *((name, options) for name in ("s4d", "mamba") for options in ({}, {"num_layers": 1, "state_dim": 4})),
    *(("goru", options) for options in ({}, {"rotations": 3}, {"num_layers": 2, "hidden_dim": 31, "rotations": 4})),
    *(("tcn", options) for options in ({}, {"num_layers": 2, "kernel_size": 5}, {"hidden_dim": 12})),
    *((name, options) for name in ("mingru", "minlstm") for options in ({}, {"num_layers": 1})),
    *(("linear-attention", {"positions": positions}) for positions in ("learned", "sinusoidal", "none")),
]
each_variant = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)


def build(name: str, spec: Spec = SPEC, **options: Any) -> nn.Module:
    architecture = lookup(name, Path())
    torch.manual_seed(0)
    return architecture.build(spec, architecture.hyperparameters(**options)).eval()


def random_inputs(rows: int, columns: int, spec: Spec = SPEC) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if spec.inputs is InputKind.TOKENS:
        return torch.randint(2, 50, (rows, columns), generator=generator)
    return torch.randn(rows, columns, 6, generator=generator)


def padded(row: Tensor, columns: int) -> Tensor:
    filled = row.new_zeros(1, columns, *row.shape[2:])
    filled[:, : row.shape[1]] = row
    return filled


def difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


# ── padding and neighbours ─────────────────────────────────────────────────────────────────────────────────────────


@each_variant
@pytest.mark.parametrize("spec", [SPEC, VECTORS], ids=["tokens", "vectors"])
@pytest.mark.parametrize("length", [1, 2, 4, LENGTH])
@torch.no_grad()
def test_more_padding_changes_no_logit(name: str, options: dict[str, Any], spec: Spec, length: int) -> None:
    model, row = build(name, spec, **options), random_inputs(1, length, spec)
    bare = model(row)
    for times in (1, 2, 4):
        found = model(padded(row, times * LENGTH), torch.tensor([length]))
        assert difference(found, bare) <= 1e-5


@each_variant
@torch.no_grad()
def test_other_rows_change_no_logit(name: str, options: dict[str, Any]) -> None:
    model, lengths = build(name, **options), [5, 1, LENGTH, 3, 17, 2]
    rows = [(random_inputs(1, length) + place) % 48 + 2 for place, length in enumerate(lengths)]
    batch = torch.cat([padded(row, 2 * LENGTH) for row in rows])
    together = model(batch, torch.tensor(lengths))
    for place, row in enumerate(rows):
        assert difference(together[place], model(row)[0]) <= 1e-5


@each_variant
@torch.no_grad()
def test_full_lengths_are_the_same_as_none(name: str, options: dict[str, Any]) -> None:
    model, batch = build(name, **options), random_inputs(3, LENGTH)
    assert difference(model(batch), model(batch, torch.full((3,), LENGTH))) <= 1e-5


@each_variant
@torch.no_grad()
def test_an_empty_text_is_answered_as_one_padding_token(name: str, options: dict[str, Any]) -> None:
    model = build(name, **options)
    empty = model(torch.zeros(2, LENGTH, dtype=torch.int64), torch.tensor([0, 7]))
    assert empty.isfinite().all()
    assert difference(empty[0], model(torch.zeros(1, 1, dtype=torch.int64))[0]) <= 1e-5


# ── size ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@each_variant
@pytest.mark.parametrize("spec", [SPEC, VECTORS], ids=["tokens", "vectors"])
def test_parameter_count_is_the_closed_form(name: str, options: dict[str, Any], spec: Spec) -> None:
    architecture = lookup(name, Path())
    hyperparameters = architecture.hyperparameters(**options)
    assert architecture.parameter_count is not None
    found = sum(parameter.numel() for parameter in architecture.build(spec, hyperparameters).parameters())
    assert architecture.parameter_count(spec, hyperparameters) == found


def test_lstm_has_the_size_that_a_textbook_gives() -> None:
    model = build("lstm", embedding_dim=10, hidden_dim=20)
    # 4 gates of 10 x 20, 20 x 20 and two biases of 20; 50 embeddings of 10; 20 x 3 + 3
    assert sum(parameter.numel() for parameter in model.parameters()) == 4 * (200 + 400 + 40) + 500 + 63


@pytest.mark.parametrize(("name", "options"), [one for one in VARIANTS if one[0] != "nbow"], ids=str)  # it has no width
def test_widening_makes_it_larger(name: str, options: dict[str, Any]) -> None:
    architecture = lookup(name, Path())
    assert architecture.width is not None
    plain = architecture.hyperparameters(**options)
    wider = architecture.at_width(plain, 2 * getattr(plain, architecture.width))
    assert architecture.parameter_count is not None
    assert architecture.parameter_count(SPEC, wider) > architecture.parameter_count(SPEC, plain)


# ── bag of words ───────────────────────────────────────────────────────────────────────────────────────────────────


@torch.no_grad()
def test_bag_of_words_is_a_linear_map_of_the_mean_of_real_embeddings() -> None:
    model, row = build("nbow"), random_inputs(1, 7)
    state = model.state_dict()
    mean = torch.stack([state["embedding.table.weight"][token] for token in row[0]]).mean(dim=0)
    expected = state["classifier.weight"] @ mean + state["classifier.bias"]
    assert difference(model(padded(row, 20), torch.tensor([7]))[0], expected) <= 1e-6


def test_the_embedding_of_padding_is_zero_and_stays_so() -> None:
    model = build("nbow")
    model(torch.zeros(2, 5, dtype=torch.int64)).sum().backward()
    table = model.get_parameter("embedding.table.weight")
    assert not table[0].any()
    assert table.grad is not None
    assert not table.grad[0].any()


# ── recurrent ──────────────────────────────────────────────────────────────────────────────────────────────────────

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, FULL], ids=str)
@torch.no_grad()
def test_recurrent_equals_torch_run_on_each_row_alone(name: str, options: dict[str, Any]) -> None:
    model, lengths = build(name, embedding_dim=8, hidden_dim=5, **options), [4, 9, 1]
    batch = random_inputs(3, 9)
    state = model.state_dict()
    cell = CELLS[name](8, 5, batch_first=True, **options)
    cell.load_state_dict({key.removeprefix("recurrent."): value for key, value in state.items() if "recurrent." in key})
    for place, logits in enumerate(model(batch, torch.tensor(lengths))):
        output_LH = cell(state["embedding.table.weight"][batch[place : place + 1, : lengths[place]]])[0][0]
        last = torch.cat([output_LH[-1, :5], output_LH[0, 5:]])
        assert difference(logits, state["classifier.weight"] @ last + state["classifier.bias"]) <= 1e-5


@pytest.mark.parametrize("name", CELLS)
@torch.no_grad()
def test_reversing_the_input_swaps_the_halves(name: str) -> None:
    model = build(name, bidirectional=True, hidden_dim=5)
    mirrored = build(name, bidirectional=True, hidden_dim=5)
    state = model.state_dict()
    swapped = {
        key: state[key.removesuffix("_reverse") if key.endswith("_reverse") else f"{key}_reverse"]
        for key in state
        if key.startswith("recurrent.")
    }
    halves = state["classifier.weight"].split(5, dim=1)
    mirrored.load_state_dict({**state, **swapped, "classifier.weight": torch.cat(halves[::-1], dim=1)})
    batch = random_inputs(4, 11)
    assert difference(mirrored(batch.flip(1)), model(batch)) <= 1e-6
    assert difference(model(batch.flip(1)), model(batch)) > 1e-3
    # the same with padding: only real positions are turned round
    lengths = torch.tensor([11, 6, 1, 3])
    turned = torch.stack([torch.cat([row[:n].flip(0), row[n:]]) for row, n in zip(batch, lengths, strict=True)])
    assert difference(mirrored(turned, lengths), model(batch, lengths)) <= 1e-6


@pytest.mark.parametrize("bias", [1.0, -2.0])
def test_forget_gates_start_at_the_bias_that_was_asked_for(bias: float) -> None:
    model = build("lstm", hidden_dim=6, forget_bias=bias, **FULL)
    biases = {key: value for key, value in model.state_dict().items() if "bias_ih" in key}
    assert len(biases) == 4
    for key, value in biases.items():
        together = value + model.state_dict()[key.replace("_ih_", "_hh_")]
        assert (together[6:12] == bias).all()
        assert (together[:6] != bias).all()


@pytest.mark.parametrize("name", CELLS)
def test_recurrent_drops_before_the_classifier_and_between_layers_in_training_only(name: str) -> None:
    batch, x_BLD = random_inputs(2, 9), torch.randn(2, 9, 128)
    for num_layers in (1, 2):
        model = build(name, num_layers=num_layers)
        assert torch.equal(model(batch), model(batch))
        model.train()
        assert not torch.equal(model(batch), model(batch))
        recurrent = model.get_submodule("recurrent")
        assert torch.equal(recurrent(x_BLD)[0], recurrent(x_BLD)[0]) == (num_layers == 1)


# ── convolutions ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("length", [1, 2, 4, 9])
@torch.no_grad()
def test_textcnn_equals_a_plain_loop_over_windows(length: int) -> None:
    kernels = (2, 3, 5)
    model, row = build("textcnn", embedding_dim=4, num_filters=3, kernel_sizes=kernels), random_inputs(1, length)
    state = model.state_dict()
    words = [state["embedding.table.weight"][token] for token in row[0]]
    features = []
    for place, kernel in enumerate(kernels):
        weight, bias = state[f"convolutions.{place}.weight"], state[f"convolutions.{place}.bias"]
        filled = words + [torch.zeros(4)] * (kernel - length)
        windows = [torch.stack(filled[start : start + kernel], dim=1) for start in range(len(filled) - kernel + 1)]
        slides = torch.stack([(weight * window).sum(dim=(1, 2)) + bias for window in windows])
        features.append(slides.clamp(min=0).amax(dim=0))
    expected = state["classifier.weight"] @ torch.cat(features) + state["classifier.bias"]
    assert difference(model(row)[0], expected) <= 1e-5


# ── attention ──────────────────────────────────────────────────────────────────────────────────────────────────────


def plain_encoder(model: nn.Module, x_LD: Tensor, heads: int) -> Tensor:
    """Every layer with one loop over heads and one over positions; (L, D) to (L, D)."""
    for place in range(2):
        part = model.get_submodule(f"layers.{place}")
        query_LD, key_LD, value_LD = part.query_key_value(part.attention_norm(x_LD)).chunk(3, dim=1)
        size = x_LD.shape[1] // heads
        mixed = []
        for query in query_LD:
            of_heads = []
            for head in range(heads):
                own = slice(head * size, (head + 1) * size)
                weights = torch.softmax(key_LD[:, own] @ query[own] / size**0.5, dim=0)
                of_heads.append(weights @ value_LD[:, own])
            mixed.append(torch.cat(of_heads))
        x_LD = x_LD + part.attention_output(torch.stack(mixed))
        x_LD = x_LD + part.feedforward(part.feedforward_norm(x_LD))
    return x_LD


@torch.no_grad()
def test_transformer_equals_plain_attention() -> None:
    model, row = build("transformer", embedding_dim=12, num_heads=3), random_inputs(1, 7)
    state = model.state_dict()
    x_LD = plain_encoder(model, state["embedding.table.weight"][row[0]] + state["position_table"][:7], heads=3)
    expected = model.classifier(model.norm(x_LD).mean(dim=0))
    assert difference(model(padded(row, 20), torch.tensor([7]))[0], expected) <= 1e-5


@torch.no_grad()
def test_without_positions_a_transformer_is_a_bag_of_words() -> None:
    batch = random_inputs(2, 12)
    shuffled = batch[:, torch.randperm(12, generator=torch.Generator().manual_seed(0))]
    for positions, pooling in (("none", "mean"), ("none", "cls")):
        model = build("transformer", positions=positions, pooling=pooling)
        assert difference(model(shuffled), model(batch)) <= 1e-5
    for positions in ("learned", "sinusoidal"):
        model = build("transformer", positions=positions)
        assert difference(model(shuffled), model(batch)) > 1e-4


def test_sinusoidal_positions_are_constant_and_not_saved() -> None:
    model = build("transformer", positions="sinusoidal")
    table = model.get_buffer("position_table")
    # first pair of columns: sine and cosine of the position itself; every pair lies on one circle
    place = torch.arange(4.0)
    radius = table[0, 1]
    assert difference(table[:4, 0], place.sin() * radius) <= 1e-6
    assert difference(table[:, 0::2] ** 2 + table[:, 1::2] ** 2, (radius**2).expand(len(table), 32)) <= 1e-6
    assert "position_table" not in model.state_dict()


def test_heads_must_share_out_the_embedding() -> None:
    with pytest.raises(ModelError, match="embedding_dim 10 is not a multiple of num_heads 4"):
        build("transformer", embedding_dim=10)


@torch.no_grad()
def test_textcnn_tags_a_word_by_the_windows_around_it() -> None:
    architecture = lookup("textcnn", Path())
    torch.manual_seed(0)
    settings = architecture.hyperparameters(embedding_dim=6, num_filters=4, kernel_sizes=(1, 2, 5))
    model: Any = architecture.build(replace(SPEC, outputs=OutputKind.STEP_CLASSES), settings).eval()
    inputs = random_inputs(2, 7)
    said = model(inputs)
    for row, place in itertools.product(range(2), range(7)):
        features = []
        for kernel, convolution in zip((1, 2, 5), model.convolutions, strict=True):
            first = place - (kernel - 1) // 2
            window_KD = torch.zeros(kernel, 6)
            for at in range(max(first, 0), min(first + kernel, 7)):
                window_KD[at - first] = model.embedding.table.weight[inputs[row, at]]
            features.append((convolution.weight * window_KD.T).sum((1, 2)) + convolution.bias)
        expected = model.classifier(torch.cat(features).relu())
        torch.testing.assert_close(said[row, place], expected)
