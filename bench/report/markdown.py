"""Runs as Markdown for a pull request: what can be said, one row a variant at the operating point, and more behind a fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.frames import Runs
from bench.report import doubts, judgement_markdown, summary
from bench.report import view as views
from bench.report.blocks import Block
from bench.report.grids import speed_of
from bench.report.league import league_of
from bench.report.markdown_text import escaped, folded, sentence, table
from bench.report.side_by_side import side_by_side
from bench.report.tables import Table
from bench.report.view import View
from bench.verdicts import Judgement

# a comment on GitHub may have 65,536 characters
MOST_ROWS = 50


def render(runs: Runs, *, baselines: Sequence[Judgement] = (), changes: Sequence[Judgement] = ()) -> str:
    """What is said of some runs; labels show as they were written, whatever they hold. See `bench.report.render`."""
    told = views.side_by_side(runs)
    lines = [*(_alone(told[0]) if len(told) == 1 else _together(told, changes)), *_judged(baselines)]
    return "\n".join(lines).rstrip() + "\n"


def _alone(view: View) -> Iterator[str]:
    yield f"## {escaped(view.run.plan.suite)}"
    yield ""
    yield from _run(view)


def _judged(judgements: Sequence[Judgement]) -> Iterator[str]:
    for judgement in judgements:
        yield from judgement_markdown.render(judgement, most=MOST_ROWS).splitlines()


def _together(told: Sequence[View], changes: Sequence[Judgement]) -> Iterator[str]:
    suites = ", ".join(dict.fromkeys(view.run.plan.suite for view in told))
    yield f"## {escaped(suites)}: {len(told)} runs side by side"
    yield ""
    found = side_by_side(told, ())
    for one in (found.apart, *(block for _, block in found.tasks)):
        yield f"### {escaped(one.title)}"
        yield ""
        yield from block(one)
    yield from _judged(changes)
    for name, view in zip(found.names, told, strict=True):
        yield from folded(name, _run(view))


def block(block: Block) -> Iterator[str]:
    """A part of the page, without its heading and charts."""
    for line in block.says:
        yield sentence(line)
        yield ""
    for one in block.tables:
        yield from table(one)


def _run(view: View) -> Iterator[str]:
    run = view.run
    commit = f", commit {run.commit[:10]}{' with changes' if run.dirty else ''}" if run.commit else ""
    yield escaped(f"{run.machine.name}, {run.created}{commit}, bench {run.bench_version}")
    yield ""
    for note in summary.notes(view):
        yield f"> {escaped(note)}"
        yield ""
    for task in view.tasks:
        yield from _task(view, task)


def _task(view: View, task: str) -> Iterator[str]:
    yield f"### {escaped(task)}"
    yield ""
    if said := summary.answer(view, task):
        yield " ".join(map(sentence, said))
        yield ""
    yield from table(league_of(view, task))
    if words := doubts.left_out_words(doubts.records_of(view, task).values()):
        yield f"{escaped(words)}."
        yield ""
    grids = [grid for grid in speed_of(view, task) if len(grid.columns) > 1]
    if grids:
        yield from folded("Throughput at every size", (line for grid in grids for line in _titled(grid)))


def _titled(grid: Table) -> Iterator[str]:
    yield f"**{escaped(grid.title)}**"
    yield ""
    yield from table(grid)
