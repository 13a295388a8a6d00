"""Named entities in sequences of tags, and how many of them were found: by the rules of conlleval, as in seqeval.

An entity is a run of `B-TYPE` and the `I-TYPE` after it. An `I-TYPE` that goes on from nothing, or from another type, begins
one too. An entity is right where its first word, its last word and its type are.

Source: Tjong Kim Sang & Buchholz 2000, Introduction to the CoNLL-2000 Shared Task: Chunking (conlleval); Nakayama 2018, seqeval
(`mode=None`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

OUTSIDE = "O"
_MARKS = ("B-", "I-")

Entity = tuple[str, int, int]
"""Type, first word, and the word after the last."""


def are_entity_tags(tags: Iterable[str]) -> bool:
    """Whether all of them are `O`, `B-TYPE` or `I-TYPE`, and not only `O`."""
    found = set(tags) - {OUTSIDE}
    return bool(found) and all(tag.startswith(_MARKS) and len(tag) > 2 for tag in found)


def entities(tags: Sequence[str]) -> set[Entity]:
    """The entities of a sentence."""
    found: set[Entity] = set()
    kind, begin = "", 0
    for place, tag in enumerate((*tags, OUTSIDE)):
        if tag.startswith("I-") and tag[2:] == kind:
            continue
        if kind:
            found.add((kind, begin, place))
        kind, begin = tag[2:], place
    return found


def entity_scores(predicted: Iterable[Sequence[str]], expected: Iterable[Sequence[str]]) -> dict[str, float]:
    """F1, precision and recall over the entities of all sentences, of whatever type; 0 where nothing can be divided."""
    right = said = there = 0
    for guessed, true in zip(predicted, expected, strict=True):
        found, known = entities(guessed), entities(true)
        right, said, there = right + len(found & known), said + len(found), there + len(known)
    return {
        "entity_f1": 2 * right / (said + there) if said + there else 0.0,
        "entity_precision": right / said if said else 0.0,
        "entity_recall": right / there if there else 0.0,
    }
