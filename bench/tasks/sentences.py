"""Sentences to words and marks, and back; and how near a translation is to those that are right. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

# Raised whenever the same sentence would become other words.
SENTENCES_VERSION = 1

_WORD = re.compile(r"\d+(?:[.,:]\d+)+|\w+(?:['’-]\w+)*|[^\w\s]")
_CLOSING = frozenset(".,;:!?…%)]}»”’")
_OPENING = frozenset("¿¡([{«“‘")
_EITHER = '"'


def marked_words(sentence: str) -> list[str]:
    """Words in small letters, and each mark by itself; numbers and what hyphens join stay together.

    >>> marked_words("¿Don't, at 10:30?")
    ['¿', "don't", ',', 'at', '10:30', '?']
    """
    return _WORD.findall(sentence.lower())


def joined(words: Iterable[str]) -> str:
    """Words and marks as a sentence: no space before a mark that closes, nor after one that opens.

    >>> joined(['¿', "don't", ',', 'at', '10:30', '?'])
    "¿don't, at 10:30?"
    """
    sentence, is_bound, quotes = "", True, 0
    for word in words:
        opens, closes = word in _OPENING, word in _CLOSING
        if word == _EITHER:
            opens, closes, quotes = quotes % 2 == 0, quotes % 2 == 1, quotes + 1
        sentence += word if is_bound or closes else f" {word}"
        is_bound = opens
    return sentence


def bleu(written: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """BLEU of a corpus, 0 to 100, over all references: sacrebleu's, small letters and capitals alike.

    Source: Papineni et al. 2002; Post 2018. Its signature is `nrefs:var|case:lc|eff:no|tok:13a|smooth:exp`.
    """
    # imported here: a child that only measures speed never scores
    from sacrebleu.metrics.bleu import BLEU

    return float(BLEU(lowercase=True).corpus_score(written, _streams(references)).score)


def chrf(written: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """The chrF2 of a corpus, 0 to 100: runs of up to six characters instead of words; sacrebleu's, as `bleu` is.

    Source: Popović 2015. Its signature is `nrefs:var|case:lc|eff:yes|nc:6|nw:0|space:no`.
    """
    from sacrebleu.metrics.chrf import CHRF

    return float(CHRF(lowercase=True).corpus_score(written, _streams(references)).score)


def _streams(references: Sequence[Sequence[str]]) -> list[list[Any]]:
    """As sacrebleu takes them: the first of every sentence, the second, ..., None where there is none."""
    most = max(map(len, references))
    return [[some[place] if place < len(some) else None for some in references] for place in range(most)]
