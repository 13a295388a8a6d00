"""A judgement as JUnit XML, which every CI server reads: regressed fails, inconclusive is skipped, missing is an error."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from bench.report.judgement import Row, control_words, rows, summary
from bench.verdicts import Judgement, Verdict

_FAULTS = {
    Verdict.REGRESSED: "failure",
    Verdict.INCONCLUSIVE: "skipped",
    Verdict.MISSING: "error",
    Verdict.NOT_COMPARABLE: "error",
}
_COUNTS = {"failure": "failures", "error": "errors", "skipped": "skipped"}
# all that XML 1.0 cannot hold, escaped or not
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(judgement: Judgement) -> bytes:
    """One test case a comparison, unchanged ones too, and one a control; what is allowed passes."""
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", {"name": _text(judgement.title)})
    for row in rows(judgement, every=True):
        _add(suite, row)
    for control in judgement.controls:
        test = _test(suite, control.case_id, "control")
        words = control_words(judgement, control)
        if control.failed:
            ElementTree.SubElement(test, "skipped", {"message": _text(words)})
        else:
            ElementTree.SubElement(test, "system-out").text = _text(words)
    for element in (root, suite):
        element.set("tests", str(len(suite)))
        for fault, name in _COUNTS.items():
            element.set(name, str(len(suite.findall(f"testcase/{fault}"))))
    notes = "\n".join((summary(judgement), *judgement.notes))
    ElementTree.SubElement(suite, "system-out").text = _text(notes)
    ElementTree.indent(root)
    made: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return made + b"\n"


def _test(suite: ElementTree.Element, case: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", {"classname": _text(case), "name": _text(name)})


def _add(suite: ElementTree.Element, row: Row) -> None:
    one = row.comparison
    test = _test(suite, one.case_id, row.metric or "case")
    told = f"{row.change}: {row.why}" if row.change else row.why
    fault = None if one.allowed else _FAULTS.get(one.verdict)
    if fault is None:
        ElementTree.SubElement(test, "system-out").text = _text(f"{row.verdict}: {told}")
        return
    found = ElementTree.SubElement(test, fault, {"message": _text(f"{row.verdict}: {told}"), "type": one.reason.value})
    values = f"{row.metric}: {row.base} before, {row.head} now" if row.metric else ""
    repeat = f"measure it again: {row.command}" if row.command else ""
    found.text = _text("\n".join(part for part in (row.case, values, told, row.advice, repeat) if part))


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
