"""Progress over many items on the terminal: a bar where rich is installed, else a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Sequence[Item], label: str, *, quiet: bool) -> Iterator[Item]:
    """Yield the items and show how far it is on stderr, unless quiet, one item, or no terminal."""
    if quiet or len(items) < 2 or not sys.stderr.isatty():
        yield from items
        return
    try:
        from rich.console import Console
        from rich.progress import track as rich_track
    except ImportError:
        yield from _lines(items, label)
    else:
        yield from rich_track(items, label, console=Console(stderr=True), transient=True)


def _lines(items: Sequence[Item], label: str) -> Iterator[Item]:
    """Count on one line that is rewritten."""
    for index, item in enumerate(items):
        print(f"\r{label} {index + 1}/{len(items)}", end="", file=sys.stderr, flush=True)
        yield item
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
