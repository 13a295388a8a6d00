"""`pixels`: the pictures of `images` a pixel at a time, and that a fixed length goes all the way from a suite to the report."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

from bench.architectures import ARCHITECTURES
from bench.batch import Batch, forward
from bench.cli.fetching import bring_data
from bench.errors import SuiteError, UsageError
from bench.options import fill
from bench.plan import resolve
from bench.records import Outcome, Plan
from bench.spec import InputKind, LengthAxis, OutputKind, Spec
from bench.store import open_run, run_folders
from bench.suite import load
from bench.tasks import TASKS, Data
from bench.tasks.images import Images
from bench.tasks.images import Options as ImagesOptions
from bench.tasks.pixels import Options, Pixels, pixel_order
from bench.tasks.splits import FOLDS


def make(**given: Any) -> Pixels:
    return Pixels(Options(**given))


def whole(examples: Any) -> Batch:
    batch: Batch = examples.batch(range(len(examples)))
    return batch


def data(fold: int | None = None, **given: Any) -> Data:
    task = make(**given)
    return task.load(task.spec(None), fold=fold)


def test_a_picture_is_a_sequence_of_single_pixels() -> None:
    assert make().spec(None) == Spec(
        inputs=InputKind.VECTORS, outputs=OutputKind.CLASSES, sequence_length=64, input_size=1, classes=10
    )
    assert [make(dataset=name).spec(None).sequence_length for name in ("mnist-5k", "mnist", "fashion-mnist")] == [
        784
    ] * 3
    assert (make().length_axis, make().folds, make(dataset="mnist").folds) == (LengthAxis.FIXED, FOLDS, 0)
    assert make(dataset="mnist").chance == Images(ImagesOptions(dataset="mnist")).chance == 0.1135
    assert TASKS.get("pixels").make is Pixels


def test_rows_are_read_from_the_top_left() -> None:
    pictures = Images(ImagesOptions())
    for fold in (0, 3):
        expected, found = pictures.load(pictures.spec(None), fold=fold), data(fold)
        for name in ("train", "validation", "test"):
            picture, sequence = whole(getattr(expected, name)), whole(getattr(found, name))
            items = len(getattr(found, name))
            assert torch.equal(sequence.inputs, picture.inputs.reshape(items, 64, 1))
            assert picture.targets is not None
            assert sequence.targets is not None
            assert torch.equal(sequence.targets, picture.targets)
            assert (sequence.items, sequence.tokens, sequence.real_tokens) == (items, 64 * items, 64 * items)
            assert sequence.lengths is None
        assert found.classes == expected.classes
    first = load_digits().images[0] / 16
    rows = {
        tuple(row)
        for part in (found.train, found.validation, found.test)
        for row in whole(part).inputs[..., 0].tolist()
    }
    assert tuple(first.flatten().tolist()) in rows


def test_the_shuffled_order_is_one_for_all_pictures_and_seeds() -> None:
    order = pixel_order(64, permuted=True)
    assert order[:8].tolist() == ORDER
    assert sorted(order.tolist()) == list(range(64)) != order.tolist()
    assert pixel_order(64, permuted=False).tolist() == list(range(64))
    natural, shuffled = data(1), data(1, permuted=True)
    assert torch.equal(whole(shuffled.test).inputs, whole(natural.test).inputs[:, order])
    assert torch.equal(whole(shuffled.train).inputs, whole(natural.train).inputs[:, order])


# of `numpy.random.RandomState(0).permutation(64)`; stored results hang on it
ORDER = [45, 29, 43, 61, 34, 33, 31, 40]


def test_fingerprints_tell_folds_and_orders_apart() -> None:
    found = [data(0), data(1), data(0, permuted=True)]
    assert len({one.fingerprint for one in found}) == 3
    assert data(None).fingerprint == data(0).fingerprint == found[0].fingerprint
    pictures = Images(ImagesOptions())
    assert pictures.load(pictures.spec(None), fold=0).fingerprint != found[0].fingerprint


def test_lengths_are_not_for_suites_to_choose() -> None:
    with pytest.raises(UsageError, match=r"found sequence length 32, expected none; its items have 64 pixels each"):
        make().spec(32)
    assert make().training_lengths(make().spec(None)) is None
    with pytest.raises(UsageError, match="found fold 1, expected none"):
        make(dataset="mnist").load(make(dataset="mnist").spec(None), fold=1)


def test_made_batches_are_seeded_and_as_long_as_the_spec_says() -> None:
    task = make()
    spec = task.spec(None)
    first, again, other = (task.random_batch(spec, 128, seed) for seed in (1, 1, 2))
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.inputs, other.inputs)
    assert (first.inputs.shape, first.tokens, first.real_tokens) == ((128, 64, 1), 128 * 64, 128 * 64)
    assert bool((first.inputs.std(dim=1) > 0.1).all())
    assert first.targets is not None
    assert set(first.targets.tolist()) == set(range(10))


@pytest.mark.parametrize("name", ["nbow", "rnn", "lstm", "gru", "textcnn", "transformer"])
def test_readers_of_sequences_take_pixels(name: str) -> None:
    task, architecture = make(), ARCHITECTURES.get(name)
    spec = task.spec(None)
    settings, _ = fill(architecture.hyperparameters, {})
    assert architecture.supports(spec)
    model = architecture.build(spec, settings).eval()
    seen = task.evaluate(model, data().test.batch(range(5)), spec)
    assert (seen.items, len(seen.predicted)) == (5, 5)
    assert forward(model, task.random_batch(spec, 3, 0), spec).shape == (3, 10)


# ── a fixed length, from a suite to the report ──

SUITE = """
name = "made"
[[task]]
name = "pixels"
[[task]]
name = "pixels"
permuted = true
[[architecture]]
name = "gru"
embedding_dim = 4
hidden_dim = 8
[speed]
workloads = ["training", "step"]
batch_sizes = [4]
threads = [1]
[accuracy]
epochs = 1
folds = 1
train_items = 64
[measure]
min_rounds = 3
max_rounds = 3
trial = 0.05
warmup = 0.01
warmup_calls = 3
warmup_cap = 0.2
passes = ["split"]
timeout = "60s"
"""


def planned(folder: Path, text: str) -> Plan:
    (folder / "made.toml").write_text(text)
    return resolve(load(folder / "made.toml"), threads=1, device="cpu")


def test_a_suite_names_no_length(tmp_path: Path) -> None:
    plan = planned(tmp_path, SUITE)
    assert [case.id for case in plan.cases] == [
        f"{task}/gru/{rest}"
        for task in ("pixels", "pixels-permuted=true")
        for rest in ("training/B4-fp32-cpu-t1", "step/B4-fp32-cpu-t1", "fit")
    ]
    assert {case.sequence_length for case in plan.cases} == {None}
    assert len({case.definition_hash for case in plan.cases}) == 6
    assert plan.folds == {"pixels": 1, "pixels[permuted=true]": 1}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (
            "sequence_lengths = [64]",
            "'speed.sequence_lengths' is [64], but task 'pixels' has one fixed length; remove it",
        ),
        ('length_distributions = ["data"]', "task 'pixels' has one fixed length; remove it"),
    ],
)
def test_a_length_that_is_named_is_refused(tmp_path: Path, key: str, said: str) -> None:
    with pytest.raises(SuiteError) as caught:
        planned(tmp_path, SUITE.replace("batch_sizes = [4]", f"batch_sizes = [4]\n{key}"))
    assert said in str(caught.value)


def test_the_data_set_that_a_task_names_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SUITE.replace("permuted = true", 'dataset = "mnist"\npermuted = true')
    asked: list[str] = []
    monkeypatch.setattr("bench.cli.fetching.fetch", lambda source: asked.append(source.name))
    bring_data(planned(tmp_path, text))
    assert asked == ["digits", "mnist"]
    asked.clear()
    bring_data(planned(tmp_path, text[: text.index("[accuracy]")]))
    assert asked == [], "inputs of speed cases are made"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")
def test_a_run_measures_fits_and_reports_a_fixed_length(tmp_path: Path) -> None:
    (tmp_path / "made.toml").write_text(SUITE)
    done = bench(tmp_path, "run", "made.toml", "--filter", "permuted=true")
    assert done.returncode == 0, done.stderr
    folder = open_run(run_folders(tmp_path / "results")[0])
    assert [result.verdict[0] for result in folder.results()] == [Outcome.OK] * 3
    (page,) = (tmp_path / "reports").glob("*.html")
    assert "pixels[permuted=true]" in page.read_text()
    assert "Alpaydin" in page.read_text(), "where the data come from"
    rows = list(csv.DictReader(io.StringIO(bench(tmp_path, "report", "latest", "--format", "csv").stdout)))
    values = {(row["case"], row["metric"]): float(row["value"]) for row in rows if row["value"]}
    training, step, fit = (case.id for case in folder.run.plan.cases)
    per_item = values[training, "throughput_tokens_per_s"] / values[training, "throughput_items_per_s"]
    assert per_item == pytest.approx(64)
    assert values[training, "throughput_real_tokens_per_s"] == values[training, "throughput_tokens_per_s"]
    assert 0 < values[training, "gradient_ratio"] < 1
    assert 0 <= values[fit, "accuracy"] <= 1
    # a step answers after one pixel more, so it is far cheaper than all 64 of them
    assert values[step, "latency_s"] < values[training, "latency_s"]
    assert not any("contract_red" in row["flags"] for row in rows)


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bench", *arguments], capture_output=True, text=True, cwd=folder)
