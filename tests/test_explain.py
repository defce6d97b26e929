"""What explains a word: scores that are a scan's, frames that decided, and the picture."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import conftest
import numpy as np
import pytest

import bifast
from bifast import cli, shipped
from bifast.explain import explain

RATE = 16000
SENTENCE = conftest.read_wav(shipped.sentence())
MODEL = bifast.Model.load("bifsmn")


def test_scores_are_those_of_a_scan_at_each_depth() -> None:
    found = explain(MODEL, SENTENCE, word="stop", depth="half")
    assert (found.word, found.depth, found.first) == ("stop", "half", 0)
    for depth in MODEL.depths:
        scan = MODEL.scan(SENTENCE, hop=0.032, depth=depth)
        np.testing.assert_array_equal(found.starts, scan.starts)
        column = scan.probabilities[:, MODEL.labels.index("stop")]
        np.testing.assert_allclose(found.probabilities[depth], column, rtol=1e-6)
    with MODEL.listen({"stop": None}, hop=0.032, depth="half") as listener:
        events = listener.push(SENTENCE) + listener.flush()
    assert [e[:4] for e in found.heard] == [e[:4] for e in events]
    assert found.smoothed.max() >= found.settings.threshold


def test_the_frames_that_decided_hold_the_word() -> None:
    found = explain(MODEL, SENTENCE, word="stop")
    loud = np.abs(SENTENCE.astype(int)) > 3000
    start = found.starts[found.decided]
    centres = start + np.arange(len(found.drops)) * MODEL.hop
    best = centres[np.argsort(found.drops)[-5:]]
    assert all(loud[centre - 1024 : centre + 1024].any() for centre in best)
    assert found.drops.max() > 2.0
    assert np.abs(found.drops[-3:]).max() < found.drops.max() / 4  # silence after the word


def test_frames_without_the_occlusion_are_the_scan() -> None:
    """The window that is occluded is the scan's, bit for bit: no drop where all is quiet already."""
    quiet = np.zeros(3 * RATE, np.int16)
    found = explain(MODEL, quiet, word="yes")
    np.testing.assert_array_equal(found.drops, 0.0)
    assert found.heard == []


def test_a_short_clip_gets_silence_around_it() -> None:
    clip = conftest.read_wav(next(p for p in shipped.sounds() if p.name.startswith("yes-")))
    found = explain(MODEL, clip)
    assert (found.word, found.first, len(found.samples)) == ("yes", 16000, len(clip) + 32000)
    np.testing.assert_array_equal(found.samples[16000:-16000], clip / np.float32(32768))


def test_unknown_names_are_told() -> None:
    with pytest.raises(ValueError, match="unknown word 'yess'"):
        explain(MODEL, SENTENCE, word="yess")
    with pytest.raises(ValueError, match="unknown depth 'ful'"):
        explain(MODEL, SENTENCE, depth="ful")


# ---- the command ---------------------------------------------------------------------------------


def test_the_picture_and_the_numbers(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "clip.wav"
    shutil.copy(shipped.sentence(), path)
    assert cli.main(["explain", str(path), "--word", "stop", "--start", "3.5", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (tmp_path / "clip.png").read_bytes().startswith(b"\x89PNG")
    assert (report["word"], report["threshold"]) == ("stop", 0.8)
    assert 4.0 < report["heard"][0]["start"] < 5.0
    assert 3.5 <= report["times"][0] < report["times"][-1] < len(SENTENCE) / RATE
    assert set(report["probabilities"]) == set(MODEL.depths)
    assert len(report["frames"]) == MODEL.input_shape[0]
    assert report["window"]["start"] == report["frames"][0]["time"]


def test_the_text_says_whether_it_was_heard(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    out = str(tmp_path / "why.png")
    assert cli.main(["explain", str(shipped.sentence()), "--word", "go", "--out", out]) == 0
    text = capsys.readouterr().out
    assert text.startswith("sentence.wav: go")
    assert text.endswith(f"; {out}\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--start", "-1"], "--start: expected seconds from 0"),
        (["--start", "99"], "--start: expected less than the 6.388"),
        (["--out", "nowhere/x.png"], "nowhere/x.png: its folder does not exist"),
        (["--out", "x.jpg"], "expected a name that ends with .png"),
        (["--word", "yess"], "unknown word 'yess'"),
        (["--depth", "auto"], "unknown depth 'auto'"),
    ],
)
def test_wrong_options_are_refused(argv: list[str], message: str, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    assert cli.main(["explain", str(shipped.sentence()), *argv]) == 2
    assert message in capsys.readouterr().err


def test_a_long_file_wants_a_part_chosen(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    import wave

    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(bytes(2 * 61 * RATE))
    assert cli.main(["explain", str(path)]) == 2
    assert "choose a part by --start and --seconds" in capsys.readouterr().err
    assert cli.main(["explain", str(path), "--start", "59", "--seconds", "2"]) == 0


def test_missing_matplotlib_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["explain", str(shipped.sentence())]) == 2
    assert "pip install 'bifast[plot]'" in capsys.readouterr().err


def test_a_file_that_is_no_sound_is_named(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF")
    assert cli.main(["explain", str(bad)]) == 2
    assert f"bifast explain: {bad}: expected" in capsys.readouterr().err
