"""Stream: audio in chunks of any size, scores of a window that moves over it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple, NoReturn, TypeVar, final

import numpy as np

from bifast import _core, inputs
from bifast.names import unknown
from bifast.results import Scan

Found = TypeVar("Found")

# The depth of a cascade: from the shallowest on, until one is sure.
AUTO = "auto"
# What the engine allows from one window to the next: two years of audio.
_MAX_HOP_SAMPLES = 1 << 40
_MAX_POSITION = 1 << 60


class Setup(NamedTuple):
    """What a stream needs to know of its model: names, and sizes in samples."""

    core: _core.Model
    labels: tuple[str, ...]
    depths: tuple[str, ...]
    sample_rate: int
    window: int
    frame_hop: int


@final
class Stream:
    """A window that moves over audio that goes on. Made by `Model.stream`.

    However the audio is cut into chunks, the scores are those of `Model.scan` on the whole, bit for
    bit. A window is scored as soon as its last frame is complete. Only new frames are computed;
    nothing is allocated for audio in which no window ends. A stream serves one thread at a time, any
    number of streams share a model, and pushing releases the GIL.

    Examples
    --------
    >>> with model.stream(hop=0.1) as stream:
    ...     for chunk in microphone:                 # int16 or float32, of any length
    ...         for result in stream.push(chunk).results():
    ...             print(result.label)
    """

    __slots__ = ("_core", "_depth", "_gate", "_hop_frames", "_nothing", "_setup")

    def __init__(self, setup: Setup, hop: float, depth: str, gate: float | None) -> None:
        if not 0 < inputs.number("hop", hop) < float("inf"):
            raise ValueError(f"hop: expected a positive number of seconds, got {hop}")
        limit = max(1, _MAX_HOP_SAMPLES // setup.frame_hop)
        frames = min(hop * setup.sample_rate / setup.frame_hop, limit)
        self._setup = setup
        self._depth = depth
        self._hop_frames = max(1, round(frames))
        index = None if depth == AUTO else inputs.depth_index(depth, setup.depths)
        self._core: _core.Stream | None = _core.Stream(setup.core, index, self._hop_frames)
        self._gate = gate
        if gate is not None:
            if not -200 <= inputs.number("gate", gate) <= 0:
                raise ValueError(f"gate: expected dB below full scale, -200 .. 0, got {gate}")
            self._core.set_gate(10.0 ** (gate / 20.0))
        self._nothing = self._scan(
            (
                np.empty(0, np.int64),
                np.empty((0, len(setup.labels)), np.float32),
                np.empty(0, np.uint8),
            )
        )

    @property
    def depth(self) -> str:
        """The depth that scores, or `auto`."""
        return self._depth

    @property
    def hop(self) -> float:
        """Seconds between windows: what was asked for, in whole frames."""
        return self._hop_frames * self._setup.frame_hop / self._setup.sample_rate

    @property
    def gate(self) -> float | None:
        """DB below full scale under which the net rests, or None."""
        return self._gate

    @property
    def position(self) -> int:
        """Number of the next sample: of those pushed so far, unless `reset` set another."""
        return self._open().position

    @property
    def skipped(self) -> int:
        """Windows that the gate has left out."""
        return self._open().n_skipped

    @property
    def scored(self) -> dict[str, int]:
        """Windows that each depth has scored; at depth `auto` those of which it was sure."""
        return dict(zip(self._setup.depths, self._open().n_scored, strict=True))

    @property
    def shares(self) -> dict[str, float]:
        """Share of the scored windows at each depth, 0 .. 1; all 0 before there is one."""
        scored = self.scored
        total = max(1, sum(scored.values()))
        return {depth: count / total for depth, count in scored.items()}

    @property
    def cost(self) -> float:
        """Mean work of the scored windows as part of that at the deepest depth; 0 before there is one.

        Work is counted in multiply-adds of +-1, one of floats as sixteen: it compares depths, the same
        on every machine, and measures no time. Rows that windows share count once; at depth `auto` a
        window takes what the depths before the one that scored it took, too.
        """
        return self._open().cost

    def set_words(self, words: Collection[str]) -> None:
        """Tell the cascade which labels are words: of others it is sure at the first look.

        Until then they are the words of the file, `Model.words`, or all labels. It is part of what a
        snapshot's stream must have alike. Without effect at a depth other than `auto`.

        Raises
        ------
        ValueError
            If a word is no label.
        """
        labels = self._setup.labels
        for word in words:
            if word not in labels:
                raise ValueError(unknown("word", word, labels))
        self._open().set_words([label in words for label in labels])

    def push(self, samples: inputs.Samples) -> Scan:
        """Take the next samples and return the windows that they complete, often none.

        Parameters
        ----------
        samples
            Shape (S,), float32 in [-1, 1] or int16, mono, at the model's rate; S from 0 on. Both
            dtypes may come in turns.

        Raises
        ------
        TypeError
            If it is no NumPy array.
        ValueError
            If the dtype, the shape or a sample is not as above, if the stream was flushed or closed,
            or if another thread is pushing. The stream is then as it was before.
        """
        found = _given(self._open().push, samples)
        return self._nothing if found is None else self._scan(found)

    def check(self, samples: inputs.Samples) -> None:
        """Raise what `push` of these samples would raise, and take none of them.

        For audio that is pushed in pieces: `push` takes the first before it meets a bad sample in a
        later one.
        """
        _given(self._open().check, samples)

    def flush(self) -> Scan:
        """End the audio and return the windows that are left.

        The last frames are reflected at the end, a last window ends with the last frame, and audio
        shorter than a window is padded with zeros, all as `Model.scan` and `Model.run` do. After it,
        `reset` begins anew.

        Raises
        ------
        ValueError
            If the stream was flushed or closed, or another thread is pushing.
        """
        found = self._open().flush()
        return self._nothing if found is None else self._scan(found)

    def reset(self, position: int = 0) -> None:
        """Forget all audio; the next sample counts as number `position`, 0 .. 2^60."""
        number = inputs.whole("position", position)
        if not 0 <= number <= _MAX_POSITION:
            raise ValueError(f"position: expected 0 .. 2^60 samples, got {number}")
        self._open().reset(number)

    def snapshot(self) -> bytes:
        """Return the state as bytes, the same on every CPU; ValueError after `flush`."""
        return self._open().snapshot()

    def restore(self, data: bytes) -> None:
        """Take the state of a stream of the same model, depth, hop and gate.

        Raises
        ------
        FormatError
            If the bytes are no snapshot, or damaged.
        UnsupportedError
            If another version wrote them.
        ValueError
            If the stream that they are of was another.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"snapshot: expected bytes, got {type(data).__name__}")
        self._open().restore(bytes(data))

    def close(self) -> None:
        """Free the stream; only `close` may follow."""
        self._core = None

    def __enter__(self) -> Stream:
        """Return itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close."""
        self.close()

    def __reduce__(self) -> NoReturn:
        """Refuse: what is alive is not copied behind its user's back."""
        raise TypeError(
            "a stream cannot be copied or pickled; keep its snapshot() and restore() it into a new one"
        )

    def __repr__(self) -> str:
        """Hop, depth, and how far it is."""
        if self._core is None:
            state = "closed"
        elif self._core.busy:
            state = "being pushed to"
        else:
            state = f"at sample {self._core.position}"
        return f"<bifast.Stream: hop {self.hop:g} s, depth {self._depth}, {state}>"

    def _open(self) -> _core.Stream:
        if self._core is None:
            raise ValueError("the stream is closed")
        return self._core

    def _scan(self, found: _core.Scores) -> Scan:
        setup = self._setup
        starts, logits, depth_index = found
        return Scan(
            setup.labels,
            starts,
            logits,
            window=setup.window,
            sample_rate=setup.sample_rate,
            depth_index=depth_index,
        )


def _given(function: Callable[[inputs.Samples], Found], samples: inputs.Samples) -> Found:
    """Call with samples as they are; what is no plain array is converted in sight, or named."""
    try:
        if type(samples) is not np.ndarray:
            raise TypeError
        return function(samples)
    except TypeError:
        return function(inputs.samples(samples, ranks=(1,)).view(np.ndarray))
