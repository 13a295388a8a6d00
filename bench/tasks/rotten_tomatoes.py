"""`rotten-tomatoes`: is a sentence of a film review negative or positive? A few words in, one class out.

Exact repeats would be dropped first (there are none). Of each class, in file order, the last fifth is test and the tenth before
it validation. The order says nothing about films: neighbours share rare words no more often than any two sentences do, so
sentences about one film are on all sides, as in every split of this set.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.options import option
from bench.tasks import task
from bench.tasks.data.cache import Arrays, shown
from bench.tasks.data.items import read_sentences
from bench.tasks.data.providers import fetch
from bench.tasks.data.sources import ROTTEN_TOMATOES
from bench.tasks.text import VOCABULARY_SIZE, TextTask, prepare
from bench.tasks.wordpieces import WordPieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `rotten-tomatoes`."""

    vocabulary_size: int = option(VOCABULARY_SIZE, "Number of ids, padding and the unknown word included.", at_least=3)


@task(
    "rotten-tomatoes",
    summary="many-to-one: 8,530 sentences of film reviews, negative or positive",
    source="Pang & Lee 2005",
    options=Options,
)
class RottenTomatoes(TextTask):
    """Sentences of film reviews; see the module."""

    name = "rotten-tomatoes"
    class_count = 2
    chance = 0.5

    def __init__(self, options: Options) -> None:
        self.vocabulary_size = options.vocabulary_size

    def arrays(self, *names: str, pieces: WordPieces | None = None) -> Arrays:
        """The encoded sentences, fetched if they are not here."""
        found = fetch(ROTTEN_TOMATOES)
        # the file is that of `imdb` too, so its identity alone would be the key of those reviews
        identity = [found.identity, self.name]
        return prepare(
            identity, self.vocabulary_size, shown(found.path), lambda: read_sentences(found.path), names, pieces
        )
