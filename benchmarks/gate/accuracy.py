"""An accuracy that drops is found with five seeds, and seeds alone raise no alarm.

`python -m benchmarks.gate.accuracy [--comparisons N]` trains a small recurrent network on made texts of very different
lengths: five seeds against five others of the same model whose padding mask is broken, so that it reads the padding as well;
then N times (50) five seeds against five others of one and the same model. Every comparison has fits of its own.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from bench.architectures import ARCHITECTURES, architecture
from bench.compare import LEAST_SEEDS, compare
from bench.compare_times import Design
from bench.jobs import Job, JobKind
from bench.observations import CaseResult, Fit
from bench.options import fill, option
from bench.probes import backends
from bench.records import Case, FitSettings, Gate, Measure, Variant
from bench.spec import InputKind, OutputKind, Spec
from bench.subjects import build_subject, parts
from bench.tasks import Data
from bench.verdicts import Comparison, Verdict
from bench.workloads.fit import FitRun, fit

BLIND = "padding-blind"
INNER = {"embedding_dim": 16, "hidden_dim": 16, "dropout": 0.0}
SETTINGS = FitSettings(epochs=6, batch_size=32, learning_rates=(0.01,))
LONGEST = 32
PER_CLASS = 700
WORDS = 40
DESIGN = Design(paired=False, confirms=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `padding-blind`."""

    blind: bool = option(False, "break the padding mask")


class Blind(nn.Module):
    """A model that is told that every row is full."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:  # noqa: ARG002 - that is what is broken
        """The inner model's logits, padding read as words."""
        logits: Tensor = self.inner(inputs, None)
        return logits


@architecture(
    BLIND,
    summary="a small recurrent network, with its padding mask or with a broken one",
    source="benchmarks/gate",
    inputs=[InputKind.TOKENS],
    outputs=[OutputKind.CLASSES],
    hyperparameters=Hyperparameters,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """An Elman network, blind or not."""
    inner = ARCHITECTURES.get("rnn")
    filled, _ = fill(inner.hyperparameters, INNER)
    model = inner.build(spec, filled)
    return Blind(model) if hyperparameters.blind else model


def main() -> None:
    """The drop, then the same code again and again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=50)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        # what is prepared of the made texts goes with them
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        write_texts(folder / "texts.csv")
        seeds = itertools.count()
        sound, broken = (result(folder, seeds, blind=blind) for blind in (False, True))
        drop = judged(sound, broken)
        tell("broken padding mask", drop)
        tell("mended again", judged(broken, sound))
        counts: Counter[Verdict] = Counter()
        for number in range(1, asked.comparisons + 1):
            alike = judged(result(folder, seeds), result(folder, seeds))
            counts[alike.verdict] += 1
            print(f"{number} of {asked.comparisons} with identical code: {_counted(counts)}", flush=True)


def _counted(counts: Counter[Verdict]) -> str:
    return ", ".join(f"{count} {verdict.value}" for verdict, count in sorted(counts.items()))


def tell(what: str, one: Comparison) -> None:
    """One comparison in a line."""
    interval = "" if one.low is None or one.high is None else f" ({one.low:+.3f} to {one.high:+.3f})"
    print(
        f"{what}: {one.base:.3f} -> {one.head:.3f}, {one.change:+.3f}{interval}: {one.verdict.value}, {one.words}",
        flush=True,
    )


def write_texts(path: Path) -> None:
    """Made texts of two classes and of 3 to 32 words: half of the words belong to a class, most of those to the text's own."""
    luck = random.Random(1)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for label in (0, 1):
            for _ in range(PER_CLASS):
                rows.writerow([" ".join(_words(label, luck)), "good" if label else "bad"])


def _words(label: int, luck: random.Random) -> Iterator[str]:
    for _ in range(luck.randint(3, LONGEST)):
        kind = luck.choices(("neutral", f"class{label}", f"class{1 - label}"), (0.5, 0.38, 0.12))[0]
        yield f"{kind}word{luck.randrange(WORDS)}"


def result(folder: Path, seeds: Iterator[int], *, blind: bool = False) -> CaseResult:
    """The case, trained with the next five seeds."""
    case = case_of(blind=blind)
    job = Job(kind=JobKind.FIT, case=case, measure=Measure(), folder=str(folder))
    backends.apply(case.precision, case.threads)
    task, spec, built, hyperparameters = parts(job)
    data = task.load(spec, built.encoding(hyperparameters))
    return CaseResult(case=case, fits=tuple(_fit(job, data, next(seeds)) for _ in range(LEAST_SEEDS)))


def case_of(*, blind: bool) -> Case:
    """The same case to those who compare it: what is broken is the code, not its definition."""
    return Case(
        id="made-texts/rnn/fit",
        definition_hash="made-texts",
        task="text-classification",
        task_options={"file": "texts.csv", "vocabulary_size": 3 * WORDS + 2},
        variant=Variant(architecture=BLIND, label="rnn", hyperparameters={"blind": blind}),
        workload="fit",
        sequence_length=LONGEST,
        batch_size=SETTINGS.batch_size,
        precision="fp32",
        device="cpu",
        threads=1,
        fit=SETTINGS,
    )


def _fit(job: Job, data: Data, seed: int) -> Fit:
    return fit(
        FitRun(
            build=lambda: build_subject(job, seed=seed, inputs=False),
            data=data,
            settings=SETTINGS,
            seed=seed,
            fold=None,
            checkpoint=None,
            tell=lambda _: None,
        )
    )


def judged(base: CaseResult, head: CaseResult) -> Comparison:
    """What `bench check` says of the accuracy."""
    (found,) = compare([base], [head], Gate(), DESIGN)
    return found


if __name__ == "__main__":
    main()
