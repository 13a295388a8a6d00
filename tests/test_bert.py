"""BERT of fresh weights: against plain loops, in its published sizes, with padding that changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from made_bert import as_checkpoint, plain
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES
from bench.architectures.bert import LAYERS_SIZE_HEADS, BertClassifier, Hyperparameters, Layer, build, parameter_count
from bench.architectures.pretrained import Sizes
from bench.contracts import check
from bench.options import fill
from bench.probes.flops import count
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks.imdb import Imdb, Options

LENGTH = 24
SPEC = Spec(
    inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=4 * LENGTH, vocabulary_size=50, classes=3
)


def made(size: str = "tiny", **options: Any) -> BertClassifier:
    """A model whose every parameter matters: fresh weights are so small that attention is all but even."""
    torch.manual_seed(0)
    model = build(SPEC, Hyperparameters(size=size, **options)).eval()
    assert isinstance(model, BertClassifier)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def random_ids(rows: int, columns: int) -> Tensor:
    return torch.randint(2, 50, (rows, columns), generator=torch.Generator().manual_seed(1))


def padded(row: Tensor, columns: int) -> Tensor:
    filled = row.new_zeros(1, columns)
    filled[:, : row.shape[1]] = row
    return filled


def difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


# ── two ways, one answer ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", ["tiny", "mini"])
@torch.no_grad()
def test_logits_are_those_of_plain_loops(size: str) -> None:
    model = made(size).double()
    tensors, lengths = as_checkpoint(model), [7, 1, 12]
    rows = random_ids(3, 12)
    for place, length in enumerate(lengths):
        rows[place, length:] = 0
    logits = model(rows, torch.tensor(lengths))
    for row, length, found in zip(rows.tolist(), lengths, logits, strict=True):
        # the model's own [CLS] has the id after the task's last one
        _, pooled = plain(tensors, [50, *row[:length]], heads=LAYERS_SIZE_HEADS[size][2])
        assert difference(found, model.classifier(pooled)) <= 1e-10


def test_a_layer_has_the_gradients_of_what_it_computes() -> None:
    torch.manual_seed(0)
    sizes = Sizes(
        vocabulary_size=1, positions=1, hidden_dim=6, num_layers=1, num_heads=2, feedforward_dim=5, padding_id=0
    )
    layer = Layer(sizes, dropout=0.0).double()
    parameters = dict(layer.named_parameters())
    x_BLD = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    mask_B11L = torch.tensor([[True, True, True], [True, True, False]])[:, None, None]

    def call(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(parameters, values, strict=True)), (x, mask_B11L))

    assert torch.autograd.gradcheck(call, (x_BLD, *parameters.values()))


@torch.no_grad()
def test_token_type_0_is_everywhere_and_type_1_nowhere() -> None:
    model, batch = made(), random_ids(2, 9)
    before = model(batch)
    model.token_types[1] += 1
    assert torch.equal(model(batch), before)
    model.token_types[0, :5] += 1  # not all of them: the norm would take the same shift out again
    assert difference(model(batch), before) > 1e-3


@torch.no_grad()
def test_word_order_matters() -> None:
    model, batch = made(), random_ids(2, 9)
    assert difference(model(batch.flip(1)), model(batch)) > 1e-3


# ── padding and neighbours ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("length", [1, 2, 4, LENGTH])
@torch.no_grad()
def test_more_padding_changes_no_logit(length: int) -> None:
    model, row = made(), random_ids(1, length)
    bare = model(row)
    for times in (1, 2, 4):
        assert difference(model(padded(row, times * LENGTH), torch.tensor([length])), bare) <= 1e-5


@torch.no_grad()
def test_other_rows_change_no_logit() -> None:
    model, lengths = made(), [5, 1, LENGTH, 3, 17, 2]
    rows = [(random_ids(1, length) + place) % 48 + 2 for place, length in enumerate(lengths)]
    together = model(torch.cat([padded(row, 2 * LENGTH) for row in rows]), torch.tensor(lengths))
    for place, row in enumerate(rows):
        assert difference(together[place], model(row)[0]) <= 1e-5


@torch.no_grad()
def test_full_lengths_are_the_same_as_none_and_an_empty_text_is_one_padding_token() -> None:
    model, batch = made(), random_ids(3, LENGTH)
    assert difference(model(batch), model(batch, torch.full((3,), LENGTH))) <= 1e-5
    empty = model(torch.zeros(2, LENGTH, dtype=torch.int64), torch.tensor([0, 7]))
    assert difference(empty[0], model(torch.zeros(1, 1, dtype=torch.int64))[0]) <= 1e-5


@pytest.mark.parametrize("options", [{}, {"size": "mini", "dropout": 0.0}], ids=str)
def test_it_keeps_every_contract(options: dict[str, Any]) -> None:
    task = Imdb(Options())
    assert check(ARCHITECTURES.get("bert"), task, task.spec(64), Hyperparameters(**options)) == {}


# ── size and cost ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", LAYERS_SIZE_HEADS)
@pytest.mark.parametrize("length", [16, 512, 2000])
def test_parameter_count_is_the_closed_form(size: str, length: int) -> None:
    spec = Spec(
        inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=length, vocabulary_size=50, classes=3
    )
    with torch.device("meta"):
        model = build(spec, Hyperparameters(size=size))
        model(torch.zeros(1, length, dtype=torch.int64))
    found = sum(parameter.numel() for parameter in model.parameters())
    assert parameter_count(spec, Hyperparameters(size=size)) == found


@pytest.mark.parametrize(
    ("size", "published"),
    [("tiny", 4_385_920), ("mini", 11_170_560), ("small", 28_763_648), ("base", 109_482_240)],
)
def test_encoders_have_their_published_sizes(size: str, published: int) -> None:
    # 30,522 word pieces, [CLS] among them; the classifier is not part of the encoder
    spec = Spec(
        inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=128, vocabulary_size=30_521, classes=2
    )
    hidden = LAYERS_SIZE_HEADS[size][1]
    assert parameter_count(spec, Hyperparameters(size=size)) - (hidden + 1) * 2 == published


@pytest.mark.parametrize("size", LAYERS_SIZE_HEADS)
def test_flops_are_the_closed_form(size: str) -> None:
    layers, hidden, _ = LAYERS_SIZE_HEADS[size]
    items, positions = 2, 33  # [CLS] and 32 words
    with torch.device("meta"):
        model = build(SPEC, Hyperparameters(size=size)).eval()
        inputs = torch.zeros(items, positions - 1, dtype=torch.int64)
    with torch.no_grad():
        counted = count(lambda: model(inputs))
    products = items * positions * (4 * hidden * hidden + 2 * hidden * 4 * hidden)
    attention = 2 * items * positions * positions * hidden
    assert counted.uncounted == ()
    assert counted.flops == 2 * (layers * (products + attention) + items * hidden * (hidden + 3))


# ── what a user sets ───────────────────────────────────────────────────────────────────────────────────────────────


def test_fresh_weights_are_small_and_padding_is_zero() -> None:
    torch.manual_seed(0)
    model = build(SPEC, Hyperparameters())
    own = model.state_dict()
    for name in ("words.weight", "positions", "layers.1.query_key_value.weight", "pooler.weight"):
        assert own[name].std().item() == pytest.approx(0.02, rel=0.05)
    assert not own["words.weight"][0].any()
    assert not own["layers.0.feedforward_in.bias"].any()


def test_it_drops_in_training_only() -> None:
    batch = random_ids(2, 9)
    model = made(dropout=0.1)
    assert torch.equal(model(batch), model(batch))
    model.train()
    assert not torch.equal(model(batch), model(batch))
    model = made(dropout=0.0).train()
    assert torch.equal(model(batch), model(batch))
    assert all(part.eps == 1e-12 for part in model.modules() if isinstance(part, nn.LayerNorm))


@torch.inference_mode()
def test_lower_precisions_stay_near() -> None:
    torch.manual_seed(0)
    model, batch, lengths = build(SPEC, Hyperparameters()).eval(), random_ids(2, 9), torch.tensor([9, 4])
    expected = model(batch, lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert difference(model(batch, lengths), expected) <= 0.02
    found = model.bfloat16()(batch, lengths)
    assert found.dtype is torch.bfloat16
    assert difference(found, expected) <= 0.02


def test_sizes_and_streaming_are_told() -> None:
    architecture = ARCHITECTURES.get("bert")
    assert fill(Hyperparameters, {"size": "huge"})[1] == ["'size' is 'huge'; expected one of: tiny, mini, small, base"]
    assert architecture.not_streaming(Hyperparameters())
    assert architecture.encoding(Hyperparameters()) == "words"
    assert architecture.encoding(Hyperparameters(weights="minilm")) == "wordpiece:minilm"
