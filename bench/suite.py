"""Suite files: found by name or path, listed, and loaded into a `Suite`. No torch, and no pydantic until one is loaded."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.errors import SuiteError, UsageError
from bench.registry import did_you_mean

if TYPE_CHECKING:
    from bench.suite_file import ArchitectureEntry, SuiteFile, TaskEntry

# Suites are written by hand; a file beyond this size is something else, and could keep the parser busy for minutes.
LARGEST_FILE_BYTES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite file that was read.

    Attributes:
        where: the file as error sentences name it.
        text: the file itself, to be kept beside results.
        content: its tables, right in shape; None where there are problems.
        tasks, architectures: the entries that are right in themselves, by their place in the file.
        options: dotted keys that the command line set, with the option that did.
        problems: what is wrong with its shape; `bench.plan.resolve` raises it together with what it finds in the names.
    """

    path: Path
    where: str
    text: str
    content: SuiteFile | None
    tasks: Mapping[int, TaskEntry]
    architectures: Mapping[int, ArchitectureEntry]
    imports: tuple[str, ...]
    options: Mapping[str, str]
    problems: tuple[str, ...]

    def sentence(self, problem: str) -> str:
        """A problem with its place in front: the file or, where the command line set that key, its option."""
        for key, option in self.options.items():
            if problem.startswith((f"'{key}'", f"'{key}.", f"[[{key}]]")):
                return f"{option}: {problem}"
        return f"{self.where}: {problem}"


class Entry(NamedTuple):
    """One line of `bench list suites`."""

    name: str
    description: str
    path: Path


def folders() -> list[Path]:
    """Where suites are looked up by name: `suites` in the working folder, then those that ship with the package."""
    package = Path(__file__).parent
    shipped = package / "suites"  # in a wheel; a checkout has them beside the package
    return [Path("suites"), shipped if shipped.is_dir() else package.parent / "suites"]


def find(name_or_path: str) -> Path:
    """The file of a suite: a path where it looks like one, else a name that is looked up.

    Raises:
        UsageError: no folder holds a suite of that name.
    """
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        return Path(name_or_path)
    paths = _named()
    if name_or_path in paths:
        return paths[name_or_path]
    raise UsageError(
        f"suite '{name_or_path}' is unknown; {did_you_mean(name_or_path, paths)} "
        f"(a file is given by its path, such as ./{name_or_path}.toml)"
    )


def catalogue() -> list[Entry]:
    """Every suite that has a name; of a file that cannot be read the description says why."""
    return [Entry(name, _description(path), path) for name, path in sorted(_named().items())]


def _named() -> dict[str, Path]:
    return {path.stem: path for folder in reversed(folders()) for path in folder.glob("*.toml")}


def _description(path: Path) -> str:
    try:
        return str(_parse(_read(path), _shown(path)).get("description", ""))
    except SuiteError as error:
        return f"cannot be read: {error}"


def load(path: Path, overrides: Sequence[str] = (), everywhere: Mapping[str, object] | None = None) -> Suite:
    """Read a suite file and check its shape; names in it are resolved by `bench.plan.resolve`.

    Args:
        path: the file, as `find` gives it.
        overrides: what `--set` was given, such as `accuracy.epochs=1`: a dotted key and a TOML value.
        everywhere: values for every table of one kind, under `speed.KEY` or `architecture.KEY`.

    Raises:
        SuiteError: the file cannot be read or is not TOML.
        UsageError: an override is not of that form.
    """
    from bench.suite_check import read  # pydantic is slow to import, and listing suites needs none of it

    where = _shown(path)
    text = _read(path)
    tables = _parse(text, where)
    options = {set_key(tables, option): f"--set {option}" for option in overrides}
    for key, value in (everywhere or {}).items():
        _set_everywhere(tables, key, value)
    return read(tables, path=path, where=where, text=text, options=options)


def _shown(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _read(path: Path) -> str:
    where = _shown(path)
    try:
        if path.is_dir():
            raise SuiteError([f"{where}: this is a folder; name one .toml file in it"])
        if not path.exists():
            raise SuiteError([f"{where}: there is no such file; `bench list suites` shows those that have a name"])
        size = path.stat().st_size
        if size > LARGEST_FILE_BYTES or not path.is_file():
            raise SuiteError(
                [
                    f"{where}: {size:,} bytes found; expected a plain file of at most {LARGEST_FILE_BYTES:,}: is it a suite?"
                ]
            )
        # the mark that some editors put in front is no part of the text
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SuiteError([f"{where}: byte {error.start + 1} is not UTF-8; save the file in that encoding"]) from error
    except (OSError, ValueError) as error:
        raise SuiteError([f"{where}: cannot be read ({error})"]) from error
    if not text.strip():
        raise SuiteError([f"{where}: the file is empty; copy one that `bench list suites` shows, and change it"])
    return text


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise SuiteError([f"{where}: brackets are nested too deeply; no key of a suite needs more than two"]) from error
    except ValueError as error:  # bad syntax, or a number with thousands of digits
        raise SuiteError([f"{where}: this is not TOML: {error}"]) from error


def _set_everywhere(tables: dict[str, Any], key: str, value: object) -> None:
    """Give every table of axes, or every architecture, this value; what is wrong with it is told as of any other key."""
    kind, _, name = key.partition(".")
    listed = tables.get("architecture")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    axes = [tables.get("speed"), *(entry.get("speed") for entry in entries)]
    for table in axes if kind == "speed" else entries:
        if isinstance(table, dict):
            table[name] = value


def set_key(tables: dict[str, Any], option: str) -> str:
    """Write one `key=value`, as `--set` is given it, into the tables and answer its key.

    Raises:
        UsageError: it is not of that form, or the value is no TOML.
    """
    key, equals, value = option.partition("=")
    *path, name = parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"--set {option}: expected key=value, such as accuracy.epochs=1 or speed.batch_sizes=[1]")
    table: Any = tables
    for part in path:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise UsageError(f"--set {option}: '{part}' is no table; --set reaches keys such as speed.batch_sizes")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"--set {option}: '{value}' is not a TOML value; expected one such as 3, [1, 32] or, with its quotes, \"text\""
        ) from error
    table[name] = parsed["value"]
    return ".".join(parts)
