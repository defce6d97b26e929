"""LoadedModel: a `.bifast` file that the engine has taken, and what it says of itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from bifast import _core
from bifast.errors import FormatError, UnsupportedError
from bifast.source import Source, read_model
from bifast.word import Word

if TYPE_CHECKING:
    from typing_extensions import Self


class LoadedModel:
    """Names, sizes and card of a model; `Model` runs it. It cannot change: copies are the same object."""

    __slots__ = ("_core", "_data", "_depths", "_isa", "_labels", "_shape")

    def __init__(self, data: bytes, isa: str | None = None) -> None:
        """Take the bytes of a `.bifast` file; `isa` as in `load`."""
        self._core = _core.Model(data, isa)
        self._data = data
        self._isa = isa
        self._labels = tuple(self._core.labels)
        self._depths = tuple(self._core.depths)
        self._shape = self._core.input_shape
        _parse_card(self._core.card)

    @classmethod
    def load(cls, source: Source, isa: str | None = None) -> Self:
        """Load a model.

        Parameters
        ----------
        source
            The name of a shipped model (`bifast.models()`), a path, the bytes of a file, or a file
            opened in binary mode. A string that is a shipped name means that model; give a
            `pathlib.Path` for a file that is called so.
        isa
            Instruction set, one of `bifast.isas()`; None for the best, or what the environment
            variable BIFAST_ISA says.

        Raises
        ------
        FormatError
            If the bytes are no valid model.
        UnsupportedError
            If the file is newer than this version, or the CPU cannot run the instruction set.
        ValueError
            If the instruction set is unknown.
        OSError
            If the file is missing or unreadable.
        """
        data, origin = read_model(source)
        try:
            return cls(data, isa)
        except FormatError as error:
            raise FormatError(f"{origin}: {error}") from None
        except UnsupportedError as error:
            raise UnsupportedError(f"{origin}: {error}") from None

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the logits."""
        return self._labels

    @property
    def depths(self) -> tuple[str, ...]:
        """Names of the depths, deepest first."""
        return self._depths

    @property
    def words(self) -> dict[str, Word]:
        """The words that the file has settings for, as `bifast tune` writes them; often none."""
        return {label: Word(*word) for label, word in self._core.words}

    @property
    def sample_rate(self) -> int:
        """Hz; 0 if the model is not fed with audio."""
        return self._core.sample_rate

    @property
    def window(self) -> int:
        """Samples of the longest clip; 0 if the model is not fed with audio."""
        return self._core.window_samples

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return self._core.hop_samples

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one clip's features: frames, bands, channels."""
        return self._shape

    @property
    def input_dtype(self) -> np.dtype[Any]:
        """Type of the arrays that `run` takes without front-end: float32, or uint8 for bytes."""
        return np.dtype(np.uint8 if self._core.takes_bytes else np.float32)

    @property
    def card(self) -> dict[str, Any]:
        """The model's card: name, licence, data, accuracy per depth ... A fresh copy."""
        return _parse_card(self._core.card)

    @property
    def isa(self) -> str:
        """The instruction set in use."""
        return self._core.isa

    @property
    def scratch_bytes(self) -> int:
        """Memory that one running call needs besides the weights."""
        return self._core.scratch_bytes

    def to_bytes(self) -> bytes:
        """Return the file's bytes."""
        return self._data

    def __copy__(self) -> Self:
        """Return itself: it cannot change."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return itself: it cannot change."""
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[bytes, str | None]]:
        """Pickle as the file's bytes and the instruction set that was asked for, if any."""
        return type(self), (self._data, self._isa)

    def __repr__(self) -> str:
        """Name, number of labels, depths, and what it runs on."""
        return (
            f"<bifast.Model {self.card.get('name', 'unnamed')!r}: {len(self._labels)} labels, "
            f"depths {'/'.join(self._depths)}, {len(self._data)} bytes, isa {self.isa}>"
        )


def _parse_card(text: str) -> dict[str, Any]:
    """Parse a card; the engine does not, so what is no JSON object is found here."""
    try:
        card = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"META: expected JSON, got text that does not parse: {error}") from None
    if not isinstance(card, dict):
        raise FormatError(f"META: expected a JSON object, got a {type(card).__name__}")
    return card
