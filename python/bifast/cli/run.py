"""`bifast run`: recognise words, or images, in files, folders or standard input."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

import bifast
from bifast import audio, image, inputs
from bifast.cli import options, sound_files
from bifast.cli.progress import track
from bifast.cli.table import format_table

_EPILOG = """\
examples:
  bifast run yes.wav                         one line: the word and how sure the model is
  bifast run recordings/ --json > out.jsonl  every sound in a folder, one JSON line for each result
  bifast run meeting.flac --hop 0.1          longer than the window: scanned, with time stamps
  bifast run yes.wav --depth eighth --top 3  one of the 8 blocks; the three likeliest words
  bifast run cat.png --model resnet20        images, for a model that takes images
  arecord -d 1 -r 16000 -f S16_LE -t raw | bifast run - --raw-rate 16000

WAV (PCM, float) at the model's rate works as it is. Other formats and rates need the extra `audio`:
pip install 'bifast[audio]'. Channels are averaged. Images need the extra `images` and the model's size.
In a folder, files that are no sound, or image, by their suffix are skipped and counted.

In the table, neighbouring windows of a scan with the same word are joined and the highest probability is
shown; --json has a line for every window. A file that fails is named on stderr and the others go on.

exit codes: 0 all files were recognised; 1 a file failed; 2 the command line or the model is
wrong, or there is nothing to read.
"""


@dataclass(frozen=True)
class Found:
    """A result in a file; start and end in seconds, None for a file that is one clip."""

    file: str
    result: bifast.Result
    start: float | None = None
    end: float | None = None


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(
        commands, "run", "recognise words in sound files, or images", _EPILOG
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="FILE|DIR|-",
        help="sound or image files, folders, or - for stdin",
    )
    options.add_model(parser)
    options.add_depth(parser)
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    parser.add_argument(
        "--hop",
        type=options.positive_seconds,
        default=0.25,
        metavar="S",
        help="seconds between the windows of a scan (default: %(default)s)",
    )
    parser.add_argument(
        "--top",
        type=options.positive_int,
        default=1,
        metavar="N",
        help="show the N likeliest words (default: %(default)s)",
    )
    parser.add_argument(
        "--raw-rate",
        type=options.positive_int,
        metavar="HZ",
        help="stdin is raw PCM of this rate: signed 16-bit little-endian, mono",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Recognise every input; print JSON lines at once or a table at the end."""
    model = bifast.Model.load(args.model, isa=args.isa)
    inputs.depth_index(args.depth, model.depths)  # before any file is read
    if args.raw_rate and model.sample_rate == 0:
        raise ValueError(f"--raw-rate: {args.model} has no front-end and takes images, no sound")
    if args.raw_rate and "-" not in args.inputs:
        raise ValueError("--raw-rate: expected the input - (stdin), got only files")
    kind, suffixes = ("sound", audio.SUFFIXES) if model.sample_rate else ("image", image.SUFFIXES)
    files, skipped = sound_files.find(args.inputs, suffixes, kind)
    rows: list[tuple[str, ...]] = []
    failed = 0
    try:
        for name in track(files, "recognising", quiet=args.json and sys.stdout.isatty()):
            lines: list[str] = []
            try:
                samples = _read(name, model, args.raw_rate)
                if args.json:
                    lines = [_json_line(f, args) for f in _recognise(model, name, samples, args)]
                else:
                    rows += _table_rows(model, name, samples, args)
            except (bifast.BifastError, ValueError, OSError, MemoryError) as error:
                failed += 1
                print(f"bifast run: {sound_files.describe(name, error)}", file=sys.stderr)
            for line in lines:  # what fails here, a full disk perhaps, is no fault of the file
                print(line)
    finally:  # also when interrupted: what is done is shown
        if rows:
            print(format_table(("file", "time", "word", "probability", "depth"), rows, "lllrl"))
    _report(len(files), failed, skipped, kind)
    return 1 if failed else 0


def _read(name: str, model: bifast.Model, raw_rate: int | None) -> NDArray[Any]:
    """Read a file or stdin as mono at the model's rate, or as an image of its size."""
    rate = model.sample_rate
    if rate == 0:
        file = io.BytesIO(sys.stdin.buffer.read()) if name == "-" else name
        return image.load(file, model.input_shape).astype(model.input_dtype)
    if name != "-":
        return audio.load(name, rate)
    data = sys.stdin.buffer.read()
    return audio.from_pcm(data, raw_rate, rate) if raw_rate else audio.load(io.BytesIO(data), rate)


def _is_long(model: bifast.Model, samples: NDArray[Any]) -> bool:
    """Whether it is sound that does not fit into the window."""
    return model.sample_rate > 0 and samples.size > model.window


def _recognise(
    model: bifast.Model, name: str, samples: NDArray[Any], args: argparse.Namespace
) -> Iterator[Found]:
    """Classify a clip or an image, or scan what is longer than the window."""
    if not _is_long(model, samples):
        yield Found(name, model.classify(samples, depth=args.depth))
        return
    scan = model.scan(samples, hop=args.hop, depth=args.depth)
    for start, end, result in zip(scan.times, scan.ends, scan.results(), strict=True):
        yield Found(name, result, float(start), float(end))


def _table_rows(
    model: bifast.Model, name: str, samples: NDArray[Any], args: argparse.Namespace
) -> list[tuple[str, ...]]:
    """Return the table's rows of one file: its words, or the segments of its scan."""
    rows: list[tuple[str, ...]] = []
    if _is_long(model, samples) and args.top == 1:
        for s in model.scan(samples, hop=args.hop, depth=args.depth).segments():
            time = f"{s.start:.2f}-{s.end:.2f}"
            rows.append((name, time, s.label, f"{s.probability:.3f}", args.depth))
        return rows
    for found in _recognise(model, name, samples, args):
        time = "" if found.start is None else f"{found.start:.2f}-{found.end:.2f}"
        for label, probability in found.result.top(args.top):
            rows.append((name, time, label, f"{probability:.3f}", args.depth))
    return rows


def _json_line(found: Found, args: argparse.Namespace) -> str:
    """Return one result as JSON; start and end only where the file was scanned."""
    line: dict[str, object] = {"file": found.file}
    if found.start is not None and found.end is not None:
        line |= {"start": round(found.start, 4), "end": round(found.end, 4)}
    line |= {"label": found.result.label, "probability": round(found.result.probability, 6)}
    line["depth"] = args.depth
    if args.top > 1:
        line["top"] = {label: round(p, 6) for label, p in found.result.top(args.top)}
    return json.dumps(line)


def _report(n_files: int, failed: int, skipped: list[str], kind: str) -> None:
    """Say on stderr what was left out."""
    with suppress(BrokenPipeError):
        if skipped:
            print(f"bifast run: {sound_files.tell_skipped(skipped, kind)}", file=sys.stderr)
        if failed:
            print(f"bifast run: {failed} of {n_files} inputs failed", file=sys.stderr)
