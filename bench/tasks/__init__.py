"""What models are asked to do: data, loss, metrics, and the shape of inputs and outputs. One file per task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
        words: what input ids stand for, in their order; empty where inputs are no words of the task's own.
        target_words: what target ids stand for, in their order.
        floors: what simple rules score by the headline metric on the test split, by their names ("last value").
    """

    train: Examples
    validation: Examples
    test: Examples
    fingerprint: str
    classes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    target_words: tuple[str, ...] = ()
    floors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a model did on one batch: the loss summed over items, and predictions beside the truth, one entry an item."""

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
        "images": "bench.tasks.images",
        "pixels": "bench.tasks.pixels",
        "tabular": "bench.tasks.tabular",
        "first-token": "bench.tasks.probes",
        "parity": "bench.tasks.probes",
        "recall": "bench.tasks.probes",
        "forecast": "bench.tasks.forecast",
        "adding": "bench.tasks.adding",
        "copying": "bench.tasks.copying",
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
