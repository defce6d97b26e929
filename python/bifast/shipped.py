"""The models and the demo sounds inside the package."""

from __future__ import annotations

from pathlib import Path

from bifast.names import unknown

_ROOT = Path(__file__).parent
DEFAULT_MODEL = "bifsmn"


def models() -> tuple[str, ...]:
    """Return the names of the shipped models, which `Model.load` takes."""
    return tuple(sorted(path.stem for path in (_ROOT / "models").glob("*.bifast")))


def model_path(name: str) -> Path:
    """Return the file of a shipped model.

    Raises
    ------
    FileNotFoundError
        If no model has this name.
    """
    path = _ROOT / "models" / f"{name}.bifast"
    if name not in models():
        raise FileNotFoundError(unknown("model", name, models()))
    return path


def sounds() -> tuple[Path, ...]:
    """Return the demo sounds `<word>-<voice>.wav`, one second each (tools/make_sounds.py)."""
    return tuple(sorted((_ROOT / "sounds").glob("*-*.wav")))


def sentence() -> Path:
    """Return the demo sound that has several words with pauses between them."""
    return _ROOT / "sounds" / "sentence.wav"
