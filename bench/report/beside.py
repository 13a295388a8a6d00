"""What a page tells beside what was measured: levels of chance, where data came from, limits, judgements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.report.recommendation import Limits
from bench.verdicts import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """All that a page needs and runs do not hold.

    Attributes:
        chance: what a know-nothing predictor scores, by task key; drawn beside accuracies.
        sources: where data came from and under which licence: (task, one line).
        limits: what a recommended variant must keep to, by task; none if not given.
        baselines: runs of these, judged against a baseline.
        changes: of these runs those of one machine, the later ones judged against its first.
    """

    chance: Mapping[str, float] = field(default_factory=dict)
    sources: Sequence[tuple[str, str]] = ()
    limits: Mapping[str, Limits] = field(default_factory=dict)
    baselines: Sequence[Judgement] = ()
    changes: Sequence[Judgement] = ()
