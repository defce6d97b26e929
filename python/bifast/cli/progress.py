"""Progress over many items on the terminal: a bar where rich is installed, else a line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")


def track(
    items: Iterable[Item], label: str, *, quiet: bool, total: int | None = None
) -> Iterator[Item]:
    """Yield the items and show how far it is on stderr, unless quiet, one item, or no terminal.

    `total` is their number, where they do not tell it themselves.
    """
    count = total if total is not None else len(items) if isinstance(items, Sized) else 0
    if quiet or count < 2 or not sys.stderr.isatty():
        yield from items
        return
    try:
        from rich.console import Console
        from rich.progress import track as rich_track
    except ImportError:
        yield from _lines(items, label, count)
    else:
        yield from rich_track(
            items, label, total=count, console=Console(stderr=True), transient=True
        )


def _lines(items: Iterable[Item], label: str, count: int) -> Iterator[Item]:
    """Count on one line that is rewritten."""
    for index, item in enumerate(items):
        print(f"\r{label} {index + 1}/{count}", end="", file=sys.stderr, flush=True)
        yield item
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
