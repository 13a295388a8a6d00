"""`bench doctor`: this machine, what disturbs a measurement on it now, and what the rule of judging sees on it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.output import Format, FormatOption, grid, print_parts
from bench.cli.planning import DeviceOption
from bench.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from bench.doctor import Finding, Readings
    from bench.observations import Ceiling
    from bench.records import Case, Machine
    from bench.selftest import Pair, Rate

CEILING_PRECISIONS = ("fp32", "bf16")
Say = Callable[[str, str], None]


def doctor(
    format: FormatOption = Format.TABLE,
    device: DeviceOption = None,
    selftest: Annotated[
        bool, typer.Option("--selftest", help="Compare code with itself and with slowed code, for some four minutes.")
    ] = False,
    comparisons: Annotated[
        int, typer.Option("--comparisons", min=1, help="With --selftest: comparisons of each kind.")
    ] = 8,
    pairs: Annotated[int, typer.Option("--pairs", min=2, help="With --selftest: pairs in a comparison; even.")] = 6,
) -> None:
    """Show this machine: devices, versions, noise right now, what will disturb a measurement and how to fix it."""
    if selftest and device not in (None, "cpu"):
        raise UsageError(f"--device {device}: the selftest slows the processor's own calls; take --device cpu")
    if pairs % 2:
        raise UsageError(f"--pairs {pairs}: pairs come in twos (first, second, second, first); take {pairs + 1}")
    interrupted = _selftest(comparisons, pairs, format) if selftest else _examine(device, format)
    if interrupted:
        raise typer.Exit(int(ExitCode.INTERRUPTED))


@contextmanager
def _telling() -> Iterator[Say]:
    """Say on stderr what goes on: one line that changes on a terminal, a line for each new step elsewhere.

    It is drawn only when something is said: a thread that draws would disturb what is watched.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from bench.cli.screen import is_plain

    output = Console(stderr=True, highlight=False)
    if is_plain() or not output.is_terminal:
        said: set[str] = set()

        def say_once(step: str, _: str) -> None:
            if step not in said:
                said.add(step)
                print(step, file=sys.stderr, flush=True)

        yield say_once
        return
    with Live(console=output, auto_refresh=False, transient=True) as live:
        yield lambda step, detail: live.update(Text(f"{step}{detail}", style="dim"), refresh=True)


# ── the examination ────────────────────────────────────────────────────────────────────────────────────────────────


def _examine(device: str | None, format: Format) -> bool:
    """Watch, measure ceilings, tell; whether that was interrupted."""
    from bench.doctor import findings
    from bench.plan import choose_device
    from bench.probes import machine, noise

    chosen = choose_device(device or "auto")
    try:
        with _telling() as say:
            say(f"watching this machine for {noise.WATCH_S:g} s", "")
            readings = noise.read(gpus=chosen != "cpu")
            record = machine.snapshot(chosen)
            ceilings = list(_ceilings(chosen, say))
    except KeyboardInterrupt:
        return True
    found = findings(readings)
    if format is Format.JSON:
        _print_json({"machine": record, "ceilings": ceilings, "readings": readings, "findings": found})
    else:
        print_parts([_facts(record, readings, ceilings), *_told(found, readings)])
    return False


def _ceilings(device: str, say: Say) -> Iterator[Ceiling]:
    """What the machine can do at most, through the measuring server: no operator runs in this process."""
    from bench.executors.local import Server
    from bench.jobs import Job, JobKind
    from bench.observations import Ceiling
    from bench.probes.machine import cores
    from bench.selftest import CASE, MEASURE

    threads = sorted({1, cores()}) if device == "cpu" else [cores()]
    with Server() as server:
        for precision in CEILING_PRECISIONS:
            for count in threads:
                say(f"ceilings: {precision}, {_count(count, 'thread')}", "")
                case = replace(CASE, device=device, precision=precision, threads=count)
                *_, last = server.run(Job(kind=JobKind.CEILING, case=case, measure=MEASURE))
                assert isinstance(last, Ceiling)
                yield last


def _facts(machine: Machine, readings: Readings, ceilings: Sequence[Ceiling]) -> RenderableType:
    from bench.quantity import Unit, format_value

    hard, soft = machine.hard, machine.soft
    gpus = [f"{name}, {size} GiB" for name, size in zip(hard["gpus"], hard["gpu_memory_gib"], strict=True)]
    logical = _count(readings.processors, "processor")
    versions = {"Python": soft["python"], "torch": hard["torch"], "CUDA": hard["cuda"], "cuDNN": hard["cudnn"]}
    versions |= {"BLAS": soft["blas"], "driver": soft["driver"], hard["os"]: soft["kernel"]}
    rows = {
        "machine": f"{hard['cpu']}, {_count(hard['cores'], 'core')} of {logical}, "
        f"{format_value(readings.memory_bytes, Unit.BYTES)}",
        "GPU": "; ".join(gpus) or "none",
        "software": ", ".join(f"{name} {version or 'none'}" for name, version in versions.items()),
    }
    for precision in dict.fromkeys(ceiling.precision for ceiling in ceilings):
        rows[f"{precision} at most"] = "; ".join(_ceiling(each) for each in ceilings if each.precision == precision)
    return grid(rows.items())


def _ceiling(ceiling: Ceiling) -> str:
    from bench.quantity import Unit, format_value

    threads = _count(ceiling.threads, "thread")
    if ceiling.flops_per_s is None:
        return f"{threads}: n/a ({ceiling.reason})"
    computes = format_value(ceiling.flops_per_s, Unit.FLOPS)
    return f"{threads} {computes}, {format_value(ceiling.bytes_per_s, Unit.BYTES_PER_SECOND)}"


def _told(found: Sequence[Finding], readings: Readings) -> Iterator[RenderableType]:
    """What is not well, the worst first; in one line each what is, and what is unknown."""
    from rich.text import Text

    from bench.doctor import Level

    styles = {Level.WARNING: "bold yellow", Level.NOTE: "cyan"}
    bad = [finding for finding in found if finding.level is not Level.OK]
    yield Text()
    for finding in bad:
        told = Text.assemble((finding.found, "bold"), "\n", finding.effect, "\n", "fix: ", finding.fix)
        yield grid([(Text(finding.level.value, style=styles[finding.level]), told)])
    if not bad:
        yield Text("nothing disturbs a measurement here right now", style="green")
    yield Text()
    fine = ", ".join(finding.name for finding in found if finding.level is Level.OK)
    yield grid([("fine", fine)])
    if readings.unknown:
        yield grid([("not told", ", ".join(name.replace("_", " ") for name in readings.unknown))])


# ── the selftest ───────────────────────────────────────────────────────────────────────────────────────────────────


def _selftest(comparisons: int, pairs: int, format: Format) -> bool:
    """Measure pairs and tell what was called slower; whether that was interrupted."""
    from bench.selftest import CASE, SLOWDOWNS, rates, selftest

    total = comparisons * len(SLOWDOWNS) * pairs
    taken: list[Pair] = []
    interrupted = False
    began = time.monotonic()
    try:
        with _telling() as say, closing(selftest(comparisons, pairs)) as events:
            say("selftest: calibrating", "")
            for pair in events:
                taken.append(pair)
                _say_how_far(say, taken, total, pairs, time.monotonic() - began)
    except KeyboardInterrupt:
        interrupted = True
    wall_s = time.monotonic() - began
    seen = rates(taken, pairs)
    if format is Format.JSON:
        answer = {"case": CASE, "pairs": pairs, "comparisons": comparisons, "wall_s": wall_s}
        _print_json(answer | {"interrupted": interrupted, "rates": seen})
    else:
        print_parts(_rates(CASE, seen, taken, pairs, wall_s, interrupted))
    return interrupted


def _say_how_far(say: Say, taken: Sequence[Pair], total: int, pairs: int, spent_s: float) -> None:
    from bench.quantity import format_duration

    left_s = spent_s * (total / len(taken) - 1)
    what = f"+{taken[-1].slowdown * 100:.0f} %" if taken[-1].slowdown else "identical"
    step = f"selftest: comparison {taken[-1].comparison + 1} of {total // pairs} ({what})"
    say(step, f", pair {len(taken)} of {total}, about {format_duration(left_s)} left")


def _rates(
    case: Case, seen: Sequence[Rate], taken: Sequence[Pair], pairs: int, wall_s: float, interrupted: bool
) -> Iterator[RenderableType]:
    from rich.text import Text

    from bench.cli.output import table
    from bench.cli.screen import place
    from bench.quantity import Unit, format_duration, format_value
    from bench.selftest import LEVEL, MARGIN, THRESHOLD

    call = format_value(taken[0].call_s if taken else None, Unit.SECONDS)
    yield Text(f"{place(case)}, {case.precision} on {case.device}, {_count(case.threads, 'thread')}: {call} a call")
    yield Text(f"{pairs} pairs a comparison, took {format_duration(wall_s)}{', interrupted' if interrupted else ''}\n")
    head = ("second arm", "called slower", "95 % interval", "seen")
    yield table(head, [_rate(rate) for rate in seen])
    yield Text(
        f"\nCalled slower: one-sided t test over pairs against +{MARGIN * 100:.0f} % with p < {LEVEL:g}, and at least "
        f"+{THRESHOLD * 100:.0f} %. Each comparison stands for itself: p is not adjusted for their number, "
        "and nothing is confirmed by fresh pairs.",
        style="dim",
    )


def _rate(rate: Rate) -> tuple[str, str, str, str]:
    from bench.quantity import Unit, format_value

    name = f"slowed by {rate.slowdown * 100:.0f} %" if rate.slowdown else "identical (false alarms)"
    if rate.low is None or rate.high is None or rate.change is None:
        return name, "none finished", "n/a", "n/a"
    interval = f"{format_value(rate.low, Unit.SHARE)} to {format_value(rate.high, Unit.SHARE)}"
    return name, f"{rate.flagged} of {rate.comparisons}", interval, f"{rate.change * 100:+.1f} %"


# ── printing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _print_json(document: Any) -> None:
    from bench.codec import to_json

    print(json.dumps(to_json(document), indent=1, ensure_ascii=False, allow_nan=False))
