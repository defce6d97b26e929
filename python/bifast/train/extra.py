"""The packages of the extra `train`: a clear word when one of them is missing."""

from __future__ import annotations

import importlib.util

from bifast.errors import UnsupportedError

PACKAGES = ("torch", "soundfile", "soxr", "rich", "matplotlib")


def require() -> None:
    """Raise `UnsupportedError` that names the missing packages, if any is.

    The same for `train`, `eval` and `export`: tasks and reports lie beside the nets.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UnsupportedError(
            f"training needs {', '.join(missing)}: install it with pip install 'bifast[train]'"
        )
