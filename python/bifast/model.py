"""Model: load a `.bifast` file and run it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bifast import budget, inputs
from bifast.detector import Detector
from bifast.listener import Listener
from bifast.loaded import LoadedModel
from bifast.results import LayerOutput, Result, Scan
from bifast.stream import Setup, Stream
from bifast.word import Word

# Samples that a scan pushes at once: a minute, after which an interrupt gets through.
_SCAN_BLOCK = 1 << 20


class Model(LoadedModel):
    """A model: immutable, safe to share between threads; running releases the GIL.

    Make one with `Model.load`. Depths are names, chosen per call; `depths[0]` is the deepest. Copies
    are the same object; a pickle holds the file's bytes.

    Examples
    --------
    >>> model = bifast.Model.load("bifsmn")
    >>> model.classify(np.zeros(16000, np.float32)).label
    'silence'
    """

    __slots__ = ()

    def run(
        self, x: inputs.Samples, *, depth: str = "full", threads: int = 1
    ) -> NDArray[np.float32]:
        """Compute the logits of clips, or of images.

        Parameters
        ----------
        x
            Shape (S,) or (B, S): float32 in [-1, 1] or int16, mono, at the model's rate; S from 1 to
            `window`. Shorter clips are padded with zeros at the end. For a model without front-end:
            shape (H, W, C) or (B, H, W, C) of `input_shape`, channels last; of `input_dtype`.
        depth
            One of `depths`.
        threads
            Threads that share a batch.

        Returns
        -------
        NDArray[np.float32]
            Shape (classes,) or (B, classes).

        Raises
        ------
        ValueError
            If the dtype, the shape or a sample is not as above, or the depth is unknown. Longer audio
            is for `scan`.
        """
        logits = self._core.run_one(x, depth, threads)
        return self._run(x, depth, threads) if logits is None else logits

    def classify(self, x: inputs.Samples, *, depth: str = "full") -> Result:
        """Classify one clip, shape (S,), or one image, shape (H, W, C); else as `run`."""
        logits = self.run(
            x if self.sample_rate == 0 else inputs.samples(x, ranks=(1,)), depth=depth
        )
        if logits.ndim > 1:
            raise ValueError(
                f"images: expected one image of shape {list(self._shape)}, got shape {x.shape}; "
                "use run() for a batch"
            )
        return Result.from_logits(self._labels, logits)

    def scan(self, x: inputs.Samples, *, hop: float = 0.25, depth: str = "full") -> Scan:
        """Score long audio with a window that moves over it: a stream, pushed whole and flushed.

        The audio has one continuous framing, and nothing is padded inside it. A window at every hop
        that fits is scored, and a last one that ends with the audio; audio up to one window long
        gives one window, equal to `run`. Memory does not grow with the audio, but for the scores.

        Parameters
        ----------
        x
            Shape (S,), of any length; samples as in `run`.
        hop
            Seconds between windows, rounded to whole frames, at least one.
        depth
            As in `stream`.

        Raises
        ------
        ValueError
            As in `run`, but for the length; and if hop is not a positive number.
        """
        samples = inputs.samples(x, ranks=(1,))
        with self.stream(hop=hop, depth=depth) as stream:
            blocks = range(0, len(samples), _SCAN_BLOCK)
            parts = [stream.push(samples[first : first + _SCAN_BLOCK]) for first in blocks]
            return Scan.join([*parts, stream.flush()])

    def stream(
        self,
        *,
        hop: float = 0.25,
        depth: str | None = None,
        gate: float | None = None,
        max_cpu: float | None = None,
    ) -> Stream:
        """Start a stream: audio in chunks of any size, scores as windows are complete.

        Parameters
        ----------
        hop
            Seconds between windows, rounded to whole frames, at least one; `Stream.hop` tells.
        depth
            As in `run`, "full" if nothing is said, or "auto": the model's cascade. The shallowest depth scores a window first, a
            deeper one where it is not sure; `Scan.depth_index` tells which gave the scores, and they
            are the bits that this depth gives. Layers that depths share run once.
        gate
            DB below full scale, -200 .. 0: windows in which no sample is louder are left out, and the
            net rests. Windows that are scored have the scores that they have without it. None: every
            window is scored.
        max_cpu
            Share of one core, above 0, up to 1: instead of `depth`, which may not stand beside it, the
            first is taken that fits, the deepest first, then "auto" if there is a cascade, then the
            others; where none does, with twice or four times the hop. What they take is measured now,
            for about two seconds, on speech in chunks of 10 ms with sleep between them, as a microphone
            gives them; larger chunks take less. `Stream.hop` and `Stream.depth` tell what was taken.

        Raises
        ------
        ValueError
            If hop is not a positive number, the depth is unknown, or "auto" of a model without a
            cascade, the gate is out of range, the model takes no audio, nothing fits `max_cpu`, or a
            depth stands beside it.
        """
        self._require_audio()
        hop, depth = self._planned(max_cpu, hop, depth, lambda h, d: self.stream(hop=h, depth=d))
        setup = Setup(
            self._core, self._labels, self._depths, self.sample_rate, self.window, self.hop
        )
        return Stream(setup, hop, depth, gate)

    def listen(
        self,
        words: Mapping[str, Word | None] | None = None,
        *,
        hop: float = 0.25,
        depth: str | None = None,
        gate: float | None = None,
        max_cpu: float | None = None,
        pre_roll: float = 1.0,
    ) -> Listener:
        """Start to listen for words: a stream with a detector and the audio of the last seconds.

        Parameters
        ----------
        words
            As in `Detector`: the words, each with its `Word` settings or None for those in the file.
            None: all words that the file has settings for, or every label but `silence` and `unknown`.
        hop, depth, gate, max_cpu
            As in `stream`.
        pre_roll
            Seconds of audio before a word that its event carries, up to 60.

        Raises
        ------
        ValueError
            As in `stream`; if a word is no label, or a setting is out of range.
        """
        hop, depth = self._planned(
            max_cpu, hop, depth, lambda h, d: self.listen(words, hop=h, depth=d, pre_roll=pre_roll)
        )
        stream = self.stream(hop=hop, depth=depth, gate=gate)
        hop_samples = round(stream.hop * self.sample_rate)
        detector = Detector(
            self._labels,
            hop=hop_samples,
            sample_rate=self.sample_rate,
            words=words,
            usual=self.words,
        )
        stream.set_words(detector.words)
        return Listener(stream, detector, pre_roll, self.window)

    def features(self, x: inputs.Samples) -> NDArray[np.float32]:
        """Compute the log-mel features of audio of any length.

        Parameters
        ----------
        x
            Shape (S,); samples as in `run`. Padded with zeros up to one window.

        Returns
        -------
        NDArray[np.float32]
            Shape (frames, bands), dB.

        Raises
        ------
        ValueError
            If the dtype, the shape or a sample is not as above, or the model has no front-end.
        """
        self._require_audio()
        return self._core.features(inputs.samples(x, ranks=(1,)))

    def run_features(
        self, f: NDArray[np.float32], *, depth: str = "full", threads: int = 1
    ) -> NDArray[np.float32]:
        """Compute the logits of clips from their features.

        Parameters
        ----------
        f
            Shape (T, M, C) or (B, T, M, C), float32; C may be left out where it is 1. `input_shape`
            says T, M, C. Whole numbers 0 .. 255 where `input_dtype` is uint8.
        depth, threads
            As in `run`.

        Returns
        -------
        NDArray[np.float32]
            Shape (classes,) or (B, classes).

        Raises
        ------
        ValueError
            If the dtype, the shape or a value is not as above, or the depth is unknown.
        """
        logits = self._core.run_features_one(f, depth, threads)
        if logits is not None:
            return logits
        batch, single = inputs.features(f, self._shape)
        index = inputs.depth_index(depth, self._depths)
        logits = self._core.run_features(batch, index, inputs.thread_count(threads))
        return logits[0] if single else logits

    def trace(
        self, f: NDArray[np.float32], *, depth: str = "full"
    ) -> tuple[NDArray[np.float32], list[LayerOutput]]:
        """Run the features of one clip, shape (T, M, C) or (T, M), and keep every layer's outputs.

        Returns
        -------
        tuple[NDArray[np.float32], list[LayerOutput]]
            The logits, shape (classes,), and the layers' outputs in the order they were computed.

        Raises
        ------
        ValueError
            As in `run_features`; also for a batch.
        """
        batch, single = inputs.features(f, self._shape)
        if not single:
            raise ValueError(
                f"features: expected one clip, got shape {f.shape}; trace takes no batch"
            )
        logits, outputs = self._core.trace(batch[0], inputs.depth_index(depth, self._depths))
        return logits, [LayerOutput(*output) for output in outputs]

    def _planned(
        self, max_cpu: float | None, hop: float, depth: str | None, open_taker: budget.Open
    ) -> tuple[float, str]:
        """Return hop and depth: as asked for, or what fits a share of the processor."""
        if max_cpu is None:
            return hop, self._depths[0] if depth is None else depth
        if depth is not None:
            raise ValueError(
                f"max_cpu: expected no depth beside it, which it chooses itself, got {depth!r}"
            )
        self._require_audio()
        depths = budget.order(self._depths, self._core.has_cascade)
        found = budget.plan(max_cpu, hop, depths, open_taker, self.sample_rate, self.window)
        return found.hop, found.depth

    def _run(self, x: Any, depth: str, threads: int) -> NDArray[np.float32]:
        """Run what is not one clip or image just as the model takes it: convert, or say what is wrong."""
        if self.sample_rate == 0:
            return self._run_images(x, depth, threads)
        clips = inputs.samples(x, ranks=(1, 2))
        if clips.shape[-1] > self.window:
            raise ValueError(
                f"samples: expected at most {self.window} (the model's window), "
                f"got {clips.shape[-1]}; use scan() for longer audio"
            )
        index = inputs.depth_index(depth, self._depths)
        batch = clips if clips.ndim == 2 else clips[np.newaxis]
        logits = self._core.run(batch, index, inputs.thread_count(threads))
        return logits if clips.ndim == 2 else logits[0]

    def _run_images(self, x: Any, depth: str, threads: int) -> NDArray[np.float32]:
        """Run images of the input's shape and type, with or without a batch in front."""
        batch, single = inputs.features(x, self._shape, what="images", dtype=self.input_dtype.type)
        index, count = inputs.depth_index(depth, self._depths), inputs.thread_count(threads)
        run = self._core.run_bytes if self._core.takes_bytes else self._core.run_features
        logits = run(batch, index, count)
        return logits[0] if single else logits

    def _require_audio(self) -> None:
        """Refuse audio for a model without a front-end."""
        if self.sample_rate == 0:
            raise ValueError(
                "this model has no front-end: it takes no audio but arrays of shape "
                f"{list(self._shape)} (height, width, channels); use run() or classify()"
            )
