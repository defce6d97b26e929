"""What one finished run came to: accuracy by the engine where it can run the net, bytes, time."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from bifast.errors import UnsupportedError
from bifast.model import Model
from bifast.train.build import load_net
from bifast.train.data import TASKS
from bifast.train.data.source import open_source, read_split
from bifast.train.export.model import export_model
from bifast.train.export.parity import check_parity
from bifast.train.measure import measure
from bifast.train.nets import Net
from bifast.train.nets.layer import Layer
from bifast.train.run import write_json
from bifast.train.speed import net_nanoseconds
from bifast.train.watch import Watcher

# Images that engine and PyTorch are compared on: the latter takes a minute for ten thousand.
_IMAGES = 1000
ENGINE, PYTORCH = "engine", "PyTorch"


@dataclass(frozen=True)
class Outcome:
    """One run.

    Attributes
    ----------
    row, seed
        Which.
    error
        Why there is nothing else; empty for a run that ended well.
    measured_by
        `engine` or `PyTorch`.
    refused
        Why not by the engine: the layer and the reason.
    accuracy
        {depth: percent right} on the test split.
    nanoseconds
        {depth: ns a clip by the engine, features to scores}; empty if it did not run.
    needs
        What the engine needs for the binary layers, as the binarizers say.
    size
        Bytes of the model file; of a net that can not be exported, one bit for each weight that is
        one and four bytes for every other parameter.
    one_bit
        Percent of the weights that are one bit: counted from their values.
    seconds, cpu_seconds, epochs, device
        Training: by the clock, of the processor, passes, where.
    """

    row: str
    seed: int
    error: str = ""
    measured_by: str = ""
    refused: str = ""
    accuracy: dict[str, float] = field(default_factory=dict)
    nanoseconds: dict[str, int] = field(default_factory=dict)
    needs: str = ""
    size: int = 0
    one_bit: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    epochs: int = 0
    device: str = ""

    def save(self, run: Path) -> None:
        """Write `outcome.json` into the run folder."""
        run.mkdir(parents=True, exist_ok=True)
        write_json(run / "outcome.json", asdict(self))

    @classmethod
    def load(cls, run: Path) -> Outcome | None:
        """Read the outcome of a run folder; None if there is none that can be read."""
        try:
            return cls(**json.loads((run / "outcome.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


@torch.no_grad()
def one_bit_weights(net: Net) -> tuple[int, int]:
    """Count the weights that are one bit, and all.

    A layer's weights are, if in each output channel they take two values, none of them zero.
    """
    bits = total = 0
    for _, layer, _, _ in net.layer_table():
        total += layer.weight.numel()
        bits += layer.weight.numel() if _is_one_bit(layer) else 0
    return bits, total


def _is_one_bit(layer: Layer) -> bool:
    flat = layer.binarizer.weight(layer.weight)[0].flatten(1)
    least, most = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    return bool((((flat == least) | (flat == most)) & (flat != 0)).all())


def _needs(net: Net) -> str:
    """Say what the binary layers need; that the first and last are not is no news."""
    found = [layer.binarizer for _, layer, _, _ in net.layer_table()]
    binary = [b for b in found if b.binary] or found
    return "; ".join(dict.fromkeys(b.needs() for b in binary))


def measure_run(
    run: Path, row: str, seed: int, data: Path, cache: Path, watcher: Watcher
) -> Outcome:
    """Measure a finished run on the test split of its task.

    Parameters
    ----------
    run
        Run folder with `final.pt`, `config.json` and `result.json`.
    row, seed
        For the outcome.
    data, cache
        Data folder and cached features, which training used.
    watcher
        Told about progress.

    Returns
    -------
    Outcome
        By the engine, from the waveforms, after a check against PyTorch; by PyTorch, from
        `result.json`, if the engine refuses the net.

    Raises
    ------
    ParityError
        If the engine computes something else than PyTorch.
    """
    net, recipe, state = load_net(run)
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    bits, total = one_bit_weights(net)
    told = {
        "one_bit": round(100 * bits / total, 2),
        "needs": _needs(net),
        "device": json.loads((run / "config.json").read_text("utf-8"))["machine"]["device"],
        "epochs": result["epochs"],
        "seconds": result["seconds"],
        "cpu_seconds": result["cpu_seconds"],
    }
    task = TASKS[recipe.data.task].for_labels(tuple(state["labels"]))
    try:
        file = export_model(net, tuple(state["labels"]), recipe.frontend, {"name": row})
        model = Model.load(file.to_bytes())
    except UnsupportedError as error:
        parameters = sum(p.numel() for p in net.parameters())
        told |= {
            "measured_by": PYTORCH,
            "refused": str(error),
            "accuracy": {d: round(100 * v, 3) for d, v in result["testing"].items()},
            "size": -(-bits // 8) + 4 * (parameters - bits),
        }
        return Outcome(row, seed, **told)
    source = open_source(task, data)
    split = read_split(source, task, "testing", recipe, cache, watcher.track)
    inputs = split.features[: _IMAGES if task.takes == "images" else None, 0].astype(np.float32)
    watcher.say(str(check_parity(net, model, inputs)))
    measured = measure(model, task, source, "testing", watcher.track)
    told |= {
        "measured_by": ENGINE,
        "accuracy": {d: round(100 * r.accuracy, 3) for d, r in measured.reports.items()},
        "nanoseconds": net_nanoseconds(model, inputs[0]),
        "size": len(file.to_bytes()),
    }
    return Outcome(row, seed, **told)
