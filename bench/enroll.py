"""How well words enrolled from five recordings are heard: writes the table of docs/enroll.md.

    python bench/enroll.py [--draws N] [--model NAME] [--data DIR]

For each wake word in the data: five recordings drawn at random (those that `enroll` refuses are drawn again), the
column learnt on the shipped negatives, then the detector on all other recordings of the word and on continuous
speech of speakers that neither the net nor the negatives come from. Every window comes from `Model.scan`, whose scores
are those of a stream; events are `Detector`'s.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import bifast
from bifast.atomic import write_atomic
from bifast.cli.progress import track
from bifast.enroll import learn
from bifast.enroll.backbone import Backbone
from bifast.enroll.calibrate import peaks, smooth
from bifast.enroll.learn import HOP, SMOOTHING
from bifast.enroll.negatives import shipped
from bifast.enroll.recording import Recording, RefusedError, find_word
from bifast.format import FRONTEND_PAPER
from bifast.intervals import binomial_interval, poisson_interval
from bifast.train.data import DataFolder, find_data
from bifast.train.data.embed import kept_for_measuring

COUNT = 5
OUT = Path(__file__).parents[1] / "docs" / "enroll.md"
MARK = "<!-- bench/enroll.py -->"
TITLES = (
    "| word | trials | heard at <= 1 false accept an hour, % | heard at the written threshold, % | "
    "false accepts an hour there |"
)
Wave = NDArray[np.float32]


class Enrolment(NamedTuple):
    """One word in one draw: what was learnt, and the numbers of the recordings that it was not learnt from."""

    word: str
    found: learn.Enrolled
    rest: list[int]


def speech(folder: DataFolder) -> list[Wave]:
    """Return the continuous speech that nothing was learnt from."""
    clips = [c for c in folder.clips("speech") if c.split == "testing" or kept_for_measuring(c)]
    return [w for w in map(folder.wave, clips) if w is not None]


def draw(waves: list[Wave], seed: int) -> list[int]:
    """Draw five recordings of a word that can be used."""
    chosen: list[int] = []
    for index in np.random.default_rng(seed).permutation(len(waves)):
        try:
            found: Recording = find_word(str(index), waves[index], 16000)
        except RefusedError:
            continue
        chosen.append(int(found.name))
        if len(chosen) == COUNT:
            break
    return chosen


def enroll(model: bifast.Model, word: str, waves: list[Wave], seed: int) -> Enrolment:
    """Learn a word from one draw."""
    chosen = draw(waves, seed)
    takes = [(str(i), waves[i]) for i in chosen]
    found = learn.enroll(model, word, takes, shipped(FRONTEND_PAPER), seed=seed, check=False)
    return Enrolment(word, found, [i for i in range(len(waves)) if i not in chosen])


def join(model: bifast.Model, words: list[Enrolment]) -> bifast.Model:
    """Return a model with the columns of all, so that each sound is scanned once.

    Columns do not see each other: the logits are those of the models with one of them.
    """
    for number, (word, found, _) in enumerate(words):
        op, tensors = found.file.ops[-1], found.file.tensors
        weights, scale, shift = (
            tensors[i or 0].array[..., -1].astype(np.float32)
            for i in (op.weights, op.scale, op.shift)
        )
        setting = model_words(found)[word]
        file = Backbone(model).with_word(
            f"{word}#{number}", weights * scale[0], float(shift[0]), setting, {}
        )
        model = bifast.Model(file.to_bytes())
    return model


def model_words(found: learn.Enrolled) -> dict[str, bifast.Word]:
    """Return the settings of an enrolled file's words."""
    return bifast.Model(found.file.to_bytes()).words


def alone(scan: bifast.Scan, old: int, number: int) -> bifast.Scan:
    """Return what a model with the first `old` labels and one of the words says."""
    kept = [*range(old), old + number]
    return bifast.Scan(
        tuple(scan.labels[i] for i in kept),
        scan.starts,
        scan.logits[:, kept],
        window=scan.window,
        sample_rate=scan.sample_rate,
    )


def lead(scan: bifast.Scan, count: int) -> NDArray[np.float32]:
    """Return the smoothed logit of the last label in each window, as the detector smooths."""
    rest = scan.logits[:, :-1]
    top = rest.max(axis=1)
    others = np.log(np.exp(rest - top[:, None]).sum(axis=1)) + top
    return smooth(scan.logits[:, -1] - others, count)


class Ears:
    """All words on one net."""

    def __init__(self, model: bifast.Model, words: list[Enrolment]) -> None:
        self.old = len(model.labels)
        self.model = join(model, words)
        self.hop = round(HOP * model.sample_rate / model.hop) * model.hop

    def scan(self, waves: list[Wave]) -> list[bifast.Scan]:
        """Return the scores of all words in each recording."""
        return [self.model.scan(w, hop=HOP) for w in track(waves, "scan", quiet=False)]

    def leads(self, scans: list[bifast.Scan], number: int) -> list[NDArray[np.float32]]:
        """Return the smoothed logits of a word in each recording."""
        count = max(1, round(SMOOTHING * self.model.sample_rate / self.hop))
        return [lead(alone(scan, self.old, number), count) for scan in scans]

    def heard(self, scans: list[bifast.Scan], number: int) -> list[int]:
        """Return for each recording how many events a detector finds at the written threshold."""
        name = self.model.labels[self.old + number]
        counts = []
        for scan in scans:
            one = alone(scan, self.old, number)
            detector = bifast.Detector(
                one.labels,
                hop=self.hop,
                sample_rate=scan.sample_rate,
                words={name: self.model.words[name]},
            )
            counts.append(len(detector.update(one)))
        return counts


def row(
    ears: Ears,
    number: int,
    own: list[bifast.Scan],
    background: list[bifast.Scan],
    hours: float,
) -> list[float]:
    """Return trials, hits at the best threshold, hits and false accepts at the written one, hours."""
    heights = [h for s in ears.leads(background, number) for h in peaks(s, 8)]
    # One fewer than so many reach beyond it: at most one an hour.
    threshold = np.sort(heights)[::-1][int(hours)]
    best = [float(s.max()) > threshold for s in ears.leads(own, number)]
    hits = [count > 0 for count in ears.heard(own, number)]
    return [len(own), sum(best), sum(hits), sum(ears.heard(background, number)), hours]


def line(word: str, sums: NDArray[np.float64]) -> str:
    """Write one row; the draws share recordings and speech, so intervals are of their sums."""
    trials, best, hits, false, hours = sums
    cells = []
    for count in (best, hits):
        low, high = binomial_interval(int(count), int(trials))
        cells.append(f"{100 * count / trials:.1f} ({100 * low:.1f} .. {100 * high:.1f})")
    low, high = poisson_interval(int(false))
    cells.append(f"{false / hours:.2f} ({low / hours:.2f} .. {high / hours:.2f})")
    return f"| {word} | {int(trials)} | " + " | ".join(cells) + " |"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--model", default="bifast-embed")
    parser.add_argument("--data")
    args = parser.parse_args()
    folder = DataFolder(find_data(args.data))
    model = bifast.Model.load(args.model)
    recordings = {}
    for word in sorted({c.word for c in folder.clips("wakeword")}):
        clips = folder.clips("wakeword", words=[word])
        recordings[word] = [w for w in map(folder.wave, clips) if w is not None]
    pairs = [(word, seed) for word in recordings for seed in range(args.draws)]
    words = [enroll(model, w, recordings[w], s) for w, s in track(pairs, "enrolments", quiet=False)]
    ears = Ears(model, words)
    waves = speech(folder)
    hours = sum(w.size for w in waves) / 16000 / 3600
    background = ears.scan(waves)
    lines, total = [TITLES, "| --- | ---: | ---: | ---: | ---: |"], np.zeros(5)
    for word, own in recordings.items():
        scans, sums = ears.scan(own), np.zeros(5)
        for number, (name, _, rest) in enumerate(words):
            if name == word:
                sums += row(ears, number, [scans[i] for i in rest], background, hours)
        total += sums
        lines.append(line(word.replace("_", " "), sums))
    lines.append(line("all", total))
    print("\n".join(lines))
    before, _, after = OUT.read_text(encoding="utf-8").split(MARK)
    table = "\n".join(["", *lines, ""])
    write_atomic(OUT, lambda beside: beside.write_text(MARK.join([before, table, after]), "utf-8"))


if __name__ == "__main__":
    main()
