"""The errors that bifast raises for a file; everything else is a built-in exception."""

from __future__ import annotations


class BifastError(Exception):
    """Base of the errors that only bifast raises."""


class FormatError(BifastError, ValueError):
    """The bytes are not a valid `.bifast` model (docs/format.md), or not a sound file."""


class UnsupportedError(BifastError, RuntimeError):
    """A file newer than this reader, an instruction set that this CPU lacks, a missing package."""
