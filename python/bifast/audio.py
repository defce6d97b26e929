"""Sound files as mono float32 at the model's rate.

Plain WAV at that rate needs NumPy alone (bifast.wav); other files need soundfile and other rates soxr,
both in the extra `audio`. Files are decoded and resampled block by block, so a long one with many
channels costs the memory of its result.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bifast import wav
from bifast.errors import FormatError, UnsupportedError

SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".w64"}
)
# A file that claims 1 Hz would grow 16,000 times.
MIN_RATE, MAX_RATE = 1_000, 1_000_000
_BLOCK_FRAMES = 1 << 16


@dataclass(frozen=True)
class Audio:
    """Decoded sound: its rate in Hz, its channels, and blocks [frames, channels] of float32."""

    rate: int
    channels: int
    blocks: Iterable[NDArray[np.float32]]


def load(source: str | Path | BinaryIO, rate: int) -> NDArray[np.float32]:
    """Read a sound file as mono at `rate`; channels are averaged.

    Parameters
    ----------
    source
        A path, or a file that is open in binary mode and can seek.
    rate
        Hz.

    Returns
    -------
    NDArray[np.float32]
        Shape (S,), in [-1, 1] up to what resampling overshoots.

    Raises
    ------
    OSError
        If the file is missing or unreadable.
    FormatError
        If it is no sound file, is damaged, has no samples, or holds NaN or infinity.
    UnsupportedError
        If it needs a package that is not installed.
    """
    if isinstance(source, (str, Path)):
        with Path(source).open("rb") as file:
            return load(file, rate)
    if not source.seekable():  # a pipe
        source = io.BytesIO(source.read())
    with _decode(source) as audio:
        return _mono(audio, rate)


def from_pcm(data: bytes, pcm_rate: int, rate: int) -> NDArray[np.float32]:
    """Take raw PCM, mono, signed 16-bit little-endian at `pcm_rate` Hz; result and errors as `load`.

    A last odd byte is refused: half a sample means that the data are something else or cut.
    """
    if len(data) % 2:
        raise FormatError(
            f"raw PCM: expected 16-bit samples, got an odd number of bytes, {len(data)}"
        )
    form = wav.Wav(pcm_rate, 1, wav.PCM, 16, 0, len(data))
    return _mono(Audio(pcm_rate, 1, wav.blocks(io.BytesIO(data), form, _BLOCK_FRAMES)), rate)


def _mono(audio: Audio, rate: int) -> NDArray[np.float32]:
    """Mix, check and resample decoded sound; result and errors as `load`."""
    if not MIN_RATE <= audio.rate <= MAX_RATE:
        raise FormatError(f"sample rate: expected {MIN_RATE} .. {MAX_RATE} Hz, got {audio.rate}")
    mono = _finite(block.mean(axis=1, dtype=np.float32) for block in audio.blocks)
    pieces = list(mono if audio.rate == rate else _resampled(mono, audio.rate, rate))
    samples = np.concatenate([np.empty(0, np.float32), *pieces])
    if samples.size == 0:
        raise FormatError("expected sound, got a file without samples")
    return samples


@contextmanager
def _decode(file: BinaryIO) -> Iterator[Audio]:
    """Open a sound by its content, not its name: with our own reader where it can, else soundfile."""
    form = wav.parse(file)
    if form is not None:
        yield Audio(form.rate, form.channels, wav.blocks(file, form, _BLOCK_FRAMES))
        return
    soundfile = _extra("soundfile", "this is no plain WAV file (PCM or float)")
    file.seek(0)
    try:
        with soundfile.SoundFile(file) as sound:
            blocks = sound.blocks(_BLOCK_FRAMES, dtype="float32", always_2d=True)
            yield Audio(sound.samplerate, sound.channels, blocks)
    except soundfile.LibsndfileError as error:
        reason = error.error_string
        raise FormatError(f"expected a sound file, got what cannot be decoded: {reason}") from None


def _finite(blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Pass blocks on, [S] each; NaN and infinity are refused before a resampler spreads them."""
    start = 0
    for block in blocks:
        bad = np.flatnonzero(~np.isfinite(block))
        if bad.size:
            raise FormatError(
                f"expected finite samples, got {block[bad[0]]} at sample {start + bad[0]}"
            )
        start += len(block)
        yield block


def _resampled(
    blocks: Iterable[NDArray[np.float32]], rate_in: int, rate_out: int
) -> Iterator[NDArray[np.float32]]:
    """Resample a mono stream; the last chunk flushes the filter."""
    soxr = _extra("soxr", f"the sound has {rate_in} Hz, the model takes {rate_out} Hz")
    stream = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)


def _extra(name: str, reason: str) -> Any:
    """Import a package of the extra `audio`, or say how to get it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise UnsupportedError(
            f"{reason}: needs the package {name}; pip install 'bifast[audio]' ({error})"
        ) from None
