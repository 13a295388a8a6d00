"""`addition`: sums that are right, pairs of numbers that stand in one split only, and what was written."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from writers import Writes

from bench.batch import Batch, asked
from bench.errors import ModelError, UsageError
from bench.options import fill
from bench.spec import END_ID, InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import TASKS, Data, Reading, Showing, legend_of
from bench.tasks.addition import TARGET_WORDS, WORDS, Addition
from bench.tasks.target_tokens import TokenPairs, examples, padded_targets, without_end
from bench.tasks.words import spelt


def make(**given: Any) -> Addition:
    options, problems = fill(TASKS.get("addition").options, given)
    assert not problems
    task = TASKS.get("addition").make(options)
    assert isinstance(task, Addition)
    return task


def whole(split: Any) -> Batch:
    batch: Batch = split.batch(range(len(split)))
    return batch


def sums(split: Any) -> list[tuple[int, int, int]]:
    """Both numbers and what is asked for, read back from ids."""
    batch = whole(split)
    assert batch.lengths is not None
    found = []
    for row, length, target in zip(batch.inputs.tolist(), batch.lengths.tolist(), asked(batch).tolist(), strict=True):
        assert not any(row[length:])
        one, other = "".join(WORDS[place] for place in row[:length]).split("+")
        found.append((int(one), int(other), int("".join(TARGET_WORDS[place] for place in without_end(target)))))
    return found


@pytest.mark.parametrize("digits", [2, 3, 9])
def test_every_sum_is_right_and_stands_in_one_split(digits: int) -> None:
    task = make(digits=digits, train_items=2_000)
    data = task.load(task.spec(None))
    splits = [sums(split) for split in (data.train, data.validation, data.test)]
    assert [len(split) for split in splits] == [2_000, 1_000, 2_000]
    for split in splits:
        assert all(one + other == total for one, other, total in split)
        assert max(one for one, *_ in split) < 10**digits
    alike = [{frozenset((one, other)) for one, other, _ in split} for split in splits]
    assert [len(split) for split in alike] == [2_000, 1_000, 2_000], "12+3 and 3+12 are one sum"
    assert not alike[0] & alike[1] | alike[0] & alike[2] | alike[1] & alike[2]


def test_there_are_no_more_sums_than_there_are() -> None:
    task = make(digits=2, train_items=100_000)
    assert len(task.load(task.spec(None)).train) == 100 * 101 // 2 - 3_000


def test_how_many_are_trained_on_changes_nothing_of_what_is_held_out() -> None:
    few, many = (make(train_items=items).load(make().spec(None)) for items in (10, 3_000))
    assert sums(few.test) == sums(many.test)
    assert sums(few.validation) == sums(many.validation)
    assert sums(few.train) == sums(many.train)[:10]
    assert few.fingerprint != many.fingerprint


def test_what_was_measured_before_is_what_is_measured_now() -> None:
    task = make()
    data = task.load(task.spec(None))
    assert data.fingerprint == "03bc6224b786"
    assert sums(data.test)[:2] == [(684, 559, 1243), (629, 192, 821)]


def test_kinds_and_sizes() -> None:
    task = make(digits=4)
    assert task.length_axis is LengthAxis.FIXED
    assert task.spec(None) == Spec(
        inputs=InputKind.TOKENS,
        outputs=OutputKind.TOKENS,
        sequence_length=9,
        vocabulary_size=13,
        target_vocabulary_size=14,
        target_length=6,
    )
    assert task.chance == 1e-4
    with pytest.raises(UsageError, match="found sequence length 7, expected none"):
        task.spec(7)
    with pytest.raises(UsageError, match="fold 1"):
        task.load(task.spec(None), fold=1)
    with pytest.raises(UsageError, match="encoding 'wordpieces'"):
        task.load(task.spec(None), encoding="wordpieces")


def test_made_batches_are_full_seeded_and_of_the_sizes_of_the_spec() -> None:
    task = make()
    spec = task.spec(None)
    first, again, other = (task.random_batch(spec, 50, seed) for seed in (1, 1, 2))
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(asked(first), asked(again))
    assert not torch.equal(first.inputs, other.inputs)
    assert (first.inputs.shape, asked(first).shape) == ((50, 7), (50, 5))
    rows = ["".join(WORDS[one] for one in row) for row in first.inputs.tolist()]
    assert all(len(row) == 7 and row[3] == "+" and row.count("+") == 1 for row in rows)
    assert (asked(first)[:, -1] == END_ID).all()
    assert (int(asked(first)[:, :-1].min()), int(asked(first).max())) == (4, 13)


@pytest.mark.parametrize("beam", [1, 3])
def test_what_is_written_is_held_against_the_sum(beam: int) -> None:
    task = make(beam=beam)
    spec = task.spec(None)
    batch = task.load(spec).test.batch([0, 1])  # 684+559=1243 and 629+192=821
    seen = task.evaluate(Writes([[5, 6, 8, 7], [12, 6, 6]], 14), batch, spec)
    assert (seen.predicted, seen.expected) == (["1243", "822"], ["1243", "821"])
    assert seen.items == 2
    score = task.score(seen.predicted, seen.expected)
    assert (score.metrics, score.correct, score.total) == ({"exact_match": 0.5}, 1, 2)
    # one of nine real tokens is said to be impossible: 50 nats
    assert seen.loss_sum / 2 == pytest.approx(50 / 9, rel=1e-4)


def test_ids_of_no_digit_are_seen_to_be_wrong() -> None:
    task = make()
    assert task.text(spelt([5, 2, 6, 1], task.target_words(task.spec(None)))) == "1⁇2⁇"


def test_examples_are_spread_over_the_split_whatever_came_of_them() -> None:
    task = make()
    data = task.load(task.spec(None))
    assert isinstance(task, Showing)
    truths = [str(total) for *_, total in sums(data.test)]
    (exhibit,) = task.exhibits(data, ["0"] * 2_000, truths)
    assert exhibit.columns == ("sum", "reference", "written")
    assert [row[1:] for row in exhibit.rows] == [(truths[place], "0") for place in range(0, 2_000, 100)]
    assert exhibit.rows[0][0] == "684+559"
    few = examples("item", str, ["a", "b"], ["c", "d"])
    assert few.rows == (("0", "c", "a"), ("1", "d", "b"))


def test_batches_are_padded_to_their_longest_rows() -> None:
    numbers = torch.tensor([0, 1, 3, 6]).numpy()
    pairs = TokenPairs(
        source_ids=torch.arange(2, 8).numpy(),
        source_offsets=numbers,
        target_ids=torch.arange(4, 10).numpy(),
        target_offsets=numbers,
        references=(("a",), ("b", "c"), ("d",)),
    )
    batch = pairs.batch([2, 0])
    assert batch.inputs.tolist() == [[5, 6, 7], [2, 0, 0]]
    assert asked(batch).tolist() == [[7, 8, 9, 3], [4, 3, 0, 0]]
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [3, 1]
    assert (batch.references, batch.items, batch.tokens, batch.real_tokens) == ((("d",), ("a",)), 2, 6, 4)
    assert batch.to(torch.device("cpu")).references == batch.references
    assert padded_targets([[], [7]]).tolist() == [[3, 0], [7, 3]]


def test_the_data_say_what_ids_stand_for() -> None:
    data: Data = make().load(make().spec(None))
    assert "".join(data.words) == "0123456789+"
    assert (data.words[2], data.target_words[4], len(data.words), len(data.target_words)) == ("0", "0", 13, 14)


def test_a_trained_model_is_asked_about_sums_of_ones_own() -> None:
    task = make()
    assert isinstance(task, Reading)
    spec = task.spec(None)
    legend = legend_of(task.load(spec), spec, "words")
    batch = task.read(["684+559", "1+2"], legend)
    own = task.load(spec).test.batch([0])
    assert batch.inputs[:1].tolist() == own.inputs.tolist()
    assert batch.inputs[1].tolist() == [3, 12, 4, 0, 0, 0, 0]
    assert batch.lengths is not None
    assert (batch.lengths.tolist(), batch.targets) == ([7, 3], None)
    said = task.answers(Writes([[5, 6], [7]], 14), batch, legend)
    assert [one.said for one in said] == ["12", "3"]
    for wrong in ("", "12", "1+2+3", "1-2", "1234+567", "a+b", "１+2"):
        with pytest.raises(UsageError, match="expected two whole numbers with a plus between them, in all at most 7"):
            task.read(["1+2", wrong], legend)
    with pytest.raises(ModelError, match="Linear: writes nothing"):
        task.answers(torch.nn.Linear(1, 1), batch, legend)
