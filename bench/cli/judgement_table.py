"""A judgement on a terminal: a block a case, what needs a look first, the sentence that sums it up last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from rich.cells import cell_len, set_cell_size
from rich.console import Group
from rich.text import Text

from bench.cli.outcomes import worst
from bench.errors import ExitCode
from bench.report.judgement import Row, blind_words, control_words, rows, summary
from bench.verdicts import Judgement, Verdict

_STYLES = {
    Verdict.REGRESSED: "bold red",
    Verdict.MISSING: "bold red",
    Verdict.NOT_COMPARABLE: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.IMPROVED: "bold green",
    Verdict.UNCHANGED: "bold",
}
_ENDS = {ExitCode.OK: "bold green", ExitCode.INCONCLUSIVE: "bold yellow"}
_INDENT = 2
_GAP = 2
# narrower than this beside the figures, words are told below them
_LEAST_WORDS = 36


@dataclass(frozen=True, slots=True)
class _Widths:
    metric: int
    base: int
    head: int
    change: int

    @property
    def whole(self) -> int:
        return _INDENT + self.metric + self.base + self.head + self.change + 4 * _GAP

    def line(self, metric: str, base: str, head: str, change: str) -> str:
        cells = (metric.ljust(self.metric), base.rjust(self.base), head.rjust(self.head))
        return f"{'':{_INDENT}}{(' ' * _GAP).join((set_cell_size(cells[0], self.metric), *cells[1:], change))}"


def shown(judgement: Judgement, width: int, *, every: bool = False) -> Group:
    """The whole judgement within a number of characters; only commands are longer: print it with `crop=False`."""
    controls = [(control_words(judgement, one), "yellow" if one.failed else "dim") for one in judgement.controls]
    blind = [(words, "yellow") for words in blind_words(judgement)]
    notes = [(note, "dim") for note in judgement.notes]
    end = (summary(judgement), _ENDS.get(worst(judgement.exit_codes()), "bold red"))
    return Group(
        *(Text(line, style="bold") for line in _lines(judgement.title, width)),
        Text(),
        *_blocks(rows(judgement, every=every), width),
        *(Text(line, style) for words, style in (*controls, *blind, *notes, end) for line in _lines(words, width)),
    )


def _lines(text: str, width: int, indent: str = "") -> list[str]:
    """A text in lines, a number always with what stands before and after it."""
    held = text.replace(" %", "\xa0%").replace(">= ", ">=\xa0")
    return [line.replace("\xa0", " ") for line in wrap(held, width, subsequent_indent=indent)]


def _blocks(found: Sequence[Row], width: int) -> Iterator[Text]:
    heads = ("", "base", "head", "change")
    cells = [heads, *((row.metric, row.base, row.head, row.change) for row in found)]
    widths = _Widths(*(max(map(cell_len, column)) for column in zip(*cells, strict=True)))
    if any(row.metric for row in found):
        yield Text(widths.line(*heads), style="dim")
    blocks: dict[tuple[str, str], list[Row]] = {}
    for row in found:
        blocks.setdefault((row.verdict, row.comparison.case_id), []).append(row)
    for block in blocks.values():
        yield from _block(block, widths, width)


def _block(block: Sequence[Row], widths: _Widths, width: int) -> Iterator[Text]:
    first = block[0]
    heading, *rest = _lines(f"{first.verdict}  {first.case}", width, " " * _INDENT)
    style = "dim" if first.comparison.allowed else _STYLES[first.comparison.verdict]
    yield Text.assemble((first.verdict, style), heading.removeprefix(first.verdict))
    yield from map(Text, rest)
    for row in block:
        yield from _told(row, widths, width)
    if first.command:
        yield Text(f"{'':{_INDENT}}{first.command}", style="dim", no_wrap=True, overflow="ignore")
    yield Text()


def _told(row: Row, widths: _Widths, width: int) -> Iterator[Text]:
    """The figures with the reason and the advice beside them; where there is no room, below."""
    figures = widths.line(row.metric, row.base, row.head, row.change)
    beside = bool(row.metric) and width - widths.whole >= _LEAST_WORDS
    indent = widths.whole if beside else 2 * _INDENT if row.metric else _INDENT
    words = [line for told in (row.why, row.advice) for line in _lines(told, width - indent)]
    if beside:
        yield Text.assemble(set_cell_size(figures, indent), (words.pop(0), "dim"))
    elif row.metric:
        yield Text(figures.rstrip(), no_wrap=True, overflow="ignore")
    yield from (Text(f"{'':{indent}}{line}", style="dim") for line in words)
