"""Inference for binary neural networks: 1-bit weights, 1-bit activations, tiny models for sound.

>>> import bifast
>>> model = bifast.Model.load("bifsmn")
>>> model.classify(samples).label            # float32 in [-1, 1] or int16, 16 kHz, up to a second
'yes'
>>> model.scan(long_recording).segments()    # any length
>>> model.stream().push(chunk).results()     # audio that goes on

`python -m bifast --help` shows the commands.
"""

from __future__ import annotations

from bifast._core import default_isa, isas
from bifast._core import version as __version__
from bifast.detector import Detector, Event
from bifast.errors import BifastError, FormatError, UnsupportedError
from bifast.listener import Listener
from bifast.model import Model
from bifast.results import LayerOutput, Result, Scan, Segment
from bifast.shipped import DEFAULT_MODEL, models
from bifast.stream import Stream
from bifast.word import Word

__all__ = [
    "DEFAULT_MODEL",
    "BifastError",
    "Detector",
    "Event",
    "FormatError",
    "LayerOutput",
    "Listener",
    "Model",
    "Result",
    "Scan",
    "Segment",
    "Stream",
    "UnsupportedError",
    "Word",
    "__version__",
    "default_isa",
    "isas",
    "models",
]
