"""The front-end twice: bit for bit as the engine computes it, and as a textbook does in float64.

`log_mel` repeats every operation of csrc/kernels/spectrum.h and log_mel.h (float32, and float64 up to the power
spectrum for frames with a quiet band) and of csrc/frontend/tables.cpp in their order, so the engine must equal it
exactly.
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

    window: Array  # [points], zeros behind n_fft
    twiddle: Array  # [points, 2]
    order: Array  # [points / 2]
    bands: list[tuple[int, Array, np.float32]]


@lru_cache(maxsize=16)
def tables(params: FrontendParams) -> Tables:
    points = fft_points(params)
    turns = np.array([turn(k, points) for k in range(points)])
    window = [0.5 - 0.5 * turn(i, params.win_length)[0] for i in range(params.win_length)]
    margin = (params.n_fft - params.win_length) // 2
    return Tables(
        window=np.pad(window, (margin, points - params.win_length - margin)),
        twiddle=turns * [1.0, -1.0],
        order=np.array([position_of_frequency(k, points // 2) for k in range(points // 2)]),
        bands=[band(params, m) for m in range(params.n_mels)],
    )


def fft_points(params: FrontendParams) -> int:
    """Points of the FFT; shorter frames are padded with zeros."""
    return max(params.n_fft, 512)


def band(params: FrontendParams, m: int) -> tuple[int, Array, np.float32]:
    """First bin and float32 weights of one triangle; below the limit it is quiet.

    The limit is a part of the frame's energy. 4 is for the spectrum's |2 X|^2.
    """
    left, center, right = (band_edge(params, m + i) for i in range(3))
    bin_hz = float(params.sample_rate) / params.n_fft
    f = np.arange(params.n_fft // 2 + 1) * bin_hz
    weights = np.minimum((f - left) / (center - left), (right - f) / (right - center))
    (inside,) = np.nonzero(weights > 0.0)
    if not inside.size:
        return 0, np.zeros(0, np.float32), np.float32(0)
    stride = fft_points(params) // params.n_fft
    weights = np.maximum(weights, 0.0) / (4.0 * params.power_divisor)
    total = sum(weights[inside].tolist(), 0.0)
    limit = np.float32(float(np.float32(total)) * (QUIET / (fft_points(params) / 2.0)))
    padded = np.zeros((inside[-1] - inside[0]) * stride + 1, np.float32)
    padded[::stride] = weights[inside[0] : inside[-1] + 1]
    return int(inside[0]) * stride, padded, limit


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


# ---- in the engine's order and precision -----------------------------------------------------------


def fma(a: Array, b: Array, c: Array) -> Array:
    """a * b + c: float32 rounded once, float64 rounded twice as the engine does.

    The product of two float32 is exact in float64. Their sum is rounded to odd there: of the two float64 around the
    true sum, the one whose last bit is 1. That is a tie between float32 only where the true sum is one.
    """
    if np.result_type(a, b, c) == np.float64:
        return a * b + c
    product, other = np.multiply(a, b, dtype=np.float64), np.asarray(c, np.float64)
    total = np.asarray(product + other)
    seen = total - product
    error = (product - (total - seen)) + (other - seen)  # exact
    bits = total.view(np.int64)
    towards = np.where((error > 0) == (total > 0), 1, -1)
    odd = bits + np.where((error != 0) & (bits % 2 == 0), towards, 0)
    return odd.view(np.float64).astype(np.float32)


def cross(a: Complex, b: Complex, w: Array) -> tuple[Complex, Complex]:
    """A + w b, and a - w b as 2 a - (a + w b)."""
    two = a[0].dtype.type(2)
    p = (
        fma(-w[1], b[1], fma(w[0], b[0], a[0])),
        fma(w[1], b[0], fma(w[0], b[1], a[1])),
    )
    return p, (fma(two, a[0], -p[0]), fma(two, a[1], -p[1]))


def cross_turned(a: Complex, b: Complex, w: Array) -> tuple[Complex, Complex]:
    """A - i w b and a + i w b, with the parts of b in the engine's order."""
    two = a[0].dtype.type(2)
    p = (
        fma(w[0], b[1], fma(w[1], b[0], a[0])),
        fma(-w[0], b[0], fma(w[1], b[1], a[1])),
    )
    return p, (fma(two, a[0], -p[0]), fma(two, a[1], -p[1]))


def first_stage(x: Array, window: Array) -> Array:
    """Window and the stage without twiddles: samples [points, T] to z [2, 4, points / 8, T]."""
    (x0, x1, x2, x3), (w0, w1, w2, w3) = x.reshape(4, -1, x.shape[1]), window.reshape(4, -1, 1)
    a, b = x0 * w0, x1 * w1
    p, q, d, e = fma(w2, x2, a), fma(w3, x3, b), fma(-w2, x2, a), fma(-w3, x3, b)
    d_re, d_im, e_re, e_im = d[0::2], d[1::2], e[0::2], e[1::2]
    s, t = p + q, p - q
    return np.stack(
        [
            np.stack([s[0::2], d_re + e_im, t[0::2], d_re - e_im]),
            np.stack([s[1::2], d_im - e_re, t[1::2], d_im + e_re]),
        ]
    )


def fft(z: Array, twiddle: Array) -> Array:
    """The other stages of z [2, blocks, points of each, T]: radix 4, a last one of radix 2 if needed.

    Block f, a frequency, has one twiddle w = exp(-2 pi i f / (radix blocks)); its four results come in its place.
    """
    while z.shape[2] > 1:
        _, blocks, span, frames = z.shape
        radix = 4 if span >= 4 else 2
        frequency = np.argsort([position_of_frequency(f, blocks) for f in range(blocks)])
        steps = len(twiddle) // (radix * blocks) * frequency
        w = twiddle[steps].T[:, :, None, None]
        w2 = twiddle[2 * steps].T[:, :, None, None]
        x = z.reshape(2, blocks, radix, span // radix, frames)
        parts = [(x[0, :, i], x[1, :, i]) for i in range(radix)]
        if radix == 4:
            p, n = cross(parts[0], parts[2], w2)
            q, s = cross(parts[1], parts[3], w2)
            y0, y2 = cross(p, q, w)
            y1, y3 = cross_turned(n, s, w)
            y = [y0, y1, y2, y3]
        else:
            y = list(cross(parts[0], parts[1], w))
        z = np.stack([np.stack([part[i] for part in y], axis=1) for i in range(2)])
        z = z.reshape(2, blocks * radix, span // radix, frames)
    return z[:, :, 0]


def power_spectrum(z: Array, twiddle: Array, order: Array) -> Array:
    """|2 X_k|^2 of the real signal, [n + 1, T], from z [2, n, T]."""
    n = z.shape[1]
    k = np.arange(n // 2 + 1)
    a, b = z[:, order[k]], z[:, order[(n - k) % n]]
    w = twiddle[k].T[:, :, None]
    even, odd = (a[0] + b[0], a[1] - b[1]), (a[0] - b[0], a[1] + b[1])
    p, m = cross_turned(even, odd, w)
    power = np.zeros((n + 1, z.shape[2]), np.float32)
    power[n - k] = fma(m[1], m[1], m[0] * m[0])
    power[k] = fma(p[1], p[1], p[0] * p[0])
    return power


def lane_of(k: Array, n: int) -> Array:
    """The partial sum, of 16, that bin k of n goes to."""
    f = np.minimum(k, n - k) % 16
    return f // 4 + f % 4 * 4


def sum_of_parts(parts: Array) -> Array:
    """Sixteen rows: as quads, (q0 + q2) + (q1 + q3), then (s0 + s1) + (s2 + s3)."""
    q = parts.reshape(4, 4, -1)
    s = (q[0] + q[2]) + (q[1] + q[3])
    return (s[0] + s[1]) + (s[2] + s[3])


def energy(power: Array) -> Array:
    """Sum of the power over the bins but n / 2, [T] float32."""
    n = len(power) - 1
    parts = np.zeros((16, power.shape[1]), np.float32)
    for k in range(0, n // 2, 16):
        bins = k + np.arange(16)
        parts[lane_of(bins, n)] += power[bins] + power[n - bins]
    return sum_of_parts(parts)


def decibels(x: Array) -> Array:
    """10 log10(x) by a polynomial, float32."""
    bits = x.view(np.int32)
    e = (bits - np.int32(0x3F3504F3)) >> 23
    m = (bits - (e << 23)).view(np.float32)
    f = m - np.float32(1.0)
    s = f / (m + np.float32(1.0))
    z = s * s
    p = fma(z, np.float32(0.965098848), np.float32(1.24084138))
    for coefficient in (1.73717793, 2.89529655, 8.68588964):
        p = fma(p, z, np.float32(coefficient))
    return fma(e.astype(np.float32), np.float32(3.01029996), s * p)


def spectrum(params: FrontendParams, frames: Array, dtype: type[np.floating[Any]]) -> Array:
    """Power spectrum [n + 1, T] float32 of frames [T, n_fft] float32, transformed in `dtype`."""
    t = tables(params)
    twiddle = t.twiddle.astype(dtype)
    padded = np.pad(frames.astype(dtype), ((0, 0), (0, len(t.window) - params.n_fft)))
    z = fft(first_stage(padded.T, t.window.astype(dtype)), twiddle)
    return power_spectrum(z, twiddle, t.order)


def band_powers(params: FrontendParams, power: Array) -> Array:
    """Mel power [n_mels, T] float32 from the power spectrum: each partial sum in the order of the bins."""
    totals = []
    for first, weights, _ in tables(params).bands:
        parts = np.zeros((16, power.shape[1]), np.float32)
        for k, weight in enumerate(weights, first):
            lane = lane_of(k, len(power) - 1)
            parts[lane] = fma(power[k], weight, parts[lane])
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
    margin = (params.n_fft - params.win_length) // 2
    window = np.pad(window, (margin, params.n_fft - params.win_length - margin))
    frames = frame_samples(params, samples).astype(float) * window
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
