"""The page of the frontier: what beats what in accuracy, bytes and time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from machine import machine_lines
from rivals import Rival
from rows import table

PARTS = ("features", "net", "clip")
PAGE = """# The frontier

Written by `make frontier`; do not edit. Accuracy on the test split of task `{task}` ({clips} clips; one
standard error is {error:.2f} points or less) against bytes and against time. One clip a call from Python,
one thread, all models in one run; medians over rounds in which each model gets the best of a few calls.
Where a net was trained with several seeds, its accuracy is their mean, with the standard deviation; one of them is timed.

{verdict}

- Every model's features come from bifast's front-end, the fastest there is here: the other runtimes have none.
- *int8*: onnxruntime's static quantisation (QDQ, weights scaled for each channel, in 7 of the 8 bits so that sums
  of processors without VNNI do not saturate), ranges from features of training clips; what comes before the first convolution, and batch norms that do not fold, stay in FP32.
  LiteRT's is AI Edge Quantizer's static recipe, with the same ranges and the same kept in FP32.
- *parameters* of a float net are its weights, biases and tables alone, batch norms folded; its ONNX
  file is larger. A `.bifast` file counts in full, and holds all its depths.
- Nets were not trained equally long (listed below the table), and ours have teachers: each could gain from more.
- FP32 graphs name the same class as PyTorch for 512 training clips, or nothing is measured.

{machine}

![accuracy against bytes and time]({picture})

{table}

{trained}

## Time

Nothing measured is at least as accurate and faster than: {fast}.

{slow}

## Bytes

Nothing measured is at least as accurate and smaller than: {small}.

{large}
"""


@dataclass(frozen=True)
class Result:
    """A model with the shares of right answers of its seeds and microseconds a clip of each part."""

    rival: Rival
    accuracies: tuple[float, ...]
    microseconds: dict[str, float]

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.accuracies)

    @property
    def percent(self) -> str:
        """Accuracy in percent, with its spread where there are several seeds."""
        spread = statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None
        mean = f"{100 * self.accuracy:.2f}"
        return mean if spread is None else f"{mean} +- {100 * spread:.2f}"

    def told(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        rival = self.rival
        return {
            "name": rival.name,
            "depth": rival.depth,
            "by": rival.by,
            "training": rival.training,
            "accuracies": [round(share, 6) for share in self.accuracies],
            "parameters": rival.parameters,
            "file": rival.file,
            "microseconds": {part: round(time, 2) for part, time in self.microseconds.items()},
        }


Cost = Callable[[Result], float]


def time_of(result: Result) -> float:
    """Microseconds of a whole clip."""
    return result.microseconds["clip"]


def bytes_of(result: Result) -> float:
    """Bytes of the parameters."""
    return result.rival.parameters


def beats(one: Result, other: Result, cost: Cost) -> bool:
    """Whether one is no worse in accuracy and cost, and better in one of them."""
    ours, theirs = (one.accuracy, -cost(one)), (other.accuracy, -cost(other))
    return ours != theirs and all(a >= b for a, b in zip(ours, theirs, strict=True))


def frontier(results: list[Result], cost: Cost) -> list[Result]:
    """Return those that no other beats, cheapest first."""
    best = [r for r in results if not any(beats(other, r, cost) for other in results)]
    return sorted(best, key=cost)


def verdict(results: list[Result]) -> str:
    """Say whether our most accurate and our fastest net lie on each frontier, and what is more accurate."""
    ours = [r for r in results if r.rival.by == "bifast"]
    if not ours:
        return "No net of bifast is among them."
    best = max(ours, key=lambda r: r.accuracy)
    lines = []
    for what, net in (("most accurate", best), ("fastest", min(ours, key=time_of))):
        places = [
            f"{'on' if net in frontier(results, cost) else '**not** on'} the frontier in {axis}"
            for axis, cost in (("time", time_of), ("bytes", bytes_of))
        ]
        lines.append(f"- Our {what} net, {named(net)}, lies {' and '.join(places)}.")
    for other in frontier([r for r in results if r.rival.by != "bifast"], time_of):
        lines.append(
            f"- {named(other)}: {100 * (other.accuracy - best.accuracy):+.2f} "
            f"points against our most accurate, {time_of(other) / time_of(best):.1f} times its time, "
            f"{bytes_of(other) / bytes_of(best):.2f} times its bytes."
        )
    return "\n".join(lines)


def named(result: Result) -> str:
    """Title with accuracy, for a sentence."""
    return f"`{result.rival.title}` ({100 * result.accuracy:.2f} %)"


def beaten(results: list[Result], cost: Cost, unit: str) -> str:
    """Return a line for each of our models that a peer beats: by what, and how far.

    A depth that another depth of its net beats is left out. Those that only others of ours beat are named
    in one line.
    """
    lines, behind = [], []
    for ours in (r for r in results if r.rival.by == "bifast"):
        better = [r for r in results if beats(r, ours, cost)]
        peers = [r for r in better if r.rival.by != "bifast"]
        if not better or any(r.rival.name == ours.rival.name for r in better):
            continue
        if not peers:
            behind.append(named(ours))
            continue
        best = min(peers, key=cost)
        lines.append(
            f"- `{ours.rival.title}` ({100 * ours.accuracy:.2f} %, {cost(ours):.0f} {unit}) loses to "
            f"`{best.rival.title}`: {100 * best.accuracy:.2f} %, {cost(best):.0f} {unit}, "
            f"{cost(ours) / cost(best):.1f} times less."
        )
    lines = lines or ["No model of bifast loses to a peer here."]
    if behind:
        lines.append(f"\nBehind other nets of ours alone: {', '.join(behind)}.")
    return "\n".join(lines)


def main_table(results: list[Result]) -> str:
    """One line a model and depth, most accurate first."""
    ours = [r for r in results if r.rival.by == "bifast"]
    best = max(ours or results, key=lambda r: r.accuracy)
    body = []
    for r in sorted(results, key=lambda r: -r.accuracy):
        body.append(
            [
                r.rival.title,
                r.rival.by,
                r.percent,
                str(r.rival.parameters),
                str(r.rival.file),
                *(f"{r.microseconds[part]:.1f}" for part in PARTS),
                f"{time_of(r) / time_of(best):.2f}",
            ]
        )
    head = ["model", "by", "accuracy %", "parameters, bytes", "file, bytes"]
    units = [f"{part}, us" for part in PARTS]
    return table([*head, *units, f"clip, times {best.rival.title}"], body)


def trained(results: list[Result]) -> str:
    """One line a model: how it came about and what it sees."""
    lines = {}
    for rival in (r.rival for r in results):
        f = rival.frontend
        seen = f"{f.n_frames} x {f.n_mels}, window {f.win_length}, FFT {f.n_fft}, hop {f.hop}"
        lines[rival.name] = f"- `{rival.name}`: {rival.training}; features {seen}."
    return "\n".join(lines.values())


def page(results: list[Result], clips: int, picture: str) -> str:
    """Return the Markdown page."""
    worst = min((r.accuracy for r in results), key=lambda a: abs(a - 0.5))
    return PAGE.format(
        task=results[0].rival.task,
        clips=clips,
        error=100 * math.sqrt(worst * (1 - worst) / clips),
        machine="\n".join(machine_lines()),
        picture=picture,
        verdict=verdict(results),
        table=main_table(results),
        trained=trained(results),
        fast=", ".join(map(named, frontier(results, time_of))),
        slow=beaten(results, time_of, "us"),
        small=", ".join(map(named, frontier(results, bytes_of))),
        large=beaten(results, bytes_of, "bytes"),
    )
