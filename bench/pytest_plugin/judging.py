"""A judgement as pytest outcomes: what `bench check` leaves with a code for fails, what it cannot tell is skipped."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bench.cli.check import design_of
from bench.cli.judging import judged
from bench.report.judgement import row
from bench.verdicts import Verdict, worst_first

if TYPE_CHECKING:
    from bench.store import RunFolder
    from bench.verdicts import Comparison, Judgement

_FAILS = (Verdict.REGRESSED, Verdict.MISSING, Verdict.NOT_COMPARABLE)


def judge(base: RunFolder, head: RunFolder, names: Collection[str]) -> Judgement:
    """Judge a run against a baseline as `bench check` does; of the baseline's cases only these count."""
    judgement = judged(base, head, design_of(base.run, head.run, exact=False, confirms=True), name=base.path.name)
    mine = tuple(one for one in judgement.comparisons if one.case_id in names)
    return replace(judgement, comparisons=mine)


def tell(judgement: Judgement, name: str) -> None:
    """Fail or skip the test of a case; where all is well, nothing happens."""
    mine = worst_first([one for one in judgement.comparisons if one.case_id == name])
    failing = [one for one in mine if one.verdict in _FAILS and not one.allowed]
    if failing:
        pytest.fail("\n".join(_words(judgement, one) for one in failing), pytrace=False)
    unsure = [one for one in mine if one.verdict is Verdict.INCONCLUSIVE or one.allowed]
    if unsure:
        # pytest names skipped tests by the line that skipped them, which is this one for all
        pytest.skip(f"{name}: {'; '.join(_words(judgement, one) for one in unsure)}")


def _words(judgement: Judgement, one: Comparison) -> str:
    """`regressed: latency +15.2 % (13.1 to 17.4): beyond ...`, and below it what helps to look into it."""
    told = row(judgement, one)
    what = f"{told.metric} {told.change}".strip()
    said = ": ".join(part for part in (told.verdict, what, told.why) if part)
    if one.verdict not in _FAILS or one.allowed:
        return said
    values = f"{told.base} before, {told.head} now" if told.base else ""
    repeat = f"measure it again: {told.command}" if told.command else ""
    return "\n  ".join(part for part in (said, values, told.advice, repeat) if part)
