"""A recording of real trials: blocks of two arms in order of time, a line each, and the results that are made of them.

Samples are stored, figures are computed when it is read.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.codec import from_json, to_json
from bench.errors import StoreError
from bench.observations import CaseResult, Trial
from bench.records import Case, Machine
from bench.stats import quantile

SETTING_FILE = "recording.json"
BLOCKS_FILE = "blocks.jsonl"
IDLE, BURNERS = "idle", "burners"
SECTIONS = (IDLE, BURNERS)
DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A case with what its trials need.

    Attributes:
        call_s: seconds of one call, as its pilot saw it.
        iterations: calls in a sample.
        work: rows of extra work that slow it down, by the slowdown: `0.05`.
    """

    case: Case
    call_s: float
    iterations: int
    work: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What stays the same in a recording."""

    machine: Machine
    cases: tuple[Calibrated, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Four trials of one case from one server: base, head, head, base, each from a process of its own.

    Attributes:
        section: `idle`, or `burners` where two busy programs ran beside it.
        round: blocks of one round, one of every case, came from the same server.
        slowdown: what head was slowed by; 0 where both arms are identical.
        swapped: head stands outside: head, base, base, head.
        trials: in order of time.
    """

    case_id: str
    section: str
    round: int
    slowdown: float = 0.0
    swapped: bool = False
    trials: tuple[Trial, ...]

    def arms(self) -> tuple[tuple[Trial, Trial], tuple[Trial, Trial]]:
        """The trials of base and those of head, the first of each being one pair and the second another."""
        first, second, third, fourth = self.trials
        outside, inside = (first, fourth), (second, third)
        return (inside, outside) if self.swapped else (outside, inside)

    def turned(self) -> Block:
        """The same with its arms exchanged, which identical code allows."""
        assert not self.slowdown
        return replace(self, swapped=not self.swapped)

    def with_slower_head(self, factor: float) -> Block:
        """The same with every sample of head longer by a factor."""
        heads = (0, 3) if self.swapped else (1, 2)
        trials = tuple(
            replace(trial, samples_s=tuple(sample * factor for sample in trial.samples_s)) if place in heads else trial
            for place, trial in enumerate(self.trials)
        )
        return replace(self, trials=trials)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """All of a recording, blocks in order of time."""

    setting: Setting
    blocks: tuple[Block, ...]

    def case(self, name: str) -> Case:
        """The case of an id."""
        return next(one.case for one in self.setting.cases if one.case.id == name)


# ── on disk ────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_setting(folder: Path, setting: Setting) -> None:
    """Begin a recording; all of the file or nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f"{SETTING_FILE}.part"
    beside.write_text(json.dumps(to_json(setting), indent=1) + "\n", encoding="utf-8")
    beside.replace(folder / SETTING_FILE)


def read_setting(folder: Path) -> Setting | None:
    """The setting of a recording; None where none has begun."""
    path = folder / SETTING_FILE
    return from_json(Setting, json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def append(folder: Path, block: Block) -> None:
    """Write a block as a line and wait until it is on the disk; samples are kept to four digits."""
    trials = [_brief({**_plain(trial), "samples_s": list(map(_rounded, trial.samples_s))}) for trial in block.trials]
    line = json.dumps({**_plain(block), "trials": trials}, separators=(",", ":"), allow_nan=False)
    with (folder / BLOCKS_FILE).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def _plain(record: object) -> dict[str, Any]:
    document = to_json(record)
    assert isinstance(document, dict)
    return document


def _brief(document: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is empty: it is read back as its default."""
    return {key: value for key, value in document.items() if value is not None and value not in ("", {})}


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.{DIGITS}g}")


def read_blocks(folder: Path) -> list[Block]:
    """The blocks of a recording; a line that a kill left half-written is cut off.

    Raises:
        StoreError: a line in the middle is damaged.
    """
    path = folder / BLOCKS_FILE
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    blocks = []
    for number, line in enumerate(content[:whole].splitlines(), 1):
        try:
            blocks.append(from_json(Block, json.loads(line)))
        except (TypeError, ValueError) as error:
            raise StoreError(f"{path}, line {number}: is damaged ({error}); remove it and go on") from error
    return blocks


def read(folder: Path) -> Recording:
    """A recording.

    Raises:
        StoreError: there is none, or it is damaged.
    """
    setting = read_setting(folder)
    if setting is None:
        raise StoreError(f"{folder}: holds no recording; make one with `python -m benchmarks.gate.record {folder}`")
    return Recording(setting=setting, blocks=tuple(read_blocks(folder)))


# ── what is made of it ─────────────────────────────────────────────────────────────────────────────────────────────

Group = tuple[str, str, float]
"""Case, section and slowdown: what blocks may stand in for each other."""


def groups(blocks: Iterable[Block]) -> dict[Group, list[Block]]:
    """Blocks that may stand in for each other, in order of time; those with a lost trial are left out."""
    found: dict[Group, list[Block]] = {}
    for block in blocks:
        if all(trial.samples_s for trial in block.trials):
            found.setdefault((block.case_id, block.section, block.slowdown), []).append(block)
    return found


def windows(blocks: Sequence[Block], size: int) -> list[Sequence[Block]]:
    """Runs of blocks that do not overlap, in order of time; what is left over at the end is left out."""
    return [blocks[start : start + size] for start in range(0, len(blocks) - size + 1, size)]


def results(case: Case, first: Sequence[Block], again: Sequence[Block] = ()) -> tuple[CaseResult, CaseResult]:
    """Both arms of a comparison, as `bench ab` would have them: `again` are the fresh pairs of a confirmation."""
    arms: tuple[list[Trial], list[Trial]] = ([], [])
    for place, block in enumerate((*first, *again)):
        for arm, trials in zip(arms, block.arms(), strict=True):
            arm += [
                replace(trial, round=2 * place + pair, confirming=place >= len(first))
                for pair, trial in enumerate(trials, 1)
            ]
    base, head = (CaseResult(case=case, trials=tuple(arm)) for arm in arms)
    return base, head


def log_ratios(blocks: Iterable[Block]) -> list[float]:
    """Of every pair: the log of head's p10 over base's."""
    return [
        math.log(quantile(after.samples_s, 0.1) / quantile(before.samples_s, 0.1))
        for block in blocks
        for before, after in zip(*block.arms(), strict=True)
    ]
