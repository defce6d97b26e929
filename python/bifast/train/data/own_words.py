"""Task folder: the words are the folders that the data have."""

from __future__ import annotations

from collections import Counter

from bifast.train.data.folder import DataFolder
from bifast.train.data.task import TASKS, Example, Task, background, tenth

UNKNOWN, SILENCE = "unknown", "silence"
# One recording for each of training, validation and testing.
_FEWEST = 3


class OwnWords(Task):
    """A class for each word, `unknown` if there is a folder of that, `silence` if there is noise.

    Parameters
    ----------
    labels
        Empty until the task has met a folder or a trained net.
    """

    name = "folder"

    def __init__(self, labels: tuple[str, ...] = ()) -> None:
        self.labels = labels

    def for_folder(self, folder: DataFolder) -> Task:
        """Take the words of a folder.

        Raises
        ------
        ValueError
            If there are fewer than two classes, or a word has fewer than three recordings.
        """
        counts = Counter(c.word for c in folder.clips("keyword"))
        few = [f"{word} ({n})" for word, n in sorted(counts.items()) if n < _FEWEST]
        if few:
            raise ValueError(
                f"{folder.path}: a word needs at least {_FEWEST} recordings, one each for training, "
                f"validation and testing; too few: {', '.join(few)}"
            )
        labels = [word for word in sorted(counts) if word != UNKNOWN]
        labels += [UNKNOWN] if UNKNOWN in counts else []
        labels += [SILENCE] if folder.clips("silence") or folder.clips("noise") else []
        if len(labels) < 2:
            raise ValueError(
                f"{folder.path}: only one class, {', '.join(labels)}; a net needs two: add a folder of "
                f"another word, of other words ({UNKNOWN}), or of noise (_background_noise_)"
            )
        return OwnWords(tuple(labels))

    def for_labels(self, labels: tuple[str, ...]) -> Task:
        """Take the labels of a trained net."""
        return OwnWords(labels)

    def examples(self, folder: DataFolder, split: str) -> list[Example]:
        """Return the examples of a split; `extra` is empty.

        Raises
        ------
        ValueError
            If the folder has words that are no labels, and there is no label for unknown words.
        """
        index = {label: i for i, label in enumerate(self.labels)}
        clips = folder.clips("keyword", split)
        strangers = sorted({c.word for c in clips} - index.keys())
        if strangers and UNKNOWN not in index:
            raise ValueError(
                f"{folder.path}: {', '.join(strangers)} are no labels of the model "
                f"({', '.join(self.labels)}), which has none for unknown words"
            )
        found = [Example(index.get(c.word, index.get(UNKNOWN, 0)), c.word, c) for c in clips]
        if SILENCE in index and found:
            label = index[SILENCE]
            silences = [Example(label, SILENCE, c) for c in folder.clips("silence", split)]
            found += silences or background(folder, split, label, tenth(len(found)))
        return found

    def spoken(self) -> dict[str, int]:
        """Return the words."""
        return {w: i for i, w in enumerate(self.labels) if w not in (UNKNOWN, SILENCE)}


TASKS.register(OwnWords.name)(OwnWords())
