"""Plain WAV: PCM of 8, 16, 24 or 32 bits and IEEE float of 32 or 64, with NumPy alone."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from bifast.errors import FormatError

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
_WIDTHS = {PCM: (8, 16, 24, 32), FLOAT: (32, 64)}
# Sizes from here on, and 0, are what programs write when they stream and cannot know the length (SoX 0x7FFFF000,
# others 0x7FFFFFFF, 0x80000000 or 0xFFFFFFFF; 0 stays where a header is never completed): take what is there.
_UNKNOWN_SIZE = 0x7FFFF000
_MAX_CHANNELS = 1024


@dataclass(frozen=True)
class Wav:
    """Where the samples lie: Hz, channels, sample type, bits, and offset and size in bytes."""

    rate: int
    channels: int
    code: int
    bits: int
    offset: int
    size: int


def parse(file: BinaryIO) -> Wav | None:
    """Find the samples of a WAV file.

    Returns
    -------
    Wav | None
        None if the file is something else, or a WAV with compressed samples.

    Raises
    ------
    FormatError
        If it is a damaged WAV file.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(12)
    if start[:4] != b"RIFF" or start[8:12] != b"WAVE":
        return None
    form: tuple[int, int, int, int] | None = None
    while len(head := file.read(8)) == 8:
        kind, size = struct.unpack("<4sI", head)
        offset = file.tell()
        if kind == b"data":
            if form is None:
                raise FormatError("WAV: expected a 'fmt ' chunk before 'data', got none")
            code, channels, rate, bits = form
            if bits not in _WIDTHS.get(code, ()):
                return None
            # A file that knows its own size and says that it has no samples is right.
            empty = size == 0 and struct.unpack("<I", start[4:8]) == (end - 8,)
            length = 0 if empty else _data_size(size, end - offset, channels * bits // 8)
            return Wav(rate, channels, code, bits, offset, length)
        if kind == b"fmt ":
            form = _parse_format(file.read(min(size, 40)))
        file.seek(offset + size + size % 2)
    raise FormatError(f"WAV: expected a 'data' chunk, got none in {end} bytes")


def blocks(file: BinaryIO, form: Wav, frames: int) -> Iterator[NDArray[np.float32]]:
    """Yield the samples as blocks, [frames, channels] each, float32; integers scaled to [-1, 1)."""
    frame_bytes = form.channels * form.bits // 8
    if form.size % frame_bytes:
        raise FormatError(
            f"WAV: expected whole frames of {frame_bytes} bytes, got {form.size} bytes of samples; "
            "the file is cut"
        )
    file.seek(form.offset)
    left = form.size
    while left:
        data = file.read(min(left, frames * frame_bytes))
        if not data or len(data) % frame_bytes:
            raise FormatError("WAV: expected more samples, got the end of the file; it is cut")
        left -= len(data)
        yield _decode(data, form).reshape(-1, form.channels)


def _data_size(size: int, available: int, frame_bytes: int) -> int:
    """Check the size of the samples against the file's; an unknown one is all whole frames there are."""
    if size == 0 or size >= _UNKNOWN_SIZE:
        return available // frame_bytes * frame_bytes
    if size > available:
        raise FormatError(
            f"WAV: expected {size} bytes of samples, got {available}; the file is cut"
        )
    return size


def _parse_format(chunk: bytes) -> tuple[int, int, int, int]:
    """Return sample type, channels, rate and bits of a `fmt ` chunk."""
    if len(chunk) < 16:
        raise FormatError(f"WAV: expected a 'fmt ' chunk of 16 bytes or more, got {len(chunk)}")
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if code == EXTENSIBLE and len(chunk) >= 26:
        (code,) = struct.unpack_from("<H", chunk, 24)
    if not 1 <= channels <= _MAX_CHANNELS:
        raise FormatError(f"WAV: expected 1 .. {_MAX_CHANNELS} channels, got {channels}")
    return code, channels, rate, bits


def _decode(data: bytes, form: Wav) -> NDArray[np.float32]:
    """Turn bytes into float32, [frames * channels]."""
    if form.code == FLOAT:
        floats = np.frombuffer(data, f"<f{form.bits // 8}")
        with np.errstate(
            over="ignore"
        ):  # float64 beyond float32 turns into infinity: refused later
            return floats.astype(np.float32)
    if form.bits == 8:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(
            128
        )
    if form.bits == 24:
        # Three bytes become the upper three of an int32, which keeps the sign.
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.reshape(-1).view("<i4").astype(np.float32) / np.float32(2**31)
    integers = np.frombuffer(data, f"<i{form.bits // 8}")
    return integers.astype(np.float32) / np.float32(2 ** (form.bits - 1))
