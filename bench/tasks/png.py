"""Small grey pictures side by side, as a PNG in the text of a report: a dozen lines, and no library."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.observations import PICTURE

Grey = NDArray[np.uint8]

BITS = 4  # 16 shades look the same on such pictures, in a third of the bytes
LEAST_SIDE = 28
GAP, GAP_GREY = 2, 119  # between pictures, in pixels of the sheet


def mosaic(pictures: Sequence[Grey], columns: int) -> Grey:
    """Pictures (H, W) of one size in rows of so many with grey between them, black where none is left.

    Smaller ones are enlarged to about `LEAST_SIDE`.
    """
    factor = max(1, LEAST_SIDE // max(pictures[0].shape))
    height, width = (factor * side for side in pictures[0].shape)
    rows = -(-len(pictures) // columns)
    cells = np.full((rows * columns, height + GAP, width + GAP), GAP_GREY, dtype=np.uint8)
    cells[:, :height, :width] = 0
    for cell, picture in zip(cells, pictures, strict=False):
        cell[:height, :width] = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    sheet: Grey = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2).reshape(-1, columns * (width + GAP))
    return sheet[:-GAP, :-GAP]


def grey_png(pixels_HW: Grey) -> str:
    """A picture of 0 (black) to 255 in 16 shades, as an address that a page can show.

    Source: W3C, Portable Network Graphics (PNG) Specification, 2nd edition: colour type 0, no filter.
    """
    height, width = pixels_HW.shape
    shades = np.zeros((height, width + width % 2), dtype=np.uint8)
    shades[:, :width] = np.round(pixels_HW / 17)
    lines = np.zeros((height, 1 + shades.shape[1] // 2), dtype=np.uint8)  # each begins with its filter, 0
    lines[:, 1:] = shades[:, ::2] << BITS | shades[:, 1::2]
    header = struct.pack(">IIBBBBB", width, height, BITS, 0, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b"")
    content = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)
    return PICTURE + base64.b64encode(content).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
