"""One level of the 2-D Haar wavelet, in closed form (B batch, T time, C channels)."""

from __future__ import annotations

from torch import Tensor


def haar_low(x: Tensor) -> Tensor:
    """Return the low band of [..., T, C]: the mean of each 2 x 2 patch, repeated over it.

    T and C are even. The high band is `x - haar_low(x)`; the two add up to x. With zero extension
    and even sizes this equals analysis, zeroing of the three detail bands, and synthesis.
    """
    t, c = x.shape[-2:]
    if t % 2 or c % 2:
        raise ValueError(f"haar: expected even sizes, got {t} x {c}")
    patches = x.reshape(*x.shape[:-2], t // 2, 2, c // 2, 2)
    return patches.mean((-3, -1), keepdim=True).expand_as(patches).reshape(x.shape)


def haar_high(x: Tensor) -> Tensor:
    """Return the high band of [..., T, C]."""
    return x - haar_low(x)
