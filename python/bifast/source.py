"""Where a model comes from: a shipped name, a path, bytes or an open file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from bifast.names import unknown
from bifast.shipped import model_path, models

if TYPE_CHECKING:
    from pathlib import Path

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO

# docs/format.md, limits. One byte more is read, which the reader then refuses.
MAX_FILE_BYTES = 256 << 20


def read_model(source: Source) -> tuple[bytes, str]:
    """Read a model's bytes, and a name of their source for messages.

    Raises
    ------
    OSError
        If a file is missing or unreadable.
    TypeError
        If the source is of none of the four kinds.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), "model in memory"
    if isinstance(source, (str, os.PathLike)):
        path = _find(source)
        with path.open("rb") as file:
            # read(n) allocates n bytes first: no more than there are. A pipe tells no size.
            size = os.fstat(file.fileno()).st_size or MAX_FILE_BYTES
            return file.read(min(size, MAX_FILE_BYTES) + 1), str(path)
    if hasattr(source, "read"):
        data = source.read(MAX_FILE_BYTES + 1)
        if not isinstance(data, bytes):
            raise TypeError(
                f"model file: expected one opened in binary mode, got {type(data).__name__} from read()"
            )
        return data, str(getattr(source, "name", "model from a file object"))
    raise TypeError(
        "model: expected a shipped name, a path, bytes or a binary file object, "
        f"got {type(source).__name__}"
    )


def _find(source: str | os.PathLike[str]) -> Path:
    """Return the path of a shipped model or of a file; a string that is a shipped name is that."""
    if isinstance(source, str) and source in models():
        return model_path(source)
    from pathlib import Path

    path = Path(source)
    if isinstance(source, str) and path.name == source and not path.suffix and not path.exists():
        raise FileNotFoundError(f"{unknown('model', source, models())}, and no file has this name")
    return path
