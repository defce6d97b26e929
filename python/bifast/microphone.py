"""A microphone as blocks of samples: gaps are told, overruns counted, a lost device is waited for.

Needs sounddevice (extra `audio`), which needs the PortAudio library of the system.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bifast.errors import UnsupportedError
from bifast.extras import extra
from bifast.inputs import Samples

# Blocks that wait for a reader who is late: ten seconds of 20 ms.
QUEUE_BLOCKS = 500
BLOCK_SECONDS = 0.02


class Block(NamedTuple):
    """Samples at the reader's rate, and the number of the first; a jump in the numbers is a gap."""

    start: int
    samples: Samples


class _Captured(NamedTuple):
    """What the audio thread hands over; `lost` samples of the device were dropped before it."""

    data: bytes
    lost: int


class Microphone:
    """An input device that is opened again when it comes back.

    Parameters
    ----------
    rate
        Hz of the blocks. A device that cannot do that is resampled (soxr).
    device
        Name, part of a name, or number; None for the system's default.
    tell
        Called with one line when the device is lost and when it is back.
    patience
        Seconds without samples after which a device counts as lost.
    retry
        Seconds between attempts to open it again.

    Raises
    ------
    UnsupportedError
        If sounddevice or PortAudio is missing.
    OSError
        If there is no such device, or it cannot be opened.
    """

    def __init__(
        self,
        rate: int,
        device: str | int | None = None,
        *,
        tell: Callable[[str], None],
        patience: float = 2.0,
        retry: float = 1.0,
    ) -> None:
        self._sound = _sounddevice()
        self._rate = rate
        self._device = device
        self._tell = tell
        self._patience = patience
        self._retry = retry
        self.overruns = 0  # times that samples were lost on the way
        self.lost = 0  # samples that a late reader lost, at `rate`
        self.restarts = 0  # times that the device came back
        self._queue: queue.Queue[_Captured] = queue.Queue(QUEUE_BLOCKS)
        self._dropped = 0
        self._stream, self._device_rate = self._start()

    def blocks(self) -> Iterator[Block]:
        """Yield blocks for ever."""
        position = 0
        convert = self._converter()
        while True:
            captured = self._next()
            if captured is None:
                position += self._reopen()
                convert = self._converter()
                continue
            if captured.lost:
                lost = round(captured.lost * self._rate / self._device_rate)
                self.lost += lost
                position += lost
                convert = self._converter()  # a filter must not join what lies apart
            samples = convert(np.frombuffer(captured.data, np.int16))
            yield Block(position, samples)
            position += len(samples)

    def close(self) -> None:
        """Stop; errors of a device that is gone already are no news."""
        with suppress(self._sound.PortAudioError):
            self._stream.close()

    def _converter(self) -> Callable[[NDArray[np.int16]], NDArray[np.int16]]:
        """Return what turns the device's samples into ours, with no memory of samples before."""
        if self._device_rate == self._rate:
            return lambda samples: samples
        why = f"the microphone has {self._device_rate} Hz, the model takes {self._rate} Hz"
        soxr = extra("soxr", why)
        stream = soxr.ResampleStream(self._device_rate, self._rate, 1, dtype="int16")
        return stream.resample_chunk  # type: ignore[no-any-return]

    def _next(self) -> _Captured | None:
        """Wait for samples; None if the device is lost."""
        deadline = time.monotonic() + self._patience
        while (left := deadline - time.monotonic()) > 0:
            try:
                # Short waits: an interrupt gets through.
                return self._queue.get(timeout=min(left, 0.2))
            except queue.Empty:
                continue
        return None

    def _receive(self, data: Any, frames: int, _time: Any, status: Any) -> None:
        """Take samples in the audio thread, which must never wait."""
        if status.input_overflow:
            self.overruns += 1
        try:
            self._queue.put_nowait(_Captured(bytes(data), self._dropped))
            self._dropped = 0
        except queue.Full:
            if not self._dropped:
                self.overruns += 1
            self._dropped += frames

    def _start(self) -> tuple[Any, int]:
        """Open the device at our rate, else at its own; OSError if it cannot be."""
        sound = self._sound
        try:
            info = sound.query_devices(self._device, "input")
            rate = self._rate
            try:
                sound.check_input_settings(
                    device=self._device, channels=1, dtype="int16", samplerate=rate
                )
            except sound.PortAudioError:
                rate = int(info["default_samplerate"])
            stream = sound.RawInputStream(
                samplerate=rate,
                blocksize=round(rate * BLOCK_SECONDS),
                device=self._device,
                channels=1,
                dtype="int16",
                callback=self._receive,
            )
            stream.start()
        except (sound.PortAudioError, ValueError) as error:
            which = "no default" if self._device is None else repr(self._device)
            raise OSError(
                f"no microphone ({which}): {error}; `bifast listen --devices` lists what there is, "
                "`bifast listen -` reads raw PCM from stdin"
            ) from None
        return stream, rate

    def _reopen(self) -> int:
        """Try again until the device is back; return the samples that went by, at `rate`."""
        lost_at = time.monotonic() - self._patience
        self._tell("the microphone is gone; waiting for it")
        self.close()
        while True:
            # PortAudio learns of new devices only when it starts anew.
            self._sound._terminate()
            self._sound._initialize()
            try:
                self._stream, self._device_rate = self._start()
                break
            except OSError:
                time.sleep(self._retry)
        away = time.monotonic() - lost_at
        self.restarts += 1
        self._tell(f"the microphone is back after {away:.1f} s")
        return round(away * self._rate)


def list_devices() -> list[str]:
    """Return a line for each input device; errors as `Microphone`."""
    devices = _sounddevice().query_devices()
    return [
        f"{index}: {device['name']} ({device['default_samplerate']:.0f} Hz)"
        for index, device in enumerate(devices)
        if device["max_input_channels"] > 0
    ]


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise UnsupportedError(
            f"the microphone needs the package sounddevice; pip install 'bifast[audio]' ({error})"
        ) from None
    except OSError as error:  # what sounddevice raises without the library
        raise UnsupportedError(
            "the microphone needs the PortAudio library; on Debian and Ubuntu: "
            f"apt install libportaudio2 ({error})"
        ) from None
    return sounddevice
