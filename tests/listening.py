"""What the tests of `bifast listen` share: a sentence, what is heard in it, lines of JSON."""

from __future__ import annotations

import json
from typing import Any

import conftest
import numpy as np

import bifast
from bifast import shipped

SENTENCE = shipped.sentence()
SAMPLES = conftest.read_wav(SENTENCE)
RATE = 16000


def heard_in(samples: Any, quiet: int) -> list[dict[str, Any]]:
    """What the shipped model hears, with so much silence round it, by the library."""
    silence = np.zeros(quiet, np.int16)
    with bifast.Model.load("bifsmn").listen() as listener:
        heard = listener.push(np.concatenate([silence, samples, silence])) + listener.flush()
    assert len(heard) >= 3
    return [
        {
            "word": e.word,
            "score": round(e.score, 6),
            "start": round(max(0, e.start - quiet) / RATE, 4),
            "end": round((e.end - quiet) / RATE, 4),
        }
        for e in heard
    ]


def json_lines(text: bytes | str) -> list[dict[str, Any]]:
    """The words; the summary at the end is left out."""
    return [line for line in map(json.loads, text.splitlines()) if "summary" not in line]
