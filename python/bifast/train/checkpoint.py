"""Checkpoints of a run folder."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from bifast.atomic import write_atomic

_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    pickle.UnpicklingError,
    NotImplementedError,  # of a compression that zipfile does not know
    RuntimeError,
    OSError,
    EOFError,
    KeyError,
    ValueError,
)


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
        If it is truncated, damaged or not one of ours.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path}")
    # Through memory: PyTorch's own reader of files tells of a cut one as of a wrong argument.
    buffer = io.BytesIO(path.read_bytes())
    try:
        # PyTorch does not compare the checksums of the archive that it writes.
        with zipfile.ZipFile(buffer) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
        buffer.seek(0)
        state = torch.load(buffer, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise CheckpointError(
            f"{path} is not a readable checkpoint: {error}; it is damaged, cut or something else: "
            "delete it, or train again with --no-resume"
        ) from None
    if not isinstance(state, dict) or not {"recipe", "model", "labels"} <= set(state):
        raise CheckpointError(f"{path} is not a checkpoint of `bifast train`")
    return state
