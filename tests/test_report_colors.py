"""The colours of charts: told apart by people who see colours otherwise, and text that can be read on every shade."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.report.svg import _STAND_INS, HEAT, SERIES, Look

Colors = NDArray[np.float64]

# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB
VISIONS = {
    "usual": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def _scheme(place: int) -> dict[str, str]:
    css = (files("bench.report") / "page.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", re.findall(r":root \{(.*?)\}", css, flags=re.S)[place]))


def _encoded(colors: list[str]) -> Colors:
    return np.array([[int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)] for color in colors])


def _linear(encoded: Colors) -> Colors:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _lab(linear: Colors) -> Colors:
    """CIE L*a*b*, where a distance of 2 can just be seen and one of 10 at a glance."""
    xyz = linear @ TO_XYZ.T / WHITE
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_two_series_colors_are_told_apart(scheme: int, vision: str) -> None:
    colors = _linear(_encoded([_scheme(scheme)[f"series-{number}"] for number in range(SERIES)]))
    seen = _lab(np.clip(colors @ np.array(VISIONS[vision]).T, 0, 1))
    near = {
        (one, other): distance
        for one, other in combinations(range(SERIES), 2)
        if (distance := float(np.linalg.norm(seen[one] - seen[other]))) < 12
    }
    assert near == {}


def test_nobody_needs_colors_to_tell_series_apart() -> None:
    assert len({Look(place).marker for place in range(SERIES)}) == SERIES
    # of one colour, both marker and line differ: variants of their own, of architectures of their own, and siblings
    for looks in (
        [Look(place) for place in range(3 * SERIES)],
        [Look(place, place) for place in range(3 * SERIES)],
        [Look(place, 0, place) for place in range(3)],
    ):
        for one, other in combinations(looks, 2):
            if one.color == other.color:
                assert one.marker != other.marker
                assert one.line != other.line


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_on_every_shade_of_a_heat_map(scheme: int) -> None:
    named = _scheme(scheme)
    paper, ink, color = _encoded([named["paper"], named["ink"], named["series-0"]])
    for stand_in in HEAT:
        written = re.fullmatch(r"var\(--series-0\); fill-opacity: ([\d.]+)", _STAND_INS[stand_in])
        assert written
        share = float(written[1])
        ground, text = (_linear(one) @ TO_XYZ[1] for one in (share * color + (1 - share) * paper, ink))
        low, high = sorted((float(ground), float(text)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, stand_in
