"""The new word's column of the classifier: linear discriminant analysis with what other words teach, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# How much of the covariance is replaced by a multiple of the identity.
_SHRINK = 0.5
# Embeddings that what varies is learnt from: more tell no more, and take hundreds of megabytes.
_MOST = 4096
# Rounds of the alternating estimate of the two factors; five are enough.
_ROUNDS = 8
# Logits between what one window in a thousand of the negatives reaches and the middle of the word's windows.
_LOGITS = 6.0
_RARE = 0.999


class Column(NamedTuple):
    """The word's logit is `embedding @ weights + bias`; weights [D], float32."""

    weights: Floats
    bias: float

    def logits(self, embeddings: Floats) -> Floats:
        """Return the word's logits, [B], of embeddings [B, D]."""
        return np.asarray(embeddings @ self.weights + np.float32(self.bias), np.float32)


class Discriminant:
    """What does not depend on the word: how embeddings vary that mean the same, and what is not the word.

    Parameters
    ----------
    words
        Embeddings [B, D] of other words, one array for each word; may be empty.
    background
        Embeddings [B, D] of running speech and noise, of which the word is told apart.
    time
        Positions in time that an embedding's D values belong to, outermost.

    Notes
    -----
    Five recordings say what a word is, but not how far the same word lies apart from voice to voice. That is
    taken from other words: the covariance within them, as a Kronecker product of one over time and one
    over channels, so that a few hundred recordings are enough (Werner, Jansson and Stoica, IEEE Trans.
    Signal Process. 56, 2008), plus that of the background, shrunk towards the identity (Ledoit and Wolf, J.
    Multivariate Anal. 88, 2004).
    """

    def __init__(self, words: Sequence[Floats], background: Floats, time: int) -> None:
        self._mean = background.mean(axis=0)
        around = thinned(background) - self._mean
        apart = [w - w.mean(axis=0) for w in words if len(w) > 1]
        covariance = _kronecker(around, len(around) - 1, time)
        if apart:
            free = sum(len(w) - 1 for w in apart)
            covariance = covariance + _kronecker(np.concatenate(apart), free, time)
        size = len(covariance)
        shrunk = (1 - _SHRINK) * covariance
        shrunk[np.diag_indices(size)] += _SHRINK * np.trace(covariance) / size
        self._inverse = np.linalg.inv(shrunk).astype(np.float32)

    def direction(self, word: Floats) -> Floats:
        """Return the weights [D] along which the mean [D] of a word's embeddings stands out most."""
        return np.asarray(self._inverse @ (word - self._mean), np.float32)


def thinned(rows: Floats) -> Floats:
    """Return every so many of the rows [B, ...], few enough to compute with."""
    return rows[:: -(-len(rows) // _MOST)]


def scaled(direction: Floats, word: Floats, background: Floats) -> Column:
    """Return the column along a direction, in logits: 0 is what one window in a thousand reaches.

    Parameters
    ----------
    direction
        [D].
    word, background
        Embeddings [B, D] with the word and without.
    """
    rare = float(np.quantile(background @ direction, _RARE))
    middle = float(np.median(word @ direction))
    # A word that stands out nowhere must not be blown up to noise.
    slope = _LOGITS / max(middle - rare, 0.1 * float(np.std(background @ direction)), 1e-6)
    return Column(np.asarray(direction * slope, np.float32), -rare * slope)


def plane(embeddings: Floats, values: Floats) -> Column:
    """Fit an affine function to values [B] of embeddings [B, D], by ridge regression."""
    mean, middle = embeddings.mean(axis=0), float(values.mean())
    x = (embeddings - mean).astype(np.float64)
    gram = x.T @ x
    gram[np.diag_indices(len(gram))] += 0.1 * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram, x.T @ (values - middle)).astype(np.float32)
    return Column(weights, middle - float(weights @ mean))


def _kronecker(deviations: Floats, free: int, time: int) -> NDArray[np.float64]:
    """Return the covariance [D, D] of deviations [B, D] from their means, as time x channels.

    The flip-flop estimate: each factor is the maximum of the likelihood given the other.
    """
    x = deviations.reshape(len(deviations), time, -1).astype(np.float64)
    channels = x.shape[2]
    over_time = np.eye(time)
    for _ in range(_ROUNDS):
        half = (_inverse(over_time) @ x).reshape(-1, channels)
        over_channels = half.T @ x.reshape(-1, channels) / (free * time)
        turned = np.swapaxes(x @ _inverse(over_channels), 1, 2).reshape(-1, time)
        over_time = turned.T @ np.swapaxes(x, 1, 2).reshape(-1, time) / (free * channels)
    return np.asarray(np.kron(over_time, over_channels), np.float64)


def _inverse(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    size = len(covariance)
    ridge = 0.02 * np.trace(covariance) / size + 1e-9
    return np.asarray(np.linalg.inv(covariance + ridge * np.eye(size)), np.float64)
