"""From the bytes of a `.bifast` file to its contents. The bytes are hostile until proved otherwise."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bifast.errors import FormatError, UnsupportedError
from bifast.format import layout
from bifast.format.checks import check, require
from bifast.format.records import Buffer, Contents, FrontendParams, Level, Op, Tensor
from bifast.word import Word


@dataclass(frozen=True)
class Section:
    """One entry of the section table with its payload."""

    kind: bytes
    count: int
    offset: int
    payload: bytes

    @property
    def title(self) -> str:
        """The kind as text for messages."""
        return self.kind.decode("ascii").strip()


def decode(data: bytes) -> Contents:
    """Read a file and check everything that docs/format.md says.

    Raises
    ------
    FormatError
        If the bytes break a rule.
    UnsupportedError
        If the file is of a newer version.
    """
    sections = decode_sections(data, check_header(data))
    front, words, cascade = (sections.get(kind) for kind in layout.OPTIONAL_SECTIONS)
    contents = Contents(
        frontend=None if front is None else decode_frontend(front),
        labels=decode_names(sections[b"LABL"]),
        depths=decode_names(sections[b"DPTH"]),
        buffers=tuple(decode_buffers(sections[b"BUFF"])),
        tensors=decode_tensors(sections[b"TENS"], sections[b"DATA"].payload),
        ops=tuple(decode_ops(sections[b"OPS "])),
        card=decode_card(sections[b"META"]),
        words=() if words is None else tuple(decode_words(words)),
        cascade=() if cascade is None else tuple(decode_cascade(cascade)),
    )
    check(contents)
    return contents


def check_header(data: bytes) -> int:
    """Check the header and the checksum; return the number of sections."""
    size = layout.HEADER.size
    require(len(data) >= size, f"file: expected at least {size} bytes, got {len(data)}")
    require(
        len(data) <= layout.MAX_FILE_BYTES,
        f"file: expected at most {layout.MAX_FILE_BYTES} bytes, got {len(data)}",
    )
    magic, version, crc, file_bytes, n_sections, reserved = layout.HEADER.unpack_from(data)
    require(magic == layout.MAGIC, f"magic: expected {layout.MAGIC!r}, got {magic!r}")
    if version > layout.VERSION:
        raise UnsupportedError(
            f"version: this reader knows {layout.VERSION}, the file has {version}; update bifast"
        )
    require(version == layout.VERSION, f"version: expected {layout.VERSION}, got {version}")
    require(file_bytes == len(data), f"file_bytes: expected {len(data)}, got {file_bytes}")
    actual = zlib.crc32(memoryview(data)[layout.CRC_START :])
    require(crc == actual, f"crc32: expected {actual:#010x} for these bytes, got {crc:#010x}")
    require(not any(reserved), "header: the reserved bytes must be zero")
    return int(n_sections)


def decode_sections(data: bytes, n_sections: int) -> dict[bytes, Section]:
    """Read the section table; check that sections are known, whole, apart, and padded with zeros."""
    most = len(layout.SECTIONS)
    require(n_sections <= most, f"n_sections: expected at most {most}, got {n_sections}")
    table_end = layout.HEADER.size + n_sections * layout.SECTION.size
    require(table_end <= len(data), f"section table: ends at {table_end}, the file at {len(data)}")
    sections: dict[bytes, Section] = {}
    for index in range(n_sections):
        entry = decode_section(data, layout.HEADER.size + index * layout.SECTION.size)
        require(entry.kind not in sections, f"section {entry.title}: expected once, got twice")
        sections[entry.kind] = entry
    for kind in layout.SECTIONS:
        require(kind in sections or kind in layout.OPTIONAL_SECTIONS, f"section {kind!r}: missing")
    end = table_end
    for entry in sorted(sections.values(), key=lambda entry: (entry.offset, len(entry.payload))):
        require(
            entry.offset >= end,
            f"section {entry.title}: expected to start at {end} or later, got {entry.offset}",
        )
        require(
            is_zero(data, end, entry.offset),
            f"section {entry.title}: the bytes before it must be zero",
        )
        end = entry.offset + len(entry.payload)
    require(is_zero(data, end, len(data)), "file: bytes after the last section must be zero")
    return sections


def is_zero(data: bytes, start: int, stop: int) -> bool:
    """Whether the bytes start .. stop - 1 are zero."""
    return data.count(0, start, stop) == stop - start


def decode_section(data: bytes, at: int) -> Section:
    """Read one entry of the section table."""
    kind, count, offset, n_bytes, reserved = layout.SECTION.unpack_from(data, at)
    require(kind in layout.SECTIONS, f"section: expected one of {layout.SECTIONS}, got {kind!r}")
    entry = Section(kind, count, offset, data[offset : offset + n_bytes])
    require(reserved == 0, f"section {entry.title}: the reserved field must be zero")
    require(offset % layout.ALIGNMENT == 0, f"section {entry.title}: offset {offset} not aligned")
    require(
        offset + n_bytes <= len(data),
        f"section {entry.title}: ends at {offset + n_bytes}, the file at {len(data)}",
    )
    single = kind in layout.SINGLE_SECTIONS
    require(not single or count == 1, f"section {entry.title}: expected count 1, got {count}")
    return entry


def decode_records(section: Section, record: struct.Struct) -> Iterator[tuple[Any, ...]]:
    """Yield the records of a section of fixed-size records."""
    require(
        section.count <= layout.MAX_RECORDS,
        f"{section.title}: expected at most {layout.MAX_RECORDS} records, got {section.count}",
    )
    expected = section.count * record.size
    require(
        len(section.payload) == expected,
        f"{section.title}: expected {expected} bytes for {section.count} records, "
        f"got {len(section.payload)}",
    )
    return record.iter_unpack(section.payload)


def decode_frontend(section: Section) -> FrontendParams:
    """Read the FRNT record."""
    (record,) = decode_records(section, layout.FRONTEND)
    sample_rate, window, n_fft, win_length, hop, n_mels, center, reserved, *floats = record
    require(center in (0, 1), f"front-end: expected center 0 or 1, got {center}")
    require(reserved == 0, "front-end: the reserved field must be zero")
    return FrontendParams(sample_rate, window, n_fft, win_length, hop, n_mels, center == 1, *floats)


def decode_words(section: Section) -> Iterator[Word | None]:
    """Read the WORD records."""
    require(section.count > 0, "WORD: expected a record for each label, got none")
    for threshold, smoothing, refractory, reserved in decode_records(section, layout.WORD):
        require(not any(reserved), "WORD: the reserved field must be zero")
        if threshold == 0:
            require(smoothing == 0 == refractory, "WORD: what is no word must be zero")
        yield Word(threshold, smoothing, refractory) if threshold != 0 else None


def decode_cascade(section: Section) -> Iterator[Level | None]:
    """Read the CASC records."""
    require(section.count > 0, "CASC: expected a record for each depth, got none")
    for used, word, other, reserved in decode_records(section, layout.LEVEL):
        require(used in (0, 1) and reserved == 0, f"CASC: expected 0 or 1 and 0, got {used}")
        if not used:
            require(word == 0 == other, "CASC: a depth that is left out must be zero")
        yield Level(word, other) if used else None


def decode_names(section: Section) -> tuple[str, ...]:
    """Read NUL-terminated UTF-8 strings."""
    pieces = section.payload.split(b"\0")
    require(
        pieces[-1] == b"" and len(pieces) - 1 == section.count,
        f"{section.title}: expected {section.count} NUL-terminated names, got {len(pieces) - 1}",
    )
    try:
        return tuple(piece.decode() for piece in pieces[:-1])
    except UnicodeDecodeError as error:
        raise FormatError(f"{section.title}: expected UTF-8 names: {error}") from error


def decode_card(section: Section) -> dict[str, Any]:
    """Read the card."""
    require(
        len(section.payload) <= layout.MAX_CARD_BYTES,
        f"META: expected at most {layout.MAX_CARD_BYTES} bytes, got {len(section.payload)}",
    )
    try:
        card = json.loads(section.payload.decode())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"META: expected UTF-8 JSON: {error}") from error
    require(isinstance(card, dict), f"META: expected a JSON object, got {type(card).__name__}")
    return dict(card)


def decode_buffers(section: Section) -> Iterator[Buffer]:
    """Read the BUFF records."""
    for number, height, width, channels in decode_records(section, layout.BUFFER):
        require(
            number < len(layout.BUFFER_TYPES),
            f"buffer: expected type below {len(layout.BUFFER_TYPES)}, got {number}",
        )
        yield Buffer(layout.BUFFER_TYPES[number], height, width, channels)


def decode_tensors(section: Section, data: bytes) -> tuple[Tensor, ...]:
    """Read the TENS records and their elements; check that they lie in DATA and apart."""
    tensors = []
    spans = []
    for index, record in enumerate(decode_records(section, layout.TENSOR)):
        number, rows, cols, reserved, offset, n_bytes = record
        known = len(layout.TENSOR_DTYPES)
        require(number < known, f"tensor {index}: expected dtype below {known}, got {number}")
        dtype = layout.TENSOR_DTYPES[number]
        expected = rows * layout.row_bytes(dtype, cols)
        require(reserved == 0, f"tensor {index}: the reserved field must be zero")
        require(n_bytes == expected, f"tensor {index}: expected {expected} bytes, got {n_bytes}")
        require(
            offset % layout.TENSOR_ALIGNMENT == 0 and offset + n_bytes <= len(data),
            f"tensor {index}: offset {offset} is not aligned or outside DATA",
        )
        require(
            all(1 <= size <= layout.MAX_FILE_BYTES for size in (rows, cols)),
            f"tensor {index}: expected 1 .. {layout.MAX_FILE_BYTES} rows and columns, "
            f"got {rows} x {cols}",
        )
        tensors.append(decode_tensor(index, dtype, (rows, cols), data[offset : offset + n_bytes]))
        spans.append((offset, n_bytes))
    end = 0
    for offset, n_bytes in sorted(spans):
        require(offset >= end, f"tensors: one at {offset} overlaps one that ends at {end}")
        require(is_zero(data, end, offset), f"DATA: the bytes {end} .. {offset} must be zero")
        end = offset + n_bytes
    require(is_zero(data, end, len(data)), "DATA: bytes after the last tensor must be zero")
    return tuple(tensors)


def decode_tensor(index: int, dtype: str, shape: tuple[int, int], data: bytes) -> Tensor:
    """Turn a tensor's bytes into an array; bits are unpacked to 0 and 1."""
    if dtype != "bits":
        return Tensor(dtype, np.frombuffer(data, layout.ARRAY_DTYPES[dtype]).reshape(shape))
    rows = np.frombuffer(data, np.uint8).reshape(shape[0], -1)
    bits = np.unpackbits(rows, axis=1, bitorder="little")
    require(not bits[:, shape[1] :].any(), f"tensor {index}: the padding bits must be zero")
    return Tensor(dtype, bits[:, : shape[1]])


def decode_ops(section: Section) -> Iterator[Op]:
    """Read the OPS records."""
    codes = {kind.number: code for code, kind in layout.OP_KINDS.items()}
    for raw_name, number, depth_mask, source, *words in decode_records(section, layout.OP):
        name = raw_name.rstrip(b"\0").decode("latin-1")
        if number not in codes:
            raise UnsupportedError(
                f"operation {name!r}: code {number} is unknown to this bifast; update bifast"
            )
        require(
            not any(words[-layout.OP_RESERVED_WORDS :]),
            f"operation {name!r}: the reserved fields must be zero",
        )
        references = [None if word == layout.NONE else word for word in words]
        yield Op(
            name=name,
            code=codes[number],
            depth_mask=depth_mask,
            input=source,
            residual=references[0],
            out_f32=references[1],
            out_bits=references[2],
            kernel=(words[3], words[4]),
            stride=(words[5], words[6]),
            pad=(words[7], words[8]),
            dilation=(words[9], words[10]),
            weights=references[11],
            scale=references[12],
            shift=references[13],
            slope=references[14],
            threshold=references[15],
            flip=references[16],
            plane_scale=words[17],
            fill=words[18],
        )
