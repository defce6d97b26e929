"""The models and the demo sounds inside the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bifast.names import unknown

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_MODEL = "bifsmn"


def _root() -> Path:
    """Return the package's folder; pathlib is imported late because `import bifast` has no need of it."""
    from pathlib import Path

    return Path(__file__).parent


def models() -> tuple[str, ...]:
    """Return the names of the shipped models, which `Model.load` takes."""
    return tuple(sorted(path.stem for path in (_root() / "models").glob("*.bifast")))


def model_path(name: str) -> Path:
    """Return the file of a shipped model.

    Raises
    ------
    FileNotFoundError
        If no model has this name.
    """
    path = _root() / "models" / f"{name}.bifast"
    if name not in models():
        raise FileNotFoundError(unknown("model", name, models()))
    return path


def sounds() -> tuple[Path, ...]:
    """Return the demo sounds `<word>-<voice>.wav`, one second each (tools/make_sounds.py)."""
    return tuple(sorted((_root() / "sounds").glob("*-*.wav")))


def sentence() -> Path:
    """Return the demo sound that has several words with pauses between them."""
    return _root() / "sounds" / "sentence.wav"
