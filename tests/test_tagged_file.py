"""Files of tagged sentences: what is read, what is passed over, and errors that name file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_sentences import WHEEL, conllu, numbered, pairs, write_wheel

from bench.errors import DataError
from bench.tasks.data.tagged_file import read_conllu, read_pairs, read_porttinari, read_tagged_file

REST = "\t_" * 6


def line(number: object, word: str, tag: str) -> str:
    return f"{number}\t{word}\t_\t{tag}{REST}\n"


CONTENT = (
    "# newdoc id = one\n# a\x85b\u2028c\n# text = vai ao mar\n"
    + line(1, "vai", "VERB")
    + line("2-3", "ao", "_")
    + line(2, "a", "ADP")
    + line(3, "o", "DET")
    + line("3.1", "belo", "ADJ")
    + line(4, "mar", "NOUN")
    + "\n\n# sent_id = 2\n"
    + line(1, "#", "X_Y")
)


def test_ranges_empty_nodes_and_comments_are_passed_over() -> None:
    found = read_conllu(CONTENT, "made")
    assert found.words == [("vai", "a", "o", "mar"), ("#",)]
    assert found.tags == [("VERB", "ADP", "DET", "NOUN"), ("X_Y",)]
    assert read_conllu(CONTENT.replace("\n", "\r\n"), "made") == found


def test_pairs_have_a_tab_or_spaces_between_them() -> None:
    found = read_pairs("Ana B-PER\nLima   I-PER\n\n \n# O\nNew York\tB-LOC\n", "made")
    assert found.words == [("Ana", "Lima"), ("#", "New York")]
    assert found.tags == [("B-PER", "I-PER"), ("O", "B-LOC")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (line(1, "a", "ADP") + "2 o DET\n", r"line 2: found 1 column\(s\), expected the 10 of CoNLL-U"),
        (line(1, "a", "ADP") + line(1, "o", "DET"), r"line 2: found the word number '1', expected 2; .*line empty"),
        (line(2, "a", "ADP"), "line 1: found the word number '2', expected 1"),
        (line("x", "a", "ADP"), "line 1: found the word number 'x', expected 1"),
        ("# one\n" + line(1, "a", "_"), "line 2: the tag is empty"),
        (line(1, "", "ADP"), "line 1: the word is empty"),
        ("# only a comment\n\n", "holds no words"),
        ("", "holds no words"),
    ],
)
def test_what_is_wrong_with_a_conllu_file_is_said_with_its_line(content: str, problem: str) -> None:
    with pytest.raises(DataError, match=f"made.conllu: {problem}"):
        read_conllu(content, "made.conllu")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("Ana B-PER\nNew York B-LOC\n", r"line 2: found 3 column\(s\), expected two, .* ends in \.conllu"),
        ("Ana\n", r"line 1: found 1 column\(s\)"),
        ("Ana\t\n", "line 1: the tag is empty"),
        ("\n\n", "holds no words"),
    ],
)
def test_what_is_wrong_with_pairs_is_said_with_its_line(content: str, problem: str) -> None:
    with pytest.raises(DataError, match=f"made.txt: {problem}"):
        read_pairs(content, "made.txt")


def test_the_name_of_a_file_tells_its_form(tmp_path: Path) -> None:
    sentences = numbered(3)
    (tmp_path / "one.CONLLU").write_text(conllu(sentences))
    (tmp_path / "two.txt").write_text("\ufeff" + pairs(sentences, " "))
    found = read_tagged_file(tmp_path / "one.CONLLU")
    assert found == read_tagged_file(tmp_path / "two.txt")
    assert found.words[0] == ("o", "gato0", "dorme", ".")
    with pytest.raises(DataError, match=r"none.txt: cannot be read .*expected a .conllu file"):
        read_tagged_file(tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes("a O\né O\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin.txt: line 2: byte 0xe9 is not UTF-8"):
        read_tagged_file(tmp_path / "latin.txt")


def test_the_treebank_is_read_out_of_its_wheel(tmp_path: Path) -> None:
    assert len(read_porttinari(write_wheel(tmp_path, numbered(5))).words) == 6
    (tmp_path / WHEEL).write_bytes(b"no wheel")
    with pytest.raises(DataError, match=r"cannot be read .* fetch the data again"):
        read_porttinari(tmp_path / WHEEL)
