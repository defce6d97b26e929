"""The classes in pymicro-wakeword's shape, used as Linux Voice Assistant uses them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import conftest
import numpy as np
import pytest

import bifast
from bifast import shipped
from bifast.assistant import micro_wakeword
from bifast.assistant.micro_wakeword import MicroWakeWord, MicroWakeWordFeatures
from bifast.results import softmax

SENTENCE = conftest.read_wav(shipped.sentence())
CONFIG: dict[str, Any] = {
    "type": "micro",
    "wake_word": "Stop",
    "model": "bifsmn",
    "trained_languages": ["en"],
    "micro": {"probability_cutoff": 0.7, "sliding_window_size": 3},
    "bifast": {"label": "stop", "hop": 0.1, "depth": "half"},
}


def write(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps({**CONFIG, **changes}))
    return path


def heard(word: MicroWakeWord, audio: bytes, size: int = 2048) -> list[float]:
    """Seconds at which an assistant wakes: its loop over blocks of the microphone."""
    features, times, last = MicroWakeWordFeatures(), [], -10.0
    for first in range(0, len(audio), size):
        activated = False
        for part in features.process_streaming(audio[first : first + size]):
            word.probability_cutoff = 0.7
            word.debug_probabilities = False
            if word.process_streaming(part):
                activated = True
        now = (first + size) / 32000
        if activated and now - last > 2.0:
            times.append(now)
            last = now
    return times


def test_a_word_is_heard_once_where_it_is_said(tmp_path: Path) -> None:
    word = MicroWakeWord.from_config(write(tmp_path / "halt.json"))
    assert (word.id, word.wake_word, word.trained_languages) == ("halt", "Stop", ["en"])
    assert (word.probability_cutoff, word.sliding_window_size) == (0.7, 3)
    (time,) = heard(word, SENTENCE.tobytes())
    scan = bifast.Model.load("bifsmn").scan(SENTENCE, hop=0.1, depth="half")
    (said,) = [s for s in scan.segments() if s.label == "stop" and s.probability > 0.7]
    assert said.start + 1.0 < time < said.end + 0.2


@pytest.mark.parametrize("size", [90, 2049, 10**6])
def test_probabilities_do_not_depend_on_the_cut(size: int) -> None:
    word, features = MicroWakeWord.from_builtin("stop"), MicroWakeWordFeatures()
    highest, audio = 0.0, SENTENCE.tobytes()
    for first in range(0, len(audio), size):
        for part in features.process_streaming(audio[first : first + size]):
            probability = word.process_streaming_prob(part)
            assert probability is not None
            highest = max(highest, probability)
    scan = bifast.Model.load("bifsmn").scan(SENTENCE, hop=0.1)
    column = softmax(scan.logits)[:-1, scan.labels.index("stop")].astype(float)  # less the flush
    means = np.convolve(column, np.full(5, 0.2), "valid")
    assert highest == pytest.approx(means.max(), abs=1e-9)


def test_reset_forgets_and_close_ends() -> None:
    word = MicroWakeWord.from_builtin(micro_wakeword.Model.STOP)
    first = heard(word, SENTENCE.tobytes())
    word.reset()
    assert heard(word, SENTENCE.tobytes()) == first != []
    word.close()
    word.close()
    word.reset()
    assert word.process_streaming(SENTENCE) is None
    assert word.process_streaming_prob(SENTENCE) is None


def test_half_a_sample_waits_until_it_is_forgotten() -> None:
    features = MicroWakeWordFeatures()
    assert [list(part) for part in features.process_streaming(b"\1\0\2")] == [[1]]
    assert [list(part) for part in features.process_streaming(b"\0")] == [[2]]
    assert not list(features.process_streaming(b"\3"))
    features.reset()
    assert [list(part) for part in features.process_streaming(b"\4\0")] == [[4]]


def test_a_model_lies_beside_its_settings(tmp_path: Path) -> None:
    (tmp_path / "mine.bifast").write_bytes(bifast.Model.load("bifsmn").to_bytes())
    path = write(tmp_path / "yes.json", wake_word="Yes", model="mine.bifast", bifast={})
    assert len(heard(MicroWakeWord.from_config(path), SENTENCE.tobytes())) == 1


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": "gone.bifast"}, OSError, "gone.bifast"),
        ({"bifast": {"label": "yess"}}, ValueError, "unknown word 'yess'"),
        ({"bifast": {"hops": 1}}, bifast.FormatError, "settings of a wake word: .*hops"),
        ({"micro": {}}, bifast.FormatError, "settings of a wake word: KeyError"),
        ({"micro": {**CONFIG["micro"], "sliding_window_size": 0}}, ValueError, "1 or more, got 0"),
        ({"bifast": {"label": "stop", "depth": "ful"}}, ValueError, "unknown depth"),
    ],
)
def test_wrong_settings_are_told(
    changes: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        MicroWakeWord.from_config(write(tmp_path / "stop.json", **changes))


def test_another_file_is_no_word(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[")
    with pytest.raises(bifast.FormatError, match=r"x\.json: expected the settings of a wake word"):
        MicroWakeWord.from_config(tmp_path / "x.json")


def test_a_program_gets_this_module_for_pymicro_wakeword(tmp_path: Path) -> None:
    (tmp_path / "assistant.py").write_text(
        "import sys\n"
        "from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model\n"
        "word = MicroWakeWord.from_builtin(Model.YES)\n"
        "print(__name__, sys.argv[1:], word.id, isinstance(word, MicroWakeWord))\n"
    )
    command = [sys.executable, "-m", "bifast.assistant"]
    result = subprocess.run(
        [*command, "assistant", "--name", "x"], cwd=tmp_path, capture_output=True, check=True
    )
    assert result.stdout == b"__main__ ['--name', 'x'] yes True\n"
    result = subprocess.run(command, capture_output=True, check=False)
    assert result.returncode == 1
    assert b"use: python -m bifast.assistant MODULE" in result.stderr
