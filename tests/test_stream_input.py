"""Streams: the gate, and what they refuse without getting into a wrong state."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import model_factory
import numpy as np
import pytest
from streams import (
    AUDIO,
    FRAME,
    WINDOW,
    assert_same,
    load,
    noise,
    streamed,
)

import bifast
from bifast import _core
from bifast.format import FRONTEND_PAPER


@pytest.fixture
def model() -> bifast.Model:
    return load()


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
    for refuses in (stream.push, stream.check):
        with pytest.raises(error, match=message):
            refuses(chunk)
    stream.check(AUDIO[20000:])
    stream.check(AUDIO[:0])
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
        lambda: stream.check(AUDIO[:1]),
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
