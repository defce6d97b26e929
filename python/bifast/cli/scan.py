"""`bifast scan`: words in archives of recordings, resumable, on many cores or machines."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bifast
from bifast import archive
from bifast.archive import Journal, Record, Row, Settings
from bifast.cli import options, sound_files
from bifast.cli.progress import track
from bifast.cli.table import format_table

_EPILOG = """\
examples:
  bifast scan recordings/ --words yes,no=0.9 --out words.csv
  bifast scan 2024/ 2025/ --out words.parquet --jobs 8 --depth eighth
  bifast scan /srv/archive --out words.jsonl --scheduler tcp://10.0.0.5:8786

One row for each word that is heard: file, word, score, start and end in seconds, in the order of the files, the same
whoever scanned them. The suffix of --out says the form: .csv, .jsonl (JSON lines) or .parquet (needs the extra
`parquet`). It is written when all is done, whole or not at all.

OUT.journal keeps what is done: a scan that was stopped, killed, or met a full disk goes on when the same command runs
again. It stays, so that a later run reads new, changed and failed files alone; remove it to begin anew.

Files are decoded block by block: a recording of ten hours needs no more memory than one of a minute. Words are those of
`bifast listen FILE`.

--scheduler is the address of a Dask scheduler (extra `dask`). Its workers need this package too, and must see the
files under the same paths.

exit codes: 0 all files were scanned; 1 a file failed; 2 the command line, the model or the disk is wrong;
130 interrupted.
"""


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(commands, "scan", "find words in archives of recordings", _EPILOG)
    parser.add_argument("inputs", nargs="+", metavar="FILE|DIR", help="sound files and folders")
    parser.add_argument("--out", required=True, metavar="OUT", help="table to write")
    options.add_model(parser)
    options.add_depth(parser)
    options.add_words(parser)
    parser.add_argument(
        "--jobs",
        type=options.positive_int,
        default=1,
        metavar="N",
        help="processes that scan (default: %(default)s)",
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="let a Dask cluster scan")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Scan what is not done yet and write the table."""
    out = Path(args.out)
    archive.check_table(out)
    if args.scheduler and args.jobs > 1:
        raise ValueError("--jobs: expected none with --scheduler, whose workers scan")
    settings = _settings(args)
    files, skipped = _find(args.inputs)
    with Journal(out.with_name(out.name + ".journal"), _key(settings)) as journal:
        todo = [file for file in files if not journal.is_done(file)]
        if len(todo) < len(files):
            _tell(f"{len(files) - len(todo)} of {len(files)} files were done before")
        try:
            _scan(args, settings, todo, journal)
        except OSError as error:
            raise OSError(
                error.errno, f"{error.strerror or error}; {_go_on(journal, files)}", error.filename
            ) from None
        except KeyboardInterrupt:
            _tell(_go_on(journal, files))
            raise
        archive.write_table(out, _rows(journal, files))
        return _report(journal, files, skipped)


def _settings(args: argparse.Namespace) -> Settings:
    model = bifast.Model.load(args.model, isa=args.isa)
    words = tuple(options.words(args, model).items())
    settings = Settings(model.to_bytes(), args.isa, words, args.hop, args.depth, args.gate)
    archive.listen(settings).close()  # refuses what is wrong before any file is read
    return settings


def _key(settings: Settings) -> dict[str, Any]:
    """Name what the records depend on; not the instruction set, whose bits are the same."""
    return {
        "version": bifast.__version__,
        "model": hashlib.sha256(settings.model).hexdigest(),
        "words": [(name, *word) for name, word in settings.words],
        "hop": settings.hop,
        "depth": settings.depth,
        "gate": settings.gate,
    }


def _find(inputs: list[str]) -> tuple[list[str], list[str]]:
    if "-" in inputs:
        raise ValueError("-: expected files and folders; `bifast listen -` reads stdin")
    found, skipped = sound_files.find(inputs)
    return list(dict.fromkeys(found)), skipped


def _scan(args: argparse.Namespace, settings: Settings, todo: list[str], journal: Journal) -> None:
    """Scan files and keep the records; a file that fails is told at once."""
    if not todo:
        return
    with archive.workers(min(args.jobs, len(todo)), args.scheduler) as (executor, in_flight):
        records = archive.scan_files(settings, todo, executor, in_flight)
        for record in track(records, "scanning", quiet=args.quiet, total=len(todo)):
            journal.add(record)
            if record.error is not None:
                _tell(f"{record.file}: {record.error}")


def _rows(journal: Journal, files: list[str]) -> Iterator[Row]:
    for file in files:
        for heard in journal[file].heard:
            yield Row(file, *heard)


def _report(journal: Journal, files: list[str], skipped: list[str]) -> int:
    """Say what was found and what failed; return the exit code."""
    heard: Counter[str] = Counter()
    seconds, failed = 0.0, 0
    for file in files:
        record: Record = journal[file]
        heard.update(word.word for word in record.heard)
        seconds += record.seconds
        failed += record.error is not None
    if heard:
        print(
            format_table(("word", "times"), [(w, str(n)) for w, n in sorted(heard.items())], "lr")
        )
    print(f"{len(files)} files, {_duration(seconds)} of sound, {heard.total()} words")
    if skipped:
        _tell(sound_files.tell_skipped(skipped))
    if failed:
        _tell(f"{failed} of {len(files)} files failed; a later run tries them again")
    return 1 if failed else 0


def _duration(seconds: float) -> str:
    """Write a duration in the largest unit of which there is one."""
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} seconds"


def _go_on(journal: Journal, files: list[str]) -> str:
    done = sum(map(journal.is_done, files))
    return f"{done} of {len(files)} files are done; the same command goes on"


def _tell(line: str) -> None:
    print(f"bifast scan: {line}", file=sys.stderr)
