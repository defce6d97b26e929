"""Wake words in the shape of the package pymicro-wakeword, for programs that were written for it.

Linux Voice Assistant takes these classes as they are; run it by

    python -m bifast.assistant linux_voice_assistant --name kitchen --wake-word-dir words/

which answers its `import pymicro_wakeword` with this module. A word is a JSON file in the form of that package, whose model is a
`.bifast` file beside it or the name of a shipped model; docs/home-assistant.md shows one.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

import bifast
from bifast.errors import FormatError
from bifast.names import unknown
from bifast.results import softmax
from bifast.word import NOT_WORDS

_LOG = logging.getLogger(__name__)
HOP = 0.1  # seconds, rounded to whole frames

Model = Enum(  # type: ignore[misc]  # the words are known to the file alone
    "Model",
    {
        label.upper(): label
        for label in bifast.Model.load(bifast.DEFAULT_MODEL).labels
        if label not in NOT_WORDS
    },
)


@final
class MicroWakeWord:
    """One wake word: a stream and the mean of its last probabilities.

    Parameters
    ----------
    id
        Name by which a program knows the word.
    wake_word
        What is said, as people read it.
    model
        The model, and in `label` which of its classes the word is.
    probability_cutoff
        The word is heard while the mean is above.
    sliding_window_size
        Windows that are averaged.
    trained_languages
        Codes such as "en".
    hop, depth
        As in `Model.stream`.
    debug_probabilities
        Log a line when the word is heard.

    Raises
    ------
    ValueError
        As `Model.stream`, or if the label is unknown or there is nothing to average.
    """

    def __init__(
        self,
        id: str,
        *,
        wake_word: str,
        model: bifast.Model,
        label: str,
        probability_cutoff: float,
        sliding_window_size: int,
        trained_languages: Sequence[str] = (),
        hop: float = HOP,
        depth: str = "full",
        debug_probabilities: bool = False,
    ) -> None:
        if label not in model.labels:
            raise ValueError(unknown("word", label, model.labels))
        if sliding_window_size < 1:
            raise ValueError(f"sliding_window_size: expected 1 or more, got {sliding_window_size}")
        self.id = id
        self.wake_word = wake_word
        self.probability_cutoff = probability_cutoff
        self.sliding_window_size = sliding_window_size
        self.trained_languages = list(trained_languages)
        self.debug_probabilities = debug_probabilities
        self._index = model.labels.index(label)
        self._stream: bifast.Stream | None = model.stream(hop=hop, depth=depth)
        self._probabilities: deque[float] = deque(maxlen=sliding_window_size)

    @staticmethod
    def from_config(config_path: str | Path, _library: object = None) -> MicroWakeWord:
        """Load a word from its JSON file; the second argument of the original has no use here.

        Raises
        ------
        FormatError
            If it is no such file, or its model no `.bifast` file.
        OSError
            If one of them is missing.
        ValueError
            As the class.
        """
        path = Path(config_path)
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            phrase, source, micro = config["wake_word"], config["model"], config["micro"]
            own = {"label": phrase.lower(), **config.get("bifast", {})}
            return MicroWakeWord(
                path.stem,
                wake_word=phrase,
                model=_load(path.parent, source),
                probability_cutoff=micro["probability_cutoff"],
                sliding_window_size=micro["sliding_window_size"],
                trained_languages=config.get("trained_languages", ()),
                **own,
            )
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise FormatError(f"{path}: expected the settings of a wake word: {error!r}") from None

    @staticmethod
    def from_builtin(model: Enum | str) -> MicroWakeWord:
        """Take a word of the shipped model: of `Model`, or its name; errors as the class."""
        word = str(model.value if isinstance(model, Enum) else model)
        return MicroWakeWord(
            word,
            wake_word=word.capitalize(),
            model=bifast.Model.load(bifast.DEFAULT_MODEL),
            label=word,
            probability_cutoff=bifast.Word().threshold,
            sliding_window_size=round(bifast.Word().smoothing / HOP),
            trained_languages=("en",),
        )

    def process_streaming(self, features: NDArray[np.int16]) -> bool | None:
        """Take what `MicroWakeWordFeatures` gives: is the word heard? None after `close`."""
        probability = self.process_streaming_prob(features)
        if probability is None:
            return None
        heard = probability > self.probability_cutoff
        if heard and self.debug_probabilities:
            _LOG.debug("heard %s (%.3f)", self.wake_word, probability)
        return heard

    def process_streaming_prob(self, features: NDArray[np.int16]) -> float | None:
        """Return the mean of the last probabilities, where a window ends; else 0. None after `close`."""
        if self._stream is None:
            return None
        highest, scan = 0.0, self._stream.push(features)
        if not len(scan):
            return highest
        for row in softmax(scan.logits):
            self._probabilities.append(float(row[self._index]))
            if len(self._probabilities) == self.sliding_window_size:
                highest = max(highest, sum(self._probabilities) / self.sliding_window_size)
        return highest

    def reset(self) -> None:
        """Forget all audio."""
        self._probabilities.clear()
        if self._stream is not None:
            self._stream.reset()

    def close(self) -> None:
        """Free the stream."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


@final
class MicroWakeWordFeatures:
    """Raw audio as what `MicroWakeWord` takes: here the samples themselves."""

    def __init__(self) -> None:
        self._rest = b""

    def process_streaming(self, audio_bytes: bytes) -> Iterator[NDArray[np.int16]]:
        """Yield samples, [S]: signed 16-bit little-endian PCM, mono, 16 kHz; half a sample waits."""
        data = self._rest + audio_bytes
        whole = len(data) // 2 * 2
        self._rest = data[whole:]
        if whole:
            yield np.frombuffer(data[:whole], "<i2").astype(np.int16)

    def reset(self) -> None:
        """Forget half a sample."""
        self._rest = b""


def _load(folder: Path, source: Any) -> bifast.Model:
    """Load a model beside its settings, or a shipped one."""
    if source in bifast.models():
        return bifast.Model.load(source)
    return bifast.Model.load(folder / source)
