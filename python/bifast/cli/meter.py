"""The live meter of `bifast listen`: level, what the model hears, overruns; on a terminal alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import numpy as np

import bifast
from bifast.inputs import Samples
from bifast.microphone import Microphone
from bifast.stream import AUTO

_PERIOD = 0.1  # seconds between drawings
_BAR = 24
_QUIETEST = -60.0  # dB, left end of the bar


@final
class Meter:
    """One line on stderr that is drawn again and again: with rich where it is installed."""

    def __init__(
        self, listener: bifast.Listener, source: Microphone | None, *, quiet: bool
    ) -> None:
        self._listener = listener
        self._source = source
        self._shown = not quiet and sys.stderr.isatty()
        self._live: Any = None
        self._next = 0.0
        self._peak = 0.0
        self._heard = ""

    def __enter__(self) -> Meter:
        """Start to draw."""
        if self._shown:
            try:
                from rich.console import Console
                from rich.live import Live
            except ImportError:
                pass
            else:
                console = Console(stderr=True)
                self._live = Live(console=console, transient=True, auto_refresh=False)
                self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Wipe the line."""
        if self._live is not None:
            self._live.stop()
        elif self._shown:
            self._wipe()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Make room for a line of another stream on the same terminal."""
        if self._shown and self._live is None:
            self._wipe()
        if self._live is not None:
            self._live.stop()
        yield
        if self._live is not None:
            self._live.start()

    def show(self, samples: Samples) -> None:
        """Draw, if it is time to."""
        if not self._shown:
            return
        if samples.size:
            scale = 32768.0 if samples.dtype == np.int16 else 1.0
            top = (
                max(int(samples.max()), -int(samples.min())) if scale > 1 else np.abs(samples).max()
            )
            self._peak = max(self._peak, float(top) / scale)
        results = self._listener.last.results()
        if results:
            self._heard = f"{results[-1].label} {results[-1].probability:.2f}"
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _PERIOD
        line = self.line()
        self._peak = 0.0
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text(line), refresh=True)
        else:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    def line(self) -> str:
        """Return what is drawn."""
        stream, rate = self._listener.stream, self._listener.detector.sample_rate
        level = 20.0 * float(np.log10(max(self._peak, 1e-5)))
        filled = round(_BAR * max(0.0, 1.0 - level / _QUIETEST))
        parts = [
            f"{stream.position / rate:8.1f} s",
            f"|{'#' * filled}{' ' * (_BAR - filled)}| {level:4.0f} dB",
            f"{self._heard:<14}",
        ]
        if stream.depth == AUTO:
            parts.append(f"{100 * stream.cost:3.0f} % of full depth")
        if stream.skipped:
            parts.append(f"{stream.skipped} at rest")
        if self._source is not None and self._source.overruns:
            parts.append(f"{self._source.overruns} overruns")
        return "  ".join(parts)

    def _wipe(self) -> None:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
