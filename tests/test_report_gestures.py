"""Charts and files of the page: legends, exact values, keys alone, what is saved, light and dark."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from browsing import MARKS, Seen, seen
from made_run import made_run

from bench.report import render
from bench.report.raw import samples_csv

pytestmark = MARKS

WHERE = """(() => {
  const around = document.activeElement.closest(".legend, thead, .panel, .tools, .scheme");
  return around?.className || around?.tagName || "";
})()"""


SPEED = ("Speed over sequence length", "Training")


@pytest.fixture
def opened(browser: Any, made_page: Path) -> Iterator[Seen]:
    with seen(browser, made_page) as one:
        yield one


# ── charts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _seen_series(page: Any) -> dict[str, int]:
    """How many panels show something of each series."""
    found: dict[str, int] = page.evaluate(
        """() => { const counts = {};
        for (const panel of document.querySelectorAll(".panel")) {
          const drawn = (one) => { const box = one.getBoundingClientRect(); return box.width + box.height > 0; };
          const own = new Set([...panel.querySelectorAll("[data-series]")].filter(drawn).map((one) => one.dataset.series));
          for (const one of own) counts[one] = (counts[one] ?? 0) + 1;
        } return counts; }"""
    )
    return found


def test_the_legend_hides_series_in_every_chart_and_brings_them_back(opened: Seen) -> None:
    page = opened.page
    before = _seen_series(page)
    lstm = page.locator(".legend button", has_text=re.compile("^lstm$"))
    lstm.click()
    after = _seen_series(page)
    assert before["2"] > 5
    assert after == {key: count for key, count in before.items() if key != "2"}
    assert lstm.get_attribute("aria-pressed") == "false"
    lstm.click()
    assert _seen_series(page) == before
    lstm.dblclick()
    assert set(_seen_series(page)) == {"2"}
    assert page.locator(".legend button[aria-pressed=true]").count() == 1
    page.locator(".legend .all button").first.click()
    assert _seen_series(page) == before
    page.locator(".legend button", has_text="gru").click(modifiers=["Shift"])
    assert set(_seen_series(page)) == {"4"}


def test_a_legend_stands_for_every_run_of_the_page(browser: Any, pair_page: Path) -> None:
    with seen(browser, pair_page) as one:
        before = _seen_series(one.page)
        lstm = one.page.locator(".legend button", has_text=re.compile("^lstm$"))
        lstm.nth(1).click()
        assert [each.get_attribute("aria-pressed") for each in lstm.all()] == ["false", "false"]
        gone = set(before) - set(_seen_series(one.page))
        assert len(gone) == 1
        assert before[gone.pop()] > 20
        one.page.locator(".legend .all button").first.click()
        assert _seen_series(one.page) == before


def test_the_front_of_the_first_chart_stays_whoever_is_hidden(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "front.html"
    path.write_text(render([made_run(("rnn", "textcnn"), lengths=(256,))]), encoding="utf-8")
    steps = """[...document.querySelector(".panel").querySelectorAll("path")]
      .filter((one) => !one.closest("defs") && one.getAttribute("d").split("L").length > 3 && one.getBoundingClientRect().width)
      .map((one) => one.getAttribute("style"))"""
    with seen(browser, path) as one:
        assert (
            "Line: the best accuracy to be had at that speed or more (textcnn and rnn)"
            in one.page.locator("figcaption").first.inner_text()
        )
        (front,) = one.page.evaluate(steps)
        assert "var(--muted)" in front
        for entry in one.page.locator(".legend [data-series] button").all():
            entry.click()
        assert one.page.locator(".panel").first.locator("[data-tip]:visible").count() == 0
        assert one.page.evaluate(steps) == [front]


def test_cells_of_heat_maps_tell_their_values_and_can_be_hidden(opened: Seen) -> None:
    page = opened.page
    panel = page.locator(".charts[data-part^='Tokens per second'] .panel").first
    # four variants, four lengths, two batch sizes
    tips = [cell.get_attribute("data-tip") for cell in panel.locator("[data-tip]").all()]
    assert len(tips) == 32
    assert tips[2].startswith("nbow, length 256, batch 1: 7.17 M")
    panel.evaluate("one => one.scrollIntoView({ block: 'center' })")
    box = panel.locator("[data-tip]").nth(2).bounding_box()
    # on its figure, and beside it
    for share in (0.5, 0.05):
        page.mouse.move(1, 1)
        assert page.locator(".tip").is_hidden()
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * 0.5)
        assert page.locator(".tip").inner_text() == tips[2]
    page.locator(".legend button", has_text="BiLSTM x2").click()
    panel.focus()
    page.keyboard.press("End")
    assert page.locator(".tip").inner_text() == tips[23]
    assert tips[23].startswith("lstm, length 512, batch 32: ")
    # its name and its figures are gone; the axis below and the others stay
    words = {text.text_content(): text.is_visible() for text in panel.locator("svg text").all()}
    assert not words["BiLSTM x2"]
    assert words["lstm"]
    assert words["64"]
    assert words["sequence length"]


def test_a_mark_tells_its_exact_values_to_pointers_keys_and_listeners(opened: Seen) -> None:
    page = opened.page
    panel = page.locator(".panel[tabindex]").first
    tips = [mark.get_attribute("data-tip") for mark in panel.locator("[data-tip]").all()]
    assert page.locator(".panel[tabindex] svg * > title").count() == 0
    mark = panel.locator("[data-tip]").nth(1)
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2)
    assert page.locator(".tip").inner_text() in tips
    page.mouse.move(1, 400)
    assert page.locator(".tip").is_hidden()
    panel.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".tip").inner_text() == tips[0]
    page.keyboard.press("ArrowRight")
    assert page.locator("[aria-live]").inner_text() == tips[1]
    page.keyboard.press("End")
    assert page.locator(".tip").inner_text() == tips[-1]
    page.keyboard.press("Escape")
    assert page.locator(".tip").is_hidden()
    # what is hidden is stepped over
    page.locator(".legend button", has_text=re.compile(f"^{tips[0].partition(':')[0]}$")).click()
    panel.focus()
    page.keyboard.press("Home")
    assert page.locator(".tip").inner_text() == tips[1]


def test_everything_is_reached_by_keys_alone(opened: Seen) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    met: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        met.append(page.evaluate(WHERE))
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert ring != "none", page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        if met[-1] == "legend" and "legend" not in met[:-1]:
            page.keyboard.press("Space")
            assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
            page.keyboard.press("Space")
        if met[-1] == "THEAD" and met.count("THEAD") == 2:
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.closest('th').getAttribute('aria-sort')") == "ascending"
        if met[-1] == "panel" and met.count("panel") == 1:
            page.keyboard.press("ArrowRight")
            assert page.locator(".tip").is_visible()
        if met.count("THEAD") == 2 and "panel" in met:
            break
    assert {"legend", "tools", "THEAD", "panel", "scheme"} <= set(met)


# ── files ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _figure(page: Any, part: str, title: str) -> Any:
    heading = page.get_by_role("heading", name=title, exact=True)
    return page.locator(f".charts[data-part='{part}'] figure", has=heading)


def _saved(page: Any, kind: str) -> tuple[str, bytes]:
    figure = _figure(page, *SPEED)
    with page.expect_download() as started:
        figure.locator(".tools button", has_text=kind).click()
    return started.value.suggested_filename, Path(started.value.path()).read_bytes()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_chart_is_saved_as_it_is_seen(browser: Any, made_page: Path, dark: bool) -> None:
    with seen(browser, made_page, dark=dark) as one:
        one.page.locator(".legend button", has_text=re.compile("^lstm$")).click()
        name, drawn = _saved(one.page, "SVG")
        picture, pixels = _saved(one.page, "PNG")
    assert name == "sentiment-imdb-speed-over-sequence-length-training.svg"
    text = drawn.decode()
    root = ElementTree.fromstring(text)
    assert "var(" not in text
    assert "currentColor" not in text
    assert "class=" not in text
    assert ("rgb(20, 24, 28)" if dark else "rgb(255, 255, 255)") in text
    assert ">gru<" in text
    assert ">lstm<" not in text
    assert "system-ui" in root.get("font-family", "")
    assert picture == "sentiment-imdb-speed-over-sequence-length-training.png"
    assert pixels.startswith(b"\x89PNG\r\n\x1a\n")
    size = tuple(int.from_bytes(pixels[place : place + 4], "big") for place in (16, 20))
    assert size == (2 * float(root.get("width", 0)), 2 * float(root.get("height", 0)))
    # not one colour: something was drawn
    assert len(pixels) > 20_000


def test_the_figures_of_a_chart_are_saved_as_they_stand_in_its_tables(opened: Seen) -> None:
    page = opened.page
    name, saved = _saved(page, "CSV")
    assert name == "sentiment-imdb-speed-over-sequence-length-training.csv"
    rows = list(csv.DictReader(io.StringIO(saved.decode())))
    told = _figure(page, *SPEED).locator("td[data-value]")
    shown = told.evaluate_all(
        "all => all.map((one) => [...[...one.childNodes].map((part) => part.textContent)].join(' '))"
    )
    figures = told.evaluate_all("all => all.map(({ dataset }) => [dataset.value, dataset.low, dataset.high])")
    # throughput and latency of 64 cases, of which four have none
    assert len(figures) == 2 * 60
    assert [[row["value"], row["low"], row["high"]] for row in rows if row["value"]] == figures
    assert [row["shown"] for row in rows if row["value"]] == shown
    units = {(row["table"], row["unit"]) for row in rows}
    assert units == {
        ("imdb: training, throughput in items per second", "items/s"),
        ("imdb: training, latency of a call", "s"),
    }
    unfit = [row for row in rows if row["shown"] == "does not fit"]
    assert [(row["architecture"], row["column"], row["value"]) for row in unfit] == [
        ("transformer", "batch 32, length 512", "")
    ] * 2


@pytest.mark.parametrize("place", range(3))
def test_raw_data_is_unpacked_by_the_browser(opened: Seen, place: int) -> None:
    link = opened.page.locator(".raw a[download]").nth(place)
    packed = b64decode(str(link.get_attribute("href")).partition(",")[2])
    with opened.page.expect_download() as started:
        link.click()
    saved = Path(started.value.path()).read_bytes()
    assert saved == gzip.decompress(packed)
    assert started.value.suggested_filename == link.inner_text()
    if place == 1:
        assert saved.decode() == samples_csv([made_run()])
    if place == 2:
        assert len(json.loads(saved)) == 136


# ── colours ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_button_chooses_light_or_dark(browser: Any, made_page: Path, dark: bool) -> None:
    grounds = {False: "rgb(255, 255, 255)", True: "rgb(20, 24, 28)"}
    with seen(browser, made_page, dark=dark) as one:
        press = one.page.locator("button.scheme")
        found = []
        for _ in range(4):
            found.append(
                one.page.evaluate(
                    "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.documentElement).colorScheme]"
                )
            )
            press.click()
    expected = [dark, False, True, dark]
    assert found == [[grounds[each], "dark" if each else "light"] for each in expected]
