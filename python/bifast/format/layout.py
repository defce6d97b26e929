"""Numbers and record layouts of docs/format.md."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

MAGIC = b"\x89BIFAST\n"
VERSION = 1
HEADER = struct.Struct("<8sIIQI36s")
SECTION = struct.Struct("<4sIQQQ")
CRC_START = 16
ALIGNMENT = 64
TENSOR_ALIGNMENT = 8
NONE = 0xFFFFFFFF

OPTIONAL_SECTIONS = (b"FRNT", b"WORD", b"CASC")
SECTIONS = (
    *(b"FRNT", b"LABL", b"DPTH", b"WORD", b"CASC"),
    *(b"BUFF", b"TENS", b"OPS ", b"DATA", b"META"),
)
# Sections that hold one record whatever their size.
SINGLE_SECTIONS = (b"FRNT", b"DATA", b"META")

FRONTEND = struct.Struct("<8I4d")
WORD = struct.Struct("<3d8s")
LEVEL = struct.Struct("<I2fI")
BUFFER = struct.Struct("<4I")
TENSOR = struct.Struct("<4IQQ")
OP = struct.Struct("<32s20If3I")
OP_RESERVED_WORDS = 2
OP_NAME_BYTES = 31

BUFFER_TYPES = ("f32", "bits", "bits2", "u8")
# Planes of bits of each type of buffer that holds bits.
PLANES = {"bits": 1, "bits2": 2}
FLOATS, BITS = ("f32",), tuple(PLANES)
TENSOR_DTYPES = ("f32", "f16", "i16", "i32", "bits", "i8")
ARRAY_DTYPES: dict[str, np.dtype[np.generic]] = {
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<f2"),
    "i16": np.dtype("<i2"),
    "i32": np.dtype("<i4"),
    "bits": np.dtype("u1"),
    "i8": np.dtype("i1"),
}

MAX_FILE_BYTES = 256 << 20
MAX_RECORDS = 4096
MAX_BUFFER_BYTES = 256 << 20
MAX_MULTIPLY_ADDS = 1 << 34
MAX_DIMENSION = 65535
MAX_KERNEL = 255
# Sets of existing taps (they differ at the borders) * taps * output channels.
MAX_BORDER_TAPS = 1 << 26
MAX_DEPTHS = 32
MAX_BINARY_K = 65535
MAX_FLOAT_K = 1 << 20
MAX_CARD_BYTES = 1 << 20


@dataclass(frozen=True)
class OpKind:
    """What one operation code reads: the types of its input, whether it has weights; and `out_f32`."""

    number: int
    reads: tuple[str, ...]
    has_weights: bool
    out_f32: str = "f32"

    @property
    def reads_bits(self) -> bool:
        """Whether its sums are integers of +-1 products."""
        return self.reads == BITS


OP_KINDS = {
    "conv2d": OpKind(1, reads=FLOATS, has_weights=True),
    "binary_conv2d": OpKind(2, reads=BITS, has_weights=True),
    "binary_memory": OpKind(3, reads=BITS, has_weights=True),
    "elementwise": OpKind(4, reads=FLOATS, has_weights=False),
    "average_pool": OpKind(5, reads=FLOATS, has_weights=False),
    "max_pool": OpKind(6, reads=FLOATS, has_weights=False),
    "subsample": OpKind(7, reads=FLOATS, has_weights=False),
    "byte_conv2d": OpKind(8, reads=("u8",), has_weights=True),
    "quantise": OpKind(9, reads=FLOATS, has_weights=False, out_f32="u8"),
}


def buffer_row_bytes(buffer_type: str, channels: int) -> int:
    """Bytes of one position (of one plane); bits are padded to 1, 2, 4, 8 or a multiple of 16."""
    if buffer_type == "f32":
        return 4 * channels
    if buffer_type == "u8":
        return channels
    packed = -(-channels // 8)
    return next((small for small in (1, 2, 4, 8) if packed <= small), -(-packed // 16) * 16)


def row_bytes(dtype: str, cols: int) -> int:
    """Bytes of one row of a tensor; rows of bits are padded to 64 bits."""
    if dtype == "bits":
        return 8 * -(-cols // 64)
    return cols * ARRAY_DTYPES[dtype].itemsize
