"""The front-end twice: bit for bit as the engine computes it, and as a textbook does in float64.

`log_mel` repeats every operation of csrc/kernels/log_mel.h (float32, and float64 up to the power spectrum for
frames with a quiet band) and of csrc/frontend/tables.cpp in their order, so the engine must equal it exactly.
`textbook_log_mel` shares nothing with it (np.fft, np.log10, dense mel matrix); both must agree within 1e-3 dB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bifast.format import FrontendParams

Array = npt.NDArray[Any]
Complex = tuple[Array, Array]

PI_OVER_4 = 0.785398163397448309616
LN_2 = 0.693147180559945309417
QUIET = 1e-6


# ---- tables, float64 -------------------------------------------------------------------------------


def turn(k: int, n: int) -> tuple[float, float]:
    """Cosine and sine of 2 pi k / n: Taylor series in the first octant, the rest by symmetry."""
    octant = 8 * k // n
    rest = 8 * k - octant * n
    t = float(n - rest if octant % 2 == 1 else rest) / float(n) * PI_OVER_4
    t2 = t * t
    sine = cosine = 0.0
    for i in range(10, 0, -1):
        sine = (1.0 + sine) * (-t2 / ((2.0 * i) * (2.0 * i + 1.0)))
        cosine = (1.0 + cosine) * (-t2 / ((2.0 * i - 1.0) * (2.0 * i)))
    s, c = t * (1.0 + sine), 1.0 + cosine
    return ((c, s), (s, c), (-s, c), (-c, s), (-c, -s), (-s, -c), (s, -c), (c, -s))[octant]


def natural_log(x: float) -> float:
    """2 atanh((m - 1) / (m + 1)) + e ln 2 for x = 2^e m."""
    m, e = math.frexp(x)
    if m < 0.70710678118654752:
        m *= 2.0
        e -= 1
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    total = 0.0
    for i in range(12, 0, -1):
        total = (1.0 / (2.0 * i + 1.0) + total) * z
    return e * LN_2 + 2.0 * s * (1.0 + total)


def exponential(x: float) -> float:
    """Taylor series after taking out the nearest power of two."""
    n = math.floor(x / LN_2 + 0.5)
    r = x - n * LN_2
    total = 0.0
    for i in range(18, 0, -1):
        total = (1.0 + total) * (r / i)
    return math.ldexp(1.0 + total, n)


def band_edge(params: FrontendParams, i: int) -> float:
    """Edge i of the n_mels + 2 band edges, Hz."""
    low, high = 1.0 + params.f_min / 700.0, 1.0 + params.f_max / 700.0
    part = float(i) / (params.n_mels + 1.0)
    return 700.0 * (low * exponential(part * natural_log(high / low)) - 1.0)


def position_of_frequency(k: int, span: int) -> int:
    """Where the in-place FFT of `span` points leaves frequency k."""
    position = 0
    while span >= 4:
        position += (k % 4) * (span // 4)
        span //= 4
        k //= 4
    return position + (k % 2 if span == 2 else 0)


@dataclass(frozen=True)
class Tables:
    """Constants of one setting, float64; bands are (first bin, float32 weights, limit)."""

    window: Array
    twiddle: Array  # [3 * n_fft / 4, 2]
    order: Array  # [n_fft / 2]
    bands: list[tuple[int, Array, np.float32]]


@lru_cache(maxsize=16)
def tables(params: FrontendParams) -> Tables:
    n_fft = params.n_fft
    turns = np.array([turn(k, n_fft) for k in range(3 * n_fft // 4)])
    window = [0.5 - 0.5 * turn(i, params.win_length)[0] for i in range(params.win_length)]
    return Tables(
        window=np.array(window),
        twiddle=turns * [1.0, -1.0],
        order=np.array([position_of_frequency(k, n_fft // 2) for k in range(n_fft // 2)]),
        bands=[band(params, m) for m in range(params.n_mels)],
    )


def band(params: FrontendParams, m: int) -> tuple[int, Array, np.float32]:
    """First bin, a multiple of 4, and float32 weights of one triangle; below the limit it is quiet.

    The limit is a part of the frame's energy. 4 is for the spectrum's |2 X|^2.
    """
    left, center, right = (band_edge(params, m + i) for i in range(3))
    bin_hz = float(params.sample_rate) / params.n_fft
    f = np.arange(params.n_fft // 2 + 4) * bin_hz
    weights = np.minimum((f - left) / (center - left), (right - f) / (right - center))
    weights[params.n_fft // 2 + 1 :] = 0.0
    (inside,) = np.nonzero(weights > 0.0)
    if not inside.size:
        return 0, np.zeros(0, np.float32), np.float32(0)
    weights = np.maximum(weights, 0.0) / (4.0 * params.power_divisor)
    total = sum(weights[inside].tolist(), 0.0)
    limit = np.float32(float(np.float32(total)) * (QUIET / (params.n_fft / 2.0)))
    first, last = inside[0] // 4 * 4, inside[-1] // 4 * 4 + 4
    return int(first), weights[first:last].astype(np.float32), limit


# ---- framing ---------------------------------------------------------------------------------------


def to_float(samples: Array) -> Array:
    """Return float32 samples; int16 is divided by 32768 (exact)."""
    if samples.dtype == np.int16:
        return samples.astype(np.float32) * np.float32(1.0 / 32768.0)
    return samples.astype(np.float32)


def frame_samples(params: FrontendParams, samples: Array) -> Array:
    """Frames [T, n_fft] of audio padded with zeros to a window, its ends reflected if centred."""
    x = to_float(samples)
    x = np.concatenate([x, np.zeros(max(0, params.window_samples - len(x)), np.float32)])
    if params.center:
        x = np.pad(x, params.n_fft // 2, mode="reflect")
    count = 1 + (len(x) - params.n_fft) // params.hop
    return np.stack([x[t * params.hop :][: params.n_fft] for t in range(count)])


def padded_window(params: FrontendParams, window: Array) -> Array:
    """Centre a window in the FFT."""
    margin = (params.n_fft - params.win_length) // 2
    return np.pad(window, (margin, params.n_fft - params.win_length - margin))


# ---- in the engine's order and precision -----------------------------------------------------------


def add(a: Complex, b: Complex) -> Complex:
    return a[0] + b[0], a[1] + b[1]


def subtract(a: Complex, b: Complex) -> Complex:
    return a[0] - b[0], a[1] - b[1]


def multiply(a: Complex, w: Array) -> Complex:
    return a[0] * w[0] - a[1] * w[1], a[0] * w[1] + a[1] * w[0]


def fft(z: Array, twiddle: Array) -> None:
    """Radix-4 decimation in frequency in place, z [n, 2, T]; a last radix-2 stage if needed."""
    n = len(z)
    span = n
    while span >= 4:
        q, step = span // 4, 2 * n // span
        for block in range(0, n, span):
            a, b, c, d = (
                (
                    z[block + i * q : block + (i + 1) * q, 0],
                    z[block + i * q : block + (i + 1) * q, 1],
                )
                for i in range(4)
            )
            t0, t1, t2 = add(a, c), subtract(a, c), add(b, d)
            t3 = b[1] - d[1], d[0] - b[0]  # -i (b - d)
            for i, y in enumerate((add(t0, t2), add(t1, t3), subtract(t0, t2), subtract(t1, t3))):
                rotated = y
                if i > 0:
                    w = twiddle[i * step * np.arange(1, q)].T[:, :, None]
                    rest = multiply((y[0][1:], y[1][1:]), w)
                    rotated = tuple(np.concatenate([y[p][:1], rest[p]]) for p in range(2))
                z[block + i * q : block + (i + 1) * q] = np.stack(rotated, axis=1)
        span //= 4
    if span == 2:
        a, b = z[0::2].copy(), z[1::2].copy()
        z[0::2], z[1::2] = a + b, a - b


def power_spectrum(z: Array, twiddle: Array, order: Array) -> Array:
    """|2 X_k|^2 of the real signal, [n + 4, T], zeros behind k = n."""
    n = len(z)
    k = np.arange(n // 2 + 1)
    a, b = z[order[k]], z[order[(n - k) % n]]
    wr, wi = twiddle[k, 0, None], twiddle[k, 1, None]
    er, ei = a[:, 0] + b[:, 0], a[:, 1] - b[:, 1]
    dr, di = a[:, 0] - b[:, 0], a[:, 1] + b[:, 1]
    tr, ti = di * wr + dr * wi, di * wi - dr * wr
    pr, pi, mr, mi = er + tr, ei + ti, er - tr, ei - ti
    power = np.zeros((n + 4, z.shape[2]), np.float32)
    power[k] = pr * pr + pi * pi
    power[n - k] = mr * mr + mi * mi
    return power


def sum_of_parts(parts: Array) -> Array:
    """(s0 + s1) + (s2 + s3) of four rows."""
    return (parts[0] + parts[1]) + (parts[2] + parts[3])


def energy(power: Array) -> Array:
    """Sum of the power over the bins but n / 2, [T] float32."""
    n = len(power) - 4
    parts = np.zeros((4, power.shape[1]), np.float32)
    for k in range(0, n // 2, 4):
        parts = parts + (power[k : k + 4] + power[n - k - np.arange(4)])
    return sum_of_parts(parts)


def decibels(x: Array) -> Array:
    """10 log10(x) by a polynomial, float32."""
    bits = x.view(np.int32)
    e = (bits - np.int32(0x3F3504F3)) >> 23
    m = (bits - (e << 23)).view(np.float32)
    f = m - np.float32(1.0)
    s = f / (m + np.float32(1.0))
    z = s * s
    p = z * np.float32(0.965098848) + np.float32(1.24084138)
    for coefficient in (1.73717793, 2.89529655, 8.68588964):
        p = p * z + np.float32(coefficient)
    return e.astype(np.float32) * np.float32(3.01029996) + s * p


def spectrum(params: FrontendParams, frames: Array, dtype: type[np.floating[Any]]) -> Array:
    """Power spectrum [n + 4, T] float32 of frames [T, n_fft] float32, transformed in `dtype`."""
    t = tables(params)
    twiddle = t.twiddle.astype(dtype)
    windowed = frames.astype(dtype) * padded_window(params, t.window.astype(dtype))
    z = np.ascontiguousarray(windowed.T.reshape(params.n_fft // 2, 2, len(frames)))
    fft(z, twiddle)
    return power_spectrum(z, twiddle, t.order)


def band_powers(params: FrontendParams, power: Array) -> Array:
    """Mel power [n_mels, T] float32 from the power spectrum."""
    totals = []
    for first, weights, _ in tables(params).bands:
        parts = np.zeros((4, power.shape[1]), np.float32)
        for i in range(0, len(weights), 4):
            parts = parts + power[first + i : first + i + 4] * weights[i : i + 4, None]
        totals.append(sum_of_parts(parts))
    return np.array(totals)


def log_mel(params: FrontendParams, samples: Array) -> Array:
    """Features [T, n_mels] float32, bit for bit the engine's."""
    frames, floor = frame_samples(params, samples), np.float32(params.floor)
    power = spectrum(params, frames, np.float32)
    mels = band_powers(params, power)
    limits = np.array([limit for _, _, limit in tables(params).bands])
    quiet = ((mels > floor) & (mels < energy(power) * limits[:, None])).any(axis=0)
    if quiet.any():
        mels[:, quiet] = band_powers(params, spectrum(params, frames[quiet], np.float64))
    return decibels(np.where(mels > floor, mels, floor)).T


# ---- the textbook ----------------------------------------------------------------------------------


def textbook_log_mel(params: FrontendParams, samples: Array) -> Array:
    """Features [T, n_mels] float64 from np.fft and a dense HTK mel matrix."""
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(params.win_length) / params.win_length)
    frames = frame_samples(params, samples).astype(float) * padded_window(params, window)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 / params.power_divisor
    mels = power @ textbook_mel_matrix(params).T
    return 10.0 * np.log10(np.maximum(mels, params.floor))


def textbook_mel_matrix(params: FrontendParams) -> Array:
    """Triangles [n_mels, n_fft / 2 + 1] on the HTK scale, peak 1."""

    def to_mel(f: float) -> float:
        return 2595.0 * math.log10(1.0 + f / 700.0)

    mels = np.linspace(to_mel(params.f_min), to_mel(params.f_max), params.n_mels + 2)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    f = np.fft.rfftfreq(params.n_fft, 1.0 / params.sample_rate)
    up = (f[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    down = (edges[2:, None] - f[None]) / np.diff(edges)[1:, None]
    return np.maximum(0.0, np.minimum(up, down))
