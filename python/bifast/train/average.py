"""A running average of a net's weights (exponential moving average)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The average of the parameters and running statistics of a net over its last steps.

    Parameters
    ----------
    net
        Its values now are the first of the average.
    decay
        Share of the average that a step keeps, 0 .. 1; over the first steps less, so that the random
        start is soon forgotten.

    Notes
    -----
    Polyak averaging as in Mean Teacher (arXiv 1703.01780). The average is of the latent weights:
    their signs are what a binary layer takes.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.clone() for name, value in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Take in the net after a step, counted from 0."""
        keep = min(self.decay, (1 + step) / (10 + step))
        state = net.state_dict()
        real = [name for name, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.values[n] for n in real], [state[n] for n in real], 1 - keep)
        for name in state.keys() - set(real):
            self.values[name].copy_(state[name])

    def load(self, values: dict[str, Tensor]) -> None:
        """Take the values of a checkpoint."""
        for name, value in values.items():
            self.values[name].copy_(value)

    @contextmanager
    def inside(self, net: nn.Module) -> Iterator[None]:
        """Put the average into the net for a while."""
        own = {name: value.clone() for name, value in net.state_dict().items()}
        net.load_state_dict(self.values)
        try:
            yield
        finally:
            net.load_state_dict(own)
