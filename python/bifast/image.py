"""Image files as arrays of pixels (extra `images`)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from bifast.errors import FormatError
from bifast.extras import extra

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}
)
# Modes of Pillow.
_MODES = {1: "L", 3: "RGB"}


def load(file: str | Path | BinaryIO, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Decode an image for a model.

    Parameters
    ----------
    file
        Path, or a file opened for bytes.
    shape
        Height, width and channels, 1 or 3: a model's `input_shape`. Colours are converted; the size is not,
        since how to cut and scale is the user's choice.

    Returns
    -------
    NDArray[np.uint8]
        Pixels of `shape`; `Model.run` takes them as `input_dtype`.

    Raises
    ------
    FormatError
        If it is no image, or has another size.
    OSError
        If it can not be read.
    UnsupportedError
        If Pillow is not installed.
    ValueError
        If the shape is no image's.
    """
    height, width, channels = shape
    if channels not in _MODES:
        raise ValueError(f"expected a shape of 1 or 3 channels, got {list(shape)}")
    pillow = extra("PIL.Image", "decoding an image", "images")
    if isinstance(file, str | Path):
        with Path(file).open("rb") as opened:
            return load(opened, shape)
    try:
        with pillow.open(file) as image:
            if image.size != (width, height):
                raise FormatError(
                    f"expected {width} x {height} pixels, got {image.width} x {image.height}; "
                    "cut and scale it first"
                )
            pixels = np.asarray(image.convert(_MODES[channels]))
    except (OSError, SyntaxError, struct.error, pillow.DecompressionBombError) as error:
        raise FormatError(f"no image that can be decoded: {error}") from None
    return pixels.reshape(shape)
