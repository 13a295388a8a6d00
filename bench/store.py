"""Run folders: `run.json` once, then one observation a line in `cases.jsonl`, on disk before the next is measured."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

# three times as fast as the standard library's: `check` reads files of 10,000 cases
from pydantic_core import from_json as parse

from bench.codec import dumps, from_json, to_json
from bench.errors import NotComparableError, StoreError, UsageError
from bench.machines import change, differences
from bench.observations import OBSERVATIONS, CaseResult, End, Observation, gather
from bench.records import SCHEMA_VERSION, Machine, PassKind, Run

RUN_FILE = "run.json"
CASES_FILE = "cases.jsonl"


@dataclass(slots=True, kw_only=True)
class RunFolder:
    """One run on disk; `torn` says that its last line was half-written and has been left out."""

    path: Path
    run: Run
    observations: list[Observation] = field(default_factory=list)
    torn: bool = False
    _descriptor: int | None = None

    @property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return any(isinstance(observation, End) for observation in self.observations)

    def results(self) -> list[CaseResult]:
        """What was observed, by case, in the order of the plan."""
        return gather(self.run.plan, self.observations)

    def take(self) -> None:
        """Make this process the only one that appends, and cut a torn last line off.

        Raises:
            StoreError: another process is at work in this folder, or it cannot be written.
        """
        path = self.path / CASES_FILE
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written ({error.strerror}); {_HELP}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreError(
                f"{self.path}: another `bench run` is at work here; wait for it or start a new run"
            ) from None
        self._descriptor = descriptor
        if self.torn:
            os.ftruncate(descriptor, path.read_bytes().rfind(b"\n") + 1)
            self.torn = False

    def close(self) -> None:
        """Let others append."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def append(self, observation: Observation) -> None:
        """Write one observation as a line and wait until it is on the disk.

        Raises:
            StoreError: the disk is full or the folder is gone; what was written before stays.
        """
        if self._descriptor is None:
            self.take()
        assert self._descriptor is not None
        try:
            _write(self._descriptor, line_of(observation).encode())
        except OSError as error:
            raise StoreError(f"{self.path / CASES_FILE}: cannot be written ({error.strerror}); {_HELP}") from error
        self.observations.append(observation)


def line_of(observation: Observation, *, sparse: bool = False) -> str:
    """An observation as a line of `cases.jsonl`; a sparse one leaves out what is as it is by default."""
    document = to_json(observation)
    assert isinstance(document, dict)
    if sparse:
        usual = _defaults(type(observation))  # type: ignore[arg-type]  # a class is hashable
        document = {key: value for key, value in document.items() if key not in usual or usual[key] != value}
    return dumps({"kind": type(observation).__name__.lower(), **document}) + "\n"


@cache
def _defaults(cls: type) -> dict[str, Any]:
    """What fields that need not be given hold if they are not, as JSON."""
    found = {}
    for one in fields(cls):
        if one.default is not MISSING:
            found[one.name] = to_json(one.default)
        elif one.default_factory is not MISSING:
            found[one.name] = to_json(one.default_factory())
    return found


_HELP = "free some space or name another folder with --results, then go on with --resume"


def _write(descriptor: int, line: bytes) -> None:
    """All of the line or nothing: what a full disk cut off is taken back."""
    before = os.fstat(descriptor).st_size
    try:
        written = 0
        while written < len(line):
            written += os.write(descriptor, line[written:])
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def run_id(created: str, suite: str) -> str:
    """A new name that sorts by time: `20260102T030405Z-quick-1a2b3c`."""
    moment = created[:19].replace("-", "").replace(":", "")
    return f"{moment}Z-{suite}-{secrets.token_hex(3)}"


def create(results: Path, run: Run, name: str = "") -> RunFolder:
    """Make the folder of a new run, named by its id if no other name is given, and write `run.json`.

    Raises:
        StoreError: it cannot be made or written, or is there already (two runs never share a folder).
    """
    path = results / (name or run.run_id)
    try:
        results.mkdir(parents=True, exist_ok=True)
        path.mkdir()
        beside = path / f"{RUN_FILE}.part"
        beside.write_text(json.dumps(to_json(run), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        beside.replace(path / RUN_FILE)
    except OSError as error:
        raise StoreError(
            f"{results}: cannot keep results ({error.strerror}); free some space or name another folder with --results"
        ) from error
    folder = RunFolder(path=path, run=run)
    folder.take()
    return folder


@contextmanager
def without_collector() -> Iterator[None]:
    """While this is open, memory is not searched for cycles: records have none, and searching took a quarter of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def open_run(path: Path) -> RunFolder:
    """Read a run back; a torn last line is left out, so that what follows it starts on a line of its own.

    Raises:
        StoreError: it is no run, or it is damaged.
        NotComparableError: a newer version wrote it.
    """
    with without_collector():
        run = read_run(path)
        lines, torn = _lines(path / CASES_FILE)
        known = {case.id for case in run.plan.cases}
        observations = [_observation(path, number, line, known) for number, line in enumerate(lines, 1) if line.strip()]
    return RunFolder(path=path, run=run, observations=observations, torn=torn)


def read_run(path: Path) -> Run:
    """The run of a folder, without what was observed.

    Raises:
        StoreError: it is no run, or it is damaged.
        NotComparableError: a newer version wrote it.
    """
    document = _document_of(path)
    try:
        return from_json(Run, _upgraded_run(document))
    except (TypeError, ValueError, KeyError) as error:
        raise StoreError(f"{path / RUN_FILE}: is not a run ({error})") from error


def _document_of(path: Path) -> dict[str, Any]:
    try:
        document = parse((path / RUN_FILE).read_bytes())
    except FileNotFoundError:
        raise StoreError(f"{path}: has no {RUN_FILE}; name a folder that `bench run` made") from None
    except OSError as error:
        raise StoreError(f"{path / RUN_FILE}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise StoreError(f"{path / RUN_FILE}: is damaged ({error})") from error
    if not isinstance(document, dict) or not isinstance(document.get("schema"), int):
        raise StoreError(f"{path / RUN_FILE}: is damaged (expected an object with its schema)")
    if document["schema"] > SCHEMA_VERSION:
        raise NotComparableError(
            f"{path / RUN_FILE}: schema {document['schema']}, expected at most {SCHEMA_VERSION}; "
            "install a newer version of bench"
        )
    return document


def _lines(path: Path) -> tuple[list[bytes], bool]:
    if not path.exists():
        return [], False
    *lines, rest = path.read_bytes().split(b"\n")
    return lines, bool(rest)


def _observation(path: Path, number: int, line: bytes, known: set[str]) -> Observation:
    try:
        document = _upgraded(parse(line))
        observation = from_json(OBSERVATIONS[document["kind"]], document)
    except (TypeError, ValueError, KeyError) as error:
        raise StoreError(f"{path / CASES_FILE}, line {number}: is damaged ({error})") from error
    case_id = getattr(observation, "case_id", None)
    if case_id is not None and case_id not in known:
        raise StoreError(f"{path / CASES_FILE}, line {number}: case '{case_id}' is not in {RUN_FILE}")
    return observation


def _upgraded_run(document: dict[str, Any]) -> dict[str, Any]:
    """A run of an older schema as it would be written today."""
    if document["schema"] == 1:
        measure = document["plan"]["measure"]
        measure["passes"] = [PassKind.MEMORY.value] if measure.pop("memory") else []
    return document


def _upgraded(document: dict[str, Any]) -> dict[str, Any]:
    """A line of an older schema as it would be written today; schema 1 had memory passes alone."""
    return document | {"kind": "pass", "name": PassKind.MEMORY.value} if document["kind"] == "memory" else document


def run_folders(results: Path) -> list[Path]:
    """Folders that hold a run, the newest first."""
    if not results.is_dir():
        return []
    return sorted((path.parent for path in results.glob(f"*/{RUN_FILE}")), key=lambda path: path.name, reverse=True)


def find(results: Path, reference: str, *, suite: str | None = None, unfinished: bool = False) -> Path:
    """The folder of a run, by path, run id, unique beginning of one, or `latest` (of a suite, unfinished only).

    Raises:
        UsageError: nothing fits, or a beginning fits several.
    """
    for named in (Path(reference), results / reference):
        if (named / RUN_FILE).exists():
            return named
    folders = run_folders(results)
    if reference == "latest":
        for path in folders:
            if suite is None and not unfinished:
                return path
            folder = open_run(path)
            if suite in (None, folder.run.plan.suite) and not (unfinished and folder.complete):
                return path
        what = f"{'unfinished ' if unfinished else ''}run{f' of suite {suite!r}' if suite else ''}"
        raise UsageError(f"{results}: holds no {what}; measure one with `bench run`")
    fits = [path for path in folders if path.name.startswith(reference)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise UsageError(f"run '{reference}' fits several: {', '.join(path.name for path in fits[:5])}")
    raise UsageError(f"{results}: holds no run '{reference}'; `bench list runs` shows those that are here")


def compatible(run: Run, machine: Machine, commit: str | None) -> None:
    """Whether a run may go on here and now.

    Raises:
        NotComparableError: another machine, torch or commit.
    """
    changes = [*differences(run.machine, machine).hard]
    if run.commit != commit:
        changes.append(change("commit", run.commit, commit))
    if changes:
        raise NotComparableError(f"run '{run.run_id}' cannot go on here: {'; '.join(changes)}; start a new run instead")
