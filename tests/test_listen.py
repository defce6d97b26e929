"""`bifast listen`: files, pipes, programs on a word, and a microphone that fails in every way."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import conftest
import numpy as np
import pytest

import bifast
from bifast import audio, cli, microphone, shipped
from bifast.cli.meter import Meter
from bifast.cli.on_word import Runner

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


@pytest.fixture(scope="module")
def expected() -> list[dict[str, Any]]:
    """What the shipped model hears in the sentence, two hops of silence round it."""
    return heard_in(SAMPLES, 2 * 8 * 512)


def listen(*argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "bifast", "listen", *argv]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def json_lines(text: bytes | str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# ---- files and pipes -----------------------------------------------------------------------------


def test_a_file_gives_the_words_of_a_listener(expected: Any, capsys: Any) -> None:
    assert cli.main(["listen", str(SENTENCE), "--json"]) == 0
    assert json_lines(capsys.readouterr().out) == expected


def test_text_has_time_word_and_score(expected: Any, capsys: Any) -> None:
    assert cli.main(["listen", str(SENTENCE)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(line[4], line[5]) for line in lines] == [
        (e["word"], f"{e['score']:.3f}") for e in expected
    ]


def test_a_pipe_of_raw_pcm_gives_the_same(expected: Any) -> None:
    result = listen("-", "--json", stdin=SAMPLES.tobytes())
    assert (result.returncode, json_lines(result.stdout)) == (0, expected)


def test_words_come_while_the_pipe_is_open(expected: Any) -> None:
    command = [sys.executable, "-m", "bifast", "listen", "-", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(SAMPLES[: 3 * RATE].tobytes()[:-1])  # cut inside a sample
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == expected[0]
        process.stdin.write(SAMPLES.tobytes()[6 * RATE - 1 :])
        process.stdin.close()
        assert json_lines(process.stdout.read()) == expected[1:]
        assert process.wait() == 0


def test_half_a_sample_at_the_end_is_told_and_loses_no_word(expected: Any) -> None:
    result = listen("-", "--json", stdin=SAMPLES.tobytes() + b"x")
    assert (result.returncode, json_lines(result.stdout)) == (1, expected)
    assert b"half a sample at the end" in result.stderr


def test_a_pipe_of_another_rate_is_resampled() -> None:
    soxr = pytest.importorskip("soxr")
    wide = soxr.resample(SAMPLES, RATE, 48000)
    result = listen("-", "--json", "--rate", "48000", stdin=wide.tobytes())
    assert result.returncode == 0
    heard = [line["word"] for line in json_lines(result.stdout)]
    assert set(heard) & set(shipped_words())


def shipped_words() -> list[str]:
    labels = bifast.Model.load("bifsmn").labels
    return [label for label in labels if label not in ("silence", "unknown")]


@pytest.mark.parametrize("word", ["go", "no", "right", "up", "yes"])
def test_a_clip_of_a_second_is_heard(word: str, capsys: Any) -> None:
    for path in sorted(SENTENCE.parent.glob(f"{word}-rms.wav")):
        assert cli.main(["listen", str(path), "--json", "--quiet"]) == 0
        out, err = capsys.readouterr()
        assert [e["word"] for e in json_lines(out)] == [word]
        assert err == ""


def test_the_summary_counts_the_windows_of_the_end(capsys: Any) -> None:
    path = SENTENCE.parent / "yes-rms.wav"
    samples = audio.load(path, RATE)
    model = bifast.Model.load(bifast.DEFAULT_MODEL)
    with model.listen(hop=0.25) as listener:
        quiet = np.zeros(listener.quiet, np.float32)
    windows = len(model.scan(np.concatenate([quiet, samples, quiet]), hop=0.25))
    assert cli.main(["listen", str(path)]) == 0
    assert f"{windows} windows every 0.256 s" in capsys.readouterr().err


def test_depth_and_hop_fit_a_share_of_the_processor(capsys: Any) -> None:
    assert cli.main(["listen", str(SENTENCE), "--max-cpu", "1"]) == 0
    assert "every 0.256 s: full 100.0 %" in capsys.readouterr().err
    assert cli.main(["listen", str(SENTENCE), "--max-cpu", "1e-9"]) == 2
    assert "max_cpu: expected at least" in capsys.readouterr().err


def test_an_empty_pipe_hears_nothing() -> None:
    result = listen("-")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_a_file_that_ends_in_a_frame_or_is_cut(tmp_path: Path, capsys: Any, expected: Any) -> None:
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(SAMPLES.tobytes())
        file.writeframes(np.zeros(777, np.int16).tobytes())
    assert cli.main(["listen", str(path), "--json"]) == 0
    heard = [line["word"] for line in json_lines(capsys.readouterr().out)]
    assert heard[: len(expected)] == [e["word"] for e in expected]
    path.write_bytes(path.read_bytes()[:-1])
    assert cli.main(["listen", str(path)]) == 1
    assert "long.wav: WAV: " in capsys.readouterr().err


def test_realtime_plays_at_its_own_speed(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, expected: Any
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    assert cli.main(["listen", str(SENTENCE), "--json", "--realtime"]) == 0
    assert json_lines(capsys.readouterr().out) == expected
    assert now[0] == pytest.approx(len(SAMPLES) / RATE)


def test_words_and_thresholds_are_chosen(capsys: Any) -> None:
    assert cli.main(["listen", str(SENTENCE), "--json", "--words", "up, no=0.5"]) == 0
    assert {line["word"] for line in json_lines(capsys.readouterr().out)} == {"up", "no"}
    assert cli.main(["listen", str(SENTENCE), "--threshold", "1"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--words", "yess"], "unknown word 'yess'"),
        (["--words", "yes=loud"], "--words: yes: expected a number, got 'loud'"),
        (["--threshold", "2"], "threshold: expected above 0"),
        (["--gate", "3"], "gate: expected dB"),
        (["--depth", "ful"], "unknown depth 'ful'"),
        (["--exec", ""], "--exec: expected a program"),
        (["--exec", "no-such-program-here"], "--exec: expected a program"),
        (["--exec", "'"], "--exec: No closing quotation"),
        (["--rate", "8000"], "--rate: expected the input -"),
        (["--device", "1"], "--device: expected no other input"),
    ],
)
def test_wrong_options_are_refused(argv: list[str], message: str, capsys: Any) -> None:
    assert cli.main(["listen", str(SENTENCE), *argv]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["listen", "gone.wav"]) == 2
    assert capsys.readouterr().err == "bifast listen: gone.wav: No such file or directory\n"
    assert cli.main(["listen", str(tmp_path)]) == 2
    assert "expected a sound file, got a folder" in capsys.readouterr().err


# ---- programs on a word --------------------------------------------------------------------------


def test_exec_gets_the_word_in_its_environment(tmp_path: Path, expected: Any) -> None:
    script, notes = tmp_path / "note it.py", tmp_path / "notes"
    # Appended to a file: on stdout a program's line may fall between an event and its newline.
    script.write_text(
        "import os, sys\n"
        f"with open({str(notes)!r}, 'a') as notes:\n"
        "    values = (os.environ['BIFAST_' + n] for n in ('WORD', 'SCORE', 'START', 'END'))\n"
        "    print(*values, sys.argv[1], file=notes)\n"
    )
    command = f"{sys.executable} '{script}' '$(reboot); `x`'"
    assert cli.main(["listen", str(SENTENCE), "--json", "--exec", command]) == 0
    lines = notes.read_text().splitlines()
    # They run beside each other: any order.
    assert sorted(lines) == sorted(
        f"{e['word']} {e['score']:.6f} {e['start']:.4f} {e['end']:.4f} $(reboot); `x`"
        for e in expected
    )


def event(word: str = "yes") -> bifast.Event:
    return bifast.Event(word, 0.9, 0, RATE, RATE, np.empty(0, np.float32), RATE)


def test_programs_that_do_not_end_are_limited(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("bifast.cli.on_word.MAX_RUNNING", 2)
    runner = Runner("sleep 0.3")
    for _ in range(4):
        runner.start(event())
    assert capsys.readouterr().err.count("none was started for 'yes'") == 2
    runner.finish()
    runner.start(event())
    assert capsys.readouterr().err == ""
    runner.finish()


# ---- the microphone ------------------------------------------------------------------------------


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
    out, err = capsys.readouterr()
    heard = json_lines(out)
    assert re.search(r"12\.8 s of sound, .* windows every 0\.256 s: full 100\.0 %", err)
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


# ---- the meter -----------------------------------------------------------------------------------


class Terminal:
    """A stderr that says it is a terminal and keeps what is drawn."""

    def __init__(self) -> None:
        self.text = ""
        self.encoding = "utf-8"

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("rich", [True, False])
def test_the_meter_shows_level_word_and_overruns(
    rich: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if rich:
        pytest.importorskip("rich")
    else:
        for name in ("rich", "rich.console", "rich.live", "rich.text"):
            monkeypatch.setitem(sys.modules, name, None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    source = SimpleNamespace(overruns=3)
    with bifast.Model.load("bifsmn").listen(gate=-30) as listener:
        with Meter(listener, source, quiet=False) as meter:  # type: ignore[arg-type]
            listener.push(np.full(2 * RATE, 16384, np.int16))
            meter.show(np.full(320, 16384, np.int16))
            with meter.aside():
                pass
        listener.push(np.zeros(4 * RATE, np.int16))
        line = meter.line()
    assert "-6 dB" in terminal.text
    assert "3 overruns" in terminal.text
    assert "2.0 s" in terminal.text
    assert "at rest" in line


def test_a_quiet_meter_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    listener = bifast.Model.load("bifsmn").listen()
    with Meter(listener, None, quiet=True) as meter:
        meter.show(SAMPLES[:320])
    assert terminal.text == ""


# ---- blocks of files and pipes -------------------------------------------------------------------


def test_a_file_block_by_block_is_the_file() -> None:
    blocks = list(audio.stream(SENTENCE, RATE))
    np.testing.assert_array_equal(np.concatenate(blocks), audio.load(SENTENCE, RATE))


def test_a_wav_file_on_stdin_is_not_taken_for_samples() -> None:
    pipe = io.BytesIO(b"RIFF" + bytes(60))
    with pytest.raises(bifast.FormatError, match="got a WAV file"):
        list(audio.stream_pcm(pipe, 16000, 16000))
