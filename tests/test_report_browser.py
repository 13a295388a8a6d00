"""The page in a headless Chromium: it fits, can be read by everyone and without a script, prints, and trusts no text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browsing import MARKS, Seen, seen
from made_run import made_quick_run, made_run

from bench.observations import CaseResult
from bench.records import Run
from bench.report import render
from bench.report.beside import Beside

pytestmark = MARKS

NASTY = "</script><img src=x onerror=\"window.hacked='yes'\">'&amp;`|\u202eevil\u202c"


LOOK = """() => {
  const root = document.documentElement;
  const panels = [...document.querySelectorAll(".panel svg")];
  const outside = [...document.querySelectorAll(".panel svg text")].filter((text) => {
    const box = text.getBoundingClientRect(), around = text.ownerSVGElement.getBoundingClientRect();
    return box.right > around.right + 2 || box.left < around.left - 2;
  }).map((text) => text.textContent);
  return {
    scroll: root.scrollWidth, client: root.clientWidth, outside, panels: panels.length,
    smallest: Math.min(...panels.map((one) => one.getBoundingClientRect().width)),
    ground: getComputedStyle(document.body).backgroundColor,
  };
}"""


# what there is room for does not depend on colours, and colours do not depend on room
WINDOWS = pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)], ids=["390-light", "1280-dark"])


def _fits(browser: Any, path: Path, width: int, *, dark: bool = False) -> dict[str, Any]:
    with seen(browser, path, width=width, dark=dark) as one:
        one.open_all()
        found: dict[str, Any] = one.page.evaluate(LOOK)
    assert found["scroll"] <= found["client"] == width
    assert found["outside"] == []
    assert found["smallest"] > 300
    return found


@WINDOWS
def test_nothing_overflows(browser: Any, made_page: Path, width: int, dark: bool) -> None:
    found = _fits(browser, made_page, width, dark=dark)
    # to choose; speed and memory of two workloads at two batch sizes; heat maps; learning; roofline
    assert found["panels"] == 1 + 8 + 4 + 4 + 2 + 2
    assert found["ground"] == ("rgb(20, 24, 28)" if dark else "rgb(255, 255, 255)")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows_side_by_side_nor_over_batch_sizes(
    browser: Any, pair_page: Path, tmp_path: Path, width: int
) -> None:
    assert _fits(browser, pair_page, width)["panels"] > 2 * 13
    path = tmp_path / "images.html"
    path.write_text(render([made_quick_run()]), encoding="utf-8")
    assert _fits(browser, path, width)["panels"] == 5


@WINDOWS
def test_axe_finds_nothing_serious(browser: Any, pair_page: Path, width: int, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    with seen(browser, pair_page, width=width, dark=dark) as one:
        one.open_all()
        one.page.locator(".tools label", has_text="compare with").first.locator("select").select_option(index=1)
        found = axe.run(one.page, options={"resultTypes": ["violations"]}).response["violations"]
    told = [(rule["id"], rule["impact"], [node["html"][:120] for node in rule["nodes"][:3]]) for rule in found]
    assert not [rule for rule in told if rule[1] in ("serious", "critical")]


def test_headings_nest_and_links_lead_somewhere(browser: Any, pair_page: Path) -> None:
    with seen(browser, pair_page) as one:
        levels = one.page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5')].map((one) => +one.tagName[1])")
        links = one.page.locator("nav.contents a").all_inner_texts()
        every = one.page.locator("nav.contents a", has_text="Every case")
        for number in (1, 2):
            every.nth(number - 1).click()
            assert one.page.url.endswith(f"#r{number}-1-every-case")
            assert one.page.locator(f"#r{number}-1-every-case").bounding_box()["y"] < 200
        missing = one.page.evaluate(
            "[...document.querySelectorAll('a[href^=\"#\"]')].map((one) => one.hash.slice(1))"
            ".filter((id) => !document.getElementById(id))"
        )
    assert missing == []
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    runs = {"Made Processor 3000, 2 cores", "Made Processor 9000, 16 cores"}
    assert {*runs, "imdb", "Every case", "Can these figures be trusted?", "Raw data"} <= set(links)


def test_the_legend_that_stays_covers_no_heading(browser: Any, made_page: Path) -> None:
    with seen(browser, made_page) as one:
        assert one.page.evaluate("getComputedStyle(document.querySelector('.legend')).position") == "sticky"
        found = one.page.evaluate(
            """[...document.querySelectorAll("nav.contents a")].map((link) => {
              location.hash = link.hash;
              const box = (element) => element.getBoundingClientRect();
              const heading = box(document.getElementById(link.hash.slice(1)));
              const legend = box(document.querySelector(".legend"));
              return [link.hash, heading.top >= legend.bottom || heading.bottom <= legend.top];
            })"""
        )
    assert len(found) > 20
    assert [hash for hash, free in found if not free] == []


def test_everything_can_be_read_without_javascript(browser: Any, made_page: Path) -> None:
    with seen(browser, made_page, script=False) as one:
        assert one.page.locator("button, select, input, textarea").count() == 0
        assert one.page.locator("svg * > title").count() > 50
        folded = one.page.locator("details:not([open]) > summary:visible")
        while folded.count():
            folded.first.click()
        rows = one.page.locator("#r-1-every-case tbody tr")
        assert rows.count() == 136
        assert all(row.is_visible() for row in (rows.first, rows.nth(127), rows.last))
        assert one.page.locator("pre").first.is_visible()
        links = one.page.locator(".raw a[download]")
        assert [link.get_attribute("download") for link in links.all()] == [
            f"sentiment-{name}.gz" for name in ("results.csv", "samples.csv", "trust.json")
        ]


def test_it_prints_without_controls_and_says_what_is_folded(browser: Any, made_page: Path) -> None:
    with seen(browser, made_page, width=690) as one:
        printed = one.page.pdf(format="A4")
        assert printed.startswith(b"%PDF")
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 5
        one.page.emulate_media(media="print")
        # heads and legend entries are buttons too, but first of all words
        controls = one.page.locator(".tools, .scheme, select, input, nav, .skip, .legend .all")
        assert not any(each.is_visible() for each in controls.all())
        words = "getComputedStyle(document.querySelector('#r-1-every-case > summary'), '::after').content"
        assert "folded" in one.page.evaluate(words)
        one.open_all()
        # what the screen turns over page by page is printed whole, and no table is cut off at the paper's edge
        assert one.page.locator("#r-1-every-case tbody tr").nth(120).is_visible()
        wide = "[...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth + 1)"
        assert one.page.evaluate(f"{wide}.map((one) => one.getAttribute('aria-label'))") == []
        assert one.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_print_is_light_on_a_dark_screen(browser: Any, made_page: Path) -> None:
    with seen(browser, made_page, dark=True) as one:
        one.page.emulate_media(media="print", color_scheme="dark")
        assert one.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


# ── other people's words ───────────────────────────────────────────────────────────────────────────────────────────


def _hostile() -> tuple[Run, list[CaseResult]]:
    run, results = made_run(("lstm", "gru", "transformer", "BiLSTM x2"))
    names = {"lstm": NASTY, "gru": '=HYPERLINK("x")', "transformer": "a\u0007|b\r\nc"}

    def renamed(result: CaseResult) -> CaseResult:
        variant = result.case.variant
        case = replace(result.case, variant=replace(variant, label=names.get(variant.label, variant.label)))
        trials = tuple(replace(trial, reason=NASTY if trial.reason else "") for trial in result.trials)
        return replace(result, case=case, trials=trials)

    found = [renamed(result) for result in results]
    plan = replace(run.plan, suite=NASTY, description=NASTY, cases=tuple(result.case for result in found))
    machine = replace(run.machine, name=NASTY, hard={**run.machine.hard, NASTY: NASTY})
    changed = replace(run, plan=plan, machine=machine, suite_text=NASTY, command=shlex.join(["bench", "run", NASTY]))
    return changed, found


@pytest.fixture
def hostile(browser: Any, tmp_path: Path) -> Iterator[Seen]:
    path = tmp_path / "hostile.html"
    path.write_text(render([_hostile()], Beside(sources=[(NASTY, NASTY)])), encoding="utf-8")
    with seen(browser, path) as one:
        one.open_all()
        yield one


def test_hostile_text_is_shown_as_text(hostile: Seen) -> None:
    page = hostile.page
    page.locator(".legend button").first.click()
    page.locator(".tools label", has_text="compare with").first.locator("select").select_option(index=1)
    panel = page.locator("[role=group].panel").first
    panel.focus()
    page.keyboard.press("End")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x'], script:not(:last-of-type)").count() == 0
    assert page.locator("h1").inner_text().startswith("</script><img src=x onerror=")
    assert page.locator("th span", has_text=NASTY[:20]).count() > 3
    assert page.locator("pre").inner_text().startswith("</script><img")


def test_hostile_text_stays_text_in_what_is_taken_along(hostile: Seen) -> None:
    page = hostile.page
    page.locator(".tools button", has_text="copy as Markdown").first.click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert r"\</script\>\<img src=x" in copied
    assert "\n| a\u0007\\|b c |" in copied
    with page.expect_download() as started:
        page.locator("figure .tools button", has_text="CSV").first.click()
    table = Path(started.value.path()).read_text(encoding="utf-8")
    assert '"\'=HYPERLINK(""x"")"' in table
    assert started.value.suggested_filename.startswith("script-img-src-x")
