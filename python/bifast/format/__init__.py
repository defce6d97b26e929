"""The `.bifast` file in NumPy alone: writer, reader and all its checks (docs/format.md is the law)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bifast.atomic import write_atomic
from bifast.format.reader import decode
from bifast.format.records import (
    FRONTEND_PAPER,
    Buffer,
    Contents,
    FrontendParams,
    Level,
    Op,
    Tensor,
)
from bifast.format.writer import encode

__all__ = ["FRONTEND_PAPER", "Buffer", "FrontendParams", "Level", "ModelFile", "Op", "Tensor"]


@dataclass(frozen=True)
class ModelFile(Contents):
    """One model file: `ModelFile(frontend, labels, depths, buffers, tensors, ops, card)`."""

    @classmethod
    def from_bytes(cls, data: bytes) -> ModelFile:
        """Read a file from memory and check all of it.

        Raises
        ------
        FormatError
            If the bytes break a rule of docs/format.md.
        UnsupportedError
            If the file is of a newer version.
        """
        return cls(**vars(decode(data)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ModelFile:
        """Read a file; raises OSError besides what `from_bytes` raises."""
        return cls.from_bytes(Path(path).read_bytes())

    def to_bytes(self) -> bytes:
        """Check the contents and return the file's bytes; FormatError if they break a rule."""
        return encode(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file beside its place and rename it, so no reader sees half of it."""
        data = self.to_bytes()
        write_atomic(Path(path), lambda beside: beside.write_bytes(data))
