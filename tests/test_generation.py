"""`generation`: noise and pictures, the judge, what is scored and shown, and what needs no model at all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
import torch
from made_pictures import TEST_ITEMS, made_data_sets
from scripted import case
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES
from bench.batch import Batch
from bench.codec import from_json, to_json
from bench.errors import ModelError, UsageError
from bench.observations import PICTURE, Epoch, Fit
from bench.options import fill
from bench.records import FitSettings, Outcome
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks import TASKS, Data, Showing, generation, judge
from bench.tasks.frechet import frechet_distance
from bench.tasks.generation import LEAST_SAMPLES, Generation, Look, Options
from bench.tasks.images import Images
from bench.tasks.images import Options as ImagesOptions
from bench.workloads import Subject
from bench.workloads.fit import FitRun, evaluate, fit


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for this file, and a judge that is trained for a tenth of its time."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(platformdirs, "user_cache_path", lambda name: folder / name)
        patched.setattr(judge, "STEPS", 120)
        patched.setattr(generation, "_JUDGES", {})
        yield


def make(**given: Any) -> Generation:
    return Generation(Options(**given))


def load(**given: Any) -> Data:
    task = make(**given)
    return task.load(task.spec(None))


def whole(examples: Any) -> Batch:
    batch: Batch = examples.batch(range(len(examples)))
    return batch


class Repeats(nn.Module):
    """Says one picture of everything, or in turn what it was given."""

    def __init__(self, pictures: Tensor) -> None:
        super().__init__()
        self.register_buffer("pictures", pictures)
        self.made = 0

    def forward(self, inputs: Tensor) -> Tensor:
        places = (torch.arange(len(inputs)) + self.made) % len(self.pictures)
        self.made += len(inputs)
        return self.pictures[places]

    def generator_loss(self, noise: Tensor) -> Tensor:
        return noise[:, 0]


def scored(model: nn.Module, data: Data, batch_size: int = 256) -> dict[str, float]:
    task = make()
    _, predicted, expected = evaluate(subject_of(model), data.test, batch_size)
    return dict(task.score(predicted, expected).metrics)


def subject_of(model: nn.Module, name: str = "gan", **settings: Any) -> Subject:
    task = make()
    return Subject(
        case=case(name, workload="fit", **settings),
        task=task,
        spec=task.spec(None),
        architecture=ARCHITECTURES.get(name),
        model=model,
        device=torch.device("cpu"),
        batches=(),
    )


# ── sizes and splits ───────────────────────────────────────────────────────────────────────────────────────────────


def test_noise_comes_in_and_a_picture_goes_out() -> None:
    for dataset, side in (("digits", 8), ("mnist-5k", 28), ("mnist", 28)):
        task = make(dataset=dataset, noise_dim=7)
        assert task.spec(None) == Spec(
            inputs=InputKind.NOISE, outputs=OutputKind.IMAGE, input_size=7, image_shape=(1, side, side)
        )
    kind = TASKS.get("generation")
    assert kind.make is Generation
    assert isinstance(make(), Showing)
    assert fill(kind.options, {"dataset": "cats", "noise_dim": 0})[1] == [
        "'dataset' is 'cats'; expected one of: digits, mnist-5k, mnist",
        "'noise_dim' is 0; expected at least 1",
    ]
    with pytest.raises(UsageError, match="its items have no length"):
        make().spec(64)
    with pytest.raises(UsageError, match="found fold 1, expected none"):
        make().load(make().spec(None), fold=1)


def test_made_batches_are_seeded_and_full_of_values() -> None:
    task = make(noise_dim=5)
    one, again, other = (task.random_batch(task.spec(None), 8, seed) for seed in (1, 1, 2))
    assert (one.inputs.shape, one.targets.shape, one.items) == ((8, 5), (8, 1, 8, 8), 8)
    assert torch.equal(one.inputs, again.inputs)
    assert torch.equal(one.targets, again.targets)
    assert not torch.equal(one.inputs, other.inputs)
    assert 0 <= one.targets.min() < 0.1 < 0.9 < one.targets.max() <= 1


def test_pictures_are_those_of_one_split_of_images_and_come_again_with_other_noise() -> None:
    real = Images(ImagesOptions())
    expected, data = real.load(real.spec(None)), load()
    for name in ("train", "validation", "test"):
        pictures, found = whole(getattr(expected, name)).inputs, whole(getattr(data, name))
        assert len(found.targets) == (len(pictures) if name == "train" else LEAST_SAMPLES)
        assert torch.equal(found.targets, pictures[torch.arange(len(found.targets)) % len(pictures)])
    noise = whole(data.test).inputs
    assert len(noise.unique(dim=0)) == LEAST_SAMPLES
    assert not torch.equal(noise, whole(data.validation).inputs)
    assert abs(noise.mean().item()) < 0.02
    assert noise.std().item() == pytest.approx(1, abs=0.02)


def test_held_out_noise_is_that_of_its_item_and_training_noise_is_always_new() -> None:
    data, again = load(), load()
    assert data.fingerprint == again.fingerprint != load(noise_dim=3).fingerprint
    together = whole(data.test).inputs
    assert torch.equal(together, whole(again.test).inputs)
    assert torch.equal(data.test.batch([1999, 3]).inputs, together[[1999, 3]])
    torch.manual_seed(4)
    first, second = (data.train.batch([0, 1]).inputs for _ in range(2))
    assert not torch.equal(first, second)
    torch.manual_seed(4)
    assert torch.equal(data.train.batch([0, 1]).inputs, first)


@pytest.mark.slow
def test_the_published_test_split_of_mnist_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    monkeypatch.setattr(judge, "STEPS", 2)
    found = made_data_sets(tmp_path)
    monkeypatch.setattr("bench.tasks.images.DATA_SETS", found)
    real = Images(ImagesOptions(dataset="mnist"))
    data = load(dataset="mnist", noise_dim=3)
    batch = whole(data.test)
    assert torch.equal(batch.targets[:TEST_ITEMS], whole(real.load(real.spec(None)).test).inputs)
    assert batch.inputs.shape == (LEAST_SAMPLES, 3)
    assert set(data.floors) == {"class means repeated", "Gaussian of the pixels"}


# ── the judge ──────────────────────────────────────────────────────────────────────────────────────────────────────


def judged() -> judge.Judged:
    real = Images(ImagesOptions())
    return judge.judge_of(real.load(real.spec(None)), real.spec(None))


def test_the_judge_is_trained_once_and_knows_digits() -> None:
    first = judged()
    real = Images(ImagesOptions())
    test = whole(real.load(real.spec(None)).test)
    features, classes = first.judge.look(test.inputs)
    assert first.accuracy == (classes == test.targets.numpy()).mean() > 0.9
    assert features.shape == (len(test.inputs), judge.FEATURES)
    assert features.min() == 0
    # the features are what the class is told from
    readable = LogisticRegression(max_iter=2000).fit(features, classes)
    assert readable.score(features, classes) > 0.99


def test_another_training_gives_the_same_judge_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = judged()
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / name)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    with torch.inference_mode():
        again = judged()
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert (again.identity, again.accuracy) == (first.identity, first.accuracy)
    monkeypatch.setattr(judge, "STEPS", 3)
    assert judged().identity != first.identity


def test_a_look_does_not_depend_on_the_batch() -> None:
    pictures = whole(load().validation).targets[:600]
    eye = judged().judge
    features, classes = eye.look(pictures)
    single, one = eye.look(pictures[577:578])
    assert np.allclose(single[0], features[577], atol=1e-5)
    assert one[0] == classes[577]


# ── floors and scores ──────────────────────────────────────────────────────────────────────────────────────────────


def test_floors_are_what_models_that_do_the_same_score() -> None:
    data = load()
    real = Images(ImagesOptions())
    train = whole(real.load(real.spec(None)).train)
    means = torch.stack([train.inputs[train.targets == label].mean(dim=0) for label in range(10)])
    assert scored(Repeats(means), data)["frechet_distance"] == pytest.approx(data.floors["class means repeated"])
    assert scored(Repeats(means), data)["classes_covered"] == 10
    drawn = np.random.RandomState(9).multivariate_normal(
        train.inputs.flatten(1).double().mean(dim=0).numpy(),
        np.cov(train.inputs.flatten(1).numpy(), rowvar=False),
        2000,
    )
    gaussian = torch.from_numpy(drawn.clip(0, 1).astype(np.float32)).reshape(-1, 1, 8, 8)
    found = scored(Repeats(gaussian), data)["frechet_distance"]
    assert found == pytest.approx(data.floors["Gaussian of the pixels"], rel=0.1)  # other numbers, the same kind
    # and both are far from real pictures that no test picture is
    assert scored(Repeats(train.inputs), data)["frechet_distance"] < 0.3 * min(data.floors.values())


def test_the_distance_is_that_of_the_features_and_a_test_split_from_itself_is_0() -> None:
    data, task = load(), make()
    model = Repeats(whole(data.validation).targets[:180])
    _, predicted, expected = evaluate(subject_of(model), data.test, 500)
    features = [np.stack([look.features for look in looks]) for looks in (predicted, expected)]
    score = task.score(predicted, expected)
    assert list(score.metrics) == ["frechet_distance", "classes_covered"]
    assert score.metrics["frechet_distance"] == frechet_distance(*features) > 0
    assert score.kept == ()
    assert task.score(expected, expected).metrics["frechet_distance"] == pytest.approx(0, abs=1e-9)


def look(label: int, **more: Any) -> Look:
    features = np.eye(10, dtype=np.float32)[label]
    return Look(features=features, label=label, pixels=np.zeros((8, 8), dtype=np.uint8), **more)


def test_a_class_is_covered_by_three_pictures_in_a_hundred() -> None:
    looks = [look(label) for label in [0] * 91 + [1] * 3 + [2] * 4 + [9] * 2]
    assert make().score(looks, looks).metrics["classes_covered"] == 3


def test_the_likelihoods_means_are_told_where_there_is_one() -> None:
    looks = [look(label, likelihood=(80.0 + label, 20.0 + 2 * label)) for label in (0, 4)]
    metrics = make().score(looks, [look(0), look(4)]).metrics
    assert (metrics["reconstruction"], metrics["divergence"], metrics["negative_elbo"]) == (82, 24, 106)
    assert [metric.name for metric in make().metrics] == list(metrics)


@pytest.mark.parametrize("name", ["vae", "gan"])
def test_evaluation_is_the_same_each_time_and_whatever_the_batch(name: str) -> None:
    data, architecture = load(), ARCHITECTURES.get(name)
    torch.manual_seed(0)
    subject = subject_of(architecture.build(make().spec(None), architecture.hyperparameters()), name)
    few, again, many = (evaluate(subject, data.test, size) for size in (64, 64, 1000))
    assert few[0] == again[0] == pytest.approx(many[0], rel=1e-6)
    for one, other in zip(few[1], again[1], strict=True):
        assert np.array_equal(one.features, other.features)
    assert np.allclose([one.features for one in few[1]], [one.features for one in many[1]], atol=1e-4)
    one, other = (make().score(predicted, expected).metrics for _, predicted, expected in (few, many))
    assert one == pytest.approx(other, rel=1e-4)
    if name == "vae":
        assert few[0] == pytest.approx(one["negative_elbo"], rel=1e-9)
        assert one["negative_elbo"] == pytest.approx(one["reconstruction"] + one["divergence"])
    else:
        assert "negative_elbo" not in one
        loss = subject.model.generator_loss(whole(data.test).inputs).mean().item()
        assert few[0] == pytest.approx(loss, rel=1e-5)


def test_what_is_no_number_is_a_finding_and_a_black_picture() -> None:
    data = load()
    model = Repeats(torch.full((1, 1, 8, 8), math.nan))
    batch = data.test.batch(range(4))
    found = make().evaluate(model, batch, make().spec(None))
    assert math.isnan(make().score(found.predicted, found.expected).metrics["frechet_distance"])
    assert found.predicted[0].pixels.max() == 0


def test_a_model_without_a_loss_of_its_own_is_one_sentence() -> None:
    task, batch = make(), load().test.batch(range(4))
    with pytest.raises(ModelError, match="its own training phases, as 'vae' and 'gan' do"):
        task.loss(batch.targets, batch)
    silent = nn.Sequential(nn.Linear(20, 64), nn.Unflatten(1, (1, 8, 8)))
    with pytest.raises(ModelError, match="Sequential has neither negative_elbo nor generator_loss"):
        task.evaluate(silent, batch, task.spec(None))


# ── a whole fit ────────────────────────────────────────────────────────────────────────────────────────────────────


def fitted(name: str, epochs: int, told: list[Epoch | str], **more: Any) -> Fit:
    settings = FitSettings(epochs=epochs, batch_size=32)
    architecture = ARCHITECTURES.get(name)

    def build() -> Subject:
        torch.manual_seed(0)
        return subject_of(architecture.build(make().spec(None), architecture.hyperparameters()), name, fit=settings)

    return fit(FitRun(build=build, data=load(), settings=settings, seed=0, fold=None, tell=told.append, **more))


@pytest.mark.parametrize("name", ["vae", "gan"])
def test_a_fit_keeps_no_pictures_but_shows_some(name: str) -> None:
    told: list[Epoch | str] = []
    result = fitted(name, 2, told, checkpoint=None)
    assert result.outcome is Outcome.OK
    assert result.predictions == ()
    assert result.floors == load().floors
    epochs = [news for news in told if isinstance(news, Epoch)]
    for epoch in epochs:
        assert list(epoch.losses) == ([] if name == "vae" else ["discriminator", "generator"])
    # untrained it is 64 ln 2, with nothing known of a pixel
    assert epochs[-1].train_loss == epochs[-1].losses["generator"] if name == "gan" else 20 < epochs[-1].train_loss < 44
    if name == "vae":
        assert result.metrics["test_loss"] == pytest.approx(result.metrics["negative_elbo"])
    made, real = result.exhibits
    assert made.picture.startswith(PICTURE)
    assert real.picture.startswith(PICTURE)
    assert made.picture != real.picture
    assert max(len(made.picture), len(real.picture)) < 8_000
    assert "% of the real test pictures" in made.says
    assert from_json(Fit, to_json(result)) == result


@pytest.mark.slow
def test_a_fit_that_was_interrupted_goes_on_with_the_noise_it_would_have_had(tmp_path: Path) -> None:
    whole_fit: list[Epoch | str] = []
    expected = fitted("gan", 2, whole_fit, checkpoint=None)

    class StoppedError(Exception):
        pass

    told: list[Epoch | str] = []

    class Stops(list[Epoch | str]):
        def append(self, news: Epoch | str) -> None:
            told.append(news)
            raise StoppedError

    checkpoint = tmp_path / "fit.pt"
    with pytest.raises(StoppedError):
        fitted("gan", 2, Stops(), checkpoint=checkpoint)
    torch.rand(5)  # what others draw meanwhile does not matter
    found = fitted("gan", 2, told, checkpoint=checkpoint, known_epochs=1)
    assert [news.losses for news in told if isinstance(news, Epoch)] == [
        news.losses for news in whole_fit if isinstance(news, Epoch)
    ]
    assert found.metrics == expected.metrics


@pytest.mark.slow
def test_a_gan_gets_below_both_floors_and_makes_every_digit() -> None:
    result = fitted("gan", 60, [], checkpoint=None)
    assert result.metrics["frechet_distance"] < min(result.floors.values())
    assert result.metrics["classes_covered"] >= 8
