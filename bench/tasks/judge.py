"""What made pictures look like to a small classifier of real ones, which is trained here: its features and its classes.

It learns the training split by one recipe, seeded, on one thread of the CPU whatever a case asks for. Other machines add in
another order, so that their judge may be another one: its weights are part of a fingerprint, and distances compare where
those are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures.layers import known
from bench.batch import asked
from bench.codec import digest
from bench.spec import Spec
from bench.tasks import Data, Examples
from bench.tasks.data.cache import Arrays, prepared

FEATURES = 64
STEPS = 1_200
ROWS = 128
HIGHEST_RATE = 4e-3
AT_ONCE = 500


class Judge(nn.Module):
    """(B, 1, H, W) pictures to (B, FEATURES) features, after the ReLU of the last hidden layer, and (B, classes) logits."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        channels, height, width = known(spec.image_shape, "image_shape")
        self.features = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding="same"),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding="same"),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (height // 4) * (width // 4), FEATURES),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(FEATURES, known(spec.classes, "classes"))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits."""
        features = self.features(pictures)
        return features, self.classifier(features)

    @torch.no_grad()
    def look(self, pictures: Tensor) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(B, FEATURES) features and (B,) classes of pictures, where these are; it moves there and stays."""
        self.to(pictures.device)
        seen = [self(pictures[start : start + AT_ONCE].float()) for start in range(0, len(pictures), AT_ONCE)]
        features, logits = (torch.cat(parts) for parts in zip(*seen, strict=True))
        return features.cpu().numpy(), logits.argmax(dim=1).cpu().numpy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A trained judge.

    Attributes:
        accuracy: on the test split that it never saw.
        identity: of its weights.
    """

    judge: Judge
    accuracy: float
    identity: str


def judge_of(data: Data, spec: Spec) -> Judged:
    """The judge for these labelled pictures, trained on their training split unless that was done here before.

    The first time takes about a minute for MNIST. Leaves torch's random state and number of threads as they were.
    """
    recipe = [data.fingerprint, FEATURES, STEPS, ROWS, HIGHEST_RATE]
    arrays = prepared(f"judge-{digest(recipe, 24)}", lambda: _trained(data, spec))
    weights = {name: array for name, array in arrays.items() if name != "accuracy"}
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        judge = Judge(spec).eval().requires_grad_(False)
        judge.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return Judged(judge=judge, accuracy=float(arrays["accuracy"]), identity=_identity(weights))


def _identity(weights: Mapping[str, NDArray[np.generic]]) -> str:
    return digest({name: array.tobytes().hex() for name, array in weights.items()})


@contextmanager
def _same_each_time() -> Iterator[None]:
    """One thread, and the same random numbers; gradients also where the caller wants none."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
            torch.default_generator.manual_seed(0)
            yield
    finally:
        torch.set_num_threads(threads)


def _trained(data: Data, spec: Spec) -> Arrays:
    with _same_each_time():
        judge = Judge(spec)
        optimizer = torch.optim.AdamW(judge.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, HIGHEST_RATE, total_steps=STEPS)
        for _, rows in zip(range(STEPS), _shuffled(len(data.train)), strict=False):
            batch = data.train.batch(rows)
            optimizer.zero_grad()
            functional.cross_entropy(judge(batch.inputs)[1], asked(batch)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        weights = {name: value.numpy() for name, value in judge.state_dict().items()}
        return {**weights, "accuracy": np.asarray(_accuracy(judge.eval(), data.test))}


def _shuffled(items: int) -> Iterator[list[int]]:
    """Places of the rows of one step after another, epoch after epoch."""
    while True:
        order = torch.randperm(items).tolist()
        yield from (order[start : start + ROWS] for start in range(0, items, ROWS))


def _accuracy(judge: Judge, examples: Examples) -> float:
    batch = examples.batch(range(len(examples)))
    return float((judge.look(batch.inputs)[1] == asked(batch).numpy()).mean())
