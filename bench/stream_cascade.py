"""What depth `auto` costs on continuous speech against the deepest, and what it loses.

    python bench/stream_cascade.py [--model NAME|FILE] [--data FOLDER] [--isa NAME] [--tuned FILE]

A model that has a cascade is taken as it is, and no words are counted: `bifast tune` tells them. Another is tuned as
`bifast tune --positives FOLDER` does, and kept in the file that --tuned names, which is taken where it is there. Cost: CPU time of the net for each window of the
testing speech, all other work (frames) taken off, each the least of several passes of one run. Words heard and false
accepts: of clips and background that were not tuned on. The shared layers are told apart from those of a depth by a
straight line through the depths' costs over their products.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import bifast
from bifast.cli.progress import track
from bifast.cli.table import format_table
from bifast.format import ModelFile
from bifast.train.data import DataFolder, find_data
from bifast.tune import margins
from bifast.tune.material import find_material
from bifast.tune.tuning import Options, tune

Array = np.ndarray[Any, np.dtype[np.float32]]
PASSES = 15
HOP = 0.25


def cpu(model: bifast.Model, speech: Array, **settings: Any) -> float:
    """Seconds of CPU for the whole of it: the least of several passes over each half minute."""
    size = 30 * model.sample_rate
    total = 0.0
    with model.stream(**settings) as stream:
        for first in range(0, len(speech), size):
            before = stream.snapshot()
            times = []
            for _ in range(PASSES):
                stream.restore(before)
                begin = time.thread_time()
                stream.push(speech[first : first + size])
                times.append(time.thread_time() - begin)
            total += min(times)
    return total


def alone(model: bifast.Model, speech: Array, depth: str) -> float:
    """Seconds of CPU for a window by itself, nothing shared with the one before."""
    frames = model.features(speech[: 60 * model.sample_rate])
    size = model.input_shape[0]
    windows = np.stack([frames[i : i + size] for i in range(0, len(frames) - size, 8)])
    times = []
    for _ in range(PASSES):
        begin = time.thread_time()
        model.run_features(windows, depth=depth)
        times.append(time.thread_time() - begin)
    return min(times) / len(windows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of depth auto on continuous speech.")
    parser.add_argument("--model", default=bifast.DEFAULT_MODEL)
    parser.add_argument("--data")
    parser.add_argument("--isa")
    parser.add_argument("--tuned", type=Path)
    args = parser.parse_args()

    folder = find_data(args.data)
    report: dict[str, Any] = {}
    if args.tuned and args.tuned.exists():
        model = bifast.Model.load(args.tuned, isa=args.isa)
    else:
        model = bifast.Model.load(args.model, isa=args.isa)
    if not ModelFile.from_bytes(model.to_bytes()).cascade:
        plain = model
        material = find_material(plain.labels, folder, [], plain.sample_rate)
        tuned = tune(
            plain, material, Options(hop=HOP), lambda items, what: track(items, what, quiet=False)
        )
        report = tuned.report
        if args.tuned:
            args.tuned.write_bytes(tuned.file.to_bytes())
        model = bifast.Model.load(tuned.file.to_bytes(), isa=args.isa)
    data = DataFolder(folder)
    waves = [data.wave(clip) for clip in data.clips("speech", "testing")]
    speech = np.clip(np.concatenate([w for w in waves if w is not None]), -1.0, 1.0)

    frames = cpu(model, speech, hop=1e6)
    with model.stream(hop=HOP, depth="auto") as stream:
        stream.push(speech)
        scored, work = stream.scored, stream.cost
    count = sum(scored.values())
    costs = {
        d: (cpu(model, speech, hop=HOP, depth=d) - frames) / count for d in (*model.depths, "auto")
    }
    rows = []
    for depth, cost in costs.items():
        lone = f"{1e6 * alone(model, speech, depth):.1f}" if depth != "auto" else ""
        share = f"{100 * scored[depth] / count:.1f}" if depth in scored else ""
        rows.append(
            [depth, f"{1e6 * cost:.1f}", f"{costs[model.depths[0]] / cost:.2f}", lone, share]
        )
    minutes = len(speech) / model.sample_rate / 60
    print(
        f"{args.model}, {model.isa}: {minutes:.1f} minutes of speech, a window every {stream_hop(model):.3f} s;"
    )
    print(f"frames {1e6 * frames / count:.1f} us for each window besides\n")
    print(
        format_table(
            ["depth", "us a window", "x", "us alone", "% of auto's windows"], rows, "lrrrr"
        )
    )
    own = margins.work_of(ModelFile.from_bytes(model.to_bytes()))[1]
    _, shared = np.polyfit(own, [costs[d] for d in model.depths], 1)
    print(
        f"\nshared layers about {1e6 * shared:.1f} us of it: no cascade is cheaper than the shallowest depth"
    )
    print(f"auto's mean work is {100 * work:.0f} % of that at full depth (Stream.cost)")
    if not report:
        return
    if "cascade" not in report:
        print("no cascade was found that loses so little")
        return
    for name in ("full", "auto"):
        told = report["cascade"][name]
        print(
            f"{name}: {told['hits']} of {told['clips']} words heard ({100 * told['recall']:.2f} %), "
            f"{told['accepts']} false accepts in {report['hours']['report']:.2f} h"
        )
    print("levels", report["cascade"]["levels"])


def stream_hop(model: bifast.Model) -> float:
    with model.stream(hop=HOP) as stream:
        return stream.hop


if __name__ == "__main__":
    main()
