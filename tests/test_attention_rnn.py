"""Attention over a recurrent network: its weights, its window, and the same answer as plain loops over each row alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench.architectures import Streaming
from bench.architectures.attention_rnn import AttentionRNN
from bench.errors import ModelError
from tests.test_architectures_text import SPEC, VECTORS, build, difference, random_inputs

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
LENGTHS = [9, 1, 4, 0, 2]
COLUMNS = 12
VARIANTS: list[dict[str, Any]] = [
    {"cell": cell, "score": score, "window": window, **more}
    for cell, score, window, more in (
        ("lstm", "additive", 0, {}),
        ("lstm", "dot", 3, {"bidirectional": True}),
        ("gru", "dot", 0, {"num_layers": 2}),
        ("gru", "additive", 3, {}),
        ("rnn", "additive", 2, {"num_layers": 2, "bidirectional": True}),
        ("rnn", "dot", 5, {}),
    )
]
each_variant = pytest.mark.parametrize("options", VARIANTS, ids=str)


def attention(**options: Any) -> AttentionRNN:
    model = build("attention-rnn", **{"embedding_dim": 6, "hidden_dim": 5, **options}).double()
    assert isinstance(model, AttentionRNN)
    return model


def batch() -> Tensor:
    inputs = random_inputs(len(LENGTHS), COLUMNS)
    for row, length in zip(inputs, LENGTHS, strict=True):
        row[length:] = 0
    return inputs


# ── the same answer as plain loops ─────────────────────────────────────────────────────────────────────────────────


def plain(model: AttentionRNN, options: dict[str, Any], row_L: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of one item without padding, and what it attends to: a loop over positions that are looked at."""
    state = model.state_dict()
    shape = {"num_layers": options.get("num_layers", 1), "bidirectional": options.get("bidirectional", False)}
    cell = CELLS[options["cell"]](6, 5, batch_first=True, **shape).double()
    cell.load_state_dict({key.removeprefix("recurrent."): value for key, value in state.items() if "recurrent." in key})
    outputs = list(cell(state["embedding.table.weight"][row_L][None])[0][0])
    last = torch.cat([outputs[-1][:5], outputs[0][5:]])
    window = options["window"] or len(outputs)
    scores = {}
    for place in range(max(0, len(outputs) - window), len(outputs)):
        if options["score"] == "dot":
            scores[place] = sum(float(one) * float(other) for one, other in zip(last, outputs[place], strict=True))
        else:
            inner = state["score.key.weight"] @ outputs[place] + state["score.query.weight"] @ last
            scores[place] = float(state["score.fit.weight"][0] @ torch.tanh(inner))
    total = sum(math.exp(score) for score in scores.values())
    weights = torch.zeros(len(outputs), dtype=torch.float64)
    context = torch.zeros_like(last)
    for place, score in scores.items():
        weights[place] = math.exp(score) / total
        context = context + weights[place] * outputs[place]
    joined = torch.tanh(state["join.weight"] @ torch.cat([context, last]) + state["join.bias"])
    return state["classifier.weight"] @ joined + state["classifier.bias"], weights


@each_variant
@torch.no_grad()
def test_it_equals_plain_attention_on_each_row_alone(options: dict[str, Any]) -> None:
    model, inputs = attention(**options), batch()
    logits, weights = model(inputs, torch.tensor(LENGTHS)), model.attend(inputs, torch.tensor(LENGTHS))
    full, full_weights = model(inputs), model.attend(inputs)
    for place, length in enumerate(LENGTHS):
        real = max(1, length)  # an empty item is one padding token
        expected, shares = plain(model, options, inputs[place, :real])
        assert difference(logits[place], expected) <= 1e-10
        assert difference(weights[place, :real], shares) <= 1e-10
        expected, shares = plain(model, options, inputs[place])
        assert difference(full[place], expected) <= 1e-10
        assert difference(full_weights[place], shares) <= 1e-10


# ── weights ────────────────────────────────────────────────────────────────────────────────────────────────────────


@each_variant
@torch.no_grad()
def test_weights_sum_to_one_over_real_tokens_and_are_nothing_elsewhere(options: dict[str, Any]) -> None:
    weights_BL = attention(**options).attend(batch(), torch.tensor(LENGTHS))
    assert weights_BL.shape == (len(LENGTHS), COLUMNS)
    for row, length in zip(weights_BL, LENGTHS, strict=True):
        real = max(1, length)
        seen = min(real, options["window"] or real)
        assert row.sum().item() == pytest.approx(1, abs=1e-12)
        assert (row[real - seen : real] > 0).all()
        assert not row[: real - seen].any()
        assert not row[real:].any()


@each_variant
@pytest.mark.parametrize("lengths", [None, torch.tensor(LENGTHS)], ids=["full", "padded"])
@torch.no_grad()
def test_a_window_as_long_as_the_text_is_global(options: dict[str, Any], lengths: Tensor | None) -> None:
    whole, inputs = attention(**{**options, "window": 0}), batch()
    for window in (COLUMNS, COLUMNS + 7, 9 if lengths is not None else COLUMNS):
        local = attention(**{**options, "window": window})
        assert difference(local(inputs, lengths), whole(inputs, lengths)) <= 1e-12
        assert difference(local.attend(inputs, lengths), whole.attend(inputs, lengths)) <= 1e-12
    narrow = attention(**{**options, "window": 2})
    assert difference(narrow(inputs, lengths), whole(inputs, lengths)) > 1e-6


@torch.no_grad()
def test_local_attention_gives_no_gradient_to_what_it_does_not_see_but_through_the_cells() -> None:
    model = attention(cell="rnn", score="dot", window=3)
    with torch.no_grad():
        for name, parameter in model.recurrent.named_parameters():
            if "hh" in name:
                parameter.zero_()  # cells that remember nothing: an output is that of its own word
    inputs = random_inputs(1, COLUMNS)
    other = inputs.clone()
    other[:, : COLUMNS - 3] = 7
    assert difference(model(inputs), model(other)) == 0
    other[:, COLUMNS - 3] = 9
    assert difference(model(inputs), model(other)) > 1e-6


def test_a_window_of_the_last_state_alone_is_refused() -> None:
    with pytest.raises(ModelError, match="attention-rnn: a window of 1 holds the last state alone"):
        build("attention-rnn", window=1)


# ── streaming ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("window", [0, 2, 4])
@pytest.mark.parametrize("score", ["additive", "dot"])
@torch.no_grad()
def test_a_state_holds_only_what_may_still_be_looked_at(window: int, score: str) -> None:
    model, inputs = attention(window=window, score=score), random_inputs(2, 10)
    assert isinstance(model, Streaming)
    state = model.init_state(inputs[:, :0])
    for place in range(10):
        kept = min(place, window - 1) if window else place
        # hidden state and cell; outputs, and keys where they are not the outputs themselves
        assert [one.shape[1] for one in state[2:]] == [kept] * (2 if score == "additive" else 1)
        logits, state = model.step(inputs[:, place], state)
        assert difference(logits, model(inputs[:, : place + 1])) <= 1e-10
    at_once = model.init_state(inputs)
    assert all(one.numel() == one.untyped_storage().nbytes() // 8 for one in at_once)


def test_in_both_directions_it_does_not_stream() -> None:
    from bench.architectures import ARCHITECTURES

    architecture = ARCHITECTURES.get("attention-rnn")
    assert "last word" in architecture.not_streaming(architecture.hyperparameters(bidirectional=True))
    assert not architecture.not_streaming(architecture.hyperparameters())


# ── precision ──────────────────────────────────────────────────────────────────────────────────────────────────────


@each_variant
@torch.inference_mode()
def test_weights_in_bf16_sum_to_one_too(options: dict[str, Any]) -> None:
    model = attention(**options).to(torch.bfloat16)
    assert model(batch(), torch.tensor(LENGTHS)).dtype == torch.bfloat16
    sums = model.attend(batch(), torch.tensor(LENGTHS)).float().sum(dim=1)
    assert difference(sums, torch.ones(len(LENGTHS))) <= 0.02


@each_variant
def test_it_trains_under_autocast(options: dict[str, Any]) -> None:
    model = attention(**options).float()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(batch(), torch.tensor(LENGTHS)).float().square().sum()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@each_variant
def test_gradients_are_those_of_finite_differences(options: dict[str, Any]) -> None:
    model = build("attention-rnn", VECTORS, **{"embedding_dim": 2, "hidden_dim": 2, **options}).double()
    names, values = zip(*model.named_parameters(), strict=True)
    lengths = torch.tensor([4, 2])

    def call(inputs: Tensor, *parameters: Tensor) -> Tensor:
        given = dict(zip(names, parameters, strict=True))
        return functional_call(model, given, (inputs, lengths))

    inputs = random_inputs(2, 4, VECTORS).double()
    arguments = [inputs, *(value.detach().clone() for value in values)]
    assert torch.autograd.gradcheck(call, [one.requires_grad_() for one in arguments])


def test_its_lstm_starts_with_the_forget_bias_of_the_other() -> None:
    ours, other = build("attention-rnn", SPEC).state_dict(), build("lstm", SPEC).state_dict()
    for name in ("bias_ih_l0", "bias_hh_l0"):
        assert torch.equal(ours[f"recurrent.{name}"][128:256], other[f"recurrent.{name}"][128:256])
