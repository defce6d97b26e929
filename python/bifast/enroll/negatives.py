"""What is not the word: log-mel features of speech, other words and noise, from the package or of one's own."""

from __future__ import annotations

import io
import lzma
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bifast.errors import UnsupportedError
from bifast.format import FRONTEND_PAPER, FrontendParams

Floats = NDArray[np.float32]

SHIPPED = Path(__file__).parent / "negatives.npz.xz"
KINDS = ("speech", "word", "noise")
# Frames of a block of the cosine transform.
BLOCK = 16


class Negative(NamedTuple):
    """One stretch of sound that holds other things.

    Attributes
    ----------
    kind
        Of `KINDS`.
    features
        [T, M], dB.
    word
        For the kind `word`, what is said; else empty.
    """

    kind: str
    features: Floats
    word: str = ""


def compress(negatives: Iterable[Negative], step: float) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a file: features as rounded coefficients of a cosine transform.

    Parameters
    ----------
    negatives
        Their lengths are multiples of `BLOCK` frames.
    step
        Rounding of a coefficient, dB. 40 leaves 5 dB of error and takes some 40 bytes a second.
    """
    kinds, words, lengths, blocks = [], [], [], []
    for kind, features, word in negatives:
        kinds.append(KINDS.index(kind))
        words.append(word)
        lengths.append(len(features) // BLOCK)
        blocks.append(features.reshape(-1, BLOCK, features.shape[1]))
    whole = np.concatenate(blocks)
    rounded = np.round(_cosines(BLOCK) @ whole @ _cosines(whole.shape[2]).T / step)
    return {
        # Coefficient by coefficient: most runs are zeros then.
        "coefficients": np.moveaxis(np.clip(rounded, -127, 127).astype(np.int8), 0, -1),
        "kinds": np.array(kinds, np.uint8),
        "words": np.array(words, np.str_),
        "lengths": np.array(lengths, np.uint16),
        "step": np.array(step, np.float32),
    }


def expand(arrays: dict[str, NDArray[np.generic]]) -> list[Negative]:
    """Return what `compress` kept."""
    rounded = np.moveaxis(arrays["coefficients"], -1, 0).astype(np.float32)
    blocks = (
        _cosines(BLOCK).T
        @ (rounded * float(arrays["step"].astype(np.float64)))
        @ _cosines(rounded.shape[2])
    )
    ends = np.cumsum(arrays["lengths"].astype(int))
    pieces = np.split(blocks.astype(np.float32), ends[:-1])
    return [
        Negative(KINDS[int(kind)], piece.reshape(-1, rounded.shape[2]), str(word))
        for kind, piece, word in zip(arrays["kinds"], pieces, arrays["words"], strict=True)
    ]


def shipped(frontend: FrontendParams | None) -> list[Negative]:
    """Return the negatives in the package.

    Raises
    ------
    UnsupportedError
        If the front-end is not theirs, `FRONTEND_PAPER`.
    """
    if frontend != FRONTEND_PAPER:
        raise UnsupportedError(
            "the negatives in the package are features of another front-end than the model's; give a "
            "folder of recordings without the word (--negatives DIR)"
        )
    # A fifth smaller than NumPy's own compression.
    with np.load(io.BytesIO(lzma.decompress(SHIPPED.read_bytes()))) as arrays:
        return expand(dict(arrays))


def recorded(
    waves: Iterable[Floats], features: Callable[[Floats], Floats], frames: int
) -> list[Negative]:
    """Return the features of recordings that do not hold the word; those below a window are left out."""
    found = [Negative("speech", features(wave)) for wave in waves]
    return [negative for negative in found if len(negative.features) >= frames]


def windows(features: Floats, frames: int, hop: int) -> Floats:
    """Cut features [T, M] into windows [n, frames, M], one every `hop` frames."""
    view = np.lib.stride_tricks.sliding_window_view(features, frames, axis=0)[::hop]
    return np.ascontiguousarray(np.swapaxes(view, 1, 2))


def _cosines(size: int) -> NDArray[np.float64]:
    """Return the orthonormal DCT-II, [frequency, place]."""
    frequency, place = np.arange(size)[:, None], np.arange(size)[None]
    matrix = np.cos(np.pi * (place + 0.5) * frequency / size) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float64)
