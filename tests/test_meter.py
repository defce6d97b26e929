"""The meter of `bifast listen`, and the summary at its end."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from listening import RATE, SAMPLES, SENTENCE

import bifast
from bifast import audio, cli
from bifast.cli.meter import Meter
from bifast.cli.took import Took, in_words


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


# ---- the summary ---------------------------------------------------------------------------------


def test_the_summary_counts_the_windows_of_the_end(capsys: Any) -> None:
    path = SENTENCE.parent / "yes-rms.wav"
    samples = audio.load(path, RATE)
    model = bifast.Model.load(bifast.DEFAULT_MODEL)
    with model.listen(hop=0.25) as listener:
        quiet = np.zeros(listener.quiet, np.float32)
    windows = len(model.scan(np.concatenate([quiet, samples, quiet]), hop=0.25))
    assert cli.main(["listen", str(path)]) == 0
    assert f"{windows} windows every 0.256 s" in capsys.readouterr().err


def test_a_summary_adds_up_what_came_before_and_after_a_gap() -> None:
    model, took = bifast.Model.load("bifsmn"), Took()
    assert took.summary(0.256, 0.0, 0.0)["cost"] == 0
    for depth, size in (("full", 3 * RATE), ("eighth", 5 * RATE)):
        with model.stream(depth=depth, gate=-60) as stream:
            stream.push(np.zeros(2 * RATE, np.int16))
            stream.push(SAMPLES[:size])
            took.add(stream)
            if depth == "eighth":
                cost, n_eighth = stream.cost, stream.scored["eighth"]
    found = took.summary(0.256, 12.0, 0.006)
    total = found["windows"]
    assert found["scored"] == {
        "full": total - n_eighth, "half": 0, "quarter": 0, "eighth": n_eighth,
    }  # fmt: skip
    assert found["shares"]["eighth"] == pytest.approx(n_eighth / total, abs=1e-4)
    assert found["cost"] == pytest.approx((total - n_eighth + n_eighth * cost) / total, abs=1e-4)
    assert found["at_rest"] > 0
    text = in_words(found)
    assert f"12.0 s of sound, 0.05 % of a core; {total} windows every 0.256 s" in text
    assert re.search(r"at rest: full .* %, eighth .* %; \d+ % of the work at full depth", text)
