"""Task sc11: the eleven words that have training clips, a closed set; for comparing nets."""

from __future__ import annotations

from bifast.train.data.folder import DataFolder
from bifast.train.data.task import TASKS, Example, Task


class Sc11(Task):
    """Official splits; no unknown, no silence."""

    name = "sc11"
    labels = (
        "yes",
        "no",
        "up",
        "down",
        "left",
        "right",
        "stop",
        "go",
        "bed",
        "cat",
        "happy",
    )

    def examples(self, folder: DataFolder, split: str) -> list[Example]:
        """Return one example a clip; `extra` is empty."""
        return [
            Example(self.labels.index(clip.word), clip.word, clip)
            for clip in folder.clips("keyword", split, self.labels)
        ]


TASKS.register("sc11")(Sc11())
