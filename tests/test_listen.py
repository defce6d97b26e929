"""`bifast listen`: files, pipes, and programs on a word."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from listening import RATE, SAMPLES, SENTENCE, heard_in, json_lines

import bifast
from bifast import audio, cli
from bifast.cli.on_word import Runner


@pytest.fixture(scope="module")
def expected() -> list[dict[str, Any]]:
    """What the shipped model hears in the sentence, two hops of silence round it."""
    return heard_in(SAMPLES, 2 * 8 * 512)


def listen(*argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "bifast", "listen", *argv]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


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


# ---- blocks of files and pipes -------------------------------------------------------------------


def test_a_file_block_by_block_is_the_file() -> None:
    blocks = list(audio.stream(SENTENCE, RATE))
    np.testing.assert_array_equal(np.concatenate(blocks), audio.load(SENTENCE, RATE))


def test_a_wav_file_on_stdin_is_not_taken_for_samples() -> None:
    pipe = io.BytesIO(b"RIFF" + bytes(60))
    with pytest.raises(bifast.FormatError, match="got a WAV file"):
        list(audio.stream_pcm(pipe, 16000, 16000))
