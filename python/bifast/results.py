"""What the model says about sound: one clip's result, scores over time, the outputs of layers.

No dataclasses here: making them would take half of what `import bifast` may cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities along the last axis, in float32; the maximum is taken off first."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), dtype=np.float32)


class Result(NamedTuple):
    """One clip's class: the best label, its probability, and the probability of each label."""

    label: str
    probability: float
    probabilities: dict[str, float]

    @classmethod
    def from_logits(cls, labels: tuple[str, ...], logits: NDArray[np.float32]) -> Result:
        """Take the softmax of logits, [classes]."""
        values = [float(p) for p in softmax(logits)]
        best = int(np.argmax(logits))
        return cls(labels[best], values[best], dict(zip(labels, values, strict=True)))

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the `count` most probable (label, probability), best first."""
        ranked = sorted(self.probabilities.items(), key=lambda item: -item[1])
        return ranked[:count]


class Segment(NamedTuple):
    """Neighbouring windows with one label: start and end in seconds, the highest probability."""

    start: float
    end: float
    label: str
    probability: float


class Scan:
    """Scores over time; it may be empty.

    Parameters
    ----------
    labels
        The classes.
    starts
        Shape (W,), int64: the number of the sample with which each window starts.
    logits
        Shape (W, classes), float32.
    window
        Length of a window in samples.
    sample_rate
        Hz.
    depth_index
        Shape (W,), uint8: the depth that scored each window, an index into `Model.depths`. None: the
        first.
    """

    __slots__ = ("depth_index", "labels", "logits", "sample_rate", "starts", "window")

    def __init__(
        self,
        labels: tuple[str, ...],
        starts: NDArray[np.int64],
        logits: NDArray[np.float32],
        *,
        window: int,
        sample_rate: int,
        depth_index: NDArray[np.uint8] | None = None,
    ) -> None:
        self.depth_index = np.zeros(len(starts), np.uint8) if depth_index is None else depth_index
        self.labels = labels
        self.starts = starts
        self.logits = logits
        self.window = window
        self.sample_rate = sample_rate

    @classmethod
    def join(cls, parts: Sequence[Scan]) -> Scan:
        """Join what a stream gave piece by piece; at least one part."""
        return cls(
            parts[0].labels,
            np.concatenate([part.starts for part in parts]),
            np.concatenate([part.logits for part in parts]),
            window=parts[0].window,
            sample_rate=parts[0].sample_rate,
            depth_index=np.concatenate([part.depth_index for part in parts]),
        )

    def __repr__(self) -> str:
        """Say how many windows, and of what time."""
        if not len(self):
            return "<bifast.Scan: no windows>"
        times = f"{self.times[0]:.2f} .. {self.ends[-1]:.2f} s"
        return f"<bifast.Scan: {len(self)} windows, {times}>"

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.starts)

    @property
    def times(self) -> NDArray[np.float64]:
        """Where each window starts, shape (W,), in seconds."""
        return self.starts / self.sample_rate

    @property
    def ends(self) -> NDArray[np.float64]:
        """Where each window ends, shape (W,), in seconds."""
        return (self.starts + self.window) / self.sample_rate

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Softmax of the logits, shape (W, classes), float32."""
        return softmax(self.logits)

    def results(self) -> list[Result]:
        """Return each window's result."""
        return [Result.from_logits(self.labels, row) for row in self.logits]

    def best(self) -> dict[str, tuple[float, float]]:
        """Return for each label its highest probability and the start of that window in seconds."""
        if not len(self):
            return {}
        times, probabilities = self.times, self.probabilities
        where = probabilities.argmax(axis=0)
        return {
            label: (float(probabilities[w, c]), float(times[w]))
            for c, (label, w) in enumerate(zip(self.labels, where, strict=True))
        }

    def segments(self) -> list[Segment]:
        """Join neighbouring windows whose best label is the same.

        A segment lasts from the start of its first window to the end of its last, so neighbours
        overlap by up to a window: the word lies somewhere inside.
        """
        if not len(self):
            return []
        times, ends, probabilities = self.times, self.ends, self.probabilities
        winners = self.logits.argmax(axis=1)
        cuts = [0, *(np.flatnonzero(np.diff(winners)) + 1), len(winners)]
        return [
            Segment(
                start=float(times[first]),
                end=float(ends[last - 1]),
                label=self.labels[winners[first]],
                probability=float(probabilities[first:last, winners[first]].max()),
            )
            for first, last in pairwise(cuts)
        ]


class LayerOutput(NamedTuple):
    """One output of a layer, [height, width, channels]: float32, bytes, or uint8 0/1 where `is_bits`."""

    name: str
    is_bits: bool
    values: NDArray[np.float32] | NDArray[np.uint8]
