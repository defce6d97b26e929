"""The Wyoming service, spoken to by the library's own client over TCP."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import conftest
import numpy as np
import pytest

import bifast
from bifast import cli, shipped
from bifast.assistant.pcm import Form, Pcm

with warnings.catch_warnings():  # of Python 3.11 and 3.12: the library imports audioop
    warnings.simplefilter("ignore", DeprecationWarning)
    pytest.importorskip("wyoming", reason="the extra wyoming is not installed")
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.client import AsyncTcpClient
    from wyoming.error import Error
    from wyoming.event import Event
    from wyoming.info import Describe, Info
    from wyoming.ping import Ping, Pong
    from wyoming.server import AsyncTcpServer
    from wyoming.wake import Detect, Detection, NotDetected

    from bifast.assistant.wyoming_service import Handler, Service

RATE = 16000
SENTENCE = conftest.read_wav(shipped.sentence())
MODEL = bifast.Model.load("bifsmn")
WORDS = {name: bifast.Word() for name in ("yes", "no", "stop")}


def serve(talk: Callable[[Callable[[], AsyncTcpClient]], Awaitable[Any]]) -> Any:
    """Start a service, let `talk` make clients and speak to it, and return what it returns."""

    async def both() -> Any:
        server = AsyncTcpServer("127.0.0.1", 0)
        await server.start(partial(Handler, Service(MODEL, WORDS)))
        assert server._server is not None
        port = server._server.sockets[0].getsockname()[1]
        try:
            return await asyncio.wait_for(
                talk(partial(AsyncTcpClient, "127.0.0.1", port, read_timeout=30)), 60
            )
        finally:
            await server.stop()
            while server._handlers:  # until each has freed its stream
                await asyncio.sleep(0.01)

    return asyncio.run(both())


def chunks(
    samples: conftest.Array, size: int = 1024, rate: int = RATE, width: int = 2, channels: int = 1
) -> Iterable[Event]:
    data, step = samples.tobytes(), size * width * channels
    for first in range(0, len(data), step):
        yield AudioChunk(rate, width, channels, data[first : first + step]).event()


async def say(client: AsyncTcpClient, audio: Iterable[Event], names: list[str] | None) -> None:
    await client.write_event(Detect(names=names).event())
    await client.write_event(AudioStart(RATE, 2, 1).event())
    for chunk in audio:
        await client.write_event(chunk)
    await client.write_event(AudioStop().event())


async def answers(client: AsyncTcpClient, count: int) -> list[Event]:
    events = [await client.read_event() for _ in range(count)]
    return [event for event in events if event is not None]


def wanted(names: Iterable[str], size: int = 1024) -> list[tuple[str, int]]:
    """Words, and the time in ms of the chunk in which a listener hears each."""
    found = []
    with MODEL.listen(dict.fromkeys(names)) as listener:
        quiet = np.zeros(listener.quiet, np.int16)
        found += [(event.word, 0) for event in listener.push(quiet)]
        for first in range(0, len(SENTENCE), size):
            for event in listener.push(SENTENCE[first : first + size]):
                found.append((event.word, 1000 * first // RATE))
        rest = listener.push(quiet) + listener.flush()
        return found + [(event.word, 1000 * len(SENTENCE) // RATE) for event in rest]


# ---- words ---------------------------------------------------------------------------------------


def test_describe_tells_the_words() -> None:
    async def talk(connect: Any) -> Event | None:
        async with connect() as client:
            await client.write_event(Describe().event())
            return await client.read_event()

    (program,) = Info.from_event(serve(talk)).wake
    assert (program.name, program.installed, program.version) == (
        "bifast",
        True,
        bifast.__version__,
    )
    assert [(m.name, m.phrase, m.languages) for m in program.models] == [
        (name, name, ["en"]) for name in WORDS
    ]


@pytest.mark.parametrize("names", [None, ["no"], ["no", "stop", "no"]])
def test_detections_are_those_of_a_listener(names: list[str] | None) -> None:
    expected = wanted(dict.fromkeys(names or WORDS))
    assert expected

    async def talk(connect: Any) -> list[Event]:
        async with connect() as client:
            await say(client, chunks(SENTENCE), names)
            return await answers(client, len(expected))

    found = [Detection.from_event(event) for event in serve(talk)]
    assert [(d.name, d.timestamp) for d in found] == expected


def test_detections_come_before_the_audio_ends() -> None:
    async def talk(connect: Any) -> Event | None:
        async with connect() as client:
            for chunk in chunks(SENTENCE[: 3 * RATE]):
                await client.write_event(chunk)  # and neither a start nor a stop
            return await client.read_event()

    assert Detection.from_event(serve(talk)).name == "yes"


def sound(word: str) -> conftest.Array:
    return conftest.read_wav(next(p for p in shipped.sounds() if p.name.startswith(f"{word}-")))


@pytest.mark.parametrize("size", [160, 1024, 10**6])
def test_a_word_that_ends_with_the_audio_is_heard(size: int) -> None:
    """A clip of a second alone: what is averaged reaches beyond its end, and before its start."""

    async def talk(connect: Any) -> list[Event]:
        async with connect() as client:
            found = []
            for word in ("yes", "no"):
                await say(client, chunks(sound(word), size), [])  # as None: all words
                found += await answers(client, 1)
            return found

    found = [Detection.from_event(event) for event in serve(talk)]
    assert [d.name for d in found] == ["yes", "no"]
    assert all(d.timestamp is not None and d.timestamp <= 1000 for d in found)


def test_audio_without_a_word_is_told_and_the_next_is_heard() -> None:
    context = {"id": 7}

    async def talk(connect: Any) -> list[Event]:
        async with connect() as client:
            await client.write_event(Detect(names=["yes"], context=context).event())
            for audio in (np.zeros(2 * RATE, np.int16), SENTENCE):
                await client.write_event(AudioStart(RATE, 2, 1, timestamp=5000).event())
                for chunk in chunks(audio):
                    await client.write_event(chunk)
                await client.write_event(AudioStop().event())
            return await answers(client, 2)

    silence, word = serve(talk)
    assert NotDetected.is_type(silence.type)
    assert silence.data["context"] == context
    detection = Detection.from_event(word)
    assert (detection.name, detection.context) == ("yes", context)
    assert detection.timestamp == 5000 + wanted(["yes"])[0][1]


def test_many_clients_at_once_hear_only_themselves() -> None:
    expected = wanted(WORDS)

    async def one(connect: Any, number: int) -> list[str]:
        async with connect() as client:
            speaks = number % 3 > 0
            await say(client, chunks(SENTENCE if speaks else SENTENCE * 0, 320 + number), None)
            events = await answers(client, len(expected) if speaks else 1)
            return [event.data.get("name", event.type) for event in events]

    async def talk(connect: Any) -> list[list[str]]:
        return list(await asyncio.gather(*(one(connect, number) for number in range(12))))

    for number, heard in enumerate(serve(talk)):
        assert heard == ([word for word, _ in expected] if number % 3 else ["not-detected"])


# ---- forms of audio ------------------------------------------------------------------------------


def spread(samples: conftest.Array, width: int) -> conftest.Array:
    """The same audio with samples of another width."""
    if width == 1:
        return ((samples >> 8) + 128).astype(np.uint8)
    wide = samples.astype("<i4") << 16
    return wide.view(np.uint8).reshape(-1, 4)[:, 4 - width :].copy()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_widths_and_channels_are_converted(width: int) -> None:
    pcm = Pcm(Form(RATE, width, 1), RATE)
    expected = SENTENCE if width > 1 else SENTENCE >> 8 << 8
    np.testing.assert_array_equal(pcm(spread(SENTENCE, width).tobytes()), expected)
    stereo = np.stack([SENTENCE, SENTENCE], axis=1)
    np.testing.assert_array_equal(Pcm(Form(RATE, 2, 2), RATE)(stereo.tobytes()), SENTENCE)


def test_a_rate_that_changes_begins_a_new_window() -> None:
    soxr = pytest.importorskip("soxr")
    wide = soxr.resample(SENTENCE, RATE, 48000)

    async def talk(connect: Any) -> list[Event]:
        async with connect() as client:
            audio = [*chunks(SENTENCE), *chunks(wide, 3072, 48000)]
            await say(client, audio, ["yes"])
            return await answers(client, 2)

    first, second = (Detection.from_event(event) for event in serve(talk))
    assert (first.name, second.name) == ("yes", "yes")
    assert second.timestamp - first.timestamp == pytest.approx(1000 * len(SENTENCE) / RATE, abs=100)


# ---- what clients get wrong ----------------------------------------------------------------------

BAD = [
    (Event("audio-chunk", {"rate": RATE}, b"\0\0"), "audio-chunk: expected a field 'width'"),
    (AudioChunk(RATE, 2, 1, b"\0").event(), "expected whole frames of 2 bytes, got 1 bytes"),
    (AudioChunk(RATE, 9, 1, b"\0").event(), "width: expected 1 .. 4, got 9"),
    (AudioChunk(1, 2, 1, b"\0\0").event(), "rate: expected 1000 .. 1000000, got 1"),
    (AudioChunk(RATE, 2, 0, b"\0\0").event(), "channels: expected 1 .. 64, got 0"),
    (AudioChunk("x", 2, 1, b"\0\0").event(), "rate: expected 1000 .. 1000000, got 'x'"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("event", "message"), BAD)
def test_a_bad_event_is_told_and_ends_that_client_alone(event: Event, message: str) -> None:
    async def talk(connect: Any) -> tuple[Event | None, Event | None, Event | None]:
        async with connect() as good, connect() as bad:
            await bad.write_event(event)
            error, end = await bad.read_event(), await bad.read_event()
            await good.write_event(Ping(text="there?").event())
            return error, end, await good.read_event()

    error, end, pong = serve(talk)
    assert message in Error.from_event(error).text
    assert end is None
    assert Pong.from_event(pong).text == "there?"


def test_an_unknown_word_is_not_detected_once_and_the_known_ones_are_heard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def talk(connect: Any) -> list[Event]:
        async with connect() as client:
            await say(client, chunks(SENTENCE), ["yess", "yes"])
            heard = await answers(client, 1)
            await say(client, chunks(SENTENCE), ["yess"])
            await client.write_event(Ping(text="then").event())
            return heard + await answers(client, 2)

    heard, end, pong = serve(talk)
    assert heard.data["name"] == "yes"
    assert NotDetected.is_type(end.type)
    assert Pong.from_event(pong).text == "then"
    assert sum("unknown word 'yess'" in message for message in caplog.messages) == 2


@pytest.mark.parametrize("junk", [b"\xff\n", b"[]\n", b"{}\n", b'{"type": 3}\n', b"x" * 99])
def test_junk_ends_the_client_alone(junk: bytes) -> None:
    async def talk(connect: Any) -> Event | None:
        async with connect() as good, connect() as bad:
            bad._writer.write(junk)
            bad._writer.write_eof()
            assert await bad.read_event() is None
            await good.write_event(Ping().event())
            return await good.read_event()

    assert Pong.is_type(serve(talk).type)


def test_a_client_that_goes_in_the_middle_frees_its_stream() -> None:
    async def talk(connect: Any) -> None:
        async with connect() as client:
            data = AudioChunk(RATE, 2, 1, bytes(640)).event()
            await client.write_event(data)
            client._writer.write(b'{"type": "audio-chunk", "payload_length": 640}\n\0\0')
            await client._writer.drain()

    serve(talk)


# ---- the command ---------------------------------------------------------------------------------


def test_the_command_serves_until_it_is_told_to_end() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"tcp://127.0.0.1:{port}"
    command = [sys.executable, "-m", "bifast", "wyoming", "--uri", uri, "--words", "yes,stop=0.7"]

    async def talk() -> Event | None:
        for _ in range(600):
            try:
                async with AsyncTcpClient("127.0.0.1", port, read_timeout=30) as client:
                    await say(client, chunks(SENTENCE), None)
                    return await client.read_event()
            except ConnectionRefusedError:
                await asyncio.sleep(0.1)
        raise AssertionError("the service did not start")

    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            event = asyncio.run(talk())
        finally:
            process.send_signal(signal.SIGTERM)
        message = process.communicate(timeout=60)[1].decode()
    assert event is not None
    assert event.data["name"] == "yes"
    assert f"{uri}: yes, stop" in message
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--uri", "http://x"], "Only 'stdio://', 'unix://', or 'tcp://' are supported"),
        (["--uri", "tcp://127.0.0.1"], "A port must be specified"),
        (["--words", "yess"], "unknown word 'yess'"),
        (["--depth", "ful"], "unknown depth 'ful'"),
    ],
)
def test_wrong_options_are_refused(argv: list[str], message: str, capsys: Any) -> None:
    assert cli.main(["wyoming", *argv]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1  # it did not say before that it serves


def test_a_port_that_is_taken_is_told(capsys: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert cli.main(["wyoming", "--uri", f"tcp://127.0.0.1:{taken.getsockname()[1]}"]) == 2
    assert "address already in use" in capsys.readouterr().err


def test_the_unit_of_systemd_starts_the_command() -> None:
    """Its ExecStart is a command line that the program takes."""
    unit = Path(__file__).parents[1] / "examples" / "bifast-wyoming.service"
    (line,) = re.findall(r"^ExecStart=\S+/bifast (.*)$", unit.read_text(), flags=re.MULTILINE)
    assert cli.parser().parse_args(line.split()).uri == "tcp://0.0.0.0:10400"
