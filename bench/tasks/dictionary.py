"""A dictionary from pairs of sentences alone, word by word: the floor that whoever translates must beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.tasks.target_tokens import TokenPairs

Ids = NDArray[Any]

ROUNDS = 5
# Raised whenever the same pairs would give another dictionary.
DICTIONARY_VERSION = 1
NO_WORD_ID = 0
"""Stands in every source: what a target word comes from that no source word stands for. Sources have no padding here."""


def word_table(pairs: TokenPairs, first_target_id: int) -> Ids:
    """Of each source id the target id that most likely stands for it; 0 where none is known. Lower ids go first.

    Source: Brown et al. 1993, The Mathematics of Statistical Machine Translation, model 1: a target word comes from one of
    the words of its source, any place as likely as another; what each word becomes is learnt in rounds of EM.
    Target ids below `first_target_id` are no words, and stand for nothing. U kinds of links, N links, P target words.
    """
    source_N, target_N, counts_P = _links(pairs)
    kinds = int(target_N.max()) + 1
    codes_U, pair_N = np.unique(source_N * kinds + target_N, return_inverse=True)
    source_U, target_U = np.divmod(codes_U, kinds)
    begins_P = np.cumsum(counts_P) - counts_P
    becomes_U = np.ones(len(codes_U))
    for _ in range(ROUNDS):
        share_N = becomes_U[pair_N]
        share_N /= np.repeat(np.add.reduceat(share_N, begins_P), counts_P)
        expected_U = np.bincount(pair_N, share_N)
        becomes_U = expected_U / np.bincount(source_U, expected_U)[source_U]
    is_word_U = (target_U >= first_target_id) & (source_U != NO_WORD_ID)
    # assigned from the least likely on, so that the likeliest stays; of equals the lowest id
    rising = np.lexsort((-target_U, becomes_U))
    rising = rising[is_word_U[rising]]
    table = np.zeros(int(source_N.max()) + 1, dtype=np.int64)
    table[source_U[rising]] = target_U[rising]
    return table


def _links(pairs: TokenPairs) -> tuple[Ids, Ids, Ids]:
    """Every target word beside every word of its source, `NO_WORD_ID` first: ids of both, and how many each target word has."""
    begins, lengths = pairs.source_offsets[:-1], np.diff(pairs.source_offsets) + 1
    with_none = np.insert(pairs.source_ids.astype(np.int64), begins, NO_WORD_ID)
    begins = begins + np.arange(len(begins))
    sentence_P = np.repeat(np.arange(len(lengths)), np.diff(pairs.target_offsets))
    counts_P = lengths[sentence_P]
    within_N = np.arange(counts_P.sum()) - np.repeat(np.cumsum(counts_P) - counts_P, counts_P)
    source_N = with_none[np.repeat(begins[sentence_P], counts_P) + within_N]
    return source_N, np.repeat(pairs.target_ids.astype(np.int64), counts_P), counts_P
