"""Made results of one task at one place, said by their figures alone: for tests of what is claimed of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from made_run import MACHINE

from bench.codec import digest
from bench.observations import CaseResult, Fit, Observation, Pass, Trial, gather
from bench.records import Case, FitSettings, Measure, OperatingPoint, Outcome, PassKind, Plan, Run, Variant

TASK, LENGTH, BATCH = "reviews", 64, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was seen of a variant: a latency a trial, a score a seed, bytes at its peak (0: too few to be seen).

    `items`: the test items behind a share.
    """

    label: str
    latencies_s: tuple[float, ...] = (0.01, 0.01, 0.01)
    scores: tuple[float, ...] = ()
    items: int | None = None
    memory_bytes: int | None = None
    outcome: Outcome = Outcome.OK
    reason: str = ""
    fit_outcome: Outcome = Outcome.OK


def observed(
    variants: Sequence[Made], *, metric: str = "accuracy", fits: bool = True, lengths: Sequence[int] = (LENGTH,)
) -> tuple[Run, list[Observation]]:
    """A run of one timed case a variant and length, and of one fit each where there are `fits`."""
    made: list[tuple[Case, Made]] = []
    for one in variants:
        variant = Variant(architecture="made", label=one.label, hyperparameters={"label": one.label})
        made += [(_case(variant, "inference", length), one) for length in lengths]
        made += [(_case(variant, "fit", LENGTH), one)] if fits else []
    plan = Plan(
        suite="made",
        cases=tuple(case for case, _ in made),
        seeds=(0, 1, 2),
        measure=Measure(min_rounds=3, target=0.05),
        headlines={TASK: metric},
        operating_point=OperatingPoint(sequence_length=LENGTH, batch_size=BATCH),
    )
    run = Run(run_id="20250102T030405Z-made-ab12", created="2025-01-02T03:04:05Z", plan=plan, machine=MACHINE, seed=7)
    return run, [observation for case, one in made for observation in _seen(case, one, metric)]


def results_of(variants: Sequence[Made], **more: Any) -> tuple[Run, list[CaseResult]]:
    """The same, gathered by case."""
    run, seen = observed(variants, **more)
    return run, gather(run.plan, seen)


def _case(variant: Variant, workload: str, length: int) -> Case:
    name = f"{TASK}/{variant.label}/{workload}/L{length}"
    return Case(
        id=name,
        definition_hash=digest(name),
        task=TASK,
        variant=variant,
        workload=workload,
        sequence_length=length,
        batch_size=BATCH,
        precision="fp32",
        device="cpu",
        threads=1,
        fit=FitSettings(epochs=1, batch_size=BATCH) if workload == "fit" else None,
    )


def _seen(case: Case, one: Made, metric: str) -> Iterator[Observation]:
    if case.fit is not None:
        for seed, score in enumerate(one.scores):
            yield Fit(
                case_id=case.id,
                seed=seed,
                fold=None,
                outcome=one.fit_outcome,
                metrics={metric: score} if one.fit_outcome is Outcome.OK else {},
                correct=round(score * one.items) if one.items else None,
                total=one.items,
            )
        return
    if one.outcome is not Outcome.OK:
        for attempt in range(2):
            yield Trial(case_id=case.id, round=attempt, outcome=one.outcome, reason=one.reason)
        return
    for number, latency in enumerate(one.latencies_s):
        samples = (latency * case.sequence_length / LENGTH,) * 10 if case.sequence_length else ()
        yield Trial(case_id=case.id, round=number, outcome=Outcome.OK, samples_s=samples, items=BATCH)
    if one.memory_bytes is not None:
        values = {"peak_rss_bytes": float(one.memory_bytes) if one.memory_bytes else None}
        yield Pass(case_id=case.id, name=PassKind.MEMORY, outcome=Outcome.OK, values=values)


def drawn(seed: int) -> tuple[list[Made], str]:
    """Variants drawn at random, near each other and far apart, some single, unmeasured or failed; and the headline metric."""
    draw = random.Random(seed)
    metric = draw.choice(["accuracy", "accuracy", "bleu", "mae", "exact_match"])
    share = metric in ("accuracy", "exact_match")
    items = draw.choice([200, 5_000]) if share else None
    near, noise = draw.choice([0.02, 0.5, 2.0]), draw.choice([0.001, 0.03, 0.2])
    trials, seeds = draw.choice([1, 3, 5]), draw.choice([1, 3])
    weighed = draw.random() < 0.8
    found = []
    for number in range(draw.randint(1, 6)):
        latency = 0.01 * 2 ** draw.uniform(-near, near)
        right = draw.uniform(0.8 - near / 10, 0.8 + near / 10) if share else 20 * 2 ** draw.uniform(-near, near)
        scores = tuple(right + draw.gauss(0, noise / 10) * (1 if share else 20) for _ in range(seeds))
        lone = draw.random() < 0.1
        found.append(
            Made(
                label=f"v{number}",
                latencies_s=tuple(latency * 2 ** draw.gauss(0, noise) for _ in range(1 if lone else trials)),
                scores=tuple(round(one * items) / items for one in scores) if items else scores,
                items=items,
                memory_bytes=round(2**24 * 2 ** draw.uniform(-near, near))
                if weighed and draw.random() < 0.95
                else None,
                outcome=draw.choices([Outcome.OK, Outcome.OUT_OF_MEMORY, Outcome.FAILED], [18, 1, 1])[0],
                reason="made to",
                fit_outcome=draw.choices([Outcome.OK, Outcome.DIVERGED], [18, 1])[0],
            )
        )
    return found, metric
