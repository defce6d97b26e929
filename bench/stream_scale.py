"""Streams by the thousand on one core, and the memory that one needs over NumPy.

    python bench/stream_scale.py [--seconds N] [--counts 1,1000]

Many streams: each takes its chunk in turn, as a server would give them, beginning at another place so that their
windows do not end together. CPU time of one thread for each second of audio of one stream; how many keep real time on
one core follows from it, if the slowest round is no longer than its chunk. Memory: the highest resident memory (VmHWM)
of fresh processes, all of which make the same chunk of audio.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Any

from stream_cost import Array, speech

import bifast
from bifast.cli.table import format_table

RATE = 16000
BASE = "import numpy as np; chunk = np.zeros(160, np.int16); np.exp(np.ones(9, np.float32))\n"
PROGRAMS = {
    "NumPy": "",
    "bifast imported": "import bifast\n",
    "bifast, a stream, 60 s pushed": "import bifast\n"
    "stream = bifast.Model.load('bifsmn').stream()\n"
    "for _ in range(6000): stream.push(chunk)\n",
    "bifast, 1,000 streams": "import bifast\n"
    "model = bifast.Model.load('bifsmn')\n"
    "streams = [model.stream() for _ in range(1000)]\n"
    "for _ in range(110):\n"
    "    for stream in streams: stream.push(chunk)\n",
    "pymicro-wakeword, a word, 60 s": "from pymicro_wakeword import *\n"
    "word = MicroWakeWord.from_builtin(Model.OKAY_NABU)\n"
    "features, data = MicroWakeWordFeatures(), chunk.tobytes()\n"
    "for _ in range(6000):\n"
    "    for part in features.process_streaming(data): word.process_streaming(part)\n",
}
TELL = "print(next(line.split()[1] for line in open('/proc/self/status') if line[:6] == 'VmHWM:'))"


def resident(program: str) -> float | None:
    """MB at the highest; None if the program fails, as where a package is missing."""
    values = []
    for _ in range(3):
        command = [sys.executable, "-c", BASE + program + TELL]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            return None
        values.append(int(result.stdout) / 1024)
    return min(values)


def many(
    model: bifast.Model, audio: Array, count: int, chunk: int, **settings: Any
) -> tuple[float, float]:
    """CPU milliseconds for each second of audio of one stream, and the slowest round in ms."""
    streams = [model.stream(**settings) for _ in range(count)]
    hop = round(streams[0].hop * RATE)
    for number, stream in enumerate(streams):  # a window and more, each to another place
        stream.push(audio[: 2 * RATE + number * hop // count])
    rounds = range(2 * RATE + hop, len(audio) - chunk, chunk)
    slowest, begin = 0.0, time.process_time()
    for first in rounds:
        piece, start = audio[first : first + chunk], time.process_time()
        for stream in streams:
            stream.push(piece)
        slowest = max(slowest, time.process_time() - start)
    spent = time.process_time() - begin
    return 1000 * spent / (len(rounds) * chunk / RATE * count), 1000 * slowest


def main() -> None:
    parser = argparse.ArgumentParser(description="Many streams, and their memory.")
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--counts", default="1,100,1000")
    args = parser.parse_args()

    model = bifast.Model.load(bifast.DEFAULT_MODEL)
    audio = speech(args.seconds)
    rows = []
    for depth in (model.depths[0], model.depths[-1]):
        for chunk in (160, 1600):
            for count in map(int, args.counts.split(",")):
                cost, slowest = many(model, audio, count, chunk, depth=depth)
                cells = (f"{cost:.3f}", f"{slowest:.1f}", f"{1000 / cost:,.0f}")
                rows.append([depth, f"{1000 * chunk // RATE}", f"{count:,}", *cells])
    print(f"{model.isa}; a window every {model.stream().hop:g} s")
    head = ("depth", "chunk ms", "streams", "CPU ms/s", "slowest round ms", "on one core")
    print(format_table(head, rows, "lrrrrr"))

    found = {name: resident(program) for name, program in PROGRAMS.items()}
    base = found["NumPy"] or 0.0
    lines = [(n, f"{mb:.1f}", f"{mb - base:.1f}") for n, mb in found.items() if mb is not None]
    print("\n" + format_table(("process", "MB", "over NumPy"), lines, "lrr"))


if __name__ == "__main__":
    main()
