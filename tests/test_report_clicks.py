"""What a reader can ask of the tables of a page, with real clicks and keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from browsing import MARKS, Seen, seen

from bench.quantity import format_ratio
from bench.stats import Estimate, ratio

pytestmark = MARKS

CASES = "#r-1-every-case"
LEAGUE = ".scroll[aria-label='imdb']"
LEAGUE_TOOLS = ".tools[aria-label='Tools for imdb']"


@pytest.fixture
def opened(browser: Any, made_page: Path) -> Iterator[Seen]:
    with seen(browser, made_page) as one:
        yield one


def _texts(page: Any, selector: str) -> list[str]:
    found: list[str] = page.evaluate(
        "(selector) => [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility())"
        ".map((one) => one.textContent.replace(/\\s+/g, ' ').trim())",
        selector,
    )
    return found


def _column(page: Any, around: str, place: int) -> list[str]:
    return _texts(page, f"{around} tbody tr > :nth-child({place + 1})")


def _press(page: Any, around: str, words: str) -> None:
    page.locator(f"{around} thead button", has_text=re.compile(f"^{words}$")).first.click()


def _choose(page: Any, around: str, words: str, value: str) -> None:
    page.locator(f"{around} label", has_text=words).first.locator("select").select_option(value)


def _unfold(page: Any, around: str) -> None:
    page.locator(f"{around} > summary").click()
    page.locator(f"{around} .tools").first.wait_for()


# ── tables ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_press_on_a_head_sorts_and_a_third_restores(opened: Seen) -> None:
    page, league = opened.page, LEAGUE
    made = _column(page, league, 0)
    head = page.locator(f"{league} thead th").nth(1)
    _press(page, league, "throughput")
    assert head.get_attribute("aria-sort") == "ascending"
    values = page.eval_on_selector_all(f"{league} tbody td:nth-child(2)", "all => all.map((one) => +one.dataset.value)")
    assert values == sorted(values)
    assert len(set(values)) == 8
    _press(page, league, "throughput")
    assert head.get_attribute("aria-sort") == "descending"
    assert _column(page, league, 0)[0] == "nbow"
    _press(page, league, "throughput")
    assert head.get_attribute("aria-sort") is None
    assert _column(page, league, 0) == made
    _press(page, league, "architecture")
    assert _column(page, league, 0) == sorted(made, key=str.lower)


def test_sorting_keeps_what_has_no_figure_last_either_way(opened: Seen) -> None:
    page = opened.page
    _unfold(page, CASES)
    page.locator(f"{CASES} button", has_text="show all").click()
    for down in (False, True):
        _press(page, CASES, "throughput")
        rows = page.locator(f"{CASES} .scroll").first.locator("tbody tr")
        told = rows.evaluate_all("all => all.map((one) => one.cells[4].dataset.value ?? '')")
        assert told[-4:] == [""] * 4
        numbers = [float(value) for value in told[:-4]]
        assert numbers == sorted(numbers, reverse=down)


def test_filters_and_search_keep_the_rows_that_are_meant(opened: Seen) -> None:
    page = opened.page
    _unfold(page, CASES)
    for words, value in (("workload", "training"), ("length", "128"), ("batch", "32")):
        _choose(page, CASES, words, value)
    timed = f"{CASES} .scroll:has(th[data-unit='items/s'])"
    assert len(_column(page, timed, 0)) == 8
    assert {*_column(page, timed, 1)} == {"training"}
    assert {*_column(page, timed, 2)} == {"128"}
    assert {*_column(page, timed, 3)} == {"32"}
    assert "8 of 128 rows" in _texts(page, f"{CASES} .pager")
    _choose(page, CASES, "architecture", "gru")
    assert _column(page, timed, 0) == ["gru"]
    for words in ("workload", "length", "batch", "architecture"):
        _choose(page, CASES, words, "")
    page.locator(f"{CASES} input[type=search]").first.fill("DOES NOT FIT")
    assert _column(page, timed, 0) == ["transformer"]


def test_long_tables_are_turned_over_page_by_page(opened: Seen) -> None:
    page = opened.page
    _unfold(page, CASES)
    timed = f"{CASES} .scroll:has(th[data-unit='items/s'])"
    first = _column(page, timed, 0)
    assert len(first) == 50
    next_page = page.locator(f"{CASES} .pager button", has_text="next")
    next_page.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "next"
    assert _texts(page, f"{CASES} .pager")[0].startswith("51 to 100 of 128 rows")
    next_page.click()
    assert len(_column(page, timed, 0)) == 28
    assert next_page.is_disabled()
    page.locator(f"{CASES} .pager button", has_text="show all").click()
    assert len(_column(page, timed, 0)) == 128


def _figure(data: Mapping[str, str]) -> Estimate:
    value, low, high = (float(data[name]) for name in ("value", "low", "high"))
    return Estimate(value=value, low=low, high=high)


def _told(found: Estimate) -> list[str]:
    """A ratio and the ends of its interval, as Python writes them, and in words which way it lies."""
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    words = "faster" if found.low > 1 else "slower" if found.high < 1 else "cannot be told apart"
    value, _, ends = format_ratio(found.value, found.low, found.high).replace(",", "").partition(" times ")
    return [f"{value}x", f"{ends.strip('()')}, {words}"]


def test_figures_beside_a_baseline_are_ratios_with_intervals(opened: Seen) -> None:
    page, league = opened.page, LEAGUE
    rows = page.locator(f"{league} tbody tr")
    cells = [rows.nth(place).locator("td").first for place in range(8)]
    figures = [_figure(cell.evaluate("one => ({...one.dataset})")) for cell in cells]
    before = _texts(page, f"{league} tbody td")
    _choose(page, LEAGUE_TOOLS, "compare with", "lstm")
    for place, cell in enumerate(cells):
        baseline = ["1.00x", "the baseline"]
        expected = baseline if place == 2 else _told(ratio(figures[place], figures[2]))
        value, small = cell.inner_text().split("\n")
        assert [value.rstrip("*"), small] == expected
    memory = _column(page, league, 3)
    assert memory[0].endswith("no interval")
    accuracy = _column(page, league, 5)
    assert re.fullmatch(r"\+1\.7 points-?\d\.\d to \d\.\d, (higher|cannot be told apart)", accuracy[0])
    assert accuracy[2] == "0.0 pointsthe baseline"
    _choose(page, LEAGUE_TOOLS, "compare with", "")
    assert _texts(page, f"{league} tbody td") == before


def test_a_baseline_stands_at_the_same_place_and_is_said_to_be_missing(opened: Seen) -> None:
    page = opened.page
    _unfold(page, CASES)
    timed = f"{CASES} .scroll:has(th[data-unit='items/s'])"
    _choose(page, CASES, "compare with", "transformer")
    for words, value in (("workload", "training"), ("batch", "32"), ("architecture", "lstm")):
        _choose(page, CASES, words, value)
    cells = page.locator(f"{timed} tbody tr:not([hidden]) td:nth-child(5)")
    assert cells.count() == 4
    assert cells.nth(3).inner_text().split("\n") == ["n/a", "nothing of transformer here"]
    long = page.evaluate(
        """(length) => [...document.querySelectorAll("#r-1-every-case table")[0].tBodies[0].rows].filter((row) =>
        row.cells[1].textContent === "training" && row.cells[2].textContent === length && row.cells[3].textContent === "32")
        .map((row) => [row.cells[0].textContent.trim(), {...row.cells[4].dataset}])""",
        "128",
    )
    found = {name: _figure(data) for name, data in long}
    assert cells.nth(1).inner_text().split("\n") == _told(ratio(found["lstm"], found["transformer"]))


def test_only_what_has_others_beside_it_can_be_compared(opened: Seen) -> None:
    page = opened.page
    around = "#r-1-the-fastest-at-each-size"
    fastest = page.locator(f"{around} ~ .tools").first
    assert fastest.locator("label", has_text="compare with").count() == 0
    # every size has a row of its own, which can be asked for
    fastest.locator("label", has_text="length").locator("select").select_option("128")
    fastest.locator("label", has_text="batch").locator("select").select_option("32")
    assert _texts(page, f"{around} ~ .pager")[0] == "1 of 8 rows"
    crossing = page.locator("#r-1-where-they-cross ~ .tools").first
    assert crossing.locator("label").all_inner_texts() != []
    assert crossing.locator("label", has_text="compare with").count() == 0
    assert page.locator(f"{LEAGUE_TOOLS} label", has_text="compare with").count() == 1


def test_what_is_shown_can_be_copied_as_markdown(opened: Seen) -> None:
    page = opened.page
    _press(page, LEAGUE, "throughput")
    _press(page, LEAGUE, "throughput")
    _choose(page, LEAGUE_TOOLS, "compare with", "nbow")
    page.locator(f"{LEAGUE_TOOLS} button", has_text="copy as Markdown").click()
    page.locator(f"{LEAGUE_TOOLS} button", has_text="copied").wait_for()
    lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert lines[0].startswith("| architecture | throughput | latency | peak memory |")
    assert lines[1].startswith("| :-- | --: |")
    assert lines[2].startswith("| nbow | 1.00x (the baseline) |")
    assert len(lines) == 10
    assert "slower)" in lines[3]
    assert r"| \<script\>alert(1)\</script\> |" in "\n".join(lines)


def test_without_a_clipboard_the_text_is_offered_for_copying_by_hand(browser: Any, made_page: Path) -> None:
    with seen(browser, made_page, copies=False) as one:
        one.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        one.page.locator(f"{LEAGUE_TOOLS} button", has_text="copy as Markdown").click()
        field = one.page.locator(f"{LEAGUE_TOOLS} textarea")
        assert field.input_value().startswith("| architecture | throughput |")
        assert one.page.evaluate("getSelection().toString()").startswith("| architecture | throughput |")
