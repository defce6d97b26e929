"""Where a run computes: its device, and its part among the processes that `torchrun` started."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from bifast.errors import UnsupportedError

# The first process measures and writes while the others wait.
_PATIENCE = datetime.timedelta(hours=24)


@dataclass(frozen=True)
class Place:
    """The device, and which of how many processes this one is.

    Every process sees the same batches and takes its share of the clips of each. Gradients are averaged
    (data parallel, arXiv 2006.15704), so all hold the same net; the first alone writes files. Batch norms
    use the clips of their own process, as usual; their running statistics are averaged.
    """

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def mean(self, tensors: Iterable[Tensor]) -> None:
        """Replace float tensors by their means over the processes."""
        if self.world == 1:
            return
        found = list(tensors)
        flat = torch.cat([t.detach().flatten() for t in found])
        distributed.all_reduce(flat)
        parts = (flat / self.world).split([t.numel() for t in found])
        for tensor, part in zip(found, parts, strict=True):
            tensor.detach().copy_(part.view_as(tensor))

    def mean_gradients(self, net: nn.Module) -> None:
        """Average the gradients of a net."""
        self.mean(p.grad for p in net.parameters() if p.grad is not None)

    def mean_statistics(self, net: nn.Module) -> None:
        """Average the running statistics of batch norms."""
        self.mean(b for b in net.buffers() if b.is_floating_point())

    def mean_number(self, value: float) -> float:
        """Return the mean of a number over the processes."""
        tensor = torch.tensor([value], dtype=torch.float64, device=self.device)
        self.mean([tensor])
        return float(tensor)


HERE = Place(torch.device("cpu"))


def device_of(net: nn.Module) -> torch.device:
    """Return the device of a net's parameters."""
    return next(net.parameters()).device


def find_device(wanted: str) -> torch.device:
    """Return a device: `auto` is CUDA where there is one.

    Raises
    ------
    UnsupportedError
        If CUDA is asked for and PyTorch finds none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UnsupportedError(
            f"PyTorch {torch.__version__} finds no CUDA device; use --device cpu, or install a "
            "PyTorch that was built for the driver"
        )
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


@contextmanager
def find_place(wanted: str) -> Iterator[Place]:
    """Join the processes that `torchrun` started, if it did, and leave them at the end."""
    device = find_device(wanted)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Place(device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Place(device, distributed.get_rank(), world)
        # All leave together: a process that goes while another still works may abort.
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
