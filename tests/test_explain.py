"""What explains a word: scores that are a scan's, frames that decided, and the picture."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import conftest
import numpy as np
import pytest

import bifast
from bifast import cli, shipped
from bifast.explain import explain
from bifast.format import Level, ModelFile

RATE = 16000
SENTENCE = conftest.read_wav(shipped.sentence())
MODEL = bifast.Model.load("bifsmn")


@pytest.mark.parametrize("hop", [0.25, 0.032])
def test_scores_and_words_are_those_of_a_listener(hop: float) -> None:
    found = explain(MODEL, SENTENCE, word="right", depth="half", hop=hop)
    with MODEL.listen({"right": None}, hop=hop, depth="half") as listener:
        quiet = np.zeros(listener.quiet, np.int16)
        audio = np.concatenate([quiet, SENTENCE, quiet])
        events = listener.push(audio) + listener.flush()
    assert (found.word, found.depth, found.first) == ("right", "half", len(quiet))
    for depth in MODEL.depths:
        scan = MODEL.scan(audio, hop=hop, depth=depth)
        np.testing.assert_array_equal(found.starts, scan.starts)
        column = scan.probabilities[:, MODEL.labels.index("right")]
        np.testing.assert_allclose(found.probabilities[depth], column, rtol=1e-6)
    assert [e[:4] for e in found.heard] == [e[:4] for e in events]
    assert len(events) == 1
    assert found.starts[found.decided] == events[0].start
    assert found.smoothed.max() >= found.settings.threshold
    assert np.isclose(found.smoothed, events[0].score, atol=1e-6).any()


def test_a_cascade_is_explained_at_the_depth_that_decided() -> None:
    file = ModelFile.from_bytes(MODEL.to_bytes())
    levels = (Level(0.0, 0.0), None, None, Level(1e9, 0.0))  # words are for the deepest
    model = bifast.Model(replace(file, cascade=levels).to_bytes())
    found = explain(model, SENTENCE, word="right", depth="auto")
    assert set(found.probabilities) == {*MODEL.depths, "auto"}
    deep = explain(model, SENTENCE, word="right")
    assert found.heard[0][:4] == deep.heard[0][:4]
    np.testing.assert_array_equal(found.drops, deep.drops)


def test_the_frames_that_decided_hold_the_word() -> None:
    found = explain(MODEL, SENTENCE, word="stop")
    loud = np.abs(SENTENCE.astype(int)) > 3000
    start = found.starts[found.decided] - found.first
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
    assert (found.word, found.first, len(found.samples)) == ("yes", 8192, len(clip) + 2 * 8192)
    np.testing.assert_array_equal(found.samples[8192:-8192], clip / np.float32(32768))
    assert [event.word for event in found.heard] == ["yes"]


def test_unknown_names_are_told() -> None:
    with pytest.raises(ValueError, match="unknown word 'yess'"):
        explain(MODEL, SENTENCE, word="yess")
    with pytest.raises(ValueError, match="unknown depth 'ful'"):
        explain(MODEL, SENTENCE, depth="ful")


def test_a_model_of_one_label_has_nothing_to_explain() -> None:
    with pytest.raises(ValueError, match="the label 'unknown' alone; `bifast enroll` gives"):
        explain(bifast.Model.load("bifast-embed"), SENTENCE)


# ---- the command ---------------------------------------------------------------------------------


def test_the_picture_and_the_numbers(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "clip.wav"
    shutil.copy(shipped.sentence(), path)
    assert cli.main(["explain", str(path), "--word", "stop", "--start", "3.5", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (tmp_path / "clip.png").read_bytes().startswith(b"\x89PNG")
    assert (report["word"], report["threshold"]) == ("stop", 0.8)
    assert cli.main(["listen", str(path), "--json", "--quiet", "--words", "stop"]) == 0
    listened = json.loads(capsys.readouterr().out)
    assert listened.pop("word") == "stop"
    assert report["heard"] == [listened]
    assert 1.0 < report["times"][0] < 3.5 < report["times"][-1] < len(SENTENCE) / RATE
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
        (["--depth", "ful"], "unknown depth 'ful'"),
        (["--threshold", "2"], "threshold: expected above 0"),
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


def test_parts_of_a_file_are_explained_as_the_whole_is_heard(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    path = str(shipped.sentence())
    assert cli.main(["listen", path, "--json", "--quiet", "--hop", "0.1"]) == 0
    words = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for heard in words[1::3]:
        part = ["--start", str(heard["start"] + 0.3), "--seconds", "0.4", "--hop", "0.1"]
        line = ["explain", path, "--json", "--word", heard["word"], *part]
        assert cli.main([*line, "--out", str(tmp_path / "x.png")]) == 0
        (found,) = json.loads(capsys.readouterr().out)["heard"]
        assert found == {name: heard[name] for name in ("start", "end", "score")}


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


def test_a_word_beside_the_part_is_told(tmp_path: Path, capsys: Any) -> None:
    """Its mean is over the threshold in the sound that is shown around the part."""
    pytest.importorskip("matplotlib")
    out = str(tmp_path / "part.png")
    part = ["--word", "yes", "--start", "1", "--seconds", "0.2", "--out", out]
    assert cli.main(["explain", str(shipped.sentence()), *part, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["heard"] == []
    assert cli.main(["explain", str(shipped.sentence()), *part]) == 0
    told = "yes not heard in this part at full depth, but beside it: mean 0.9"
    assert told in capsys.readouterr().out
