"""Named lists of things that can be chosen by name: binarizers, nets, losses, tasks, exporters."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


def nearest(name: str, known: list[str]) -> str:
    """Say which known name is closest to a wrong one.

    Parameters
    ----------
    name
        The name that was not found.
    known
        The names that exist.

    Returns
    -------
    str
        The known names, after `did you mean 'x'?` when one is close.
    """
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    told = "known: " + ", ".join(known)
    return f"did you mean {close[0]!r}? {told}" if close else told


class Registry(Generic[T]):
    """A dictionary that is filled by a decorator and explains a wrong name.

    Parameters
    ----------
    kind
        What it holds, in one word; used in error messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files an object under `name`; a name is given only once."""

        def add(item: T) -> T:
            if name in self._items:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._items[name] = item
            return item

        return add

    def __getitem__(self, name: str) -> T:
        """Return the object called `name`; `ValueError` names the nearest one if there is none."""
        if name not in self._items:
            raise ValueError(f"unknown {self.kind} {name!r}; {nearest(name, self.names())}")
        return self._items[name]

    def name_of(self, item: T) -> str:
        """Return the name under which an object is filed; `KeyError` if it is not."""
        for name, known in self._items.items():
            if known is item:
                return name
        raise KeyError(f"no {self.kind}: {item!r}")

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in order of registration."""
        return iter(self._items)

    def names(self) -> list[str]:
        """Return all names, in order of registration."""
        return list(self._items)
