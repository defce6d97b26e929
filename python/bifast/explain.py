"""Why a word was heard, or was not: scores over time, and which frames decided."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bifast import inputs
from bifast.detector import Detector, Event
from bifast.model import Model
from bifast.names import unknown
from bifast.word import NOT_WORDS, Word

# Frames that are taken away together: about the length of a sound of speech.
OCCLUDED = 3


class Explanation(NamedTuple):
    """What a model makes of one piece of audio.

    Attributes
    ----------
    word, settings
        The word that is explained, and when it counts as heard.
    samples
        Shape (S,), float32; a short clip has silence around it, `first` samples before.
    features
        Shape (frames, bands), dB, one row each `hop` samples, the first centred at sample 0.
    starts
        Shape (W,), the first sample of each window, one each frame.
    probabilities
        Of the word at each depth, shape (W,) each.
    depth
        The depth that is explained further.
    smoothed
        Shape (W,): the mean that is compared with the threshold, at `depth`.
    heard
        The word's events at `depth`.
    decided
        Number of the window that is surest of the word at `depth`.
    drops
        Shape (frames of a window,): by how much the word's log-odds in that window fall, in nats, when a
        frame and its neighbours are as quiet as the audio ever is in each band. Positive: the frame
        speaks for the word.
    """

    word: str
    settings: Word
    samples: NDArray[np.float32]
    first: int
    features: NDArray[np.float32]
    starts: NDArray[np.int64]
    probabilities: dict[str, NDArray[np.float32]]
    depth: str
    smoothed: NDArray[np.float64]
    heard: list[Event]
    decided: int
    drops: NDArray[np.float64]


def explain(
    model: Model, samples: inputs.Samples, *, word: str | None = None, depth: str = "full"
) -> Explanation:
    """Explain a word in a piece of audio.

    Audio shorter than two windows gets a window of silence before and after it, so that the window can
    move. Frames are judged by occlusion (Zeiler and Fergus, arXiv 1311.2901, section 4.2), by the
    engine itself.

    Parameters
    ----------
    model
        A model that takes audio.
    samples
        Shape (S,), as `Model.scan` takes them.
    word
        A label; None: the word that the model is surest of anywhere.
    depth
        One of `model.depths`.

    Raises
    ------
    ValueError
        As `Model.scan`, or if the word is no label.
    """
    inputs.depth_index(depth, model.depths)
    if word is not None and word not in model.labels:
        raise ValueError(unknown("word", word, model.labels))
    audio = _floats(inputs.samples(samples, ranks=(1,)))
    clip = model.features(audio)
    first = model.window if len(audio) < 2 * model.window else 0
    audio = np.pad(audio, first)
    hop = model.hop / model.sample_rate
    scans = {name: model.scan(audio, hop=hop, depth=name) for name in model.depths}
    scan = scans[depth]
    if word is None:
        word = _surest(model, scan.probabilities)
    column = model.labels.index(word)
    settings = model.words.get(word, Word())
    detector = Detector(
        model.labels, hop=model.hop, sample_rate=model.sample_rate, words={word: settings}
    )
    probabilities = {name: found.probabilities[:, column] for name, found in scans.items()}
    decided = int(_log_odds(scan.logits, column).argmax())
    features = model.features(audio)
    return Explanation(
        word=word,
        settings=settings,
        samples=audio,
        first=first,
        features=features,
        starts=scan.starts,
        probabilities=probabilities,
        depth=depth,
        smoothed=_smoothed(probabilities[depth], settings, hop),
        heard=detector.update(scan),
        decided=decided,
        drops=_drops(model, features[decided:], clip.min(axis=0), column, depth),
    )


def _floats(samples: inputs.Samples) -> NDArray[np.float32]:
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768)
    return samples.astype(np.float32)


def _surest(model: Model, probabilities: NDArray[np.float32]) -> str:
    """Return the word with the highest probability; of a model without words, the label."""
    highest = probabilities.max(axis=0)
    words = [c for c, label in enumerate(model.labels) if label not in NOT_WORDS]
    return model.labels[max(words or range(len(highest)), key=lambda c: highest[c])]


def _smoothed(
    probabilities: NDArray[np.float32], settings: Word, hop: float
) -> NDArray[np.float64]:
    """Return the mean over the last windows, as `Detector` takes it: missing ones count as 0."""
    count = max(1, round(settings.smoothing / hop))
    return np.convolve(probabilities, np.full(count, 1 / count))[: len(probabilities)]


def _drops(
    model: Model,
    features: NDArray[np.float32],
    quiet: NDArray[np.float32],
    column: int,
    depth: str,
) -> NDArray[np.float64]:
    """Occlude each frame of the first window, [T]; features [frames, bands], quiet [bands]."""
    frames = model.input_shape[0]
    window = features[:frames]
    variants = np.repeat(window[np.newaxis], frames + 1, axis=0)
    for frame in range(frames):
        around = slice(max(0, frame - OCCLUDED // 2), frame + OCCLUDED // 2 + 1)
        variants[frame + 1, around] = quiet
    odds = _log_odds(model.run_features(variants, depth=depth), column)
    return np.asarray(odds[0] - odds[1:])


def _log_odds(logits: NDArray[np.float32], column: int) -> NDArray[np.float64]:
    """Log of the word's probability over that of all others, [B]."""
    others = np.delete(logits.astype(np.float64), column, axis=1)
    highest = others.max(axis=1)
    total = highest + np.log(np.exp(others - highest[:, np.newaxis]).sum(axis=1))
    return np.asarray(logits[:, column].astype(np.float64) - total)
