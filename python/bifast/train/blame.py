"""After a gradient that is not finite: which binarizer it came from."""

from __future__ import annotations

from torch import Tensor

from bifast.train.binarizers import BINARIZERS
from bifast.train.nets.base import Net
from bifast.train.nets.layer import Layer


def blame(net: Net, loss: Tensor) -> str:
    """Find the first gradient, from the loss back, that is not finite.

    Parameters
    ----------
    net
        Its gradients are replaced.
    loss
        Of the batch, computed once more.

    Returns
    -------
    str
        `, from` the binarizer and the layer whose weights have that gradient; empty if there is none.

    Notes
    -----
    A wrong gradient spreads to all layers before the one that made it: it comes from the weights of the last
    layer that has it, or from the input of the one behind.
    """
    net.zero_grad(set_to_none=True)
    loss.backward()
    layers = [(name, m) for name, m in net.named_modules() if isinstance(m, Layer)]
    wrong = [
        at
        for at, (_, layer) in enumerate(layers)
        if layer.weight.grad is not None and not layer.weight.grad.isfinite().all()
    ]
    if not wrong:
        return ""
    at = wrong[-1]
    near = [layer.binarizer for _, layer in layers[at : at + 2]]
    binarizer = next((b for b in near if b.binary), near[0])
    return f", from binarizer {BINARIZERS.name_of(type(binarizer))!r}, weights of layer {layers[at][0]}"
