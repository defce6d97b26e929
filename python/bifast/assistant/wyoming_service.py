"""A wake-word service of the Wyoming protocol, which Home Assistant speaks (extra `wyoming`).

A client asks what there is (describe), says which words it waits for (detect), and sends audio; it gets a
detection for each word, or one not-detected where the audio ends without one. Each client has a stream of
its own, which hears what `bifast listen` hears in the same audio: as if silence were before and after it.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Attribution, Describe, Info, WakeModel, WakeProgram
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler, AsyncServer
from wyoming.wake import Detect, Detection, NotDetected

import bifast
from bifast.assistant.pcm import Form, Pcm
from bifast.names import unknown

_LOG = logging.getLogger(__name__)
# What a client may get wrong in an event; all of it ends that client alone.
_FAULTS = (AttributeError, EOFError, LookupError, OSError, TypeError, ValueError)


class Service(NamedTuple):
    """A model, the words that it offers, and the settings of each client's stream."""

    model: bifast.Model
    words: dict[str, bifast.Word]
    hop: float = 0.25
    depth: str = "full"
    gate: float | None = None

    def listen(self, names: list[str]) -> bifast.Listener:
        """Start to listen for some of the words."""
        words = {name: self.words[name] for name in names}
        return self.model.listen(
            words, hop=self.hop, depth=self.depth, gate=self.gate, pre_roll=0.0
        )


async def serve(service: Service, uri: str) -> None:
    """Serve until the task is cancelled or the process told to end.

    Parameters
    ----------
    service
        What to offer.
    uri
        tcp://host:port, unix://path or stdio://.

    Raises
    ------
    ValueError
        If the URI is of no such form.
    OSError
        If the address cannot be listened on.
    """
    server = AsyncServer.from_uri(uri)
    _LOG.info("%s: %s", uri, ", ".join(service.words))
    await server.run(partial(Handler, service))


class Handler(AsyncEventHandler):
    """One client."""

    def __init__(
        self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__(reader, writer)
        self._service = service
        self._names = list(service.words)
        self._context: dict[str, Any] | None = None
        self._listener: bifast.Listener | None = None
        self._pcm: Pcm | None = None
        self._begin = 0  # ms, of the first sample
        self._lead = 0  # samples of silence before it
        self._heard = False

    async def run(self) -> None:
        """Serve the client until it goes, in whatever way."""
        try:
            await super().run()
        except _FAULTS as error:
            _LOG.info("a client broke off: %s", error or type(error).__name__)

    async def handle_event(self, event: Event) -> bool:
        """Answer one event; False ends the client."""
        try:
            await self._handle(event)
        except bifast.BifastError as error:
            await self._refuse(str(error))
            return False
        except (LookupError, TypeError, ValueError) as error:
            if isinstance(error, KeyError):
                error = ValueError(f"expected a field {error}")
            await self._refuse(f"{event.type}: {error}")
            return False
        return True

    async def disconnect(self) -> None:
        """Free the stream of a client that has gone."""
        self._stop()

    async def _handle(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self._send(describe(self._service))
        elif Ping.is_type(event.type):
            await self._send(Pong(text=Ping.from_event(event).text))
        elif Detect.is_type(event.type):
            await self._detect(Detect.from_event(event))
        elif AudioStart.is_type(event.type):
            await self._start(AudioStart.from_event(event).timestamp)
        elif AudioChunk.is_type(event.type):
            await self._push(AudioChunk.from_event(event))
        elif AudioStop.is_type(event.type):
            await self._end()

    async def _detect(self, wish: Detect) -> None:
        """Take the words to wait for; no names mean all.

        A word that there is not is never detected, and the audio's end says so, once: the protocol has one
        answer to it, and other services give it too. The log names the word.
        """
        known = list(self._service.words)
        names = list(dict.fromkeys(wish.names or known))
        self._names = [name for name in names if name in known]
        self._context = wish.context
        self._stop()
        for name in names:
            if name not in known:
                _LOG.warning("%s", unknown("word", name, known))

    async def _start(self, timestamp: int | None) -> None:
        self._stop()
        self._begin = timestamp or 0
        self._heard = False
        if self._names:
            self._listener = self._service.listen(self._names)
            self._lead = self._listener.quiet
            await self._be_quiet(self._listener)

    async def _push(self, chunk: AudioChunk) -> None:
        if self._listener is None:
            await self._start(chunk.timestamp)
        listener, form = self._listener, Form(chunk.rate, chunk.width, chunk.channels)
        if listener is None:  # no word is wanted
            return
        if self._pcm is None or self._pcm.form != form:
            pcm = Pcm(form, self._service.model.sample_rate)
            if self._pcm is not None and listener.stream.position > self._lead:
                # Another rate: the windows must not hold samples of both.
                position = listener.stream.position
                await self._finish(listener)
                listener.reset(position - listener.quiet)
                await self._be_quiet(listener)
            self._pcm = pcm
        before = self._begin + self._milliseconds()
        await self._tell(listener.push(self._pcm(chunk.audio)), before)

    async def _end(self) -> None:
        """Take the end of the audio; say so if it had no word."""
        if self._listener is not None:
            await self._finish(self._listener)
        self._stop()
        if not self._heard:
            await self._send(NotDetected(context=self._context))

    async def _be_quiet(self, listener: bifast.Listener) -> None:
        """Take silence before the audio, or after it: as many windows hold a word as are averaged."""
        now = self._begin + max(0, self._milliseconds())
        await self._tell(listener.push(np.zeros(listener.quiet, np.int16)), now)

    async def _finish(self, listener: bifast.Listener) -> None:
        """Take the end of the audio; what is heard there has its time."""
        end = self._begin + self._milliseconds()
        await self._be_quiet(listener)
        await self._tell(listener.flush(), end)

    async def _tell(self, events: list[bifast.Event], timestamp: int) -> None:
        """Send detections with the time of the chunk in which they were found, in ms."""
        for event in events:
            self._heard = True
            _LOG.info("heard %s (%.3f)", event.word, event.score)
            await self._send(Detection(name=event.word, timestamp=timestamp, context=self._context))

    def _milliseconds(self) -> int:
        if self._listener is None:
            return 0
        samples = self._listener.stream.position - self._lead
        return 1000 * samples // self._service.model.sample_rate

    def _stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._listener = self._pcm = None

    async def _refuse(self, text: str) -> None:
        _LOG.warning("%s", text)
        await self._send(Error(text=text))

    async def _send(self, what: Eventable) -> None:
        await self.write_event(what.event())


def describe(service: Service) -> Info:
    """Return what the service offers: one program, and a wake model for each word."""
    card = service.model.card
    license_text = str(card.get("license") or card.get("licence") or "")
    maker = Attribution(name=f"{card.get('name', 'bifast')} {license_text}".strip(), url="")
    languages = card.get("languages", ["en"])
    models = [
        WakeModel(
            name=word,
            description=word,
            phrase=word,
            attribution=maker,
            installed=True,
            languages=languages,
            version=bifast.__version__,
        )
        for word in service.words
    ]
    program = WakeProgram(
        name="bifast",
        description="Wake words by a binary neural network",
        attribution=maker,
        installed=True,
        version=bifast.__version__,
        models=models,
    )
    return Info(wake=[program])
