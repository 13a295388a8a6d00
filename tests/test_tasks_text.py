"""Tasks of classifying texts: words, splits, batches, made and real data."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
import torch
from made_reviews import made_source, write_archive, write_folder, write_wheel

from bench.errors import BenchError, DataError, UsageError
from bench.options import fill
from bench.spec import InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import TASKS, Data, legend_of
from bench.tasks.data.items import Texts
from bench.tasks.imdb import Imdb
from bench.tasks.imdb import Options as ImdbOptions
from bench.tasks.splits import first_of_each, split_in_order
from bench.tasks.text import EncodedTexts, prepare
from bench.tasks.text_classification import Options, TextClassification
from bench.tasks.words import build_vocabulary, encode, tokenise


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    return tmp_path / "cache"


# ── words ──


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't miss it!<br /><br />10/10", ["don't", "miss", "it", "10", "10"]),
        ("one<br>two<BR/>three", ["one", "two", "three"]),
        ("'quoted' ROCK’N’ROLL x--y", ["quoted", "rock’n’roll", "x", "y"]),
        ("Über naïve — \x96 été", ["über", "naïve", "été"]),
        ("?!", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert tokenise(text) == words


def test_the_vocabulary_holds_the_commonest_words_in_a_fixed_order() -> None:
    texts = [["b", "a", "c"], ["c", "b", "c"], ["d"]]
    assert build_vocabulary(texts, 5) == {"c": 2, "b": 3, "a": 4}
    assert build_vocabulary(texts[::-1], 100) == {"c": 2, "b": 3, "a": 4, "d": 5}


def test_encoded_texts_are_never_empty() -> None:
    ids, offsets = encode([["a", "x"], [], ["b"]], {"a": 2, "b": 3})
    assert (ids.tolist(), offsets.tolist()) == ([2, 1, 1, 3], [0, 2, 3, 4])


# ── splits ──


def test_the_first_of_equal_items_is_kept() -> None:
    assert first_of_each(["a", "b", "a", "c", "b"]) == [0, 1, 3]


def test_the_last_fifth_of_each_class_is_test() -> None:
    labels = [0] * 20 + [1] * 10
    split = split_in_order(labels, ("no", "yes"), "made")
    assert split.train.tolist() == [*range(14), *range(20, 27)]
    assert split.validation.tolist() == [14, 15, 27]
    assert split.test.tolist() == [16, 17, 18, 19, 28, 29]


def test_classes_may_come_in_any_order_of_items() -> None:
    split = split_in_order([0, 1, 2] * 3, ("a", "b", "c"), "made")
    assert (split.train.tolist(), split.validation.tolist(), split.test.tolist()) == ([0, 1, 2], [3, 4, 5], [6, 7, 8])


def test_one_class_and_small_classes_are_errors() -> None:
    with pytest.raises(DataError, match=r"made: every item has the label 'yes'"):
        split_in_order([0] * 9, ("yes",), "made")
    with pytest.raises(DataError, match=r"made: class 'no' has 2 different items, expected at least 3"):
        split_in_order([0] * 9 + [1] * 2, ("yes", "no"), "made")


# ── batches ──


def _texts() -> EncodedTexts:
    ids, offsets = encode([["a"], ["b", "a", "b"], ["a"] * 9], {"a": 2, "b": 3})
    return EncodedTexts(ids=ids, offsets=offsets, labels=np.array([1, 0, 1]), length=5)


def test_batches_are_padded_to_their_longest_text_and_cut() -> None:
    batch = _texts().batch([1, 0])
    assert batch.inputs.tolist() == [[3, 2, 3], [2, 0, 0]]
    assert batch.lengths is not None
    assert batch.targets is not None
    assert (batch.lengths.tolist(), batch.targets.tolist()) == ([3, 1], [0, 1])
    assert (batch.inputs.dtype, batch.lengths.dtype, batch.targets.dtype) == (torch.int64,) * 3
    assert (batch.items, batch.tokens, batch.real_tokens) == (2, 6, 4)
    cut = _texts().batch([2, 0])
    assert cut.inputs.tolist() == [[2] * 5, [2, 0, 0, 0, 0]]
    assert cut.lengths is not None
    assert cut.lengths.tolist() == [5, 1]


def test_made_batches_are_seeded_full_and_never_padding() -> None:
    task = Imdb(ImdbOptions(vocabulary_size=1000))
    spec = task.spec(64)
    first, again, other = (task.random_batch(spec, 128, seed) for seed in (1, 1, 2))
    assert torch.equal(first.inputs, again.inputs)
    assert first.targets is not None
    assert again.targets is not None
    assert torch.equal(first.targets, again.targets)
    assert not torch.equal(first.inputs, other.inputs)
    assert (first.inputs.shape, first.inputs.dtype, first.lengths) == ((128, 64), torch.int64, None)
    assert (first.items, first.tokens, first.real_tokens) == (128, 8192, 8192)
    assert (int(first.inputs.min()), int(first.inputs.max())) == (2, 999)
    assert set(first.targets.tolist()) == {0, 1}
    # log-uniform: the commonest of 998 words comes with probability ln 2 / ln 999 = .1004, half of all are below rank 32
    assert float((first.inputs == 2).float().mean()) == pytest.approx(0.1004, abs=0.015)
    assert float((first.inputs < 32).float().mean()) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("size", [3, 4, 20_000])
def test_made_words_stay_in_the_vocabulary(size: int) -> None:
    task = Imdb(ImdbOptions(vocabulary_size=size))
    inputs = task.random_batch(task.spec(50), 200, 0).inputs
    assert int(inputs.min()) == 2
    assert int(inputs.max()) < size


# ── imdb from made files ──


def _load(task: Imdb | TextClassification, length: int = 100) -> Data:
    return task.load(task.spec(length))


def test_the_spec_needs_no_data(own_cache: Path) -> None:
    kind = TASKS.get("imdb")
    options, problems = fill(kind.options, {})
    assert not problems
    task = kind.make(options)
    assert task.spec(64) == Spec(
        inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=64, vocabulary_size=20_000, classes=2
    )
    assert (task.length_axis, task.folds, task.chance, task.headline) == (LengthAxis.FREE, 0, 0.5, "accuracy")
    assert not own_cache.exists()
    with pytest.raises(UsageError, match="sequence_lengths"):
        task.spec(None)


def test_any_provider_gives_the_same_task(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    for write in (write_wheel, write_folder, write_archive):
        place = tmp_path / write.__name__
        place.mkdir()
        path = write(place)
        source = made_source(path if write is write_wheel else None, path if write is write_archive else None)
        monkeypatch.setattr("bench.tasks.imdb.IMDB", source)
        monkeypatch.setenv("BENCH_DATA", str(place))
        loaded.append(_load(Imdb(ImdbOptions())))
    first = loaded[0]
    assert first.classes == ("negative", "positive")
    assert len({data.fingerprint for data in loaded}) == 1
    # 299 different reviews a class: 59 test, 29 validation
    assert (len(first.train), len(first.validation), len(first.test)) == (422, 58, 118)
    for data in loaded[1:]:
        assert torch.equal(data.test.batch(range(118)).inputs, first.test.batch(range(118)).inputs)
    assert len(list((own_cache / "bench" / "prepared").iterdir())) == 3, "each file was read by itself"


def test_the_fingerprint_tells_other_contents_and_encodings(tmp_path: Path, own_cache: Path) -> None:
    def fingerprint(texts: list[str], labels: list[int], size: int = 100) -> str:
        items = Texts(texts=texts, labels=labels, classes=("a", "b"))
        return str(prepare([texts, labels], size, "made", lambda: items)["fingerprint"])

    texts, labels = [f"word{number}" for number in range(20)], [0, 1] * 10
    first = fingerprint(texts, labels)
    assert first == fingerprint([*texts, texts[3]], [*labels, labels[3]]), "a repeat changes nothing"
    assert first != fingerprint(texts[::-1], labels[::-1]), "other items are tested"
    assert first != fingerprint(texts, [1, 0] * 10)
    assert first != fingerprint([*texts[:-1], "other"], labels)
    assert first != fingerprint(texts, labels, size=50)


def test_words_of_the_test_split_alone_are_unknown(own_cache: Path) -> None:
    # of ten texts a class the eighth is validated and the last two are tested with
    texts = [f"common {'late' if number >= 8 else 'early'} {letter}{number}" for letter in "ab" for number in range(10)]
    items = Texts(texts=texts, labels=[0] * 10 + [1] * 10, classes=("a", "b"))
    arrays = prepare("made", 1000, "made", lambda: items)
    assert not (arrays["train_ids"] == 1).any()
    assert (arrays["validation_ids"] == 1).tolist() == [False, False, True] * 2
    assert (arrays["test_ids"] == 1).tolist() == [False, True, True] * 4
    assert len(set(arrays["train_ids"].tolist())) == 2 + 14


def test_words_are_those_of_the_ids_and_texts_of_ones_own_are_read_as_they_were(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Imdb(ImdbOptions(vocabulary_size=40))
    texts = [f"Common {'rare' * (number % 3)} w{number}x, don't" for number in range(40)]
    items = Texts(texts=texts, labels=[0, 1] * 20, classes=("a", "b"))
    for _ in range(2):  # as it is made, and as it is kept
        monkeypatch.setattr(task, "arrays", lambda *_, pieces: prepare("made", 40, "made", lambda: items))
        data = task.load(task.spec(4))
        # padding, the unknown word, four common ones, and each of 28 training texts its own
        assert (len(data.words), data.words[:4]) == (2 + 4 + 28, ("", "", "common", "don't"))
        legend = legend_of(data, task.spec(4), "words")
        # of each class the last fifth: 32 to 39, in their order
        read, test = task.read(texts[32:], legend), data.test.batch(range(8))
        assert torch.equal(read.inputs, test.inputs)
        assert read.lengths is not None
        assert test.lengths is not None
        assert torch.equal(read.lengths, test.lengths)
        assert read.targets is None
    with pytest.raises(UsageError, match=r"found the text '<br />', expected one with a word in it"):
        task.read(["fine", "<br />"], legend)


def test_fingerprints_are_what_they_were_before_words_were_kept(own_cache: Path) -> None:
    items = Texts(texts=[f"word{number}" for number in range(20)], labels=[0, 1] * 10, classes=("a", "b"))
    assert str(prepare("made", 100, "made", lambda: items)["fingerprint"]) == "5056e4df0754"


def test_repeats_are_dropped_before_the_split(own_cache: Path) -> None:
    texts = ["same"] * 50 + [f"a{number}" for number in range(9)] + [f"b{number}" for number in range(10)]
    items = Texts(texts=texts, labels=[0] * 59 + [1] * 10, classes=("a", "b"))
    arrays = prepare("made", 100, "made", lambda: items)
    counts = {name: np.bincount(arrays[f"{name}_labels"]).tolist() for name in ("train", "validation", "test")}
    assert counts == {"train": [7, 7], "validation": [1, 1], "test": [2, 2]}


def test_what_a_task_cannot_do_is_said(own_cache: Path) -> None:
    task = Imdb(ImdbOptions())
    with pytest.raises(UsageError, match="encoding 'wordpieces' is unknown"):
        task.load(task.spec(8), encoding="wordpieces")
    with pytest.raises(UsageError, match="fold 1"):
        task.load(task.spec(8), fold=1)


# ── the user's own file ──

LINES = [("Good, really good", "yes"), ('She said "no"', "no"), ("fine\nwith me", "yes"), ("été", "no")]
LINES += [(f"text {number}", "yes" if number % 3 else "no") for number in range(26)]


def _quoted(cells: tuple[str, ...], delimiter: str) -> str:
    return delimiter.join('"' + cell.replace('"', '""') + '"' for cell in cells)


def _write(path: Path, header: str = "", delimiter: str = ",", encoding: str = "utf-8") -> Path:
    lines = [header] * bool(header) + [_quoted(line, delimiter) for line in LINES]
    path.write_bytes("\r\n".join(lines).encode(encoding))
    return path


def _task(path: Path, **options: Any) -> TextClassification:
    filled, problems = fill(Options, {"file": str(path), **options})
    assert filled is not None, problems
    return TextClassification(filled)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", {}),
        ("a.csv", {"header": "text,label"}),
        ("a.csv", {"header": "Comment,Verdict", "delimiter": ","}),
        ("a.csv", {"header": "text;label", "delimiter": ";"}),
        ("a.tsv", {"header": "text\tlabel", "delimiter": "\t"}),
        ("a.txt", {"delimiter": "\t"}),
        ("a.csv", {"header": "text,label", "encoding": "utf-8-sig"}),
    ],
)
def test_tables_of_many_forms_are_one_task(name: str, form: Mapping[str, str], tmp_path: Path, own_cache: Path) -> None:
    plain = _load(_task(_write(tmp_path / "plain.csv")))
    assert plain.classes == ("no", "yes")
    assert len(plain.train) + len(plain.validation) + len(plain.test) == len(LINES)
    assert _load(_task(_write(tmp_path / name, **form))).fingerprint == plain.fingerprint


def test_named_columns_and_the_order_of_lines(tmp_path: Path, own_cache: Path) -> None:
    plain = _load(_task(_write(tmp_path / "plain.csv")))
    lines = ["id,verdict,words"] + [_quoted((str(n), label, text), ",") for n, (text, label) in enumerate(LINES[::-1])]
    path = tmp_path / "other.csv"
    path.write_text("\n".join(lines))
    task = _task(path, text_column="words", label_column="verdict")
    assert _load(task).fingerprint == plain.fingerprint, "neither columns nor the order of lines change the task"
    assert task.class_count == 2
    assert task.spec(16).classes == 2
    data = _load(task)
    labels = data.test.batch(range(len(data.test))).targets
    assert labels is not None
    assert task.chance == pytest.approx(float((labels == 1).float().mean()))
    assert task.chance > 0.5


def test_long_cells_are_read(tmp_path: Path, own_cache: Path) -> None:
    path = _write(tmp_path / "long.csv")
    path.write_text(path.read_text() + '\n"' + "word " * 50_000 + '",yes')
    assert _task(path).class_count == 2


def test_a_changed_file_is_read_again(tmp_path: Path, own_cache: Path) -> None:
    path = _write(tmp_path / "mine.csv")
    before = _load(_task(path)).fingerprint
    path.write_text(path.read_text().replace("text 9", "text nine"))
    assert _load(_task(path)).fingerprint != before


HEAD = b"review,stars\n"
MANY = b"".join(b"t%d,%s\n" % (number, b"ab"[number % 2 :][:1]) for number in range(20))


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (b"", {}, r"bad\.csv: is empty"),
        (b"\n\n", {}, r"bad\.csv: is empty"),
        (b"text,label\n", {}, r"bad\.csv: holds a header and no items"),
        (MANY + b"caf\xe9,a\n", {}, r"bad\.csv: line 21: byte 0xe9 is not UTF-8"),
        (b"just one column\nand more\n", {}, r"bad\.csv: line 1: found 1 column, expected two"),
        (b"a,b,c\n", {}, r"bad\.csv: line 1: found 3 columns, expected two"),
        (b"text,label\n" + MANY + b"lonely\n", {}, r"bad\.csv: line 22: found 1 column\(s\), expected at least 2"),
        (MANY + b"text,\n", {}, r"bad\.csv: line 21: the label is empty"),
        (MANY + b' ,"a"\n', {}, r"bad\.csv: line 21: the text is empty"),
        (MANY + b't0,"b"\n', {}, r"bad\.csv: line 21: found the label 'b' for a text that has 'a' above"),
        (MANY + b'"open,a\nx,b\n', {}, r"bad\.csv: line 22: unexpected end of data"),
        (MANY + b'"a"b,a\n', {}, r"bad\.csv: line 21: .*expected cells with quotes"),
        (HEAD + MANY, {"text_column": "reviews", "label_column": "stars"}, r"no column 'reviews'; did you mean 'review'\?"),
        (HEAD + MANY, {"text_column": "review"}, r"no column 'label'; expected one of: review, stars"),
        (b"x,a\ny,a\nz,a\n", {}, r"bad\.csv: every item has the label 'a'"),
        (b"x,a\ny,b\nz,a\nu,a\nv,b\n", {}, r"bad\.csv: class 'b' has 2 different items"),
    ],
)  # fmt: skip
def test_bad_files_are_told_by_line(
    content: bytes, options: dict[str, str], says: str, tmp_path: Path, own_cache: Path
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as error:
        _task(path, **options).spec(8)
    assert "\n" not in str(error.value)


def test_missing_files_and_folders_are_told(tmp_path: Path, own_cache: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match="is no file"):
            _task(path).spec(8)


def test_the_file_must_be_given() -> None:
    assert fill(Options, {})[1][0].startswith("'file' is missing; CSV or TSV file")


# ── children ──


def test_measuring_children_load_nothing_heavy(tmp_path: Path) -> None:
    given = {"text-classification": {"file": str(_write(tmp_path / "a.csv"))}}
    code = f"""
import sys
from bench.options import fill
from bench.spec import LengthAxis
from bench.tasks import TASKS
for name in ("imdb", "text-classification", "images", "tabular", "first-token", "parity", "recall", "translation",
             "addition", "captions"):
    kind = TASKS.get(name)
    task = kind.make(fill(kind.options, {given!r}.get(name, {{}}))[0])
    spec = task.spec(16 if task.length_axis is LengthAxis.FREE else None)
    task.random_batch(spec, 4, 0)
    if name not in ("imdb", "translation"):
        task.load(spec)
print(*sys.modules)
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.split()
    assert "torch" in loaded
    assert not {"sklearn", "pandas", "pydantic", "typer", "matplotlib", "scipy", "sacrebleu"} & set(loaded)


# ── the real reviews ──


@pytest.fixture(scope="module")
def real() -> Callable[[int], Data]:
    task = Imdb(ImdbOptions())
    try:
        task.arrays()
    except BenchError as error:
        pytest.skip(f"the real reviews are not here: {error}")
    return lambda length: _load(task, length)


@pytest.mark.network
def test_the_real_reviews(real: Callable[[int], Data]) -> None:
    data = real(256)
    parts = (data.train, data.validation, data.test)
    assert [len(part) for part in parts] == [17_434, 2_490, 4_980]
    assert sum(len(part) for part in parts) == 24_904
    for part in parts:
        assert isinstance(part, EncodedTexts)
        assert abs(part.labels.mean() - 0.5) < 0.001
        assert 19_000 < part.ids.max() < 20_000
    lengths = np.concatenate([np.diff(part.offsets) for part in parts if isinstance(part, EncodedTexts)])
    assert lengths.mean() == pytest.approx(233.8, abs=0.1)
    assert np.percentile(lengths, 95) == pytest.approx(598, abs=1)
    assert data.fingerprint == "e825b25b39a1"
    batch = data.test.batch(range(32))
    assert batch.inputs.shape == (32, 256)
    assert batch.tokens is not None
    assert batch.real_tokens is not None
    assert 0 < batch.real_tokens < batch.tokens
