"""A trained net without its last layer: what it makes of sound, and the file with one more word."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bifast.errors import UnsupportedError
from bifast.format import Buffer, ModelFile, Op, Tensor
from bifast.model import Model
from bifast.word import NOT_WORDS, Word

Floats = NDArray[np.float32]

_LARGEST_BYTE = 127


class Backbone:
    """The layers below the classifier, which stay as they are.

    Parameters
    ----------
    model
        A model fed with audio, whose last layer is a dense layer over everything that the layer before
        it writes.

    Attributes
    ----------
    model
        The model.
    size
        D, the values of an embedding: the input of the classifier.
    time
        Positions in time that they belong to, outermost.

    Raises
    ------
    UnsupportedError
        If the model is another.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._file = ModelFile.from_bytes(model.to_bytes())
        self._op = _classifier(self._file)
        weights = self._file.tensors[self._op.weights or 0].array.astype(np.float32)
        ones, zeros = np.ones((1, weights.shape[1])), np.zeros((1, weights.shape[1]))
        self._weights = weights  # (D, classes)
        self._scale = self._table(self._op.scale, ones)
        self._shift = self._table(self._op.shift, zeros)
        self._reads_bytes = self._op.code == "byte_conv2d"
        self.size = len(weights)
        self.time = self._file.buffers[self._op.input].height
        self._embedding = Model(_embedding_file(self._file, self._op, self.size).to_bytes())

    def embed(self, features: Floats, depth: str) -> Floats:
        """Return what the classifier reads of windows [B, T, M]: [B, D], at one depth."""
        if not len(features):
            return np.empty((0, self.size), np.float32)
        return self._embedding.run_features(np.ascontiguousarray(features), depth=depth)

    def logits(self, embeddings: Floats) -> Floats:
        """Return the scores of the words that the model has, [B, classes]."""
        return np.asarray(embeddings @ self._weights * self._scale + self._shift, np.float32)

    def with_word(
        self, word: str, weights: Floats, bias: float, setting: Word, card: dict[str, Any]
    ) -> ModelFile:
        """Return the file with one more label.

        Parameters
        ----------
        word
            The label.
        weights, bias
            [D] and the constant: the word's logit is their affine function of an embedding. Where the
            classifier's weights are bytes, these are rounded to a 127th of the largest.
        setting
            When it counts as heard; other words keep theirs.
        card
            The card of the file.

        Notes
        -----
        A cascade of depths is left out: its margins were measured without the word.
        """
        file, op = self._file, self._op
        largest = max(float(np.abs(weights).max()), 1e-6)
        scale = np.float32(largest / (_LARGEST_BYTE if self._reads_bytes else 1.0))
        column = weights / scale
        if self._reads_bytes:
            # What is rounded away counts most where all of the embedding stands for 0.
            column = column.round()
            bias += float((weights - column * scale).sum()) * self._zero()
        columns = np.hstack([self._weights, column[:, None]])
        added = [
            Tensor("i8", columns) if self._reads_bytes else _smallest(columns),
            Tensor("f32", np.hstack([self._scale, [[scale]]])),
            Tensor("f32", np.hstack([self._shift, [[np.float32(bias)]]])),
        ]
        tensors, places = _without(file, op, added)
        last = dataclasses.replace(places[-1], weights=len(tensors) - 3)
        last = dataclasses.replace(last, scale=len(tensors) - 2, shift=len(tensors) - 1)
        settings = file.words or tuple(
            None if label in NOT_WORDS else Word() for label in file.labels
        )
        return dataclasses.replace(
            file,
            labels=(*file.labels, word),
            buffers=(*file.buffers[:-1], Buffer("f32", 1, 1, len(file.labels) + 1)),
            tensors=tensors,
            ops=(*places[:-1], last),
            card={key: value for key, value in card.items() if key != "cascade"},
            words=(*settings, setting),
            cascade=(),
        )

    def bare(self, card: dict[str, Any]) -> ModelFile:
        """Return the file with one label, `unknown`, whose logit is always 0: a start for words of one's own."""
        zeros = Tensor(_dtype(self._op), np.zeros((self.size, 1)))
        tensors, ops = _without(self._file, self._op, [zeros])
        return dataclasses.replace(
            self._file,
            labels=("unknown",),
            buffers=(*self._file.buffers[:-1], Buffer("f32", 1, 1, 1)),
            tensors=tensors,
            ops=(*ops[:-1], dataclasses.replace(ops[-1], weights=len(tensors) - 1)),
            card=card,
            words=(),
            cascade=(),
        )

    def _zero(self) -> float:
        """Return the byte that stands for 0 in an embedding of bytes."""
        source = next(op for op in self._file.ops if op.out_f32 == self._op.input)
        return float(self._table(source.shift, np.full((1, 1), 0.5))[0, 0]) - 0.5

    def _table(self, index: int | None, default: NDArray[np.float64]) -> Floats:
        array = default if index is None else self._file.tensors[index].array
        return array.astype(np.float32)


def _classifier(file: ModelFile) -> Op:
    """Return the last operation; UnsupportedError if no column can be added to it."""
    op = file.ops[-1]
    source = file.buffers[op.input]
    dense = (
        op.code in ("conv2d", "byte_conv2d")
        and op.kernel == (source.height, source.width)
        and op.pad == (0, 0)
        and op.depth_mask == (1 << len(file.depths)) - 1
        and op.out_f32 == len(file.buffers) - 1
        and (op.out_bits, op.residual, op.slope) == (None, None, None)
    )
    if file.frontend is None or not dense:
        raise UnsupportedError(
            "enrolling needs a model that takes audio and whose last layer is one dense layer of floats "
            f"or bytes at all depths; the last layer here is {op.name} ({op.code})"
        )
    return op


def _embedding_file(file: ModelFile, op: Op, size: int) -> ModelFile:
    """Return the model with the identity in the classifier's place: its outputs are its input, exactly."""
    tensors, ops = _without(file, op, [Tensor(_dtype(op), np.eye(size))])
    return dataclasses.replace(
        file,
        labels=tuple(f"value{index}" for index in range(size)),
        buffers=(*file.buffers[:-1], Buffer("f32", 1, 1, size)),
        tensors=tensors,
        ops=(*ops[:-1], dataclasses.replace(ops[-1], weights=len(tensors) - 1)),
        words=(),
        cascade=(),
    )


def _without(
    file: ModelFile, op: Op, added: list[Tensor]
) -> tuple[tuple[Tensor, ...], tuple[Op, ...]]:
    """Take out the tensors of the last operation that no other reads, and append others.

    Returns the tensors, and the operations with their new numbers, the last without tensors.
    """
    fields = ("weights", "scale", "shift", "slope", "threshold", "flip")
    ops = [*file.ops[:-1], dataclasses.replace(op, weights=None, scale=None, shift=None)]
    used = sorted({i for o in ops for f in fields if (i := getattr(o, f)) is not None})
    number = {old: new for new, old in enumerate(used)}
    moved = []
    for o in ops:
        places: dict[str, Any] = {f: number[i] for f in fields if (i := getattr(o, f)) is not None}
        moved.append(dataclasses.replace(o, **places))
    return (*(file.tensors[i] for i in used), *added), tuple(moved)


def _dtype(op: Op) -> str:
    """Return the type of weights that are small whole numbers."""
    return "i8" if op.code == "byte_conv2d" else "f16"


def _smallest(columns: Floats) -> Tensor:
    """Store weights as float16 if that rounds none of the columns that were there, else as float32."""
    old = columns[:, :-1]
    exact = np.array_equal(old.astype(np.float16).astype(np.float32), old)
    return Tensor("f16" if exact else "f32", columns)
