"""`bifast explain`: one picture of a sound, its scores over time, and what decided."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bifast
from bifast import audio, inputs
from bifast.atomic import write_atomic
from bifast.cli import options
from bifast.explain import Explanation, explain
from bifast.extras import extra

_EPILOG = """\
examples:
  bifast explain clip.wav                          clip.png: the word that the model is surest of
  bifast explain clip.wav --word stop --depth eighth --out why.png
  bifast explain meeting.wav --start 754 --seconds 5 --json
  bifast explain clip.wav --hop 0.1 --threshold 0.7  as `bifast listen` with the same options

From top to bottom: the waveform; the log-mel features that the net sees; the word's probability at each depth, its mean
and the threshold; and by how much the word's log-odds fall when a frame is silenced, in the window that is surest: high
bars decided for the word, bars below zero spoke against it.

Windows and decision are those of `bifast listen FILE`, with silence before and after the file; a part that --start and
--seconds choose is shown with a little of the sound around it, so that its windows are those of the whole file too.

Needs the extra `plot` (pip install 'bifast[plot]').

exit codes: 0; 2 the command line, the model or the file is wrong.
"""
_MAX_SECONDS = 60.0


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(commands, "explain", "draw why a word was heard or not", _EPILOG)
    parser.add_argument("file", metavar="FILE", help="a sound file")
    parser.add_argument("--word", metavar="W", help="what to explain (default: the surest word)")
    parser.add_argument("--out", metavar="PNG", help="picture (default: FILE with .png)")
    parser.add_argument(
        "--start", type=float, default=0.0, metavar="S", help="seconds to leave out before"
    )
    parser.add_argument(
        "--seconds",
        type=options.positive_seconds,
        default=_MAX_SECONDS,
        metavar="S",
        help=f"seconds to explain, up to {_MAX_SECONDS:g} (default: all)",
    )
    options.add_model(parser)
    options.add_depth(parser)
    options.add_settings(parser.add_argument_group("words"))
    parser.add_argument("--json", action="store_true", help="print one JSON object too")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain and draw."""
    extra("matplotlib", "a picture", "plot")
    out = Path(args.out) if args.out else Path(args.file).with_suffix(".png")
    if out.suffix != ".png":
        raise ValueError(f"--out: expected a name that ends with .png, got {out}")
    options.check_folder(out)
    model = options.load_audio_model(args)
    words = options.words(args, model) or {
        label: options.word(args, model, label) for label in model.labels
    }
    if args.word is not None:
        words.setdefault(args.word, options.word(args, model, args.word))
    try:
        first, part, samples = _read(args, model, words)
    except bifast.FormatError as error:
        raise bifast.FormatError(f"{args.file}: {error}") from None
    found = explain(
        model, samples, word=args.word, words=words, depth=args.depth, hop=args.hop, part=part
    )
    start = first / model.sample_rate
    title = f"{Path(args.file).name}: {_verdict(found, model.sample_rate, start)}"
    _draw(found, model, title, start, out)
    if args.json:
        print(json.dumps(_report(found, model, start)))
    else:
        print(f"{title}; {out}")
    return 0


def _read(
    args: argparse.Namespace, model: bifast.Model, words: Mapping[str, bifast.Word]
) -> tuple[int, tuple[int, int], NDArray[np.float32]]:
    """Read the part that is explained with what is around it, and no more of the file than that takes.

    Returns the number of the first sample, at which a window of the whole file begins, the part, counted
    from it, and the samples.
    """
    rate, seconds = model.sample_rate, args.seconds
    if not 0 <= args.start < float("inf"):
        raise ValueError(f"--start: expected seconds from 0, got {args.start}")
    with model.listen(words, hop=args.hop, depth=args.depth, pre_roll=0.0) as listener:
        hop, around = round(listener.stream.hop * rate), listener.quiet
    start, end = round(args.start * rate), round((args.start + seconds) * rate)
    # A word's window may begin before the part, what is averaged with it earlier yet, and a first
    # frame sees what is before it.
    windows = -(-model.window // hop) + 1
    first = max(0, (start // hop - windows) * hop - around)
    last = end + around + model.window
    parts, position = [], 0
    for block in audio.stream(args.file, rate):
        parts.append(block[max(0, first - position) : max(0, last - position)])
        position += len(block)
        if position > end and seconds >= _MAX_SECONDS:
            raise ValueError(
                f"{args.file}: expected up to {_MAX_SECONDS:g} s of sound, got more; "
                "choose a part by --start and --seconds"
            )
        if position > last:
            break
    samples: NDArray[np.float32] = np.concatenate(parts)
    if position <= start:
        raise ValueError(f"--start: expected less than the {position / rate:g} s of the file")
    part = start - first, end - first
    return first, part, inputs.samples(samples, ranks=(1,)).astype(np.float32)


def _verdict(found: Explanation, rate: int, start: float) -> str:
    threshold = found.settings.threshold
    if not found.heard:
        highest = found.smoothed.max()
        if highest >= threshold:  # in what is around the part
            where = f"in this part at {found.depth} depth, but beside it"
            return f"{found.word} not heard {where}: mean {highest:.2f}"
        return f"{found.word} not heard at {found.depth} depth, mean {highest:.2f} < {threshold:g}"
    times = ", ".join(
        f"{start + ((e.start + e.end) / 2 - found.first) / rate:.2f} s ({e.score:.2f})"
        for e in found.heard
    )
    return f"{found.word} heard at {found.depth} depth: {times}"


def _report(found: Explanation, model: bifast.Model, start: float) -> dict[str, Any]:
    """Return what the picture shows, as numbers; times in seconds of the file."""
    rate, hop = model.sample_rate, model.hop / model.sample_rate
    origin = start - found.first / rate
    window = origin + float(found.starts[found.decided]) / rate
    return {
        "word": found.word,
        "depth": found.depth,
        "threshold": found.settings.threshold,
        "heard": [
            {
                "start": round(origin + e.start / rate, 4),
                "end": round(origin + e.end / rate, 4),
                "score": round(e.score, 6),
            }
            for e in found.heard
        ],
        "times": [round(origin + s / rate, 4) for s in found.starts.tolist()],
        "probabilities": {
            depth: [round(float(p), 6) for p in values]
            for depth, values in found.probabilities.items()
        },
        "window": {"start": round(window, 4), "end": round(window + model.window / rate, 4)},
        "frames": [
            {"time": round(window + frame * hop, 4), "drop": round(float(drop), 4)}
            for frame, drop in enumerate(found.drops)
        ],
    }


def _draw(found: Explanation, model: bifast.Model, title: str, start: float, out: Path) -> None:
    """Draw four panels over one axis of time; a window stands at its middle, where its sounds are."""
    from matplotlib.figure import Figure

    rate, hop = model.sample_rate, model.hop / model.sample_rate
    origin = start - found.first / rate
    end = origin + len(found.samples) / rate
    figure = Figure(figsize=(10, 9), layout="constrained")
    wave, mel, scores, frames = figure.subplots(4, 1, sharex=True)

    times = origin + np.arange(len(found.samples)) / rate
    wave.plot(times, found.samples, linewidth=0.4, color="black")
    wave.set(title=title, ylabel="waveform", xlim=(origin, end))

    extent = (
        origin - hop / 2,
        origin + (len(found.features) - 0.5) * hop,
        -0.5,
        model.input_shape[1] - 0.5,
    )
    mel.imshow(found.features.T, origin="lower", aspect="auto", extent=extent, cmap="magma")
    mel.set(ylabel="log-mel band")

    middles = origin + (found.starts + model.window / 2) / rate
    for depth, values in found.probabilities.items():
        scores.plot(middles, values, ".-", linewidth=1, markersize=3, label=depth)
    mean = f"mean of {found.settings.smoothing:g} s, {found.depth}"
    scores.plot(middles, found.smoothed, color="black", linewidth=2, alpha=0.6, label=mean)
    scores.axhline(found.settings.threshold, color="red", linestyle="--", label="threshold")
    scores.set(ylabel=f"probability of {found.word!r}", ylim=(-0.02, 1.02))
    scores.legend(loc="upper left", fontsize=7)

    window = origin + float(found.starts[found.decided]) / rate
    centres = window + np.arange(len(found.drops)) * hop
    colours = np.where(found.drops >= 0, "tab:green", "tab:red")
    frames.bar(centres, found.drops, width=0.9 * hop, color=colours.tolist())
    frames.axhline(0.0, color="black", linewidth=0.5)
    frames.set(ylabel="fall of log-odds\nwithout the frame", xlabel="seconds")
    for panel in (wave, mel, scores):
        panel.axvspan(window, window + model.window / rate, color="tab:green", alpha=0.12)
    write_atomic(out, lambda beside: figure.savefig(beside, dpi=110))
