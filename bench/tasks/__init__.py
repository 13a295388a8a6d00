"""What models are asked to do: data, loss, metrics, and the shape of inputs and outputs. One file per task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from bench.observations import Exhibit
from bench.quantity import Metric
from bench.registry import Registry
from bench.spec import LengthAxis, Spec

if TYPE_CHECKING:  # `bench data` needs the package below this one, but not torch
    from torch import Tensor, nn

    from bench.batch import Batch


class Examples(Protocol):
    """One split of a data set."""

    def __len__(self) -> int:
        """Number of items."""

    def batch(self, indices: Sequence[int]) -> Batch:
        """The items at these places as one batch on the CPU, padded to the longest of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The three splits, and a fingerprint of their contents (and of how they were split and encoded).

    Attributes:
        classes: names of classes, in the order of their numbers.
        words: what input ids stand for, an entry an id from 0 on, empty for ids of no word (padding, the unknown word); none
            where inputs are no words.
        target_words: what target ids stand for, in their order.
        scales: mean and standard deviation by which the values of an item were standardised, in their order; none where they
            come as they are.
        floors: what simple rules score by the headline metric on the test split, by their names ("last value").
    """

    train: Examples
    validation: Examples
    test: Examples
    fingerprint: str
    classes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    target_words: tuple[str, ...] = ()
    scales: tuple[tuple[float, float], ...] = ()
    floors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a model did on one batch: the loss summed over items, and predictions beside the truth, one entry an item.

    A loss of steps may be summed over real ones; `items` is then their number.
    """

    loss_sum: float
    items: int
    predicted: list[Any]
    expected: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The task's metrics over a split; `correct` of `total` for the test-sampling interval, where one counts.

    Attributes:
        metrics: the headline first, unless it is `accuracy`.
        kept: predictions that are worth storing; None where all are, as they come.
    """

    metrics: Mapping[str, float]
    correct: int | None = None
    total: int | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    kept: tuple[Any, ...] | None = None


class Task(Protocol):
    """A task with its options filled in; epochs of a fit are chosen by its headline metric on the validation split."""

    @property
    def name(self) -> str:
        """The registered name."""

    @property
    def length_axis(self) -> LengthAxis:
        """Whether suites may sweep its sequence length."""

    @property
    def headline(self) -> str:
        """Name of the metric that stands for the task in tables."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What `score` returns."""

    @property
    def chance(self) -> float | None:
        """The headline metric of a predictor that knows nothing; None where it has no closed form."""

    @property
    def folds(self) -> int:
        """Number of stratified folds it is cross-validated with; 0 for one fixed split."""

    def spec(self, sequence_length: int | None) -> Spec:
        """Kinds and sizes at a length (None where the axis is not free); needs no data.

        Sizes that only the user's own file can tell (its number of classes) are read from that file.
        """

    def random_batch(self, spec: Spec, batch_size: int, seed: int) -> Batch:
        """A full batch of made items on the CPU, every row `spec.sequence_length` long; seeded, never zeros."""

    def training_lengths(self, spec: Spec) -> Sequence[int] | None:
        """Lengths of the training items, cut to `spec.sequence_length`; None where items have no length.

        Raises:
            DataError: the data are not here and no provider could bring them.
        """

    def load(self, spec: Spec, encoding: str = "words", fold: int | None = None) -> Data:
        """Real data, split and encoded; texts are cut to `spec.sequence_length`. Never depends on a fit's seed.

        Raises:
            DataError: it is not here and no provider could bring it.
        """

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean loss per item, a scalar with gradient."""

    def evaluate(self, model: nn.Module, batch: Batch, spec: Spec) -> Evaluation:
        """One evaluated batch; the caller has set `eval()` and inference mode."""

    def score(self, predicted: Sequence[Any], expected: Sequence[Any]) -> Score:
        """The task's metrics from all predictions of a split."""


@runtime_checkable
class Showing(Protocol):
    """A task whose fits have something for people to look at, beside a confusion matrix."""

    def exhibits(self, data: Data, predicted: Sequence[Any], expected: Sequence[Any]) -> tuple[Exhibit, ...]:
        """Examples, pictures or lines from the test split; `predicted` and `expected` as in `score`, in its order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """What goes in and comes out of a trained model stands for: all that is needed to ask it something without its data.

    Attributes:
        encoding: how texts become ids, as `Task.load` takes it.
        classes, words, target_words, scales: as `Data` has them.
    """

    spec: Spec
    encoding: str = "words"
    classes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    target_words: tuple[str, ...] = ()
    scales: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        spec = self.spec
        if self.classes and spec.classes is not None and len(self.classes) != spec.classes:
            raise ValueError(f"found {len(self.classes)} names of classes, expected {spec.classes}")
        if self.encoding == "words" and spec.vocabulary_size is not None and len(self.words) > spec.vocabulary_size:
            raise ValueError(f"found {len(self.words)} words, expected at most {spec.vocabulary_size}")


def legend_of(data: Data, spec: Spec, encoding: str) -> Legend:
    """What stands in data that were loaded with a spec in an encoding."""
    return Legend(
        spec=spec,
        encoding=encoding,
        classes=data.classes,
        words=data.words,
        target_words=data.target_words,
        scales=data.scales,
    )


class Form(StrEnum):
    """What a person gives to have it judged."""

    TEXT = "a text"
    PICTURE = "a picture"
    NUMBERS = "numbers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model says to one input.

    Attributes:
        said: a class, a written text, a tag for each word, or values.
        probabilities: by class, in the order of classes; empty where the answer is no class.
    """

    said: str | tuple[str, ...] | tuple[float, ...]
    probabilities: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Reading(Protocol):
    """A task whose trained models answer to what a person gives them; needs nothing of its data, only the legend."""

    @property
    def form(self) -> Form:
        """What is given: texts, file names of pictures, or numbers with commas between them."""

    def read(self, given: Sequence[str], legend: Legend) -> Batch:
        """Inputs as a batch on the CPU without targets, prepared as in training.

        Raises:
            UsageError: one of them is not what is expected; the sentence shows it.
            ModelError, DataError: the pretrained weights whose word pieces are needed are not here, or others.
        """

    def answers(self, model: nn.Module, batch: Batch, legend: Legend) -> list[Answer]:
        """One answer an input, in their order; the caller has set `eval()` and inference mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKind:
    """A registered task: `make(options)` gives the task; `options` is a dataclass made with `bench.options.option`.

    Attributes:
        asked_paths: names of options that are file names, which a suite writes relative to its own folder.
    """

    name: str
    summary: str
    source: str
    options: type[Any]
    make: Callable[[Any], Task]
    asked_paths: tuple[str, ...] = field(default=())


TASKS: Registry[TaskKind] = Registry(
    "task",
    {
        "imdb": "bench.tasks.imdb",
        "rotten-tomatoes": "bench.tasks.rotten_tomatoes",
        "text-classification": "bench.tasks.text_classification",
        "pos": "bench.tasks.pos",
        "images": "bench.tasks.images",
        "pixels": "bench.tasks.pixels",
        "generation": "bench.tasks.generation",
        "tabular": "bench.tasks.tabular",
        "first-token": "bench.tasks.probes",
        "parity": "bench.tasks.probes",
        "recall": "bench.tasks.probes",
        "forecast": "bench.tasks.forecast",
        "adding": "bench.tasks.adding",
        "copying": "bench.tasks.copying",
        "addition": "bench.tasks.addition",
        "translation": "bench.tasks.translation",
        "captions": "bench.tasks.captions",
    },
    group="bench.tasks",
)


def task(
    name: str, *, summary: str, source: str, options: type[Any], asked_paths: tuple[str, ...] = ()
) -> Callable[[Callable[[Any], Task]], Callable[[Any], Task]]:
    """Register the decorated `make(options) -> Task` (or the task's own class) under a name."""

    def register(make: Callable[[Any], Task]) -> Callable[[Any], Task]:
        kind = TaskKind(name=name, summary=summary, source=source, options=options, make=make, asked_paths=asked_paths)
        TASKS.register(name, kind)
        return make

    return register
