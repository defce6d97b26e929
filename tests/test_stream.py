"""Streams: the same bits as a scan however the audio is cut, and never in a wrong state."""

from __future__ import annotations

import copy
import pickle
import resource
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import model_factory
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bifast
from bifast import _core
from bifast.format import FRONTEND_PAPER

Array = np.ndarray[Any, np.dtype[Any]]
FEW = settings(max_examples=min(40, settings().max_examples))
WINDOW = FRONTEND_PAPER.window_samples
FRAME = FRONTEND_PAPER.hop
# Where a snapshot has its position, and behind its header the windows scored at each depth.
POSITION_AT, COUNTS_AT = 56, 72


@cache
def load(isa: str | None = None) -> bifast.Model:
    return bifast.Model.load(model_factory.bifsmn(6).to_bytes(), isa=isa)


@pytest.fixture
def model() -> bifast.Model:
    return load()


def noise(size: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(-9000, 9000, size, dtype=np.int16)


AUDIO = noise(WINDOW * 3 + 1234)


def streamed(stream: bifast.Stream, x: Array, cuts: list[int]) -> bifast.Scan:
    """Push the pieces between the cuts and flush."""
    return bifast.Scan.join([*(stream.push(p) for p in np.split(x, sorted(cuts))), stream.flush()])


def assert_same(a: bifast.Scan, b: bifast.Scan) -> None:
    np.testing.assert_array_equal(a.starts, b.starts)
    np.testing.assert_array_equal(a.logits.view(np.uint32), b.logits.view(np.uint32))


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


# ---- snapshots -----------------------------------------------------------------------------------


@FEW
@given(cut=st.integers(0, len(AUDIO)))
def test_a_restored_stream_goes_on_as_if_nothing_had_happened(cut: int) -> None:
    model = load()
    stream, other = model.stream(), load("scalar").stream()
    first = stream.push(AUDIO[:cut])
    other.push(AUDIO[:99])
    other.restore(stream.snapshot())
    assert other.snapshot() == stream.snapshot()
    rest = other.push(AUDIO[cut:])
    assert_same(bifast.Scan.join([first, rest, other.flush()]), model.scan(AUDIO))


def test_a_snapshot_does_not_depend_on_cut_or_instruction_set() -> None:
    snapshots = set()
    for name in bifast.isas():
        for chunk in (160, 1111, len(AUDIO)):
            stream = load(name).stream()
            for first in range(0, len(AUDIO), chunk):
                stream.push(AUDIO[first : first + chunk])
            snapshots.add(stream.snapshot())
    assert len(snapshots) == 1


def test_a_snapshot_of_another_stream_is_refused(model: bifast.Model) -> None:
    snapshot = model.stream().snapshot()
    other = bifast.Model.load(model_factory.bifsmn(4).to_bytes())
    for stream, what in (
        (other.stream(), "model"),
        (model.stream(depth="half"), "depth"),
        (model.stream(hop=0.5), "hop"),
        (model.stream(gate=-40), "gate"),
    ):
        with pytest.raises(ValueError, match=f"of a stream with another {what}"):
            stream.restore(snapshot)


@FEW
@given(st.data())
def test_damaged_snapshots_are_refused_and_change_nothing(data: st.DataObject) -> None:
    model = load()
    stream = model.stream()
    stream.push(AUDIO[:20000])
    snapshot = bytearray(stream.snapshot())
    if data.draw(st.booleans()):
        del snapshot[data.draw(st.integers(0, len(snapshot) - 1)) :]
    else:
        at = data.draw(st.integers(0, len(snapshot) - 1))
        snapshot[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((bifast.FormatError, bifast.UnsupportedError)):
        stream.restore(bytes(snapshot))
    rest = stream.push(AUDIO[20000:])
    assert_same(bifast.Scan.join([rest, stream.flush()]), tail_of(model, 20000))


@cache
def tail_of(model: bifast.Model, cut: int) -> bifast.Scan:
    stream = model.stream()
    stream.push(AUDIO[:cut])
    return bifast.Scan.join([stream.push(AUDIO[cut:]), stream.flush()])


def test_a_snapshot_of_samples_that_no_push_takes_is_refused(model: bifast.Model) -> None:
    samples_at = COUNTS_AT + 8 * len(model.depths)
    expect_refused(model, samples_at, struct.pack("<f", 1e30))


@pytest.mark.parametrize("count", [-1, 2**63 - 1])
def test_a_snapshot_of_more_windows_than_samples_is_refused(
    model: bifast.Model, count: int
) -> None:
    expect_refused(model, COUNTS_AT, struct.pack("<q", count))


def expect_refused(model: bifast.Model, at: int, field: bytes) -> None:
    """A snapshot with another field, but with a true checksum."""
    stream = model.stream()
    stream.push(AUDIO[:5000])
    data = bytearray(stream.snapshot())
    data[at : at + len(field)] = field
    struct.pack_into("<I", data, 12, zlib.crc32(data[16:]))
    with pytest.raises(bifast.FormatError, match="snapshot"):
        stream.restore(bytes(data))


def test_restore_takes_bytes_alone(model: bifast.Model) -> None:
    with pytest.raises(TypeError, match="snapshot: expected bytes, got int"):
        model.stream().restore(64)  # type: ignore[arg-type]


def test_a_live_stream_is_not_copied(model: bifast.Model) -> None:
    for call in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"keep its snapshot\(\)"):
            call(model.stream())


# ---- the gate ------------------------------------------------------------------------------------


def test_the_gate_leaves_out_silence_and_changes_no_score(model: bifast.Model) -> None:
    quiet = noise(WINDOW * 2, 1) // 1000  # peak -71 dB
    x = np.concatenate([quiet, AUDIO[:20000], quiet, AUDIO[:300], quiet]).astype(np.int16)
    hop = FRAME / 16000
    stream = model.stream(hop=hop, gate=-60)
    gated, full = streamed(stream, x, list(range(0, len(x), 160))), model.scan(x, hop=hop)
    kept = np.isin(full.starts, gated.starts)
    np.testing.assert_array_equal(gated.logits, full.logits[kept])
    # A window is left out if and only if nothing that its frames see is above the gate.
    limit, reach = 32768 * 10 ** (-60 / 20), FRONTEND_PAPER.n_fft // 2
    for start, scored in zip(full.starts, kept, strict=True):
        seen = x[max(0, start - reach) : start + 31 * FRAME + reach]
        assert scored == (np.abs(seen).max() > limit)
    assert 0 < kept.sum() < len(kept)


def test_the_gate_counts_what_it_leaves_out(model: bifast.Model) -> None:
    stream = model.stream(gate=-60)
    assert len(stream.push(np.zeros(WINDOW * 4, np.int16))) == 0
    assert stream.skipped == len(model.scan(np.zeros(WINDOW * 4, np.int16))) - 1
    assert stream.gate == -60


@pytest.mark.parametrize("peak", [0.0, -0.0])
def test_a_gate_at_zero_leaves_out_digital_silence_alone(model: bifast.Model, peak: float) -> None:
    stream = _core.Stream(model._core, 0, 8)
    stream.set_gate(peak)
    stream.push(np.zeros(2 * WINDOW, np.int16))
    assert stream.n_skipped > 0
    stream.reset(0)
    stream.push(AUDIO)
    assert stream.n_skipped == 0


@pytest.mark.parametrize("gate", [1.0, -201.0, float("nan"), float("-inf")])
def test_a_gate_out_of_range_is_refused(model: bifast.Model, gate: float) -> None:
    with pytest.raises(ValueError, match="gate: expected dB"):
        model.stream(gate=gate)


# ---- bad input -----------------------------------------------------------------------------------

BAD_CHUNKS: list[tuple[Any, type[Exception], str]] = [
    (np.array([0, np.nan], np.float32), ValueError, "sample 1 is .*nan.*must be finite"),
    (np.array([np.inf], np.float32), ValueError, "sample 0 is inf"),
    (np.array([1200.0], np.float32), ValueError, "divide int16 values by 32768"),
    (np.zeros(9), ValueError, "expected dtype float32 or int16, got float64"),
    (np.zeros(9, ">i2"), ValueError, "other byte order"),
    (np.zeros((2, 9), np.int16), ValueError, r"expected shape \[samples\], got shape \(2, 9\)"),
    (np.array(0, np.int16), ValueError, r"expected shape \[samples\]"),
    (b"\0\0", TypeError, "expected a NumPy array, got bytes"),
    (None, TypeError, "expected a NumPy array"),
    (np.ma.masked_array(np.zeros(9, np.int16)), TypeError, "masked"),
]


@pytest.mark.parametrize(("chunk", "error", "message"), BAD_CHUNKS)
def test_a_bad_chunk_is_refused_and_changes_nothing(
    model: bifast.Model, chunk: Any, error: type[Exception], message: str
) -> None:
    stream = model.stream()
    first = stream.push(AUDIO[:20000])
    before = stream.snapshot()
    with pytest.raises(error, match=message):
        stream.push(chunk)
    assert stream.snapshot() == before
    rest = stream.push(AUDIO[20000:])
    assert_same(bifast.Scan.join([first, rest, stream.flush()]), model.scan(AUDIO))


def test_a_chunk_without_samples_is_nothing(model: bifast.Model) -> None:
    stream = model.stream()
    for dtype in (np.int16, np.float32):
        assert len(stream.push(np.empty(0, dtype))) == 0
    assert stream.position == 0
    assert len(stream.flush()) == 0  # no audio at all


def test_after_flush_only_reset_helps(model: bifast.Model) -> None:
    stream = model.stream()
    streamed(stream, AUDIO, [])
    calls: list[Callable[[], Any]] = [
        lambda: stream.push(AUDIO[:1]),
        stream.flush,
        stream.snapshot,
    ]
    for call in calls:
        with pytest.raises(ValueError, match="has ended: reset it"):
            call()
    stream.reset()
    assert_same(streamed(stream, AUDIO, []), model.scan(AUDIO))


def test_after_close_nothing_goes(model: bifast.Model) -> None:
    with model.stream() as stream:
        stream.push(AUDIO[:100])
    stream.close()
    calls: list[Callable[[], Any]] = [
        lambda: stream.push(AUDIO[:1]),
        stream.flush,
        stream.reset,
        stream.snapshot,
        lambda: stream.position,
    ]
    for call in calls:
        with pytest.raises(ValueError, match="the stream is closed"):
            call()
    assert "closed" in repr(stream)


def test_settings_are_checked(model: bifast.Model) -> None:
    with pytest.raises(ValueError, match="unknown depth 'ful'"):
        model.stream(depth="ful")
    for hop in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="hop: expected a positive number"):
            model.stream(hop=hop)
    for position in (-1, 2**61, 2**70):
        with pytest.raises(ValueError, match=r"position: expected 0 .. 2\^60 samples, got"):
            model.stream().reset(position)
    images = model_factory.layer_model("conv2d", shape=(6, 5, 3), channels=4)
    with pytest.raises(ValueError, match="takes no audio"):
        bifast.Model.load(images.to_bytes()).stream()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.stream(hop="a"), "hop: expected a number, got str"),
        (lambda model: model.stream(gate="a"), "gate: expected a number, got str"),
        (lambda model: model.stream().reset("a"), "position: expected a whole number, got str"),
        (lambda model: model.stream().reset(1.5), "position: expected a whole number, got float"),
        (lambda model: model.listen(pre_roll=None), "pre_roll: expected a number, got NoneType"),
        (lambda model: model.listen().mute("a"), "mute: expected a number, got str"),
        (
            lambda model: model.listen({model.labels[0]: bifast.Word("a")}),
            "threshold: expected a n",
        ),
        (lambda model: model.run(AUDIO[:9], threads="2"), "threads: expected a whole number"),
    ],
)
def test_settings_of_another_type_are_named(
    model: bifast.Model, call: Callable[[bifast.Model], Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        call(model)


def test_a_stream_can_be_shown_while_another_thread_pushes(model: bifast.Model) -> None:
    stream = model.stream(hop=0.032)
    shown: set[str] = set()
    with ThreadPoolExecutor(1) as pool:
        pushed = pool.submit(stream.push, np.zeros(16000 * 20, np.int16))
        while not pushed.done():
            shown.add(repr(stream).rpartition("full, ")[2])
    assert shown <= {"at sample 0>", "being pushed to>", "at sample 320000>"}
    assert "at sample 320000" in repr(stream)


def test_a_stream_outlives_its_model() -> None:
    stream = bifast.Model.load(model_factory.bifsmn(6).to_bytes()).stream()
    assert_same(streamed(stream, AUDIO, [100]), load().scan(AUDIO))
