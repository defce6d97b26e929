"""Error text for a name that is not one of a few."""

from __future__ import annotations

from collections.abc import Sequence


def unknown(kind: str, name: object, known: Sequence[str]) -> str:
    """Say that `name` is no `kind`, list the known names and suggest the nearest."""
    import difflib

    text = f"unknown {kind} {name!r}: expected one of {', '.join(known) or '(none)'}"
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"{text}; did you mean {near[0]!r}?" if near else text
