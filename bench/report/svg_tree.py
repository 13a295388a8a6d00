"""An SVG tree in few bytes, the picture the same: no empty groups, a style said once, short ids, hundredths of a pixel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from xml.etree.ElementTree import Element

ROOT = {"fill": "currentColor", "font-size": "11px", "stroke-linejoin": "round"}
"""What the root says for all within, and nothing within needs to say again."""
_SAID = {*(f"{name}: {value}" for name, value in ROOT.items()), "text-anchor: start", "stroke-linecap: butt"}
_NUMBER, _COMMAND = re.compile(r"-?\d+\.\d+"), re.compile(r"\s*([A-Za-z])\s*")
# the whole of a link, or what a style points to; a colour is neither
_REFERENCE = re.compile(r"(?:^|(?<=url\())#([^)]+)")


def shrink(root: Element, prefix: str) -> None:
    """Make a tree small in place; elements must have lost their namespaces. Ids become the prefix and a number.

    Clips go: charts keep within their axes.
    """
    for element in root.iter():
        shorter = {name: _shorter(name, value) for name, value in element.attrib.items() if name != "clip-path"}
        element.attrib = {name: value for name, value in shorter.items() if value}
    _rename(root, prefix)
    _clear(root)
    _merge(root)
    _hoist(root)


def _shorter(name: str, value: str) -> str:
    if name == "style":
        return "; ".join(part for part in _NUMBER.sub(_hundredths, value).split("; ") if part not in _SAID)
    if name == "d":
        return _COMMAND.sub(r"\1", _NUMBER.sub(_hundredths, value)).strip()
    return _NUMBER.sub(_hundredths, value) if name in ("x", "y", "transform") else value


def _hundredths(number: re.Match[str]) -> str:
    text = f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _clear(parent: Element) -> None:
    """Nothing that is not seen, and nothing around things that says nothing of them."""
    kept: list[Element] = []
    for child in parent:
        _clear(child)
        if child.tag == "clipPath" or (child.tag in ("g", "defs") and not len(child)) or _unseen(child, parent):
            continue
        kept += list(child) if child.tag == "g" and not child.attrib else [child]
    parent[:] = kept


def _unseen(child: Element, parent: Element) -> bool:
    return child.tag == "path" and parent.tag != "defs" and child.get("style") == "fill: none"


def _merge(root: Element) -> None:
    """Neighbouring groups of one series become one; definitions of neighbours too."""
    for parent in list(root.iter()):
        kept: list[Element] = []
        for child in parent:
            if kept and child.tag in ("g", "defs") and (child.tag, child.attrib) == (kept[-1].tag, kept[-1].attrib):
                kept[-1].extend(child)
            else:
                kept.append(child)
        parent[:] = kept


def _hoist(root: Element) -> None:
    """A style that all of a group share is the group's; of neighbours in a row, that of a group around them."""
    for parent in list(root.iter()):
        if parent.tag == "defs":
            continue
        kept: list[Element] = []
        for style, run in groupby(parent, key=_movable):
            members = list(run)
            kept += [_around(style, members)] if style and len(members) > 1 else members
        if len(kept) == 1 and parent.tag == "g" and set(kept[0].attrib) == {"style"} and "style" not in parent.attrib:
            parent.set("style", kept[0].attrib.pop("style"))
            kept = list(kept[0]) if kept[0].tag == "g" else kept
        parent[:] = kept


def _movable(element: Element) -> str:
    """The style of an element, where a group may have it instead: all of it is inherited."""
    style = element.get("style", "")
    inherits = element.tag in ("path", "use", "text") and not re.search(r"(^|; )opacity:", style)
    return style if inherits else ""


def _around(style: str, members: Sequence[Element]) -> Element:
    group = Element("g", {"style": style})
    for member in members:
        del member.attrib["style"]
        group.append(member)
    return group


def _rename(root: Element, prefix: str) -> None:
    """Short names for what is referred to, in the order of the tree; none for the rest."""
    used = {found[1] for one in root.iter() for value in one.attrib.values() for found in _REFERENCE.finditer(value)}
    names: dict[str, str] = {}
    for element in root.iter():
        name = element.attrib.pop("id", "")
        if name in used:
            element.set("id", names.setdefault(name, f"{prefix}{len(names)}"))
    for element in root.iter():
        element.attrib = {
            name: _REFERENCE.sub(lambda found: f"#{names[found[1]]}", value) for name, value in element.attrib.items()
        }
