"""Packages of the extras: imported where they are needed, named where they are missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bifast.errors import UnsupportedError


def extra(package: str, reason: str, group: str = "audio") -> Any:
    """Import a package of an extra.

    Raises
    ------
    UnsupportedError
        If it is not installed; `reason` begins the message, which says how to get it.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise UnsupportedError(
            f"{reason}: needs the package {package}; pip install 'bifast[{group}]' ({error})"
        ) from None
