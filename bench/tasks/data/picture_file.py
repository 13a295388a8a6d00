"""The user's own pictures, as the built-in ones come: grey, small, ink light on a dark ground. No torch."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import UsageError
from bench.tasks.data.cache import shown

FORMATS = ("PNG", "JPEG", "PPM")  # the last has PGM


def read_picture(path: Path, height: int, width: int) -> NDArray[np.float32]:
    """(H, W) grey values from 0 (black) to 1 (white); the picture is stretched to this size, what is see-through is white.

    Raises:
        UsageError: the file is not there, no picture, damaged, too large, or has 16 bits a pixel.
    """
    # imported here: only those who give pictures need it
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as opened:
                if opened.mode.startswith(("I", "F")):
                    raise UsageError(f"{shown(path)}: found more than 8 bits a pixel, expected 8; save it with 8")
                picture = ImageOps.exif_transpose(opened)
                if picture.has_transparency_data:
                    picture = picture.convert("RGBA")
                    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
                grey = picture.convert("L")
    except UnidentifiedImageError:
        raise UsageError(f"{shown(path)}: is no picture; expected a PNG, JPEG or PGM file") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UsageError(f"{shown(path)}: is too large ({error})") from error
    except OSError as error:
        raise UsageError(f"{shown(path)}: cannot be read ({error.strerror or error})") from error
    except (ValueError, SyntaxError) as error:  # what the readers of damaged files raise
        raise UsageError(f"{shown(path)}: is damaged ({error})") from error
    resized = grey if grey.size == (width, height) else grey.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized).astype(np.float32) / np.float32(255)
