"""BERT with pretrained weights: what it learns of film reviews in one epoch, and its time beside that of `transformers`.

`python -m benchmarks.pretrained accuracy` trains MiniLM on 2,000 reviews and tests it on 1,000 (`--items`, `--tested`; 0 is
all of them), each cut to 128 word pieces; which ones, a fixed seed decides. `python -m benchmarks.pretrained speed` takes
both sides in turns, in one process, at the same sizes and without dropout. Both need the extra: pip install "bench[bert]".
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures.bert import BertClassifier
from bench.architectures.pretrained import sizes_of
from bench.batch import Batch
from bench.jobs import Job, JobKind
from bench.probes import backends
from bench.records import Case, FitSettings, Measure, Variant
from bench.subjects import build_subject, parts
from bench.tasks import Examples
from bench.tasks.data.checkpoints import open_checkpoint
from bench.workloads.fit import FitRun, fit
from benchmarks.sides import TURNS, Call, compare

WEIGHTS = "minilm"
# length, items, and whether half of the items are padded by half
SHAPES = ((64, 8, False), (128, 16, False), (128, 16, True), (256, 8, False))


def main() -> None:
    """One of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("accuracy", "speed"))
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--tested", type=int, default=1000)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    backends.apply("fp32", asked.threads)
    accuracy(asked) if asked.what == "accuracy" else speed(torch.device(asked.device))


# ── accuracy ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Some:
    """Some items of a split."""

    examples: Examples
    places: Sequence[int]

    def __len__(self) -> int:
        """Number of items."""
        return len(self.places)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The items at these places among them."""
        return self.examples.batch([self.places[index] for index in indices])


def some(examples: Examples, items: int) -> Examples:
    """So many items of a split, the same ones each time; all of them for 0."""
    if not items or items >= len(examples):
        return examples
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0))
    return Some(examples=examples, places=order[:items].tolist())


def accuracy(asked: argparse.Namespace) -> None:
    """Fine-tune through the same loop as `bench run` does, and print what came out."""
    settings = FitSettings(
        epochs=asked.epochs, batch_size=16, learning_rates=(asked.rate,), train_items=asked.items or None
    )
    case = Case(
        id=f"imdb/{WEIGHTS}/fit",
        definition_hash=WEIGHTS,
        task="imdb",
        variant=Variant(architecture="bert", label=WEIGHTS, hyperparameters={"weights": WEIGHTS}),
        workload="fit",
        sequence_length=asked.length,
        batch_size=settings.batch_size,
        precision="fp32",
        device=asked.device,
        threads=asked.threads,
        fit=settings,
    )
    job = Job(kind=JobKind.FIT, case=case, measure=Measure())
    task, spec, architecture, hyperparameters = parts(job)
    began = time.perf_counter()
    data = task.load(spec, architecture.encoding(hyperparameters))
    print(
        f"reviews in word pieces after {time.perf_counter() - began:.1f} s, fingerprint {data.fingerprint}", flush=True
    )
    data = replace(data, validation=some(data.validation, asked.tested // 4), test=some(data.test, asked.tested))
    found = fit(
        FitRun(
            build=lambda: build_subject(job, seed=asked.seed, inputs=False),
            data=data,
            settings=settings,
            seed=asked.seed,
            fold=None,
            checkpoint=None,
            tell=lambda news: print(news, flush=True),
        )
    )
    print(
        f"{WEIGHTS} on {settings.train_items or len(data.train):,} reviews of {asked.length} word pieces: "
        f"accuracy {found.metrics['accuracy']:.4f} ({found.correct} of {found.total}), loss {found.metrics['test_loss']:.3f}, "
        f"trained in {found.fit_s:.0f} s, all in {time.perf_counter() - began:.0f} s",
        flush=True,
    )


# ── speed ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def speed(device: torch.device) -> None:
    """Every shape forward, and forward with backward; above 1 they are slower."""
    import transformers

    checkpoint = open_checkpoint(WEIGHTS)
    torch.manual_seed(0)
    ours = BertClassifier(sizes_of(checkpoint), classes=2, dropout=0.0).to(device)
    config = transformers.BertConfig.from_dict(
        {**checkpoint.settings(), "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_labels": 2}
    )
    theirs = transformers.BertForSequenceClassification(config).to(device)
    print(
        f"{'transformers ' + transformers.__version__:30} {'ours':>11} {'theirs':>11}    ratio (middle half of {TURNS})"
    )
    for training in (False, True):
        for length, items, padded in SHAPES:
            ids = torch.randint(1000, 20_000, (items, length), device=device)
            sides = _sides(ours, theirs, ids, padded=padded, training=training)
            found = compare(*sides, device)
            what = f"{'training' if training else 'inference'} L{length} B{items}{' padded' * padded}"
            print(f"{what:30} {found.words()}", flush=True)


def _sides(ours: nn.Module, theirs: nn.Module, ids: Tensor, *, padded: bool, training: bool) -> tuple[Call, Call]:
    """One call of each side, over the same items."""
    items, length = ids.shape
    lengths_B = torch.full((items,), length)
    lengths_B[::2] //= 2
    mask_BL = (torch.arange(length) < lengths_B[:, None]).long().to(ids.device) if padded else None
    labels_B = torch.arange(items, device=ids.device) % 2

    def our_logits() -> Tensor:
        logits: Tensor = ours(ids, lengths_B if padded else None)
        return logits

    def their_logits() -> Tensor:
        logits: Tensor = theirs(input_ids=ids, attention_mask=mask_BL).logits
        return logits

    def step(model: nn.Module, logits: Callable[[], Tensor]) -> Call:
        model.train(training)

        def train() -> object:
            model.zero_grad(set_to_none=True)
            return functional.cross_entropy(logits(), labels_B).backward()  # type: ignore[no-untyped-call]

        return train if training else torch.inference_mode()(logits)

    return step(ours, our_logits), step(theirs, their_logits)


if __name__ == "__main__":
    main()
