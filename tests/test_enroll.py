"""Words of one's own: refusals, the file that is written, and words that are heard again."""

from __future__ import annotations

import json
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from byte_nets import byte_net
from model_factory import SMALL_FRONTEND
from numpy.typing import NDArray

import bifast
from bifast import cli, enroll, shipped
from bifast.audio import load
from bifast.effects import change_speed
from bifast.enroll.backbone import Backbone
from bifast.enroll.calibrate import Tail, average, fit_tail, peaks, smooth
from bifast.enroll.column import Discriminant, thinned
from bifast.enroll.negatives import BLOCK, Negative, compress, expand, windows
from bifast.enroll.recording import find_word
from bifast.format import FRONTEND_PAPER

RATE = 16000
Wave = NDArray[np.float32]


def said(word: str) -> list[tuple[str, Wave]]:
    """A demo sound at three speeds and levels, with a pause before and after."""
    [path] = [p for p in shipped.sounds() if p.name.startswith(f"{word}-")]
    sound = load(path, RATE)
    return [
        (f"{word}{n}.wav", np.pad(change_speed(sound, speed) * np.float32(level), 4000))
        for n, (speed, level) in enumerate([(1.0, 1.0), (0.93, 0.5), (1.06, 0.8)])
    ]


def some_negatives(every: int = 5) -> list[Negative]:
    """Some of the shipped ones, three seconds of each, which take a fraction of the time."""
    found = enroll.shipped(FRONTEND_PAPER)[::every]
    return [negative._replace(features=negative.features[:96]) for negative in found]


def tone(seconds: float, level: float = 0.3) -> Wave:
    time = np.arange(int(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        (np.zeros(RATE, np.float32), "is silent (digital silence)"),
        (tone(1, 0.001), "is silent (a peak of -60 dB)"),
        (tone(0.1), "lasts 0.10 s"),
        (tone(31), "lasts 31.00 s"),
        (np.pad(tone(2.0), RATE), "a word takes 0.12 to 1.3 s"),
        (tone(3), "has no word that stands out"),
        (np.pad(np.clip(8 * tone(0.6), -1, 1), RATE), "is clipped"),
    ],
    ids=["zeros", "faint", "short", "long", "long-word", "hum", "clipped"],
)
def test_recording_of_no_use_is_refused_with_its_reason(sound: Wave, reason: str) -> None:
    with pytest.raises(enroll.RefusedError) as caught:
        find_word("a.wav", sound, RATE)
    [told] = caught.value.reasons
    assert told.startswith("a.wav: ")
    assert reason in told


def test_word_is_found_where_it_is() -> None:
    found = find_word(
        "a.wav",
        np.concatenate([np.zeros(RATE), tone(0.5), np.zeros(RATE)]).astype(np.float32),
        RATE,
    )
    assert abs(found.first - RATE) < 500
    assert abs(found.last - 1.5 * RATE) < 500


def test_embedding_is_what_the_classifier_reads() -> None:
    model = bifast.Model.load("bifsmn")
    backbone = Backbone(model)
    features = np.random.default_rng(0).normal(-20, 10, (4, 32, 32)).astype(np.float32)
    for depth in model.depths:
        found = backbone.logits(backbone.embed(features, depth))
        assert np.allclose(found, model.run_features(features, depth=depth), atol=1e-4)


def test_column_leaves_the_old_words_their_logits() -> None:
    model = bifast.Model.load("bifsmn")
    weights = np.random.default_rng(0).normal(0, 0.01, 1024).astype(np.float32)
    file = Backbone(model).with_word("mine", weights, 0.5, bifast.Word(0.5), {})
    more = bifast.Model(file.to_bytes())
    assert more.labels == (*model.labels, "mine")
    assert set(more.words) == set(model.labels) - {"unknown", "silence"} | {"mine"}
    x = tone(1)
    assert np.array_equal(more.run(x)[:-1], model.run(x))


@pytest.mark.parametrize("seed", range(3))
def test_column_of_bytes_leaves_the_old_words_their_logits(seed: int) -> None:
    model = bifast.Model(byte_net(seed, SMALL_FRONTEND).to_bytes())
    backbone = Backbone(model)
    rng = np.random.default_rng(seed)
    x = rng.normal(-40, 20, (50, *model.input_shape[:2])).astype(np.float32)
    embeddings = backbone.embed(x, "full")
    assert np.array_equal(embeddings, embeddings.astype(np.uint8))
    weights = rng.normal(0, 0.01, backbone.size).astype(np.float32)
    more = bifast.Model(backbone.with_word("mine", weights, 0.5, bifast.Word(0.5), {}).to_bytes())
    found = more.run_features(x)
    assert np.array_equal(found[:, :-1], model.run_features(x))
    expected = embeddings @ weights + 0.5
    assert np.abs(found[:, -1] - expected).max() < 0.05 * expected.std() + 0.01 * backbone.size**0.5
    bare = bifast.Model(backbone.bare({}).to_bytes())
    assert not bare.run_features(x).any()


def test_negatives_survive_compression() -> None:
    rng = np.random.default_rng(0)
    smoothed = np.cumsum(rng.normal(0, 0.3, (3 * BLOCK, 32)), axis=0).astype(np.float32)
    given = [Negative("speech", smoothed), Negative("word", smoothed[:BLOCK], "yes")]
    found = expand(compress(given, 0.5))
    assert [(n.kind, n.word, len(n.features)) for n in found] == [
        ("speech", "", 3 * BLOCK),
        ("word", "yes", BLOCK),
    ]
    assert np.allclose(found[0].features, smoothed, atol=1.0)


def test_shipped_negatives_are_speech_words_and_noise() -> None:
    found = enroll.shipped(FRONTEND_PAPER)
    assert {n.kind for n in found} == {"speech", "word", "noise"}
    assert not {n.word for n in found} & {"alexa", "computer", "jarvis", "snowboy"}
    with pytest.raises(bifast.UnsupportedError, match="--negatives"):
        enroll.shipped(None)


def test_windows_are_cut_at_the_hop() -> None:
    features = np.arange(10 * 3, dtype=np.float32).reshape(10, 3)
    found = windows(features, 4, 3)
    assert found.shape == (3, 4, 3)
    assert np.array_equal(found[1], features[3:7])


def test_smoothing_is_the_detectors() -> None:
    logits = np.array([-2.0, 4.0, 1.0], np.float32)
    chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
    means = [chances[0] / 2, chances[:2].mean(), chances[1:].mean()]
    assert np.allclose(1 / (1 + np.exp(-smooth(logits, 2))), means, atol=1e-6)
    assert average(logits, 2).tolist() == [-2.0, 1.0, 2.5]


def test_peaks_are_events_apart() -> None:
    assert peaks(np.array([0, 3, 2, 0, 5, 0], np.float32), 1) == [5, 3]


def test_tail_tells_the_rate_of_scores_that_it_has_not_seen() -> None:
    rng = np.random.default_rng(0)
    # A generalised Pareto distribution of the fitted shape, by the inverse of its distribution function.
    drawn = (5 * (1 - rng.random((100, 100)) ** 0.15)).astype(np.float32)
    tail = fit_tail(list(drawn), 0, 100.0)
    for rate in (0.01, 0.1):  # up to a hundred times rarer than what was seen
        threshold = tail.threshold(rate)
        assert tail.expected(threshold) == pytest.approx(rate, rel=1e-6)
        assert threshold == pytest.approx(5 * (1 - (rate / 100) ** 0.15), abs=0.15)
    assert tail.expected(6.0) == 0.0  # beyond the largest possible
    with pytest.raises(ValueError, match="some minutes of speech"):
        fit_tail([np.zeros(3, np.float32)], 1, 1.0)
    assert Tail(2, 5, 1).threshold(10) == 2


def test_discriminant_weighs_down_what_varies_within_words() -> None:
    rng = np.random.default_rng(0)
    spread = np.repeat(np.array([[1.0, 8.0]]), 2, axis=0).reshape(1, -1)  # time x channels
    words = [rng.normal(0, spread, (50, 4)) + rng.normal(0, 3, 4) for _ in range(5)]
    background = rng.normal(0, 1, (500, 4)).astype(np.float32)
    found = Discriminant([w.astype(np.float32) for w in words], background, 2)
    weights = found.direction(np.ones(4, np.float32))
    assert weights[0] > 1.5 * weights[1]
    assert weights[2] > 1.5 * weights[3]


def test_many_embeddings_are_thinned_evenly_and_few_not_at_all() -> None:
    rows = np.arange(9000, dtype=np.float32)[:, None]
    assert thinned(rows)[:, 0].tolist() == list(range(0, 9000, 3))
    assert len(thinned(rows[:4096])) == 4096


@pytest.fixture(scope="module")
def embed() -> bifast.Model:
    return bifast.Model.load("bifast-embed")


def test_enrolled_word_is_heard_and_others_are_not(embed: bifast.Model) -> None:
    waves = said("left")
    found = enroll.enroll(embed, "left", waves, some_negatives(), rate=5.0)
    model = bifast.Model(found.file.to_bytes())
    assert model.labels == ("unknown", "left")
    assert model.card["enrolled"][0]["word"] == "left"
    assert 0 <= found.miss_interval[0] <= found.misses / 3 <= found.miss_interval[1] <= 1

    def best(word: str) -> list[float]:
        return [float(model.scan(w, hop=0.125).probabilities[:, 1].max()) for _, w in said(word)]

    assert min(best("left")) > max(best("stop") + best("yes"))


def test_recordings_that_disagree_are_refused_by_name(embed: bifast.Model) -> None:
    mixed = [*said("left"), ("whistle.wav", np.pad(tone(0.5), RATE))]
    with pytest.raises(enroll.RefusedError, match=r"^whistle.wav: is hardly more like"):
        enroll.enroll(embed, "mine", mixed, some_negatives())


def test_negatives_without_speech_are_refused(embed: bifast.Model) -> None:
    no_speech = [n for n in some_negatives(50) if n.kind != "speech"]
    for negatives in ([], no_speech):
        with pytest.raises(ValueError, match=rf"speech of at least .* none in {len(negatives)};"):
            enroll.enroll(embed, "mine", said("left"), negatives)


def test_recordings_of_three_words_disagree(embed: bifast.Model) -> None:
    three = [said(word)[0] for word in ("up", "stop", "right")]
    with pytest.raises(enroll.RefusedError, match="the recordings disagree: 3 of 3 are missed"):
        enroll.enroll(embed, "mine", three, some_negatives(1))


def test_one_recording_given_twice_is_refused_by_name(embed: bifast.Model) -> None:
    first, *others = said("left")
    twice = [first, *others, ("copy.wav", first[1].copy())]
    with pytest.raises(
        enroll.RefusedError, match=rf"^copy.wav: is the same recording as {first[0]}"
    ):
        enroll.enroll(embed, "mine", twice, some_negatives())


def test_word_like_one_that_the_model_knows_is_refused() -> None:
    model = bifast.Model.load("bifsmn")
    with pytest.raises(enroll.RefusedError, match="'mine' is too like 'stop'"):
        enroll.enroll(model, "mine", said("stop"), [])


def test_labels_and_numbers_are_checked(embed: bifast.Model) -> None:
    with pytest.raises(ValueError, match="is a label of the model already"):
        enroll.enroll(embed, "unknown", said("left"), [])
    with pytest.raises(ValueError, match=r"recordings: expected 3 \.\. 10, got 2"):
        enroll.enroll(embed, "mine", said("left")[:2], [])


def write(path: Path, sound: Wave) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return str(path)


def test_command_tells_every_reason_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [write(tmp_path / f"{n}.wav", np.zeros(RATE, np.float32)) for n in range(3)]
    out = tmp_path / "mine.bifast"
    assert cli.main(["enroll", "mine", *files, "--out", str(out)]) == 1
    assert capsys.readouterr().err.count("is silent") == 3
    assert not out.exists()


def test_command_names_every_file_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    negatives = some_negatives()
    monkeypatch.setattr(enroll, "shipped", lambda _: negatives)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    files = [write(tmp_path / name, sound) for name, sound in said("left")]
    out = tmp_path / "mine.bifast"
    bad = [str(broken), str(tmp_path / "absent.wav")]
    assert cli.main(["enroll", "mine", *bad, *files[:2], "--out", str(out)]) == 1
    err = capsys.readouterr().err
    assert f"{broken}: expected" in err
    assert "absent.wav: No such file" in err
    assert "2 of 4 recordings cannot be read; expected at least 3 that can" in err
    assert not out.exists()
    assert cli.main(["enroll", "mine", *bad, *files, "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "absent.wav: No such file" in shown.err
    assert "of 3 recordings" in shown.out
    out.unlink()
    kept = tmp_path / "room"
    kept.mkdir()
    (kept / "a.wav").write_bytes(b"RIFF")
    line = ["enroll", "mine", *files, "--out", str(out), "--negatives", str(kept)]
    assert cli.main(line) == 2
    err = capsys.readouterr().err
    assert f"{kept / 'a.wav'}: expected" in err
    assert "expected sound of at least 1 s that can be read, found none in 1 files" in err


def test_a_promise_that_what_was_heard_contradicts_is_told(
    embed: bifast.Model,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waves = said("left")
    found = enroll.enroll(embed, "left", waves, some_negatives(), rate=5.0)
    few, many = found.false_accept_interval
    assert not found._replace(expected=(few + many) / 2).contradicted
    assert found._replace(expected=many * 1.01).contradicted
    false = found._replace(expected=0.5, false_accepts=9, false_accept_interval=(50.0, 200.0))
    assert false.contradicted
    monkeypatch.setattr(enroll, "enroll", lambda *args, **settings: false)
    files = [write(tmp_path / name, sound) for name, sound in waves]
    out = str(tmp_path / "x.bifast")
    assert cli.main(["enroll", "left", *files, "--out", out, "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["contradicted"] is True
    assert "warning: 0.5 false accepts an hour are expected, but" in shown.err
    assert "says 50 .. 2e+02" in shown.err


def test_a_folder_that_is_not_there_is_told_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "nowhere" / "x.bifast"
    assert cli.main(["enroll", "left", "absent.wav", "--out", str(out)]) == 2
    assert capsys.readouterr().err == f"bifast enroll: {out}: its folder does not exist\n"


def test_command_writes_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    negatives = some_negatives()
    monkeypatch.setattr(enroll, "shipped", lambda _: negatives)
    files = [write(tmp_path / name, sound) for name, sound in said("left")]
    out = tmp_path / "mine.bifast"
    line = ["enroll", "mine", *files, "--out", str(out), "--json"]
    assert cli.main(line) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["word"] == "mine"
    assert told["false_accept_interval"][1] > 0
    first = out.read_bytes()
    assert cli.main(line) == 0
    assert out.read_bytes() == first


def test_command_misses_a_microphone_before_anyone_speaks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert cli.main(["enroll", "mine", "--record", "3"]) == 2
    err = capsys.readouterr().err
    assert "sounddevice" in err
    assert "press Enter" not in err


def test_command_wants_recordings_or_a_microphone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["enroll", "mine"]) == 2
    assert cli.main(["enroll", "mine", "a.wav", "--record", "3"]) == 2
    assert "--record N" in capsys.readouterr().err
