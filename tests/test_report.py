"""The page as text: escaped, self-contained, the same every time."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pytest
from made_run import LABELS, made_quick_run, made_run

from bench.cli.report import ReportFormat
from bench.observations import CaseResult, Trial
from bench.quantity import Unit
from bench.records import METHOD_VERSION, SCHEMA_VERSION, Outcome, PassKind
from bench.report import FORMATS, render
from bench.report.beside import Beside
from bench.report.drawing import spread
from bench.report.scales import measured_scale, swept_scale
from bench.report.svg import Look

NASTY = "<script>alert(1)</script>"


@cache
def page() -> str:
    runs = [made_run(), made_quick_run()]
    return render(runs, Beside(chance={"imdb": 0.5}, sources=[("imdb", "Maas 2011 <b>fetch</b>, never commit")]))


class Elements(HTMLParser):
    """Every element with its attributes, and the text of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.within: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.within and self.within.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@cache
def elements() -> Elements:
    return Elements(page())


def test_labels_show_as_text_everywhere() -> None:
    tags = [tag for tag, _ in elements().elements]
    assert "b" not in tags
    assert tags.count("script") == 1  # the page's own
    shown = [text for text in elements().texts if NASTY in text]
    assert len(shown) > 10
    # in charts labels are shortened, and text all the same
    assert "&lt;script&gt;alert(…" in page()
    assert 'name = "sentiment"' in "".join(elements().texts)


def test_nothing_points_outside() -> None:
    assert "://" not in page()
    for tag, attributes in elements().elements:
        assert tag not in ("link", "img", "iframe", "object", "base", "audio", "video"), tag
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
        target = attributes.get("href")
        packed = "download" in attributes and str(target).startswith("data:application/gzip;base64,")
        assert target is None or target.startswith("#") or packed
    assert "@import" not in page()
    assert not re.search(r"url\((?!#)", page())


def test_ids_are_unique_and_every_reference_is_met() -> None:
    ids = [attributes["id"] for _, attributes in elements().elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    used = re.findall(r"url\(#([^)]+)\)", page()) + re.findall(r'href="#([^"]+)"', page())
    used += [one for group in re.findall(r'aria-labelledby="([^"]+)"', page()) for one in group.split()]
    assert used
    assert set(used) <= set(ids)


def test_the_same_run_gives_the_same_bytes() -> None:
    runs = [made_run(("lstm", NASTY))]
    assert render(runs) == render(runs)


def test_charts_can_be_read_without_seeing_and_take_their_colors_from_the_page() -> None:
    images = [attributes for tag, attributes in elements().elements if tag == "svg"]
    panels = [attributes for attributes in images if not attributes.get("class")]
    assert len(panels) == 26
    assert all(attributes.get("role") == "img" for attributes in panels)
    drawn = "".join(re.findall(r"<svg viewBox[^>]*role.*?</svg>", page(), flags=re.S))
    assert "currentColor" in drawn
    assert "var(--series-0)" in drawn
    assert not re.findall(r"#[0-9a-f]{6}", re.sub(r"url\(#[^)]*\)|href=\"[^\"]*\"", "", drawn))
    assert "font-family" not in drawn
    assert "<text" in drawn


def test_every_part_is_there() -> None:
    text = " ".join("".join(elements().texts).split())
    for words in (
        "Which small text classifier should I use for film reviews?",
        "A quick look: 3 trials a case",
        "does not fit",
        "made to be skipped",
        "RuntimeError: made to fail | on purpose",
        "chance 50 %",
        "breaks a contract",
        "How these numbers were taken",
        "Maas 2011 <b>fetch</b>, never commit",
        "Made Processor 3000",
        "2.13.0+cpu",
        f"schema {SCHEMA_VERSION}, method {METHOD_VERSION}",
        "commit 0123456789",
        "Accuracy against throughput",
        "Speed over sequence length",
        "Speed over batch size",
        "Memory over sequence length",
        "Learning curves",
        "Roofline",
        "Can these figures be trusted?",
        "2 of 622 trials were disturbed from outside and left out: other programs (1), steal (1)",
    ):
        assert words in text, words


def test_marked_cases_are_hollow() -> None:
    run, results = made_run(("lstm",), lengths=(64, 128))
    assert "fill: var(--paper)" not in render([(run, results)])
    unsteady = [replace(r, trials=tuple(replace(t, steady=False) for t in r.trials)) for r in results]
    marked = render([(run, unsteady)])
    assert "fill: var(--paper)" in marked
    # of each workload, under its speed and under its memory
    assert marked.count("Hollow: never became steady (4).") == 4


def test_a_page_is_made_of_whatever_there_is() -> None:
    run, results = made_run(("lstm", "gru"), lengths=(64,))
    nothing = [replace(r, preflight=None, pilots=(), trials=(), passes=(), epochs=(), fits=()) for r in results]
    failed = [
        replace(r, trials=(Trial(case_id=r.case.id, round=0, outcome=Outcome.FAILED, reason="no"),), fits=(), passes=())
        for r in results
    ]
    single = [replace(r, trials=r.trials[:1], fits=r.fits[:1], epochs=r.epochs[:1]) for r in results]
    for observed in (nothing, failed, single, results):
        assert "Machine and software" in render([(run, observed)])
    fits_only = [result for result in results if result.case.fit]
    plan = replace(run.plan, cases=tuple(result.case for result in fits_only))
    assert "over test items" in render([(replace(run, plan=plan), fits_only)])
    assert "not all have an interval" in render([(run, single)])


def test_dollar_signs_are_no_formulas() -> None:
    run, results = made_run(("lstm",), lengths=(64, 128))
    label = r"$\frac{1}$ a"
    named = [replace(r, case=replace(r.case, variant=replace(r.case.variant, label=label))) for r in results]
    assert f">{label}</text>" in render([(run, named)])


def test_every_format_is_offered() -> None:
    ours = ["html", "markdown", "csv", "json", "parquet", "trust"]
    others = ["pytest-benchmark", "github-action-benchmark", "github-action-benchmark-bigger", "bencher"]
    assert list(FORMATS) == [*ours, *others]
    assert [one.value for one in ReportFormat] == list(FORMATS)
    runs = [made_quick_run()]
    assert str(FORMATS["html"](runs)).startswith("<!doctype html>")
    assert str(FORMATS["markdown"](runs)).startswith("## smoke")
    assert str(FORMATS["csv"](runs)).startswith("run,machine,commit")
    assert str(FORMATS["json"](runs)).startswith("[\n{")


def test_looks_differ_and_keep_to_the_palette() -> None:
    looks = [Look(place) for place in range(64)]
    siblings = [Look(place, family=1, sibling=place) for place in range(3)]
    assert len({look.series for look in siblings}) == 1
    assert len({look.marker for look in siblings}) == 3
    assert len({str(look.line) for look in siblings}) == 3
    assert len({(look.series, look.marker) for look in looks}) == 64
    assert len({look.series for look in looks[: len(LABELS)]}) == len(LABELS)
    assert all(look.outline.startswith("M") and look.outline.endswith("Z") for look in looks[:8])


def test_labels_at_line_ends_keep_apart() -> None:
    placed = spread([50, 50, 51, 90, 10], 10, 0, 100)
    order = sorted(placed)
    assert min(high - low for low, high in pairwise(order)) == pytest.approx(10)
    assert placed[3] == 90
    assert placed[4] == 10
    assert sorted(spread([99, 99, 99], 10, 0, 100)) == [80, 90, 100]
    assert spread([3], 10, 5, 100) == [5]


def test_ticks_are_round() -> None:
    assert measured_scale([900, 120_000], Unit.ITEMS_PER_SECOND).ticks == (1000, 3000, 10_000, 30_000, 100_000)
    assert measured_scale([2**20, 2**24], Unit.BYTES).ticks == (2**20, 2**21, 2**22, 2**23, 2**24)
    assert measured_scale([1e-5, 1e3], Unit.NUMBER).ticks == pytest.approx((1e-5, 1e-3, 1e-1, 10, 1000))
    even = measured_scale([0.84, 0.88], Unit.SHARE)
    assert not even.log
    assert even.ticks == pytest.approx([0.84, 0.85, 0.86, 0.87, 0.88])
    assert measured_scale([0.67, 1.2], Unit.SHARE).high == 1.0
    assert measured_scale([0, 0], Unit.BYTES).ticks == (0,)
    assert measured_scale([14_000, 20_000], Unit.BYTES).ticks == (14 * 1024, 16 * 1024, 18 * 1024, 20 * 1024)
    assert swept_scale([64, 256, 128, 64], "").ticks == (64, 128, 256)
    assert swept_scale([64], "").low < 64 < swept_scale([64], "").high


def _luminance(color: str) -> float:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast_is_enough_to_read(scheme: int) -> None:
    css = (files("bench.report") / "page.css").read_text(encoding="utf-8")
    block = re.findall(r":root \{(.*?)\}", css, flags=re.S)[scheme]
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for text, ground in (("ink", "paper"), ("muted", "paper"), ("ink", "tint"), ("ink", "note"), ("alert", "paper")):
        assert _contrast(colors[text], colors[ground]) >= 4.5, (text, ground)
    for number in range(8):
        assert _contrast(colors[f"series-{number}"], colors["paper"]) >= 3, number


def test_a_memory_too_small_to_be_seen_counts_as_the_most_that_it_can_be() -> None:
    run, results = made_run()

    def unseen(result: CaseResult) -> CaseResult:
        if result.case.variant.label != "nbow":
            return result
        passes = (
            replace(one, values={**one.values, "peak_rss_bytes": None}) if one.name is PassKind.MEMORY else one
            for one in result.passes
        )
        return replace(result, passes=tuple(passes))

    before, after = render([(run, results)]), render([(run, [unseen(result) for result in results])])
    assert "too small" in after
    assert "<strong>nbow</strong> (34.5 MiB) is the smallest in memory" in before
    assert "<strong>nbow</strong> (at most 5.13 MiB) is the smallest in memory" in after
    assert after.count("<svg") == before.count("<svg")
