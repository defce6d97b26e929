"""AdamW or SGD with groups: latent binary weights, real weights, binarizers, everything else."""

from __future__ import annotations

import torch
from torch import nn

from bifast.train.binarizers import Binarizer
from bifast.train.nets import Net
from bifast.train.nets.layer import Layer
from bifast.train.recipe import Optim


def make_optimizer(net: Net, optim: Optim) -> torch.optim.Optimizer:
    """Return the optimiser; every group has its own rate under `base`, which the schedule multiplies.

    Real weights of a binary net are few and each step moves them by the whole rate, whatever the
    gradient's size; with a thousand inputs at the rate of the latent weights the scores jump by
    several units a step, so they get `real_lr` times it. Parameters of binarizers get `binarizer_lr`
    times it. Weight decay is for weights alone: it would pull scales, slopes, thresholds and biases
    to zero.
    """
    layers = [m for m in net.modules() if isinstance(m, Layer)]
    real = [layer.weight for layer in layers if not layer.binarizer.binary]
    real += [m.weight for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    latent = [layer.weight for layer in layers if layer.binarizer.binary]
    own = [p for m in net.modules() if isinstance(m, Binarizer) for p in m.parameters()]
    grouped = {id(p) for p in real + latent + own}
    others = [p for p in net.parameters() if id(p) not in grouped]
    # A net of real weights alone is an ordinary net: one rate.
    factor = optim.real_lr if latent else 1.0
    groups = [
        (latent, optim.lr, optim.weight_decay),
        (real, optim.lr * factor, optim.weight_decay),
        (own, optim.lr * optim.binarizer_lr, 0.0),
        (others, optim.lr, 0.0),
    ]
    tables = [
        {"params": params, "lr": rate, "base": rate, "weight_decay": decay}
        for params, rate, decay in groups
        if params
    ]
    if optim.algorithm == "sgd":
        return torch.optim.SGD(tables, lr=optim.lr, momentum=optim.momentum, fused=True)
    return torch.optim.AdamW(tables, fused=True)
