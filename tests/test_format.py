"""The .bifast writer and reader: round trips, atomic writing, and each rule of docs/format.md."""

from __future__ import annotations

import errno
import math
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_factory import SMALL_FRONTEND, bifsmn, layer_model, random_net, tuned

from bifast import FormatError, UnsupportedError, Word, _core
from bifast.atomic import write_atomic
from bifast.format import FRONTEND_PAPER, Buffer, Level, ModelFile, Op, Tensor

MODEL = random_net(3, frontend=SMALL_FRONTEND)
DATA = MODEL.to_bytes()


def refused(data: bytes, error: type[Exception] = FormatError) -> str:
    """Check that both readers refuse; return the Python reader's text."""
    with pytest.raises(error):
        _core.Model(data, None)
    with pytest.raises(error) as caught:
        ModelFile.from_bytes(data)
    return str(caught.value)


def with_crc(data: bytes) -> bytes:
    return data[:12] + struct.pack("<I", zlib.crc32(data[16:])) + data[16:]


def patched(offset: int, fields: str, *values: Any) -> bytes:
    """Return DATA with fields overwritten and the checksum made right."""
    data = bytearray(DATA)
    struct.pack_into("<" + fields, data, offset, *values)
    return with_crc(bytes(data))


def section(kind: bytes) -> tuple[int, int, int]:
    """Position of a section's table entry, its offset and its size in DATA."""
    return section_in(DATA, kind)


def section_in(data: bytes, kind: bytes) -> tuple[int, int, int]:
    (n_sections,) = struct.unpack_from("<I", data, 24)
    for at in range(64, 64 + n_sections * 32, 32):
        name, _, offset, size, _ = struct.unpack_from("<4sIQQQ", data, at)
        if name == kind:
            return at, offset, size
    raise KeyError(kind)


@pytest.mark.parametrize(
    "model",
    [MODEL, random_net(1), bifsmn(), tuned(bifsmn())],
    ids=["small", "bare", "bifsmn", "tuned"],
)
def test_round_trip_keeps_everything(model: ModelFile) -> None:
    again = ModelFile.from_bytes(model.to_bytes())
    assert again == model
    assert again.to_bytes() == model.to_bytes()


def test_engine_reads_labels_depths_card_and_front_end() -> None:
    model = _core.Model(DATA, None)
    assert tuple(model.labels) == MODEL.labels
    assert tuple(model.depths) == MODEL.depths
    assert model.sample_rate == SMALL_FRONTEND.sample_rate
    assert model.window_samples == SMALL_FRONTEND.window_samples
    assert model.hop_samples == SMALL_FRONTEND.hop
    assert model.input_shape == MODEL.buffers[0].shape


def test_names_and_card_hold_any_unicode() -> None:
    model = layer_model("elementwise", shape=(2, 2, 1), channels=1)
    labels = ("ja", "\u043d\u0435\u0442", "\u4e0d", "\U0001f600", "a b")
    model = replace(model, labels=labels, card={"name": "\u00e9\U0001f600", "seed": 1})
    engine = _core.Model(model.to_bytes(), None)
    assert tuple(engine.labels) == labels
    assert ModelFile.from_bytes(model.to_bytes()).card["name"] == "\u00e9\U0001f600"
    assert "\u00e9\U0001f600" in engine.card


def test_papers_front_end_has_32_frames() -> None:
    assert FRONTEND_PAPER.n_frames == 32
    assert replace(FRONTEND_PAPER, center=False).n_frames == 28


def test_every_section_is_aligned() -> None:
    for kind in (b"FRNT", b"LABL", b"DPTH", b"BUFF", b"TENS", b"OPS ", b"DATA", b"META"):
        assert section(kind)[1] % 64 == 0


def test_bifsmn_is_over_15_times_smaller_than_its_float_twin() -> None:
    # 606,431 parameters of the thinnable net and its batch-norm statistics, 4 bytes each.
    assert 4 * 606_431 / len(bifsmn().to_bytes()) > 15


def test_save_is_atomic_and_leaves_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "model.bifast"
    MODEL.save(path)
    assert ModelFile.load(path) == MODEL
    bad = replace(MODEL, labels=())
    with pytest.raises(FormatError):
        bad.save(path)
    assert ModelFile.load(path) == MODEL
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.bifast"]


def test_save_removes_its_temporary_file_when_renaming_fails(tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(OSError, match=r"."):
        MODEL.save(target)
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.bifast"

    def fill(beside: Path) -> None:
        beside.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left on device") as found:
        write_atomic(path, fill)
    assert (found.value.errno, found.value.filename) == (errno.ENOSPC, str(path))
    with pytest.raises(FileNotFoundError) as missing:
        MODEL.save(tmp_path / "nowhere" / "x.bifast")
    assert missing.value.filename == str(tmp_path / "nowhere" / "x.bifast")
    assert not list(tmp_path.iterdir())


def test_save_takes_no_pipes_or_devices_place(tmp_path: Path) -> None:
    target = tmp_path / "pipe"
    os.mkfifo(target)
    with pytest.raises(OSError, match=r"a device or a pipe: .*pipe"):
        MODEL.save(target)
    assert target.is_fifo()


def test_load_of_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ModelFile.load(tmp_path / "none.bifast")


# ---- the file's structure ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 7, 8, 16, 63, 64, 100, len(DATA) - 1])
def test_truncated_file_is_refused(size: int) -> None:
    refused(DATA[:size])


def test_appended_bytes_are_refused() -> None:
    refused(DATA + b"\0")
    refused(with_crc(DATA + bytes(64)))


def test_wrong_magic_is_refused_by_name() -> None:
    assert "magic" in refused(b"GGUF" + DATA[4:])


def test_newer_version_is_unsupported_even_with_another_checksum() -> None:
    newer = DATA[:8] + struct.pack("<I", 2) + DATA[12:-1] + b"\xff"
    assert "update bifast" in refused(newer, UnsupportedError)


def test_version_zero_is_refused() -> None:
    refused(patched(8, "I", 0))


@pytest.mark.parametrize("at", range(0, len(DATA), 97))
def test_flipped_bit_is_refused(at: int) -> None:
    data = bytearray(DATA)
    data[at] ^= 1 << at % 8
    with pytest.raises((FormatError, UnsupportedError)):
        ModelFile.from_bytes(bytes(data))
    with pytest.raises((FormatError, UnsupportedError)):
        _core.Model(bytes(data), None)


def test_unknown_operation_is_unsupported() -> None:
    refused(patched(section(b"OPS ")[1] + 32, "I", 99), UnsupportedError)


HEADER_AND_TABLE = {
    "reserved header byte": (28, "B", 1),
    "file_bytes": (16, "Q", len(DATA) + 1),
    "huge file_bytes": (16, "Q", 2**64 - 1),
    "no sections": (24, "I", 0),
    "one section less": (24, "I", 7),
    "nine sections": (24, "I", 9),
    "2^32 - 1 sections": (24, "I", 2**32 - 1),
    "unknown section": (section(b"META")[0], "4s", b"JUNK"),
    "section twice": (section(b"META")[0], "4s", b"LABL"),
    "FRNT twice records": (section(b"FRNT")[0] + 4, "I", 2),
    "section not aligned": (section(b"OPS ")[0] + 8, "Q", section(b"OPS ")[1] + 8),
    "section in the table": (section(b"OPS ")[0] + 8, "Q", 64),
    "section past the end": (section(b"DATA")[0] + 8, "Q", (len(DATA) + 63) // 64 * 64),
    "section far past the end": (section(b"DATA")[0] + 8, "Q", 2**64 - 64),
    "section too long": (section(b"META")[0] + 16, "Q", 2**64 - 1),
    "two sections in one place": (section(b"DPTH")[0] + 8, "Q", section(b"LABL")[1]),
    "reserved section field": (section(b"DATA")[0] + 24, "Q", 1),
    "too many operations": (section(b"OPS ")[0] + 4, "I", 4097),
    "names that do not end": (section(b"LABL")[0] + 4, "I", 10**6),
    "label not UTF-8": (section(b"LABL")[1], "B", 0xFF),
    "empty label": (section(b"LABL")[1], "B", 0),
    "front-end reserved": (section(b"FRNT")[1] + 28, "I", 1),
    "front-end center": (section(b"FRNT")[1] + 24, "I", 2),
    "front-end hop": (section(b"FRNT")[1] + 16, "I", 0),
    "front-end hop changes frames": (section(b"FRNT")[1] + 16, "I", 70),
    "front-end f_max": (section(b"FRNT")[1] + 40, "d", math.nan),
    "buffer type": (section(b"BUFF")[1] + 16, "I", 2),
    "buffer height": (section(b"BUFF")[1] + 20, "I", 0),
    "buffer width": (section(b"BUFF")[1] + 24, "I", 65536),
    "tensor dtype": (section(b"TENS")[1], "I", 5),
    "tensor rows": (section(b"TENS")[1] + 4, "I", 0),
    "tensor reserved": (section(b"TENS")[1] + 12, "I", 1),
    "tensor not aligned": (section(b"TENS")[1] + 16, "Q", 4),
    "tensor far away": (section(b"TENS")[1] + 16, "Q", 2**63),
    "tensor too long": (section(b"TENS")[1] + 24, "Q", 2**32),
    "two tensors in one place": (section(b"TENS")[1] + 32 + 16, "Q", 0),
    "tensor not finite": (section(b"DATA")[1], "I", 0x7FC00000),
    "operation name": (section(b"OPS ")[1], "32s", b"x" * 32),
    "operation without a name": (section(b"OPS ")[1], "32s", b""),
    "operation name not ASCII": (section(b"OPS ")[1], "32s", b"\xc3\xa9"),
    "operation name goes on after NUL": (section(b"OPS ")[1], "32s", b"a\0b"),
    "operation without depths": (section(b"OPS ")[1] + 36, "I", 0),
    "operation at a depth too many": (section(b"OPS ")[1] + 36, "I", 15),
    "operation reserved": (section(b"OPS ")[1] + 124, "I", 1),
    "operation reads no buffer": (section(b"OPS ")[1] + 40, "I", 2**32 - 1),
    "operation reads buffer 4096": (section(b"OPS ")[1] + 40, "I", 4096),
    "card not UTF-8": (section(b"META")[1] + 2, "B", 0xFF),
    "card with NUL": (section(b"META")[1] + 2, "B", 0),
}


@pytest.mark.parametrize("what", HEADER_AND_TABLE)
def test_wrong_field_is_refused(what: str) -> None:
    offset, fields, value = HEADER_AND_TABLE[what]
    refused(patched(offset, fields, value))


def test_bytes_between_sections_must_be_zero() -> None:
    _, offset, size = section(b"LABL")
    assert (offset + size) % 64
    refused(patched(offset + size, "B", 1))


# ---- words and cascade ---------------------------------------------------------------------------------

TUNED = tuned(MODEL)
LEVEL = Level(1.0, 0.5)


def test_engine_reads_words() -> None:
    found = {label: Word(*word) for label, word in _core.Model(TUNED.to_bytes(), None).words}
    assert found == {
        label: word for label, word in zip(TUNED.labels, TUNED.words, strict=True) if word
    }
    assert not _core.Model(DATA, None).words


@pytest.mark.parametrize(
    "changes",
    [
        {"words": TUNED.words[1:]},
        {"words": [Word(1.5), *TUNED.words[1:]]},
        {"words": [Word(smoothing=math.nan), *TUNED.words[1:]]},
        {"words": [Word(refractory=3601.0), *TUNED.words[1:]]},
        {"cascade": TUNED.cascade[1:]},
        {"cascade": [None, LEVEL, LEVEL]},
        {"cascade": [LEVEL, LEVEL, LEVEL]},
        {"cascade": [Level(0.0, 0.0), Level(-1.0, 0.0), LEVEL]},
        {"cascade": [Level(0.0, 0.0), Level(0.1, 0.0), LEVEL]},
        {"cascade": [Level(0.0, 0.0), Level(math.inf, 0.0), LEVEL]},
    ],
    ids=str,
)
def test_writer_refuses_wrong_words_and_cascades(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match=r"words|cascade"):
        replace(MODEL, **changes).to_bytes()


WORD_AND_CASCADE: dict[str, tuple[bytes, int, str, Any]] = {
    "threshold above 1": (b"WORD", 32, "d", 1.01),
    "threshold below 0": (b"WORD", 32, "d", -0.5),
    "threshold not a number": (b"WORD", 32, "d", math.nan),
    "smoothing below 0": (b"WORD", 40, "d", -1.0),
    "refractory infinite": (b"WORD", 48, "d", math.inf),
    "reserved": (b"WORD", 56, "Q", 1),
    "smoothing of what is no word": (b"WORD", 8, "d", 1.0),
    "used 2": (b"CASC", 32, "I", 2),
    "the deepest left out": (b"CASC", 0, "I", 0),
    "the deepest with a margin": (b"CASC", 4, "f", 1.0),
    "margin below 0": (b"CASC", 36, "f", -1.0),
    "margin not a number": (b"CASC", 40, "f", math.nan),
    "margin infinite": (b"CASC", 40, "f", math.inf),
    "margin of a depth that is left out": (b"CASC", 24, "f", 1.0),
    "reserved of a level": (b"CASC", 44, "I", 1),
}


@pytest.mark.parametrize("what", WORD_AND_CASCADE)
def test_wrong_words_and_cascades_are_refused(what: str) -> None:
    kind, at, field, value = WORD_AND_CASCADE[what]
    data = bytearray(TUNED.to_bytes())
    struct.pack_into("<" + field, data, section_in(bytes(data), kind)[1] + at, value)
    refused(with_crc(bytes(data)))


@pytest.mark.parametrize("kind", [b"WORD", b"CASC"])
def test_words_and_cascade_have_a_record_each(kind: bytes) -> None:
    data = bytearray(TUNED.to_bytes())
    at, _, size = section_in(bytes(data), kind)
    record = {b"WORD": 32, b"CASC": 16}[kind]
    struct.pack_into("<I", data, at + 4, size // record - 1)
    refused(with_crc(bytes(data)))


# ---- what operations may say ---------------------------------------------------------------------------

CONV = layer_model("conv2d", shape=(4, 3, 2), channels=3, kernel=(3, 2), pad=(1, 0), residual=False)
BINARY = layer_model("binary_conv2d", shape=(4, 3, 2), channels=3, kernel=(3, 2), stage="threshold")
MEMORY = layer_model("binary_memory", shape=(4, 1, 5), channels=5, kernel=(3, 1), pad=(1, 0))
PLAIN = layer_model("elementwise", shape=(4, 3, 2), channels=2)
POOL = layer_model("average_pool", shape=(4, 3, 2), channels=2)
WINDOW = layer_model("average_pool", shape=(4, 3, 2), channels=2, kernel=(2, 2))
LARGEST = layer_model("max_pool", shape=(4, 3, 2), channels=2, kernel=(2, 2), pad=(1, 1))
BYTES = layer_model("byte_conv2d", shape=(4, 3, 2), channels=3, kernel=(2, 2))
EVERY = layer_model("subsample", shape=(4, 3, 2), channels=5, stride=(2, 2))


def layer_of(model: ModelFile) -> Op:
    return next(op for op in model.ops if op.name == "layer")


def unchecked(model: ModelFile, change: Callable[[Op], Op]) -> bytes:
    """Return the bytes of a model with its layer changed, past the writer's checks."""
    from bifast.format import writer

    ops = tuple(change(op) if op.name == "layer" else op for op in model.ops)
    keep, writer.check = writer.check, lambda contents: None
    try:
        return replace(model, ops=ops).to_bytes()
    finally:
        writer.check = keep


def index_of(model: ModelFile, kind: str) -> int:
    """Return a buffer of the other type than the layer needs, or of another shape."""
    return next(i for i, buffer in enumerate(model.buffers) if buffer.type == kind)


WRONG_OPS: dict[str, tuple[ModelFile, dict[str, Any]]] = {
    "kernel 0": (CONV, {"kernel": (0, 2)}),
    "stride 0": (CONV, {"stride": (1, 0)}),
    "dilation 0": (CONV, {"dilation": (0, 1)}),
    "pad 65536": (CONV, {"pad": (65536, 0)}),
    "kernel 256": (CONV, {"kernel": (256, 1)}),
    "kernel 2^31": (CONV, {"kernel": (2**31, 2)}),
    "kernel that the weights do not have": (CONV, {"kernel": (2, 2)}),
    "no weights": (CONV, {"weights": None}),
    "weights of another layer": (CONV, {"weights": layer_of(CONV).scale}),
    "float layer on bits": (CONV, {"input": layer_of(CONV).out_bits}),
    "no output": (CONV, {"out_f32": None, "out_bits": None}),
    "float output in bits": (CONV, {"out_f32": layer_of(CONV).out_bits}),
    "bits output in floats": (CONV, {"out_bits": layer_of(CONV).out_f32}),
    "scale without shift": (CONV, {"shift": None}),
    "shift without scale": (CONV, {"scale": None}),
    "slope of bits": (BINARY, {"threshold": None, "flip": None, "slope": layer_of(BINARY).flip}),
    "threshold on floats": (PLAIN, {"threshold": 0, "flip": 0}),
    "threshold without flip": (BINARY, {"flip": None}),
    "flip without threshold": (BINARY, {"threshold": None}),
    "threshold with a residual": (BINARY, {"residual": 0}),
    "threshold with floats": (BINARY, {"out_f32": len(BINARY.buffers) - 1}),
    "residual of another shape": (CONV, {"residual": 0}),
    "binary layer on floats": (BINARY, {"input": 0}),
    "binary layer writes its input": (MEMORY, {"out_bits": layer_of(MEMORY).input}),
    "memory with stride": (MEMORY, {"stride": (2, 1)}),
    "memory with a wide kernel": (MEMORY, {"kernel": (3, 2)}),
    "memory padded in width": (MEMORY, {"pad": (1, 1)}),
    "elementwise with weights": (PLAIN, {"weights": layer_of(PLAIN).scale}),
    "elementwise with geometry": (PLAIN, {"kernel": (1, 1)}),
    "elementwise of another shape": (PLAIN, {"out_f32": len(PLAIN.buffers) - 1, "out_bits": None}),
    "pool with geometry": (POOL, {"stride": (1, 1)}),
    "pool with dilation": (POOL, {"dilation": (0, 1)}),
    "pool of another shape": (POOL, {"out_f32": len(POOL.buffers) - 1, "out_bits": None}),
    "pool with half a kernel": (POOL, {"kernel": (4, 0)}),
    "window without stride": (WINDOW, {"stride": (0, 1)}),
    "window with weights": (WINDOW, {"weights": layer_of(WINDOW).scale}),
    "window of another shape": (WINDOW, {"out_f32": len(WINDOW.buffers) - 1, "out_bits": None}),
    "window with flip": (WINDOW, {"flip": layer_of(WINDOW).scale}),
    "largest of nothing": (LARGEST, {"pad": (2, 1)}),
    "largest of nothing behind": (LARGEST, {"stride": (5, 1)}),
    "largest without kernel": (LARGEST, {"kernel": (0, 0)}),
    "subsample past the end": (EVERY, {"stride": (4, 2)}),
    "subsample without stride": (EVERY, {"stride": (0, 1)}),
    "subsample with a kernel": (EVERY, {"kernel": (1, 1)}),
    "subsample with padding": (EVERY, {"pad": (1, 0)}),
    "subsample to fewer channels": (EVERY, {"out_f32": 0, "out_bits": None, "stride": (1, 1)}),
    "bytes with dilation": (BYTES, {"dilation": (1, 2)}),
    "bytes with gaps": (BYTES, {"stride": (3, 1)}),
    "bytes with float weights": (BYTES, {"weights": layer_of(BYTES).scale}),
    "bytes with flip": (BYTES, {"flip": layer_of(BYTES).scale}),
    "bytes as a residual": (BYTES, {"residual": 0}),
    "bytes as an output": (BYTES, {"out_f32": 0, "out_bits": None}),
    "bytes of floats": (CONV, {"code": "byte_conv2d"}),
    "floats of bytes": (BYTES, {"code": "conv2d"}),
    "read before it is written": (PLAIN, {"input": layer_of(PLAIN).out_f32}),
}


@pytest.mark.parametrize("what", WRONG_OPS)
def test_wrong_operation_is_refused(what: str) -> None:
    model, fields = WRONG_OPS[what]
    refused(unchecked(model, lambda op: replace(op, **fields)))
    ops = [replace(op, **fields) if op.name == "layer" else op for op in model.ops]
    with pytest.raises(FormatError):
        replace(model, ops=ops).to_bytes()


@pytest.mark.parametrize("value", [-13, 14, 32767, -32768])
def test_threshold_beyond_k_plus_1_is_refused(value: int) -> None:
    at = layer_of(BINARY).threshold
    assert at is not None
    tensors = list(BINARY.tensors)
    tensors[at] = Tensor("i32", np.array([[0, value, 0]]))
    with pytest.raises(FormatError, match="threshold"):
        replace(BINARY, tensors=tensors).to_bytes()


def test_depth_that_writes_no_output_is_refused() -> None:
    ops = [replace(op, depth_mask=3) for op in PLAIN.ops]
    model = replace(PLAIN, depths=("a", "b"), ops=[*ops[:-1], replace(ops[-1], depth_mask=1)])
    with pytest.raises(FormatError, match="'b'"):
        model.to_bytes()


def test_more_work_than_the_limit_is_refused() -> None:
    wide = layer_model("conv2d", shape=(1024, 256, 1), channels=48, kernel=(65, 33), stage="bits")
    with pytest.raises(FormatError, match="multiply-adds"):
        wide.to_bytes()


def test_buffers_of_more_than_256_mib_are_refused() -> None:
    buffers = [*PLAIN.buffers[:-1], Buffer("f32", 65535, 65535, 1), PLAIN.buffers[-1]]
    ops = [*PLAIN.ops[:-1], replace(PLAIN.ops[-1], out_f32=len(buffers) - 1)]
    with pytest.raises(FormatError, match="bytes together"):
        replace(PLAIN, buffers=buffers, ops=ops).to_bytes()


def test_card_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(FormatError, match="card"):
        replace(MODEL, card={"x": object()}).to_bytes()
    with pytest.raises(FormatError, match="card"):
        replace(MODEL, card={"x": math.nan}).to_bytes()
    with pytest.raises(FormatError, match="card"):
        replace(MODEL, card={"x": "y" * (1 << 20)}).to_bytes()


@pytest.mark.parametrize(
    ("dtype", "array"),
    [
        ("f8", np.zeros((1, 1))),
        ("f32", np.zeros(3)),
        ("i16", np.array([[40000]])),
        ("i32", np.array([[0.5]])),
        ("bits", np.array([[2]])),
        ("bits", np.array([[-1]])),
    ],
)
def test_tensor_refuses_values_that_its_type_cannot_hold(dtype: str, array: Any) -> None:
    with pytest.raises(FormatError):
        Tensor(dtype, array)


def test_float_tensor_that_overflows_f16_is_refused() -> None:
    scale = layer_of(PLAIN).scale
    assert scale is not None
    tensors = list(PLAIN.tensors)
    tensors[scale] = Tensor("f16", np.array([[1e6, 1.0]]))
    with pytest.raises(FormatError, match="finite"):
        replace(PLAIN, tensors=tensors).to_bytes()
