"""Pictures of the user's own: grey, in the size that is asked for, and refused in one sentence if they are none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import UsageError
from bench.tasks.data.picture_file import read_picture


def saved(path: Path, picture: Image.Image, **more: object) -> Path:
    picture.save(path, **more)
    return path


@pytest.mark.parametrize("ending", ["png", "jpg", "pgm"])
def test_every_format_gives_the_same_grey_values(tmp_path: Path, ending: str) -> None:
    grey = np.repeat(np.repeat(np.array([[0, 255], [128, 64]], dtype=np.uint8), 8, axis=0), 8, axis=1)
    found = read_picture(saved(tmp_path / f"it.{ending}", Image.fromarray(grey)), 16, 16)
    assert found.dtype == np.float32
    assert np.abs(found - grey / 255).max() < 0.02
    small = read_picture(tmp_path / f"it.{ending}", 4, 8)
    assert small.shape == (4, 8)
    assert np.abs(small[::3, ::7] - grey[::15, ::15] / 255).max() < 0.05


def test_colours_become_grey_and_what_is_see_through_white(tmp_path: Path) -> None:
    red = read_picture(saved(tmp_path / "red.png", Image.new("RGB", (2, 2), (255, 0, 0))), 2, 2)
    assert red == pytest.approx(np.full((2, 2), 0.298), abs=0.01)
    clear = read_picture(saved(tmp_path / "clear.png", Image.new("RGBA", (2, 2), (0, 0, 0, 0))), 2, 2)
    assert (clear == 1).all()
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([0, 0, 0, 255, 255, 255])
    assert (read_picture(saved(tmp_path / "p.png", palette, transparency=0), 2, 2) == 1).all()


def test_a_photograph_is_turned_as_it_says(tmp_path: Path) -> None:
    picture = Image.new("L", (16, 8))
    picture.paste(255, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it to the right: what was left is above
    found = read_picture(saved(tmp_path / "it.jpg", picture, exif=exif), 16, 8)
    assert (found[:7] > 0.9).all()
    assert (found[9:] < 0.1).all()


def png(mode: str = "L") -> bytes:
    content = io.BytesIO()
    Image.new(mode, (40, 40), 7).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no picture; expected a PNG, JPEG or PGM file"),
        (b"GIF89a" + bytes(100), "is no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is no picture"),
        (png()[:-30], "cannot be read|is damaged"),
        (png()[:60] + bytes(5) + png()[65:], "cannot be read|is damaged"),
        (png("I;16"), "found more than 8 bits a pixel"),
        (b"P5 100000 100000 255\n", "is too large"),
        (b"P5 4 4 255\n123", "cannot be read|is damaged"),
        (b"P5 -4 4 255\n123", "cannot be read|is damaged|is no picture"),
    ],
)
def test_what_is_no_picture_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "it.png").write_bytes(content)
    with pytest.raises(UsageError, match=rf"it\.png: ({said})"):
        read_picture(tmp_path / "it.png", 8, 8)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.png: cannot be read \(No such file or directory\)"):
        read_picture(tmp_path / "none.png", 8, 8)
    with pytest.raises(UsageError, match=r"cannot be read \(Is a directory\)"):
        read_picture(tmp_path, 8, 8)
