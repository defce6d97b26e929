"""Checkpoints of a run folder."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from bifast.atomic import write_atomic


class CheckpointError(ValueError):
    """A checkpoint that can not be used: says why."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically: a full disk (`OSError`) or a kill leaves the earlier one."""
    # Through memory: into a file PyTorch turns the error of a full disk into one without a number.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, lambda beside: beside.write_bytes(buffer.getbuffer()))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises
    ------
    FileNotFoundError
        If there is none.
    CheckpointError
        If it is truncated or not one of ours.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable checkpoint: {error}") from None
    if not isinstance(state, dict) or not {"recipe", "model", "labels"} <= set(state):
        raise CheckpointError(f"{path} is not a checkpoint of `bifast train`")
    return state
