"""Streams: the same bits as a scan however the audio is cut, and however long it is."""

from __future__ import annotations

import resource
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import model_factory
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import (
    AUDIO,
    FEW,
    FRAME,
    POSITION_AT,
    WINDOW,
    Array,
    assert_same,
    load,
    noise,
    streamed,
)

import bifast
from bifast.format import FRONTEND_PAPER


@pytest.fixture
def model() -> bifast.Model:
    return load()


def windows_of(model: bifast.Model, x: Array, step: int, depth: str) -> tuple[Array, Array]:
    """What a scan must be, from the features of the whole: starts and logits."""
    frames = model.features(x)
    last = len(frames) - model.input_shape[0]
    firsts = sorted({*range(0, last + 1, step), last})
    windows = np.stack([frames[first : first + model.input_shape[0]] for first in firsts])
    return np.array(firsts) * model.hop, model.run_features(windows, depth=depth)


# ---- the same bits -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", bifast.isas())
@FEW
@given(
    size=st.integers(1, len(AUDIO)),
    cuts=st.lists(st.integers(0, len(AUDIO)), max_size=12),
    step=st.integers(1, 40),
    depth=st.sampled_from(("full", "half", "quarter", "eighth")),
    floats=st.booleans(),
)
def test_every_cut_gives_the_bits_of_the_whole(
    name: str, size: int, cuts: list[int], step: int, depth: str, floats: bool
) -> None:
    model, hop, x = load(name), step * FRAME / 16000, AUDIO[:size]
    samples = x.astype(np.float32) / 32768 if floats else x
    found = streamed(model.stream(hop=hop, depth=depth), samples, [c for c in cuts if c < size])
    assert_same(found, model.scan(x, hop=hop, depth=depth))
    starts, logits = windows_of(model, x, step, depth)
    np.testing.assert_array_equal(found.starts, starts)
    np.testing.assert_array_equal(found.logits, logits)


@pytest.mark.parametrize("setting", ["causal", "small", "long-hop"])
@FEW
@given(size=st.integers(1, 3000), chunk=st.integers(1, 400), step=st.integers(1, 9))
def test_other_front_ends_too(setting: str, size: int, chunk: int, step: int) -> None:
    model = with_frontend(setting)
    x = AUDIO[:size]
    stream = model.stream(hop=step * model.hop / model.sample_rate)
    found = streamed(stream, x, list(range(chunk, size, chunk)))
    starts, logits = windows_of(model, x, step, model.depths[0])
    np.testing.assert_array_equal(found.starts, starts)
    np.testing.assert_array_equal(found.logits, logits)


@cache
def with_frontend(setting: str) -> bifast.Model:
    from dataclasses import replace

    small = model_factory.SMALL_FRONTEND
    frontend = {
        "causal": replace(small, center=False),
        "small": small,
        # Samples between the frames that no frame sees.
        "long-hop": replace(small, hop=small.n_fft + 5),
    }[setting]
    return bifast.Model.load(model_factory.random_net(5, frontend=frontend).to_bytes())


def test_windows_differ(model: bifast.Model) -> None:
    """Else equal bits would prove nothing."""
    for depth in model.depths:
        logits = model.scan(AUDIO, hop=FRAME / 16000, depth=depth).logits
        assert len(np.unique(logits, axis=0)) == len(logits)


def test_one_sample_at_a_time(model: bifast.Model) -> None:
    x = AUDIO[: WINDOW + 5000]
    assert_same(streamed(model.stream(), x, list(range(len(x)))), model.scan(x))


def test_a_window_is_scored_as_soon_as_its_last_frame_is_whole(model: bifast.Model) -> None:
    stream = model.stream(hop=FRAME / 16000)
    due = 31 * FRAME + FRONTEND_PAPER.n_fft // 2
    assert len(stream.push(AUDIO[: due - 1])) == 0
    assert list(stream.push(AUDIO[due - 1 : due]).starts) == [0]
    assert len(stream.push(AUDIO[due : due + FRAME - 1])) == 0
    assert list(stream.push(AUDIO[due + FRAME - 1 : due + FRAME]).starts) == [FRAME]


def test_short_audio_gives_what_run_gives(model: bifast.Model) -> None:
    for size in (1, 700, WINDOW - 1, WINDOW):
        stream = model.stream(hop=0.5, depth="half")
        assert len(stream.push(AUDIO[:size])) == 0
        (logits,) = stream.flush().logits
        np.testing.assert_array_equal(logits, model.run(AUDIO[:size], depth="half"))


def test_hop_is_whole_frames_and_says_so(model: bifast.Model) -> None:
    assert model.stream(hop=0.1).hop == 3 * FRAME / 16000
    assert model.stream(hop=1e-9).hop == FRAME / 16000
    assert model.stream(hop=1e300).hop > 1e7


def test_int16_and_floats_in_turns(model: bifast.Model) -> None:
    stream, parts = model.stream(), []
    for i, piece in enumerate(np.split(AUDIO, range(777, len(AUDIO), 777))):
        parts.append(stream.push(piece if i % 2 else piece.astype(np.float32) / 32768))
    assert_same(bifast.Scan.join([*parts, stream.flush()]), model.scan(AUDIO))


def test_views_and_subclasses_are_taken(model: bifast.Model) -> None:
    stereo = np.stack([AUDIO, AUDIO[::-1]], axis=1)
    stream = model.stream()
    found = [stream.push(stereo[:9000, 0]), stream.push(AUDIO[9000:].view(np.memmap))]
    assert_same(bifast.Scan.join([*found, stream.flush()]), model.scan(AUDIO))


def test_many_streams_share_a_model_and_threads(model: bifast.Model) -> None:
    sounds = [noise(WINDOW * 2, seed) for seed in range(12)]
    expected = [model.scan(x) for x in sounds]

    def listen(x: Array) -> bifast.Scan:
        return streamed(model.stream(), x, list(range(160, len(x), 160)))

    with ThreadPoolExecutor(6) as pool:
        for found, wanted in zip(pool.map(listen, sounds), expected, strict=True):
            assert_same(found, wanted)


# ---- long streams --------------------------------------------------------------------------------


def test_time_stamps_are_exact_after_any_time(model: bifast.Model) -> None:
    for origin in (24 * 3600 * 16000, 2**53 + 1, 2**59):
        stream = model.stream()
        stream.reset(origin)
        found = streamed(stream, AUDIO, [5000, 20000])
        assert stream.position == origin + len(AUDIO)
        np.testing.assert_array_equal(found.starts - origin, model.scan(AUDIO).starts)
        np.testing.assert_array_equal(found.logits, model.scan(AUDIO).logits)


def test_far_positions_give_the_same_scores(model: bifast.Model) -> None:
    """A stream whose counter stands at years: as if silence had come before."""
    step = 8 * FRAME
    near = model.stream()
    near.push(np.zeros(10 * step, np.int16))
    far = model.stream()
    far.restore(moved(near.snapshot(), 2**44 * step))
    assert far.position == near.position + 2**44 * step
    a, b = streamed(near, AUDIO, [3000]), streamed(far, AUDIO, [333])
    np.testing.assert_array_equal(b.starts - a.starts, 2**44 * step)
    np.testing.assert_array_equal(a.logits, b.logits)


def moved(snapshot: bytes, by: int) -> bytes:
    """Add to the position of a snapshot."""
    data = bytearray(snapshot)
    (position,) = struct.unpack_from("<q", data, POSITION_AT)
    struct.pack_into("<q", data, POSITION_AT, position + by)
    struct.pack_into("<I", data, 12, zlib.crc32(data[16:]))
    return bytes(data)


def test_memory_is_flat_over_hours(model: bifast.Model) -> None:
    stream = model.stream(hop=10.0, depth="eighth")
    minute = np.zeros(60 * 16000, np.int16)
    stream.push(minute)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = sum(len(stream.push(minute)) for _ in range(30))
    assert stream.position == 31 * 60 * 16000
    assert abs(count * stream.hop - 1800) <= stream.hop
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2048  # kilobytes
