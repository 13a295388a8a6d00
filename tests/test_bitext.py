"""Sentences and their words, dictionaries, splits by the source, and floors: against plain loops and numbers found by hand."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest

from bench.errors import DataError
from bench.tasks.bitext import Item, Sizes, floors, prepare, split_by_source
from bench.tasks.data.pairs import Pairs
from bench.tasks.dictionary import ROUNDS, word_table
from bench.tasks.sentences import bleu, chrf, joined, marked_words
from bench.tasks.target_tokens import TokenPairs
from bench.tasks.words import UNKNOWN_WORD, encode, spelt

SIZES = Sizes(length=10, vocabulary_size=1_000, train_items=1_000)


# ── sentences ──


@pytest.mark.parametrize(
    ("sentence", "words", "back"),
    [
        ("¿Qué hora es?", ["¿", "qué", "hora", "es", "?"], "¿qué hora es?"),
        ("I don't know, Tom.", ["i", "don't", "know", ",", "tom", "."], "i don't know, tom."),
        (
            'She said "yes" at 10:30.',
            ["she", "said", '"', "yes", '"', "at", "10:30", "."],
            'she said "yes" at 10:30.',
        ),
        ("It's 1,234.5 or (twenty-one)!", None, "it's 1,234.5 or (twenty-one)!"),
        ("«Sí», dijo — ¡no!…", None, "«sí», dijo — ¡no!…"),
        ("  ", [], ""),
    ],
)
def test_words_and_marks_and_back(sentence: str, words: list[str] | None, back: str) -> None:
    found = marked_words(sentence)
    assert words is None or found == words
    assert joined(found) == back
    assert marked_words(back) == found


def test_ids_of_no_word_are_spelt_as_unknown() -> None:
    assert list(spelt([3, 0, 1, 2, 9], ("", "", "a", "b"))) == ["b", UNKNOWN_WORD, UNKNOWN_WORD, "a", UNKNOWN_WORD]


def test_bleu_is_that_of_the_formula() -> None:
    # runs of 1, 2, 3, 4 words: 5/5, 3/4, 2/3, 1/2; five words for six
    by_hand = 100 * math.exp(1 - 6 / 5) * (1 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert bleu(["The cat sat on mat"], [["the cat sat on the mat"]]) == pytest.approx(by_hand)
    assert bleu(["the cat sat on mat"], [["the cat sat on the mat", "The cat sat on mat"]]) == pytest.approx(100)
    assert bleu(["it is", "the cat sat on the mat"], [["it is"], ["the cat sat on the mat", "a"]]) == pytest.approx(100)
    assert bleu(["¿qué?", "no, tom."], [["¿QUÉ?"], ["No , Tom ."]]) == pytest.approx(100)


def test_a_word_of_no_vocabulary_is_one_wrong_word() -> None:
    said = bleu([f"the cat sat on {UNKNOWN_WORD} today"], [["the cat sat on mats today"]])
    assert said == pytest.approx(bleu(["the cat sat on dogs today"], [["the cat sat on mats today"]]))
    assert said == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)


def test_chrf_counts_runs_of_characters() -> None:
    # of one: a, b of a, b, c; of two: ab of ab, bc; there are none of three; recall counts twice as much
    precision, recall = (2 / 2 + 1 / 1) / 2, (2 / 3 + 1 / 2) / 2
    by_hand = 100 * 5 * precision * recall / (4 * precision + recall)
    assert chrf(["A b"], [["abc"]]) == pytest.approx(by_hand)
    assert chrf(["abc", "d"], [["ABC"], ["x", "d"]]) == pytest.approx(100)


# ── dictionaries ──


def ids_of(sentences: list[str], first_id: int) -> tuple[Any, Any, dict[str, int]]:
    words = dict.fromkeys(word for sentence in sentences for word in sentence.split())
    known = {word: place for place, word in enumerate(words, first_id)}
    return *encode((sentence.split() for sentence in sentences), known), known


def table_of(pairs: list[tuple[str, str]]) -> tuple[dict[str, str], TokenPairs]:
    sources, source_offsets, known = ids_of([one for one, _ in pairs], 2)
    targets, target_offsets, target_known = ids_of([other for _, other in pairs], 4)
    bitext = TokenPairs(
        source_ids=sources, source_offsets=source_offsets, target_ids=targets, target_offsets=target_offsets
    )
    table, back = word_table(bitext, 4), {place: word for word, place in target_known.items()}
    return {word: back.get(int(table[place]), "") for word, place in known.items()}, bitext


def test_a_dictionary_is_learnt_from_what_stands_together() -> None:
    pairs = [("the house", "das haus"), ("the book", "das buch"), ("a book", "ein buch")]
    assert table_of(pairs)[0] == {"the": "das", "house": "haus", "book": "buch", "a": "ein"}


def loops(bitext: TokenPairs) -> dict[tuple[int, int], float]:
    """Model 1 as Brown et al. write it, one link after the other."""
    pairs = [
        ([0, *bitext.source_ids[one:other].tolist()], bitext.target_ids[begin:end].tolist())
        for one, other, begin, end in zip(
            bitext.source_offsets,
            bitext.source_offsets[1:],
            bitext.target_offsets,
            bitext.target_offsets[1:],
            strict=False,
        )
    ]
    becomes: dict[tuple[int, int], float] = defaultdict(lambda: 1.0)
    for _ in range(ROUNDS):
        counts: dict[tuple[int, int], float] = defaultdict(float)
        totals: dict[int, float] = defaultdict(float)
        for source, target in pairs:
            for word in target:
                whole = sum(becomes[one, word] for one in source)
                for one in source:
                    counts[one, word] += becomes[one, word] / whole
                    totals[one] += becomes[one, word] / whole
        becomes = defaultdict(float, {link: count / totals[link[0]] for link, count in counts.items()})
    return becomes


def test_a_dictionary_is_that_of_a_plain_loop() -> None:
    random = np.random.RandomState(0)
    letters = "abcdefgh"
    pairs = []
    for _ in range(60):
        source = [letters[place] for place in random.randint(8, size=random.randint(1, 6))]
        target = [one.upper() for one in source if random.rand() < 0.8] + ["X"] * random.randint(1, 3)
        pairs.append((" ".join(source), " ".join(target)))
    found, bitext = table_of(pairs)
    becomes = loops(bitext)
    best: dict[int, float] = defaultdict(float)
    for (source, target), value in becomes.items():
        if target >= 4:
            best[source] = max(best[source], value)
    table = word_table(bitext, 4)
    for source in range(2, len(table)):
        assert becomes[source, int(table[source])] == pytest.approx(best[source])
    assert found == {letter: letter.upper() for letter in found}


def test_words_that_stand_for_nothing_have_no_entry() -> None:
    bitext = TokenPairs(
        source_ids=np.array([2, 1, 3]),
        source_offsets=np.array([0, 2, 3]),
        target_ids=np.array([4, 1, 1]),
        target_offsets=np.array([0, 2, 3]),
    )
    assert word_table(bitext, 4).tolist()[2:] == [4, 0]
    # of equals the lowest id
    ends = {"source_offsets": np.array([0, 1]), "target_offsets": np.array([0, 2])}
    two = TokenPairs(source_ids=np.array([2]), target_ids=np.array([6, 5]), **ends)
    assert word_table(two, 4).tolist() == [0, 0, 5]


# ── splits ──


def made(count: int) -> Pairs:
    """Sentences of their own with two translations each, and one that differs in its marks alone."""
    sources = [f"word{place} here{mark}" for place in range(count) for mark in (".", ".", "!")]
    targets = [f"palabra{place} {last}" for place in range(count) for last in ("aquí.", "acá.", "¡aquí!")]
    return Pairs(sources=sources, targets=targets)


def test_a_sentence_is_in_one_split_with_all_of_its_translations() -> None:
    parts = split_by_source(made(40), SIZES, "made")
    assert {name: len(items) for name, items in parts.items()} == {"train": 28 * 3, "validation": 4, "test": 8}
    numbers = {name: {item.words[0] for item in items} for name, items in parts.items()}
    assert not numbers["train"] & numbers["test"] | numbers["train"] & numbers["validation"]
    assert not numbers["test"] & numbers["validation"]
    for item in (*parts["test"], *parts["validation"]):
        number = item.words[0].removeprefix("word")
        assert item.source == f"word{number} here."
        assert item.references == (f"palabra{number} aquí.", f"palabra{number} acá.")
        assert item.target_words == (f"palabra{number}", "aquí", ".")
    assert all(not item.references for item in parts["train"])


def test_the_split_depends_on_sentences_alone() -> None:
    first = split_by_source(made(40), SIZES, "made")
    pairs = made(40)
    turned = Pairs(
        sources=[*pairs.sources[60:], *pairs.sources[:60]], targets=[*pairs.targets[60:], *pairs.targets[:60]]
    )
    other = split_by_source(turned, SIZES, "made")
    assert {name: [item.words for item in first[name]] for name in first} == {
        name: [item.words for item in other[name]] for name in other
    }


def test_of_enough_sentences_two_thousand_are_tested() -> None:
    sources = [f"word{place}" for place in range(12_000)]
    parts = split_by_source(Pairs(sources=sources, targets=sources), SIZES, "made")
    assert {name: len(items) for name, items in parts.items()} == {"train": 1_000, "validation": 1_000, "test": 2_000}


def test_longer_pairs_are_left_out_and_repeats_dropped() -> None:
    pairs = made(20)
    longer = Pairs(
        sources=[*pairs.sources, "a b c d", "a", "?", *pairs.sources],
        targets=[*pairs.targets, "a", "a b c d", "", *pairs.targets],
    )
    sizes = Sizes(length=3, vocabulary_size=100, train_items=1_000)
    found = split_by_source(longer, sizes, "made")
    assert found == split_by_source(pairs, sizes, "made") | {"train": found["train"]}
    assert len(found["train"]) == 14 * 2, "'palabra1 ¡aquí!' is four words and marks"
    assert len(found["train"]) == len({(item.words, item.target_words) for item in found["train"]})


def test_too_few_sentences_are_an_error() -> None:
    with pytest.raises(
        DataError, match=r"made: has 9 different sentences of at most 10 words and marks .* at least 10"
    ):
        split_by_source(made(9), SIZES, "made")


# ── floors, and what is kept ──


def test_floors_are_copying_and_word_by_word() -> None:
    tests = [
        Item(source=source, target="", words=tuple(marked_words(source)), target_words=(), references=references)
        for source, references in (("The cat sleeps.", ("El gato duerme.",)), ("Tom?", ("¿Tom?", "Tom?")))
    ]
    found = floors(tests, {"the": "el", "cat": "gato", ".": ".", "sleeps": "come"})
    # 13a sets marks apart: four words and marks and two. Right of word by word: 5 of 6, 2 of 4, then 0 of 2 and of 1
    assert found["word by word"] == pytest.approx(bleu(["el gato come.", "Tom?"], [["el gato duerme."], ["Tom?"]]))
    assert found["word by word"] == pytest.approx(100 * (5 / 6 * 2 / 4 * 1 / (2 * 2) * 1 / (4 * 1)) ** 0.25)
    assert found["source copied"] == pytest.approx(100 * (3 / 6 * 1 / 4 * 1 / (2 * 2) * 1 / (4 * 1)) ** 0.25)


def test_what_is_kept_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / name)
    first = prepare("made", SIZES, "made", lambda: made(40))

    def never() -> Pairs:
        raise AssertionError("it is kept")

    again = prepare("made", SIZES, "made", never)
    assert {name: first[name].tolist() for name in first} == {name: again[name].tolist() for name in again}
    others = [
        prepare("made", Sizes(length=3, vocabulary_size=1_000, train_items=1_000), "made", lambda: made(40)),
        prepare("made", Sizes(length=10, vocabulary_size=9, train_items=1_000), "made", lambda: made(40)),
        prepare("made", Sizes(length=10, vocabulary_size=1_000, train_items=5), "made", lambda: made(40)),
        prepare("other", SIZES, "made", lambda: made(41)),
    ]
    assert len({str(arrays["fingerprint"]) for arrays in (first, *others)}) == 5


def test_vocabularies_are_of_the_training_split_and_of_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / name)
    arrays = prepare("made", SIZES, "made", lambda: made(40))
    words, target_words = arrays["words"].tolist(), arrays["target_words"].tolist()
    assert words[:5] == ["", "", "here", ".", "!"]
    assert target_words[:6] == ["", "", "", "", ".", "aquí"]
    trained = {item.words[0] for item in split_by_source(made(40), SIZES, "made")["train"]}
    assert {word for word in words if word.startswith("word")} == trained
    assert (arrays["test_source_ids"] == 1).sum() == 8, "each word of its own is unknown"
    assert not (arrays["train_source_ids"] == 1).any()
    small = prepare("made", Sizes(length=10, vocabulary_size=6, train_items=1_000), "made", lambda: made(40))
    assert (len(small["words"]), len(small["target_words"])) == (6, 6)
    assert int(small["train_target_ids"].max()) == 5
