"""`bifast wyoming`: a wake-word service for Home Assistant and other Wyoming clients."""

from __future__ import annotations

import argparse
import asyncio
import logging

import bifast
from bifast.cli import options
from bifast.extras import extra

_EPILOG = """\
examples:
  bifast wyoming                                         every word of the model, on this machine
  bifast wyoming --uri tcp://0.0.0.0:10400 --words yes   one word, for the whole network
  bifast wyoming --model mine.bifast --depth eighth --gate -50

Needs the extra `wyoming` (pip install 'bifast[wyoming]'). In Home Assistant add the integration "Wyoming Protocol" with
this machine's name and the port; each word is then a wake word of a voice assistant. Anyone who reaches the port may
connect: the protocol has no password. docs/home-assistant.md shows how to run it as a service of systemd.

exit codes: 0 told to end; 2 the command line, the model or the address is wrong; 130 interrupted.
"""


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(commands, "wyoming", "serve wake words to Home Assistant", _EPILOG)
    parser.add_argument(
        "--uri",
        default="tcp://127.0.0.1:10400",
        metavar="URI",
        help="tcp://host:port, unix://path or stdio:// (default: %(default)s)",
    )
    options.add_model(parser)
    options.add_depth(parser)
    options.add_words(parser)
    parser.add_argument("--debug", action="store_true", help="log clients and what they send")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until told to end."""
    extra("wyoming", "the Wyoming protocol", "wyoming")
    from bifast.assistant.wyoming_service import Service, serve

    logging.basicConfig(
        level=logging.DEBUG if args.debug else logging.INFO, format="bifast wyoming: %(message)s"
    )
    model = bifast.Model.load(args.model, isa=args.isa)
    service = Service(model, options.words(args, model), args.hop, args.depth, args.gate)
    service.listen(list(service.words)).close()  # refuses what is wrong before anyone connects
    asyncio.run(serve(service, args.uri))
    return 0
