"""A tag for each word: splits, suffixes, batches, floors and scores; and that every tagger takes several ids a word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
import torch
from made_sentences import Sentence, conllu, made_source, numbered, pairs, write_wheel
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import ARCHITECTURES
from bench.batch import Batch, forward
from bench.errors import DataError, UsageError
from bench.options import fill
from bench.records import task_key
from bench.spec import PADDED_CLASS, InputKind, LengthAxis, OutputKind, Spec
from bench.tasks import TASKS, Data, Showing, legend_of
from bench.tasks.data import needed, needed_by
from bench.tasks.data.sources import PORTTINARI
from bench.tasks.pos import FLOOR, TAGS, Options, PartsOfSpeech
from bench.tasks.tagging import parts_of, tag_table

DE, DO, NO, NP = ("de", "ADP"), ("o", "DET"), ("gato", "NOUN"), ("Ana", "PROPN")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("BENCH_DATA", raising=False)


def treebank(monkeypatch: pytest.MonkeyPatch, folder: Path, sentences: list[Sentence]) -> None:
    """Put these sentences where the treebank would be."""
    wheel = write_wheel(folder / "mine", sentences)
    monkeypatch.setenv("BENCH_DATA", str(wheel.parent))
    monkeypatch.setattr("bench.tasks.pos.PORTTINARI", made_source(wheel))


def own(tmp_path: Path, sentences: list[Sentence], name: str = "mine.txt", **options: Any) -> PartsOfSpeech:
    """The task on a file of the user's."""
    (tmp_path / name).write_text(conllu(sentences) if name.endswith("conllu") else pairs(sentences))
    return PartsOfSpeech(Options(file=str(tmp_path / name), **options))


def load(task: PartsOfSpeech, length: int = 100) -> Data:
    return task.load(task.spec(length))


def all_of(data: Data, part: str = "test") -> Batch:
    examples = getattr(data, part)
    batch: Batch = examples.batch(range(len(examples)))
    return batch


def targets(batch: Batch) -> Tensor:
    assert batch.targets is not None
    return batch.targets


# ── what it is ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_spec_of_the_treebank_needs_no_data(tmp_path: Path) -> None:
    task = PartsOfSpeech(Options(suffixes=2))
    assert task.spec(64) == Spec(
        inputs=InputKind.TOKENS,
        outputs=OutputKind.STEP_CLASSES,
        sequence_length=64,
        vocabulary_size=20_000,
        ids_per_token=3,
        classes=16,
    )
    assert PartsOfSpeech(Options()).spec(64).ids_per_token == 1
    assert (task.length_axis, task.folds, task.chance, task.headline) == (LengthAxis.FREE, 0, None, "accuracy")
    assert [metric.name for metric in task.metrics] == ["accuracy", "f1_macro"]
    assert task.classes == tuple(sorted(TAGS)) == TAGS
    assert isinstance(task, Showing)
    assert TASKS.get("pos").make is PartsOfSpeech
    assert not (tmp_path / "cache").exists()
    with pytest.raises(UsageError, match="sequence_lengths"):
        task.spec(None)


def test_suffixes_are_said_where_the_task_is() -> None:
    assert task_key("pos", {"suffixes": 2}) == "pos[suffixes=2]"
    options, problems = fill(Options, {"suffixes": 4})
    assert options is None
    assert problems == ["'suffixes' is 4; expected one of: 0, 1, 2, 3"]


def test_a_file_of_the_users_needs_no_treebank() -> None:
    assert needed("pos") is needed_by("pos", {"suffixes": 1}) is PORTTINARI
    assert needed_by("pos", {"file": "mine.conllu", "suffixes": 1}) is None


@pytest.mark.parametrize(
    ("word", "suffixes", "parts"),
    [
        ("casas", 0, ["casas"]),
        ("casas", 3, ["casas", "-as", "-sas", "-asas"]),
        ("São", 2, ["São", "-ão", "-São"]),
        ("o", 2, ["o", "-o", "-o"]),
    ],
)
def test_parts_of_a_word(word: str, suffixes: int, parts: list[str]) -> None:
    assert parts_of(word, suffixes) == parts


def test_made_batches_are_seeded_full_and_never_padding() -> None:
    for suffixes, shape in ((0, (8, 16)), (2, (8, 16, 3))):
        task = PartsOfSpeech(Options(suffixes=suffixes, vocabulary_size=50))
        first, again, other = (task.random_batch(task.spec(16), 8, seed) for seed in (1, 1, 2))
        assert first.inputs.shape == shape
        assert torch.equal(first.inputs, again.inputs)
        assert torch.equal(targets(first), targets(again))
        assert not torch.equal(first.inputs, other.inputs)
        assert (int(first.inputs.min()), first.lengths) == (2, None)
        assert int(first.inputs.max()) < 50
        assert targets(first).shape == (8, 16)
        assert set(targets(first).flatten().tolist()) == set(range(16))
        assert (first.items, first.tokens, first.real_tokens) == (8, 128, 128)


# ── sentences to batches ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_split_is_in_order_without_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    treebank(monkeypatch, tmp_path, numbered(20))
    task = PartsOfSpeech(Options())
    data = load(task)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [14, 2, 4]
    # words of the training split alone have ids: o, the full stop and dorme are commonest, then gato0, gato1, gato10, ...
    assert data.words[:7] == ("", "?", ".", "dorme", "o", "gato0", "gato1")
    assert len(data.words) == 2 + 3 + 14
    assert all_of(data, "train").inputs[:2].tolist() == [[4, 5, 3, 2], [4, 6, 3, 2]]
    assert all_of(data).inputs.tolist() == [[4, 1, 3, 2]] * 4
    assert data.classes == TAGS
    assert [TAGS[tag] for tag in targets(all_of(data))[0].tolist()] == ["DET", "NOUN", "VERB", "PUNCT"]
    assert task.training_lengths(task.spec(100)) == [4] * 14
    assert task.training_lengths(task.spec(3)) == [3] * 14


def test_words_and_suffixes_have_one_vocabulary(tmp_path: Path) -> None:
    sentences = [[(f"{letter}ando", "VERB"), (f"{letter}ção", "NOUN")] for letter in "abcdefghij"]
    data = load(own(tmp_path, sentences, suffixes=2))
    # seven of ten train: their endings are commonest, then words in their order
    assert data.words[:8] == ("", "?", "-do", "-ndo", "-ão", "-ção", "aando", "ação")
    assert data.classes == ("NOUN", "VERB")
    assert all_of(data, "train").inputs[0].tolist() == [[6, 2, 3], [7, 4, 5]]
    # a word that never came is told by its endings
    assert all_of(data).inputs.tolist() == [[[1, 2, 3], [1, 4, 5]]] * 2
    assert load(own(tmp_path, sentences, suffixes=2, vocabulary_size=5)).words == ("", "?", "-do", "-ndo", "-ão")


def test_batches_are_padded_to_their_longest_sentence_and_cut(tmp_path: Path) -> None:
    sentences = [[DO, NO], [DO, NO, DE, NP], [NP], [NP, DE], [NO]]
    for suffixes, padding in ((0, 0), (1, [0, 0])):
        data = load(own(tmp_path, sentences, suffixes=suffixes), length=3)
        batch = data.train.batch([1, 2, 0])
        assert batch.lengths is not None
        assert batch.lengths.tolist() == [3, 1, 2]
        tags = [["DET", "NOUN", "ADP"], ["PROPN"], ["DET", "NOUN"]]
        padded = [[data.classes.index(tag) for tag in row] + [PADDED_CLASS] * (3 - len(row)) for row in tags]
        assert targets(batch).tolist() == padded
        assert [batch.inputs[row, place].tolist() for row, place in ((1, 1), (1, 2), (2, 2))] == [padding] * 3
        assert (batch.inputs != 0).all(dim=-1).sum().item() == 6 if suffixes else (batch.inputs != 0).sum().item() == 6
        assert (batch.inputs.dtype, targets(batch).dtype) == (torch.int64, torch.int64)
        assert (batch.items, batch.tokens, batch.real_tokens) == (3, 9, 6)


def test_the_fingerprint_tells_other_contents_and_encodings(tmp_path: Path) -> None:
    sentences = numbered(12)
    first = load(own(tmp_path, sentences)).fingerprint
    assert load(own(tmp_path, sentences, "mine.conllu")).fingerprint == first
    retagged = [[*sentences[0][:-1], (".", "X")], *sentences[1:]]
    others = [
        load(own(tmp_path, retagged)).fingerprint,
        load(own(tmp_path, sentences[::-1])).fingerprint,
        load(own(tmp_path, sentences, suffixes=1)).fingerprint,
        load(own(tmp_path, sentences, vocabulary_size=9)).fingerprint,
    ]
    assert len({first, *others}) == 5


def test_what_it_cannot_do_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.conllu: is no file; expected a .conllu file"):
        PartsOfSpeech(Options(file=str(tmp_path / "none.conllu"))).spec(8)
    with pytest.raises(DataError, match=r"mine.txt: found 2 different sentences, expected at least 3"):
        own(tmp_path, [[DO, NO], [DO, NO], [NP]]).spec(8)
    task = own(tmp_path, numbered(4))
    with pytest.raises(UsageError, match="found fold 1, expected none"):
        task.load(task.spec(8), fold=1)
    with pytest.raises(UsageError, match="encoding 'pieces:x' is unknown"):
        task.load(task.spec(8), encoding="pieces:x")


# ── floors, loss and scores ────────────────────────────────────────────────────────────────────────────────────────


def test_the_floor_is_each_words_most_frequent_tag(tmp_path: Path) -> None:
    A, B = "A", "B"
    # to train: x is B once, then A three times, y always B, B is commonest; to test: x, y, and z that never came
    training: list[Sentence] = [[("x", B), ("w", B)], [("x", A), ("y", B)], [("x", A), ("y", B), ("y", B)], [("x", A)]]
    validation: list[Sentence] = [[("y", A)]]
    task = own(tmp_path, [*training, *validation, [("x", A), ("y", B), ("z", B), ("x", B), ("z", A)]])
    assert load(task).floors == {FLOOR: 3 / 5}
    assert load(task, length=3).floors == {FLOOR: 1.0}
    assert load(own(tmp_path, [*training, *validation, [("z", B)]])).floors == {FLOOR: 1.0}, "not the tag of x"


def test_scores_count_words(tmp_path: Path) -> None:
    task = own(tmp_path, [[DE, DO, NO], [NP], [NO]])
    assert task.classes == ("ADP", "DET", "NOUN", "PROPN")
    expected, predicted = [[0, 1, 2], [2], [2, 2]], [[0, 1, 1], [3], [2, 2]]
    score = task.score(predicted, expected)
    assert score.metrics["accuracy"] == pytest.approx(4 / 6)
    # F1 of ADP 1, of DET 2 / (1 + 2), of NOUN 2 * 2 / (4 + 2); no word is a PROPN, so that there is none of it
    assert score.metrics["f1_macro"] == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert (score.correct, score.total) == (4, 6)
    assert score.confusion == ((1, 0, 0, 0), (0, 1, 0, 0), (0, 1, 2, 1), (0, 0, 0, 0))
    assert score.kept == (2, 0, 2)
    assert list(score.metrics) == ["accuracy", "f1_macro"]


def test_entities_are_scored_where_tags_are_of_entities(tmp_path: Path) -> None:
    ana: Sentence = [("Ana", "B-PER"), ("Lima", "I-PER"), ("ri", "O")]
    task = own(tmp_path, [ana, [("Rio", "B-LOC")], [("ri", "O")]])
    assert task.classes == ("B-LOC", "B-PER", "I-PER", "O")
    assert [metric.name for metric in task.metrics][2:] == ["entity_f1", "entity_precision", "entity_recall"]
    found = task.score([[1, 2, 3], [1]], [[1, 2, 3], [0]]).metrics
    assert set(found) == {metric.name for metric in task.metrics}
    assert (found["entity_f1"], found["accuracy"]) == (0.5, 0.75)
    assert task.headline == "accuracy"


def test_the_table_of_tags_has_a_row_for_each_that_is_there(tmp_path: Path) -> None:
    counts = np.array([[3, 1, 0], [0, 4, 2], [0, 0, 0]])
    assert tag_table(counts, ("A", "B", "C")) == (
        ("B", "6", "80.0 %", "66.7 %", "72.7 %", "C (2)"),
        ("A", "4", "100.0 %", "75.0 %", "85.7 %", "B (1)"),
    )
    task = own(tmp_path, numbered(12))
    (exhibit,) = task.exhibits(load(task), [[0, 1]], [[0, 1]])
    assert exhibit.rows == (("DET", "1", *["100.0 %"] * 3, ""), ("NOUN", "1", *["100.0 %"] * 3, ""))
    assert len(exhibit.columns) == len(exhibit.rows[0])


class Says(nn.Module):
    """Fixed logits for each id, whatever stands around it: (B, L) to (B, L, C)."""

    def __init__(self, ids: int, classes: int) -> None:
        super().__init__()
        self.table = nn.Embedding.from_pretrained(
            torch.randn(ids, classes, generator=torch.Generator().manual_seed(0)), freeze=False
        )

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        logits_BLC: Tensor = self.table(inputs)
        return logits_BLC


def test_padding_is_in_neither_loss_nor_score(tmp_path: Path) -> None:
    task = own(tmp_path, [[DE, DO, NO, NP], [NP], [NO, DE], [NP, DE], [NO]])
    spec = task.spec(10)
    data = task.load(spec)
    model, batch = Says(20, 4), all_of(data, "train")
    real = targets(batch) != PADDED_CLASS
    assert real.sum(dim=1).tolist() == [4, 1, 2]
    by_word = functional.cross_entropy(model(batch.inputs)[real], targets(batch)[real], reduction="none")
    assert task.loss(model(batch.inputs), batch).item() == pytest.approx(by_word.mean().item())
    together = task.evaluate(model, batch, spec)
    assert (together.loss_sum, together.items) == (pytest.approx(by_word.sum().item()), 7)
    assert [len(row) for row in together.predicted] == [len(row) for row in together.expected] == [4, 1, 2]
    alone = [task.evaluate(model, data.train.batch([place]), spec) for place in range(3)]
    assert together.predicted == [one.predicted[0] for one in alone]
    assert together.loss_sum == pytest.approx(sum(one.loss_sum for one in alone))
    other = replace(batch, inputs=torch.where(real, batch.inputs, 7))
    assert task.loss(model(other.inputs), other).item() == pytest.approx(by_word.mean().item())


@pytest.mark.slow
def test_endings_tell_of_words_that_never_came(tmp_path: Path) -> None:
    """Every word is a new one; its ending alone says its tag, and without endings nothing can be learnt."""
    random = np.random.RandomState(0)
    endings = {"ndo": "VERB", "ção": "NOUN", "vel": "ADJ", "mente": "ADV"}
    sentences: list[Sentence] = []
    for number in range(200):
        chosen = random.choice(list(endings), size=8)
        sentences.append([(f"w{number}x{place}{ending}", endings[ending]) for place, ending in enumerate(chosen)])
    found = []
    for suffixes in (0, 2):
        task = own(tmp_path, sentences, suffixes=suffixes)
        spec = task.spec(8)
        data, architecture = task.load(spec), ARCHITECTURES.get("gru")
        torch.manual_seed(0)
        settings = architecture.hyperparameters(embedding_dim=16, hidden_dim=16, bidirectional=True, dropout=0.0)
        model = architecture.build(spec, settings)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for step in range(60):
            batch = data.train.batch([(step * 32 + row) % len(data.train) for row in range(32)])
            optimizer.zero_grad()
            task.loss(forward(model, batch, spec), batch).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.inference_mode():
            seen = task.evaluate(model.eval(), all_of(data), spec)
        found.append(task.score(seen.predicted, seen.expected).metrics["accuracy"])
    assert found[0] < 0.45
    assert found[1] > 0.99


def test_one_tag_alone_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all words have the tag 'O', expected at least two different tags"):
        load(own(tmp_path, [[(f"word{place}", "O")] for place in range(40)]))


# ── sentences of one's own ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suffixes", [0, 2])
def test_given_sentences_are_read_as_in_training(tmp_path: Path, suffixes: int) -> None:
    task = own(tmp_path, numbered(40), suffixes=suffixes)
    spec = task.spec(100)
    data = task.load(spec)
    legend = legend_of(data, spec, "words")
    words = [word for word, _ in numbered(40)[0]]
    batch = task.read([" ".join(words), words[0]], legend)
    alone = all_of(data, "train")
    assert batch.targets is None
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [len(words), 1]
    torch.testing.assert_close(batch.inputs[0], alone.inputs[0, : len(words)])

    class Says(nn.Module):
        def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
            logits = torch.zeros(*inputs.shape[:2], len(data.classes))
            logits[..., 1] = 1.0
            return logits

    answers = task.answers(Says(), batch, legend)
    assert [one.said for one in answers] == [(data.classes[1],) * len(words), (data.classes[1],)]
    with pytest.raises(UsageError, match="found the text '  ', expected one with a word in it"):
        task.read(["  "], legend)
