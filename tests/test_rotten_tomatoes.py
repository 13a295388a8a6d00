"""`rotten-tomatoes`: sentences from the wheel that `imdb` has its reviews from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import platformdirs
import pytest
from made_reviews import SENTENCES, made_source, sentence, sentences_source, write_wheel

from bench.errors import DataError, UsageError
from bench.spec import InputKind, LengthAxis, OutputKind
from bench.tasks import TASKS
from bench.tasks.data.items import read_sentences
from bench.tasks.imdb import Imdb
from bench.tasks.imdb import Options as ImdbOptions
from bench.tasks.rotten_tomatoes import Options, RottenTomatoes


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RottenTomatoes:
    """The task on made sentences, with a cache of its own; `imdb` has the made reviews of the same wheel."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    wheel = write_wheel(tmp_path / "mine")
    monkeypatch.setenv("BENCH_DATA", str(wheel.parent))
    monkeypatch.setattr("bench.tasks.rotten_tomatoes.ROTTEN_TOMATOES", sentences_source(wheel))
    monkeypatch.setattr("bench.tasks.imdb.IMDB", made_source(wheel))
    return RottenTomatoes(Options())


def test_sentences_are_read_negative_ones_first(tmp_path: Path) -> None:
    found = read_sentences(write_wheel(tmp_path))
    assert found.labels == [0] * SENTENCES + [1] * SENTENCES
    assert (found.texts[0], found.texts[-1]) == (sentence(0, 0), sentence(1, SENTENCES - 1))


def test_it_has_the_shape_of_film_reviews(made: RottenTomatoes) -> None:
    spec = made.spec(16)
    assert (spec.inputs, spec.outputs, spec.classes, spec.vocabulary_size) == (
        InputKind.TOKENS,
        OutputKind.CLASSES,
        2,
        20_000,
    )
    assert (made.length_axis, made.folds, made.chance, made.name) == (LengthAxis.FREE, 0, 0.5, "rotten-tomatoes")
    assert TASKS.get("rotten-tomatoes").make is RottenTomatoes


def test_the_split_is_in_order_without_repeats(made: RottenTomatoes) -> None:
    data = made.load(made.spec(16))
    # of each class 30 are different, so 6 are test and 3 validation
    assert [len(part) for part in (data.train, data.validation, data.test)] == [42, 6, 12]
    for part, share in ((data.train, 21), (data.validation, 3), (data.test, 6)):
        batch = part.batch(range(len(part)))
        assert batch.targets is not None
        assert batch.targets.tolist() == [0] * share + [1] * share
    words = data.train.batch(range(42))
    assert words.lengths is not None
    assert words.lengths.tolist() == [2] * 42
    # what only test sentences hold is no part of the vocabulary
    assert data.train.batch(range(42)).inputs[:, 1].ne(1).all()
    assert data.test.batch(range(12)).inputs[:, 1].eq(1).all()
    assert made.training_lengths(made.spec(1)) == [1] * 42
    with pytest.raises(UsageError, match="found fold 0"):
        made.load(made.spec(16), fold=0)


def test_the_reviews_of_the_same_file_are_others(made: RottenTomatoes) -> None:
    first = made.load(made.spec(16))
    reviews = Imdb(ImdbOptions()).load(made.spec(16))
    assert len(reviews.train) > 100
    assert made.load(made.spec(16)).fingerprint == first.fingerprint != reviews.fingerprint
    assert np.array_equal(made.arrays()["test_labels"], [0] * 6 + [1] * 6)


def test_a_wheel_without_sentences_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("made_reviews.SENTENCES", 0)
    with pytest.raises(DataError, match="holds no negative texts"):
        read_sentences(write_wheel(tmp_path))
