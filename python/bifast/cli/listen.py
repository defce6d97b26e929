"""`bifast listen`: hear words in a microphone, a pipe or a file, as they come."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

import bifast
from bifast import audio, microphone
from bifast.cli import options
from bifast.cli.meter import Meter
from bifast.cli.on_word import Runner
from bifast.cli.took import Took, in_words
from bifast.inputs import Samples

_EPILOG = """\
examples:
  bifast listen                                    the microphone; Ctrl-C ends
  bifast listen --words yes,no=0.9 --json          two words, one JSON line each time one is heard
  bifast listen --words stop --exec 'notify-send'  run a program on a word
  arecord -q -r 16000 -f S16_LE -t raw | bifast listen -
  bifast listen meeting.wav                        a file at full speed; --realtime at its own

The microphone needs the extra `audio` (pip install 'bifast[audio]') and the PortAudio library. A device that is
unplugged is waited for, by the clock of the system. Lost samples are counted and shown; where PortAudio reports an
overrun it does not tell how many it lost, and later time stamps are early by them.

--max-cpu measures for about two seconds what listening takes here, in chunks of 10 ms with sleep between them. The live
meter takes more, which --quiet or a pipe in the terminal's place saves.

At the end it says what it took: share of a core, share of the windows at each depth, and their mean work as part of
that at full depth; with --json as a last line {"summary": ...}.

Files and stdin are heard as if silence were before and after them, so that a word is heard in a clip of a second.

A program of --exec is started without a shell, and not waited for. It finds BIFAST_WORD, BIFAST_SCORE, BIFAST_START
and BIFAST_END (seconds) in its environment.

exit codes: 0 the input ended; 1 it broke off; 2 the command line, the model or the device is wrong;
130 interrupted.
"""
# Of a file that is played at its own speed.
_BLOCK_SECONDS = 0.02

Blocks = Iterator[microphone.Block]


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(
        commands, "listen", "hear words in a microphone, a pipe or a file", _EPILOG
    )
    parser.add_argument(
        "input", nargs="?", metavar="FILE|-", help="a sound file, or - for raw PCM on stdin"
    )
    options.add_model(parser)
    options.add_depth(parser, default=None)
    options.add_words(parser)
    parser.add_argument(
        "--max-cpu",
        type=float,
        metavar="SHARE",
        help="of one core, such as 0.02: take the deepest depth that fits, or a longer hop; not with --depth",
    )
    parser.add_argument(
        "--rate", type=options.positive_int, metavar="HZ", help="of stdin (default: the model's)"
    )
    parser.add_argument(
        "--realtime", action="store_true", help="play a file at its own speed, not at full speed"
    )
    parser.add_argument("--device", metavar="NAME|N", help="microphone; see --devices")
    parser.add_argument("--devices", action="store_true", help="list the microphones and end")
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    parser.add_argument("--quiet", action="store_true", help="no meter, no summary")
    parser.add_argument("--exec", metavar="CMD", help="program to run when a word is heard")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Listen until the input ends."""
    if args.devices:
        print("\n".join(microphone.list_devices()) or "no microphone")
        return 0
    if args.rate and args.input != "-":
        raise ValueError("--rate: expected the input - (stdin); files and devices tell their own")
    if args.realtime and args.input in (None, "-"):
        raise ValueError("--realtime: expected a file")
    if args.device and args.input is not None:
        raise ValueError("--device: expected no other input")
    if args.input and Path(args.input).is_dir():
        raise ValueError(
            f"{args.input}: expected a sound file, got a folder; `bifast scan` takes folders"
        )
    model = bifast.Model.load(args.model, isa=args.isa)
    runner = None if args.exec is None else Runner(args.exec)
    listener = model.listen(
        options.words(args, model),
        hop=args.hop,
        depth=args.depth,
        gate=args.gate,
        max_cpu=args.max_cpu,
        pre_roll=0.0,
    )
    source = (
        microphone.Microphone(model.sample_rate, _device(args.device), tell=_tell)
        if (args.input is None)
        else None
    )
    blocks = source.blocks() if source else _blocks(args, model.sample_rate)
    try:
        with Meter(listener, source, quiet=args.quiet) as meter:
            return _listen(listener, blocks, meter, runner, args)
    finally:
        if source:
            source.close()
            if source.overruns:
                _tell(
                    f"{source.overruns} overruns; {source.lost / model.sample_rate:.2f} s of audio "
                    "were left out because this program was late"
                )
        if runner:
            runner.finish()


def _listen(
    listener: bifast.Listener,
    blocks: Blocks,
    meter: Meter,
    runner: Runner | None,
    args: argparse.Namespace,
) -> int:
    """Push blocks and report events; return the exit code."""
    quiet = np.zeros(0 if args.input is None else listener.quiet, np.int16)

    def report(events: list[bifast.Event]) -> None:
        for found in events:
            start, end = found.start - len(quiet), found.end - len(quiet)
            event = found._replace(start=max(0, start), end=end)
            line = _json_line(event) if args.json else _text_line(event)
            with meter.aside():
                print(line, flush=True)
            if runner:
                runner.start(event)

    position, code, begin = 0, 0, time.process_time()
    length, took = 0, Took()
    with closing(listener):
        try:
            try:
                report(listener.push(quiet))
                for block in blocks:
                    if block.start != position:
                        report(listener.flush())
                        took.add(listener.stream)
                        listener.reset(block.start)
                    report(listener.push(block.samples))
                    position = block.start + len(block.samples)
                    length += len(block.samples)
                    meter.show(block.samples)
            except bifast.FormatError as error:  # what came before it still counts
                _tell(f"{'stdin' if args.input == '-' else args.input}: {error}")
                code = 1
            report(listener.push(quiet))
            report(listener.flush())
        finally:  # Ctrl-C is how a microphone ends
            if length and not args.quiet:
                took.add(listener.stream)
                seconds = length / listener.detector.sample_rate
                spent = time.process_time() - begin
                summary = took.summary(listener.stream.hop, seconds, spent)
                with meter.aside():
                    if args.json:
                        print(json.dumps({"summary": summary}), flush=True)
                    else:
                        _tell(in_words(summary))
    return code


def _blocks(args: argparse.Namespace, rate: int) -> Blocks:
    """Read a file or stdin."""
    if args.input == "-":
        pieces: Iterator[Samples] = audio.stream_pcm(sys.stdin.buffer, args.rate or rate, rate)
    else:
        pieces = audio.stream(Path(args.input), rate)
    if args.realtime:
        pieces = _paced(pieces, rate)
    position = 0
    for samples in pieces:
        yield microphone.Block(position, samples)
        position += len(samples)


def _paced(pieces: Iterator[Samples], rate: int) -> Iterator[Samples]:
    """Cut into small blocks, each passed on when a microphone would have it."""
    size, played, begin = round(rate * _BLOCK_SECONDS), 0, time.monotonic()
    for piece in pieces:
        for first in range(0, len(piece), size):
            block = piece[first : first + size]
            played += len(block)
            time.sleep(max(0.0, begin + played / rate - time.monotonic()))
            yield block


def _device(text: str | None) -> str | int | None:
    return int(text) if text is not None and text.isdecimal() else text


def _json_line(event: bifast.Event) -> str:
    return json.dumps(
        {
            "word": event.word,
            "score": round(event.score, 6),
            "start": round(event.start / event.sample_rate, 4),
            "end": round(event.end / event.sample_rate, 4),
        }
    )


def _text_line(event: bifast.Event) -> str:
    start, end = event.start / event.sample_rate, event.end / event.sample_rate
    return f"{start:9.2f} - {end:.2f} s  {event.word}  {event.score:.3f}"


def _tell(line: str) -> None:
    print(f"bifast listen: {line}", file=sys.stderr)
