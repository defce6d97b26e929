"""Task commands8: eight commands, unknown, silence; the unknown test words are never trained."""

from __future__ import annotations

import dataclasses

from bifast.train.data.clip import Clip
from bifast.train.data.folder import DataFolder
from bifast.train.data.task import TASKS, Example, Task, cuts, hiss
from bifast.train.data.vocabulary import VOCABULARY

WORDS = ("yes", "no", "up", "down", "left", "right", "stop", "go")

# Never in training or validation, neither recorded nor synthesized: the unknown words of the test.
NEVER_TRAINED = (
    "on",
    "off",
    "backward",
    "forward",
    "follow",
    "learn",
    "visual",
    "bird",
    "dog",
    "house",
    "marvin",
    "sheila",
    "tree",
    "wow",
)

# Near the commands in sound, or common. No homophones of commands (know, write), none of the words above.
_NEAR_WORDS = """
yet yell yesterday guess less mess dress us yeah
now nose note none not know-how narrow snow low so toe row
cup app pup but bup hub hop ape oh
town done gown dawn drown round doubt sound around tan
lift loft let lest laugh leaf lap leg theft slept
ride light night bright rice ripe rat rate read wide fright
step shop top stock stuff star spot stay strong stomp
goat glow goal gum god girl grow get give ghost
play pause open close start begin next back volume music lights
hello thanks please morning water coffee window kitchen table number
monday tuesday friday january apple banana orange green yellow purple
one two three four five six seven eight nine zero ten eleven twelve
cat bed happy computer alexa jarvis hey okay well and the that this what
people about because between question answer running simple seventy weather
""".split()  # noqa: SIM905 (a hundred and fifty lines otherwise)

# Spoken by synthetic voices as unknown.
OTHER_WORDS = _NEAR_WORDS + [
    word
    for word in VOCABULARY
    if word not in _NEAR_WORDS and not {*WORDS, *NEVER_TRAINED} & set(word.split("-"))
]


class Commands8(Task):
    """Eight commands, `unknown` and `silence`.

    Training: all recorded words but `NEVER_TRAINED`, digits, wake words, cut sentences, synthetic
    words; silence from background recordings and quiet noise. Testing: commands and silence of the
    official test split, and the testing clips of `NEVER_TRAINED` as unknown. Extra, reported but
    not counted: testing clips of trained unknown words, cut sentences, other noise.
    """

    name = "commands8"
    labels = (*WORDS, "unknown", "silence")
    unknown = len(WORDS)
    silence = len(WORDS) + 1

    def _word(self, clip: Clip) -> Example:
        known = clip.word in WORDS
        return Example(WORDS.index(clip.word) if known else self.unknown, clip.word, clip)

    def examples(self, folder: DataFolder, split: str) -> list[Example]:
        """Return the examples of a split."""
        words = folder.clips("keyword", split if split != "extra" else "testing")
        trained = [c for c in words if c.word not in NEVER_TRAINED]
        if split == "training":
            return self._balance([self._word(c) for c in trained]) + self._others(folder)
        if split == "validation":
            quiet = [hiss(self.silence, 900_000 + i, -85 + i) for i in range(50)]
            return [self._word(c) for c in trained] + quiet
        if split == "testing":
            tested = [c for c in words if c.word in WORDS or c.word in NEVER_TRAINED]
            silences = [
                Example(self.silence, "silence", c) for c in folder.clips("silence", "testing")
            ]
            return [self._word(c) for c in tested] + silences
        seen = [self._word(c) for c in trained if c.word not in WORDS]
        return seen + self._running(folder, "testing", 2.0)

    def _balance(self, examples: list[Example]) -> list[Example]:
        """Draw the commands with few recordings twice an epoch."""
        counts: dict[str, int] = {}
        for e in examples:
            counts[e.group] = counts.get(e.group, 0) + 1
        return [
            dataclasses.replace(e, repeat=2) if e.group in WORDS and counts[e.group] < 1500 else e
            for e in examples
        ]

    def _running(self, folder: DataFolder, split: str, every: float) -> list[Example]:
        """Cut sentences (unknown) and environmental noise (silence) into seconds."""
        found = []
        for clip in folder.clips("speech", split):
            found += cuts(clip, self.unknown, "sentence", every)
        for clip in folder.clips("noise", split):
            found += cuts(clip, self.silence, "noise", 1.0 if clip.samples > 320_000 else 2.5)
        return found

    def _others(self, folder: DataFolder) -> list[Example]:
        found = self._running(folder, "training", 2.0)
        for clip in folder.clips("digit8k", "training"):
            found.append(Example(self.unknown, "digit", clip))
        for clip in folder.clips("wakeword", "training"):
            found.append(Example(self.unknown, clip.word, clip, 0, clip.samples))
        quiet = [hiss(self.silence, i, -100 + 70 * i / 300) for i in range(300)]
        return found + quiet

    def spoken(self) -> dict[str, int]:
        """Return the commands and `OTHER_WORDS`."""
        words = {word: index for index, word in enumerate(WORDS)}
        return words | {word: self.unknown for word in OTHER_WORDS}


TASKS.register("commands8")(Commands8())
