"""Images and tables: folds, scaling, made batches; and what every classification task shares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
import torch
from made_pictures import TEST_ITEMS, TRAIN_ITEMS, made_data_sets, pictures
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits
from torch import nn

from bench.batch import Batch
from bench.errors import UsageError
from bench.options import fill
from bench.spec import InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import TASKS, Data, Reading, Task, legend_of
from bench.tasks.data import needed
from bench.tasks.images import DATA_SETS, DataSet
from bench.tasks.splits import FOLDS, split_as_published, split_in_folds

BUNDLED = {"images": load_digits, "tabular": load_breast_cancer}


def make(name: str, **given: Any) -> Task:
    kind = TASKS.get(name)
    options, problems = fill(kind.options, given)
    assert not problems
    return kind.make(options)


def load(name: str, fold: int | None) -> Data:
    task = make(name)
    return task.load(task.spec(None), fold=fold)


def whole(examples: Any) -> Batch:
    batch: Batch = examples.batch(range(len(examples)))
    return batch


def test_folds_partition_the_items_and_keep_the_classes_shares() -> None:
    labels = np.array([0] * 101 + [1] * 33 + [2] * 10)
    splits = [split_in_folds(labels, fold) for fold in range(FOLDS)]
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(len(labels)))
    for split in splits:
        parts = (split.train, split.validation, split.test)
        assert sorted(np.concatenate(parts)) == list(range(len(labels)))
        for part, share in zip(parts, (0.7, 0.1, 0.2), strict=True):
            counts = np.bincount(labels[part], minlength=3)
            assert np.abs(counts - np.array([101, 33, 10]) * share).max() <= 2
            assert abs(len(part) - len(labels) * share) <= 2
    with pytest.raises(ValueError, match="fold 5 does not exist"):
        split_in_folds(labels, FOLDS)


@pytest.mark.parametrize("name", list(BUNDLED))
def test_every_item_is_tested_once(name: str) -> None:
    bundled = BUNDLED[name]()
    folds = [load(name, fold) for fold in range(FOLDS)]
    assert len({data.fingerprint for data in folds}) == FOLDS
    assert load(name, None).fingerprint == load(name, 0).fingerprint == folds[0].fingerprint
    assert folds[0].classes == tuple(map(str, bundled.target_names))
    tested = torch.cat([whole(data.test).targets for data in folds])  # type: ignore[misc]
    assert torch.bincount(tested).tolist() == np.bincount(bundled.target).tolist()
    assert make(name).chance == pytest.approx(np.bincount(bundled.target).max() / len(bundled.target))
    for data in folds:
        rows = [
            tuple(row)
            for part in (data.train, data.validation, data.test)
            for row in whole(part).inputs.flatten(1).tolist()
        ]
        assert len(set(rows)) == len(bundled.data), "no item stands in two parts"


def test_digits_are_the_bundled_ones() -> None:
    task = make("images")
    assert task.spec(None) == Spec(
        inputs=InputKind.IMAGE, outputs=OutputKind.CLASSES, image_shape=(1, 8, 8), classes=10
    )
    split = split_in_folds(load_digits().target, 2)
    batch = whole(load("images", 2).test)
    expected = load_digits().images[split.test][:, None] / 16
    assert batch.inputs.dtype == torch.float32
    assert torch.equal(batch.inputs, torch.tensor(expected, dtype=torch.float32))
    assert batch.targets is not None
    assert batch.targets.tolist() == load_digits().target[split.test].tolist()
    assert (float(batch.inputs.min()), float(batch.inputs.max())) == (0, 1)
    assert (batch.lengths, batch.tokens, batch.real_tokens, batch.items) == (None, None, None, len(split.test))


def test_tables_are_standardised_by_the_training_split_alone() -> None:
    task = make("tabular")
    assert task.spec(None) == Spec(inputs=InputKind.FEATURES, outputs=OutputKind.CLASSES, input_size=30, classes=2)
    bundled = load_breast_cancer()
    split = split_in_folds(bundled.target, 1)
    data = load("tabular", 1)
    train = whole(data.train).inputs
    assert torch.allclose(train.mean(0), torch.zeros(30), atol=1e-5)
    assert torch.allclose(train.std(0, correction=0), torch.ones(30), atol=1e-5)
    seen = bundled.data[split.train]
    expected = (bundled.data[split.test] - seen.mean(0)) / seen.std(0)
    assert torch.allclose(whole(data.test).inputs, torch.tensor(expected, dtype=torch.float32), atol=1e-5)
    assert not torch.allclose(whole(data.test).inputs.mean(0), torch.zeros(30), atol=1e-3)


@pytest.mark.parametrize("name", list(BUNDLED))
def test_made_batches_are_seeded_and_never_zeros(name: str) -> None:
    task = make(name)
    spec = task.spec(None)
    first, again, other = (task.random_batch(spec, 64, seed) for seed in (1, 1, 2))
    assert torch.equal(first.inputs, again.inputs)
    assert first.targets is not None
    assert again.targets is not None
    assert torch.equal(first.targets, again.targets)
    assert not torch.equal(first.inputs, other.inputs)
    assert first.inputs.shape == (64, *(spec.image_shape or (30,)))
    assert bool((first.inputs.flatten(1).std(dim=1) > 0.1).all())
    assert set(first.targets.tolist()) == set(range(spec.classes or 0))
    assert (first.items, first.lengths, first.tokens) == (64, None, None)


@pytest.mark.parametrize("name", list(BUNDLED))
def test_items_have_no_length(name: str) -> None:
    task = make(name)
    assert (task.length_axis, task.folds) == (LengthAxis.NONE, 5)
    with pytest.raises(UsageError, match="found sequence length 64, expected none"):
        task.spec(64)


def test_only_known_pictures_are_taken() -> None:
    assert fill(TASKS.get("images").options, {"dataset": "cats"})[1] == [
        "'dataset' is 'cats'; expected one of: digits, mnist-5k, mnist, fashion-mnist"
    ]


# ── pictures of 28 x 28, from made files ──


@pytest.fixture
def made_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, DataSet]:
    """The data sets of `images`, from made files, with a cache of their own."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "mine"))
    found = made_data_sets(tmp_path / "mine")
    monkeypatch.setattr("bench.tasks.images.DATA_SETS", found)
    return found


def test_a_published_test_split_is_kept() -> None:
    labels = np.array([0] * 25 + [1] * 19 + [0, 1] * 5 + [1, 1, 0])
    split = split_as_published(labels, 3)
    assert split.test.tolist() == [54, 55, 56]
    # of 30 zeros the last three, of 24 ones the last two
    assert split.validation.tolist() == [48, 50, 51, 52, 53]
    assert sorted([*split.train, *split.validation]) == list(range(54))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_sets_with_a_test_split_of_their_own(made_sets: dict[str, DataSet], name: str) -> None:
    images = make("images", dataset=name)
    assert images.spec(None).image_shape == (1, 28, 28)
    assert images.folds == 0
    data = images.load(images.spec(None))
    test = whole(data.test)
    pixels, labels = pictures(TEST_ITEMS, seed=1 if name == "mnist" else 6)
    assert test.targets is not None
    assert test.targets.tolist() == labels.tolist()
    assert torch.equal(test.inputs, torch.from_numpy(pixels[:, None].astype(np.float32) / np.float32(255)))
    assert len(data.train) + len(data.validation) == TRAIN_ITEMS
    assert 10 <= len(data.validation) <= TRAIN_ITEMS // 10
    assert data.classes[9] == ("9" if name == "mnist" else "ankle boot")
    with pytest.raises(UsageError, match="found fold 0, expected none"):
        images.load(images.spec(None), fold=0)


def test_small_sets_come_in_folds(made_sets: dict[str, DataSet]) -> None:
    images = make("images", dataset="mnist-5k")
    assert (images.folds, images.spec(None).image_shape) == (FOLDS, (1, 28, 28))
    folds = [images.load(images.spec(None), fold=fold) for fold in range(FOLDS)]
    tested = torch.cat([whole(data.test).inputs.flatten(1) for data in folds])
    expected = pictures(TRAIN_ITEMS)[0].reshape(TRAIN_ITEMS, -1).astype(np.float32) / np.float32(255)
    assert sorted(tested.tolist()) == sorted(expected.tolist())
    assert len({data.fingerprint for data in folds}) == FOLDS


def test_every_data_set_is_one_that_bench_data_knows() -> None:
    for name, entry in DATA_SETS.items():
        assert needed("images", name) is needed("pixels", name) is entry.source
    # of the commonest digit of MNIST's test split there are 1,135
    assert [entry.commonest for entry in DATA_SETS.values()] == [183 / 1797, 0.1, 0.1135, 0.1]


class Fixed(nn.Module):
    """Answers what it was given."""

    def __init__(self, outputs: torch.Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.outputs


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loss_and_evaluation_against_plain_formulas(dtype: torch.dtype) -> None:
    task = make("tabular")
    outputs = torch.tensor([[2.0, 0.0], [0.5, 1.5], [3.0, -1.0]], dtype=dtype)
    batch = Batch(inputs=torch.ones(3, 30), targets=torch.tensor([0, 1, 1]), items=3)
    nats = [np.log(1 + np.exp(-2)), np.log(1 + np.exp(-1)), np.log(1 + np.exp(4))]
    loss = task.loss(outputs.requires_grad_(), batch)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(np.mean(nats), rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    seen = task.evaluate(Fixed(outputs.detach()), batch, task.spec(None))
    assert seen.loss_sum == pytest.approx(sum(nats), rel=1e-5)
    assert (seen.items, seen.predicted, seen.expected) == (3, [0, 1, 0], [0, 1, 1])


def test_scores_against_counting() -> None:
    task = make("tabular")
    score = task.score([0, 0, 1, 1, 1], [0, 1, 1, 1, 0])
    assert score.confusion == ((1, 1), (1, 2)), "rows are true classes"
    assert (score.correct, score.total) == (3, 5)
    half, two_thirds = 1 / 2, 2 / 3
    assert dict(score.metrics) == pytest.approx(
        {
            "accuracy": 0.6,
            "precision_macro": (half + two_thirds) / 2,
            "recall_macro": (half + two_thirds) / 2,
            "f1_macro": (half + two_thirds) / 2,
        }
    )
    assert [metric.name for metric in task.metrics] == list(score.metrics)


def test_a_class_that_is_never_predicted_counts_nothing() -> None:
    score = make("images").score([0] * 10, list(range(10)))
    assert score.metrics["recall_macro"] == pytest.approx(0.1)
    assert score.metrics["precision_macro"] == pytest.approx(0.01)
    assert score.confusion is not None
    assert (len(score.confusion), score.confusion[9][0]) == (10, 1)


def test_rows_of_ones_own_are_scaled_by_the_training_split_of_their_fold() -> None:
    table, task = load_breast_cancer(), make("tabular")
    assert isinstance(task, Reading)
    for fold in (0, 3):
        data, split = load("tabular", fold), split_in_folds(table.target, fold)
        legend = legend_of(data, task.spec(None), "words")
        given = [",".join(map(repr, row)) for row in table.data[split.test].tolist()]
        assert torch.equal(task.read(given, legend).inputs, whole(data.test).inputs)


@pytest.mark.parametrize("name", ["images", "pixels"])
def test_a_picture_in_a_file_is_the_one_in_the_data_set(name: str, tmp_path: Path) -> None:
    task = make(name, **({"permuted": True} if name == "pixels" else {}))
    assert isinstance(task, Reading)
    data = task.load(task.spec(None), fold=2)
    split = split_in_folds(load_digits().target, 2)
    given = [str(tmp_path / f"{place}.pgm") for place in split.test[:5]]
    for path, place in zip(given, split.test, strict=False):
        Image.fromarray((load_digits().images[place] * 255 / 16).round().astype(np.uint8)).save(path)
    read, expected = task.read(given, legend_of(data, task.spec(None), "words")), data.test.batch(range(5))
    assert read.inputs.shape == expected.inputs.shape
    assert torch.allclose(read.inputs, expected.inputs, rtol=0, atol=0.5 / 255 + 1e-6)
    assert (read.items, read.tokens, read.real_tokens) == (expected.items, expected.tokens, expected.real_tokens)
