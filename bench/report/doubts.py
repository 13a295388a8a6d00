"""Whether figures can be trusted: one row a case with what was seen around its measuring, and the command that repeats it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from bench.quantity import Unit, format_value
from bench.report import view as views
from bench.report.blocks import Block
from bench.report.grids import by_size, case_table
from bench.report.tables import Cell, CellKind, Table, empty
from bench.report.view import Shown, View
from bench.stats import quantile
from bench.trust import Conditions, Disturbance, used_trials
from bench.trust_record import TrustRecord, left_out, trust_record

_DISTURBANCES = {
    Disturbance.SWITCHES: "context switches",
    Disturbance.WAITING: "waiting for a processor",
    Disturbance.FOREIGN: "other programs",
    Disturbance.STEAL: "steal",
    Disturbance.CLOCK: "slow clock",
    Disturbance.THROTTLED: "throttled",
}

# a row stays readable; every sample stands in the data at the end of the page
_MOST_MEDIANS = 12

_SAYS = (
    "A trial is left out only for what was seen outside of it, never for its times. Over all: the latency with nothing left "
    "out. Foreign load: what others took of one processor's time, the mean over trials. Cases with marks come first; what "
    "marks mean stands at the end of this page."
)


def left_out_words(records: Iterable[TrustRecord]) -> str:
    """`7 of 96 trials were disturbed from outside and left out: context switches (5), steal (2)`; empty if none were."""
    found, taken = left_out(records)
    count = found.total()
    if not count:
        return ""
    return f"{count} of {taken} trials {'was' if count == 1 else 'were'} disturbed from outside and left out: {_rules(found)}"


def _rules(found: Mapping[Disturbance, int]) -> str:
    return ", ".join(f"{words} ({found[rule]})" for rule, words in _DISTURBANCES.items() if found.get(rule))


def records_of(view: View, task: str) -> dict[str, TrustRecord]:
    """The trust record of every case of a task, by its id."""
    cases = (*view.timed(task), *view.fits(task))
    return {shown.case.id: trust_record(view.run, shown.result) for shown in cases}


Told = Callable[[TrustRecord], Cell]

_TIMED: tuple[tuple[str, Told], ...] = (
    ("trials used", lambda record: _trials(record)),
    ("over all", lambda record: _over_all(record)),
    ("foreign load", lambda record: _foreign(record.conditions)),
    ("lowest clock", lambda record: _clock(record.conditions)),
    ("warm-up", lambda record: _warm_up(record.conditions)),
    ("stopped by", lambda record: Cell(text=record.stopped_by or "", kind=CellKind.WORDS)),
)
_FITTED: tuple[tuple[str, Told], ...] = (
    ("fits used", lambda record: Cell(text=f"{record.fits_used} of {record.fits_taken}")),
)
_REPEAT: tuple[str, Told] = (
    "measure it again",
    lambda record: Cell(text=record.command or "", kind=CellKind.COMMAND),
)


def trust(view: View, task: str) -> list[Block]:
    """A row a case, marked ones first: speed cases in one table, fits in another."""
    records = records_of(view, task)
    found = [(cases, told) for cases, told in ((view.timed(task), _TIMED), (view.fits(task), _FITTED)) if cases]
    tables = tuple(_table(task, cases, records, told) for cases, told in found)
    brief = left_out_words(records.values()) or "no trial was left out"
    title = "Can these figures be trusted?"
    return [Block(title=title, says=(_SAYS,), tables=tables, folded=True, brief=brief)]


def _table(
    task: str, cases: Sequence[Shown], records: Mapping[str, TrustRecord], told: Sequence[tuple[str, Told]]
) -> Table:
    first, again, *rest = ((name, partial(_of_record, records, tell)) for name, tell in (told[0], _REPEAT, *told[1:]))
    order = sorted(by_size(cases), key=lambda shown: shown.good and not shown.marks)
    marks = ("marks", lambda shown: Cell(text=_doubts(shown), kind=CellKind.WORDS))
    footnotes = _unknown(records[shown.case.id] for shown in cases if records[shown.case.id].conditions.taken)
    # what a doubter looks for comes first: a wide table may be cut off by the window
    return case_table(task, order, (marks, first, ("median of each trial", _medians), again, *rest), footnotes)


def _medians(shown: Shown) -> Cell:
    """What each trial that is used found, in order of time; of many the first ones."""
    medians = [quantile(trial.samples_s, 0.5) for trial in used_trials(shown.result)]
    # lines break between figures, not within one
    words = [
        format_value(median, Unit.SECONDS).replace(" ", "\N{NO-BREAK SPACE}") for median in medians[:_MOST_MEDIANS]
    ]
    rest = len(medians) - len(words)
    return Cell(text=", ".join(words + ([f"{rest} more"] if rest else [])), kind=CellKind.WORDS)


def _of_record(records: Mapping[str, TrustRecord], tell: Told, shown: Shown) -> Cell:
    return tell(records[shown.case.id])


def _doubts(shown: Shown) -> str:
    ended = [] if shown.good else [views.outcome_words(shown.outcome)]
    return "; ".join([*ended, *shown.marks])


def _unknown(records: Iterable[TrustRecord]) -> list[str]:
    name = "conditions.foreign_processors"
    return [
        f"foreign load n/a: {why}" for why in dict.fromkeys(one.unknown[name] for one in records if name in one.unknown)
    ]


def _trials(record: TrustRecord) -> Cell:
    left_out = _rules(record.left_out)
    used = f"{record.conditions.used} of {record.conditions.taken}"
    return Cell(text=used, detail=f"left out: {left_out}" if left_out else "")


def _over_all(record: TrustRecord) -> Cell:
    """The latency with nothing left out, where that makes a difference."""
    every, used = record.latency_of_all_s, record.latency_s
    if not record.left_out or every is None or used is None:
        return empty()
    instead = f"instead of {format_value(used.value, Unit.SECONDS)}"
    return Cell(text=format_value(every.value, Unit.SECONDS), detail=instead)


def _foreign(seen: Conditions) -> Cell:
    return Cell(text=format_value(seen.foreign_processors, Unit.SHARE)) if seen.taken else empty()


def _clock(seen: Conditions) -> Cell:
    if seen.clock_share is None:
        return empty()
    return Cell(text=format_value(seen.clock_share, Unit.SHARE), detail=", ".join(seen.throttled))


def _warm_up(seen: Conditions) -> Cell:
    if seen.warmup_calls is None or seen.warmup_s is None:
        return empty()
    calls = f"{format_value(seen.warmup_calls, Unit.COUNT)} calls"
    return Cell(text=calls, detail=format_value(seen.warmup_s, Unit.SECONDS))
