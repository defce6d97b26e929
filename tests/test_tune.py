"""`bifast tune`: decides as the detector, tunes on one part, reports on the other, writes a copy."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import model_factory
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("soundfile", reason="the extra `train` is not installed")

from word_folder import make_words, write_lists, write_wav

import bifast
from bifast import cli
from bifast.format import Level, ModelFile
from bifast.tune import live, margins
from bifast.tune.scores import Setting, fired, smoothed
from bifast.tune.thresholds import Heard

RATE = 16000
WORDS = ("yes", "no")
LABELS = (*WORDS, *(f"other{i}" for i in range(8)), "unknown", "silence")
FEW = settings(max_examples=min(40, settings().max_examples))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.bifast"
    replace(model_factory.bifsmn(6), labels=LABELS).save(path)
    return path


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_words(tmp_path_factory.mktemp("words"), WORDS, 6)
    write_lists(folder)
    return folder


@pytest.fixture(scope="module")
def background(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("background") / "long.wav"
    noise = 0.1 * np.random.default_rng(4).standard_normal(150 * RATE)
    write_wav(path, noise.astype(np.float32))
    return path


def tune(out: Path, model: Path, words: Path, *background: Path, options: str = "") -> int:
    argv = ["tune", str(model), "--positives", str(words), "--out", str(out), "--minutes", "1"]
    if background:
        argv += ["--background", *map(str, background)]
    return cli.main([*argv, *options.split()])


# ---- decisions -----------------------------------------------------------------------------------


@FEW
@given(
    seed=st.integers(0, 1000),
    threshold=st.floats(0.05, 1.0),
    windows=st.integers(1, 4),
    refractory=st.sampled_from((0.0, 0.3, 1.0, 2.0)),
)
def test_many_thresholds_decide_as_a_detector(
    seed: int, threshold: float, windows: int, refractory: float
) -> None:
    hop, labels = 4096, ("word", "silence")
    rng = np.random.default_rng(seed)
    logits = np.cumsum(rng.normal(0, 1.5, (200, 2)), axis=0).astype(np.float32)
    logits -= logits.mean(axis=1, keepdims=True)
    word = bifast.Word(threshold, windows * hop / RATE, refractory)
    detector = bifast.Detector(labels, hop=hop, sample_rate=RATE, words={"word": word})
    scan = bifast.Scan(labels, np.arange(200) * hop, logits, window=RATE, sample_rate=RATE)
    setting = Setting(np.array([0]), hop, RATE, round(refractory * RATE), RATE)
    probability = scan.probabilities[:, 0]
    smooth = smoothed(scan.probabilities[:, :1], windows)[:, 0]
    if np.abs(smooth - threshold).min() < 1e-9:
        return
    events = detector.update(scan)
    found = fired(smooth, probability, threshold, windows, setting)
    assert [smooth[i] for i in found] == pytest.approx([e.score for e in events])


def test_a_cascade_that_is_tried_is_what_the_engine_does() -> None:
    file = model_factory.bifsmn(6)
    plain = bifast.Model.load(file.to_bytes())
    loud = 2.0 ** np.random.default_rng(1).uniform(0, 14, 64)
    x = (np.random.default_rng(0).normal(0, 0.5, (64, RATE // 8)) * loud[:, None]).reshape(-1)
    x = x.astype(np.int16)
    logits = [plain.scan(x, hop=0.1, depth=depth).logits for depth in plain.depths]
    middles = [float(np.float32(np.median(np.diff(np.sort(z)[:, -2:])))) for z in logits]
    levels = (Level(0.0, 0.0), None, *(Level(m, m) for m in middles[2:]))
    other = np.bincount(logits[-1].argmax(axis=1)).argmax()
    words = [None if i == other else bifast.Word() for i in range(len(file.labels))]
    file = replace(file, words=words, cascade=levels)
    model = bifast.Model.load(file.to_bytes())
    is_word = np.array([word is not None for word in file.words])
    found, depth = margins.cascaded(logits, levels, is_word)
    scan = model.scan(x, hop=0.1, depth="auto")
    np.testing.assert_array_equal(found, scan.logits)
    np.testing.assert_array_equal(depth, scan.depth_index)
    assert set(depth) == {0, 2, 3}
    shared, own = margins.work_of(file)
    assert shared > 0
    assert own == sorted(own, reverse=True)
    assert 0 < margins.relative_work(depth, levels, shared, own) < 2


def test_a_word_that_is_heard_elsewhere_makes_up_for_none_that_is_lost() -> None:
    file = replace(model_factory.bifsmn(6), labels=LABELS)
    silent, word = np.zeros((2, len(LABELS)), np.float32)
    silent[-1], word[0] = 20.0, 20.0
    setting = Setting(np.arange(10), RATE, RATE, RATE, RATE)
    spans = [(0, 0, RATE), (0, 3 * RATE, 4 * RATE)]
    deep, shallow = [silent] * 6, [silent] * 6
    deep[0], shallow[3] = word, word  # each hears one of the two
    background = np.stack([silent] * 9)
    heard = [Heard(np.stack(z), spans, background, 1.0) for z in (deep, shallow, shallow, shallow)]
    thresholds = np.full(10, 0.8)
    full = margins.tune_cascade(heard, file, thresholds, 1, setting, loss=0.0)
    assert full.levels[1:] == (None, None, None)
    assert full.heard.tolist() == [True, False]
    found = margins.tune_cascade(heard, file, thresholds, 1, setting, loss=0.5)
    assert found.levels[3] is not None
    assert found.heard.tolist() == [False, True]


# ---- the command ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned(
    model: Path, words: Path, background: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("tuned") / "tuned.bifast"
    assert tune(out, model, words, background) == 0
    return out


def test_a_copy_has_the_settings_and_else_is_the_model(tuned: Path, model: Path) -> None:
    old, new = ModelFile.load(model), ModelFile.load(tuned)
    assert [label for label, word in zip(LABELS, new.words, strict=True) if word] == [*WORDS]
    assert replace(new, words=(), cascade=(), card=old.card) == old
    assert new.card["tuned"]["clips"] == 2
    loaded = bifast.Model.load(tuned)
    with loaded.listen() as listener:
        assert listener.detector.words == loaded.words


def test_it_is_a_function_of_its_input(
    tuned: Path, model: Path, words: Path, background: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.bifast"
    assert tune(again, model, words, background) == 0
    assert again.read_bytes() == tuned.read_bytes()


def test_what_is_reported_is_not_tuned_on(
    tuned: Path, model: Path, words: Path, background: Path, tmp_path: Path, capsys: Any
) -> None:
    other = shutil.copytree(words, tmp_path / "words")
    for path in [*other.glob("*/00000000*.wav"), *other.glob("*/00000001*.wav")]:
        write_wav(path, np.zeros(RATE, np.float32))
    out = tmp_path / "again.bifast"
    assert tune(out, model, other, background) == 0
    assert out.read_bytes() == tuned.read_bytes()
    capsys.readouterr()


def test_json_tells_counts_intervals_and_the_fixed_stream(
    model: Path, words: Path, background: Path, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "t.bifast"
    assert tune(out, model, words, background, options="--json --rate 60") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["hours"]["tuning"] == pytest.approx(90 / 3600)
    assert told["hours"]["report"] == pytest.approx(60 / 3600)
    assert [row["word"] for row in told["words"]] == [*WORDS]
    for row in [*told["words"], *told["rates"]]:
        assert row["recall_interval"][0] <= row["recall"] <= row["recall_interval"][1]
        low, high = row["accepts_per_hour_interval"]
        assert low <= row["accepts_per_hour"] <= high
        if row["accepts"] == 0:
            assert high == pytest.approx(2.9957 * 60, rel=1e-4)
    stream = told["stream"]
    assert stream["full"]["true_positives"] + stream["full"]["false_negatives"] == stream["words"]
    if told["plot"]:
        assert Path(told["plot"]).read_bytes().startswith(b"\x89PNG")


def test_text_says_what_it_was_tuned_on(
    model: Path, words: Path, background: Path, tmp_path: Path, capsys: Any
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    assert tune(tmp_path / "t.bifast", model, words, background, broken) == 0
    text = capsys.readouterr().out
    assert "tuned on 2 clips and 0.03 h of background, reported on 4 other clips" in text
    assert "note: 0.03 h of background are too few for 1 per hour" in text
    assert "broken.wav" in text


def test_a_clip_that_is_broken_is_named_at_once_and_counted(
    model: Path, words: Path, background: Path, tmp_path: Path, capsys: Any
) -> None:
    other = shutil.copytree(words, tmp_path / "words")
    for word in WORDS:
        (other / word / "00000000_nohash_0.wav").write_bytes(b"no sound")
    assert tune(tmp_path / "t.bifast", model, other, background) == 0
    out, err = capsys.readouterr()
    for word in WORDS:
        assert f"bifast tune: left out: {word}/00000000_nohash_0.wav: " in err
    assert "reported on 2 other clips" in out
    assert "left out 2 that could not be read: yes/00000000_nohash_0.wav: " in out


def test_margins_alone_leave_the_words_as_they_are(
    model: Path, words: Path, background: Path, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "t.bifast"
    assert tune(out, model, words, background, options="--margins-only") == 0
    old, new = ModelFile.load(model), ModelFile.load(out)
    usual = [None if label in ("unknown", "silence") else bifast.Word() for label in LABELS]
    assert [*new.words] == usual
    assert replace(new, words=(), cascade=(), card=old.card) == old
    assert new.card["cascade"]["loss"] == pytest.approx(0.001)
    assert "the model's own thresholds" in capsys.readouterr().out
    tuned = tuple(word and word._replace(threshold=0.4, smoothing=0.3) for word in usual)
    replace(old, words=tuned).save(out)
    assert tune(out, out, words, background, options="--margins-only") == 0
    assert ModelFile.load(out).words == tuned


def test_margins_alone_need_depths_and_one_smoothing(
    model: Path, words: Path, background: Path, tmp_path: Path, capsys: Any
) -> None:
    old, path = ModelFile.load(model), tmp_path / "other.bifast"
    mixed = [None] * 8 + [bifast.Word(smoothing=0.5), bifast.Word(smoothing=0.25), None, None]
    replace(old, words=tuple(mixed)).save(path)
    assert tune(tmp_path / "t", path, words, background, options="--margins-only") == 2
    assert "smoothed over the same seconds, got other6 0.5, other7 0.25" in capsys.readouterr().err
    for option in ("--smoothing", "--rate"):
        assert tune(tmp_path / "t", path, words, options=f"--margins-only {option} 1") == 2
        assert f"{option}: expected none with --margins-only" in capsys.readouterr().err


def test_margins_alone_are_of_the_words_that_have_thresholds(
    model: Path, words: Path, background: Path, tmp_path: Path, capsys: Any
) -> None:
    old, path = ModelFile.load(model), tmp_path / "some.bifast"
    replace(old, words=(bifast.Word(0.6), *[None] * 11)).save(path)  # yes, not no
    assert tune(path, path, words, background, options="--margins-only --json") == 0
    assert [row["word"] for row in json.loads(capsys.readouterr().out)["words"]] == ["yes"]
    assert ModelFile.load(path).words == (bifast.Word(0.6), *[None] * 11)
    replace(old, words=(None, None, bifast.Word(), *[None] * 9)).save(path)
    assert tune(path, path, words, background, options="--margins-only") == 2
    assert "words that have thresholds, other0; found yes, no" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_told_before_the_work(
    model: Path, words: Path, background: Path, tmp_path: Path, capsys: Any
) -> None:
    missing = tmp_path / "missing" / "t.bifast"
    assert tune(missing, model, words, background) == 2
    plot = f"--plot {missing.with_suffix('.png')}"
    assert tune(tmp_path / "t.bifast", model, words, background, options=plot) == 2
    err = capsys.readouterr().err
    assert f"{missing}: its folder does not exist" in err
    assert f"{missing.with_suffix('.png')}: its folder does not exist" in err
    assert "tuning" not in err


def test_a_model_without_words_is_told(words: Path, capsys: Any, tmp_path: Path) -> None:
    assert tune(tmp_path / "t.bifast", Path("bifast-embed"), words) == 2
    err = capsys.readouterr().err
    assert "has no words to tune: all its labels are unknown; `bifast enroll` gives it words" in err


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("no words", "expected clips of yes, no"),
        ("no background", "--background: expected folders or files"),
        ("missing", "no such file or folder"),
        ("empty folder", "expected sound files, found none"),
        ("broken background", "no background to use for tuning; "),
        ("file as positives", "expected a folder"),
        ("hop", "expected a number above 0"),
    ],
)
def test_bad_input_is_told(
    change: str,
    expected: str,
    model: Path,
    words: Path,
    background: Path,
    tmp_path: Path,
    capsys: Any,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    out = tmp_path / "t.bifast"
    if change == "hop":
        with pytest.raises(SystemExit):
            tune(out, model, words, background, options="--hop 0")
    else:
        positives, sounds = {
            "no words": (make_words(tmp_path / "w", ("maybe",), 4), [background]),
            "no background": (words, []),
            "missing": (words, [tmp_path / "nothing.wav"]),
            "empty folder": (words, [tmp_path / "empty"]),
            "broken background": (words, [tmp_path / "broken.wav"]),
            "file as positives": (background, [background]),
        }[change]
        assert tune(out, model, positives, *sounds) == 2
    assert expected in capsys.readouterr().err
    assert not out.exists()


# ---- the fixed stream ----------------------------------------------------------------------------


def test_a_stream_is_fixed_by_its_seed_and_says_where_its_words_are() -> None:
    rng = np.random.default_rng(0)
    clips = [(word, np.full(RATE, 0.5, np.float32)) for word in ("a", "b") for _ in range(9)]
    pieces = [rng.uniform(-0.1, 0.1, 15 * RATE).astype(np.float32) for _ in range(9)]
    stream = live.assemble(clips, pieces, 40.0, RATE, 3)
    again = live.assemble(clips, pieces, 40.0, RATE, 3)
    np.testing.assert_array_equal(stream.wave, again.wave)
    assert stream.words == again.words
    assert len(stream.wave) >= 40 * RATE
    assert {word for word, _, _ in stream.words[:2]} == {"a", "b"}
    for _, start, end in stream.words:
        assert (stream.wave[start:end] == 0.5).all()


def test_an_event_counts_for_one_word_that_it_overlaps() -> None:
    words = [("yes", 100, 200), ("no", 300, 400), ("yes", 500, 600)]

    def event(word: str, start: int) -> bifast.Event:
        return bifast.Event(word, 1.0, start, start + 100, RATE, np.empty(0, np.float32), 0)

    heard = [event("yes", 150), event("yes", 160), event("yes", 320), event("no", 390)]
    assert live.count(words, heard) == (2, 2)
