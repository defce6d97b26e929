"""The microphone of `bifast listen`, which fails in every way."""

from __future__ import annotations

import json
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from listening import RATE, SAMPLES, heard_in, json_lines

from bifast import cli, microphone


class PortAudioError(Exception):
    pass


class FakeSound:
    """sounddevice with a device that plays what a test tells it to, from a thread of its own."""

    PortAudioError = PortAudioError

    def __init__(self, rate: int = RATE) -> None:
        self.rate = rate
        self.there = True
        self.starts = 0
        self.streams: list[FakeStream] = []

    def query_devices(self, device: Any = None, kind: str | None = None) -> Any:
        info = {"name": "fake", "default_samplerate": float(self.rate), "max_input_channels": 1}
        if not self.there or device == "absent":
            raise ValueError(f"No input device matching {device!r}")
        return info if kind else [info, {**info, "max_input_channels": 0}]

    def check_input_settings(self, **settings: Any) -> None:
        if settings["samplerate"] != self.rate:
            raise PortAudioError("Invalid sample rate")

    def RawInputStream(self, **settings: Any) -> FakeStream:
        self.streams.append(FakeStream(**settings))
        return self.streams[-1]

    def _terminate(self) -> None:
        pass

    def _initialize(self) -> None:
        self.starts += 1


class FakeStream:
    def __init__(self, **settings: Any) -> None:
        self.callback, self.blocksize = settings["callback"], settings["blocksize"]

    def start(self) -> None:
        pass

    def close(self) -> None:
        raise PortAudioError("device is gone")

    def play(self, samples: Any, *, overflow: bool = False) -> None:
        for first in range(0, len(samples), self.blocksize):
            part = samples[first : first + self.blocksize]
            status = SimpleNamespace(input_overflow=overflow and first == 0)
            self.callback(memoryview(part.tobytes()), len(part), None, status)


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> FakeSound:
    fake = FakeSound()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)  # type: ignore[arg-type]
    return fake


def take(mic: microphone.Microphone, n_samples: int) -> list[microphone.Block]:
    """Blocks until so many samples have come."""
    blocks = []
    for block in mic.blocks():
        blocks.append(block)
        n_samples -= len(block.samples)
        if n_samples <= 0:
            return blocks
    raise AssertionError("blocks() never ends")


def test_a_microphone_gives_what_it_hears(sound: FakeSound) -> None:
    mic = microphone.Microphone(RATE, tell=print)
    sound.streams[0].play(SAMPLES)
    blocks = take(mic, len(SAMPLES))
    np.testing.assert_array_equal(np.concatenate([b.samples for b in blocks]), SAMPLES)
    assert [b.start for b in blocks] == list(range(0, len(SAMPLES), 320))


def test_a_microphone_of_another_rate_is_resampled(sound: FakeSound) -> None:
    soxr = pytest.importorskip("soxr")
    sound.rate = 48000
    mic = microphone.Microphone(RATE, tell=print)
    sound.streams[0].play(soxr.resample(SAMPLES, RATE, 48000))
    heard = np.concatenate([b.samples for b in take(mic, len(SAMPLES) - 2000)])
    assert np.corrcoef(heard, SAMPLES[: len(heard)])[0, 1] > 0.99


def test_a_late_reader_loses_samples_but_no_time(sound: FakeSound) -> None:
    mic = microphone.Microphone(RATE, tell=print)
    capacity = microphone.QUEUE_BLOCKS * 320
    long = np.arange(capacity + 3200, dtype=np.int16)
    sound.streams[0].play(long)  # ten blocks too many
    first = take(mic, capacity)
    sound.streams[0].play(SAMPLES[:640], overflow=True)
    rest = []
    blocks = mic.blocks()
    for _ in range(2):
        rest.append(next(blocks))
    assert sum(len(b.samples) for b in first) == capacity
    assert rest[0].start == 3200  # a reader that begins anew counts from the gap
    assert (mic.overruns, mic.lost) == (2, 3200)


def test_a_microphone_that_comes_back_is_heard_again(sound: FakeSound) -> None:
    told: list[str] = []
    mic = microphone.Microphone(RATE, tell=told.append, patience=0.05, retry=0.02)
    sound.streams[0].play(SAMPLES[:RATE])
    sound.there = False
    blocks = mic.blocks()
    heard = [next(blocks) for _ in range(50)]

    def plug_in() -> None:
        time.sleep(0.15)
        sound.there = True
        while len(sound.streams) < 2:
            time.sleep(0.005)
        sound.streams[1].play(SAMPLES[:640])

    thread = threading.Thread(target=plug_in)
    thread.start()
    back = next(blocks)
    thread.join()
    gap = back.start - (heard[-1].start + len(heard[-1].samples))
    assert 0.15 * RATE <= gap < 60 * RATE
    assert (mic.restarts, len(told)) == (1, 2)
    assert "gone" in told[0]
    assert "back" in told[1]
    assert sound.starts >= 2


def test_a_microphone_that_comes_back_with_another_rate_is_resampled(sound: FakeSound) -> None:
    soxr = pytest.importorskip("soxr")
    mic = microphone.Microphone(RATE, tell=print, patience=0.05, retry=0.02)
    sound.streams[0].play(SAMPLES[:320])
    sound.rate = 48000
    blocks = mic.blocks()
    assert len(next(blocks).samples) == 320

    def plug_in() -> None:
        while len(sound.streams) < 2:
            time.sleep(0.005)
        sound.streams[1].play(soxr.resample(SAMPLES, RATE, 48000))

    thread = threading.Thread(target=plug_in)
    thread.start()
    heard = []
    while sum(map(len, heard)) < RATE:
        heard.append(next(blocks).samples)
    thread.join()
    whole = np.concatenate(heard)
    assert np.corrcoef(whole, SAMPLES[: len(whole)])[0, 1] > 0.99


def test_listen_goes_on_after_a_gap(
    sound: FakeSound, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = heard_in(SAMPLES, 0)

    def blocks(self: microphone.Microphone) -> Any:
        for origin in (0, 100 * RATE):
            for first in range(0, len(SAMPLES), 320):
                yield microphone.Block(origin + first, SAMPLES[first : first + 320])
        raise KeyboardInterrupt

    monkeypatch.setattr(microphone.Microphone, "blocks", blocks)
    assert cli.main(["listen", "--json"]) == 130
    out = capsys.readouterr().out
    heard = json_lines(out)
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert summary["seconds"] == pytest.approx(12.8, abs=0.05)
    assert summary["shares"] == {"full": 1.0, "half": 0.0, "quarter": 0.0, "eighth": 0.0}
    again = [{**e, "start": e["start"] + 100, "end": e["end"] + 100} for e in expected]
    first = heard[: len(expected)]
    assert first == expected
    assert [e["word"] for e in heard[len(expected) :]] == [e["word"] for e in again][
        : len(heard) - len(expected)
    ]
    for got, wanted in zip(heard[len(expected) :], again, strict=False):
        assert got["start"] == pytest.approx(wanted["start"])


def test_no_device_is_a_clear_error(sound: FakeSound, capsys: Any) -> None:
    sound.there = False
    assert cli.main(["listen"]) == 2
    message = capsys.readouterr().err
    assert "no microphone (no default): No input device" in message
    assert "bifast listen --devices" in message
    assert "reads raw PCM from stdin" in message


def test_devices_are_listed(sound: FakeSound, capsys: Any) -> None:
    assert cli.main(["listen", "--devices"]) == 0
    assert capsys.readouterr().out == "0: fake (16000 Hz)\n"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ImportError("no module"), "pip install 'bifast[audio]'"),
        (OSError("PortAudio library not found"), "apt install libportaudio2"),
    ],
)
def test_missing_packages_are_named(
    error: Exception, advice: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Finder:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "sounddevice":
                raise error

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert cli.main(["listen"]) == 2
    assert advice in capsys.readouterr().err
