"""DIR-Net's binarizer (arXiv 2109.12338), whole and with one of its two parts.

Information-maximised binarization (IMB): weights balanced and standardised. Distribution-sensitive two-stage
estimator (DTE): the gradient of k tanh(t x), whose sharpness t grows as in IR-Net and is limited by the
distribution of x. The paper was not at hand: the rule of the limit and its constants are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bifast.train.binarizers.base import BINARIZERS, Binarizer
from bifast.train.binarizers.irnet import (
    T_MIN,
    power_of_two,
    sharpness,
    standardised,
    tanh_sign,
)
from bifast.train.binarizers.sign import sign_clip

# Values of a tensor of which the limit is found, and sharpnesses among which it is chosen.
SAMPLE = 1024
STEPS = 64


def small_quantile(x: Tensor, share: float) -> Tensor:
    """Return the `share` quantile of |x|, a scalar, from about `SAMPLE` values evenly apart."""
    flat = x.detach().flatten()
    # An odd stride visits all channels where their number is a power of two.
    flat = flat[:: max(1, flat.numel() // SAMPLE) | 1].abs()
    return flat.kthvalue(max(1, round(share * flat.numel()))).values


class Dte(Binarizer):
    """The estimator, for inputs and weights: +-1 with the gradient of k tanh(t x).

    t = min(t_epoch, t_most): t_epoch as IR-Net's, and t_most the largest sharpness at which a share
    `alive` of the values still has a derivative of at least `least`. The first stage (t < 1) keeps every value
    able to change, the second comes close to the sign as far as the distribution lets it.

    With 0.1 for both, a normal distribution is limited where its deviation is above 2.38 at the end (t = 10);
    below, the gradient is IR-Net's. `dirnet-half` limits it from 0.44 on.
    """

    alive = 0.1
    least = 0.1
    t: Tensor
    grid: Tensor

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out)
        self.register_buffer("t", torch.tensor(T_MIN), persistent=False)
        grid = torch.tensor([sharpness(i / (STEPS - 1)) for i in range(STEPS)])
        self.register_buffer("grid", grid, persistent=False)

    def set_progress(self, fraction: float) -> None:
        """Sharpen the estimator."""
        self.t.fill_(sharpness(fraction))

    def limited(self, x: Tensor) -> Tensor:
        """Return t for the values of `x`, a scalar."""
        edge = small_quantile(x, self.alive)
        slope = self.grid.clamp(min=1) * (1 - torch.tanh(self.grid * edge).square())
        most = torch.where(slope >= self.least, self.grid, self.grid[0]).amax()
        return torch.minimum(self.t, most)

    def estimated_sign(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero; the sharpness is found only where a gradient is asked for."""
        return tanh_sign(x, self.limited(x) if torch.is_grad_enabled() else self.t)

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero."""
        return self.estimated_sign(x)


@BINARIZERS.register("dirnet")
class DirNet(Dte):
    """IMB and DTE: weights sign(w^) 2^s, w^ = (w - mean) / deviation a channel; inputs sign(x).

    arXiv 2109.12338; its third part, the distillation of representations, is the loss `distill.rbd`.
    """

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w^), 2^s)."""
        latent = standardised(w)
        return self.estimated_sign(latent), power_of_two(latent)


@BINARIZERS.register("dirnet-half")
class DirNetHalf(DirNet):
    """DIR-Net whose limit keeps half of the values alive: the ablation of our constant."""

    alive = 0.5


@BINARIZERS.register("dirnet-dte")
class DirNetDte(Dte):
    """DIR-Net without IMB: the estimator on plain weights sign(w), inputs sign(x)."""

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w), ones)."""
        return self.estimated_sign(w), w.new_ones(w.shape[0])


@BINARIZERS.register("dirnet-imb")
class DirNetImb(Binarizer):
    """DIR-Net without DTE: balanced and standardised weights, clipped straight-through gradients."""

    def activation(self, x: Tensor) -> Tensor:
        """Return sign(x), +1 at zero."""
        return sign_clip(x)

    def weight(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sign(w^), 2^s)."""
        latent = standardised(w)
        return sign_clip(latent), power_of_two(latent)
