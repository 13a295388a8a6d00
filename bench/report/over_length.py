"""What was measured over length: the cases of every variant for each workload, setting and batch size. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.records import Outcome
from bench.report.grids import Kind, kind_of
from bench.report.view import Shown, View
from bench.scaling import Level, level
from bench.stats import Estimate, quantile
from bench.trust import used_trials


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Cases that differ in variant and length alone.

    Attributes:
        lengths: those at which some variant ran, or ran out of memory; two at least.
        cases: by variant id, in the order of the plan, and by length.
        times: the logs of the trial medians of each variant that has some.
    """

    kind: Kind
    batch: int
    lengths: tuple[int, ...]
    cases: Mapping[str, Mapping[int, Shown]]
    times: Mapping[str, tuple[Level, ...]]

    def at(self, length: int) -> dict[str, Shown]:
        """The cases of one length, by variant id."""
        return {variant_id: cases[length] for variant_id, cases in self.cases.items() if length in cases}

    def throughputs(self, length: int) -> dict[str, Estimate]:
        """What is known of speed at a length, by variant id."""
        found = {variant_id: shown.figure("throughput_items_per_s") for variant_id, shown in self.at(length).items()}
        return {variant_id: figure for variant_id, figure in found.items() if figure}

    def label(self, variant_id: str) -> str:
        """The name of a variant."""
        return next(iter(self.cases[variant_id].values())).case.variant.label


def sweeps(view: View, task: str) -> dict[Kind, list[Sweep]]:
    """Every sweep of a task, by what may share a table, the smallest batch first."""
    groups: dict[Kind, dict[int, list[Shown]]] = {}
    for shown in view.timed(task):
        groups.setdefault(kind_of(shown), {}).setdefault(shown.case.batch_size, []).append(shown)
    made = {
        kind: [one for batch in sorted(batches) if (one := sweep(view, kind, batches[batch]))]
        for kind, batches in groups.items()
    }
    return {kind: found for kind, found in made.items() if found}


def sweep(view: View, kind: Kind, cases: Iterable[Shown]) -> Sweep | None:
    """The sweep that cases of one kind and batch size make; None where fewer than two lengths were measured."""
    by_variant: dict[str, dict[int, Shown]] = {variant.variant_id: {} for variant in view.variants}
    batch = 0
    for shown in cases:
        batch = shown.case.batch_size
        if shown.case.sequence_length and shown.outcome in (Outcome.OK, Outcome.OUT_OF_MEMORY):
            by_variant[shown.case.variant.variant_id][shown.case.sequence_length] = shown
    known = {variant_id: dict(sorted(cases.items())) for variant_id, cases in by_variant.items() if cases}
    lengths = sorted({length for cases in known.values() for length in cases})
    if len(lengths) < 2:
        return None
    times = {
        variant_id: tuple(level(length, log_times(shown)) for length, shown in cases.items() if shown.good)
        for variant_id, cases in known.items()
    }
    return Sweep(kind=kind, batch=batch, lengths=tuple(lengths), cases=known, times=times)


def log_times(shown: Shown) -> list[float]:
    """The logs of the medians of the trials that its figures are made of."""
    return [math.log(quantile(trial.samples_s, 0.5)) for trial in used_trials(shown.result)]
