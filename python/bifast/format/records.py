"""What a `.bifast` file holds, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bifast.errors import FormatError
from bifast.format.layout import ARRAY_DTYPES
from bifast.word import Word

Pair = tuple[int, int]


@dataclass(frozen=True)
class FrontendParams:
    """Log-mel front-end; the defaults are the BiFSMN papers' setting (`FRONTEND_PAPER`).

    Parameters
    ----------
    sample_rate
        Hz.
    window_samples
        Length of one clip in samples.
    n_fft
        Points of the FFT, a power of two in 16 .. 4096.
    win_length
        Samples under the periodic Hann window, 1 .. n_fft, centred in the FFT.
    hop
        Samples between frames.
    n_mels
        Mel bands (HTK), 1 .. 256.
    center
        Frame t is centred on sample t * hop with reflected ends, or else starts there.
    f_min, f_max
        Lower edge of the first band and upper edge of the last, Hz.
    power_divisor
        The power spectrum is divided by it; the sum of the squared window is 3/8 of `win_length`.
    floor
        Smallest power before the logarithm.
    """

    sample_rate: int = 16000
    window_samples: int = 16000
    n_fft: int = 2048
    win_length: int = 2048
    hop: int = 512
    n_mels: int = 32
    center: bool = True
    f_min: float = 0.0
    f_max: float = 8000.0
    power_divisor: float = 768.0
    floor: float = 1e-10

    @property
    def n_frames(self) -> int:
        """Frames of one clip; not positive when a clip is shorter than a frame."""
        covered = self.window_samples - (0 if self.center else self.n_fft)
        return 1 + covered // self.hop


FRONTEND_PAPER = FrontendParams()
"""The BiFSMN papers' setting: 32 frames of 32 bands for one second at 16 kHz."""


@dataclass(frozen=True)
class Buffer:
    """Shape of one activation; values lie [height][width][channels].

    `type` is "f32", "bits", "bits2": two planes of bits, one whole plane after the other, or "u8":
    bytes.
    """

    type: str
    height: int
    width: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels


@dataclass(frozen=True, eq=False)
class Tensor:
    """Parameters of layers.

    Parameters
    ----------
    dtype
        "f32", "f16", "i16", "i32" or "bits".
    array
        Shape (rows, cols); bits as uint8 holding 0 (-1) and 1 (+1). Converted to the NumPy type
        that belongs to `dtype`.

    Raises
    ------
    FormatError
        If dtype is unknown, the array is not of rank 2, or a value does not fit dtype.
    """

    dtype: str
    array: npt.NDArray[Any]

    def __post_init__(self) -> None:
        """Convert the array and check that no value changed, but for the rounding of floats."""
        if self.dtype not in ARRAY_DTYPES:
            raise FormatError(
                f"tensor dtype: expected one of {list(ARRAY_DTYPES)}, got {self.dtype!r}"
            )
        given = np.asarray(self.array)
        if given.ndim != 2:
            raise FormatError(f"tensor: expected [rows, cols], got shape {given.shape}")
        with np.errstate(all="ignore"):
            array = np.ascontiguousarray(given, dtype=ARRAY_DTYPES[self.dtype])
        if array.dtype.kind in "iu" and not np.array_equal(array, given):
            raise FormatError(
                f"tensor {self.dtype}: the array holds values that {self.dtype} cannot"
            )
        if self.dtype == "bits" and array.size and array.max() > 1:
            raise FormatError(f"tensor bits: expected 0 and 1, got {array.max()}")
        array = array.view()
        array.flags.writeable = False
        object.__setattr__(self, "array", array)

    def __eq__(self, other: object) -> bool:
        """Equal dtype, shape and values."""
        if not isinstance(other, Tensor):
            return NotImplemented
        return self.dtype == other.dtype and np.array_equal(self.array, other.array)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.array.shape[0])

    @property
    def cols(self) -> int:
        """Number of columns."""
        return int(self.array.shape[1])


@dataclass(frozen=True)
class Op:
    """One layer; buffers and tensors are indices. Unused geometry is 0, unused references None.

    `plane_scale` is what +1 of the input's second plane is worth, 0 where the input has none; `fill`
    the byte that stands for a missing tap of `byte_conv2d`. What `quantise` writes, u8, is its `out_f32`.
    """

    name: str
    code: str
    depth_mask: int
    input: int
    residual: int | None = None
    out_f32: int | None = None
    out_bits: int | None = None
    kernel: Pair = (0, 0)
    stride: Pair = (0, 0)
    pad: Pair = (0, 0)
    dilation: Pair = (0, 0)
    weights: int | None = None
    scale: int | None = None
    shift: int | None = None
    slope: int | None = None
    threshold: int | None = None
    flip: int | None = None
    plane_scale: float = 0.0
    fill: int = 0


@dataclass(frozen=True)
class Level:
    """One depth of a cascade: how far ahead the best label must be for its scores to be taken.

    `word` holds where the best label is a word, `other` where it is none; logits, float32.
    """

    word: float
    other: float


@dataclass(frozen=True)
class Contents:
    """Everything in a file, in the file's order; depths are deepest first.

    `words` has for each label its settings, or None if it is no word; `cascade` has for each depth
    its level, or None if it is left out. Both are empty where the file tells nothing of them.
    """

    frontend: FrontendParams | None
    labels: tuple[str, ...]
    depths: tuple[str, ...]
    buffers: tuple[Buffer, ...]
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    card: dict[str, Any] = field(default_factory=dict)
    words: tuple[Word | None, ...] = ()
    cascade: tuple[Level | None, ...] = ()

    def __post_init__(self) -> None:
        """Take any sequences and keep them as tuples."""
        for name in ("labels", "depths", "buffers", "tensors", "ops", "words", "cascade"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
