"""Which files a command line names: files as they are, folders searched for sounds or images."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

from bifast import audio


def find(
    names: list[str], suffixes: Container[str] = audio.SUFFIXES, kind: str = "sound"
) -> tuple[list[str], list[str]]:
    """Return the files to read, folders searched in order of names, and the files skipped there.

    ValueError if there is none to read.
    """
    files: list[str] = []
    skipped: list[str] = []
    for name in names:
        if name == "-" or not Path(name).is_dir():
            files.append(name)
            continue
        for folder, folders, members in os.walk(name):
            folders.sort()
            for member in sorted(members):
                suffix = Path(member).suffix.lower()
                path = Path(folder) / member
                # A pipe or a device would block; a broken link is read, and named as failed.
                special = path.exists() and not path.is_file()
                known = suffix in suffixes and not member.startswith(".") and not special
                (files if known else skipped).append(str(path))
    if not files:
        left_out = f"; {tell_skipped(skipped, kind)}" if skipped else ""
        raise ValueError(f"expected {kind} files, found none in {', '.join(names)}{left_out}")
    return files, skipped


def tell_skipped(skipped: list[str], kind: str = "sound") -> str:
    """Say what was left out."""
    names = ", ".join(skipped[:3]) + (", ..." if len(skipped) > 3 else "")
    return f"skipped {len(skipped)} that are no {kind}: {names}"


def describe(name: str, error: Exception) -> str:
    """Name the file and the fault; an OSError says the file itself."""
    shown = "stdin" if name == "-" else name
    if isinstance(error, OSError) and error.strerror:
        return f"{shown}: {error.strerror}"
    return f"{shown}: {error or type(error).__name__}"
