"""The compiled usual ways to a 1-bit product, and ceilings (textbook.cpp), called from Python."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
SOURCE = Path(__file__).with_name("textbook.cpp")
FLAGS = ["-std=c++20", "-O3", "-shared", "-fPIC"]
# Of bnn-lab's kernels, by the number that its library gives them.
BNN_LAB = {"avx2": 1, "avx512": 2}


@cache
def library() -> ctypes.CDLL:
    """Compile textbook.cpp, once for each version of it."""
    folder = Path("build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    version = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    path = folder / f"textbook-{version}.so"
    if not path.exists():
        compiler = os.environ.get("CXX", "c++")
        subprocess.run([compiler, *FLAGS, "-o", path, SOURCE], check=True)
    return ctypes.CDLL(str(path.resolve()))


def known(name: str) -> bool:
    """Whether this CPU can run a function of the library."""
    if not hasattr(library(), name):
        return False
    feature = {
        "avx2": "has_avx2",
        "pshufb": "has_avx2",
        "pshufb4": "has_avx2",
        "avx512": "has_avx512",
    }
    test = feature.get(name.rpartition("_")[2])
    return test is None or bool(getattr(library(), test)())


def ceilings() -> list[str]:
    """Name the ceilings that can be measured here."""
    return [i for i in ("avx512", "avx2", "neon", "popcnt") if known(f"ceiling_{i}")]


def ceiling(name: str, steps: int) -> int:
    """Compare bits with nothing to load or store; returns how many."""
    function = getattr(library(), f"ceiling_{name}")
    function.argtypes, function.restype = [ctypes.c_uint64], ctypes.c_uint64
    return int(function(steps))


def read(data: Array, times: int) -> None:
    """Load all bytes into registers, so many times."""
    library().read_avx2(
        ctypes.c_void_p(data.ctypes.data), ctypes.c_size_t(data.size), ctypes.c_size_t(times)
    )


def product(name: str, a: Array, w: Array, limit: Array, times: int) -> Callable[[], Array]:
    """Return a call of a product.

    Parameters
    ----------
    name
        "popcnt", "pshufb" or "pshufb4".
    a, w
        Packed bits, [M, K / 64] and [N, K / 64] uint64.
    limit
        [N], uint16: an output is 1 where at most so many bits differ.
    times
        Products of one call.

    Returns
    -------
    Callable
        Gives packed bits, [M, N / 64] uint64.
    """
    function = getattr(library(), f"product_{name}")
    function.restype = None
    bits = np.zeros((len(a), len(w) // 64), np.uint64)
    sizes = [ctypes.c_size_t(n) for n in (len(a), len(w), a.shape[1], times)]
    arguments = [ctypes.c_void_p(x.ctypes.data) for x in (a, w, limit, bits)]

    def call() -> Array:
        function(*arguments, *sizes)
        return bits

    call.keep = (a, w, limit)  # type: ignore[attr-defined]
    return call


def bnn_lab(isa: str, a: Array, w: Array, times: int) -> Callable[[], Array] | None:
    """Return a call of bnn-lab's product, None if the package or the instruction set is missing.

    Its kernel leaves float32 sums [M, N], no bits.
    """
    package = importlib.util.find_spec("bnn")
    if package is None or package.origin is None or isa not in BNN_LAB:
        return None
    found = list(Path(package.origin).parent.glob("kernels/_binary_gemm_native*.so"))
    if not found:
        return None
    lab = ctypes.CDLL(str(found[0]))
    lab.binary_gemm_set_num_threads(1)
    if lab.binary_gemm_set_kernel(BNN_LAB[isa]) != BNN_LAB[isa]:
        return None
    sums = np.zeros((len(a), len(w)), np.float32)
    words = a.shape[1]
    kernel = ctypes.cast(lab.binary_gemm_u64, ctypes.c_void_p)
    arrays = [ctypes.c_void_p(x.ctypes.data) for x in (a, w, sums)]
    sizes = [ctypes.c_int(n) for n in (len(a), len(w), words, 64 * words)]

    def call() -> Array:
        lab.binary_gemm_set_kernel(BNN_LAB[isa])
        library().repeat_bnn_lab(kernel, *arrays, *sizes, ctypes.c_size_t(times))
        return sums

    call.keep = (a, w)  # type: ignore[attr-defined]
    return call
