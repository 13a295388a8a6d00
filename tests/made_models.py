"""Made texts that tell their class, a suite over them, and a server that trains in this very process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripted import case, usual

from bench import worker
from bench.codec import digest
from bench.jobs import Job, JobKind
from bench.observations import Observation
from bench.records import FitSettings, Measure, Variant
from bench.saved import SavedModel
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks import Legend

GOOD, BAD = ("fine", "lovely", "great"), ("poor", "horrible", "dull")
SUITE = """
name = "made"
[[task]]
name = "text-classification"
file = "mine.csv"
[[architecture]]
name = "gru"
embedding_dim = 8
hidden_dim = 8
dropout = 0.0
[[architecture]]
name = "nbow"
label = "bag"
embedding_dim = 8
dropout = 0.0
[accuracy]
sequence_lengths = [12]
seeds = [3, 5]
epochs = 8
batch_size = 8
learning_rates = [0.02]
"""


def write_texts(folder: Path) -> Path:
    """Forty texts of each of two classes, each its own, of several lengths."""
    lines = ["text,label"]
    for number in range(40):
        for label, words in (("positive", GOOD), ("negative", BAD)):
            some = " ".join([*[words[number % 3]] * (1 + number % 2), *["film"] * (number % 5)])
            lines.append(f"a {some} n{number},{label}")
    (folder / "mine.csv").write_text("\n".join(lines) + "\n")
    (folder / "made.toml").write_text(SUITE)
    return folder / "made.toml"


@dataclass
class InProcess:
    """Trains here instead of in a child; `before` and `after` are called around each fit, with its place from 0 on."""

    before: Callable[[int, Job], None] = lambda place, job: None
    after: Callable[[int, Job], None] = lambda place, job: None
    fits: list[Job] = field(default_factory=list)

    def __call__(self) -> InProcess:
        return self

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, job: Job) -> Iterator[Observation | str]:
        if job.kind is not JobKind.FIT:
            yield from usual(job)
            return
        place = len(self.fits)
        self.fits.append(job)
        self.before(place, job)
        told: list[Any] = []
        fit = worker._fit(job, lambda document: told.append(document.get("document")))
        yield from (epoch for epoch in told if epoch is not None)
        self.after(place, job)
        yield fit


WORDS = ("", "", "good", "bad", "film", "a", "the", "very", "not", "so", "it")
SPEC = Spec(
    inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=16, vocabulary_size=len(WORDS), classes=2
)
LEGEND = Legend(spec=SPEC, classes=("negative", "positive"), words=WORDS)


def about(architecture: str, legend: Legend = LEGEND, **hyperparameters: Any) -> SavedModel:
    """What is said of a model of an architecture."""
    variant = Variant(architecture=architecture, label="made", hyperparameters=hyperparameters)
    key = digest([architecture, hyperparameters])
    settings = FitSettings(epochs=1, batch_size=1)
    made = case(
        variant=variant, fit=settings, workload="fit", definition_hash=key, sequence_length=legend.spec.sequence_length
    )
    return SavedModel.of(Job(kind=JobKind.FIT, case=made, measure=Measure(), seed=3), legend, "accuracy")
