"""Golden files: a model, a sound, and what every layer must give (tests/golden/README.md)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from reference import LayerOutput, run
from reference_frontend import log_mel

from bifast.format import ModelFile

Array = npt.NDArray[Any]

MAGIC = b"BFGOLD1\n"
LAYER = struct.Struct("<32s6I")


@dataclass(frozen=True)
class Golden:
    """A golden file taken apart; `depths` holds for each depth the LAYR chunks and the logits."""

    model: bytes
    wave: Array | None  # int16 [S]
    features: Array  # float32, flat
    depths: list[tuple[list[bytes], Array]]


def chunk(tag: bytes, payload: bytes) -> bytes:
    return struct.pack("<4sI", tag, len(payload)) + payload


def canonical(output: LayerOutput) -> bytes:
    """Return an output's bytes: little-endian floats, bytes, or bits packed per position, first in bit 0."""
    if output.is_bits:
        return np.packbits(output.array, axis=2, bitorder="little").tobytes()
    if output.array.dtype == np.uint8:
        return output.array.tobytes()
    return output.array.astype("<f4").tobytes()


def layer_chunk(output: LayerOutput, *, store: bool) -> bytes:
    data = canonical(output)
    head = LAYER.pack(
        output.name.encode(),
        1 if output.is_bits else 2 if output.array.dtype == np.uint8 else 0,
        *output.array.shape,
        zlib.crc32(data),
        len(data) if store else 0,
    )
    return chunk(b"LAYR", head + (data if store else b""))


def encode(
    model: ModelFile, wave: Array | None, features: Array | None = None, *, store: bool
) -> bytes:
    """Run the oracle on a sound (int16) or on features, and write all that it gives."""
    if wave is not None:
        assert model.frontend is not None
        features = log_mel(model.frontend, wave)[:, :, None]
    assert features is not None
    parts = [MAGIC, chunk(b"MODL", model.to_bytes())]
    if wave is not None:
        parts.append(chunk(b"WAVE", wave.astype("<i2").tobytes()))
    parts.append(chunk(b"FEAT", features.astype("<f4").tobytes()))
    for depth in range(len(model.depths)):
        trace = run(model, features, depth)
        parts.append(chunk(b"DPTH", struct.pack("<I", depth)))
        parts.extend(layer_chunk(layer, store=store) for layer in trace.layers)
        parts.append(chunk(b"LOGT", trace.logits.astype("<f4").tobytes()))
    return b"".join(parts)


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    assert data[:8] == MAGIC
    at = 8
    while at < len(data):
        tag, size = struct.unpack_from("<4sI", data, at)
        yield tag, data[at + 8 : at + 8 + size]
        at += 8 + size


def decode(data: bytes) -> Golden:
    model, wave, features = b"", None, np.zeros(0, np.float32)
    depths: list[tuple[list[bytes], Array]] = []
    layers: list[bytes] = []
    for tag, payload in chunks(data):
        if tag == b"MODL":
            model = payload
        elif tag == b"WAVE":
            wave = np.frombuffer(payload, "<i2")
        elif tag == b"FEAT":
            features = np.frombuffer(payload, "<f4")
        elif tag == b"DPTH":
            layers = []
        elif tag == b"LAYR":
            layers.append(payload)
        else:
            depths.append((layers, np.frombuffer(payload, "<f4")))
    return Golden(model, wave, features, depths)
