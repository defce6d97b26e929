"""The C interface of a core that is built here (c_call.c), called many times from one call of Python."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "bench/c_call.c"
# Where `make test` builds it too.
CORE = ROOT / "build/native"


@cache
def library() -> ctypes.CDLL:
    """Build the core, or what of it changed, and the loop."""
    for command in (
        ["cmake", "-S", ROOT, "-B", CORE],
        ["cmake", "--build", CORE, "--target", "bifast_shared"],
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    path = CORE / "c_call.so"
    link = [f"-L{CORE}", "-lbifast", f"-Wl,-rpath,{CORE}"]
    subprocess.run(
        [os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", f"-I{ROOT / 'csrc/include'}", SOURCE,
         "-o", path, *link], check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(path))


def repeated(
    model: bytes, x: Array, classes: int, *, clip: bool, times: int
) -> Callable[[], Array]:
    """Return a call that runs a model `times` times on a clip, or on features; it gives the logits."""
    c = library()
    handle, session = ctypes.c_void_p(), ctypes.c_void_p()
    size = ctypes.c_size_t
    assert c.bifast_load_memory(model, size(len(model)), None, ctypes.byref(handle)) == 0
    assert c.bifast_session_new(handle, ctypes.byref(session)) == 0
    logits = np.zeros(classes, np.float32)
    arguments = (
        session, ctypes.c_int(clip), ctypes.c_void_p(x.ctypes.data), size(x.size),
        ctypes.c_void_p(logits.ctypes.data), size(classes), size(times),
    )  # fmt: skip

    def call() -> Array:
        assert c.call(*arguments) == 0
        return logits

    call.keep = x  # type: ignore[attr-defined]
    return call
