"""What the tests of binarizers share: a layer's binarizer, and the gradient of a function."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bifast.train.binarizers import BINARIZERS, Binarizer

NAMES = BINARIZERS.names()
BITS = [n for n in NAMES if BINARIZERS[n].binary and not BINARIZERS[n].unsupported]


def make(name: str, c_in: int = 12, c_out: int = 6) -> Binarizer:
    torch.manual_seed(0)
    return BINARIZERS[name](c_in, c_out)


def gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Gradient of a sum, weighted so that places do not look alike."""
    x = x.detach().clone().requires_grad_()
    y = function(x)
    (y * torch.linspace(1, 2, y.numel()).view_as(y)).sum().backward()
    assert x.grad is not None
    return x.grad
