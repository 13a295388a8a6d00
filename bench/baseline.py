"""Baselines: stored runs that later ones are judged against. One folder a machine and name, whole or not there, fit for git."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.codec import to_json
from bench.errors import BenchError, NotComparableError, StoreError, UsageError
from bench.machines import differences
from bench.observations import Ceiling, End, Epoch, Fit, Observation, Pass, Probe, Trial
from bench.records import METHOD_VERSION, SCHEMA_VERSION, Machine, PassKind, Run
from bench.registry import did_you_mean
from bench.store import CASES_FILE, RUN_FILE, RunFolder, line_of, open_run, read_run

FOLDER = "baselines"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_DIGITS = 7  # a billionth of a second in a hundredth: far below what two samples differ by
_MOST_NAMED = 4
# of a trial, beside its samples
_NOT_JUDGED: dict[str, Any] = {
    "started": "",
    "start_s": None,
    "first_call_s": None,
    "warmup_s": None,
    "warmup_calls": None,
    "wall_s": None,
}


def save(results: Path, name: str, folder: RunFolder) -> Path:
    """Keep a run as a baseline of its machine; the one that had this name is replaced.

    Kept is what is judged: counts, and raw samples of trials that were not taken to confirm something.

    Raises:
        UsageError: such a name cannot be, or the run did not come to its end.
        StoreError: it cannot be written.
    """
    run = folder.run
    if not _NAME.fullmatch(name):
        raise UsageError(f"baseline '{name}': expected a name of letters, digits, dots and dashes, such as 'main'")
    if not folder.complete:
        raise UsageError(
            f"run '{run.run_id}' did not come to its end; go on with `bench run --resume {run.run_id}`, then save it"
        )
    path = results / FOLDER / run.machine.fingerprint / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as beside:
            made = Path(beside) / "new"
            made.mkdir()
            # an older schema was brought up to date when it was read
            run = replace(run, machine=replace(run.machine, state={}), schema=SCHEMA_VERSION)
            text = json.dumps(to_json(run), indent=1, allow_nan=False)
            (made / RUN_FILE).write_text(text + "\n", encoding="utf-8")
            with (made / CASES_FILE).open("w", encoding="utf-8") as file:
                file.writelines(line_of(one, sparse=True) for one in _kept(folder.observations))
            if path.exists():
                path.rename(Path(beside) / "old")
            made.rename(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}); name another folder with --results") from error
    return path


def _kept(observations: Sequence[Observation]) -> Iterator[Observation]:
    """What is judged of a run, and last its end: a baseline without it is cut off."""
    for one in observations:
        match one:
            case Epoch() | Ceiling() | Probe() | End() | Pass(name=PassKind.TAILS) | Trial(confirming=True):
                continue
            case Trial():
                evidence = {key: _rounded(value) for key, value in one.evidence.items()}
                samples_s = tuple(map(_rounded, one.samples_s))
                yield replace(one, samples_s=samples_s, evidence=evidence, **_NOT_JUDGED)
            case Pass():
                yield replace(one, samples_s={})  # its values are exact, and compared to the last digit
            case Fit():
                yield replace(one, predictions=(), confusion=None, classes=())
            case _:
                yield one
    yield from [one for one in observations if isinstance(one, End)][-1:]


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def read(path: Path) -> RunFolder:
    """A baseline as a run.

    Raises:
        StoreError: it is damaged or cut off.
        NotComparableError: a newer version wrote it.
    """
    folder = open_run(path)
    if folder.torn or not (folder.observations and isinstance(folder.observations[-1], End)):
        raise StoreError(
            f"{path / CASES_FILE}: is cut off, and half a baseline judges nothing; take it from git, or save it again"
        )
    return folder


def find(results: Path, name: str, machine: Machine) -> RunFolder:
    """The baseline of that name that was measured on this machine.

    Raises:
        NotComparableError: there is none; says what the nearest machine that has one differs in.
        StoreError: it is damaged or cut off.
    """
    path = results / FOLDER / machine.fingerprint / name
    if not path.is_dir():
        raise NotComparableError(_absent(results, name, machine))
    found = _of_this_method(read(path))
    if hard := differences(found.run.machine, machine).hard:
        raise NotComparableError(
            f"{path}: was measured on another machine, which differs in {_some(hard)}; save it again"
        )
    return found


def find_any(results: Path, name: str, machine: Machine) -> RunFolder:
    """The baseline of that name, this machine's first, else that of the nearest: for what does not depend on the machine.

    Raises:
        NotComparableError: no machine has one.
        StoreError: it is damaged or cut off.
    """
    own = results / FOLDER / machine.fingerprint / name
    near = [own] if own.is_dir() else [path for path, _ in _by_distance(results, name, machine)]
    if not near:
        raise NotComparableError(_absent(results, name, machine))
    return _of_this_method(read(near[0]))


def _of_this_method(folder: RunFolder) -> RunFolder:
    if folder.run.method != METHOD_VERSION:
        raise NotComparableError(
            f"baseline '{folder.path.name}': was measured by method {folder.run.method}, and this is method "
            f"{METHOD_VERSION}: the same figures mean something else; save it again"
        )
    return folder


def _absent(results: Path, name: str, machine: Machine) -> str:
    own = [path.name for path in paths(results) if path.parent.name == machine.fingerprint]
    near = _by_distance(results, name, machine)
    how = f"`bench baseline save {name}` makes one of a stored run"
    if near:
        how = f"the nearest differs in {_some(differences(near[0][1].machine, machine).hard)}; {how}"
    elif own:
        how = did_you_mean(name, own)
    return f"no baseline '{name}' for this machine; {how}"


def _by_distance(results: Path, name: str, machine: Machine) -> list[tuple[Path, Run]]:
    """The baselines of that name on other machines that can be read, the nearest first: fewest hard facts differ."""
    found = []
    for path in paths(results):
        if path.name == name and path.parent.name != machine.fingerprint:
            try:
                found.append((path, read_run(path)))
            except BenchError:
                continue  # whatever is wrong with it, it is not this machine's
    return sorted(found, key=lambda entry: len(differences(entry[1].machine, machine).hard))


def _some(changes: tuple[str, ...]) -> str:
    more = len(changes) - _MOST_NAMED
    return ", ".join(changes[:_MOST_NAMED]) + (f", and {more} more" if more > 0 else "")


def paths(results: Path) -> list[Path]:
    """The folder of every baseline, of every machine, by name."""
    found = [path.parent for path in (results / FOLDER).glob(f"*/*/{RUN_FILE}")]
    return sorted(
        (path for path in found if _NAME.fullmatch(path.name)), key=lambda path: (path.name, path.parent.name)
    )


def remove(path: Path) -> None:
    """Take a baseline away.

    Raises:
        StoreError: that cannot be.
    """
    try:
        # moved first: a kill leaves nothing that looks like a baseline
        gone = path.rename(Path(tempfile.mkdtemp(prefix=".", dir=path.parent)) / path.name)
        shutil.rmtree(gone.parent)
        if not list(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        raise StoreError(f"{path}: cannot be removed ({error.strerror})") from error
