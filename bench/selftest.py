"""What the rule of judging sees on this machine: identical code against itself, and against code slowed by a known amount.

One arm stands still, the other is slowed by a busy wait in every call. The rule is that of comparisons, for one comparison
alone: nothing is divided among several, no trial is thrown away, and nothing is confirmed by fresh pairs. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from bench.errors import WorkerError
from bench.jobs import Job, JobKind
from bench.observations import Pilot, Trial
from bench.records import Case, Measure, Outcome, Variant
from bench.runner import Executor, StartServer, local_server
from bench.stats import Difference, paired, quantile, wilson

CASE = Case(
    id="selftest/lstm/inference",
    definition_hash="selftest",
    task="imdb",
    variant=Variant(architecture="lstm", label="lstm", hyperparameters={}),
    workload="inference",
    sequence_length=64,
    batch_size=8,
    precision="fp32",
    device="cpu",
    threads=1,
)
MEASURE = Measure(warmup_s=0.05, warmup_calls=10)
SAMPLES = 30
SLOWDOWNS = (0.0, 0.05, 0.10)
PAIRS_IN_BLOCK = 2
# what is called slower: more than the margin beyond doubt, and more than the threshold by the look of it
MARGIN = 0.01
THRESHOLD = 0.03
LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both arms, one right after the other.

    Attributes:
        comparison: counts from 0; pairs of one comparison are judged together.
        slowdown: what the second arm was slowed by; 0 where the arms are identical.
        log_ratio: of the arms' p10, the second over the first.
        call_s: seconds of a call, as the pilot saw it.
    """

    comparison: int
    slowdown: float
    log_ratio: float
    call_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many comparisons of one slowdown were called slower; `low` and `high` are their 95 % interval (Wilson).

    Attributes:
        change: the change that was seen, the mean over comparisons.
    """

    slowdown: float
    flagged: int
    comparisons: int
    low: float | None = None
    high: float | None = None
    change: float | None = None


def is_slower(log_ratios: Sequence[float]) -> bool:
    """Whether the second arm is called slower: one-sided t test over pairs against the margin, and beyond the threshold."""
    found = _difference(log_ratios)
    return found.mean > math.log1p(THRESHOLD) and found.p_above(math.log1p(MARGIN)) < LEVEL


def _difference(log_ratios: Sequence[float]) -> Difference:
    found = paired(log_ratios)
    assert found is not None  # a comparison has two pairs at least
    return found


def rates(pairs: Sequence[Pair], pairs_each: int) -> tuple[Rate, ...]:
    """What was seen of every slowdown; comparisons that lack pairs are left out."""
    by_number: dict[int, list[Pair]] = {}
    for pair in pairs:
        by_number.setdefault(pair.comparison, []).append(pair)
    whole = [found for found in by_number.values() if len(found) == pairs_each]
    return tuple(_rate(slowdown, [found for found in whole if found[0].slowdown == slowdown]) for slowdown in SLOWDOWNS)


def _rate(slowdown: float, comparisons: Sequence[Sequence[Pair]]) -> Rate:
    log_ratios = [[pair.log_ratio for pair in pairs] for pairs in comparisons]
    flagged = sum(is_slower(each) for each in log_ratios)
    if not comparisons:
        return Rate(slowdown=slowdown, flagged=0, comparisons=0)
    low, high = wilson(flagged, len(comparisons))
    change = math.expm1(fmean(_difference(each).mean for each in log_ratios))
    return Rate(slowdown=slowdown, flagged=flagged, comparisons=len(comparisons), low=low, high=high, change=change)


def selftest(comparisons: int, pairs: int, start_server: StartServer = local_server) -> Generator[Pair, None, None]:
    """Measure pairs: every slowdown in turn, and that as often as there are comparisons of each.

    Args:
        comparisons: of each slowdown.
        pairs: of each comparison; two make one block (first, second, second, first) from one fresh server.
        start_server: makes a fresh server.

    Raises:
        ValueError: pairs do not come in blocks.
        WorkerError: a trial did not end well.
    """
    if pairs % PAIRS_IN_BLOCK:
        raise ValueError(f"pairs come in blocks of {PAIRS_IN_BLOCK}, found {pairs}")
    with start_server() as server:
        pilot = _done(server, Job(kind=JobKind.PILOT, case=CASE, measure=MEASURE))
    assert isinstance(pilot, Pilot)
    assert pilot.call_s is not None
    number = block = 0
    for _ in range(comparisons):
        for slowdown in SLOWDOWNS:
            for _ in range(pairs // PAIRS_IN_BLOCK):
                block += 1
                for log_ratio in _block(start_server, pilot, slowdown * pilot.call_s, block):
                    yield Pair(comparison=number, slowdown=slowdown, log_ratio=log_ratio, call_s=pilot.call_s)
            number += 1


def _block(start_server: StartServer, pilot: Pilot, slowdown_s: float, seed: int) -> tuple[float, float]:
    """Log ratios of two pairs, in opposite orders so that drift cancels."""
    first = Job(
        kind=JobKind.TRIAL,
        case=CASE,
        measure=MEASURE,
        seed=seed,
        round=seed,
        iterations=pilot.iterations,
        samples=SAMPLES,
    )
    second = replace(first, slowdown_s=slowdown_s)
    with start_server() as server:
        logs = [math.log(_p10(server, job)) for job in (first, second, second, first)]
    return logs[1] - logs[0], logs[2] - logs[3]


def _p10(server: Executor, job: Job) -> float:
    trial = _done(server, job)
    assert isinstance(trial, Trial)
    return quantile(trial.samples_s, 0.1)


def _done(server: Executor, job: Job) -> Pilot | Trial:
    *_, last = server.run(job)
    assert isinstance(last, Pilot | Trial)
    if last.outcome is not Outcome.OK:
        raise WorkerError(f"selftest: a {job.kind} ended as {last.outcome}: {last.reason}; expected it to end well")
    return last
