"""`bifast doctor`: check every kernel of this CPU, and the whole engine, against the scalar ones."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

import bifast
from bifast import _core, audio, shipped
from bifast.cli import options
from bifast.cli.table import format_table

_EPILOG = """\
Every kernel of every instruction set that this CPU runs is compared with the scalar kernel on random
data, bit by bit; then every shipped model at every depth, features and logits, on every demo sound, or
on random pixels where it takes images.

example:
  bifast doctor

exit codes: 0 all agree; 1 one differs: please report its line.
"""


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(
        commands, "doctor", "check each kernel of this CPU against the scalar one", _EPILOG
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check all and print a table of ok and FAILED."""
    isas = _core.isas()
    checks = [
        (name, [_kernel_fault(isa, i) for isa in isas]) for i, name in enumerate(_core.kernels())
    ]
    checks += [
        (f"model {name}", [_model_fault(name, isa) for isa in isas]) for name in bifast.models()
    ]
    rows = [(name, *("FAILED" if fault else "ok" for fault in faults)) for name, faults in checks]
    print(format_table(("check", *isas), rows))
    texts = [fault for _, faults in checks for fault in faults if fault]
    for text in texts:
        print(text)
    print(f"\n{'all agree' if not texts else f'{len(texts)} FAILED'}")
    return 1 if texts else 0


def _kernel_fault(isa: str, index: int) -> str | None:
    """Say how a kernel differs from the scalar one; None if it does not."""
    try:
        _core.check_kernel(isa, index)
    except RuntimeError as error:
        return f"{isa}: {error}"
    return None


def _model_fault(name: str, isa: str) -> str | None:
    """Say where a model's results differ from those of the scalar kernels; None if nowhere."""
    model, scalar = bifast.Model.load(name, isa=isa), bifast.Model.load(name, isa="scalar")
    for what, x in _model_inputs(model):
        if model.sample_rate and not np.array_equal(model.features(x), scalar.features(x)):
            return f"{isa}: features of {what} differ from scalar"
        for depth in model.depths:
            if not np.array_equal(model.run(x, depth=depth), scalar.run(x, depth=depth)):
                return f"{isa}: logits of {what} at depth {depth} differ from scalar"
    return None


def _model_inputs(model: bifast.Model) -> Iterator[tuple[str, Any]]:
    """Yield the demo sounds, or for a model of images random pixels, with their names."""
    if model.sample_rate:
        for path in shipped.sounds():
            yield path.name, audio.load(path, model.sample_rate)
    else:
        pixels = np.random.default_rng(1).integers(0, 256, (3, *model.input_shape))
        yield "random pixels", pixels.astype(model.input_dtype)
