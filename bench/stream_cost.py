"""CPU time of a stream for each second of audio, one thread: from Python, and from C.

    python bench/stream_cost.py [--seconds N] [--program PATH] [--hours N]

int16 in chunks of 10 ms; "at once" pushes everything in one call, which leaves the engine's share. --program is
examples/stream_pcm.c, compiled: its CPU time less that of a run without audio. Each figure is the least of
several passes, and all come from one run; what else the machine does can only add to them. Where pymicro-wakeword is
installed, it takes the same chunks in the same run: its front-end and one of its words, and beside it our classes of
its shape.

--hours pushes that much audio at full speed and checks every score: the audio has a period of whole hops, so each
window must have the bits of the one a period before it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import resource
import subprocess
import tempfile
import time
import wave
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

import bifast
from bifast import shipped
from bifast.assistant import micro_wakeword
from bifast.cli.table import format_table

Array = np.ndarray[Any, np.dtype[np.int16]]
PASSES = 7
CHUNK = 160


def speech(seconds: int) -> Array:
    """The shipped sentence again and again."""
    with wave.open(str(shipped.sentence())) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return np.resize(samples, seconds * 16000).astype(np.int16)


def in_python(model: bifast.Model, audio: Array, chunk: int, **settings: Any) -> float:
    """CPU milliseconds for each second of audio."""
    chunks = [audio[first : first + chunk] for first in range(0, len(audio), chunk)]
    times = []
    for _ in range(PASSES):
        with model.stream(**settings) as stream:
            start = time.process_time()
            for piece in chunks:
                stream.push(piece)
            times.append(time.process_time() - start)
    return 1000 * min(times) / (len(audio) / 16000)


def in_c(program: Path, audio: Array) -> float:
    """The same of the C program, at its hop of 8 frames and full depth."""
    model = files("bifast").joinpath("models", f"{bifast.DEFAULT_MODEL}.bifast")

    def cpu(data: bytes) -> float:
        times = []
        with tempfile.TemporaryFile() as file:
            file.write(data)
            for _ in range(PASSES):
                file.seek(0)
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run(
                    [program, str(model)], stdin=file, stdout=subprocess.DEVNULL, check=True
                )
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(times)

    return 1000 * (cpu(audio.tobytes()) - cpu(b"")) / (len(audio) / 16000)


def in_its_shape(module: Any, word: Any, audio: Array) -> float:
    """The same of a word and the features of pymicro-wakeword, or of our module of its shape."""
    data = audio.tobytes()
    chunks = [data[first : first + 2 * CHUNK] for first in range(0, len(data), 2 * CHUNK)]
    times = []
    for _ in range(PASSES):
        word.reset()
        features = module.MicroWakeWordFeatures()
        start = time.process_time()
        for piece in chunks:
            for part in features.process_streaming(piece):
                word.process_streaming(part)
        times.append(time.process_time() - start)
    return 1000 * min(times) / (len(audio) / 16000)


def peer_lines(audio: Array) -> list[str]:
    """The peer's figure and ours in its shape, or why there is none."""
    try:
        import pymicro_wakeword
    except ImportError:
        return ["pymicro-wakeword is not installed"]
    theirs = pymicro_wakeword.MicroWakeWord.from_builtin(pymicro_wakeword.Model.OKAY_NABU)
    ours = micro_wakeword.MicroWakeWord.from_builtin("yes")
    version = importlib.metadata.version("pymicro-wakeword")
    times = [
        in_its_shape(*pair, audio) for pair in ((pymicro_wakeword, theirs), (micro_wakeword, ours))
    ]
    return [
        f"pymicro-wakeword {version}, 10 ms chunks, one word: {times[0]:.3f}",
        f"bifast in its shape, a window every {micro_wakeword.HOP:g} s, full depth: {times[1]:.3f}",
    ]


def endure(model: bifast.Model, hours: float) -> str:
    """Push for hours in chunks of 10 ms; say how memory grew and whether a bit or a time stamp drifted."""
    with model.stream(depth="eighth") as stream:
        hop = round(stream.hop * model.sample_rate)
        period = np.resize(speech(6), 24 * hop)
        chunks = [period[first : first + CHUNK] for first in range(0, len(period), CHUNK)]
        before, scored, drifted = None, 0, 0
        known: dict[int, bytes] = {}
        start = time.process_time()
        while stream.position < hours * 3600 * model.sample_rate:
            for chunk in chunks:
                scan = stream.push(chunk)
                for first, row in zip(scan.starts.tolist(), scan.logits, strict=True):
                    drifted += first != scored * hop
                    scored += 1
                    if first >= len(period):  # the very first window has no audio before it
                        drifted += (
                            known.setdefault(first % len(period), row.tobytes()) != row.tobytes()
                        )
            if before is None:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        spent = time.process_time() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - (before or 0)
    return (
        f"{hours:g} h of audio in {spent:.0f} s of CPU: {scored} windows, {drifted} of them drifted, "
        f"memory grew by {grown} KiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of a stream.")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--program", type=Path)
    parser.add_argument("--hours", type=float)
    args = parser.parse_args()

    model = bifast.Model.load(bifast.DEFAULT_MODEL)
    if args.hours:
        print(endure(model, args.hours))
        return
    audio = speech(args.seconds)
    rows = []
    for hop in (0.25, 0.032):
        for depth in model.depths:
            settings = {"hop": hop, "depth": depth}
            cells = [in_python(model, audio, chunk, **settings) for chunk in (CHUNK, len(audio))]
            rows.append([f"{hop:g}", depth, *(f"{cell:.3f}" for cell in cells)])
    silence = in_python(model, np.zeros_like(audio), CHUNK, gate=-60.0)
    rows.append(["0.25", "gate, silence", f"{silence:.3f}", ""])
    print(f"{model.isa}; CPU ms for each second of audio")
    print(format_table(["hop s", "depth", "10 ms chunks", "at once"], rows, "rlrr"))
    print("\n" + "\n".join(peer_lines(audio)))
    if args.program:
        print(f"\nC, 10 ms chunks, hop 0.256 s, full: {in_c(args.program, audio):.3f}")


if __name__ == "__main__":
    main()
