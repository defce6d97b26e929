"""From names to objects: nets of a recipe, nets of a checkpoint."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from bifast.train.checkpoint import CheckpointError, load_checkpoint
from bifast.train.data import TASKS
from bifast.train.data.task import ImageTask
from bifast.train.nets import NETS, Net
from bifast.train.recipe import Recipe, recipe_from_dict


def build_net(recipe: Recipe, classes: int) -> Net:
    """Return a new net with the weights PyTorch's generator gives.

    Raises
    ------
    ValueError
        If the net can not take the images of the recipe's task, or the frames and bands of its front-end.
    """
    net: Net = NETS[recipe.net.name](recipe.net, *input_shape(recipe), classes)
    return net


def input_shape(recipe: Recipe) -> tuple[int, ...]:
    """Return the shape of what a net sees of an example: (T, M), or (H, W, 3) of an image."""
    task = TASKS[recipe.data.task]
    if isinstance(task, ImageTask):
        return task.side, task.side, 3
    return recipe.frontend.n_frames, recipe.frontend.n_mels


def find_checkpoint(path: Path) -> Path:
    """Return the checkpoint of a run folder (final before last), or the path itself."""
    if path.is_dir():
        final = path / "final.pt"
        return final if final.is_file() else path / "last.pt"
    return path


def load_net(path: Path, binarizer: str = "") -> tuple[Net, Recipe, dict[str, Any]]:
    """Read a net from a run folder or checkpoint; under another binarizer, where one is named.

    Returns
    -------
    net, recipe, state
        The net in evaluation mode, what it was trained with, and the whole checkpoint.

    Raises
    ------
    FileNotFoundError, CheckpointError
        If there is no checkpoint, or it can not be used.
    """
    path = find_checkpoint(path)
    state = load_checkpoint(path)
    recipe = recipe_from_dict(state["recipe"])
    if binarizer:
        spec = dataclasses.replace(recipe.net, binarizer=binarizer)
        recipe = dataclasses.replace(recipe, net=spec)
    net = build_net(recipe, len(state["labels"]))
    try:
        net.load_state_dict(state["model"])
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit its net: {error}") from None
    net.eval()
    return net, recipe, state
