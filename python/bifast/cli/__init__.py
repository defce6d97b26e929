"""The command `bifast`: one module for each subcommand, with `register` and `run`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

import bifast
from bifast.cli import (
    bench,
    demo,
    doctor,
    enroll,
    evaluate,
    explain,
    export,
    info,
    inspect,
    listen,
    run,
    scan,
    survey,
    train,
    tune,
    wyoming,
)

COMMANDS = (
    run,
    listen,
    enroll,
    tune,
    scan,
    wyoming,
    explain,
    demo,
    info,
    inspect,
    doctor,
    bench,
    train,
    survey,
    export,
    evaluate,
)

_EPILOG = """\
examples:
  bifast demo                      recognise the sounds in the package
  bifast run yes.wav               recognise a file
  bifast run recordings/ --json    a folder, one JSON line for each result
  bifast scan archive/ --out w.csv words in hours of recordings
  bifast inspect bifsmn            what is in a model

exit codes: 0 all went well; 1 an input failed or a check found a fault; 2 the command line or the
model is wrong; 130 interrupted. `bifast COMMAND --help` says more.
"""


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="bifast",
        description="Recognise words in sound with models whose weights and activations are 1 bit.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"bifast {bifast.__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.register(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names need not be text in the terminal's encoding.
            stream.reconfigure(errors="backslashreplace")
    args = parser().parse_args(argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of a pipe has gone (`| head`): nobody is left to tell, not even the flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except (bifast.BifastError, ValueError, OSError) as error:
        print(f"bifast {args.command}: {_describe(error)}", file=sys.stderr)
        return 2


def _describe(error: Exception) -> str:
    """Say what went wrong; of a file, its name and the system's reason, without the number."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error)
