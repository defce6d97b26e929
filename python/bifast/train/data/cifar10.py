"""CIFAR-10: 60,000 colour images of 32 x 32 pixels in ten classes (Krizhevsky 2009)."""

from __future__ import annotations

from bifast.train.data.task import TASKS, ImageTask


class Cifar10(ImageTask):
    """Ten classes in the order of the original labels; 10,000 of the images are the test split.

    Every fiftieth training image of a class is for validation, which leaves 49,000 to train on.
    """

    name = "cifar10"
    labels = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    side = 32
    origin = (
        "CIFAR-10 (Alex Krizhevsky, Vinod Nair and Geoffrey Hinton, University of Toronto; "
        "published without a licence)"
    )


TASKS.register(Cifar10.name)(Cifar10())
