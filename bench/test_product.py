"""The 1-bit product with thresholds at the shapes of the shipped nets, against the usual ways.

All sides take packed bits and leave packed bits, but for bnn-lab, which leaves float sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import textbook

from bifast import _core, one_layer
from bifast.format import Buffer, ModelFile, Op, Tensor

Array = np.ndarray[Any, np.dtype[Any]]
SHAPES = [(8, n, k) for n in (128, 256) for k in (128, 256)]
TIMES = 256


def words(bits: Array) -> Array:
    """[rows, K] of 0 and 1 -> [rows, K / 64] uint64."""
    return np.packbits(bits, axis=1, bitorder="little").view("<u8")


@dataclass(frozen=True)
class Case:
    """Random bits of one shape, and what comes out."""

    a: Array  # [M, K]
    w: Array  # [N, K]
    limit: Array  # [N]: an output is 1 where at most so many bits differ

    @property
    def counts(self) -> Array:
        return (self.a[:, None, :] != self.w).sum(2)

    @property
    def expected(self) -> Array:
        return words((self.counts <= self.limit).astype(np.uint8))


@cache
def case(m: int, n: int, k: int) -> Case:
    random = np.random.default_rng(0)
    a, w = (random.integers(0, 2, (rows, k), np.uint8) for rows in (m, n))
    return Case(a, w, random.integers(k // 2 - 8, k // 2 + 8, n).astype(np.uint16))


def model_of(given: Case, times: int) -> bytes:
    """A model whose every layer is that product, of the same input."""
    (m, k), n = given.a.shape, len(given.w)
    buffers = [Buffer("bits", m, 1, k), Buffer("bits", m, 1, n)]
    limit = k - 2 * given.limit.astype(np.int32)  # on the sum of K products of +-1
    tensors = [
        Tensor("bits", given.w),
        Tensor("i16", limit[None]),
        Tensor("bits", np.zeros((1, n), np.uint8)),
    ]
    op = Op(
        "product", "binary_conv2d", 1, 0, out_bits=1, kernel=(1, 1), stride=(1, 1), dilation=(1, 1),
        weights=0, threshold=1, flip=2,
    )  # fmt: skip
    model = ModelFile(None, ["c0"], ["full"], buffers, tensors, [op], {})
    return one_layer.repeated(one_layer.Layer(model, op), times)


def group(benchmark: Any, shape: tuple[int, int, int], who: str) -> None:
    m, n, k = shape
    benchmark.group = f"product {m} x {n} x {k}"
    benchmark.extra_info.update(who=who, calls=TIMES, macs=m * n * k)
    benchmark.extra_info.update(bytes=(m * k + n * k + m * n) // 8)


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bifast(benchmark, shape, isa):
    given = case(*shape)
    features = (2.0 * given.a - 1).astype(np.float32)[:, None, :]
    _, layers = _core.Model(model_of(given, 1), isa).trace(features, 0)
    bits = next(array for name, _, array in layers if name == "layer0")
    assert np.array_equal(words(bits[:, 0]), given.expected)
    model = _core.Model(model_of(given, TIMES), isa)
    group(benchmark, shape, f"bifast {isa}")
    benchmark(model.run_features, features[None], 0, 1)


@pytest.mark.parametrize("name", ["pshufb", "pshufb4", "popcnt"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_textbook(benchmark, shape, name):
    if not textbook.known(f"product_{name}"):
        pytest.skip(f"no {name} on this CPU")
    given = case(*shape)
    call = textbook.product(name, words(given.a), words(given.w), given.limit, TIMES)
    assert np.array_equal(call(), given.expected)
    group(benchmark, shape, f"xor + {name}")
    benchmark(call)


@pytest.mark.parametrize("isa", ["avx512", "avx2"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bnn_lab(benchmark, shape, isa):
    given = case(*shape)
    call = textbook.bnn_lab(isa, words(given.a), words(given.w), TIMES)
    if call is None:
        pytest.skip("bnn-lab is not installed, or not for this CPU")
    assert np.array_equal(call(), shape[2] - 2 * given.counts)
    group(benchmark, shape, f"bnn-lab {isa}")
    benchmark(call)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numpy(benchmark, shape):
    """The same product of +-1 as float32."""
    given = case(*shape)
    a, w = (2 * bits.astype(np.float32) - 1 for bits in (given.a, given.w.T))
    sums = np.empty((len(a), w.shape[1]), np.float32)
    assert np.array_equal(np.matmul(a, w, out=sums), shape[2] - 2 * given.counts)
    group(benchmark, shape, "NumPy FP32")
    benchmark.extra_info.update(calls=1, bytes=0)
    benchmark(np.matmul, a, w, out=sums)


@pytest.mark.parametrize("name", textbook.ceilings())
def test_ceiling(benchmark, name):
    steps = 2000
    bits = textbook.ceiling(name, steps)
    benchmark.group = "ceiling"
    benchmark.extra_info.update(who=name, macs=bits)
    benchmark(textbook.ceiling, name, steps)


def test_read(benchmark):
    """Reading what fits the second-level cache and not the first."""
    if not textbook.known("read_avx2"):
        pytest.skip("no AVX2 on this CPU")
    data = np.zeros(1 << 18, np.uint8)
    benchmark.group = "ceiling"
    benchmark.extra_info.update(who="read", bytes=data.size, calls=TIMES)
    benchmark(textbook.read, data, TIMES)
