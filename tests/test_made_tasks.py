"""`adding` and `copying`: what is asked, what the answer is, what a guess scores, and answers of the models at each step."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import ARCHITECTURES, Streaming
from bench.batch import Batch, asked, forward
from bench.errors import UsageError
from bench.options import fill
from bench.spec import InputKind, OutputKind, Spec
from bench.tasks import TASKS, Task

LENGTH = 50
SPLITS = ("train", "validation", "test")
EACH_STEP = [
    ("rnn", {}),
    ("lstm", {"num_layers": 2}),
    ("lstm", {"bidirectional": True}),
    ("lstm", {"forget_gate": False, "bidirectional": True}),
    ("gru", {}),
    ("goru", {"num_layers": 2}),
    ("grid-lstm", {}),
    ("transformer", {}),
]
LAST_WORD = [("transformer", {}), ("transformer", {"pooling": "cls"})]
FORWARD_ONLY = [
    (name, options) for name, options in EACH_STEP if name != "transformer" and "bidirectional" not in options
]


def make(name: str, **given: Any) -> Task:
    kind = TASKS.get(name)
    options, problems = fill(kind.options, given)
    assert not problems
    return kind.make(options)


def whole(examples: Any) -> Batch:
    batch: Batch = examples.batch(range(len(examples)))
    return batch


def build(name: str, spec: Spec, options: dict[str, Any]) -> nn.Module:
    architecture = ARCHITECTURES.get(name)
    hyperparameters, problems = fill(architecture.hyperparameters, options)
    assert not problems
    torch.manual_seed(0)
    return architecture.build(spec, hyperparameters).eval()


# ── adding ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("length", [2, 3, 50])
def test_the_sum_is_that_of_the_marked_numbers_one_in_each_half(length: int) -> None:
    task = make("adding", train_items=500)
    data = task.load(task.spec(length))
    for split in SPLITS:
        batch = whole(getattr(data, split))
        for row, value in zip(batch.inputs.tolist(), asked(batch).tolist(), strict=True):
            marked = [place for place, (_, mark) in enumerate(row) if mark == 1]
            assert all(mark in (0, 1) for _, mark in row)
            assert len(marked) == 2
            assert marked[0] < length // 2 <= marked[1]
            assert value == pytest.approx([row[marked[0]][0] + row[marked[1]][0]])
    assert 0 <= float(batch.inputs.min()) < float(batch.inputs.max()) <= 1


def test_a_guess_of_1_has_the_error_that_is_called_chance() -> None:
    task = make("adding")
    truths = asked(whole(task.load(task.spec(LENGTH)).train))[:, 0].tolist()
    score = task.score([1.0] * len(truths), truths)
    assert task.chance == pytest.approx(1 / 6)
    assert score.metrics["mse"] == pytest.approx(task.chance, rel=0.03)
    assert score.metrics["mae"] == pytest.approx(1 / 3, rel=0.03)
    assert task.score(truths, truths).metrics == {"mse": 0.0, "mae": 0.0}


class Fixed(nn.Module):
    """Answers what it was given."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.answer


def test_errors_of_adding_are_those_of_its_items() -> None:
    task = make("adding")
    spec = task.spec(4)
    batch = task.random_batch(spec, 3, seed=0)
    off = asked(batch) + torch.tensor([[0.1], [-0.2], [0.3]])
    seen = task.evaluate(Fixed(off), batch, spec)
    assert seen.loss_sum == pytest.approx(0.14, rel=1e-4)
    assert float(task.loss(off, batch)) == pytest.approx(0.14 / 3, rel=1e-4)
    assert task.score(seen.predicted, seen.expected).metrics["mae"] == pytest.approx(0.2, rel=1e-4)


# ── copying ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("length", [21, 22, 50])
def test_ten_symbols_come_wait_and_come_again(length: int) -> None:
    task = make("copying", train_items=300)
    data = task.load(task.spec(length))
    for split in SPLITS:
        batch = whole(getattr(data, split))
        for row, said in zip(batch.inputs.tolist(), asked(batch).tolist(), strict=True):
            symbols, rest = row[:10], row[10:]
            assert all(1 <= symbol <= 8 for symbol in symbols)
            assert rest == [9] * (length - 21) + [10] + [9] * 10
            assert said == [8] * (length - 10) + [symbol - 1 for symbol in symbols]


def test_who_remembers_nothing_has_the_memoryless_loss() -> None:
    """10 ln 8 / (T + 20): .0945 at T = 200."""
    task = make("copying")
    spec = task.spec(220)
    batch = task.random_batch(spec, 8, seed=0)
    logits = torch.full((8, 220, 9), -50.0)
    logits[:, :210, 8] = 50.0
    logits[:, 210:, :8] = 50.0
    assert float(task.loss(logits, batch)) == pytest.approx(10 * math.log(8) / 220, rel=1e-5)
    assert float(task.loss(logits, batch)) == pytest.approx(0.0945, abs=5e-5)
    seen = task.evaluate(Fixed(logits), batch, spec)
    assert seen.loss_sum == pytest.approx(8 * 10 * math.log(8) / 220, rel=1e-5)


def test_scores_of_copying_look_at_the_symbols_alone() -> None:
    task = make("copying")
    spec = task.spec(30)
    batch = task.random_batch(spec, 4, seed=0)
    said = asked(batch).clone()
    said[0, -1] = (said[0, -1] + 1) % 8
    said[1, :20] = 0  # nobody asks what is said while waiting
    seen = task.evaluate(Fixed(functional.one_hot(said, 9).float()), batch, spec)
    score = task.score(seen.predicted, seen.expected)
    assert score.metrics == {"accuracy": 39 / 40, "exact_match": 3 / 4}
    assert (score.correct, score.total) == (None, None)
    always_one = task.score([[0] * 10] * 20_000, asked(whole(task.load(spec).train))[:, -10:].tolist())
    assert always_one.metrics["accuracy"] == pytest.approx(task.chance, abs=0.003)


# ── both ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "length"), [("adding", 1), ("copying", 20)])
def test_what_they_cannot_do_is_said(name: str, length: int) -> None:
    with pytest.raises(UsageError, match=f"found sequence length {length}, expected at least {length + 1}"):
        make(name).spec(length)
    with pytest.raises(UsageError, match="found no sequence length"):
        make(name).spec(None)


FINGERPRINTS = {"adding": "5c822b657660", "copying": "1a73b60bb209"}


@pytest.mark.parametrize("name", ["adding", "copying"])
def test_what_was_measured_before_is_what_is_measured_now(name: str) -> None:
    task = make(name)
    assert task.load(task.spec(LENGTH)).fingerprint == FINGERPRINTS[name]
    assert task.load(task.spec(LENGTH + 1)).fingerprint != FINGERPRINTS[name]


# ── models that answer at each step ────────────────────────────────────────────────────────────────────────────────

STEPS = Spec(
    inputs=InputKind.TOKENS, outputs=OutputKind.STEP_CLASSES, sequence_length=LENGTH, vocabulary_size=11, classes=9
)


@pytest.mark.parametrize(("name", "options"), FORWARD_ONLY, ids=str)
def test_a_step_is_answered_as_a_classifier_of_all_up_to_there_would(name: str, options: dict[str, Any]) -> None:
    each, last = (
        build(name, replace(STEPS, outputs=kind), options) for kind in (OutputKind.STEP_CLASSES, OutputKind.CLASSES)
    )
    last.load_state_dict(each.state_dict())
    inputs = torch.randint(1, 11, (3, 12), generator=torch.Generator().manual_seed(0))
    steps = each(inputs)
    for place in (0, 4, 11):
        torch.testing.assert_close(steps[:, place], last(inputs[:, : place + 1]))
    torch.testing.assert_close(each(inputs, torch.tensor([12, 5, 1])), steps)  # padding stands to the right


@pytest.mark.parametrize("options", [{}, {"forget_gate": False}], ids=str)
def test_a_second_direction_starts_at_each_rows_own_end(options: dict[str, Any]) -> None:
    model = build("lstm", STEPS, {"bidirectional": True, **options})
    inputs = torch.randint(1, 11, (3, 12), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([12, 5, 1])
    together = model(inputs, lengths)
    assert together.shape == (3, 12, 9)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(together[row, :length], model(inputs[row : row + 1, :length])[0])


@pytest.mark.parametrize(("name", "options"), [*FORWARD_ONLY, *LAST_WORD], ids=str)
def test_streaming_answers_the_newest_step(name: str, options: dict[str, Any]) -> None:
    model = build(name, STEPS, options)
    assert isinstance(model, Streaming)
    inputs = torch.randint(1, 11, (3, 12), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        answer, _ = model.step(inputs[:, 11], model.init_state(inputs[:, :11]))
        torch.testing.assert_close(answer, model(inputs)[:, 11], atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "length", "most"), [("adding", 10, 0.02), ("copying", 22, 0.88)])
def test_a_gru_learns_both_where_they_are_short(name: str, length: int, most: float) -> None:
    """Far below what a guess has: 1/6, and 10 ln 8 / 22 = .945 nats."""
    task = make(name)
    spec = task.spec(length)
    model = build("gru", spec, {"hidden_dim": 64, "dropout": 0.0}).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(400):
        batch = task.random_batch(spec, 64, seed=1_000 + step)
        optimizer.zero_grad()
        task.loss(forward(model, batch, spec), batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    batch = task.random_batch(spec, 500, seed=5)
    with torch.inference_mode():
        assert task.evaluate(model.eval(), batch, spec).loss_sum / 500 < most
