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
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from bifast import wav
from bifast.errors import FormatError
from bifast.extras import extra

SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".w64"}
)
# A file that claims 1 Hz would grow 16,000 times.
MIN_RATE, MAX_RATE = 1_000, 1_000_000
_BLOCK_FRAMES = 1 << 16
_PIPE_BYTES = 1 << 16


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
    with _decode(_seekable(source)) as audio:
        return np.concatenate(list(_mono(audio, rate)))


def stream(path: str | Path, rate: int) -> Iterator[NDArray[np.float32]]:
    """Read a sound file block by block, [S] each; the rest, and the errors, as `load`."""
    with Path(path).open("rb") as file, _decode(_seekable(file)) as audio:
        yield from _mono(audio, rate)


def _seekable(file: BinaryIO) -> BinaryIO:
    """Read a pipe to its end: what it holds may tell its length only there."""
    return file if file.seekable() else io.BytesIO(file.read())


def stream_pcm(
    file: BinaryIO, pcm_rate: int, rate: int
) -> Iterator[NDArray[np.int16] | NDArray[np.float32]]:
    """Read raw PCM from a pipe as it comes, [S] each: signed 16-bit little-endian, mono.

    Raises
    ------
    FormatError
        At the end, if half a sample is left over; at the start, if it is a WAV file; or if the rate is out of
        range.
    UnsupportedError
        If the rates differ and soxr is not installed.
    """
    _check_rate(pcm_rate)
    samples = _pcm_samples(file)
    if pcm_rate == rate:
        yield from samples
    else:
        scaled = (block.astype(np.float32) / np.float32(32768) for block in samples)
        yield from resample(scaled, pcm_rate, rate)


def _pcm_samples(file: BinaryIO) -> Iterator[NDArray[np.int16]]:
    """Pass on what there is without waiting for more; keep half a sample for the next time."""
    read = getattr(file, "read1", file.read)
    rest, begins = b"", True
    while data := read(_PIPE_BYTES):
        if begins and data.startswith(b"RIFF"):  # of any rate and format, which nothing here reads
            raise FormatError(
                "raw PCM: got a WAV file; give its name, or send samples alone (arecord -t raw)"
            )
        begins = False
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        yield np.frombuffer(data[:whole], "<i2").astype(np.int16)
    if rest:
        raise FormatError("raw PCM: expected 16-bit samples, got half a sample at the end")


def from_pcm(data: bytes, pcm_rate: int, rate: int) -> NDArray[np.float32]:
    """Take raw PCM, mono, signed 16-bit little-endian at `pcm_rate` Hz; result and errors as `load`.

    A last odd byte is refused: half a sample means that the data are something else or cut.
    """
    if len(data) % 2:
        raise FormatError(
            f"raw PCM: expected 16-bit samples, got an odd number of bytes, {len(data)}"
        )
    form = wav.Wav(pcm_rate, 1, wav.PCM, 16, 0, len(data))
    blocks = wav.blocks(io.BytesIO(data), form, _BLOCK_FRAMES)
    return np.concatenate(list(_mono(Audio(pcm_rate, 1, blocks), rate)))


def _check_rate(rate: int) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise FormatError(f"sample rate: expected {MIN_RATE} .. {MAX_RATE} Hz, got {rate}")


def _mono(audio: Audio, rate: int) -> Iterator[NDArray[np.float32]]:
    """Mix, check and resample decoded sound, block by block; errors as `load`."""
    _check_rate(audio.rate)
    mono = _finite(block.mean(axis=1, dtype=np.float32) for block in audio.blocks)
    size = 0
    for block in mono if audio.rate == rate else resample(mono, audio.rate, rate):
        size += block.size
        yield block
    if size == 0:
        raise FormatError("expected sound, got a file without samples")


@contextmanager
def _decode(file: BinaryIO) -> Iterator[Audio]:
    """Open a sound by its content, not its name: with our own reader where it can, else soundfile."""
    form = wav.parse(file)
    if form is not None:
        yield Audio(form.rate, form.channels, wav.blocks(file, form, _BLOCK_FRAMES))
        return
    soundfile = extra("soundfile", "this is no plain WAV file (PCM or float)")
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


def resample(
    blocks: Iterable[NDArray[np.float32]], rate_in: int, rate_out: int
) -> Iterator[NDArray[np.float32]]:
    """Resample a mono stream; the last chunk flushes the filter."""
    soxr = extra("soxr", f"the sound has {rate_in} Hz, the model takes {rate_out} Hz")
    stream = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)
