"""What charts over lengths and batch sizes show of a case, and how one case is told in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.quantity import Better, Unit
from bench.records import Outcome
from bench.report import view as views
from bench.report.tables import Cell, empty, memory_column, metric_column, value_cell
from bench.report.view import Shown, View
from bench.stats import Estimate

_GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What a panel shows of a case: `what` in its table's note, `shows` above its axis.

    Attributes:
        intervals: whether its figures have intervals.
        in_choice: whether the chart of what there is to choose shows it: then one place alone needs no chart of its own.
    """

    what: str
    shows: str
    unit: Unit
    better: Better
    found: Callable[[Shown], Estimate | None]
    column: Callable[[View, Sequence[Shown | None]], list[Cell]]
    intervals: bool = True
    in_choice: bool = True


THROUGHPUT = Quantity(
    what="Throughput in items per second",
    shows="throughput, items per second",
    unit=Unit.ITEMS_PER_SECOND,
    better=Better.HIGHER,
    found=lambda shown: shown.figure("throughput_items_per_s"),
    column=lambda _, cases: metric_column(cases, "throughput_items_per_s"),
)
LATENCY = Quantity(
    what="Latency of a call",
    shows="latency of a call",
    unit=Unit.SECONDS,
    better=Better.LOWER,
    found=lambda shown: shown.figure("latency_s"),
    column=lambda _, cases: metric_column(cases, "latency_s"),
)
MEMORY = Quantity(
    what="Peak memory",
    shows="peak memory",
    unit=Unit.BYTES,
    better=Better.LOWER,
    found=lambda shown: shown.memory,
    column=memory_column,
    intervals=False,
)
ENERGY = Quantity(
    what="Energy per item",
    shows="energy per item",
    unit=Unit.JOULES,
    better=Better.LOWER,
    found=lambda shown: shown.figure("energy_j_per_item"),
    column=lambda _, cases: [_energy_cell(shown) for shown in cases],
    intervals=False,
    in_choice=False,
)


def _energy_cell(shown: Shown | None) -> Cell:
    estimate = shown.figure("energy_j_per_item") if shown else None
    return value_cell(estimate, Unit.JOULES) if estimate else empty()


def device_bytes(view: View, shown: Shown) -> float | None:
    """The memory of the device that a case ran on; None where the run does not say."""
    hard, device = view.run.machine.hard, shown.case.device
    if device == "cpu":
        known = hard.get("memory_gib")
    else:
        sizes = hard.get("gpu_memory_gib") or [None]
        _, _, number = device.partition(":")
        known = sizes[int(number or 0)] if int(number or 0) < len(sizes) else None
    return known * _GIB if isinstance(known, int | float) else None


def tip(shown: Shown, estimate: Estimate, unit: Unit) -> str:
    """What stands beside a spot where a pointer rests on it."""
    place = views.place_words(shown.case.sequence_length, shown.case.batch_size)
    words = f"{shown.case.variant.label}, {place}: {views.value_words(estimate, unit)}"
    return f"{words} ({'; '.join(shown.marks)})" if shown.marks else words


def does_not_fit(shown: Shown, estimate: Estimate | None) -> bool:
    """Whether a case has no figure because memory was too small for it."""
    return estimate is None and Outcome.OUT_OF_MEMORY in (shown.outcome, shown.memory_outcome)
