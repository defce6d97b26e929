"""Synthetic speech: voices that are drawn, commands that are run, failures that are named."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("soundfile", reason="the extra `train` is not installed")

from bifast.train.data import synth
from bifast.train.data.synth import (
    PiperVoice,
    SynthesisError,
    Synthesizer,
    Voice,
    command,
    speak,
    voices,
)

FAKE = """#!{python}
import sys, wave
log, arguments = {log!r}, sys.argv[1:]
text = sys.stdin.read()
open(log, "a").write(repr((arguments, text)) + "\\n")
if "fail" in text:
    sys.exit("no such speaker")
option = next(o for o in ("--output_file", "-w", "-o") if o in arguments)
with wave.open(arguments[arguments.index(option) + 1], "wb") as file:
    file.setnchannels(1); file.setsampwidth(2); file.setframerate(22050)
    file.writeframes(b"\\0\\0" * 2000 + (b"" if "silence" in text else b"\\x10\\x20") * 8000)
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for the three programs, the only ones on the path; returns their log."""
    log = tmp_path / "log"
    for name in ("piper", "espeak-ng", "flite"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(FAKE.format(python=sys.executable, log=str(log)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return log


@pytest.fixture
def voice_file(tmp_path: Path) -> str:
    path = tmp_path / "en_US-test.onnx"
    path.touch()
    Path(f"{path}.json").write_text(json.dumps({"num_speakers": 3}))
    return str(path)


def test_held_out_voices_are_never_drawn() -> None:
    drawn = [v for word in ("yes", "stop", "table") for v in voices(word, 400, 0)]
    names = {v.voice for v in drawn}
    assert not names & {"slt", "rms"}
    assert not [n for n in names if "en-gb-x-rp" in n or n.endswith(("+f3", "+m3"))]
    assert voices("yes", 5, 1) == voices("yes", 5, 1)


def test_piper_speaks_its_share_with_all_speakers(voice_file: str) -> None:
    drawn = voices("yes", 300, 0, (PiperVoice.read(voice_file),))
    piper = [v for v in drawn if v.program == "piper"]
    assert 90 < len(piper) < 150
    assert {v.speaker for v in piper} == {0, 1, 2}


def test_piper_is_asked_for_the_word(programs: Path, voice_file: str) -> None:
    wave = speak("stop", Voice("piper", voice_file, 120, 50, 2))
    [line] = programs.read_text().splitlines()
    assert f"'--model', '{voice_file}'" in line
    assert "'--length_scale', '1.25', '--speaker', '2'" in line
    assert line.endswith("'stop')")
    assert abs(wave.size - 8000 * 16000 / 22050) < 30  # without the silence before


def test_piper_runs_as_a_module_where_there_is_no_program(
    monkeypatch: pytest.MonkeyPatch, voice_file: str
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(synth, "find_spec", lambda name: object())
    line, text = command("go", Voice("piper", voice_file, 150, 50), Path("x.wav"))
    assert line[:3] == [sys.executable, "-m", "piper"]
    assert text == "go"
    monkeypatch.setattr(synth, "find_spec", lambda name: None)
    with pytest.raises(SynthesisError, match="pip install piper-tts"):
        command("go", Voice("piper", voice_file, 150, 50), Path("x.wav"))


def test_word_that_looks_like_an_option_is_a_word() -> None:
    line, _ = command("-h", Voice("espeak-ng", "en-us+m1", 150, 50), Path("x.wav"))
    assert line[-2:] == ["--", "-h"]


def test_failing_program_is_named(programs: Path, voice_file: str) -> None:
    voice = Voice("piper", voice_file, 150, 50)
    with pytest.raises(SynthesisError, match=r"piper failed at 'fail'.*no such speaker"):
        speak("fail", voice)
    with pytest.raises(SynthesisError, match="says nothing at 'silence'"):
        speak("silence", voice)


def test_missing_voice_file_is_named(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(SynthesisError, match=r"gone\.onnx: expected a voice"):
        Synthesizer(tmp_path / "cache", 0, (str(tmp_path / "gone.onnx"),))


def test_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SynthesisError, match=r"espeak-ng and flite: install, or set"):
        Synthesizer(tmp_path, 0).wave("yes:1:0")


def test_words_are_spoken_once_and_kept(programs: Path, voice_file: str, tmp_path: Path) -> None:
    made = Synthesizer(tmp_path / "cache", 0, (voice_file,))
    first = [made.wave(f"yes:6:{index}") for index in range(6)]
    assert all(w.shape == (16000,) and w.dtype == np.float32 for w in first)
    assert len(programs.read_text().splitlines()) == 6
    [path, *_] = sorted((tmp_path / "cache").glob("*.opus"))
    path.write_bytes(b"damaged")
    again = [made.wave(f"yes:6:{index}") for index in range(6)]
    assert all(map(np.array_equal, first, again))
    assert len(programs.read_text().splitlines()) == 7


def test_words_that_are_kept_need_no_program(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Synthesizer(tmp_path / "cache", 0).wave("yes:2:1")
    monkeypatch.setenv("PATH", "")
    brought = Synthesizer(tmp_path / "cache", 0)
    assert np.array_equal(brought.wave("yes:2:1"), first)
    with pytest.raises(SynthesisError, match="install"):
        brought.wave("yes:2:0")
