"""Where curves of time over length cross: a table of pairs, and sentences on when the fastest changes. No torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from itertools import combinations, groupby, pairwise

from markupsafe import Markup

from bench.crossover import Crossing, Crossover, Order, crossover
from bench.quantity import Better, format_length
from bench.report import view as views
from bench.report.blocks import Block
from bench.report.grids import Kind, kind_of
from bench.report.over_length import Sweep, sweep
from bench.report.ranking import leaders
from bench.report.tables import Cell, CellKind, Column, Row, Table
from bench.report.view import View
from bench.stats import Estimate

# more have too many pairs to read
MOST_VARIANTS = 8
_CANNOT_TELL = "cannot tell"

Pair = tuple[str, str, Crossover]
"""Two variants, and where their times cross."""


def crossings(task: str, found: Mapping[Kind, Sequence[Sweep]]) -> Block:
    """The pairs of a task that cross, or may; those that do not in a line for each batch size. Empty where there are none."""
    says = [
        "Two are said to cross only where one is faster beyond doubt at one length and the other at another (t tests over "
        "trials, at 5 % for a pair over all its lengths). Between two measured lengths both are taken to follow power laws; in "
        "small stands the range of lengths at which they cannot be told apart with 95 % confidence (Fieller's method)."
    ]
    if any(len(one.times) > MOST_VARIANTS for members in found.values() for one in members):
        says.append(f"Compared are the {MOST_VARIANTS} that come nearest to the fastest at any length.")
    tables: list[Table] = []
    lines: list[str] = []
    for kind, members in found.items():
        pairs = {one.batch: (one, _pairs(one)) for one in members}
        rows = [row for one, of_batch in pairs.values() for row in _rows(one, of_batch)]
        apart = [f"Batch {batch}, {line}" for batch, (one, of_batch) in pairs.items() for line in _never(one, of_batch)]
        if rows:
            tables.append(_table(task, kind, rows, apart))
        else:
            lines += [f"{kind[0]}, {kind[1]}. {line}" for line in apart]
    told = (*says, *lines) if tables or lines else ()
    return Block(title="Where they cross", says=told, tables=tuple(tables))


def _pairs(one: Sweep) -> list[Pair]:
    names = _foremost(one)
    return [(left, right, crossover(one.times[left], one.times[right])) for left, right in combinations(names, 2)]


def _foremost(one: Sweep) -> list[str]:
    """The variants that come nearest to the fastest at any length, at most so many, in the order of the plan."""
    if len(one.times) <= MOST_VARIANTS:
        return list(one.times)
    best = {
        length: min(level.mean for levels in one.times.values() for level in levels if level.length == length)
        for length in {level.length for levels in one.times.values() for level in levels}
    }
    behind = {
        variant_id: min((level.mean - best[level.length] for level in levels), default=math.inf)
        for variant_id, levels in one.times.items()
    }
    kept = sorted(behind, key=behind.__getitem__)[:MOST_VARIANTS]
    return [variant_id for variant_id in one.times if variant_id in kept]


def _table(task: str, kind: Kind, rows: Sequence[Row], footnotes: Sequence[str]) -> Table:
    titles = ("batch", "against", "cross at length", "faster on short", "faster on long")
    return Table(
        title=f"{task}: {kind[0]}",
        task=task,
        columns=tuple(Column(title=title, fact=title in ("batch", "against")) for title in titles),
        rows=tuple(rows),
        note=f"{kind[1]}.",
        footnotes=tuple(footnotes),
    )


def _rows(one: Sweep, pairs: Sequence[Pair]) -> list[Row]:
    """Pairs that cross, then those of which it cannot be told."""
    told = [pair for pair in pairs if pair[2].order is not Order.SAME and not pair[2].reason]
    return [_row(one, *pair) for pair in sorted(told, key=lambda pair: pair[2].order is Order.UNKNOWN)]


def _row(one: Sweep, left: str, right: str, found: Crossover) -> Row:
    name = {-1: one.label(left), 1: one.label(right), 0: _CANNOT_TELL}
    cells = (
        Cell(text=str(one.batch)),
        Cell(text=one.label(right), kind=CellKind.WORDS),
        _place_cell(one, found),
        Cell(text=name[found.short], kind=CellKind.WORDS),
        Cell(text=name[found.long], kind=CellKind.WORDS),
    )
    return Row(label=one.label(left), variant_id=left, cells=cells)


def _place_cell(one: Sweep, found: Crossover) -> Cell:
    whole = (found.first, found.last) == (one.lengths[0], one.lengths[-1])
    known = "" if whole else f", known on {_range(found.first, found.last)}"
    if found.order is Order.CROSSES:
        first, *more = found.crossings
        return Cell(
            text=", ".join(format_length(crossing.at) for crossing in found.crossings),
            detail=", ".join(_ends(crossing) for crossing in found.crossings) + known,
            estimate=None if more else Estimate(value=first.at, low=first.low, high=first.high),
        )
    return Cell(text=_CANNOT_TELL, detail=_doubt_words(found) + known, kind=CellKind.OUTCOME)


def _doubt_words(found: Crossover) -> str:
    """Where it cannot be told who is faster."""
    low = None if found.low is None else format_length(math.floor(found.low))
    high = None if found.high is None else format_length(math.ceil(found.high))
    if low and high:
        return f"from {low} to {high}"
    return f"from {low} on" if low else f"up to {high}" if high else "at any length"


def _ends(crossing: Crossing) -> str:
    """Rounded outwards, so that they hold no less."""
    return f"{format_length(math.floor(crossing.low))} to {format_length(math.ceil(crossing.high))}"


def _range(first: int | None, last: int | None) -> str:
    return "" if first is None or last is None else f"{format_length(first)} to {format_length(last)}"


def _never(one: Sweep, pairs: Sequence[Pair]) -> list[str]:
    """Those that never cross in a line, the fastest first; else how many pairs nothing is known of."""
    same = [(left, right, found.short) for left, right, found in pairs if found.order is Order.SAME]
    faster = {(left, right) if sign < 0 else (right, left) for left, right, sign in same}
    unknown = Counter(found.reason for *_, found in pairs if found.reason)
    blank = [f"{count} pair{'s' * (count != 1)} of which nothing is known ({why})" for why, count in unknown.items()]
    if not faster:
        return [f"{line}." for line in blank]
    chain = _chain([key for key in one.times if any(key in pair for pair in faster)], faster)
    told = ["the pairs above"] if len(faster) + sum(unknown.values()) < len(pairs) else []
    apart = f", apart from {' and '.join([*told, *blank])}" if told or blank else ""
    # only where lengths are so mixed that three form a ring
    rest = [pair for pair in sorted(faster) if chain.index(pair[0]) > chain.index(pair[1])]
    but = "".join(f"; {one.label(left)} is faster than {one.label(right)}" for left, right in rest)
    said = f"each is faster than all after it at every length at which both have an interval{apart}{but}"
    return [f"{_range(one.lengths[0], one.lengths[-1])}: {', '.join(map(one.label, chain))}; {said}."]


def _chain(ids: Sequence[str], faster: Set[tuple[str, str]]) -> list[str]:
    """An order in which everyone stands before all that it is faster than."""
    left, order = list(ids), []
    while left:
        free = [key for key in left if not any((other, key) in faster for other in left)] or left
        order.append(free[0])
        left.remove(free[0])
    return order


# ── in sentences ───────────────────────────────────────────────────────────────────────────────────────────────────


def crossing_sentences(view: View, task: str) -> list[Markup]:
    """Up to three sentences on where the fastest at the operating point changes with length; none where that cannot be said."""
    timed = view.timed(task)
    place = views.point(view.run, (shown.case for shown in timed))
    if place is None:
        return []
    kind = (place.workload, place.setting)
    cases = [shown for shown in timed if kind_of(shown) == kind and shown.case.batch_size == place.batch_size]
    one = sweep(view, kind, cases)
    if one is None:
        return []
    ahead = [(length, _fastest(one, length)) for length in one.lengths]
    asked = {shown.case.variant.variant_id for shown in cases}
    spans = [
        (leader, [length for length, _ in members]) for leader, members in groupby(ahead, key=lambda pair: pair[1])
    ]
    told = [leader for leader, _ in spans if leader]
    if not told:
        return []
    everywhere = all(len(one.times.get(each, ())) == len(one.lengths) for each in asked)
    where = f"{place.workload}, {views.place_words(None, place.batch_size)}{view.apart(task, place.setting)}"
    where += "" if everywhere else ", of those that ran at each length"
    if len(spans) == 1:
        between = _range(one.lengths[0], one.lengths[-1])
        line = Markup("{} is the fastest at every measured length from {} ({}).")
        return [line.format(_strong(one, told[0]), between, where)]
    changes = [_meeting(one, left, right) for left, right in pairwise(told) if left != right]
    return [_course(one, spans, where), *filter(None, changes)][:3]


def _fastest(one: Sweep, length: int) -> str | None:
    """The one that is the fastest at a length, of several that have a figure there; None where that cannot be told."""
    known = one.throughputs(length)
    ahead = leaders(known, Better.HIGHER)
    return ahead[0] if len(known) > 1 and len(ahead) == 1 else None


def _course(one: Sweep, spans: Sequence[tuple[str | None, list[int]]], where: str) -> Markup:
    """Who is the fastest from which length to which, in one sentence."""
    parts = []
    for leader, members in spans:
        start = _span_words(one, members)
        alone = {key for length in members for key in one.throughputs(length)}
        if leader is None and len(alone) == 1:
            parts.append(Markup("{} only {} has figures").format(start, _strong(one, *alone)))
        elif leader is None:
            parts.append(Markup("{} this run cannot tell").format(start))
        else:
            parts.append(Markup("{} {} is the fastest").format(start, _strong(one, leader)))
    line = Markup("; ").join(parts)
    return line[:1].upper() + line[1:] + Markup(" ({}).").format(where)


def _span_words(one: Sweep, members: Sequence[int]) -> str:
    low, high = format_length(members[0]), format_length(members[-1])
    if low == high:
        return f"at length {low}"
    if members[0] == one.lengths[0]:
        return f"up to length {high}"
    return f"from length {low} on" if members[-1] == one.lengths[-1] else f"from length {low} to {high}"


def _meeting(one: Sweep, left: str, right: str) -> Markup | None:
    """Where two of the fastest cross, if they do once."""
    found = crossover(one.times[left], one.times[right])
    if len(found.crossings) != 1:
        return None
    (crossing,) = found.crossings
    line = Markup("{} and {} cross at length {} ({}).")
    return line.format(_strong(one, left), _strong(one, right), format_length(crossing.at), _ends(crossing))


def _strong(one: Sweep, variant_id: str) -> Markup:
    return Markup("<strong>{}</strong>").format(one.label(variant_id))
