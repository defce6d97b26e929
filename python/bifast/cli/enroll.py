"""`bifast enroll`: teach a model a word of one's own from a few recordings."""

from __future__ import annotations

import argparse
import json
import sys
import wave
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import bifast
from bifast import audio, enroll, microphone
from bifast.atomic import write_atomic
from bifast.cli import options, sound_files
from bifast.cli.progress import track
from bifast.enroll.learn import HOP
from bifast.enroll.recording import find_word
from bifast.format import ModelFile

_EPILOG = """\
examples:
  bifast enroll computer rec1.wav rec2.wav rec3.wav rec4.wav rec5.wav
  bifast enroll computer --record 5                   from the microphone, one after the other
  bifast enroll jarvis a.wav b.wav c.wav --model computer.bifast --out both.bifast
  bifast enroll computer rec*.wav --negatives my_room/

Three to ten recordings of a word of up to 1.3 seconds, by the people and in the room that it is for; five or more are
better. The new file knows the old words and the new one: bifast listen --model computer.bifast --hop 0.125.

--negatives takes recordings in which the word is not said: hours of your room prove far more than the minutes in
the package.

A recording that cannot be read is named and left out, if three are left. A warning tells where the false accepts that
were heard contradict those that are expected.

exit codes: 0; 1 the recordings are refused, with the reasons; 2 the command line, the model or a file is wrong.
"""
_TAKE_SECONDS = 2.5
Wave = NDArray[np.float32]


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(
        commands, "enroll", "teach a model a word from a few recordings", _EPILOG
    )
    parser.add_argument("word", help="the new label")
    parser.add_argument("recordings", nargs="*", metavar="FILE", help="recordings of the word")
    parser.add_argument(
        "--record",
        type=options.positive_int,
        metavar="N",
        help=f"record N times from the microphone ({enroll.FEWEST} .. {enroll.MOST}); they are kept beside "
        "the model",
    )
    parser.add_argument(
        "--device", metavar="NAME|N", help="microphone; see bifast listen --devices"
    )
    parser.add_argument(
        "--negatives",
        metavar="DIR",
        help="recordings without the word, besides those in the package",
    )
    parser.add_argument(
        "--model",
        default="bifast-embed",
        metavar="NAME|FILE",
        help="a shipped model or a .bifast file (default: %(default)s)",
    )
    parser.add_argument(
        "--isa", metavar="NAME", help="instruction set; see `bifast info` (default: the best)"
    )
    parser.add_argument("--out", metavar="FILE", help="the new model (default: WORD.bifast)")
    parser.add_argument(
        "--rate",
        type=float,
        default=0.5,
        metavar="R",
        help="false accepts an hour to aim at (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the versions of each recording")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Enrol and write the file."""
    if bool(args.record) == bool(args.recordings):
        raise ValueError("expected recordings, or --record N, and not both")
    if not 0 < args.rate <= 1000:
        raise ValueError(f"--rate: expected above 0, up to 1000 an hour, got {args.rate}")
    model = options.load_audio_model(args)
    out = Path(args.out or f"{args.word.replace('/', '_')}.bifast")
    options.check_folder(out)
    quiet = args.json
    try:
        if args.record:
            takes = _record(args, model, out)
        else:
            takes = list(_readable(args.recordings, model.sample_rate))
            left_out = len(args.recordings) - len(takes)
            if left_out and len(takes) < enroll.FEWEST:
                why = (
                    f"{left_out} of {len(args.recordings)} recordings cannot be read; expected at "
                )
                raise enroll.RefusedError([f"{why}least {enroll.FEWEST} that can"])
        found = enroll.enroll(
            model,
            args.word,
            takes,
            _negatives(args, model, quiet),
            rate=args.rate,
            seed=args.seed,
            track=lambda items, label: track(items, label, quiet=quiet),
        )
    except enroll.RefusedError as error:
        for reason in error.reasons:
            _warn(reason)
        return 1
    found.file.save(out)
    if args.json:
        facts = {key: value for key, value in found._asdict().items() if key != "file"}
        print(json.dumps({"model": str(out), **facts, "contradicted": found.contradicted}))
    else:
        _tell(found, out)
    if found.contradicted:
        few, many = found.false_accept_interval
        _warn(
            f"warning: {found.expected:.2g} false accepts an hour are expected, but what was heard in the "
            f"negatives says {few:.2g} .. {many:.2g}: do not rely on the threshold; measure it with "
            "`bifast tune`, or give hours of your room (--negatives)"
        )
    return 0


def _readable(names: Iterable[str | Path], rate: int) -> Iterator[tuple[str, Wave]]:
    """Yield the recordings that can be read; each other one is named, with the reason."""
    for name in names:
        try:
            yield str(name), audio.load(name, rate)
        except (OSError, bifast.BifastError) as error:
            _warn(sound_files.describe(str(name), error))


def _tell(found: enroll.Enrolled, out: Path) -> None:
    """Print what is known of the word, and how surely."""
    low, high = found.miss_interval
    few, many = found.false_accept_interval
    print(f"{out}: {', '.join(found.file.labels)}")
    print(
        f"misses         {found.misses} of {found.recordings} recordings, each by the others alone; "
        f"{100 * low:.0f} .. {100 * high:.0f} % (95 %)"
    )
    print(
        f"false accepts  {found.expected:.2g} an hour expected; heard {found.false_accepts} in "
        f"{60 * found.hours:.0f} minutes: {few:.2g} .. {many:.2g} an hour (95 %)"
    )
    print(f"next           bifast listen --model {out} --words {found.word!r} --hop {HOP}")


def _negatives(args: argparse.Namespace, model: bifast.Model, quiet: bool) -> list[enroll.Negative]:
    """Return the negatives of the package and those of the folder; one of both must be there."""
    frontend = ModelFile.from_bytes(model.to_bytes()).frontend
    if args.negatives is None:
        return enroll.shipped(frontend)
    paths = sorted(p for p in Path(args.negatives).rglob("*") if p.suffix.lower() in audio.SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"--negatives {args.negatives}: expected sound files, found none")
    read = _readable(track(paths, "folder", quiet=quiet), model.sample_rate)
    own = enroll.recorded((wave for _, wave in read), model.features, model.input_shape[0])
    if not own:
        raise ValueError(
            f"--negatives {args.negatives}: expected sound of at least "
            f"{model.window / model.sample_rate:g} s that can be read, found none in {len(paths)} files"
        )
    try:
        return enroll.shipped(frontend) + own
    except bifast.UnsupportedError:  # another front-end: the folder must do
        return own


def _record(args: argparse.Namespace, model: bifast.Model, out: Path) -> list[tuple[str, Wave]]:
    """Record one take after the other; a take that cannot be used is told and recorded again."""
    if not enroll.FEWEST <= args.record <= enroll.MOST:
        raise ValueError(f"--record: expected {enroll.FEWEST} .. {enroll.MOST}, got {args.record}")
    device = int(args.device) if args.device and args.device.isdecimal() else args.device
    takes: list[tuple[str, Wave]] = []
    # What is missing is told before anyone speaks.
    microphone.Microphone(model.sample_rate, device, tell=_warn).close()
    while len(takes) < args.record:
        path = out.with_name(f"{out.stem}-{len(takes) + 1}.wav")
        print(
            f"{len(takes) + 1} of {args.record}: press Enter, then say {args.word!r} once ",
            end="",
            file=sys.stderr,
            flush=True,
        )
        if not sys.stdin.readline():
            raise ValueError("--record: expected a terminal, to press Enter before each recording")
        take = np.concatenate(list(_take(model.sample_rate, device)))
        try:
            find_word(path.name, take, model.sample_rate)
        except enroll.RefusedError as error:
            print(f"again: {error}", file=sys.stderr)
            continue
        _keep(path, take, model.sample_rate)
        takes.append((str(path), take))
    return takes


def _take(rate: int, device: str | int | None) -> Iterator[Wave]:
    """Yield blocks of one take."""
    source = microphone.Microphone(rate, device, tell=_warn)
    left = round(_TAKE_SECONDS * rate)
    try:
        for block in source.blocks():
            samples = block.samples
            if samples.dtype == np.int16:
                samples = samples.astype(np.float32) / np.float32(32768)
            yield samples[:left].astype(np.float32)
            left -= len(samples)
            if left <= 0:
                return
    finally:
        source.close()


def _warn(line: str) -> None:
    print(f"bifast enroll: {line}", file=sys.stderr)


def _keep(path: Path, take: Wave, rate: int) -> None:
    """Write a take as 16-bit WAV."""

    def write(beside: Path) -> None:
        with wave.open(str(beside), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(np.round(np.clip(take, -1, 1) * 32767).astype("<i2").tobytes())

    write_atomic(path, write)
