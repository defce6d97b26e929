"""A task's data, whatever its examples are: recordings or images."""

from __future__ import annotations

from pathlib import Path

from bifast.train.data.features import Split, Track, load_split
from bifast.train.data.folder import DataFolder
from bifast.train.data.images import ImageFolder, load_images
from bifast.train.data.task import TASKS, ImageTask, Task
from bifast.train.recipe import Recipe

Source = DataFolder | ImageFolder


def open_task(name: str, path: Path) -> tuple[Task, Source]:
    """Return the task of a name, with the labels that the data ask for, and its data.

    Raises
    ------
    ValueError
        If there is no such task, or the data are not of its layout.
    """
    task = TASKS[name]
    source = open_source(task, path)
    return task.for_folder(source) if isinstance(source, DataFolder) else task, source


def open_source(task: Task, path: Path) -> Source:
    """Return the data of a task; errors as of `open_task`."""
    return ImageFolder(path, task) if isinstance(task, ImageTask) else DataFolder(path)


def read_split(
    source: Source, task: Task, split: str, recipe: Recipe, cache: Path, track: Track
) -> Split:
    """Return what a net sees of a split: images, or features as the recipe's front-end makes them."""
    if isinstance(source, ImageFolder):
        return load_images(source, split, cache, track)
    return load_split(source, task, split, recipe.data, recipe.frontend, cache, track)
