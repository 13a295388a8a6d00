"""The sentences at the top: each one read again and held against the figures, on results of every kind."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from made_results import TASK, Made, drawn, results_of
from made_run import made_run

from bench.estimates import item_interval
from bench.quantity import Better
from bench.records import Outcome
from bench.report import summary
from bench.report import view as views
from bench.report.view import View

# ── what the figures say: by plain comparisons, nothing of bench.report.ranking ──


@dataclass(frozen=True)
class Figure:
    """A value and its interval; `open` if it should have one and has none."""

    value: float
    low: float
    high: float
    open: bool = False


def figures(view: View, metric: str) -> dict[str, Figure]:
    """A metric of each variant, by label; scores hold seeds and items, memory two per cent."""
    found = {}
    for shown in view.cases:
        one = shown.figure(metric)
        if one is None or one.value is None:
            continue
        lows, highs = [one.low], [one.high]
        if metric in ("accuracy", "exact_match") and (items := item_interval(shown.result)):
            lows, highs = [*lows, items.low], [*highs, items.high]
        if metric == "peak_rss_bytes":
            lows, highs = [one.value * 0.98], [one.value * 1.02]
        low, high = ([end for end in ends if end is not None] for ends in (lows, highs))
        label = shown.case.variant.label
        found[label] = Figure(one.value, min(low, default=one.value), max(high, default=one.value), not low)
    return found


def ahead(one: Figure, other: Figure, better: Better) -> bool:
    if one.open or other.open:
        return False
    return one.low > other.high if better is Better.HIGHER else one.high < other.low


def unbeaten(found: Mapping[str, Figure], better: Better) -> set[str]:
    return {name for name, one in found.items() if not any(ahead(other, one, better) for other in found.values())}


def order(found: Mapping[str, Figure], better: Better) -> list[str]:
    return sorted(found, key=lambda name: found[name].value, reverse=better is Better.HIGHER)


# ── what a sentence says ──

NUMBER = r"(-?[\d,.]+)"
BETWEEN = rf"\({NUMBER} to {NUMBER}\)"
NAME = r"<strong>(?P<{}>v\d)</strong>"
WHO = NAME + r" \([^)]*\)"
OPENING = r"(?:Inference at length 64, batch 32: )?"
TIMES = rf"(?P<times>[\d,.]+ times {BETWEEN}) as fast as"
BEST = r"(?P<best>the fastest|the most accurate|the best by [\w ]+?|the smallest in memory)"

TIE = "their intervals overlap|not all have an interval|they differ by no more than repeats of one measurement do"
FIRST, SECOND = NAME.format("who"), NAME.format("second")
SEED = "(?:; one seed each)?"
SENTENCES = {
    "superlative": rf"{OPENING}{WHO.format('who')} is {BEST}(?: of the \d with figures)?, (?P<lead>.*?)(?P<next> the next,)? "
    rf"{WHO.format('second')}{SEED}\.",
    "tie": rf"{OPENING}[Tt]his run cannot say which is {BEST}: (?P<names>.*?); (?P<why>{TIE}){SEED}\.",
    "alone": rf"{OPENING}(?:[A-Z][\w ]+: )?{WHO.format('who')}(?:, the only one of \d with figures)?{SEED}\.",
    "compromise": rf"Best compromise: {FIRST}; no other is shown to be (?:more accurate|better by [\w ]+?)"
    rf"(?:, and of the (?P<level>\d) not told apart it is the fastest, {TIMES} {SECOND})?\.",
    "both": rf"No compromise is needed: {FIRST} is both\.",
    "trade": rf"Next on the front: {FIRST}, {TIMES} {SECOND}, but (?P<behind>.*) behind it in [\w ]+\.",
    "nothing": rf"{OPENING}(?:nothing fits into memory|no architecture has figures \(.*\)\. First .*)\.",
    "untrained": r"Trained: no architecture has figures \(\d diverged\)\. First <strong>v\d</strong>\.",
}


def numbers(text: str) -> list[str]:
    return [found.replace(",", "") for found in re.findall(NUMBER, text)]


def is_rounded(shown: str, true: float) -> bool:
    """Whether a number is the true one, to as many decimals as it has."""
    decimals = len(shown.partition(".")[2])
    return abs(float(shown) - true) <= 0.5 * 10**-decimals + 1e-9


class Reader:
    """Holds every claim of some sentences against the figures of a run."""

    def __init__(self, view: View) -> None:
        metric = view.headline(TASK)
        self.score, self.unit = (metric.title, metric.better), (100.0 if metric.unit.value == "share" else 1.0)
        self.speeds = figures(view, "throughput_items_per_s")
        self.scores = figures(view, metric.name)
        self.memory = figures(view, "peak_rss_bytes")
        self.claims: list[str] = []

    def field(self, best: str) -> tuple[dict[str, Figure], Better]:
        if best == "the fastest":
            return self.speeds, Better.HIGHER
        if best == "the smallest in memory":
            assert set(self.memory) == set(self.speeds), "the least of those that can be seen is not the least of all"
            return self.memory, Better.LOWER
        assert best == ("the most accurate" if self.score[0] == "accuracy" else f"the best by {self.score[0]}")
        return self.scores, self.score[1]

    def read(self, sentence: str) -> None:
        for name, pattern in SENTENCES.items():
            found = re.fullmatch(pattern, sentence)
            if found:
                getattr(self, name)(found)
                self.claims.append(name)
                return
        raise AssertionError(f"cannot be read: {sentence}")

    def times(self, text: str, one: str, other: str) -> None:
        """The ratio of two speeds: the figures' own, its interval of Zou & Donner, which holds no 1."""
        value, low, high = numbers(text)
        first, second = self.speeds[one], self.speeds[other]
        assert is_rounded(value, first.value / second.value)
        below = math.hypot(math.log(first.value / first.low), math.log(second.high / second.value))
        above = math.hypot(math.log(first.high / first.value), math.log(second.value / second.low))
        assert is_rounded(low, first.value / second.value * math.exp(-below))
        assert is_rounded(high, first.value / second.value * math.exp(above))
        assert float(low) > 1

    def points(self, text: str, one: str, other: str) -> None:
        value, low, high = numbers(text)
        sign = self.unit if self.score[1] is Better.HIGHER else -self.unit
        assert is_rounded(value, sign * (self.scores[one].value - self.scores[other].value))
        assert 0 < float(low) <= float(value) <= float(high)

    def superlative(self, found: re.Match[str]) -> None:
        field, better = self.field(found["best"])
        who, second = found["who"], found["second"]
        others = {name: one for name, one in field.items() if name != who}
        assert all(ahead(field[who], one, better) for one in others.values())
        assert second == order(others, better)[0]
        assert bool(found["next"]) == (unbeaten(others, better) == {second})
        if found["best"] == "the fastest":
            self.times(found["lead"], who, second)
        elif found["best"] != "the smallest in memory":
            self.points(found["lead"], who, second)

    def tie(self, found: re.Match[str]) -> None:
        field, better = self.field(found["best"])
        names = re.findall(r"<strong>(v\d)</strong>", found["names"])
        more = re.search(r" and (\d) more$", found["names"])
        level = unbeaten(field, better)
        assert len(level) > 1
        assert set(names) <= level
        assert len(names) + int(more[1] if more else 0) == len(level)
        assert (found["why"] == "not all have an interval") == any(field[name].open for name in level)

    def alone(self, found: re.Match[str]) -> None:
        assert [found["who"]] in [list(field) for field in (self.speeds, self.scores, self.memory)]

    def compromise(self, found: re.Match[str]) -> None:
        who = found["who"]
        assert not any(ahead(other, self.scores[who], self.score[1]) for other in self.scores.values())
        level = unbeaten({name: one for name, one in self.scores.items() if name in self.speeds}, self.score[1])
        assert who in level
        assert len(level) > 1
        assert not any(self.scores[name].open for name in level)
        beside = level if found["second"] else set(self.speeds)
        for name in beside - {who}:
            assert ahead(self.speeds[who], self.speeds[name], Better.HIGHER)
        if found["second"]:
            assert int(found["level"]) == len(level)
            self.times(found["times"], who, found["second"])

    def both(self, found: re.Match[str]) -> None:
        for field, better in ((self.speeds, Better.HIGHER), (self.scores, self.score[1])):
            assert unbeaten(field, better) == {found["who"]}

    def trade(self, found: re.Match[str]) -> None:
        self.times(found["times"], found["who"], found["second"])
        self.points(found["behind"], found["second"], found["who"])

    def nothing(self, found: re.Match[str]) -> None:
        assert not self.speeds

    def untrained(self, found: re.Match[str]) -> None:
        assert not self.scores


def read(variants: Sequence[Made], **more: Any) -> tuple[list[str], list[str]]:
    """The sentences of some results, each one checked, and what kinds of claims they are."""
    view = views.view(*results_of(variants, **more))
    said = [str(one) for one in summary.lead(view, TASK)]
    reader = Reader(view)
    for one in said:
        reader.read(one)
    assert len(said) <= 5
    return said, reader.claims


def test_no_sentence_claims_what_intervals_do_not_carry() -> None:
    kinds: set[str] = set()
    for seed in range(300):
        variants, metric = drawn(seed)
        kinds |= set(read(variants, metric=metric)[1])
    assert kinds == set(SENTENCES), "a kind of sentence that is never made is never read"


# ── results of one kind each ──

SLOW = Made(label="v0", latencies_s=(0.0199, 0.02, 0.0201), scores=(0.90, 0.901, 0.899), items=5000, memory_bytes=2**25)
QUICK = Made(
    label="v1", latencies_s=(0.0099, 0.01, 0.0101), scores=(0.80, 0.801, 0.799), items=5000, memory_bytes=2**24
)


def test_what_is_told_apart_is_told_with_its_ratio_and_what_it_costs() -> None:
    assert read([SLOW, QUICK])[0] == [
        "Inference at length 64, batch 32: <strong>v1</strong> (3.20 k/s ±2.5 %) is the fastest, "
        "2.00 times (1.95 to 2.06) as fast as the next, <strong>v0</strong> (1.60 k/s ±1.2 %).",
        "<strong>v0</strong> (90.0 % ±0.2) is the most accurate, 10.0 points (8.6 to 11.4) ahead of the next, "
        "<strong>v1</strong> (80.0 % ±0.2).",
        "Next on the front: <strong>v1</strong>, 2.00 times (1.95 to 2.06) as fast as <strong>v0</strong>, "
        "but 10.0 points (8.6 to 11.4) behind it in accuracy.",
        "<strong>v1</strong> (16.0 MiB) is the smallest in memory, ahead of the next, <strong>v0</strong> (32.0 MiB).",
    ]


def test_ties_are_told_as_such() -> None:
    same = [replace(SLOW, label=f"v{number}") for number in range(5)]
    said, kinds = read(same)
    assert kinds == ["tie", "tie", "tie"]
    assert "<strong>v2</strong> (1.60 k/s ±1.2 %) and 2 more; their intervals overlap." in said[0]
    assert said[2].endswith("they differ by no more than repeats of one measurement do.")


def test_one_that_is_faster_is_not_so_within_wide_intervals() -> None:
    wide = replace(QUICK, latencies_s=(0.005, 0.01, 0.02))
    assert read([SLOW, wide])[1][:2] == ["tie", "superlative"]


def test_single_trials_and_single_scores_are_not_compared() -> None:
    lone = [replace(one, latencies_s=one.latencies_s[:1], scores=one.scores[:1], items=None) for one in (SLOW, QUICK)]
    said, kinds = read(lone, metric="bleu")
    assert kinds == ["tie", "tie", "superlative"]
    assert all("; not all have an interval." in one for one in said[:2])


def test_one_seed_is_said_where_test_items_alone_carry_a_claim() -> None:
    assert read([replace(one, scores=one.scores[:1]) for one in (SLOW, QUICK)])[0][1].endswith("; one seed each.")


def test_one_architecture_has_plain_figures() -> None:
    said, kinds = read([SLOW])
    assert kinds == ["alone", "alone", "alone"]
    assert said[1] == "Accuracy: <strong>v0</strong> (90.0 % ±0.2)."


def test_a_run_without_fits_says_no_word_on_accuracy() -> None:
    said, kinds = read([SLOW, QUICK], fits=False)
    assert kinds == ["superlative", "superlative"]
    assert "accura" not in " ".join(said)


def test_nothing_fits() -> None:
    unfit = [replace(one, outcome=Outcome.OUT_OF_MEMORY) for one in (SLOW, QUICK)]
    said = read(unfit)[0]
    assert said[0] == "Inference at length 64, batch 32: nothing fits into memory."
    assert len(said) == 2


def test_all_failed_and_why_the_first_did() -> None:
    failed = [replace(one, outcome=Outcome.FAILED, reason="RuntimeError: <b>no</b>\nmore") for one in (SLOW, QUICK)]
    said = read(failed, fits=False)[0]
    assert said == [
        "Inference at length 64, batch 32: no architecture has figures (2 failed). First <strong>v0</strong>: "
        "RuntimeError: &lt;b&gt;no&lt;/b&gt;."
    ]
    assert read([replace(failed[0], reason="x" * 500)], fits=False)[0][0].endswith(f"{'x' * 119}….")


def test_nothing_is_said_of_what_is_not_measured_yet() -> None:
    run, results = results_of([SLOW, QUICK])
    empty = [replace(result, trials=(), passes=(), fits=()) for result in results]
    assert summary.lead(views.view(run, empty), TASK) == []


def test_of_some_that_failed_it_is_said_how_many_are_left() -> None:
    unfit = replace(SLOW, label="v2", outcome=Outcome.OUT_OF_MEMORY)
    said = read([SLOW, QUICK, unfit])[0]
    assert "is the fastest of the 2 with figures, " in said[0]
    assert read([SLOW, unfit])[0][0].endswith(", the only one of 2 with figures.")


def test_who_has_no_speed_may_still_be_the_most_accurate() -> None:
    best = replace(SLOW, label="v2", scores=(0.99, 0.99, 0.99), outcome=Outcome.OUT_OF_MEMORY)
    leader = replace(SLOW, latencies_s=(0.0049, 0.005, 0.0051))
    assert read([leader, QUICK])[1] == ["superlative", "superlative", "both", "superlative"]
    said, kinds = read([leader, QUICK, best])
    assert said[1].startswith("<strong>v2</strong>")
    assert kinds == ["superlative", "superlative", "superlative"]


def test_of_equally_accurate_ones_the_fastest_is_the_compromise() -> None:
    level = replace(SLOW, label="v2", latencies_s=(0.0149, 0.015, 0.0151))
    assert read([SLOW, QUICK, level])[0][2] == (
        "Best compromise: <strong>v2</strong>; no other is shown to be more accurate, and of the 2 not told apart it is "
        "the fastest, 1.33 times (1.31 to 1.36) as fast as <strong>v0</strong>."
    )


def test_lower_is_better() -> None:
    errors = [replace(SLOW, scores=(1.0, 1.01, 0.99), items=None), replace(QUICK, scores=(2.0, 2.01, 1.99), items=None)]
    said = read(errors, metric="mae")[0]
    assert said[1].startswith(
        "<strong>v0</strong> (1.00 ±2.5 %) is the best by mean absolute error, 1.00 (0.96 to 1.04) ahead of the next, "
    )
    assert "but 1.00 (0.96 to 1.04) behind it in mean absolute error." in said[2]


def test_memory_that_is_missing_for_some_is_not_compared() -> None:
    assert "memory" not in " ".join(read([SLOW, replace(QUICK, memory_bytes=None)])[0])


def test_two_runs_are_told_each_by_itself() -> None:
    here, there = results_of([SLOW, QUICK]), results_of([replace(QUICK, label="v0"), replace(SLOW, label="v1")])
    first, second = ([str(one) for one in summary.lead(view, TASK)] for view in views.side_by_side([here, there]))
    assert "<strong>v1</strong> (3.20 k/s ±2.5 %) is the fastest" in first[0]
    assert "<strong>v0</strong> (3.20 k/s ±2.5 %) is the fastest" in second[0]


def test_labels_are_text_and_marks_are_told() -> None:
    said = [str(one) for one in summary.lead(views.view(*made_run(("<script>alert(1)</script>",))), "imdb")]
    assert said[0].startswith(
        "Inference at length 256, batch 32: <strong>&lt;script&gt;alert(1)&lt;/script&gt;</strong> (4.05 k/s"
    )
    # no doubt of a time: it stands beside memory too
    assert all("breaks a contract: padding" in one for one in said)
