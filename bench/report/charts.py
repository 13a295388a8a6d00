"""What is drawn of a task: how variants look, which of its cases charts show, and the order of the charts on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.records import Variant
from bench.report import view as views
from bench.report.grids import Kind, kind_of
from bench.report.svg import Look
from bench.report.view import Point, Shown, View

MOST_KINDS = 4
"""Workloads and settings of a task; with many tasks on a page fewer of each."""
MOST_VARIANTS = 12
"""More lines in one panel cannot be told apart, and their labels find no room."""


def looks(view: View) -> dict[str, Look]:
    """The look of every variant of a run, by its id; alike in all runs of a page.

    Variants of one architecture share its colour, and differ by marker and line. Where most are of one architecture, colours
    would tell nothing: then every variant has its own.
    """
    families = list(dict.fromkeys(variant.architecture for variant in view.order))
    shared = 2 * len(families) > len(view.order)
    every: dict[str, Look] = {}
    met: dict[str, int] = {}
    for place, variant in enumerate(view.order):
        sibling = met[variant.architecture] = met.get(variant.architecture, -1) + 1
        family = families.index(variant.architecture)
        every[variant.variant_id] = Look(place, family, sibling) if shared else Look(place)
    return {variant.variant_id: every[variant.variant_id] for variant in view.variants}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What charts show of a task.

    Attributes:
        kinds: the speed cases that are drawn, by workload and setting.
        place: the task's operating point.
        variants: those that are drawn, in the order of the plan; `looks` are theirs.
        left_out: in a sentence what is not drawn, and by which rule; empty where all is.
        told: whether speed and memory at the operating point are drawn already.
    """

    view: View
    task: str
    prefix: str
    kinds: Mapping[Kind, Sequence[Shown]]
    place: Point | None
    variants: Sequence[Variant]
    looks: Mapping[str, Look]
    left_out: str
    told: bool

    def drawn(self, cases: Sequence[Shown]) -> list[Shown]:
        """Those of some cases whose variants are drawn."""
        return [shown for shown in cases if shown.case.variant.variant_id in self.looks]

    def kind_words(self, kind: Kind) -> str:
        """A workload, with its setting where charts show several."""
        workload, setting = kind
        if len({replace(other, new_tokens=None) for _, other in self.kinds}) > 1:
            return f"{workload} ({setting})"
        return f"{workload}, {setting.new_tokens} new tokens" if setting.new_tokens else workload


def select(view: View, task: str, prefix: str, *, told: bool = False) -> Selection:
    """What charts show of a task: few enough kinds and variants to be read, by rules that are said."""
    timed = view.timed(task)
    place = views.point(view.run, (shown.case for shown in timed))
    kinds: dict[Kind, list[Shown]] = {}
    for shown in timed:
        kinds.setdefault(kind_of(shown), []).append(shown)
    # a stable sort: those of the operating point's setting come first, the rest stays in the order of the plan
    order = sorted(kinds, key=lambda kind: place is not None and kind[1] != place.setting)
    most = max(2, min(MOST_KINDS, 2 * MOST_KINDS // len(view.tasks)))
    kept = set(order[:most])
    variants = _variants(view, task, place)
    rules = []
    if len(kinds) > most:
        rules.append(f"{most} of {len(kinds)} workloads and settings (those of the operating point first)")
    present = {shown.case.variant.variant_id for shown in (*timed, *view.fits(task))}
    if len(variants) < len(present):
        rules.append(f"{len(variants)} of {len(present)} architectures (the fastest at the operating point)")
    look = looks(view)
    return Selection(
        view=view,
        task=task,
        prefix=prefix,
        kinds={kind: cases for kind, cases in kinds.items() if kind in kept},
        place=place,
        variants=variants,
        looks={variant.variant_id: look[variant.variant_id] for variant in variants},
        left_out=f"Drawn: {' and '.join(rules)}; the rest stands in the tables." if rules else "",
        told=told,
    )


def _variants(view: View, task: str, place: Point | None) -> list[Variant]:
    """The fastest at the operating point, in the order of the plan; those without a speed there come last."""
    timed, fits = view.timed(task), view.fits(task)
    present = {shown.case.variant.variant_id for shown in (*timed, *fits)}
    variants = [variant for variant in view.variants if variant.variant_id in present]
    if len(variants) <= MOST_VARIANTS:
        return variants
    speeds: dict[str, float] = {}
    for key, shown in (views.at(timed, place) if place else {}).items():
        speed = shown.figure("throughput_items_per_s")
        speeds[key] = (speed.value if speed else None) or 0.0
    fastest = sorted(variants, key=lambda variant: -speeds.get(variant.variant_id, 0.0))[:MOST_VARIANTS]
    kept = {variant.variant_id for variant in fastest}
    return [variant for variant in variants if variant.variant_id in kept]


def evenly(places: Sequence[int], most: int) -> list[int]:
    """At most so many of some places in order, the first and the last among them."""
    if len(places) <= most:
        return list(places)
    return [places[round(step * (len(places) - 1) / (most - 1))] for step in range(most)]
