"""A run put in order for telling: each case with its estimates and doubts, and which cases belong side by side. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from bench import estimates
from bench.frames import Runs, failed_pass, headline, memory_metric
from bench.observations import CaseResult
from bench.quantity import METRICS, Better, Metric, Unit, format_half_width, format_value
from bench.records import Case, LengthDistribution, Outcome, PassKind, Run, Variant
from bench.stats import Estimate
from bench.trust import used_trials

_FLAGS = {
    "few_trials": "few trials",
    "not_steady": "never became steady",
    "noisy": "noisy",
    "wide_interval": "wide interval",
    "contract_red": "breaks a contract",
    "not_matched": "size not matched",
    "disturbed": "disturbed",
    "rejection_matters": "rejection matters",
    "diverged": "diverged",
    "out_of_memory": "does not fit",
    "timed_out": "timed out",
    "failed": "failed",
    "skipped": "skipped",
}
_LENGTHS = {
    LengthDistribution.FIXED: "",
    LengthDistribution.DATA: "lengths as in the data",
    LengthDistribution.UNIFORM: "every length alike",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A case as it is told.

    Attributes:
        outcome, reason: how it ended; None while it has not been measured.
        found: its estimates by metric.
        marks: what sets it apart from other cases of its run, in words; see `marks`.
        setting: the seldom swept axes of its case.
    """

    case: Case
    result: CaseResult
    outcome: Outcome | None
    reason: str
    found: Mapping[str, Estimate]
    marks: tuple[str, ...]
    setting: Setting = field(init=False)

    def __post_init__(self) -> None:
        """Its setting is asked for again and again, and takes long to put together."""
        object.__setattr__(self, "setting", setting(self.case))

    @property
    def good(self) -> bool:
        """Whether its figures may be shown as such."""
        return self.outcome is Outcome.OK

    def figure(self, name: str) -> Estimate | None:
        """A metric of it, where it ended well and the metric is known."""
        estimate = self.found.get(name)
        return estimate if self.good and estimate is not None and estimate.value is not None else None

    @property
    def memory(self) -> Estimate | None:
        """Its peak memory, on whichever device it ran."""
        return self.figure(memory_metric(self.case))

    @property
    def memory_too_small(self) -> bool:
        """Whether its peak memory was looked at and is below `MEMORY_RESOLUTION_BYTES`."""
        looked_at = self.found.get(memory_metric(self.case))
        return self.good and looked_at is not None and looked_at.value is None

    @property
    def memory_outcome(self) -> Outcome | None:
        """How its memory pass ended, where that went otherwise than its trials did."""
        failed = failed_pass(self.result, PassKind.MEMORY)
        return failed.outcome if failed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A place on the axes where variants stand side by side."""

    workload: str
    sequence_length: int | None
    batch_size: int
    setting: Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The axes that are seldom swept; cases of different settings never share a table."""

    precision: str
    device: str
    threads: int
    compile: str
    length_distribution: LengthDistribution
    new_tokens: int | None = None

    def __str__(self) -> str:
        return self.words()

    def words(self, *, without: Collection[str] = ()) -> str:
        """`fp32 on cpu, 2 threads`; without some of its fields."""
        told = {
            "precision": self.precision,
            "device": f"on {self.device}",
            "threads": f"{self.threads} thread{'s' * (self.threads != 1)}",
            "compile": "" if self.compile == "none" else f"compiled ({self.compile})",
            "length_distribution": _LENGTHS[self.length_distribution],
            "new_tokens": f"{self.new_tokens} new tokens" if self.new_tokens else "",
        }
        kept = {name: words for name, words in told.items() if words and name not in without}
        where = " ".join(kept.pop(name) for name in ("precision", "device") if name in kept)
        return ", ".join(words for words in (where, *kept.values()) if words)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A run with everything that is told about it; variants stand in the order of the plan, everywhere.

    Attributes:
        order: the variants of every run that is told beside it, which decides how each looks.
        by_task: the speed cases of each task, and its fits.
    """

    run: Run
    cases: tuple[Shown, ...]
    tasks: tuple[str, ...]
    variants: tuple[Variant, ...]
    order: tuple[Variant, ...]
    by_task: Mapping[str, tuple[list[Shown], list[Shown]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Cases are put in order once: a page asks for those of a task again and again."""
        by_task: dict[str, tuple[list[Shown], list[Shown]]] = {}
        for shown in self.cases:
            by_task.setdefault(shown.case.task_key, ([], []))[shown.case.fit is not None].append(shown)
        object.__setattr__(self, "by_task", by_task)

    def apart(self, task: str, setting: Setting) -> str:
        """`, fp32 on cpu, 1 thread` where a task was measured in other settings too; else empty."""
        settings = {replace(shown.setting, new_tokens=None) for shown in self.timed(task)}
        return f", {setting.words(without=('new_tokens',))}" if len(settings) > 1 else ""

    def timed(self, task: str) -> list[Shown]:
        """The speed cases of a task."""
        return [*self.by_task[task][0]] if task in self.by_task else []

    def fits(self, task: str) -> list[Shown]:
        """The accuracy cases of a task."""
        return [*self.by_task[task][1]] if task in self.by_task else []

    def floors(self, task: str) -> dict[str, float]:
        """What simple rules score by the headline metric on the test items of those fits that are told; the mean over folds."""
        place = point(self.run, (shown.case for shown in self.timed(task)))
        told = fits_for(self.fits(task), place.sequence_length if place else None).values()
        # fits of one length have the same test items: whichever of them has ended well will do
        length = max((shown.case.sequence_length or 0 for shown in told if shown.good), default=0)
        alike = [shown.result for shown in told if shown.good and (shown.case.sequence_length or 0) == length]
        found: dict[str, list[float]] = {}
        for fit in estimates.good_fits(alike[0]) if alike else ():
            for name, value in fit.floors.items():
                found.setdefault(name, []).append(value)
        return {name: fmean(values) for name, values in found.items()}

    def headline(self, task: str) -> Metric:
        """The metric by which a task's fits are told apart."""
        fits = self.fits(task)
        name = headline(self.run, [shown.result for shown in fits], fits[0].case) if fits else "accuracy"
        return metric(name)


def metric(name: str) -> Metric:
    """The metric of that name; of a task that nobody here has imported only the name is known."""
    return METRICS.get(name) or Metric(name=name, title=name, unit=Unit.NUMBER, better=Better.NEITHER)


def view(run: Run, results: Sequence[CaseResult]) -> View:
    """Put a run in order; cheap enough to be called again whenever an observation comes in."""
    cases = tuple(_shown(run, result) for result in _distinct(results))
    by_id = {shown.case.variant.variant_id: shown.case.variant for shown in cases}
    variants = tuple(by_id.values())
    tasks = tuple(dict.fromkeys(shown.case.task_key for shown in cases))
    return View(run=run, cases=cases, tasks=tasks, variants=variants, order=variants)


def _distinct(results: Sequence[CaseResult]) -> list[CaseResult]:
    """The same results; variants that are called alike get the beginning of their ids, so that each name means one."""
    labels = {result.case.variant.variant_id: result.case.variant.label for result in results}
    counts = Counter(labels.values())
    if max(counts.values(), default=1) == 1:
        return list(results)

    def named(result: CaseResult) -> CaseResult:
        variant = result.case.variant
        if counts[variant.label] == 1:
            return result
        label = f"{variant.label} {variant.variant_id[:6]}"
        return replace(result, case=replace(result.case, variant=replace(variant, label=label)))

    return [named(result) for result in results]


def side_by_side(runs: Runs) -> list[View]:
    """The views of several runs that are told together: a variant looks alike in all of them."""
    views = [view(run, results) for run, results in runs]
    order = tuple({variant.variant_id: variant for one in views for variant in one.variants}.values())
    return [replace(one, order=order) for one in views]


def _shown(run: Run, result: CaseResult) -> Shown:
    outcome, reason = result.verdict
    found = estimates.estimates(result)
    return Shown(case=result.case, result=result, outcome=outcome, reason=reason, found=found, marks=marks(run, result))


def marks(run: Run, result: CaseResult) -> tuple[str, ...]:
    """The flags of a case in words, without `few_trials` where the suite asked for so few: the page says that once."""
    trials = len(used_trials(result))
    found = []
    for flag in estimates.flags(result, run.plan.measure):
        name, colon, rest = flag.partition(":")
        if name != "few_trials" or trials < run.plan.measure.min_rounds:
            found.append(f"{_FLAGS.get(name, name)}{colon}{rest}")
    return tuple(found)


def setting(case: Case) -> Setting:
    """The seldom swept axes of a case."""
    return Setting(
        precision=case.precision,
        device=case.device,
        threads=case.threads,
        compile=case.compile,
        length_distribution=case.length_distribution,
        new_tokens=case.new_tokens,
    )


def point(run: Run, cases: Iterable[Case]) -> Point | None:
    """The operating point of a task's speed cases: what the suite names where there is such a case, else the largest."""
    left = list(cases)
    if not left:
        return None
    asked = run.plan.operating_point
    workloads = [case.workload for case in left]
    workload = asked.workload if asked.workload in workloads else workloads[0]
    left = [case for case in left if case.workload == workload]
    length = _nearest(asked.sequence_length, [case.sequence_length for case in left])
    left = [case for case in left if case.sequence_length == length]
    batch = _nearest(asked.batch_size, [case.batch_size for case in left])
    left = [case for case in left if case.batch_size == batch]
    return Point(workload=workload, sequence_length=length, batch_size=left[0].batch_size, setting=setting(left[0]))


def _nearest(asked: int | None, present: Sequence[int | None]) -> int | None:
    return asked if asked in present and asked is not None else max((one for one in present if one), default=None)


def at(cases: Iterable[Shown], place: Point) -> dict[str, Shown]:
    """The speed cases at a point, by variant id."""
    return {
        shown.case.variant.variant_id: shown
        for shown in cases
        if (shown.case.workload, shown.case.sequence_length, shown.case.batch_size, shown.setting)
        == (place.workload, place.sequence_length, place.batch_size, place.setting)
    }


def fits_for(fits: Sequence[Shown], length: int | None) -> dict[str, Shown]:
    """The fit of each variant that stands beside its speed: at the same length, else its longest."""
    chosen: dict[str, Shown] = {}
    for shown in sorted(fits, key=lambda one: (one.case.sequence_length == length, one.case.sequence_length or 0)):
        chosen[shown.case.variant.variant_id] = shown
    return chosen


def listed(words: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    *most, end = words or [""]
    return f"{', '.join(most)} {last} {end}" if most else end


def place_words(length: int | None, batch: int | None, new_tokens: int | None = None) -> str:
    """`length 256, batch 32`; a task without lengths has only the batch."""
    parts = [f"length {length}" if length else "", f"batch {batch}" if batch else ""]
    parts.append(f"{new_tokens} new tokens" if new_tokens else "")
    return ", ".join(part for part in parts if part)


def outcome_words(outcome: Outcome | None) -> str:
    """How a case ended, for people: `does not fit`, `failed`."""
    if outcome is None:
        return "not measured yet"
    return "" if outcome is Outcome.OK else _FLAGS[outcome.value]


def value_words(estimate: Estimate, unit: Unit) -> str:
    """A value and the half-width of its interval: `12.3 k/s ±1.3 %`."""
    text = format_value(estimate.value, unit)
    half = "" if estimate.value is None else format_half_width(estimate.value, estimate.low, estimate.high, unit)
    return f"{text} {half}".rstrip()


def range_words(estimate: Estimate, unit: Unit) -> str:
    """The ends of an interval: `84.5 % to 86.4 %`; empty where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{format_value(estimate.low, unit)} to {format_value(estimate.high, unit)}"


def counted(words: Iterable[str]) -> str:
    """`wide interval (5), noisy (2)`: how often each mark stands, without its particulars."""
    counts = Counter(word.partition(":")[0] for word in words)
    return ", ".join(f"{word} ({count})" for word, count in counts.items())
