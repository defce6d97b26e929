"""How well words enrolled from five recordings are heard: writes the table of docs/enroll.md.

    python bench/enroll.py [--draws N] [--model NAME] [--data DIR]

For each wake word in the data: five recordings drawn at random (those that `enroll` refuses are drawn again), the
column learnt on the shipped negatives, then the detector on all other recordings of the word and on continuous
speech of speakers that neither the net nor the negatives come from. Every window comes from `Model.scan`, whose scores
are those of a stream; events are `Detector`'s.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import bifast
from bifast.atomic import write_atomic
from bifast.cli.progress import track
from bifast.enroll import learn
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
Wave = NDArray[np.float32]


def speech(folder: DataFolder) -> list[Wave]:
    """Return the continuous speech that nothing was learnt from."""
    clips = [c for c in folder.clips("speech") if c.split == "testing" or kept_for_measuring(c)]
    return [w for w in map(folder.wave, clips) if w is not None]


def draw(waves: list[Wave], seed: int) -> tuple[list[tuple[str, Wave]], list[Wave]]:
    """Draw five recordings of a word that can be used; return them and all others."""
    order = np.random.default_rng(seed).permutation(len(waves))
    chosen: list[int] = []
    for index in order:
        try:
            found: Recording = find_word(str(index), waves[index], 16000)
        except RefusedError:
            continue
        chosen.append(int(found.name))
        if len(chosen) == COUNT:
            break
    return [(str(i), waves[i]) for i in chosen], [
        w for i, w in enumerate(waves) if i not in set(chosen)
    ]


def scores(model: bifast.Model, word: str, waves: list[Wave]) -> Iterator[NDArray[np.float32]]:
    """Yield the smoothed logit of each window of each recording, as the detector smooths."""
    index = model.labels.index(word)
    for wave in waves:
        logits = model.scan(wave, hop=HOP).logits
        rest = np.delete(logits, index, axis=1)
        others = np.log(np.exp(rest - rest.max(axis=1, keepdims=True)).sum(axis=1)) + rest.max(
            axis=1
        )
        yield smooth(logits[:, index] - others, round(SMOOTHING / (4 * model.hop / 16000)))


def heard(model: bifast.Model, word: str, waves: list[Wave]) -> list[int]:
    """Return for each recording how many events a listener finds at the calibrated threshold."""
    counts = []
    for wave in waves:
        with model.listen({word: None}, hop=HOP, pre_roll=0.0) as listener:
            counts.append(len(listener.push(wave)) + len(listener.flush()))
    return counts


def measure(
    model: bifast.Model, word: str, waves: list[Wave], background: list[Wave], seed: int
) -> list[float]:
    """Enrol once; return hits, trials, calibrated hits and false accepts, expected rate, hits at the best threshold."""
    chosen, rest = draw(waves, seed)
    negatives = shipped(FRONTEND_PAPER)
    found = learn.enroll(model, word, chosen, negatives, seed=seed, check=False)
    enrolled = bifast.Model(found.file.to_bytes())
    events = np.sort([h for s in scores(enrolled, word, background) for h in peaks(s, 8)])[::-1]
    hours = sum(w.size for w in background) / 16000 / 3600
    threshold = events[int(hours)]  # one fewer than so many reach beyond it: at most one an hour
    best = [float(s.max()) for s in scores(enrolled, word, rest)]
    hits = sum(c > 0 for c in heard(enrolled, word, rest))
    false = sum(heard(enrolled, word, background))
    return [len(rest), sum(b > threshold for b in best), hits, false, found.expected, hours]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--model", default="bifast-embed")
    parser.add_argument("--data")
    args = parser.parse_args()
    folder = DataFolder(find_data(args.data))
    model = bifast.Model.load(args.model)
    background = speech(folder)
    words = sorted({c.word for c in folder.clips("wakeword")})
    titles = (
        "| word | trials | heard at <= 1 false accept an hour, % | heard at the written threshold, % | "
        "false accepts an hour there |"
    )
    lines = [
        titles,
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    total = np.zeros(6)
    for word in track(words, "words", quiet=False):
        clips = folder.clips("wakeword", words=[word])
        waves = [w for w in map(folder.wave, clips) if w is not None]
        rows = [measure(model, word, waves, background, s) for s in range(args.draws)]
        total += np.sum(rows, axis=0)
        lines.append(line(word.replace("_", " "), np.sum(rows, axis=0)))
        print(lines[-1], flush=True)
    lines.append(line("all", total))
    before, _, after = OUT.read_text(encoding="utf-8").split(MARK)
    table = "\n".join(["", *lines, ""])
    write_atomic(OUT, lambda beside: beside.write_text(MARK.join([before, table, after]), "utf-8"))
    print(lines[-1])


def line(word: str, sums: NDArray[np.float64]) -> str:
    """Write one row; the draws share recordings and speech, so intervals are of their sums."""
    trials, best, hits, false, _, hours = sums
    cells = []
    for count in (best, hits):
        low, high = binomial_interval(int(count), int(trials))
        cells.append(f"{100 * count / trials:.1f} ({100 * low:.1f} .. {100 * high:.1f})")
    low, high = poisson_interval(int(false))
    cells.append(f"{false / hours:.2f} ({low / hours:.2f} .. {high / hours:.2f})")
    return f"| {word} | {int(trials)} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
