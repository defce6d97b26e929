"""The errors that bifast raises for a model file; everything else is a built-in exception."""

from __future__ import annotations


class BifastError(Exception):
    """Base of the errors that only bifast raises."""


class FormatError(BifastError, ValueError):
    """The bytes are not a valid `.bifast` model (docs/format.md)."""


class UnsupportedError(BifastError, RuntimeError):
    """A file newer than this reader, or an instruction set that this CPU lacks."""
