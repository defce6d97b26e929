"""Make the negatives in the package from the data folder: features of speech, words and noise, in 54 KB.

    python tools/make_negatives.py [DATA]       needs the extra `train`

Only recordings of the training split, none of speakers `kept_for_measuring`, none of wake words.
"""

from __future__ import annotations

import io
import lzma
import sys
from collections.abc import Iterator

import numpy as np

import bifast
from bifast.enroll.negatives import BLOCK, SHIPPED, Negative, compress
from bifast.train.data import TASKS, DataFolder, find_data
from bifast.train.data.clip import Clip
from bifast.train.data.embed import kept_for_measuring

STEP = 40.0
# Blocks of 16 frames (half a second) of each sentence at most, word and noise; how many words and noises.
SPEECH_BLOCKS, WORD_BLOCKS, NOISE_BLOCKS = 32, 2, 4
# Of a sentence at least: a window.
LEAST_SPEECH = 2
EACH_WORD, NOISES = 5, 32


def pieces(
    folder: DataFolder,
    model: bifast.Model,
    clips: list[Clip],
    kind: str,
    blocks: int,
    least: int | None = None,
) -> Iterator[Negative]:
    """Cut one piece of so many blocks out of each clip, at a random place; of short ones all, or none below `least`."""
    rng = np.random.default_rng(0)
    for clip in clips:
        wave = folder.wave(clip)
        if wave is None:
            continue
        features = model.features(wave)
        taken = min(blocks, len(features) // BLOCK)
        if taken >= (blocks if least is None else least):
            start = int(rng.integers(len(features) - taken * BLOCK + 1))
            yield Negative(
                kind,
                features[start : start + taken * BLOCK],
                clip.word if kind == "word" else "",
            )


def main() -> None:
    """Write the file."""
    folder = DataFolder(find_data(sys.argv[1] if len(sys.argv) > 1 else None))
    model = bifast.Model.load(bifast.DEFAULT_MODEL)
    rng = np.random.default_rng(0)
    speech = [c for c in folder.clips("speech", "training") if not kept_for_measuring(c)]
    words = []
    for word in TASKS["words35"].labels:
        clips = folder.clips("keyword", "training", [word])
        words += [clips[i] for i in rng.permutation(len(clips))[:EACH_WORD]]
    noises = folder.clips("noise", "training")
    noises = [noises[i] for i in rng.permutation(len(noises))[:NOISES]]
    found = [
        *pieces(folder, model, speech, "speech", SPEECH_BLOCKS, LEAST_SPEECH),
        *pieces(folder, model, words, "word", WORD_BLOCKS),
        *pieces(folder, model, noises, "noise", NOISE_BLOCKS),
    ]
    plain = io.BytesIO()
    np.savez(plain, **compress(found, STEP))  # type: ignore[arg-type]
    SHIPPED.write_bytes(lzma.compress(plain.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{SHIPPED}: {len(found)} pieces, {SHIPPED.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
