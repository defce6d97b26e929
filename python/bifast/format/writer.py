"""From the contents of a model to the bytes of a `.bifast` file."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence

import numpy as np

from bifast.errors import FormatError
from bifast.format import layout
from bifast.format.checks import check
from bifast.format.records import Contents, FrontendParams, Level, Op, Tensor
from bifast.word import Word


def encode(contents: Contents) -> bytes:
    """Check the contents and write them as one file.

    Raises
    ------
    FormatError
        If the contents break a rule of docs/format.md.
    """
    check(contents)
    table, data = encode_tensors(contents.tensors)
    sections = [
        (b"LABL", len(contents.labels), encode_names(contents.labels)),
        (b"DPTH", len(contents.depths), encode_names(contents.depths)),
        (
            b"BUFF",
            len(contents.buffers),
            b"".join(
                layout.BUFFER.pack(layout.BUFFER_TYPES.index(buffer.type), *buffer.shape)
                for buffer in contents.buffers
            ),
        ),
        (b"TENS", len(contents.tensors), table),
        (b"OPS ", len(contents.ops), b"".join(encode_op(op) for op in contents.ops)),
        (b"DATA", 1, data),
        (b"META", 1, encode_card(contents.card)),
    ]
    if contents.cascade:
        cascade = b"".join(encode_level(level) for level in contents.cascade)
        sections.insert(2, (b"CASC", len(contents.cascade), cascade))
    if contents.words:
        words = b"".join(encode_word(word) for word in contents.words)
        sections.insert(2, (b"WORD", len(contents.words), words))
    if contents.frontend is not None:
        sections.insert(0, (b"FRNT", 1, encode_frontend(contents.frontend)))
    return encode_file(sections)


def encode_file(sections: Sequence[tuple[bytes, int, bytes]]) -> bytes:
    """Lay (kind, count, payload) sections out behind a header and their table."""
    offset = layout.HEADER.size + len(sections) * layout.SECTION.size
    table = b""
    body = b""
    for kind, count, payload in sections:
        padding = -(offset + len(body)) % layout.ALIGNMENT
        body += bytes(padding)
        table += layout.SECTION.pack(kind, count, offset + len(body), len(payload), 0)
        body += payload
    n_bytes = offset + len(body)
    if n_bytes > layout.MAX_FILE_BYTES:
        raise FormatError(f"file: expected at most {layout.MAX_FILE_BYTES} bytes, got {n_bytes}")
    header = layout.HEADER.pack(layout.MAGIC, layout.VERSION, 0, n_bytes, len(sections), bytes(36))
    return with_crc(header + table + body)


def with_crc(data: bytes) -> bytes:
    """Return the file with its CRC field set to what its bytes demand."""
    crc = zlib.crc32(data[layout.CRC_START :])
    return data[:12] + crc.to_bytes(4, "little") + data[layout.CRC_START :]


def encode_names(names: Sequence[str]) -> bytes:
    """Write NUL-terminated UTF-8 strings."""
    return b"".join(name.encode() + b"\0" for name in names)


def encode_card(card: dict[str, object]) -> bytes:
    """Write compact JSON; FormatError if the card cannot be written as such or is too long."""
    try:
        text = json.dumps(card, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise FormatError(f"card: expected values that JSON can hold: {error}") from error
    data = text.encode()
    if len(data) > layout.MAX_CARD_BYTES:
        raise FormatError(f"card: expected at most {layout.MAX_CARD_BYTES} bytes, got {len(data)}")
    return data


def encode_frontend(params: FrontendParams) -> bytes:
    """Pack the FRNT record."""
    return layout.FRONTEND.pack(
        params.sample_rate,
        params.window_samples,
        params.n_fft,
        params.win_length,
        params.hop,
        params.n_mels,
        int(params.center),
        0,
        params.f_min,
        params.f_max,
        params.power_divisor,
        params.floor,
    )


def encode_word(word: Word | None) -> bytes:
    """Pack one record of the WORD section."""
    return bytes(layout.WORD.size) if word is None else layout.WORD.pack(*word, bytes(8))


def encode_level(level: Level | None) -> bytes:
    """Pack one record of the CASC section."""
    if level is None:
        return bytes(layout.LEVEL.size)
    return layout.LEVEL.pack(1, level.word, level.other, 0)


def encode_tensors(tensors: Sequence[Tensor]) -> tuple[bytes, bytes]:
    """Return the TENS table and the DATA that it points into."""
    table = b""
    data = b""
    for tensor in tensors:
        data += bytes(-len(data) % layout.TENSOR_ALIGNMENT)
        payload = tensor_bytes(tensor)
        dtype = layout.TENSOR_DTYPES.index(tensor.dtype)
        table += layout.TENSOR.pack(dtype, tensor.rows, tensor.cols, 0, len(data), len(payload))
        data += payload
    return table, data


def tensor_bytes(tensor: Tensor) -> bytes:
    """Return a tensor's elements, bits packed little-endian in rows of whole 64-bit words."""
    if tensor.dtype != "bits":
        return tensor.array.tobytes()
    rows = np.zeros((tensor.rows, layout.row_bytes("bits", tensor.cols)), np.uint8)
    packed = np.packbits(tensor.array, axis=1, bitorder="little")
    rows[:, : packed.shape[1]] = packed
    return rows.tobytes()


def encode_op(op: Op) -> bytes:
    """Pack one record of the OPS section."""
    references = (op.residual, op.out_f32, op.out_bits)
    tensors = (op.weights, op.scale, op.shift, op.slope, op.threshold, op.flip)
    return layout.OP.pack(
        op.name.encode("ascii"),
        layout.OP_KINDS[op.code].number,
        op.depth_mask,
        op.input,
        *(layout.NONE if index is None else index for index in references),
        *op.kernel,
        *op.stride,
        *op.pad,
        *op.dilation,
        *(layout.NONE if index is None else index for index in tensors),
        op.plane_scale,
        op.fill,
        *(0,) * layout.OP_RESERVED_WORDS,
    )
