"""Sound files: formats, rates, channels, and what is refused."""

from __future__ import annotations

import io
import os
import struct
import sys
import threading
import wave
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bifast
from bifast import audio

RATE = 16000
TONE = (0.5 * np.sin(np.arange(RATE) * 0.05)).astype(np.float32)


@pytest.fixture
def no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without the packages of the extra `audio`."""
    for name in ("soundfile", "soxr"):
        monkeypatch.setitem(sys.modules, name, None)


def pcm16(samples: np.ndarray[Any, Any]) -> bytes:
    return np.round(samples * 32767).astype("<i2").tobytes()


def wav_bytes(
    data: bytes, *, code: int = 1, bits: int = 16, channels: int = 1, rate: int = RATE
) -> bytes:
    frame = channels * bits // 8
    head = struct.pack("<HHIIHH", code, channels, rate, rate * frame, frame, bits)
    chunks = b"fmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def load(data: bytes, rate: int = RATE) -> np.ndarray[Any, np.dtype[np.float32]]:
    return audio.load(io.BytesIO(data), rate)


@pytest.mark.usefixtures("no_extras")
@pytest.mark.parametrize(
    ("code", "bits", "encode"),
    [
        (1, 8, lambda x: np.round(x * 127 + 128).astype(np.uint8).tobytes()),
        (1, 16, lambda x: np.round(x * 2**15).astype("<i2").tobytes()),
        (1, 24, lambda x: int32_bytes(x, 24)),
        (1, 32, lambda x: int32_bytes(x, 32)),
        (3, 32, lambda x: x.astype("<f4").tobytes()),
        (3, 64, lambda x: x.astype("<f8").tobytes()),
    ],
    ids=["u8", "i16", "i24", "i32", "f32", "f64"],
)
def test_plain_wav_needs_no_extras(code: int, bits: int, encode: Any) -> None:
    got = load(wav_bytes(encode(TONE.astype(np.float64)), code=code, bits=bits))
    assert got.dtype == np.float32
    assert got.shape == TONE.shape
    np.testing.assert_allclose(got, TONE, atol=2.0 ** -(min(bits, 24) - 2))


def int32_bytes(x: np.ndarray[Any, Any], bits: int) -> bytes:
    """The upper `bits` of int32 samples."""
    wide = np.round(x * 2**31).astype("<i4")
    return wide.view(np.uint8).reshape(-1, 4)[:, 4 - bits // 8 :].tobytes()


@pytest.mark.usefixtures("no_extras")
def test_int16_wav_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    pcm = np.array([0, 1, -1, 32767, -32768], "<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(pcm.tobytes())
    assert np.array_equal(audio.load(path, RATE), pcm / np.float32(32768))


def test_channels_are_averaged() -> None:
    stereo = np.stack([TONE, -TONE / 2], axis=1)
    got = load(wav_bytes(pcm16(stereo), channels=2))
    np.testing.assert_allclose(got, TONE / 4, atol=1e-4)


def test_extensible_wav_and_odd_chunks_before_the_samples() -> None:
    head = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, 2 * RATE, 2, 16, 22, 16, 4)
    form = head + struct.pack("<H", 1) + bytes(14)
    chunks = b"LIST" + struct.pack("<I", 3) + b"abc\0" + b"fmt " + struct.pack("<I", 40) + form
    chunks += b"data" + struct.pack("<I", 2 * RATE) + pcm16(TONE)
    got = load(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    np.testing.assert_allclose(got, TONE, atol=1e-4)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 0x7FFFF000])
@pytest.mark.parametrize("cut", [0, 1], ids=["whole", "in a frame"])
def test_streamed_wav_of_unknown_size_is_read_to_its_end(size: int, cut: int) -> None:
    whole = wav_bytes(pcm16(TONE))
    data = bytearray(whole + bytes(cut))
    data[4:8] = data[40:44] = struct.pack("<I", size)
    assert np.array_equal(load(bytes(data)), load(whole))


@pytest.mark.parametrize("behind", [b"", b"LIST" + struct.pack("<I", 4) + b"INFO"])
def test_wav_without_samples_is_refused(behind: bytes) -> None:
    data = wav_bytes(b"") + behind
    with pytest.raises(bifast.FormatError, match="a file without samples"):
        load(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])


def test_a_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = wav_bytes(pcm16(TONE))
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    assert np.array_equal(audio.load(pipe, RATE), load(data))
    writer.join()
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    assert np.array_equal(np.concatenate(list(audio.stream(pipe, RATE))), load(data))
    writer.join()


def test_eight_channels_at_192_khz() -> None:
    pytest.importorskip("soxr")
    time = np.arange(192_000) / 192_000
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    data = int32_bytes(np.repeat(tone[:, np.newaxis], 8, axis=1).reshape(-1), 24)
    got = load(wav_bytes(data, bits=24, channels=8, rate=192_000))
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert got.shape == (RATE,)
    np.testing.assert_allclose(got[500:-500], expected[500:-500], atol=2e-3)


@pytest.mark.parametrize("form", ["FLAC", "OGG"])
def test_compressed_files(form: str, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "sound.bin"  # the content decides, not the name
    soundfile.write(path, TONE, RATE, format=form)
    got = audio.load(path, RATE)
    assert got.shape == TONE.shape
    np.testing.assert_allclose(got, TONE, atol=1e-4 if form == "FLAC" else 0.1)


@pytest.mark.parametrize("form", ["FLAC", "OGG"])
def test_damaged_compressed_file_is_a_format_error(form: str) -> None:
    soundfile = pytest.importorskip("soundfile")
    file = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 5 * RATE)
    soundfile.write(file, noise, RATE, format=form)
    whole = file.getvalue()
    with pytest.raises(bifast.FormatError, match="expected"):
        load(whole[: len(whole) // 50])


def test_raw_pcm_is_resampled() -> None:
    pytest.importorskip("soxr")
    got = audio.from_pcm(pcm16(TONE[:8000]), 8000, RATE)
    assert got.shape == (RATE,)


def test_raw_pcm_with_half_a_sample_is_refused() -> None:
    with pytest.raises(bifast.FormatError, match="odd number of bytes, 3"):
        audio.from_pcm(b"abc", RATE, RATE)


@pytest.mark.usefixtures("no_extras")
def test_other_rate_without_soxr_says_what_to_install() -> None:
    expected = r"has 44100 Hz, the model takes 16000 Hz.*pip install 'bifast\[audio\]'"
    with pytest.raises(bifast.UnsupportedError, match=expected):
        load(wav_bytes(pcm16(TONE), rate=44_100))


@pytest.mark.usefixtures("no_extras")
def test_other_format_without_soundfile_says_what_to_install() -> None:
    with pytest.raises(
        bifast.UnsupportedError, match=r"no plain WAV.*pip install 'bifast\[audio\]'"
    ):
        load(b"fLaC" + bytes(100))


BAD = [
    (wav_bytes(b""), "without samples"),
    (wav_bytes(pcm16(TONE))[:-10], "32000 bytes of samples, got 31990; the file is cut"),
    (wav_bytes(b"abc"), "whole frames of 2 bytes, got 3"),
    (wav_bytes(b"")[:12], "'data' chunk, got none"),
    (wav_bytes(b"ab", channels=0), "channels, got 0"),
    (wav_bytes(b"ab", rate=0), "sample rate: expected .* got 0"),
    (wav_bytes(b"ab", rate=1), "sample rate: expected .* got 1"),
    (wav_bytes(b"ab")[:12] + b"data\x02\0\0\0ab", "'fmt ' chunk before 'data'"),
    (wav_bytes(b"ab")[:12] + b"fmt \x02\0\0\0ab", "'fmt ' chunk of 16 bytes"),
    (wav_bytes(np.array([0, np.nan], "<f4").tobytes(), code=3, bits=32), "got nan at sample 1"),
    (wav_bytes(np.array([-np.inf], "<f4").tobytes(), code=3, bits=32), "got -inf at sample 0"),
    (wav_bytes(np.array([1e300], "<f8").tobytes(), code=3, bits=64), "got inf at sample 0"),
]


@pytest.mark.parametrize(("data", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_wav_is_a_format_error(data: bytes, message: str) -> None:
    with pytest.raises(bifast.FormatError, match=message):
        load(data)


@pytest.mark.parametrize("data", [b"", b"hello, this is a text file\n" * 20, bytes(1000)])
def test_what_is_no_sound_is_a_format_error(data: bytes) -> None:
    pytest.importorskip("soundfile")
    with pytest.raises(bifast.FormatError, match="expected a sound file"):
        load(data)


def test_missing_file_and_folder_are_oserrors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        audio.load(tmp_path / "gone.wav", RATE)
    with pytest.raises(OSError, match=tmp_path.name):
        audio.load(tmp_path, RATE)


@given(
    edits=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 255)), max_size=4),
    size=st.integers(0, 244),
)
def test_mutated_wav_gives_samples_or_a_typed_error(
    edits: list[tuple[int, int]], size: int
) -> None:
    pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    data = bytearray(wav_bytes(pcm16(TONE[:100])))
    for position, value in edits:
        data[position] = value
    with suppress(bifast.FormatError, bifast.UnsupportedError):
        assert np.isfinite(load(bytes(data[:size]))).all()
