"""Enrol a word: from a few recordings and a trained model to a model that knows one word more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bifast.enroll.backbone import Backbone
from bifast.enroll.calibrate import Tail, average, fit_tail, peaks, smooth
from bifast.enroll.column import Column, Discriminant, plane, scaled, thinned
from bifast.enroll.negatives import Negative, windows
from bifast.enroll.recording import Recording, RefusedError, find_word
from bifast.enroll.variants import make_variants, plain_windows
from bifast.format import ModelFile
from bifast.intervals import binomial_interval, poisson_interval
from bifast.model import Model
from bifast.results import softmax
from bifast.word import NOT_WORDS, Word

Floats = NDArray[np.float32]
Track = Callable[[Sequence[Any], str], Iterable[Any]]

FEWEST, MOST = 3, 10
# Seconds between windows, over which their probability is averaged, and within which two events are one.
HOP, SMOOTHING, _APART = 0.125, 0.25, 1.0
# The bias puts the threshold where the probability is one half.
_THRESHOLD = 0.5
# Share of the seconds of other speech that a recording must be more like the others than.
_LIKE = 0.95
# Share of the recordings that the model already takes for another word, from which the two are too alike.
_ALIKE = 2 / 3


class Enrolled(NamedTuple):
    """A new word, and what is known of it.

    Attributes
    ----------
    file
        The model with the old words and the new one, settings included.
    word
        The label.
    recordings
        How many it was learnt from.
    misses
        Of the recordings, those that are missed when the word is learnt from the others alone.
    miss_interval
        Of the probability of a miss, 95 %.
    hours
        Of negatives, each scored by a column that was not learnt from it.
    false_accepts
        Events in them.
    false_accept_interval
        Events an hour, 95 %: what these hours alone prove.
    expected
        Events an hour by the fitted tail, which goes beyond what was heard.
    """

    file: ModelFile
    word: str
    recordings: int
    misses: int
    miss_interval: tuple[float, float]
    hours: float
    false_accepts: int
    false_accept_interval: tuple[float, float]
    expected: float

    @property
    def contradicted(self) -> bool:
        """Whether what is expected lies outside the interval of what was heard."""
        few, many = self.false_accept_interval
        return not few <= self.expected <= many


def enroll(
    model: Model,
    word: str,
    waves: Sequence[tuple[str, Floats]],
    negatives: Sequence[Negative],
    *,
    rate: float = 0.5,
    seed: int = 0,
    check: bool = True,
    track: Track = lambda items, label: items,
) -> Enrolled:
    """Learn a word.

    Parameters
    ----------
    model
        Whose layers below the classifier stay as they are.
    word
        The new label.
    waves
        3 .. 10 recordings of the word: a name for messages, and samples [S] at the model's rate.
    negatives
        What is not the word: speech, other words, noise.
    rate
        False accepts an hour to aim at.
    seed
        Of the versions that are made of each recording.
    check
        Refuse recordings that disagree, and a word that is too like another. A measurement of every draw
        does not.
    track
        Wraps the loops that take time, for a progress bar.

    Returns
    -------
    Enrolled
        The same for the same arguments.

    Raises
    ------
    RefusedError
        If recordings are silent, clipped or of the wrong length, if they disagree, or if the model
        takes the word for another: with every reason.
    ValueError
        If the label is taken, the number of recordings another, or no speech is among the negatives.
    UnsupportedError
        If the model's last layer is no dense layer.
    """
    _check_word(model, word)
    if not FEWEST <= len(waves) <= MOST:
        raise ValueError(f"recordings: expected {FEWEST} .. {MOST}, got {len(waves)}")
    recordings = _find_words(model, waves)
    backbone = Backbone(model)
    if check:
        _check_alike(model, word, recordings)
    frames = model.input_shape[0]
    if not any(n.kind == "speech" and len(n.features) >= frames for n in negatives):
        raise ValueError(
            f"negatives: expected speech of at least {frames} frames, got none in {len(negatives)}; "
            "`bifast.enroll.shipped` has some"
        )
    told = _Lesson(backbone, recordings, negatives, seed, track)
    column = told.column()
    tail = told.tail(column)
    threshold = tail.threshold(rate)
    column = column._replace(bias=column.bias - threshold)
    heights, hours = told.events(column)
    scores = [
        told.score(other._replace(bias=other.bias - threshold), number)
        for number in range(len(recordings))
        for other in [told.column(number)]
    ]
    if check:
        _check_agreement(recordings, scores, heights)
    misses = sum(score < 0 for score in scores)
    false_accepts = sum(height >= 0 for height in heights)
    low, high = poisson_interval(false_accepts)
    setting = Word(_THRESHOLD, SMOOTHING, _APART)
    found = Enrolled(
        backbone.with_word(word, column.weights, column.bias, setting, model.card),
        word,
        len(recordings),
        misses,
        binomial_interval(misses, len(recordings)),
        hours,
        false_accepts,
        (low / hours, high / hours),
        tail.expected(threshold),
    )
    return found._replace(file=_with_card(found, seed))


def _with_card(found: Enrolled, seed: int) -> ModelFile:
    """Write into the card what is known of the word."""
    from dataclasses import replace

    facts = {name: getattr(found, name) for name in Enrolled._fields if name != "file"}
    card = dict(found.file.card)
    card["enrolled"] = [*card.get("enrolled", []), {**facts, "seed": seed}]
    return replace(found.file, card=card)


def _check_word(model: Model, word: str) -> None:
    if not word.strip() or "\0" in word:
        raise ValueError(f"word: expected a name, got {word!r}")
    if word in model.labels or word in NOT_WORDS:
        raise ValueError(f"word: {word!r} is a label of the model already; choose another name")


def _find_words(model: Model, waves: Sequence[tuple[str, Floats]]) -> list[Recording]:
    """Find the word in each recording; all that is wrong with any of them is told at once."""
    found, reasons = [], []
    for index, (name, wave) in enumerate(waves):
        try:
            found.append(find_word(name, wave, model.sample_rate))
        except RefusedError as error:
            reasons += error.reasons
            continue
        twins = [other for other, earlier in waves[:index] if np.array_equal(wave, earlier)]
        if twins:
            reasons.append(f"{name}: is the same recording as {twins[0]}; say the word once more")
    if reasons:
        raise RefusedError(reasons)
    return found


def _check_alike(model: Model, word: str, recordings: Sequence[Recording]) -> None:
    """Refuse a word of which the model is sure, in most recordings, that it is one it knows."""
    votes: dict[str, int] = {}
    for recording in recordings:
        logits = model.run_features(plain_windows(recording, model, _hop_frames(model)))
        best = softmax(logits).max(axis=0)
        for label, probability in zip(model.labels, best, strict=True):
            if label not in NOT_WORDS and probability >= model.words.get(label, Word()).threshold:
                votes[label] = votes.get(label, 0) + 1
    for label, count in votes.items():
        if count >= _ALIKE * len(recordings):
            why = (
                f"{word!r} is too like {label!r}, for which the model takes it in {count} of "
                f"{len(recordings)} recordings; choose a longer word, or one of other sounds"
            )
            raise RefusedError([why])


def _check_agreement(
    recordings: Sequence[Recording],
    scores: Sequence[float],
    heights: Sequence[float],
) -> None:
    """Refuse recordings that the others resemble no more than much of other speech does."""
    usual = float(np.quantile(heights, _LIKE))
    odd = [r.name for r, score in zip(recordings, scores, strict=True) if score < usual]
    reasons = [
        f"{name}: is hardly more like the other recordings than other words are; leave it out, or say the "
        "same word as in the others"
        for name in odd
    ]
    missed = sum(score < 0 for score in scores)
    if not odd and missed > 2 * len(scores) / 3:
        why = (
            f"the recordings disagree: {missed} of {len(scores)} are missed when the word is learnt from "
            "the others; say the same word in all of them, in one manner, or record more (up to "
            f"{MOST}), or choose a longer word"
        )
        reasons = [why]
    if reasons:
        raise RefusedError(reasons)


def _hop_frames(model: Model) -> int:
    return max(1, round(HOP * model.sample_rate / model.hop))


class _Embedded(NamedTuple):
    """Embeddings [B, D] at one depth, and for each how much all labels claim: log-sum-exp [B]."""

    embeddings: Floats
    others: Floats


class _Lesson:
    """Embeddings of everything that is learnt from, at all depths."""

    def __init__(
        self,
        backbone: Backbone,
        recordings: Sequence[Recording],
        negatives: Sequence[Negative],
        seed: int,
        track: Track,
    ) -> None:
        model = backbone.model
        self._backbone = backbone
        hop = _hop_frames(model)
        self._seconds = hop * model.hop / model.sample_rate
        self._average = max(1, round(SMOOTHING / self._seconds))
        frames = model.input_shape[0]
        self._negatives = [n for n in negatives if len(n.features) >= frames]
        noises = [n.features for n in self._negatives if n.kind == "noise"]
        self._positives, self._plain = [], []
        for number, recording in enumerate(track(recordings, "recordings")):
            rng = np.random.default_rng((seed, number))
            made = make_variants(recording, model, noises, rng)
            self._positives.append(np.concatenate([e.embeddings for e in self._everywhere(made)]))
            self._plain.append(self._everywhere(plain_windows(recording, model, hop)))
        # Each stretch by itself: all windows at once would take more than their embeddings.
        parts = [
            self._everywhere(windows(n.features, frames, hop))
            for n in track(self._negatives, "negatives")
        ]
        self._counts = [len(part[0].embeddings) for part in parts]
        self._heard = [
            _Embedded(*map(np.concatenate, zip(*p, strict=True))) for p in zip(*parts, strict=True)
        ]
        del parts
        self._everything = np.concatenate([e.embeddings for e in self._heard])
        others = np.concatenate([e.others for e in self._heard])
        self._claims = plane(thinned(self._everything), thinned(others))
        speech = self._rows([n.kind == "speech" for n in self._negatives])
        background = np.concatenate([e.embeddings[speech] for e in self._heard])
        self._discriminant = Discriminant(self._other_words(), background, backbone.time)

    def _rows(self, chosen: Sequence[bool]) -> NDArray[np.bool_]:
        """Return which windows are of the negatives that are chosen."""
        return np.repeat(np.asarray(chosen, bool), self._counts)

    def _other_words(self) -> list[Floats]:
        """Return embeddings of the recorded words among the negatives, word by word."""
        found = []
        for word in sorted({n.word for n in self._negatives if n.word}):
            rows = self._rows([n.word == word for n in self._negatives])
            found.append(np.concatenate([e.embeddings[rows] for e in self._heard]))
        return found

    def _everywhere(self, features: Floats) -> list[_Embedded]:
        """Embed windows at every depth."""
        found = []
        for depth in self._backbone.model.depths:
            embeddings = self._backbone.embed(features, depth)
            logits = self._backbone.logits(embeddings)
            top = logits.max(axis=1)
            found.append(
                _Embedded(embeddings, top + np.log(np.exp(logits - top[:, None]).sum(axis=1)))
            )
        return found

    def column(self, leave_out: int | None = None) -> Column:
        """Return the word's column by all recordings but one: what all others claim, and its lead over it."""
        kept = [p for number, p in enumerate(self._positives) if number != leave_out]
        word = np.mean([p.mean(axis=0) for p in kept], axis=0)
        lead = scaled(self._discriminant.direction(word), np.concatenate(kept), self._everything)
        weights = lead.weights + self._claims.weights
        return Column(weights, lead.bias + self._claims.bias)

    def score(self, column: Column, number: int) -> float:
        """Return the smoothed logit that a column gives a recording, at the worst depth."""
        return min(
            float(smooth(_lead(column, e), self._average).max()) for e in self._plain[number]
        )

    def tail(self, column: Column) -> Tail:
        """Fit the tail of what speech reaches, at the depth where most is accepted.

        By mean logits: where the threshold will be, in the middle, mean probabilities follow them. Without the
        recordings of single words: an hour of speech does not hold so many pauses.
        """
        apart = max(1, round(_APART / self._seconds))
        found = [
            fit_tail([average(part, self._average) for part in parts], apart, hours)
            for parts, hours in self._said(column, ("speech",))
        ]
        return max(found, key=lambda tail: tail.threshold(1.0))

    def events(self, column: Column) -> tuple[list[float], float]:
        """Return the smoothed logits of the negatives' events where most are accepted, and the hours."""
        apart = max(1, round(_APART / self._seconds))
        found = [
            ([h for part in parts for h in peaks(smooth(part, self._average), apart)], hours)
            for parts, hours in self._said(column, ("speech", "word"))
        ]
        return max(found, key=lambda item: sum(height >= 0 for height in item[0]))

    def _said(self, column: Column, kinds: tuple[str, ...]) -> Iterator[tuple[list[Floats], float]]:
        """Yield for each depth the leads [W] in each stretch of some kinds, and the hours of them."""
        spoken = [n.kind in kinds for n in self._negatives]
        hours = int(self._rows(spoken).sum()) * self._seconds / 3600
        for heard in self._heard:
            parts = np.split(_lead(column, heard), np.cumsum(self._counts)[:-1])
            yield [part for part, chosen in zip(parts, spoken, strict=True) if chosen], hours


def _lead(column: Column, heard: _Embedded) -> Floats:
    """Return by how much the word leads over all other labels: the logit of its probability."""
    return column.logits(heard.embeddings) - heard.others
