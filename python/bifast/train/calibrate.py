"""After training: batch-norm statistics of each depth, averaged over training clips."""

from __future__ import annotations

import itertools

import torch

from bifast.train.batches import Stock
from bifast.train.binarizers import Binarizer
from bifast.train.data.features import Split
from bifast.train.nets.base import Net
from bifast.train.nets.bytes import Bytes
from bifast.train.nets.norm import DepthNorm
from bifast.train.place import device_of


@torch.no_grad()
def calibrate(net: Net, split: Split, *, batch: int = 256, steps: int = 80) -> None:
    """Replace the running statistics by averages under the final weights.

    Parameters
    ----------
    net
        Its statistics change, its parameters do not.
    split
        The training split, augmented variants included.
    batch, steps
        Clips a step; at most so many steps.

    Notes
    -----
    Layers that several depths share see other inputs at each depth; `DepthNorm` keeps statistics
    for each, and running averages from training lag behind the weights.
    """
    norms = [m for m in net.modules() if isinstance(m, DepthNorm)]
    was_training = net.training
    net.train()
    for module in net.modules():
        if isinstance(module, Binarizer | Bytes):
            module.eval()  # what they average stays as it is: the statistics depend on it
    for norm in norms:
        norm.momentum = None
        norm.mean.zero_()
        norm.var.fill_(1.0)
        norm.count.zero_()
    batch = min(batch, int(split.repeats.sum()))
    stock = Stock.of(split, device_of(net))
    for drawn in itertools.islice(stock.batches(batch, 0, 0), steps):
        stream = net.features(drawn.features)
        for depth in range(len(net.depths)):
            net.backbone(stream, depth)
    for norm in norms:
        norm.momentum = 0.1
    net.train(was_training)
