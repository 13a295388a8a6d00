"""Pictures in a report, read again by a library that has nothing to do with ours."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image  # matplotlib brings it

from bench.observations import PICTURE
from bench.tasks.png import GAP, GAP_GREY, grey_png, mosaic


def read(address: str) -> np.ndarray:
    assert address.startswith(PICTURE)
    content = base64.b64decode(address.removeprefix(PICTURE), validate=True)
    picture = Image.open(io.BytesIO(content))
    assert (picture.format, picture.mode) == ("PNG", "L")
    return np.asarray(picture)


@pytest.mark.parametrize("shape", [(5, 8), (6, 7), (1, 1)])
def test_a_picture_is_what_it_was_in_sixteen_shades(shape: tuple[int, int]) -> None:
    shades = np.random.RandomState(0).randint(16, size=shape).astype(np.uint8)
    assert np.array_equal(read(grey_png(shades * 17)), shades * 17)
    between = np.random.RandomState(1).randint(256, size=shape).astype(np.uint8)
    assert np.abs(read(grey_png(between)).astype(int) - between).max() <= 8


def test_pictures_stand_in_rows_and_small_ones_are_enlarged() -> None:
    pictures = [np.full((28, 20), value, dtype=np.uint8) for value in (10, 20, 30)]
    sheet = mosaic(pictures, 2)
    assert sheet.shape == (28 + GAP + 28, 20 + GAP + 20)
    corners = ((0, 0), (0, 20 + GAP), (28 + GAP, 0), (28 + GAP, 20 + GAP))
    assert [int(sheet[corner]) for corner in corners] == [10, 20, 30, 0]
    assert set(sheet[28 : 28 + GAP].ravel()) == set(sheet[:, 20 : 20 + GAP].ravel()) == {GAP_GREY}
    small = np.arange(64, dtype=np.uint8).reshape(8, 8)
    both = mosaic([small, small], 2)
    assert np.array_equal(both[::3, :24:3], small)
    assert np.array_equal(both[::3, 24 + GAP :: 3], small)
    assert mosaic([small], 1).shape == (24, 24)
