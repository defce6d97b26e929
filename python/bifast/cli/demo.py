"""`bifast demo`: recognise the sounds in the package."""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from numpy.typing import NDArray

import bifast
from bifast import audio, shipped
from bifast.cli import options
from bifast.cli.table import format_table

_EPILOG = """\
The sounds are words spoken by speech synthesizers, in voices that the model was not trained on; each is
named <word>-<voice>. The time is the median of several runs from waveform to word, on one thread.

examples:
  bifast demo                  every sound at full depth, then what each depth costs and gets right
  bifast demo --depth eighth   the table of words at another depth

exit codes: 0 the demo ran, whatever was heard; 2 the model or an option is wrong.
"""
_REPEATS = 15

Clip = tuple[str, NDArray[np.float32]]


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(
        commands, "demo", "recognise the sounds that come with bifast", _EPILOG
    )
    options.add_model(parser)
    options.add_depth(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a table of words, the words of a sentence, and a table of depths."""
    model = options.load_audio_model(args)
    clips = [(path.name, audio.load(path, model.sample_rate)) for path in shipped.sounds()]
    print(
        f"{model.card.get('name', args.model)}: {len(model.to_bytes()):,} bytes, isa {model.isa}\n"
    )
    rows = [_clip_row(model, clip, args.depth) for clip in clips]
    header = ("sound", "spoken", "heard", "probability", "depth", "time", "")
    print(format_table(header, rows, "lllrlrl"))
    _print_sentence(model, args.depth)
    depth_rows = [_depth_row(model, clips, depth) for depth in model.depths]
    print("\n" + format_table(("depth", "right", "time per clip"), depth_rows, "lrr"))
    return 0


def _clip_row(model: bifast.Model, clip: Clip, depth: str) -> tuple[str, ...]:
    """Classify one clip and time it."""
    name, samples = clip
    spoken = name.partition("-")[0]
    result = model.classify(samples, depth=depth)
    verdict = "" if result.label == spoken else "wrong"
    elapsed = f"{_median_ms(model, samples, depth):.2f} ms"
    return name, spoken, result.label, f"{result.probability:.3f}", depth, elapsed, verdict


def _depth_row(model: bifast.Model, clips: list[Clip], depth: str) -> tuple[str, ...]:
    """Count the clips that one depth gets right, and time it on the first."""
    heard = [(name, model.classify(samples, depth=depth).label) for name, samples in clips]
    right = sum(name.partition("-")[0] == label for name, label in heard)
    return depth, f"{right}/{len(clips)}", f"{_median_ms(model, clips[0][1], depth):.2f} ms"


def _print_sentence(model: bifast.Model, depth: str) -> None:
    """Scan the sound with several words and print where the model hears what."""
    path = shipped.sentence()
    scan = model.scan(audio.load(path, model.sample_rate), depth=depth)
    words = [
        f"{s.label} ({s.start:.1f}-{s.end:.1f} s)"
        for s in scan.segments()
        if s.label not in ("silence", "unknown")
    ]
    print(f"\n{path.name}, scanned: {', '.join(words) or 'no word'}")


def _median_ms(model: bifast.Model, samples: NDArray[np.float32], depth: str) -> float:
    """Return the median time of a run in milliseconds."""
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        model.run(samples, depth=depth)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3
