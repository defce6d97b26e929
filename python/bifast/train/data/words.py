"""Closed sets of words: sc11, and the 20, 30 and 35 words of Speech Commands; no unknown, no silence."""

from __future__ import annotations

from bifast.train.data.folder import DataFolder
from bifast.train.data.task import TASKS, Example, Task

COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
OTHERS = ("bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila", "tree", "wow")
V2_OTHERS = ("backward", "follow", "forward", "learn", "visual")


class Words(Task):
    """All recordings of some words in their official splits; other words are dropped.

    Parameters
    ----------
    name, labels
        Of the task.
    """

    def __init__(self, name: str, labels: tuple[str, ...]) -> None:
        self.name = name
        self.labels = labels

    def examples(self, folder: DataFolder, split: str) -> list[Example]:
        """Return one example a clip; `extra` is empty."""
        return [
            Example(self.labels.index(clip.word), clip.word, clip)
            for clip in folder.clips("keyword", split, self.labels)
        ]

    def spoken(self) -> dict[str, int]:
        """Return the words."""
        return {word: index for index, word in enumerate(self.labels)}


def _add(name: str, labels: tuple[str, ...]) -> None:
    TASKS.register(name)(Words(name, labels))


# The eleven words that have training clips in the project's data: to compare nets.
_add("sc11", ("yes", "no", "up", "down", "left", "right", "stop", "go", "bed", "cat", "happy"))
_add("words20", COMMANDS + DIGITS)
_add("words30", COMMANDS + DIGITS + OTHERS)
_add("words35", COMMANDS + DIGITS + OTHERS + V2_OTHERS)
