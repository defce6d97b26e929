"""From scores to words, and from audio to words with the audio before them."""

from __future__ import annotations

from itertools import cycle, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bifast
from bifast import audio, shipped

LABELS = ("yes", "no", "unknown", "silence")
HOP = 4000
RATE = 16000


def detector(**words: bifast.Word | None) -> bifast.Detector:
    return bifast.Detector(LABELS, hop=HOP, sample_rate=RATE, words=words or None)


def scan(*yes: float, start: int = 0, no: float = 0.0) -> bifast.Scan:
    """Windows with these probabilities of `yes`."""
    rows = np.array([[p, no, (1 - p - no) / 2, (1 - p - no) / 2] for p in yes])
    starts = start + HOP * np.arange(len(yes))
    logits = np.log(np.maximum(rows, 1e-9)).astype(np.float32)
    return bifast.Scan(LABELS, starts, logits, window=RATE, sample_rate=RATE)


SHARP = bifast.Word(threshold=0.8, smoothing=0.0, refractory=0.0)


# ---- the detector --------------------------------------------------------------------------------


def test_settings_of_a_file_are_the_usual_ones() -> None:
    stored = {"yes": bifast.Word(0.6, 0.0, 0.5)}
    labels = ("yes", "no", "unknown")
    hop = {"hop": 4000, "sample_rate": 16000}
    assert bifast.Detector(labels, **hop, usual=stored).words == stored
    words = bifast.Detector(labels, **hop, words={"yes": None, "no": None}, usual=stored).words
    assert words == {**stored, "no": bifast.Word()}
    mine = {"yes": bifast.Word(0.9)}
    assert bifast.Detector(labels, **hop, words=mine, usual=stored).words == mine


def test_words_are_all_labels_but_silence_and_unknown() -> None:
    assert list(detector().words) == ["yes", "no"]
    assert detector().words["yes"] == bifast.Word()


def test_a_word_is_heard_once_and_again_after_it_has_gone() -> None:
    events = detector(yes=SHARP).update(scan(0.1, 0.9, 0.95, 0.9, 0.2, 0.85))
    assert [(e.word, e.start) for e in events] == [("yes", HOP), ("yes", 5 * HOP)]
    assert events[0].score == pytest.approx(0.9)
    assert events[0].end == HOP + RATE


def test_smoothing_is_a_mean_over_the_windows_of_its_time() -> None:
    word = bifast.Word(threshold=0.8, smoothing=0.5, refractory=0.0)
    d = detector(yes=word)
    assert d.update(scan(0.95)) == []  # alone it counts half
    (event,) = d.update(scan(0.9, start=HOP))
    assert event.score == pytest.approx((0.95 + 0.9) / 2)
    assert event.start == 0  # the window that is surest
    assert detector(yes=word).update(scan(0.95, 0.1, 0.95, 0.1)) == []


def test_windows_in_pieces_give_the_events_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 1, 200).tolist()
    word = bifast.Word(threshold=0.6, smoothing=0.5, refractory=0.6)
    whole = detector(yes=word).update(scan(*values))
    d = detector(yes=word)
    single = [e for i, p in enumerate(values) for e in d.update(scan(p, start=i * HOP))]
    assert [e[:4] for e in single] == [e[:4] for e in whole]
    assert len(whole) > 5


def test_refractory_time_runs_from_the_end_of_the_event() -> None:
    values = [0.9, 0.1] * 12
    for refractory, apart in ((0.0, 2), (1.0, 4), (2.0, 8)):
        word = bifast.Word(threshold=0.8, smoothing=0.0, refractory=refractory)
        starts = [e.start // HOP for e in detector(yes=word).update(scan(*values))]
        assert {b - a for a, b in pairwise(starts)} == {apart}


def test_words_have_settings_and_states_of_their_own() -> None:
    d = detector(yes=SHARP, no=bifast.Word(threshold=0.05, smoothing=0.0))
    events = d.update(scan(0.9, 0.9, no=0.06))
    assert [(e.word, e.start) for e in events] == [("yes", 0), ("no", 0)]


def test_windows_left_out_by_a_gate_count_as_silence() -> None:
    word = bifast.Word(threshold=0.8, smoothing=0.5, refractory=0.0)
    assert detector(yes=word).update(scan(0.95)) == []
    d = detector(yes=word)
    d.update(scan(0.95))
    assert d.update(scan(0.95, start=5 * HOP)) == []
    sharp = detector(yes=SHARP)
    assert len(sharp.update(scan(0.9))) == 1
    assert len(sharp.update(scan(0.9, start=HOP))) == 0
    assert len(sharp.update(scan(0.9, start=9 * HOP))) == 1  # silence lay between


def test_a_last_window_after_less_than_a_hop_does_not_raise_the_score() -> None:
    d = detector(yes=SHARP)
    d.update(scan(0.5))
    assert d.update(scan(0.5, start=100)) == []


def test_mute_hears_nothing_in_windows_that_begin_before() -> None:
    d = detector(yes=SHARP)
    d.mute(2 * HOP / RATE)
    assert [e.start for e in d.update(scan(0.9, 0.9, 0.9, 0.1))] == [2 * HOP]


def test_reset_forgets() -> None:
    d = detector(yes=SHARP)
    assert len(d.update(scan(0.9))) == 1
    d.reset()
    assert len(d.update(scan(0.9))) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"yess": None}, "unknown word 'yess'.*did you mean 'yes'"),
        ({}, "at least one"),
        ({"yes": bifast.Word(threshold=0.0)}, "yes: threshold: expected above 0"),
        ({"yes": bifast.Word(threshold=float("nan"))}, "threshold"),
        ({"yes": bifast.Word(smoothing=-1.0)}, "yes: smoothing"),
        ({"yes": bifast.Word(refractory=float("inf"))}, "yes: refractory"),
    ],
)
def test_wrong_settings_are_refused(words: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bifast.Detector(LABELS, hop=HOP, sample_rate=RATE, words=words)


def test_mute_refuses_forever() -> None:
    with pytest.raises(ValueError, match="mute: expected seconds"):
        detector().mute(float("nan"))


# ---- the listener --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> bifast.Model:
    return bifast.Model.load("bifsmn")


@pytest.fixture(scope="module")
def sentence() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Words of the package with silence around them."""
    samples = audio.load(shipped.sentence(), RATE)
    return np.concatenate([np.zeros(RATE, np.float32), samples, np.zeros(RATE, np.float32)])


def listen(model: bifast.Model, x: Any, chunk: int, **settings: Any) -> list[bifast.Event]:
    with model.listen(**settings) as listener:
        events = [e for i in range(0, len(x), chunk) for e in listener.push(x[i : i + chunk])]
        return events + listener.flush()


def test_every_cut_hears_the_words_of_a_scan(model: bifast.Model, sentence: Any) -> None:
    stream = model.stream(hop=0.1)
    hop = round(stream.hop * RATE)
    wanted = bifast.Detector(model.labels, hop=hop, sample_rate=RATE).update(
        model.scan(sentence, hop=0.1)
    )
    assert len(wanted) >= 2
    for chunk in (160, 1601, 10**6):
        found = listen(model, sentence, chunk, hop=0.1)
        assert [e[:4] for e in found] == [e[:4] for e in wanted]


def test_an_event_carries_the_audio_before_it(model: bifast.Model, sentence: Any) -> None:
    integers = (sentence * 32767).astype(np.int16)
    for x in (sentence, integers):
        floats = x if x.dtype == np.float32 else x / np.float32(32768)
        for chunk in (160, 5000, 10**6):
            for event in listen(model, x, chunk, hop=0.1, pre_roll=0.5):
                assert event.audio_start == max(0, event.start - RATE // 2)
                wanted = floats[event.audio_start : event.end]
                np.testing.assert_array_equal(event.audio, wanted)


@settings(max_examples=min(15, settings().max_examples))
@given(data=st.data())
def test_the_audio_of_an_event_depends_on_no_cut(
    data: st.DataObject, model: bifast.Model, sentence: Any
) -> None:
    hop, pre_roll = data.draw(st.sampled_from((0.1, 0.25, 1.1))), data.draw(st.floats(0.0, 3.0))
    origin = data.draw(st.sampled_from((0, 12345)))
    words = {"yes": bifast.Word(0.5, 1.0), "right": bifast.Word(0.5, 0.2), "go": bifast.Word(0.3)}
    size = st.one_of(st.integers(100, 700), st.integers(1, 50_000), st.just(10**6))
    sizes = cycle(data.draw(st.lists(size, min_size=1, max_size=8)))
    with model.listen(words, hop=hop, pre_roll=pre_roll, depth="eighth") as listener:
        listener.reset(origin)
        events, at = [], 0
        while at < len(sentence):
            end = at + next(sizes)
            events += listener.push(sentence[at:end])
            at = end
        events += listener.flush()
    assert events
    for event in events:
        assert event.audio_start == max(origin, event.start - round(pre_roll * RATE))
        wanted = sentence[event.audio_start - origin : event.end - origin]
        np.testing.assert_array_equal(event.audio, wanted)


def test_the_audio_of_a_short_clip_ends_with_it(model: bifast.Model, sentence: Any) -> None:
    clip = sentence[RATE : RATE + 15000]
    words = {"yes": bifast.Word(threshold=0.1, smoothing=0.0)}
    (event,) = listen(model, clip, 999, words=words)
    assert (event.start, event.end) == (0, RATE)
    np.testing.assert_array_equal(event.audio, clip)


def test_memory_of_the_past_is_bounded(model: bifast.Model) -> None:
    with model.listen(hop=2.0, depth="eighth", pre_roll=1.0) as listener:
        for _ in range(100):
            listener.push(np.zeros(7000, np.int16))
        kept = sum(len(chunk) for chunk in listener._history)
        assert kept == listener._kept < listener._keep + 7000


def test_mute_covers_own_speech(model: bifast.Model, sentence: Any) -> None:
    with model.listen(hop=0.1) as listener:
        listener.mute(len(sentence) / RATE)
        assert listener.push(sentence) == []


def test_a_bad_chunk_changes_nothing(model: bifast.Model, sentence: Any) -> None:
    wanted = listen(model, sentence, 10**6)
    with model.listen() as listener:
        events = listener.push(sentence[:20000])
        for bad in (np.array([np.nan], np.float32), None, np.zeros(9)):
            with pytest.raises((ValueError, TypeError), match=r"samples|sample 0"):
                listener.push(bad)  # type: ignore[arg-type]
        broken = sentence.copy()
        broken[-1] = np.inf  # in a chunk that is taken in several blocks
        with pytest.raises(ValueError, match="finite"):
            listener.push(broken)
        events += listener.push(sentence[20000:]) + listener.flush()
    assert [e[:4] for e in events] == [e[:4] for e in wanted]


def test_reset_begins_anew_at_a_position(model: bifast.Model, sentence: Any) -> None:
    with model.listen(hop=0.1) as listener:
        first = listener.push(sentence) + listener.flush()
        listener.reset(10**9)
        again = listener.push(sentence) + listener.flush()
    assert [e.start + 10**9 for e in first] == [e.start for e in again]
    assert all(e.audio_start >= 10**9 for e in again)


def test_pre_roll_is_capped(model: bifast.Model) -> None:
    with pytest.raises(ValueError, match=r"pre_roll: expected 0 .. 60 seconds, got 61"):
        model.listen(pre_roll=61)


def test_last_holds_the_scores(model: bifast.Model, sentence: Any) -> None:
    with model.listen() as listener:
        assert len(listener.last) == 0
        listener.push(sentence)
        np.testing.assert_array_equal(
            listener.last.logits, model.scan(sentence).logits[: len(listener.last)]
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [(["yes"], "expected a dict.*got list"), ({"yes": 0.9}, "yes: expected a bifast.Word.*float")],
)
def test_words_of_another_type_are_told(words: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        bifast.Model.load("bifsmn").listen(words)
