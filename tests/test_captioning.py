"""Captions: what a picture's places hold, sizes of pictures and of models, gradients, and what is learned.

Decoding them is tested in tests/test_decoding.py, their decoders also in tests/test_seq2seq.py: they are those of texts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from fakes import ReverseOptions
from made_captions import Captions
from made_writers import PICTURES, VARIANTS, difference, fresh, items, logits, target_rows, writer
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from bench.architectures import ARCHITECTURES
from bench.architectures.captioning import Places, Whole
from bench.architectures.decoding import greedy
from bench.contracts import check
from bench.errors import ModelError

NAMES = ("cnn-rnn", "cnn-transformer")
each_variant = pytest.mark.parametrize(
    ("name", "options"), [(name, options) for name, options in VARIANTS if name in NAMES], ids=str
)


class LargeCaptions(Captions):
    """Three marks of 28 x 28 pixels."""

    name = "fake-large-captions"
    side = 28


def feature_map(encoder: Places | Whole, picture: Tensor) -> Tensor:
    """(B, 6, 2, 3) of pictures of 9 x 13 pixels."""
    for layer in (part for part in encoder.features if isinstance(part, nn.Conv2d)):
        picture = functional.max_pool2d(functional.conv2d(picture, layer.weight, layer.bias, padding=1).relu(), 2)
    return picture


@torch.no_grad()
def test_a_place_holds_the_feature_map_there_and_what_is_its_own() -> None:
    encoder, picture = Places(PICTURES, 3, 5).double(), torch.randn(2, 1, 9, 13, dtype=torch.float64)
    found, memory_BMK = feature_map(encoder, picture), encoder(picture)
    assert memory_BMK.shape == (2, 6, 5)
    for row in range(2):
        for column in range(3):
            seen = found[:, :, row, column] @ encoder.project.weight.T + encoder.project.bias
            expected = (seen + encoder.place[3 * row + column]).clamp(min=0)
            assert difference(memory_BMK[:, 3 * row + column], expected) <= 1e-12


@torch.no_grad()
def test_without_attention_there_is_one_place_that_holds_all_of_them_in_their_order() -> None:
    encoder, picture = Whole(PICTURES, 3, 5).double(), torch.randn(2, 1, 9, 13, dtype=torch.float64)
    found = feature_map(encoder, picture)
    weight_KFhw = encoder.project.weight.view(5, 6, 2, 3)
    expected = (torch.einsum("bfhw,kfhw->bk", found, weight_KFhw) + encoder.project.bias).clamp(min=0)
    assert difference(encoder(picture), expected[:, None]) <= 1e-12
    for attention, kind in (("none", Whole), ("dot", Places), ("additive", Places)):
        assert isinstance(fresh("cnn-rnn", attention=attention).encoder, kind)
    assert isinstance(fresh("cnn-transformer").encoder, Places)


@pytest.mark.parametrize("kind", [Places, Whole])
@torch.no_grad()
def test_at_the_start_memories_of_pictures_differ(kind: type[Places | Whole]) -> None:
    torch.manual_seed(0)
    task = Captions(ReverseOptions())
    memory_BMK = kind(task.spec(None), 8, 48)(task.random_batch(task.spec(None), 64, seed=0).inputs)
    assert memory_BMK.std(dim=0).mean() > 0.1


@each_variant
@torch.no_grad()
def test_what_is_said_depends_on_what_stands_where(name: str, options: dict[str, Any]) -> None:
    model, (inputs, _), targets = writer(name, **options), items(name), target_rows()
    before = logits(model, name, inputs, None, targets)
    assert difference(logits(model, name, inputs.flip(3), None, targets), before) > 1e-2
    if isinstance(model.encoder, Places):  # the same places, with what is their own taken from others
        model.encoder.place.copy_(model.encoder.place.flip(0))
        assert difference(logits(model, name, inputs, None, targets), before) > 1e-2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [Captions, LargeCaptions])
def test_pictures_of_several_sizes(name: str, kind: type[Captions]) -> None:
    task, architecture = kind(ReverseOptions()), ARCHITECTURES.get(name)
    assert task.spec(None).image_shape in ((1, 8, 24), (1, 28, 84))
    assert check(architecture, task, task.spec(None), architecture.hyperparameters()) == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_of_which_nothing_would_be_left_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"images are \(1, 3, 13\); expected at least 4 x 4 pixels"):
        fresh(name, replace(PICTURES, image_shape=(1, 3, 13)))


@each_variant
def test_parameter_count_is_the_closed_form(name: str, options: dict[str, Any]) -> None:
    architecture = ARCHITECTURES.get(name)
    settings = architecture.hyperparameters(**options)
    assert architecture.parameter_count is not None
    found = sum(parameter.numel() for parameter in fresh(name, **options).parameters())
    assert architecture.parameter_count(PICTURES, settings) == found
    assert architecture.width is not None
    wider = architecture.at_width(settings, 2 * getattr(settings, architecture.width))
    assert architecture.parameter_count(PICTURES, wider) > found


def test_they_have_the_sizes_that_a_textbook_gives() -> None:
    seeing = (9 + 1) * 3 + (9 * 3 + 1) * 6  # two convolutions
    writing = 7 * 4 + 3 * 5 * (4 + 5 + 2) + (5 + 1) * 5 + (5 + 1) * 7  # table, GRU, first state, output
    of_places = (6 + 1) * 5 + 6 * 5 + 5 * 5 + (5 + 5 + 1) * 5  # six of them; key, and what joins state and context
    for attention, more in (("none", (6 * 6 + 1) * 5), ("dot", of_places)):
        model = fresh("cnn-rnn", num_filters=3, embedding_dim=4, hidden_dim=5, attention=attention)
        assert sum(one.numel() for one in model.parameters()) == seeing + writing + more


@each_variant
def test_padding_has_a_zero_vector_and_gets_no_gradient(name: str, options: dict[str, Any]) -> None:
    model, (inputs, _), targets = fresh(name, **options).double(), items(name), target_rows().clone()
    targets[:, 3:] = 0
    logits(model, name, inputs, None, targets)[:, :3].square().sum().backward()
    (table,) = (module for module in model.modules() if isinstance(module, nn.Embedding))
    assert table.weight.grad is not None
    assert table.weight.grad[4:].any()
    assert not table.weight.grad[0].any()
    assert not table.weight[0].any()


@each_variant
def test_gradients_are_those_of_finite_differences(name: str, options: dict[str, Any]) -> None:
    model, spec = writer(name, **options), PICTURES
    names, values = zip(*model.named_parameters(), strict=True)
    picture = torch.randn(2, *(spec.image_shape or ()), dtype=torch.float64)
    targets = torch.tensor([[4, 5, 3], [6, 3, 0]])

    def call(inputs: Tensor, *parameters: Tensor) -> Tensor:
        said = functional_call(model, dict(zip(names, parameters, strict=True)), (inputs, targets))
        return functional.cross_entropy(said.flatten(0, 1), targets.flatten(), ignore_index=0)

    arguments = [picture, *(value.detach().clone() for value in values)]
    assert torch.autograd.gradcheck(call, [one.requires_grad_() for one in arguments], fast_mode=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cnn-rnn", {"num_filters": 8, "embedding_dim": 16, "hidden_dim": 48, "dropout": 0.0}),
        ("cnn-rnn", {"num_filters": 8, "embedding_dim": 16, "hidden_dim": 48, "dropout": 0.0, "attention": "none"}),
        ("cnn-transformer", {"num_filters": 8, "embedding_dim": 32, "feedforward_dim": 64, "dropout": 0.0}),
    ],
    ids=str,
)
def test_they_learn_to_name_three_marks(name: str, options: dict[str, Any]) -> None:
    task = Captions(ReverseOptions())
    model = fresh(name, task.spec(None), **options).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(300):
        batch = task.random_batch(task.spec(None), 32, seed=step)
        optimizer.zero_grad()
        task.loss(model(batch.inputs, batch.targets), batch).backward()
        optimizer.step()
    batch = task.random_batch(task.spec(None), 64, seed=10_000)
    written = greedy(model.eval(), batch.inputs, None, 4)  # type: ignore[arg-type]
    assert (written == batch.targets).all(dim=1).float().mean() >= 0.9
