"""`generation`: pictures of digits from noise, judged by how like real ones they are as a whole, not one by one.

Pixels are grey values from 0 to 1, not binarised: a Bernoulli decoder's loss on them is the usual figure (105.6 nats a
picture of MNIST for Kingma's model), though it is no likelihood of grey values. How far made pictures are from those of the
test split is said by the Fréchet distance in the features of a classifier of ours; see `bench.tasks.judge` and `frechet`.
There is one fixed split: the published one of MNIST, of the smaller sets the first fold of `images`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.architectures import Adversarial, Likelihood
from bench.batch import Batch, asked, forward
from bench.codec import digest
from bench.errors import ModelError
from bench.observations import Exhibit
from bench.options import option
from bench.quantity import METRICS, Unit, format_value
from bench.spec import InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import Data, Evaluation, Score, task
from bench.tasks.classification import refuse_fold, refuse_length
from bench.tasks.data.cache import prepared
from bench.tasks.data.sources import DIGITS, MNIST, MNIST_5K
from bench.tasks.frechet import frechet_distance, symmetric_root
from bench.tasks.images import DataSet, Images
from bench.tasks.images import Options as ImagesOptions
from bench.tasks.judge import Judge, Judged, judge_of
from bench.tasks.png import grey_png, mosaic

LEAST_SAMPLES = 2_000
COVERED = 0.03
SHOWN_SIDE = 8
FLOORS_VERSION = 1

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `generation`."""

    dataset: str = option(
        DIGITS.name,
        "Which pictures: digits (1,797 of 8 x 8); of 28 x 28 mnist-5k (5,000) and mnist (70,000).",
        choices=(DIGITS.name, MNIST_5K.name, MNIST.name),
    )
    noise_dim: int = option(20, "Numbers that a picture is made from, the same for every architecture.", at_least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is seen of a picture: its features and class by the judge, its pixels, and what its likelihood is made of.

    Attributes:
        features, label: (F,) float32, and one of the ten classes.
        pixels: (H, W), 0 to 255.
        likelihood: reconstruction and divergence in nats, of the real picture that a made one stands beside; none where the
            model knows none.
    """

    features: NDArray[np.float32]
    label: int
    pixels: NDArray[np.uint8]
    likelihood: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Noise and real pictures (N, C, H, W) that have nothing to do with each other.

    Attributes:
        noise: (M, D), a row an item, whatever the batch; pictures come again in turn where M is more than N. None draws
            noise from torch's random numbers for every batch: training sees none twice.
    """

    pictures: Tensor
    noise: Tensor | None
    noise_dim: int

    def __len__(self) -> int:
        """Number of items."""
        return len(self.pictures if self.noise is None else self.noise)

    def batch(self, indices: Sequence[int]) -> Batch:
        """Noise as inputs, pictures as targets."""
        places = torch.as_tensor(indices, dtype=torch.int64)
        noise = torch.randn(len(places), self.noise_dim) if self.noise is None else self.noise[places]
        return Batch(inputs=noise, targets=self.pictures[places % len(self.pictures)], items=len(places))


_JUDGES: dict[DataSet, Judged] = {}


@task(
    "generation",
    summary="noise to image: pictures of digits, judged by the features and classes of a classifier of real ones",
    source="Heusel et al. 2017, GANs Trained by a Two Time-Scale Update Rule (FID), with a classifier of our own",
    options=Options,
)
class Generation:
    """(D,) noise in, (1, H, W) pixels from 0 to 1 out; see the module."""

    name = "generation"
    length_axis = LengthAxis.NONE
    headline = "frechet_distance"
    chance = None
    folds = 0
    metrics = tuple(
        METRICS[name]
        for name in ("frechet_distance", "classes_covered", "negative_elbo", "reconstruction", "divergence")
    )

    def __init__(self, options: Options) -> None:
        self.noise_dim = options.noise_dim
        self.images = Images(ImagesOptions(dataset=options.dataset))

    def spec(self, sequence_length: int | None) -> Spec:
        """Noise in, a grey picture out; there is no length.

        Raises:
            UsageError: a length is asked for.
        """
        refuse_length(self.name, sequence_length)
        return Spec(
            inputs=InputKind.NOISE,
            outputs=OutputKind.IMAGE,
            input_size=self.noise_dim,
            image_shape=self.images.shape,
        )

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        """Normal noise, and pixels between 0 and 1, each value as likely as the others."""
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn((batch_size, spec.input_size or 1), generator=generator)
        pictures = torch.rand((batch_size, *self.images.shape), generator=generator)
        return Batch(inputs=noise, targets=pictures, items=batch_size)

    def training_lengths(self, spec: Spec) -> None:
        """There is no length."""

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:  # noqa: ARG002 - no text here
        """The pictures, and noise that is the same each time for what is held out: `LEAST_SAMPLES` items, or one a picture.

        Raises:
            DataError: they are not here and nobody could bring them, or they cannot be read.
            UsageError: a fold is asked for.
        """
        refuse_fold(self.name, fold)
        real = self.images.load(self.images.spec(None))
        judged = self._judged(real)
        parts: dict[str, Any] = {
            name: _pairs(getattr(real, name).batch(range(len(getattr(real, name)))), seed, self.noise_dim)
            for name, seed in (("train", None), ("validation", 1), ("test", 2))
        }
        fingerprint = digest([real.fingerprint, self.noise_dim, LEAST_SAMPLES, judged.identity])
        return Data(**parts, fingerprint=fingerprint, floors=_floors(real, parts["test"], judged))

    def _judged(self, real: Data | None = None) -> Judged:
        found = _JUDGES.get(self.images.data_set)
        if found is None:
            spec = self.images.spec(None)
            found = _JUDGES[self.images.data_set] = judge_of(real or self.images.load(spec), spec)
        return found

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:  # noqa: ARG002 - there is none
        """None: nothing says which picture ought to come of some noise.

        Raises:
            ModelError: always; an architecture for this task brings phases with losses of its own.
        """
        raise ModelError(
            "task 'generation': noise has no true picture, so the task has no loss; the architecture must bring its own "
            "training phases, as 'vae' and 'gan' do"
        )

    def evaluate(self, model: nn.Module, batch: Batch, spec: Spec) -> Evaluation:
        """Pictures made from the batch's noise beside its real ones; the loss is the negative ELBO, or the generator's own.

        Raises:
            ModelError: the model knows neither.
        """
        real, judge = asked(batch).float(), self._judged().judge
        made = forward(model, batch, spec).float()
        likelihoods: list[tuple[float, ...]] = [()] * batch.items
        if isinstance(model, Likelihood):
            parts_B2 = torch.stack(model.negative_elbo(real, batch.inputs), dim=1).double()
            likelihoods, loss_B = [tuple(row) for row in parts_B2.tolist()], parts_B2.sum(dim=1)
        elif isinstance(model, Adversarial):
            loss_B = model.generator_loss(batch.inputs).double()
        else:
            raise ModelError(f"task 'generation': {type(model).__name__} has neither negative_elbo nor generator_loss")
        predicted = [
            replace(look, likelihood=likelihood)
            for look, likelihood in zip(_looks(judge, made), likelihoods, strict=True)
        ]
        return Evaluation(
            loss_sum=loss_B.sum().item(), items=batch.items, predicted=predicted, expected=_looks(judge, real)
        )

    def score(self, predicted: Sequence[Look], expected: Sequence[Look]) -> Score:
        """Distance and coverage, and the means of what the likelihood is made of; no picture is kept."""
        counts = np.bincount([look.label for look in predicted], minlength=1)
        metrics = {
            "frechet_distance": frechet_distance(_features(predicted), _features(expected)),
            "classes_covered": float((counts >= COVERED * len(predicted)).sum()),
        }
        if predicted[0].likelihood:
            reconstruction, divergence = np.mean([look.likelihood for look in predicted], axis=0).tolist()
            metrics |= {
                "negative_elbo": reconstruction + divergence,
                "reconstruction": reconstruction,
                "divergence": divergence,
            }
        return Score(metrics=metrics, kept=())

    def exhibits(self, data: Data, predicted: Sequence[Look], expected: Sequence[Look]) -> tuple[Exhibit, ...]:  # noqa: ARG002
        """The first pictures that were made for the test split, and real ones to compare them with."""
        shown = SHOWN_SIDE * SHOWN_SIDE
        made, real = ([look.pixels for look in looks[:shown]] for looks in (predicted, expected))
        return (
            Exhibit(
                title="Made from noise",
                says=f"{len(made)} pictures, one for each of the first rows of noise of the test split; none was chosen. "
                f"Distances are over {len(predicted):,}, by a classifier that is right on "
                f"{format_value(self._judged().accuracy, Unit.SHARE)} of the real test pictures.",
                picture=grey_png(mosaic(made, SHOWN_SIDE)),
            ),
            Exhibit(
                title="Real ones",
                says="The first pictures of the test split.",
                picture=grey_png(mosaic(real[:SHOWN_SIDE], SHOWN_SIDE)),
            ),
        )


def _pairs(pictures: Batch, seed: int | None, noise_dim: int) -> Pairs:
    noise = None
    if seed is not None:
        shape = max(LEAST_SAMPLES, pictures.items), noise_dim
        # RandomState: its streams are frozen for ever, those of torch's and of numpy's newer generators are not
        noise = torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))
    return Pairs(pictures=pictures.inputs, noise=noise, noise_dim=noise_dim)


def _looks(judge: Judge, pictures: Tensor) -> list[Look]:
    features, labels = judge.look(pictures)
    # what no number is, is black here; features say it
    pixels = pictures[:, 0].nan_to_num().clamp(0, 1).mul(255).round().to(torch.uint8).cpu().numpy()
    return [
        Look(features=one, label=label, pixels=grey)
        for one, label, grey in zip(features, labels.tolist(), pixels, strict=True)
    ]


def _features(looks: Sequence[Look]) -> NDArray[np.float32]:
    return np.stack([look.features for look in looks])


# ── floors ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _floors(real: Data, test: Pairs, judged: Judged) -> Mapping[str, float]:
    """Distances from the test split of what needs no model: as many pictures of two simple kinds."""

    def measure() -> dict[str, Values]:
        train, (expected, _) = real.train.batch(range(len(real.train))), judged.judge.look(test.pictures)
        again = np.arange(len(test)) % len(expected)
        return {
            name: np.asarray(frechet_distance(judged.judge.look(pictures)[0], expected[again]))
            for name, pictures in (
                ("class means repeated", _class_means(train, len(test))),
                ("Gaussian of the pixels", _gaussian(train, len(test))),
            )
        }

    made_of = [real.fingerprint, judged.identity, len(test), FLOORS_VERSION]
    kept = prepared(f"floors-{digest(made_of, 24)}", measure)
    return {name: float(array) for name, array in kept.items()}


def _class_means(train: Batch, items: int) -> Tensor:
    """The mean picture of each class, in turn."""
    labels = asked(train)
    means = torch.stack([train.inputs[labels == label].mean(dim=0) for label in torch.unique(labels)])
    return means[torch.arange(items) % len(means)]


def _gaussian(train: Batch, items: int) -> Tensor:
    """Pictures whose pixels have the means and covariances of real ones, cut to 0..1."""
    pixels = train.inputs.flatten(1).double().numpy()
    root = symmetric_root(np.cov(pixels, rowvar=False))
    noise = np.random.RandomState(3).standard_normal((items, len(root)))
    drawn = (pixels.mean(axis=0) + noise @ root).clip(0, 1).astype(np.float32)
    return torch.from_numpy(drawn).reshape(items, *train.inputs.shape[1:])
