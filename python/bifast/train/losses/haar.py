"""One level of the Haar wavelet, in closed form (B batch, T time, C channels)."""

from __future__ import annotations

from torch import Tensor


def haar_low(x: Tensor, *, time_only: bool = False) -> Tensor:
    """Return the low band of [..., T, C]: the mean of each patch, repeated over it.

    Parameters
    ----------
    x
        [..., T, C]; T, and C if patches span channels, are even.
    time_only
        Patches of two frames of one channel; else of two frames and two channels.

    Returns
    -------
    Tensor
        As `x`. The high band is `x - haar_low(x)`; the two add up to x. With zero extension and even
        sizes this equals analysis, zeroing of the detail bands, and synthesis.

    Raises
    ------
    ValueError
        If a size is odd.
    """
    t, c = x.shape[-2:]
    width = 1 if time_only else 2
    if t % 2 or c % width:
        raise ValueError(f"haar: expected even sizes, got {t} x {c}")
    patches = x.reshape(*x.shape[:-2], t // 2, 2, c // width, width)
    return patches.mean((-3, -1), keepdim=True).expand_as(patches).reshape(x.shape)


def haar_high(x: Tensor, *, time_only: bool = False) -> Tensor:
    """Return the high band of [..., T, C]."""
    return x - haar_low(x, time_only=time_only)
