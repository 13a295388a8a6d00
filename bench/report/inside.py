"""What lies behind a speed: parts of a step, memory, tails, cost, compilation, limits, streaming, energy. A row a case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.frames import failed_pass, memory_metric
from bench.quantity import Unit, format_value
from bench.records import PassKind
from bench.report import view as views
from bench.report.blocks import Block
from bench.report.grids import by_size, case_table, kinds, of_kind
from bench.report.tables import Cell, CellKind, Table, empty
from bench.report.view import Shown, View
from bench.stats import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A column of figures: where a case has it from, and what is said beside it."""

    title: str
    unit: Unit
    found: Callable[[Shown], Estimate | None]
    beside: Callable[[Shown], str] = lambda _: ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aspect:
    """One thing that is told of cases.

    Attributes:
        says: what a reader must know of the figures.
        needs: metrics of which a case must have one, known or unknown with a reason, to have a row.
        passing: the pass that they come from.
    """

    title: str
    says: str
    needs: tuple[str, ...]
    figures: tuple[Figure, ...]
    passing: PassKind | None = None


def inside(view: View, task: str) -> list[Block]:
    """Every aspect that something of a task's cases is known of."""
    sections = []
    for aspect in (*_ASPECTS, _compilation(view, task)):
        tables = [
            _table(task, aspect, cases)
            for kind in kinds(view, task)
            if (cases := [shown for shown in of_kind(view, task, kind) if _is_told(shown, aspect)])
        ]
        if tables:
            sections.append(Block(title=aspect.title, says=(aspect.says,), tables=tuple(tables), folded=True))
    return sections


def _is_told(shown: Shown, aspect: Aspect) -> bool:
    return any(name in shown.found for name in aspect.needs) or _failed(shown, aspect) is not None


def _failed(shown: Shown, aspect: Aspect) -> str | None:
    """How the pass of an aspect ended, and why, where it found nothing."""
    failed = failed_pass(shown.result, aspect.passing) if aspect.passing else None
    return f"{views.outcome_words(failed.outcome)}: {failed.reason}" if failed else None


def _table(task: str, aspect: Aspect, cases: Sequence[Shown]) -> Table:
    figures = [figure for figure in aspect.figures if any(figure.found(shown) is not None for shown in cases)]
    # a star at one figure of a row is enough
    facts = [(figure.title, partial(_cell, aspect, figure, starred=place == 0)) for place, figure in enumerate(figures)]
    marked = views.counted(mark for shown in cases for mark in shown.marks)
    footnotes = ([f"Marked *: {marked}."] if marked else []) + list(_reasons(aspect, cases))
    return case_table(task, by_size(cases), facts, footnotes)


def _cell(aspect: Aspect, figure: Figure, shown: Shown, *, starred: bool) -> Cell:
    estimate = figure.found(shown)
    if estimate is not None:
        marks = shown.marks if starred else ()
        text = format_value(estimate.value, figure.unit)
        return Cell(text=text, detail=figure.beside(shown), marks=marks, estimate=estimate, unit=figure.unit)
    failed = _failed(shown, aspect)
    return Cell(text=failed.partition(":")[0], kind=CellKind.OUTCOME) if failed else empty()


def _reasons(aspect: Aspect, cases: Sequence[Shown]) -> Iterator[str]:
    """Why figures are unknown: a line a reason, with the columns and the number of cases that it holds for."""
    titles: dict[str, dict[str, None]] = {}
    held: dict[str, set[str]] = {}
    for shown in cases:
        for figure in aspect.figures:
            estimate = figure.found(shown)
            if estimate is not None and estimate.value is None:
                titles.setdefault(estimate.reason, {})[figure.title] = None
                held.setdefault(estimate.reason, set()).add(shown.case.id)
    lines = [(f"{', '.join(titles[reason])} n/a: {reason}", len(held[reason])) for reason in titles]
    lines += Counter(failed for shown in cases if (failed := _failed(shown, aspect))).items()
    for line, count in lines:
        yield line if count == len(cases) else f"{line} ({count} of {len(cases)} cases)"


# ── what is told ───────────────────────────────────────────────────────────────────────────────────────────────────


def _known(name: str, shown: Shown) -> Estimate | None:
    return shown.found.get(name)


def _metric(name: str, title: str = "", beside: Callable[[Shown], str] = lambda _: "") -> Figure:
    metric = views.metric(name)
    return Figure(title=title or metric.title, unit=metric.unit, found=partial(_known, name), beside=beside)


_PARTS = ("forward_s", "backward_s", "optimizer_s")


def _share_of_step(name: str, shown: Shown) -> str:
    values = {part: shown.found[part].value or 0.0 for part in _PARTS if part in shown.found}
    return format_value(values[name] / sum(values.values()), Unit.SHARE) if sum(values.values()) else ""


def _peak_memory(shown: Shown) -> Estimate | None:
    return shown.found.get(memory_metric(shown.case))


def intensity(shown: Shown) -> Estimate | None:
    """FLOPs for each byte that a case's operators read and write; None where its cost was not counted."""
    flops, traffic = shown.found.get("flops_per_item"), shown.found.get("traffic_bytes_per_item")
    if flops is None or traffic is None:
        return None
    if not flops.value or not traffic.value:
        return Estimate(value=None, reason=flops.reason or traffic.reason)
    return Estimate(value=flops.value / traffic.value)


def _why_not_more(name: str, shown: Shown) -> str:
    return shown.found[name].reason


_STEP = Aspect(
    title="What a step is made of",
    says="Parts are timed one by one, in a process of their own: together they may take longer than a step does. The gradient "
    "ratio is, before any training, the norm of the loss's gradient at the first step of a sequence over that at the last.",
    needs=(*_PARTS, "operator_count", "kernel_count"),
    figures=(
        *(_metric(name, beside=partial(_share_of_step, name)) for name in _PARTS),
        _metric("operator_count"),
        _metric("kernel_count"),
        _metric("gradient_ratio"),
    ),
    passing=PassKind.SPLIT,
)
_MEMORY = Aspect(
    title="What memory holds",
    says="Workspace is what a step takes beyond the rest: what operators need while they run.",
    needs=("gradients_bytes", "optimizer_bytes", "activations_bytes", "workspace_bytes"),
    figures=(
        Figure(title="peak", unit=Unit.BYTES, found=_peak_memory),
        *(
            _metric(f"{name}_bytes")
            for name in ("weights", "gradients", "optimizer", "activations", "workspace", "peak_reserved", "driver")
        ),
    ),
    passing=PassKind.MEMORY,
)
_TAILS = Aspect(
    title="Tails",
    says="The median is over trials; p90 and p99 are of single calls, seen in one process.",
    needs=("latency_p90_s", "latency_p99_s"),
    figures=(
        _metric("latency_s", "median (p50)"),
        _metric("latency_p90_s", "p90"),
        _metric("latency_p99_s", "p99"),
    ),
    passing=PassKind.TAILS,
)
_COST = Aspect(
    title="Cost",
    says="FLOPs are counted, not measured. The ceiling is what this machine reached in a large matrix product; MFU is the "
    "share of the vendor's peak.",
    needs=("flops_per_item",),
    figures=(
        _metric("flops_per_item"),
        _metric("flops_per_s", "achieved"),
        _metric("ceiling_share"),
        _metric("mfu"),
        Figure(title="FLOPs per byte", unit=Unit.NUMBER, found=intensity),
    ),
    passing=PassKind.COST,
)
_LIMITS = Aspect(
    title="Limits",
    says="The largest size that fits into memory, found by trying; everything else as in the row.",
    needs=("max_batch_size", "max_sequence_length"),
    figures=tuple(
        _metric(name, beside=partial(_why_not_more, name)) for name in ("max_batch_size", "max_sequence_length")
    ),
)
_STREAMING = Aspect(
    title="Streaming",
    says="One step at a time: its latency, and what is carried from one to the next.",
    needs=("step_s", "state_bytes"),
    figures=(_metric("step_s"), _metric("state_bytes")),
)
_DECODING = Aspect(
    title="Decoding",
    says="Seconds of one process: until the first token is there, with the reading of the input in it, and for each one after.",
    needs=("first_token_s", "token_s"),
    figures=(_metric("first_token_s"), _metric("token_s"), _metric("throughput_tokens_per_s", "tokens written")),
)
_ENERGY = Aspect(
    title="Energy",
    says="From the driver's counter over at least a second.",
    needs=("energy_j_per_item",),
    figures=(_metric("energy_j_per_item"),),
    passing=PassKind.ENERGY,
)
_ASPECTS = (_STEP, _MEMORY, _TAILS, _COST, _LIMITS, _STREAMING, _DECODING, _ENERGY)


def _compilation(view: View, task: str) -> Aspect:
    """Compiled cases beside the same ones uncompiled."""
    plain = {_uncompiled(shown): shown for shown in view.timed(task) if shown.case.compile == "none"}

    def speed_up(shown: Shown) -> Estimate | None:
        beside = plain.get(_uncompiled(shown))
        here, there = shown.figure("latency_s"), beside.figure("latency_s") if beside else None
        if here is None or there is None or not here.value or not there.value:
            return Estimate(value=None, reason="the same case uncompiled has no figures in this run")
        return Estimate(value=there.value / here.value)

    return Aspect(
        title="Compilation",
        says="Seconds of one compilation with an empty cache; speed-up is latency uncompiled by latency compiled.",
        needs=("compile_s",),
        figures=(
            _metric("compile_s", "cold"),
            _metric("graph_breaks"),
            Figure(title="speed-up", unit=Unit.NUMBER, found=speed_up),
        ),
        passing=PassKind.COMPILE,
    )


def _uncompiled(shown: Shown) -> tuple[object, ...]:
    """What a compiled case and the same one uncompiled have in common."""
    case = shown.case
    place = (case.variant.variant_id, case.workload, case.sequence_length, case.batch_size)
    return *place, replace(views.setting(case), compile="none")
