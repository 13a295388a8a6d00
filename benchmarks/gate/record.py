"""Records real trials of this machine, so that rules can be put to them: blocks of base, head, head, base.

`python -m benchmarks.gate.record FOLDER [--burners] [--slowdown SHARE ...] [--blocks N]` measures rounds of one block of
every case, each round from a fresh server as `bench ab` does, and appends every block to FOLDER as it ends. It can be
stopped at any moment (Ctrl-C) and gone on with by the same command; it ends when there are N blocks. Without --slowdown both
arms are identical code; with it head is a model that was given more work, first calibrated to these shares of a call.
With --burners every other section of some minutes runs beside two busy programs; the machine must do nothing else.
"""

from __future__ import annotations

import argparse
import fcntl
import itertools
import math
import random
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from bench.codec import to_json
from bench.errors import BenchError, NotComparableError, StoreError, WorkerError
from bench.executors.local import Server
from bench.jobs import Job, JobKind
from bench.observations import Pilot, Trial
from bench.probes.machine import snapshot
from bench.quantity import format_duration
from bench.records import Case, Measure, Outcome, Variant
from bench.stats import paired
from benchmarks.gate.recording import (
    BLOCKS_FILE,
    BURNERS,
    IDLE,
    SECTIONS,
    Block,
    Calibrated,
    Setting,
    append,
    log_ratios,
    read_blocks,
    read_setting,
    write_setting,
)
from benchmarks.gate.slowed import NAME as SLOWED
from benchmarks.gate.slowed import SIZE

# a call takes a quarter of a millisecond or more, and thirty of them less than half a second; none takes megabytes from the
# system and gives them back in every call, as an nbow of that length does: by luck of its heap, in a fifth of the time
SHAPES: tuple[tuple[str, str, int | None, int, int], ...] = (
    # architecture, workload, length, batch size, hidden_dim (0: its own)
    ("lstm", "inference", 64, 8, 0),
    ("gru", "inference", 64, 8, 0),
    ("rnn", "inference", 64, 8, 0),
    ("textcnn", "inference", 64, 8, 0),
    ("mlp", "inference", None, 256, 512),
    ("cnn", "inference", None, 32, 0),
    ("mlp", "training", None, 64, 0),
    ("cnn", "training", None, 32, 0),
)
MEASURE = Measure(warmup_s=0.05, warmup_calls=5, warmup_cap_s=0.5)
SAMPLES = 30
TRIAL_S = 0.2
BURNING = 2
# sections are of rounds: three minutes or so
ROUNDS_IN_SECTION = 10
BLOCKS = 1_620
ROUGH_BLOCKS, CALIBRATION_BLOCKS, MOST_CALIBRATIONS = 3, 8, 3
# of the extra work, whose cost in time is a straight line: the largest share that is asked for, and a quarter of it
CALIBRATED_AT = (0.25, 1.0)
_BURNER = "from bench.server import die_with_parent\ndie_with_parent()\nwhile True:\n    pass"


def main() -> None:
    """Calibrate, unless that is done, then record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--blocks", type=int, default=BLOCKS, help=f"stop when there are so many ({BLOCKS})")
    parser.add_argument("--burners", action="store_true", help="two busy programs beside every other section")
    parser.add_argument("--slowdown", type=float, nargs="+", default=(), help="0.05: head does 5 %% more work")
    asked = parser.parse_args()
    try:
        record(asked.folder, asked.blocks, asked.slowdown or (0.0,), burners=asked.burners)
    except BenchError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print(f"\nstopped; the same command goes on: {len(read_blocks(asked.folder))} blocks are there")


def record(folder: Path, blocks: int, slowdowns: Sequence[float], *, burners: bool) -> None:
    """Go on with a recording until it has so many blocks.

    Raises:
        StoreError: another process records here.
        NotComparableError: it was begun on another machine, or with other slowdowns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / BLOCKS_FILE).open("a") as mine:
        try:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{folder}: another process records here; wait for it or name another folder") from None
        setting = read_setting(folder)
        if setting is None:
            setting = _begin(slowdowns)
            write_setting(folder, setting)
        _same(folder, setting, slowdowns)
        _record(folder, blocks, setting, slowdowns, SECTIONS if burners else (IDLE,))


def _same(folder: Path, setting: Setting, slowdowns: Sequence[float]) -> None:
    there = setting.cases[0].work
    if set(there) != set(map(str, filter(None, slowdowns))):
        raise NotComparableError(
            f"{folder}: was begun with the slowdowns {sorted(there)}; name the same, or another folder"
        )
    facts = to_json(dict(snapshot("cpu").hard))
    if to_json(dict(setting.machine.hard)) != facts:
        raise NotComparableError(f"{folder}: was begun on another machine or torch; name another folder")


def _record(folder: Path, blocks: int, setting: Setting, slowdowns: Sequence[float], sections: Sequence[str]) -> None:
    done = read_blocks(folder)
    began, before = time.monotonic(), len(done)
    first = done[-1].round if done else 1
    missing = {one.case.id for one in setting.cases} - {block.case_id for block in done if block.round == first}
    count = len(done)
    for number in itertools.count(first):
        section = section_of(number, sections)
        cases = [one for one in setting.cases if one.case.id in missing]
        random.Random(number).shuffle(cases)
        with _beside(section):
            for block in _round(cases[: max(0, blocks - count)], number, section, turn_of(number, slowdowns)):
                append(folder, block)
                count += 1
        if count >= blocks:
            print(f"{count} blocks are recorded")
            return
        pace = (time.monotonic() - began) / max(1, count - before)
        left = format_duration(pace * (blocks - count))
        print(f"round {number}, {section}: {count} of {blocks} blocks, {pace:.2f} s each, {left} left", flush=True)
        missing = {one.case.id for one in setting.cases}


def section_of(number: int, sections: Sequence[str]) -> str:
    """Sections take turns, some rounds each, whenever the recording is stopped and gone on with."""
    return sections[(number - 1) // ROUNDS_IN_SECTION % len(sections)]


def turn_of(number: int, slowdowns: Sequence[float]) -> tuple[float, bool]:
    """Slowdowns take turns from round to round, and from one turn of all of them to the next the arms change places."""
    turn, place = divmod(number - 1, len(slowdowns))
    # identical code needs no change of places: either arm may be called base
    return slowdowns[place], bool(slowdowns[place]) and turn % 2 == 1


@contextmanager
def _beside(section: str) -> Iterator[None]:
    """Two busy programs, where the section asks for them; they die with this process, however it dies."""
    with ExitStack() as stack:
        for _ in range(BURNING if section == BURNERS else 0):
            burner = stack.enter_context(subprocess.Popen([sys.executable, "-c", _BURNER]))
            stack.callback(burner.kill)
        yield


# ── measuring ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _round(cases: Sequence[Calibrated], number: int, section: str, turn: tuple[float, bool]) -> Iterator[Block]:
    slowdown, swapped = turn
    if not cases:
        return
    with Server() as server:
        for one in cases:
            head = one.case if not slowdown else with_work(one.case, one.work[str(slowdown)])
            yield _block(server, one, head, number, section=section, slowdown=slowdown, swapped=swapped)


def _block(server: Server, one: Calibrated, head: Case, number: int, **more: object) -> Block:
    outside, inside = (head, one.case) if more["swapped"] else (one.case, head)
    trials = tuple(
        _trial(server, one, case, 2 * number + pair)
        for case, pair in ((outside, 1), (inside, 1), (inside, 2), (outside, 2))
    )
    return Block(case_id=one.case.id, round=number, trials=trials, **more)  # type: ignore[arg-type]


def _trial(server: Server, one: Calibrated, case: Case, seed: int) -> Trial:
    # both arms of a pair see the same inputs and initial weights
    inputs = zlib.crc32(f"{one.case.id}/{seed}".encode())
    job = _job(JobKind.TRIAL, case, seed=inputs, iterations=one.iterations, samples=SAMPLES)
    *_, trial = server.run(job)
    assert isinstance(trial, Trial)
    return replace(trial, case_id=one.case.id)


def _job(kind: JobKind, case: Case, **more: object) -> Job:
    imports = ("benchmarks.gate.slowed",) if case.variant.architecture == SLOWED else ()
    return Job(kind=kind, case=case, measure=MEASURE, imports=imports, **more)  # type: ignore[arg-type]


# ── calibrating ────────────────────────────────────────────────────────────────────────────────────────────────────


def _begin(slowdowns: Sequence[float]) -> Setting:
    """Calibrate every case, and the work that slows it down."""
    asked = [slowdown for slowdown in slowdowns if slowdown]
    calibrated = []
    for case in cases(slowed=bool(asked)):
        one = _calibrate(case)
        work = _work(one, asked) if asked else {}
        calibrated.append(replace(one, work=work))
        print(f"{case.id}: {one.call_s * 1e3:.3f} ms a call, {one.iterations} calls a sample, work {work}", flush=True)
    return Setting(machine=snapshot("cpu"), cases=tuple(calibrated))


def cases(*, slowed: bool) -> list[Case]:
    """One-thread cases, of built-in architectures or of the same ones inside of what can slow them down."""
    made = []
    for inner, workload, length, batch_size, width in SHAPES:
        hyperparameters: dict[str, object] = {"hidden_dim": width} if width else {}
        if slowed:
            hyperparameters |= {"inner": inner, "work": 0}
        task = "images" if length is None else "imdb"
        name = "/".join([task, inner, workload, f"L{length}-B{batch_size}" if length else f"B{batch_size}"])
        made.append(
            Case(
                id=name,
                definition_hash=name,
                task=task,
                variant=Variant(architecture=SLOWED if slowed else inner, label=inner, hyperparameters=hyperparameters),
                workload=workload,
                sequence_length=length,
                batch_size=batch_size,
                precision="fp32",
                device="cpu",
                threads=1,
            )
        )
    return made


def with_work(case: Case, work: int) -> Case:
    """The same case with extra work in every forward."""
    hyperparameters = {**case.variant.hyperparameters, "work": work}
    return replace(case, variant=replace(case.variant, hyperparameters=hyperparameters))


def _calibrate(case: Case) -> Calibrated:
    with Server() as server:
        *_, pilot = server.run(_job(JobKind.PILOT, case))
    assert isinstance(pilot, Pilot)
    if pilot.outcome is not Outcome.OK or pilot.call_s is None or pilot.iterations is None:
        raise WorkerError(
            f"{case.id}: its pilot ended as {pilot.outcome.value}: {pilot.reason}; expected it to end well"
        )
    iterations = max(pilot.iterations, round(TRIAL_S / SAMPLES / pilot.call_s))
    return Calibrated(case=case, call_s=pilot.call_s, iterations=iterations)


def _work(one: Calibrated, slowdowns: Sequence[float]) -> Mapping[str, int]:
    """Rows that slow a case by these shares: on the line through two amounts of work that were measured in pairs."""
    most = max(slowdowns)
    # a rough first amount, at 10 GFLOP/s, is corrected by what it was seen to cost
    amount = max(1, round(most * one.call_s * 1e10 / (2 * SIZE * SIZE)))
    amount = max(1, round(amount * most / max(0.005, _cost(one, amount, ROUGH_BLOCKS))))
    amounts = [max(1, round(amount * share)) for share in CALIBRATED_AT]
    for _ in range(MOST_CALIBRATIONS):
        points = [(rows, _cost(one, rows, CALIBRATION_BLOCKS)) for rows in amounts]
        if found := rows_for(points, slowdowns):
            return found
    raise WorkerError(f"{one.case.id}: more work was not seen to cost more; run it again on a quieter machine")


def rows_for(points: Sequence[tuple[int, float]], slowdowns: Sequence[float]) -> dict[str, int]:
    """On the straight line through two points (rows, slowdown), the rows of each slowdown; at least one.

    None at all where luck was larger than what was measured: four times the work must slow down more than twice as much.
    """
    (few, low), (many, high) = points
    if not high > 2 * low > 0:
        return {}
    slope = (high - low) / (many - few)
    return {str(slowdown): max(1, round(few + (slowdown - low) / slope)) for slowdown in slowdowns}


def _cost(one: Calibrated, rows: int, blocks: int) -> float:
    """What a number of rows slows a case by, as pairs of trials see it, without the outermost of them."""
    head = with_work(one.case, rows)
    taken = []
    for number in range(blocks):
        with Server() as server:  # those of one server share its luck
            taken.append(_block(server, one, head, -number, section=IDLE, slowdown=1.0, swapped=number % 2 == 1))
    seen = paired(log_ratios(taken))
    assert seen is not None
    return math.expm1(seen.mean)


if __name__ == "__main__":
    main()
