"""Hypothesis strategies that damage .bifast files the way accidents and enemies do."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

Edit = Callable[[bytearray], None]

HEADER_BYTES, ENTRY_BYTES = 64, 32
INTERESTING = sorted(
    {
        value + delta
        for value in (
            0,
            1,
            16,
            64,
            255,
            4096,
            65535,
            2**16,
            2**28,
            2**31,
            2**32,
            2**34,
            2**63,
            2**64,
        )
        for delta in (-1, 0, 1)
        if 0 <= value + delta < 2**64
    }
)
INTERESTING_FLOATS = [
    0.0,
    -0.0,
    1e-300,
    1e300,
    -1.0,
    float("nan"),
    float("inf"),
    float("-inf"),
    4000.0,
]


@dataclass(frozen=True)
class Region:
    """Part of a file: header, section table, or one section."""

    start: int
    stop: int


def regions(data: bytes) -> list[Region]:
    """Return header, table and sections of a valid file, so that small ones are hit as often."""
    (count,) = struct.unpack_from("<I", data, 24)
    table_end = HEADER_BYTES + count * ENTRY_BYTES
    found = [Region(0, HEADER_BYTES), Region(HEADER_BYTES, table_end)]
    for at in range(HEADER_BYTES, table_end, ENTRY_BYTES):
        offset, size = struct.unpack_from("<QQ", data, at + 8)
        if size:
            found.append(Region(offset, offset + size))
    return found


def fix_checksum(data: bytearray) -> bytes:
    """Make the checksum right, so that mutations reach what lies behind it."""
    if len(data) >= 16:
        struct.pack_into("<I", data, 12, zlib.crc32(data[16:]))
    return bytes(data)


def positions(data: bytes, align: int) -> st.SearchStrategy[int]:
    """Strategy of aligned positions, each region equally likely."""
    return st.sampled_from(regions(data)).flatmap(
        lambda region: st.integers(region.start // align, (region.stop - 1) // align).map(
            lambda unit: unit * align
        )
    )


def flip(at: int, bit: int) -> Edit:
    def edit(data: bytearray) -> None:
        if at < len(data):
            data[at] ^= 1 << bit

    return edit


def overwrite(at: int, payload: bytes) -> Edit:
    def edit(data: bytearray) -> None:
        data[at : at + len(payload)] = payload[: max(0, len(data) - at)]

    return edit


def nudge(at: int, delta: int) -> Edit:
    """Add to the u32 at a position."""

    def edit(data: bytearray) -> None:
        if at + 4 <= len(data):
            (value,) = struct.unpack_from("<I", data, at)
            struct.pack_into("<I", data, at, (value + delta) % 2**32)

    return edit


def copy(source: int, target: int, size: int) -> Edit:
    def edit(data: bytearray) -> None:
        piece = data[source : source + size]
        data[target : target + len(piece)] = piece[: max(0, len(data) - target)]

    return edit


def resize(size: int, tell: bool) -> Edit:
    """Truncate or extend with zeros; `tell` keeps file_bytes in step."""

    def edit(data: bytearray) -> None:
        del data[size:]
        data.extend(bytes(size - len(data)))
        if tell and len(data) >= 24:
            struct.pack_into("<Q", data, 16, len(data))

    return edit


def swap_entries(first: int, second: int, fields: slice) -> Edit:
    """Exchange parts of two entries of the section table."""

    def edit(data: bytearray) -> None:
        a, b = (HEADER_BYTES + ENTRY_BYTES * i for i in (first, second))
        if max(a, b) + ENTRY_BYTES > len(data):
            return
        left, right = bytes(data[a : a + ENTRY_BYTES]), bytes(data[b : b + ENTRY_BYTES])
        data[a + fields.start : a + fields.stop] = right[fields]
        data[b + fields.start : b + fields.stop] = left[fields]

    return edit


def edits(data: bytes) -> st.SearchStrategy[Edit]:
    """Strategy of one edit of a valid file."""
    words = positions(data, 4)
    integers = st.sampled_from(INTERESTING)
    entry = st.integers(0, 7)
    parts = st.sampled_from(
        [slice(0, 4), slice(4, 8), slice(8, 16), slice(16, 24), slice(8, 24), slice(0, 32)]
    )
    return st.one_of(
        st.builds(flip, positions(data, 1), st.integers(0, 7)),
        st.builds(overwrite, words, integers.map(lambda v: struct.pack("<I", v % 2**32))),
        st.builds(overwrite, positions(data, 8), integers.map(lambda v: struct.pack("<Q", v))),
        st.builds(
            overwrite,
            positions(data, 8),
            st.sampled_from(INTERESTING_FLOATS).map(lambda v: struct.pack("<d", v)),
        ),
        st.builds(overwrite, words, st.integers(0, 300).map(lambda v: struct.pack("<I", v))),
        st.builds(nudge, words, st.sampled_from([-2, -1, 1, 2, 8, 64])),
        st.builds(copy, words, words, st.sampled_from([4, 8, 16, 32, 128])),
        st.builds(resize, st.integers(0, len(data) + 200), st.booleans()),
        st.builds(swap_entries, entry, entry, parts),
    )


def mutated(data: bytes, *, checksum: bool) -> st.SearchStrategy[bytes]:
    """Strategy of a file with one to four edits, with its checksum made right or not."""

    def apply(changes: list[Edit]) -> bytes:
        copy_of = bytearray(data)
        for change in changes:
            change(copy_of)
        return fix_checksum(copy_of) if checksum else bytes(copy_of)

    return st.lists(edits(data), min_size=1, max_size=4).map(apply)
