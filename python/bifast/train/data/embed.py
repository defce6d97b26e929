"""Task embed: as many words and voices as there are, to train a backbone on which other words can be enrolled."""

from __future__ import annotations

import hashlib

from bifast.train.data.clip import Clip
from bifast.train.data.folder import DataFolder
from bifast.train.data.task import TASKS, Example, Task, cuts, hiss
from bifast.train.data.vocabulary import VOCABULARY
from bifast.train.data.words import COMMANDS, DIGITS, OTHERS, V2_OTHERS

RECORDED = (*COMMANDS, *DIGITS, *OTHERS, *V2_OTHERS)


def kept_for_measuring(clip: Clip) -> bool:
    """Whether nothing may be trained on a recording of running speech, a function of its speaker alone.

    Half of the training split's speakers: what is measured on them (false accepts of words enrolled on the
    net) is measured on voices that neither the net nor the negatives in the package come from.
    """
    return hashlib.sha256(clip.speaker.encode()).digest()[0] % 2 == 1


class Embed(Task):
    """Every recorded word, every word of `VOCABULARY`, running speech as `unknown`, noise as `silence`.

    The recordings of wake words are in no split: words that are enrolled are measured on them. Of running
    speech, only speakers that are not `kept_for_measuring` are trained on.
    """

    name = "embed"
    labels = ("unknown", "silence", *RECORDED, *VOCABULARY)
    unknown, silence = 0, 1

    def examples(self, folder: DataFolder, split: str) -> list[Example]:
        """Return the examples of a split; `extra` is empty."""
        index = self.spoken()
        clips = folder.clips("keyword", split, RECORDED)
        if split == "training":
            clips = clips + folder.clips("digit8k", split, RECORDED)
        words = [Example(index[clip.word], clip.word, clip) for clip in clips]
        return words + (self._others(folder) if split == "training" else [])

    def _others(self, folder: DataFolder) -> list[Example]:
        found = []
        for clip in folder.clips("speech", "training"):
            if not kept_for_measuring(clip):
                found += cuts(clip, self.unknown, "sentence", 1.0)
        for clip in folder.clips("noise", "training"):
            found += cuts(clip, self.silence, "noise", 1.0 if clip.samples > 320_000 else 2.5)
        return found + [hiss(self.silence, i, -100 + 70 * i / 300) for i in range(300)]

    def spoken(self) -> dict[str, int]:
        """Return all words."""
        return {word: index for index, word in enumerate(self.labels) if index > self.silence}


TASKS.register(Embed.name)(Embed())
