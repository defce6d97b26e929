"""After training: real first and last layers of a keyword net turned into layers of bytes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bifast.errors import UnsupportedError
from bifast.format import FrontendParams
from bifast.train.build import build_net
from bifast.train.data.features import frontend_of
from bifast.train.data.folder import DataFolder
from bifast.train.data.task import ImageTask, Task, load_wave
from bifast.train.nets import Net
from bifast.train.recipe import Recipe
from bifast.train.watch import Watcher

# Training clips that the ranges are taken from, and clips a batch.
CLIPS = 4096
BATCH = 128


def training_features(
    task: Task, params: FrontendParams, data: Path, watcher: Watcher
) -> NDArray[np.float32]:
    """Return features [N, T, M] of up to `CLIPS` recorded training clips, evenly spread, as they are."""
    if isinstance(task, ImageTask):
        raise UnsupportedError("a net for images is trained with net.ends = int8 from the start")
    source = DataFolder(data)
    examples = [e for e in task.examples(source, "training") if e.clip is not None]
    taken = examples[:: -(-len(examples) // CLIPS)]
    waves = (
        load_wave(e, source, None, params.window_samples) for e in watcher.track(taken, "ranges")
    )
    frontend = frontend_of(params)
    return np.stack([frontend(wave) for wave in waves if wave is not None])


def with_byte_ends(net: Net, recipe: Recipe, features: NDArray[np.float32]) -> tuple[Net, Recipe]:
    """Give a trained net ends of bytes; no weight of it changes but by rounding.

    Parameters
    ----------
    net, recipe
        A net with real ends, and what it was trained with.
    features
        [N, T, M], N >= `BATCH`: what the ranges of the bytes are taken from, at all depths.

    Returns
    -------
    net, recipe
        New ones, the net in evaluation mode.

    Raises
    ------
    UnsupportedError
        If the net has ends of bytes already, or can have none.
    """
    if recipe.net.ends != "full" or not net.byte_ends or net.takes != "sounds":
        raise UnsupportedError(f"{recipe.net.name} has no real ends that could become bytes")
    recipe = dataclasses.replace(recipe, net=dataclasses.replace(recipe.net, ends="int8"))
    made = build_net(recipe, net.classes)
    ranges = {key: value for key, value in made.state_dict().items() if ".bytes." in key}
    made.load_state_dict(ranges | net.state_dict())
    made.train()
    with torch.no_grad():
        for batch in torch.from_numpy(features).split(BATCH):
            stream = made.features(batch)
            for depth in range(len(made.depths)):
                made.backbone(stream, depth)
    found = {key: value.clone() for key, value in made.state_dict().items() if ".bytes." in key}
    # Training mode has moved the statistics of the batch norms too.
    made.load_state_dict(found | net.state_dict())
    return made.eval(), recipe
