"""Snapshots of streams: bytes that another stream goes on from, or that are refused."""

from __future__ import annotations

import copy
import pickle
import struct
import zlib
from functools import cache

import model_factory
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import (
    AUDIO,
    FEW,
    assert_same,
    load,
)

import bifast

# Where a snapshot has, behind its header, the windows scored at each depth.
COUNTS_AT = 72


@pytest.fixture
def model() -> bifast.Model:
    return load()


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
