"""Raw PCM of any width, number of channels and rate as mono int16 at the model's rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bifast import audio
from bifast.extras import extra

Samples = NDArray[np.int16]
_MAX_CHANNELS = 64


class Form(NamedTuple):
    """Hz, bytes of a sample (one byte is unsigned, more are signed, little-endian), channels."""

    rate: int
    width: int
    channels: int


class Pcm:
    """Turns chunks of one form into samples; begin a new one where the form changes.

    Raises
    ------
    ValueError
        If there is no such form.
    UnsupportedError
        If the rate is another and soxr is not installed.
    """

    def __init__(self, form: Form, rate: int) -> None:
        limits = {
            "rate": (audio.MIN_RATE, audio.MAX_RATE),
            "width": (1, 4),
            "channels": (1, _MAX_CHANNELS),
        }
        for (name, (low, high)), value in zip(limits.items(), form, strict=True):
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name}: expected {low} .. {high}, got {value!r}")
        self.form = form
        self._resample: Callable[[Samples], Samples] | None = None
        if form.rate != rate:
            why = f"the audio has {form.rate} Hz, the model takes {rate} Hz"
            soxr = extra("soxr", why)
            self._resample = soxr.ResampleStream(form.rate, rate, 1, dtype="int16").resample_chunk

    def __call__(self, data: bytes) -> Samples:
        """Convert a chunk, [S]; ValueError if it ends inside a frame."""
        width, channels = self.form.width, self.form.channels
        if len(data) % (width * channels):
            raise ValueError(
                f"audio: expected whole frames of {width * channels} bytes, got {len(data)} bytes"
            )
        samples = _upper_half(data, width)
        if channels > 1:
            samples = samples.reshape(-1, channels).mean(axis=1).astype(np.int16)
        return samples if self._resample is None else self._resample(samples)


def _upper_half(data: bytes, width: int) -> Samples:
    """Keep the 16 bits that weigh most."""
    if width == 1:
        return ((np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8).astype(np.int16)
    planes = np.frombuffer(data, np.uint8).reshape(-1, width)
    return np.ascontiguousarray(planes[:, width - 2 :]).reshape(-1).view("<i2").astype(np.int16)
