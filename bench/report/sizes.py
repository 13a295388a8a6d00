"""What fits: the longest sequence and the largest batch that ran, and what would run in how much memory. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.quantity import Unit, format_length, format_tick
from bench.records import Outcome
from bench.report import view as views
from bench.report.blocks import Block
from bench.report.grids import Kind
from bench.report.over_length import Sweep
from bench.report.ranking import needed
from bench.report.tables import Cell, CellKind, Column, Row, Table, empty
from bench.report.view import Shown, View
from bench.scaling import budgets, reach, within
from bench.stats import Estimate

MOST_BUDGETS = 6
_LARGEST = (
    "Largest sizes: the largest that ran, and the next one that did not, for want of memory; where a size stands alone, "
    "memory kept no larger one from running."
)
_WITHIN = (
    "Within a budget: the longest of the measured sequences that takes no more memory than stands above the column. Counted "
    "is the peak memory of one step; on a CPU that is what the step adds, so weights and optimizer state are counted with it. "
    "Inputs, torch itself and other programs come on top."
)

Named = tuple[Column, list[Cell]]


def what_fits(view: View, task: str, found: Mapping[Kind, Sequence[Sweep]]) -> Block:
    """How far sizes go before memory runs out: as it happened, and within budgets of powers of two."""
    says: list[str] = []
    tables: list[Table] = []
    for kind, members in found.items():
        ids = [v.variant_id for v in view.variants if any(v.variant_id in one.cases for one in members)]
        labels = [next(one.label(key) for one in members if key in one.cases) for key in ids]
        rows = list(zip(labels, ids, strict=True))
        if any(_is_limited(shown) for one in members for cases in one.cases.values() for shown in cases.values()):
            columns = [*_longest(ids, members), *_largest(ids, members)]
            tables.append(_table(task, f"{kind[0]}, largest sizes", f"{kind[1]}.", rows, columns))
        else:
            most = views.place_words(max(one.lengths[-1] for one in members), max(one.batch for one in members))
            says.append(f"{kind[0]}, {kind[1]}: every size that was measured fits, up to {most}.")
        needs = [(one, known) for one in members if (known := _needs(one))]
        columns = [column for one, known in needs for column in _within(ids, one, known)]
        if columns:
            enough = "; ".join(f"{views.place_words(None, one.batch)} in {_enough(known)}" for one, known in needs)
            ran = [shown for one in members for cases in one.cases.values() for shown in cases.values() if shown.good]
            what = "ran" if all(needed(shown) for shown in ran) else "has a figure"
            note = f"{kind[1]}. All that {what} fits: {enough}."
            tables.append(_table(task, f"{kind[0]}, within a budget", note, rows, columns))
    titles = [table.title for table in tables]
    says += [_LARGEST] if any(title.endswith("largest sizes") for title in titles) else []
    says += [_WITHIN] if any(title.endswith("within a budget") for title in titles) else []
    return Block(
        title="What fits", says=tuple(says), tables=tuple(tables), folded=True, brief="lengths, batches, memory"
    )


def _table(task: str, title: str, note: str, rows: Sequence[tuple[str, str]], columns: Sequence[Named]) -> Table:
    made = [
        Row(label=label, variant_id=variant_id, cells=cells)
        for (label, variant_id), cells in zip(rows, zip(*(cells for _, cells in columns), strict=True), strict=True)
    ]
    heads = tuple(column for column, _ in columns)
    return Table(title=f"{task}: {title}", task=task, columns=heads, rows=tuple(made), note=note)


# ── as it happened ─────────────────────────────────────────────────────────────────────────────────────────────────


def _is_limited(shown: Shown) -> bool:
    return bool(shown.result.probes) or not _fits(shown)


def _fits(shown: Shown) -> bool:
    return Outcome.OUT_OF_MEMORY not in (shown.outcome, shown.memory_outcome)


def _longest(ids: Sequence[str], members: Sequence[Sweep]) -> Iterator[Named]:
    for one in members:
        column = Column(title=views.place_words(None, one.batch), group="longest sequence")
        yield column, [_longest_cell(one.cases.get(key, {})) for key in ids]


def _longest_cell(cases: Mapping[int, Shown]) -> Cell:
    tried = [(length, _fits(shown)) for length, shown in cases.items()]
    return _reach_cell([*tried, *_searched("max_sequence_length", cases.values())])


def _largest(ids: Sequence[str], members: Sequence[Sweep]) -> Iterator[Named]:
    lengths = sorted({length for one in members for length in one.lengths})
    for length in lengths:
        column = Column(title=views.place_words(length, None), group="largest batch")
        yield column, [_largest_cell(key, length, members) for key in ids]


def _largest_cell(variant_id: str, length: int, members: Sequence[Sweep]) -> Cell:
    met = {one.batch: shown for one in members if (shown := one.cases.get(variant_id, {}).get(length))}
    tried = [(batch, _fits(shown)) for batch, shown in met.items()]
    return _reach_cell([*tried, *_searched("max_batch_size", met.values())])


def _searched(metric: str, cases: Iterable[Shown]) -> list[tuple[int, bool]]:
    """What a search for a limit tried and memory answered."""
    probes = [probe for shown in cases for probe in shown.result.probes if probe.metric == metric]
    return [
        (probe.size, probe.outcome is Outcome.OK)
        for probe in probes
        if probe.outcome in (Outcome.OK, Outcome.OUT_OF_MEMORY)
    ]


def _reach_cell(tried: Sequence[tuple[int, bool]]) -> Cell:
    found = reach(tried)
    above = "" if found.fails is None else f"not {found.fails}"
    if found.fits is None:
        return Cell(text=above, kind=CellKind.OUTCOME) if above else empty()
    return Cell(text=f"{found.fits}", detail=above, estimate=Estimate(value=found.fits))


# ── within a budget ────────────────────────────────────────────────────────────────────────────────────────────────

Needs = Mapping[str, Mapping[int, float]]
"""Bytes by variant id and length."""


def _needs(one: Sweep) -> Needs:
    found = {
        variant_id: {length: need.value for length, shown in cases.items() if (need := needed(shown)) and need.value}
        for variant_id, cases in one.cases.items()
    }
    return {variant_id: needs for variant_id, needs in found.items() if needs}


def _within(ids: Sequence[str], one: Sweep, needs: Needs) -> Iterator[Named]:
    for budget in budgets((need for known in needs.values() for need in known.values()), MOST_BUDGETS):
        column = Column(title=format_tick(budget, Unit.BYTES), group=views.place_words(None, one.batch))
        yield column, [_within_cell(needs[key], budget) if key in needs else empty() for key in ids]


def _within_cell(needs: Mapping[int, float], budget: int) -> Cell:
    longest = within(needs, budget)
    if longest is None:
        return Cell(text="none", kind=CellKind.OUTCOME)
    return Cell(text=format_length(longest), estimate=Estimate(value=longest))


def _enough(needs: Needs) -> str:
    """The least power of two that everything fits into."""
    (most,) = budgets([max(need for known in needs.values() for need in known.values())], 1)
    return format_tick(most, Unit.BYTES)
