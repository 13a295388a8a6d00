"""`imdb`: is a film review negative or positive? Many words in, one class out.

Exact repeats (96 of 25,000) are dropped first. Of each class, in file order, the last fifth is test and the tenth before
it validation: reviews of one film stand together, so that hardly a film is on two sides.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.options import option
from bench.tasks import task
from bench.tasks.data.cache import Arrays, shown
from bench.tasks.data.items import read_reviews
from bench.tasks.data.providers import fetch
from bench.tasks.data.sources import IMDB
from bench.tasks.text import VOCABULARY_SIZE, TextTask, prepare
from bench.tasks.wordpieces import WordPieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `imdb`."""

    vocabulary_size: int = option(VOCABULARY_SIZE, "Number of ids, padding and the unknown word included.", at_least=3)


@task(
    "imdb",
    summary="many-to-one: 25,000 film reviews, negative or positive",
    source="Maas et al. 2011",
    options=Options,
)
class Imdb(TextTask):
    """Film reviews; see the module."""

    name = "imdb"
    class_count = 2
    chance = 0.5

    def __init__(self, options: Options) -> None:
        self.vocabulary_size = options.vocabulary_size

    def arrays(self, *names: str, pieces: WordPieces | None = None) -> Arrays:
        """The encoded reviews, fetched if they are not here."""
        found = fetch(IMDB)
        return prepare(
            found.identity, self.vocabulary_size, shown(found.path), lambda: read_reviews(found.path), names, pieces
        )
