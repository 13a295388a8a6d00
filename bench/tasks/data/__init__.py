"""Real data: which sets there are, whether they are here, how they are brought and checked. No torch.

The command line uses `sources`, `status`, `fetch` and `verify`; tasks use `needed` and `fetch`.
"""

from __future__ import annotations

from bench.errors import DataError
from bench.tasks.data.cache import shown
from bench.tasks.data.items import read_reviews, read_sentences
from bench.tasks.data.providers import DATA_VARIABLE, Found, Progress, fetch, find
from bench.tasks.data.sources import IMDB, ROTTEN_TOMATOES, Source, needed, needed_by, sources

__all__ = [
    "DATA_VARIABLE",
    "Found",
    "Progress",
    "Source",
    "fetch",
    "needed",
    "needed_by",
    "sources",
    "status",
    "verify",
]

_TEXTS = {IMDB.name: read_reviews, ROTTEN_TOMATOES.name: read_sentences}


def status(source: Source) -> Found | None:
    """Where the data set is on this machine, its checksum seen to be right; None where it is missing or damaged."""
    return find(source)[0]


def verify(source: Source) -> Found:
    """The data set as it lies here, after reading all of it.

    Raises:
        DataError: it is missing, damaged, or not what the original holds.
    """
    found, reasons = find(source)
    if found is None:
        raise DataError(f"{source.name}: not here ({'; '.join(reasons)}); run `bench data fetch {source.name}`")
    if source.content_sha256:
        items = _TEXTS[source.name](found.path)
        if items.sha256() != source.content_sha256:
            raise DataError(
                f"{shown(found.path)}: its {len(items.texts):,} items are not those of the original ({source.summary}); "
                "results from it do not compare with others'"
            )
    return found
