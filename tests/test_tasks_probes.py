"""Made probes of memory: what is asked, what the answer is, chance, and splits that nothing but the length changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES
from bench.batch import Batch, forward
from bench.contracts import check
from bench.errors import UsageError
from bench.options import fill
from bench.spec import InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import TASKS, Task

PROBES = ["first-token", "parity", "recall"]
LENGTH = 33
SPLITS = ("train", "validation", "test")
each_probe = pytest.mark.parametrize("name", PROBES)


def make(name: str, **given: Any) -> Task:
    kind = TASKS.get(name)
    options, problems = fill(kind.options, given)
    assert not problems
    return kind.make(options)


def whole(examples: Any) -> Batch:
    batch: Batch = examples.batch(range(len(examples)))
    return batch


def truths(batch: Batch) -> Tensor:
    assert batch.targets is not None
    return batch.targets


# ── the answers ────────────────────────────────────────────────────────────────────────────────────────────────────


def plain_first_token(row: list[int]) -> int:
    first, *noise = row
    assert all(11 <= token <= 20 for token in noise)
    return first - 1


def plain_parity(row: list[int]) -> int:
    assert set(row) <= {1, 2}
    return row.count(2) % 2


def plain_recall(row: list[int]) -> int:
    """Four pairs, noise, one of their keys; 16 keys come before 10 values and 10 tokens of noise."""
    pairs, noise, asked = row[:8], row[8:-1], row[-1]
    assert all(27 <= token <= 36 for token in noise)
    value_of = dict(zip(pairs[0::2], pairs[1::2], strict=True))
    assert len(value_of) == 4
    assert all(1 <= key <= 16 for key in value_of)
    return value_of[asked] - 17


PLAIN: dict[str, Callable[[list[int]], int]] = {
    "first-token": plain_first_token,
    "parity": plain_parity,
    "recall": plain_recall,
}


@each_probe
def test_answers_are_those_of_a_plain_reading(name: str) -> None:
    task = make(name)
    data = task.load(task.spec(LENGTH))
    batches = [whole(getattr(data, split)) for split in SPLITS]
    batches.append(task.random_batch(task.spec(LENGTH), 50, seed=3))
    for batch in batches:
        assert [PLAIN[name](row) for row in batch.inputs.tolist()] == truths(batch).tolist()


@each_probe
def test_every_class_is_as_frequent_in_every_split(name: str) -> None:
    task = make(name)
    spec = task.spec(LENGTH)
    data = task.load(spec)
    assert (len(data.train), len(data.validation), len(data.test)) == (20_000, 1_000, 2_000)
    assert task.chance == pytest.approx(1 / len(data.classes))
    for split in SPLITS:
        shares = torch.bincount(truths(whole(getattr(data, split)))) / len(getattr(data, split))
        assert shares.tolist() == pytest.approx([task.chance] * (spec.classes or 0))


def test_every_place_and_value_is_asked_for() -> None:
    task = make("recall")
    inputs = whole(task.load(task.spec(LENGTH)).test).inputs
    place = (inputs[:, 0:8:2] == inputs[:, -1:]).float().argmax(dim=1)
    assert (torch.bincount(place) / len(place)).tolist() == pytest.approx([0.25] * 4, abs=0.04)
    for columns, tokens in ((inputs[:, 0:8:2], 16), (inputs[:, 1:8:2], 10), (inputs[:, 8:-1], 10)):
        shares = torch.bincount(columns.flatten() - columns.min(), minlength=tokens) / columns.numel()
        assert shares.tolist() == pytest.approx([1 / tokens] * tokens, abs=0.02)


def test_no_bit_tells_the_parity() -> None:
    task = make("parity")
    batch = whole(task.load(task.spec(LENGTH)).train)
    ones = (batch.inputs == 2).double()
    assert ones.mean(dim=0).tolist() == pytest.approx([0.5] * LENGTH, abs=0.02)
    for own in (truths(batch) == 1, truths(batch) == 0):
        assert ones[own].mean(dim=0).tolist() == pytest.approx([0.5] * LENGTH, abs=0.02)


# ── shape ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@each_probe
def test_specs_and_batches(name: str) -> None:
    task = make(name)
    sizes = {"first-token": (21, 10), "parity": (3, 2), "recall": (37, 10)}
    vocabulary_size, classes = sizes[name]
    spec = task.spec(LENGTH)
    assert spec == Spec(
        inputs=InputKind.TOKENS,
        outputs=OutputKind.CLASSES,
        sequence_length=LENGTH,
        vocabulary_size=vocabulary_size,
        classes=classes,
    )
    assert (task.length_axis, task.folds, task.headline) == (LengthAxis.FREE, 0, "accuracy")
    batch = task.random_batch(spec, 12, seed=0)
    assert (batch.inputs.shape, batch.inputs.dtype, batch.lengths) == ((12, LENGTH), torch.int64, None)
    assert (batch.items, batch.tokens, batch.real_tokens) == (12, 12 * LENGTH, 12 * LENGTH)
    some = task.load(spec).test.batch([5, 0, 5])
    assert (some.inputs.shape, some.tokens, truths(some).dtype) == ((3, LENGTH), 3 * LENGTH, torch.int64)
    assert torch.equal(some.inputs[0], some.inputs[2])
    assert not torch.equal(some.inputs[0], some.inputs[1])
    assert list(task.training_lengths(spec) or []) == [LENGTH] * 20_000


@each_probe
@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 9, 10, 300])
def test_made_batches_have_any_length(name: str, length: int) -> None:
    task = make(name)
    # padded rows of speed cases may be shorter than the task itself allows
    spec = Spec(
        inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=length, classes=task.spec(64).classes
    )
    one, again, other = (task.random_batch(spec, 64, seed) for seed in (2**40 + 1, 2**40 + 1, 2))
    assert torch.equal(one.inputs, again.inputs)
    assert torch.equal(truths(one), truths(again))
    assert not torch.equal(truths(one), truths(other))
    assert one.inputs.shape == (64, length)
    assert int(one.inputs.min()) >= 1
    assert int(one.inputs.max()) < (task.spec(64).vocabulary_size or 0)


@each_probe
def test_sizes_are_options(name: str) -> None:
    given = {"first-token": {"symbols": 300}, "parity": {}, "recall": {"pairs": 7, "keys": 7, "values": 3}}[name]
    task = make(name, train_items=90, **given)
    spec = task.spec(15)
    data = task.load(spec)
    batch = whole(data.train)
    assert len(data.train) == 90
    assert spec.classes == {"first-token": 300, "parity": 2, "recall": 3}[name]
    assert len(data.classes) == spec.classes
    assert task.chance == 1 / spec.classes
    assert int(batch.inputs.max()) < (spec.vocabulary_size or 0)
    if name == "first-token":
        assert torch.equal(batch.inputs[:, 0] - 1, truths(batch))


# ── always the same ────────────────────────────────────────────────────────────────────────────────────────────────


@each_probe
def test_splits_depend_on_the_length_alone(name: str) -> None:
    task = make(name)
    first = task.load(task.spec(LENGTH))
    torch.manual_seed(7)
    np.random.seed(7)
    again = make(name).load(task.spec(LENGTH))
    assert again.fingerprint == first.fingerprint
    assert torch.equal(whole(again.train).inputs, whole(first.train).inputs)
    assert task.load(task.spec(LENGTH + 1)).fingerprint != first.fingerprint
    assert make(name, train_items=100).load(task.spec(LENGTH)).fingerprint != first.fingerprint


FINGERPRINTS = {"first-token": "ab65afdf8e7c", "parity": "227c8b2452f4", "recall": "739e9547d371"}


@each_probe
def test_what_was_measured_before_is_what_is_measured_now(name: str) -> None:
    assert make(name).load(make(name).spec(LENGTH)).fingerprint == FINGERPRINTS[name]


@each_probe
def test_no_item_of_a_long_probe_stands_in_two_splits(name: str) -> None:
    task = make(name)
    data = task.load(task.spec(60))
    rows = [tuple(row) for split in SPLITS for row in whole(getattr(data, split)).inputs.tolist()]
    assert len(set(rows)) == len(rows) == 23_000


# ── what is refused ────────────────────────────────────────────────────────────────────────────────────────────────


@each_probe
def test_what_a_probe_cannot_do_is_said(name: str) -> None:
    task = make(name)
    with pytest.raises(UsageError, match="found no sequence length"):
        task.spec(None)
    with pytest.raises(UsageError, match="fold 1"):
        task.load(task.spec(LENGTH), fold=1)
    with pytest.raises(UsageError, match="encoding 'wordpieces' is unknown"):
        task.load(task.spec(LENGTH), encoding="wordpieces")


def test_pairs_must_fit() -> None:
    with pytest.raises(UsageError, match="found sequence length 8, expected at least 9"):
        make("recall").spec(8)
    assert make("recall").spec(9).sequence_length == 9
    with pytest.raises(UsageError, match="found 17 pairs and 16 keys"):
        make("recall", pairs=17)


# ── models ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@each_probe
def test_contracts_hold_on_probes(name: str) -> None:
    task = make(name)
    architecture = ARCHITECTURES.get("gru")
    assert check(architecture, task, task.spec(64), architecture.hyperparameters()) == {}


@pytest.mark.slow
def test_an_lstm_with_forget_bias_1_learns_to_recall_the_first_of_51_tokens() -> None:
    """Within 500 steps, from about every second initialisation."""
    task = make("first-token")
    spec = task.spec(51)
    test = whole(task.load(spec).test)

    def accuracy(seed: int) -> float:
        model = trained_lstm(task, spec, seed)
        with torch.inference_mode():
            seen = task.evaluate(model.eval(), test, spec)
        return task.score(seen.predicted, seen.expected).metrics["accuracy"]

    assert any(accuracy(seed) >= 0.99 for seed in range(4))


def trained_lstm(task: Task, spec: Spec, seed: int) -> nn.Module:
    """After 500 steps of 64 items, or as soon as it has learnt."""
    architecture = ARCHITECTURES.get("lstm")
    torch.manual_seed(seed)
    sizes = {"embedding_dim": 256, "hidden_dim": 64, "dropout": 0.0}
    model = architecture.build(spec, architecture.hyperparameters(forget_bias=1.0, **sizes))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    for step in range(500):
        batch = task.random_batch(spec, 64, seed=1_000 + step)
        optimizer.zero_grad()
        loss = task.loss(forward(model, batch, spec), batch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if loss.item() < 0.005:
            break
    return model
