"""Linear attention by chunks against a plain double loop and against its quadratic form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.nn import functional

from bench.architectures.linear_attention import LinearAttention, build, causal, features, remembered
from bench.architectures.transformer import EncoderHyperparameters
from bench.errors import ModelError
from bench.spec import InputKind, OutputKind, Spec
from tests.twins import linear_attention as twin

TOKENS = Spec(inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=80, vocabulary_size=20, classes=3)
LENGTHS = [1, 2, 31, 32, 33, 65, 100]
"""Within a chunk, at its end and beyond, with a last chunk that is full or not."""


def model_of(spec: Spec = TOKENS, **options: Any) -> LinearAttention:
    """A small model in `eval()` in which attention matters."""
    torch.manual_seed(0)
    chosen = {"embedding_dim": 6, "num_heads": 2, "feedforward_dim": 7, **options}
    model = cast(LinearAttention, build(spec, EncoderHyperparameters(**chosen))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.5)
    return model


def heads(length: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Queries, keys and values of three heads of four in two rows."""
    generator = torch.Generator().manual_seed(length)
    return [torch.randn(2, 3, length, 4, generator=generator, dtype=torch.float64).to(dtype) for _ in range(3)]


def random_inputs(rows: int, columns: int) -> Tensor:
    return torch.randint(1, 20, (rows, columns), generator=torch.Generator().manual_seed(1))


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return (one - other).abs().max().item()


# ── two ways, one answer ───────────────────────────────────────────────────────────────────────────────────────────


def plain(query_LK: Tensor, key_LK: Tensor, value_LK: Tensor) -> Tensor:
    """One head, from the formulas of the paper: a matrix and a vector that each position adds to."""
    size = query_LK.shape[1]
    matrix, vector = torch.zeros(size, size, dtype=query_LK.dtype), torch.zeros(size, dtype=query_LK.dtype)
    found = []
    for query, key, value in zip(query_LK, key_LK, value_LK, strict=True):
        query, key = (torch.where(one > 0, one + 1, one.exp()) for one in (query, key))
        matrix, vector = matrix + torch.outer(key, value), vector + key
        found.append((query @ matrix) / (query @ vector + 1e-6))
    return torch.stack(found)


def quadratic(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """All pairs, the later ones masked."""
    weights = ((functional.elu(query) + 1) @ (functional.elu(key) + 1).mT).tril()
    return (weights @ value) / (weights.sum(dim=3, keepdim=True) + 1e-6)


@pytest.mark.parametrize("length", LENGTHS)
def test_chunks_equal_the_plain_loop_and_the_quadratic_form(length: int) -> None:
    query, key, value = heads(length)
    found = causal(query, key, value)
    assert difference(found, quadratic(query, key, value)) <= 1e-10
    for row in range(2):
        for head in range(3):
            assert difference(found[row, head], plain(query[row, head], key[row, head], value[row, head])) <= 1e-10


@pytest.mark.parametrize("length", [1, 5, 34])
def test_gradients(length: int) -> None:
    inputs = [one[:1, :1, :, :2].clone().requires_grad_() for one in heads(length)]
    assert gradcheck(causal, inputs)


@pytest.mark.parametrize("length", [70])
def test_gradients_of_all_parameters_are_those_of_the_twin(length: int) -> None:
    model, inputs = model_of().double(), random_inputs(3, length)
    parameters = dict(model.named_parameters())
    wanted = torch.linspace(-1, 1, 9, dtype=torch.float64).view(3, 3)
    assert difference(model(inputs), twin(model, inputs)) <= 1e-10
    found = torch.autograd.grad((model(inputs) * wanted).sum(), list(parameters.values()))
    expected = torch.autograd.grad((twin(model, inputs) * wanted).sum(), list(parameters.values()))
    for name, one, other in zip(parameters, found, expected, strict=True):
        assert difference(one, other) <= 1e-10, name


def plain_logits(model: nn.Module, x_LD: Tensor) -> Tensor:
    for layer in model.layers:
        parts = layer.query_key_value(layer.attention_norm(x_LD)).chunk(3, dim=1)
        of_heads = [plain(*one) for one in zip(*(part.split(3, dim=1) for part in parts), strict=True)]
        x_LD = x_LD + layer.attention_output(torch.cat(of_heads, dim=1))
        x_LD = x_LD + layer.feedforward(layer.feedforward_norm(x_LD))
    return cast(Tensor, model.classifier(model.norm(x_LD[-1])))


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "none"])
@torch.no_grad()
def test_equals_a_plain_loop_over_each_text(positions: str) -> None:
    model, lengths = model_of(positions=positions).double(), [70, 1, 40]
    batch = random_inputs(3, 70)
    logits = model(batch, torch.tensor(lengths))
    for place, length in enumerate(lengths):
        x_LD = model.embedding(batch[place, :length])
        if model.position_table is not None:
            x_LD = x_LD + model.position_table[:length]
        assert difference(logits[place], plain_logits(model, x_LD)) <= 1e-10


def test_features_are_elu_plus_one_also_where_that_is_small() -> None:
    values = torch.tensor([-60.0, -20.0, -1.0, 0.0, 0.5, 3.0, 200.0], requires_grad=True)
    found = features(values)
    assert difference(found, functional.elu(values) + 1) <= 1e-6
    assert found[0] > 0
    found.sum().backward()  # type: ignore[no-untyped-call]
    expected = torch.where(values > 0, 1.0, values.detach().clamp(max=0).exp())
    assert values.grad is not None
    assert difference(values.grad, expected) <= 1e-6


# ── order ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@torch.no_grad()
def test_of_one_layer_without_positions_only_which_word_is_last_matters() -> None:
    batch = random_inputs(2, 50)
    shuffled = batch.clone()
    shuffled[:, :49] = batch[:, torch.randperm(49, generator=torch.Generator().manual_seed(0))]
    model = model_of(positions="none", num_layers=1)
    assert difference(model(shuffled), model(batch)) <= 1e-5
    assert difference(model(batch.roll(1, 1)), model(batch)) > 1e-3
    # causal layers tell the order to those above, and positions to the first
    for other in (model_of(positions="none"), model_of(num_layers=1)):
        assert difference(other(shuffled), other(batch)) > 1e-4


@torch.no_grad()
def test_later_positions_change_nothing_across_chunks() -> None:
    query, key, value = heads(100)
    found = causal(query, key, value)
    for one in (query, key, value):
        one[:, :, 47:] = 3.0
    again = causal(query, key, value)
    assert difference(again[:, :, :47], found[:, :, :47]) <= 1e-12
    assert difference(again[:, :, 47:], found[:, :, 47:]) > 0.1


@torch.no_grad()
def test_steps_go_on_where_a_long_prefix_ends() -> None:
    model, inputs = model_of(), random_inputs(2, 70)
    state = model.init_state(inputs[:, :66])
    for place in range(66, 70):
        output, state = model.step(inputs[:, place], state)
        assert difference(output, model(inputs[:, : place + 1])) <= 1e-5
    assert state[0] == 70
    assert [tuple(sums.shape) for sums in state[1:]] == [(2, 2, 3, 4)] * 2


# ── what else is promised ──────────────────────────────────────────────────────────────────────────────────────────


def test_lower_precisions_add_up_in_fp32() -> None:
    spec = replace(TOKENS, sequence_length=300)
    model, inputs = model_of(spec, embedding_dim=16), random_inputs(3, 300)
    lengths = torch.tensor([300, 1, 150])
    expected = model(inputs, lengths)
    bound = 0.05 * expected.abs().max().item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(inputs, lengths)
        assert model.init_state(inputs)[1].dtype == torch.float32
    assert logits.dtype == torch.bfloat16
    assert difference(logits.float(), expected) <= bound
    functional.cross_entropy(logits.float(), torch.arange(3)).backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all()
    model.to(torch.bfloat16)
    with torch.inference_mode():
        lower = model(inputs, lengths)
        streamed, state = model.step(inputs[:, 299], model.init_state(inputs[:, :299]))
    assert lower.dtype == streamed.dtype == torch.bfloat16
    assert state[1].dtype == torch.float32
    assert difference(lower.float(), expected) <= bound
    assert difference(streamed[0].float(), expected[0]) <= bound


def test_a_sum_in_bf16_goes_on_growing() -> None:
    key = torch.zeros(1, 1, 1000, 1, dtype=torch.bfloat16)
    assert remembered(key, torch.ones_like(key)).tolist() == [[[[1000.0, 1000.0]]]]
    # of equal keys the mean of values, however many there are
    values = torch.arange(1000.0).view(1, 1, 1000, 1).bfloat16()
    found = causal(key, key, values)[0, 0, -1, 0].float()
    assert found == pytest.approx(499.5, rel=0.01)


def test_heads_share_the_width() -> None:
    with pytest.raises(
        ModelError, match=r"linear-attention: embedding_dim 10 is not a multiple of num_heads 4; change"
    ):
        build(TOKENS, EncoderHyperparameters(embedding_dim=10))


@torch.inference_mode()
def test_sums_over_thousands_of_positions_fit_into_fp16() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 4096, 16, generator=generator) for _ in range(3))
    exact = causal(query, key, value)
    lower = causal(query.half(), key.half(), value.half())
    assert lower.dtype == torch.float16
    assert (lower - exact).abs().max() <= 0.02
