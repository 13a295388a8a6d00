"""Word pieces of pretrained weights: which vocabulary, which ids, and what a task makes of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
from made_bert import PIECES, SETTINGS, write_checkpoint, write_texts

from bench.architectures import ARCHITECTURES
from bench.architectures.bert import Hyperparameters
from bench.errors import ModelError
from bench.tasks import legend_of
from bench.tasks.data.checkpoints import Checkpoint, open_checkpoint
from bench.tasks.text import EncodedTexts
from bench.tasks.text_classification import Options, TextClassification
from bench.tasks.wordpieces import WordPieces, word_pieces


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)


@pytest.fixture
def tokenizers() -> None:
    pytest.importorskip("tokenizers", reason="tokenizers is an extra")


def pieces_of(folder: Path, **more: Any) -> WordPieces:
    return word_pieces(open_checkpoint(str(write_checkpoint(folder, **more))))


@pytest.mark.usefixtures("tokenizers")
@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Films, GOOD<br />Été", ["[CLS]", "film", "##s", ",", "good", "ete", "[SEP]"]),
        ("goods ab abb zzz", ["[CLS]", "good", "##s", "a", "##b", "a", "##b", "##b", "[UNK]", "[SEP]"]),
        ("", ["[CLS]", "[SEP]"]),
    ],
)
def test_texts_become_word_pieces(tmp_path: Path, sentence: str, expected: list[str]) -> None:
    ids, offsets = pieces_of(tmp_path).encode([sentence, "the", *[sentence] * 600])
    assert [PIECES[token] for token in ids[: offsets[1]]] == expected
    assert [PIECES[token] for token in ids[offsets[1] : offsets[2]]] == ["[CLS]", "the", "[SEP]"]
    assert len(offsets) == 603
    assert offsets[-1] == 601 * len(expected) + 3


@pytest.mark.usefixtures("tokenizers")
@pytest.mark.parametrize(
    ("files", "more_pieces", "lower"),
    [
        ({}, [], True),
        ({}, ["Film"], False),
        ({"config.json": {**SETTINGS, "do_lower_case": True}}, ["Film"], True),
        (
            {"tokenizer_config.json": {"do_lower_case": False}, "config.json": {**SETTINGS, "do_lower_case": True}},
            [],
            False,
        ),
        ({"tokenizer_config.json": {}}, ["Film"], False),
    ],
)
def test_lower_case_is_as_its_settings_or_its_vocabulary_say(
    tmp_path: Path, files: dict[str, Any], more_pieces: list[str], lower: bool
) -> None:
    folder = write_checkpoint(tmp_path, pieces=[*PIECES, *more_pieces])
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    pieces = word_pieces(open_checkpoint(str(folder)))
    assert pieces.lower_case is lower
    ids, _ = pieces.encode(["FILM"])
    assert [PIECES[token] for token in ids] == ["[CLS]", "film" if lower else "[UNK]", "[SEP]"]


def test_a_vocabulary_without_what_every_text_needs_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"its vocabulary lacks \[CLS\], \[SEP\]; expected"):
        pieces_of(tmp_path, pieces=["[PAD]", "[UNK]", "a"])


def test_a_vocabulary_is_split_at_line_feeds_alone(tmp_path: Path) -> None:
    content = "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\na\u2028b\r\n".encode()
    checkpoint = Checkpoint(name="made", read={"vocab.txt": content}.get)
    assert list(checkpoint.vocabulary()) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a\u2028b"]


def texts_task(folder: Path) -> TextClassification:
    return TextClassification(Options(file=str(write_texts(folder)), vocabulary_size=60))


@pytest.mark.usefixtures("tokenizers")
def test_a_task_in_word_pieces_is_the_same_task(tmp_path: Path) -> None:
    folder, task = write_checkpoint(tmp_path / "weights"), texts_task(tmp_path)
    encoding = ARCHITECTURES.get("bert").encoding(Hyperparameters(weights=str(folder)))
    words, pieces, again = task.load(task.spec(4)), task.load(task.spec(4), encoding), task.load(task.spec(9), encoding)
    assert words.fingerprint != pieces.fingerprint == again.fingerprint
    assert words.classes == pieces.classes
    assert isinstance(pieces.train, EncodedTexts)
    assert isinstance(words.train, EncodedTexts)
    assert pieces.train.labels.tolist() == words.train.labels.tolist()
    # cut texts end as whole ones do, and rows are filled up with the vocabulary's own padding
    batch = pieces.test.batch(range(len(pieces.test)))
    assert batch.lengths is not None
    for row, length in zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True):
        assert (row[0], row[length - 1]) == (2, 3)
        assert 3 not in row[: length - 1]
        assert set(row[length:]) <= {4}
    other = write_checkpoint(tmp_path / "other", pieces=[*PIECES, "films"])
    assert task.load(task.spec(4), f"wordpiece:{other}").fingerprint != pieces.fingerprint


@pytest.mark.usefixtures("tokenizers")
def test_texts_of_ones_own_become_the_word_pieces_of_training(tmp_path: Path) -> None:
    folder, task = write_checkpoint(tmp_path / "weights"), texts_task(tmp_path)
    encoding, spec = f"wordpiece:{folder}", task.spec(4)
    data = task.load(spec, encoding)
    assert data.words == tuple(PIECES)
    legend = legend_of(data, spec, encoding)
    batch = task.read(["films, good<br />films", "the"], legend)
    assert [[PIECES[piece] for piece in row] for row in batch.inputs.tolist()] == [
        ["[CLS]", "film", "##s", "[SEP]"],
        ["[CLS]", "the", "[SEP]", "[PAD]"],
    ]
    assert batch.targets is None
    write_checkpoint(folder, pieces=[*PIECES, "films"])
    with pytest.raises(ModelError, match="these word pieces are not those that the model was trained with"):
        task.read(["the"], legend)


def test_padding_stands_behind_the_end(tmp_path: Path) -> None:
    ids, offsets = np.array([2, 5, 3, 2, 5, 6, 7, 3], dtype=np.int32), np.array([0, 3, 8])
    texts = EncodedTexts(ids=ids, offsets=offsets, labels=np.array([0, 1]), length=4, padding_id=4, end_id=3)
    assert texts.batch([0, 1]).inputs.tolist() == [[2, 5, 3, 4], [2, 5, 6, 3]]
    whole = dataclasses.replace(texts, length=9)
    assert whole.batch([1]).inputs.tolist() == [[2, 5, 6, 7, 3]]


def test_the_weights_of_an_encoding_must_be_there(tmp_path: Path) -> None:
    task = texts_task(tmp_path)
    with pytest.raises(ModelError, match="'nowhere': is no folder"):
        task.load(task.spec(4), "wordpiece:nowhere")
