"""Where fetched and prepared data lie on this machine. Files appear there whole or not at all."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.generic]]


def data_folder() -> Path:
    """The folder of fetched files, as they came; it may not exist yet."""
    return platformdirs.user_cache_path("bench") / "data"


def file_sha256(path: Path) -> str:
    """Checksum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def part_path(folder: Path, name: str) -> Path:
    """Where a folder has a file that may be gzipped: under its name, else under `NAME.gz`."""
    plain = folder / name
    return plain if plain.is_file() else folder / f"{name}.gz"


def open_part(path: Path) -> BufferedIOBase:
    """A file to read, without gzip where its name ends in `.gz`."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def shown(text: Path | str) -> str:
    """A path, or a sentence with paths in it, for people and records: the home folder may tell a name, so it becomes `~`."""
    home = Path.home()
    return str(text) if home == Path(home.anchor) else str(text).replace(f"{home}{os.sep}", f"~{os.sep}")


def prepared(key: str, make: Callable[[], Arrays], names: Sequence[str] = ()) -> Arrays:
    """Arrays that are slow to make, kept under a key that must name everything they depend on; `names` are read, or all.

    A damaged file is made again. Where nothing can be written the arrays are made each time.
    """
    path = platformdirs.user_cache_path("bench") / "prepared" / f"{key}.npz"
    # a damaged archive shows as any of these; reading every array compares its checksum
    damaged = contextlib.suppress(OSError, ValueError, EOFError, zipfile.BadZipFile)
    # opened here: numpy leaves the file open when it is no archive
    with damaged, path.open("rb") as file, np.load(file) as archive:
        return {name: archive[name] for name in names or archive.files}
    arrays = make()
    # a cache is a convenience: a read-only or full disk must not stop a fit whose data are in memory
    with contextlib.suppress(OSError):
        _write(path, arrays)
    return arrays


def _write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-") as folder:
        made = Path(folder) / path.name
        np.savez(made, **arrays)  # type: ignore[arg-type]  # one keyword of its own among the arrays'
        os.replace(made, path)  # noqa: PTH105 - replaces also where a file stands
