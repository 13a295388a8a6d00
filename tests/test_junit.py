"""A judgement as JUnit XML, read by a real parser."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from made_judgement import ALLOWED, BROKEN, CALM, EQUAL, LOST, NASTY, SLOWER, UNSURE, made_judgement

from bench.report.junit import render
from bench.verdicts import Comparison, Judgement, Verdict


def _suite(judgement: Judgement) -> ElementTree.Element:
    root = ElementTree.fromstring(render(judgement))
    (suite,) = root
    assert root.attrib.items() <= suite.attrib.items()
    return suite


def _only(*comparisons: Comparison) -> Judgement:
    return replace(made_judgement(), comparisons=comparisons, controls=())


def test_counts_are_those_of_the_verdicts() -> None:
    suite = _suite(made_judgement())
    counts = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": 13, "failures": 3, "errors": 3, "skipped": 2}
    assert len(suite.findall("testcase")) == 13
    names = [(test.attrib["classname"], test.attrib["name"]) for test in suite.findall("testcase")]
    assert len(set(names)) == 13


@pytest.mark.parametrize(
    ("comparison", "fault"),
    [
        (SLOWER, "failure"),
        (UNSURE, "skipped"),
        (LOST, "error"),
        (BROKEN, "error"),
        (replace(LOST, verdict=Verdict.NOT_COMPARABLE), "error"),
        (ALLOWED, None),
        (EQUAL, None),
        (replace(SLOWER, verdict=Verdict.IMPROVED), None),
    ],
)
def test_each_verdict_has_its_fault(comparison: Comparison, fault: str | None) -> None:
    (test,) = _suite(_only(comparison)).findall("testcase")
    (child,) = test
    assert child.tag == (fault or "system-out")


def test_a_failure_tells_all() -> None:
    (test,) = _suite(_only(SLOWER)).findall("testcase")
    assert (test.attrib["classname"], test.attrib["name"]) == (SLOWER.case_id, "latency")
    (failure,) = test
    assert failure.attrib["message"].startswith("regressed: +5.2 % (4.1 to 6.3): found, and found again")
    assert failure.attrib["type"] == "confirmed"
    assert failure.text is not None
    assert "latency: 1.24 ms before, 1.31 ms now" in failure.text
    assert "measure it again: python -m bench ab main HEAD" in failure.text


def test_whatever_labels_hold_it_is_xml() -> None:
    every = "".join(map(chr, [*range(0x300), 0xD800, 0xFFFE, 0xFFFF, 0x1F600]))
    odd = replace(BROKEN, case_id=every, detail=every)
    judgement = replace(_only(odd), title=every, notes=(every,), commands={every: every}, cases={})
    suite = _suite(judgement)
    (test,) = suite.findall("testcase")
    assert "<>&\"'"[0] in test.attrib["classname"]
    assert "\U0001f600" in test.attrib["classname"]
    assert "\x00" not in test.attrib["classname"]
    assert "]]> ```sh" in str(_suite(_only(BROKEN)).findtext("testcase/error"))
    assert _suite(_only(BROKEN)).findall("testcase")[0].attrib["classname"] == NASTY


def test_controls_are_tests_and_a_failed_one_is_skipped() -> None:
    judgement = replace(_only(SLOWER), controls=(CALM, replace(CALM, case_id="other", failed=True)))
    suite = _suite(judgement)
    calm, failed = [test for test in suite.findall("testcase") if test.attrib["name"] == "control"]
    assert calm.find("skipped") is None
    skipped = failed.find("skipped")
    assert skipped is not None
    assert skipped.attrib["message"].startswith("control failed")
    assert suite.attrib["skipped"] == "1"
    assert "1 of 2 controls failed" in str(suite.findtext("system-out"))
