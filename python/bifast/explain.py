"""Why a word was heard, or was not: scores over time, and which frames decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bifast import inputs
from bifast.detector import Detector, Event
from bifast.model import Model
from bifast.names import unknown
from bifast.results import Scan
from bifast.stream import AUTO
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
        Shape (S,), float32, with silence around them, `first` samples before.
    features
        Shape (frames, bands), dB, one row each `Model.hop` samples, the first centred at sample 0.
    starts
        Shape (W,), the first sample of each window, as `Model.listen` takes them.
    probabilities
        Of the word at each depth, and at `auto` if that is `depth`, shape (W,) each.
    depth
        The depth that is explained further.
    smoothed
        Shape (W,): the mean that is compared with the threshold, at `depth`.
    heard
        The word's events at `depth` that overlap the part.
    decided
        Number of the window of the event with the highest score; without one, that of the part which is
        surest of the word at `depth`.
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
    model: Model,
    samples: inputs.Samples,
    *,
    word: str | None = None,
    words: Mapping[str, Word] | None = None,
    depth: str = "full",
    hop: float = 0.25,
    part: tuple[int, int] | None = None,
) -> Explanation:
    """Explain a word in a piece of audio: windows, scores and decision are those of `bifast listen FILE`.

    As there silence is put before and after the audio (`Listener.quiet`). Frames are judged by occlusion
    (Zeiler and Fergus, arXiv 1311.2901, section 4.2), by the engine itself.

    Parameters
    ----------
    model
        A model that takes audio.
    samples
        Shape (S,), as `Model.scan` takes them.
    word
        A label; None: that of `words` of which the model is surest anywhere.
    words, depth, hop
        As in `Model.listen`.
    part
        Samples from the first to before the second are asked about, the others are what is around
        them; None: all.

    Raises
    ------
    ValueError
        As `Model.listen` and `Model.scan`, or if the word is no label.
    """
    if word is not None and word not in model.labels:
        raise ValueError(unknown("word", word, model.labels))
    if len(model.labels) < 2:
        raise ValueError(
            f"expected a model that tells words apart, got one with the label {model.labels[0]!r} alone; "
            "`bifast enroll` gives it words"
        )
    heard_for = dict(words or _usual(model))
    if word is not None:
        heard_for.setdefault(word, model.words.get(word, Word()))
    audio = _floats(inputs.samples(samples, ranks=(1,)))
    clip = model.features(audio)
    with model.listen(heard_for, hop=hop, depth=depth, pre_roll=0.0) as listener:
        first, step = listener.quiet, round(listener.stream.hop * model.sample_rate)
        audio = np.pad(audio, first)
        listener.stream.check(audio)
        scan = Scan.join([listener.stream.push(audio), listener.stream.flush()])
    hop = step / model.sample_rate
    scans = {name: model.scan(audio, hop=hop, depth=name) for name in model.depths}
    if depth == AUTO:
        scans[AUTO] = scan
    if word is None:
        word = _surest(model, scan.probabilities, heard_for)
    column, settings = model.labels.index(word), heard_for[word]
    detector = Detector(
        model.labels, hop=step, sample_rate=model.sample_rate, words={word: settings}
    )
    start, end = (first, len(audio)) if part is None else (first + part[0], first + part[1])
    heard = [e for e in detector.update(scan) if e.end > start and e.start < end]
    probabilities = {name: found.probabilities[:, column] for name, found in scans.items()}
    inside = (scan.starts + model.window > start) & (scan.starts < end)
    decided = int(np.where(inside, _log_odds(scan.logits, column), -np.inf).argmax())
    if heard:
        best = max(heard, key=lambda event: event.score)
        decided = int(np.searchsorted(scan.starts, best.start))
    decider = model.depths[int(scan.depth_index[decided])]
    features = model.features(audio)
    window = features[int(scan.starts[decided]) // model.hop :]
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
        heard=heard,
        decided=decided,
        drops=_drops(model, window, clip.min(axis=0), column, decider),
    )


def _floats(samples: inputs.Samples) -> NDArray[np.float32]:
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768)
    return samples.astype(np.float32)


def _usual(model: Model) -> dict[str, Word]:
    """Return the words that are listened for; of a model without words, its labels."""
    names = [label for label in model.words or model.labels if label not in NOT_WORDS]
    return {name: model.words.get(name, Word()) for name in names or model.labels}


def _surest(model: Model, probabilities: NDArray[np.float32], words: Mapping[str, Word]) -> str:
    """Return the word with the highest probability."""
    highest = probabilities.max(axis=0)
    return max(words, key=lambda word: float(highest[model.labels.index(word)]))


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
