"""How far apart the times of two arms are: logs of p10 over pairs, or over the trials of two stored runs. Pure, no torch.

p10, because other work only ever adds time; over trials and never over samples, because samples of one process share its
luck (docs/method.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from bench.observations import CaseResult, Trial
from bench.stats import Difference, paired, quantile, quantiles, spread, welch
from bench.trust import disturbance, good_trials

PAIRS_MARGIN = math.log1p(0.01)
# a stored run is minutes or days old, and machines drift by 3 to 4 % within minutes
STORED_MARGIN = 0.10
STORED_SPREADS = 3.0


class _Taken(NamedTuple):
    """Logs of the seconds of one trial, and whether outside evidence speaks against it."""

    trial: Trial
    p10: float
    median: float
    disturbed: bool


_Arms = tuple[Sequence[_Taken], Sequence[_Taken]]
_Compared = Callable[[Sequence[float], Sequence[float]], Difference | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The time of one case in both arms; differences are of logs, above 0 where the second arm is slower.

    Attributes:
        p10: what is judged.
        of_all: p10 with the disturbed trials.
        margin: log of the change that must be exceeded beyond doubt.
        base, head: medians over trials of the trial medians, in seconds.
        arms: the trials that were compared, and how.
    """

    p10: Difference
    of_all: Difference
    margin: float
    base: float
    head: float
    arms: _Arms
    compared: _Compared

    # asked for where a case is flagged, so in few of many

    @property
    def median(self) -> Difference:
        """As p10, of the medians: where it points the other way, neither decides."""
        return self._apart(lambda taken: taken.median)

    @property
    def p90(self) -> Difference:
        """As p10, of the 90th percentiles: for people, where p10 and median disagree."""
        return self._apart(lambda taken: math.log(quantile(taken.trial.samples_s, 0.9)))

    def _apart(self, of: Callable[[_Taken], float]) -> Difference:
        found = self.compared(*([of(taken) for taken in arm] for arm in self.arms))
        assert found is not None  # there are trials enough: their p10 was compared
        return found

    @property
    def rejection_matters(self) -> bool:
        """Whether leaving disturbed trials out moves the answer by more than the margin."""
        return abs(self.p10.mean - self.of_all.mean) > self.margin


def taken_in_pairs(base: CaseResult, head: CaseResult, *, confirming: bool = False) -> Times | None:
    """Of trials that stood side by side: those of one round are a pair; of a disturbed one both go. None under two pairs."""
    old, new = ({trial.round: trial for trial in _phase(arm, confirming)} for arm in (base, head))
    both = sorted(old.keys() & new.keys())
    every = [_taken(old[number], base) for number in both], [_taken(new[number], head) for number in both]
    calm = [pair for pair in zip(*every, strict=True) if not any(taken.disturbed for taken in pair)]
    used = ([before for before, _ in calm], [after for _, after in calm]) if 1 < len(calm) < len(both) else every
    return _times(used, every, _by_pair, PAIRS_MARGIN)


def stored(base: CaseResult, head: CaseResult, *, confirming: bool = False) -> Times | None:
    """Of a stored run and a later one; `confirming` takes what was taken afresh of the later one. None under two trials."""
    phases = _phase(base, False), _phase(head, confirming)
    every = [_taken(trial, head) for trial in phases[0]], [_taken(trial, head) for trial in phases[1]]
    used = _calm(every[0]), _calm(every[1])
    return _times(used, every, welch, _drift(used[0]))


def _phase(result: CaseResult, confirming: bool) -> list[Trial]:
    return [trial for trial in good_trials(result) if trial.confirming is confirming]


def _taken(trial: Trial, result: CaseResult) -> _Taken:
    p10, middle = quantiles(trial.samples_s, 0.1, 0.5)
    return _Taken(trial, math.log(p10), math.log(middle), disturbance(trial, result.case) is not None)


def _calm(arm: list[_Taken]) -> list[_Taken]:
    calm = [taken for taken in arm if not taken.disturbed]
    return calm if 1 < len(calm) < len(arm) else arm


def _by_pair(base: Sequence[float], head: Sequence[float]) -> Difference | None:
    return paired([after - before for before, after in zip(base, head, strict=True)])


def _drift(arm: Sequence[_Taken]) -> float:
    """What a stored run must be exceeded by: the drift of machines, or three times what its own trials differ by."""
    apart = spread([taken.p10 for taken in arm]) if len(arm) > 1 else 0.0
    return math.log1p(max(STORED_MARGIN, STORED_SPREADS * apart))


def _times(used: _Arms, every: _Arms, compared: _Compared, margin: float) -> Times | None:
    p10 = compared(*([taken.p10 for taken in arm] for arm in used))
    all_used = used[0] is every[0] and used[1] is every[1]
    of_all = p10 if all_used else compared(*([taken.p10 for taken in arm] for arm in every))
    if p10 is None or of_all is None:
        return None
    base, head = (math.exp(median(taken.median for taken in arm)) for arm in used)
    return Times(p10=p10, of_all=of_all, margin=margin, base=base, head=head, arms=used, compared=compared)
