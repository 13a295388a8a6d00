"""Entities by seqeval's rules: its documented examples, and a plain account of conlleval's rules beside ours."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from bench.tasks.entities import are_entity_tags, entities, entity_scores

TRUE = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
SAID = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]


def test_the_example_of_seqevals_readme() -> None:
    assert entity_scores(SAID, TRUE) == {"entity_f1": 0.5, "entity_precision": 0.5, "entity_recall": 0.5}


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["B-PER", "I-PER", "O", "B-LOC"], {("PER", 0, 2), ("LOC", 3, 4)}),  # the example of seqeval's get_entities
        (["I-NP", "I-NP", "O"], {("NP", 0, 2)}),  # not strict: what nothing began begins here
        (["B-A", "B-A", "I-A"], {("A", 0, 1), ("A", 1, 3)}),
        (["B-A", "I-B", "I-B", "I-A"], {("A", 0, 1), ("B", 1, 3), ("A", 3, 4)}),
        (["B-A", "O", "I-A"], {("A", 0, 1), ("A", 2, 3)}),
        (["B-MY-TYPE", "I-MY-TYPE"], {("MY-TYPE", 0, 2)}),
        (["O", "O"], set()),
        ([], set()),
    ],
)
def test_what_an_entity_is(tags: list[str], found: set[tuple[str, int, int]]) -> None:
    assert entities(tags) == found


def test_scores_count_over_all_sentences() -> None:
    # right: one of three that are there, one of two that are said
    true = [["B-A", "I-A", "O", "B-B"], ["B-A"]]
    said = [["B-A", "I-A", "O", "O"], ["B-B"]]
    found = entity_scores(said, true)
    assert found == pytest.approx({"entity_f1": 2 / 5, "entity_precision": 1 / 2, "entity_recall": 1 / 3})
    nothing = {"entity_f1": 0.0, "entity_precision": 0.0, "entity_recall": 0.0}
    assert entity_scores([["O"]], [["O"]]) == entity_scores([["O"]], [["B-A"]]) == nothing


def by_pairs_of_neighbours(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """conlleval's own way: whether a chunk ends, and whether one starts, between a tag and the one before it."""
    found, begin, before = set(), 0, "O"
    for place, tag in enumerate([*tags, "O"]):
        mark, kind, mark_before, kind_before = tag[0], tag[2:], before[0], before[2:]
        ends = mark_before != "O" and (mark in "BO" or kind != kind_before)
        starts = mark == "B" or (mark == "I" and (mark_before == "O" or kind != kind_before))
        if ends:
            found.add((kind_before, begin, place))
        if starts:
            begin = place
        before = tag
    return found


def test_it_is_conllevals_account_of_any_tags() -> None:
    drawn = random.Random(0)
    for _ in range(500):
        tags = drawn.choices(["O", "B-A", "I-A", "B-B", "I-B"], k=drawn.randint(0, 9))
        assert entities(tags) == by_pairs_of_neighbours(tags)


@pytest.mark.parametrize(
    ("tags", "are"),
    [
        (["O", "B-PER", "I-PER"], True),
        (["B-A"], True),
        (["O"], False),
        (["NOUN", "O"], False),
        (["O", "B-"], False),
        (["O", "B-A", "S-A"], False),
        ([], False),
    ],
)
def test_which_tags_are_of_entities(tags: list[str], *, are: bool) -> None:
    assert are_entity_tags(tags) is are
