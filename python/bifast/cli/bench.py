"""`bifast bench`: how fast a model runs on this machine, as a table or JSON to send in."""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

import bifast
from bifast import _core, audio, one_layer, shipped
from bifast.cli import options
from bifast.cli.table import format_table
from bifast.format import ModelFile

_EPILOG = """\
One thread runs a demo sound again and again: front-end alone, net alone and the whole clip at each depth, with
every instruction set of this CPU, and each kind of layer with the best of them; of a model that takes images the
net and the layers, on noise. Times are microseconds, median and least of all rounds. Where onnxruntime is
installed (`pip install 'bifast[onnx]'`), the net's float twin runs in it too; "times" says how many times as long
that takes.

examples:
  bifast bench
  bifast bench --model my.bifast                a model of your own, or another shipped one
  bifast bench --json > raspberry-pi-5.json     on a board of your own, to send us

exit codes: 0 measured; 2 the command line or the model is wrong.
"""
PEER = "onnxruntime FP32"
LAYER_CALLS = 32
_SOUND_RATE = 16000

Call = Callable[[], object]


@dataclass
class _Row:
    """What was measured; times in microseconds."""

    isa: str
    what: str
    median_us: float
    least_us: float
    times: float | None = None  # the peer's median over this one


def register(commands: options.Subparsers) -> None:
    """Add the command to the parser."""
    parser = options.add_command(
        commands, "bench", "measure how fast a model runs on this machine", _EPILOG
    )
    options.add_model_name(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--seconds",
        type=options.positive_seconds,
        default=0.3,
        help="time for each row (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure all rows and print them."""
    data = bifast.Model.load(args.model).to_bytes()
    machine = {
        "bifast": bifast.__version__,
        "model": args.model,
        "cpu": _cpu(),
        "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": _peer_version(),
    }
    rows = _measure(data, args.seconds, with_peer=machine["onnxruntime"] != "none")
    if args.json:
        print(json.dumps({**machine, "rows": [asdict(row) for row in rows]}, indent=1))
        return 0
    for name, value in machine.items():
        print(f"{name:11} {value}")
    print()
    cells = [
        (r.isa, r.what, f"{r.median_us:g}", f"{r.least_us:g}", f"{r.times:g}" if r.times else "")
        for r in rows
    ]
    print(format_table(("isa", "what", "median us", "least us", "times"), cells, "llrrr"))
    print("\nfor a figure of yours in our tables: bifast bench --json > NAME-OF-THE-BOARD.json")
    return 0


def _measure(data: bytes, seconds: float, *, with_peer: bool) -> list[_Row]:
    """Time everything; nets get their ratio once the peer has run, right behind them."""
    file = ModelFile.from_bytes(data)
    best = _core.isas()[0]
    rows = []
    for isa in _core.isas():
        for what, call in _calls(bifast.Model(data, isa)):
            rows.append(_timed(isa, what, call, seconds))
    for depth in file.depths if with_peer else ():
        peer = _timed(PEER, f"net {depth}", _peer(file, depth), seconds)
        for row in (r for r in rows if r.what == peer.what):
            row.times = round(peer.median_us / row.median_us, 2)
        rows.append(peer)
    for title, call in _layer_calls(file, best):
        row = _timed(best, f"layer {title}", call, seconds)
        row.median_us = round(row.median_us / LAYER_CALLS, 3)
        row.least_us = round(row.least_us / LAYER_CALLS, 3)
        rows.append(row)
    return rows


def _calls(model: bifast.Model) -> Iterator[tuple[str, Call]]:
    """Name each thing that is measured with its call."""
    if model.sample_rate == 0:
        image = np.random.default_rng(0).integers(0, 256, model.input_shape)
        given = image.astype(model.input_dtype)
        for depth in model.depths:
            yield f"net {depth}", lambda d=depth: model.run(given, depth=d)  # type: ignore[misc]
        return
    # At its own rate, which is enough for a time.
    clip = np.resize(audio.load(shipped.sounds()[0], _SOUND_RATE), model.window)
    features = model.features(clip)
    yield "front-end", lambda: model.features(clip)
    for depth in model.depths:
        yield f"net {depth}", lambda d=depth: model.run_features(features, depth=d)  # type: ignore[misc]
        yield f"clip {depth}", lambda d=depth: model.run(clip, depth=d)  # type: ignore[misc]


def _layer_calls(file: ModelFile, isa: str) -> Iterator[tuple[str, Call]]:
    """Name each kind of layer with a call that runs it LAYER_CALLS times."""
    for layer in one_layer.distinct_layers(file):
        model = _core.Model(one_layer.repeated(layer, LAYER_CALLS), isa)
        features = np.ones((1, *layer.input.shape), np.float32)
        yield (
            f"{layer.op.name}: {layer.title}",
            lambda m=model, f=features: m.run_features(f, 0, 1),  # type: ignore[misc]
        )


def _peer(file: ModelFile, depth: str) -> Call:
    """Return a call of the float twin in onnxruntime, one thread."""
    import onnxruntime

    from bifast.float_twin import float_twin
    from bifast.onnx_graph import to_onnx

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    graph = to_onnx(float_twin(file), file.depths.index(depth), batch=1)
    session = onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
    given = {"features": np.zeros(session.get_inputs()[0].shape, np.float32)}
    return lambda: session.run(None, given)


def _timed(isa: str, what: str, call: Call, seconds: float) -> _Row:
    """Call again and again for some seconds, at least five times; median and least time of a call."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(1e6 * (time.perf_counter() - start))
    return _Row(isa, what, round(median(times), 2), round(min(times), 2))


def _peer_version() -> str:
    """Version of onnxruntime; "none" if it or onnx is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")):
        return "none"
    import onnxruntime

    return str(onnxruntime.__version__)


def _first_line(path: str) -> str:
    """Return the first line of a file of the system; "unknown" where there is none."""
    file = Path(path)
    return file.read_text(errors="replace").splitlines()[0] if file.is_file() else "unknown"


def _cpu() -> str:
    """Name the CPU as the system does: x86 in /proc/cpuinfo, boards in the device tree."""
    board = Path("/proc/device-tree/model")
    if board.is_file():
        return board.read_text(errors="replace").strip("\0\n ")
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
