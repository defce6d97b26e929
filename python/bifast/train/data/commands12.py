"""The 12 classes of Speech Commands, official (balanced) and as BiFSMN's code makes them."""

from __future__ import annotations

from bifast.train.data.clip import Clip
from bifast.train.data.commands8 import OTHER_WORDS
from bifast.train.data.folder import DataFolder
from bifast.train.data.task import TASKS, Example, Task, background, some, tenth
from bifast.train.data.words import COMMANDS


class Commands12(Task):
    """Ten commands, `unknown` and `silence`, the latter two 10 % of the commands each.

    Notes
    -----
    `prepare_data_index` of TensorFlow's speech_commands recipe, and how the official test sets were
    made: unknown is drawn from all other words of the split, silence from the background
    recordings at a volume of 0 to 1. Where the data have silence clips (a test set), these are it.
    """

    name = "commands12"
    labels = (*COMMANDS, "unknown", "silence")
    unknown = len(COMMANDS)
    silence = len(COMMANDS) + 1

    def examples(self, folder: DataFolder, split: str) -> list[Example]:
        """Return the examples of a split; `extra` is empty."""
        clips = folder.clips("keyword", split)
        words = [self._word(c) for c in clips if c.word in COMMANDS]
        others = [self._word(c) for c in clips if c.word not in COMMANDS]
        return words + self._rest(folder, split, words, others)

    def _word(self, clip: Clip) -> Example:
        known = clip.word in COMMANDS
        return Example(COMMANDS.index(clip.word) if known else self.unknown, clip.word, clip)

    def _rest(
        self, folder: DataFolder, split: str, words: list[Example], others: list[Example]
    ) -> list[Example]:
        share = tenth(len(words))
        silences = [Example(self.silence, "silence", c) for c in folder.clips("silence", split)]
        silences = silences or background(folder, split, self.silence, share)
        return some(others, share, split) + silences

    def spoken(self) -> dict[str, int]:
        """Return the commands, and the unknown words of commands8."""
        words = {word: index for index, word in enumerate(COMMANDS)}
        return words | {word: self.unknown for word in OTHER_WORDS}


class Commands12Papers(Commands12):
    """The 12 classes as in the papers' released code: not comparable with the official test.

    Every clip of every other word is unknown, which makes more than half of the full sets unknown;
    silence is 10 % of zero clips, in every split.
    """

    name = "commands12-papers"

    def _rest(
        self, folder: DataFolder, split: str, words: list[Example], others: list[Example]
    ) -> list[Example]:
        zeros = Example(self.silence, "zeros", made="zeros")
        return others + [zeros] * ((len(words) + len(others)) // 10)


for _task in (Commands12(), Commands12Papers()):
    TASKS.register(_task.name)(_task)
