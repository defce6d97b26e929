"""A tiny image data set in its three layouts: classes are brightness and colour."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = (
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
PER_CLASS = {"train": 50, "test": 2}


def picture(kind: int, number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """[32, 32, 3]: noise around a colour of the class."""
    rng = np.random.default_rng((kind, number))
    colour = np.array([kind % 3, kind // 3 % 3, kind // 9]) * 90 + 20
    return np.clip(colour + rng.normal(0, 10, (32, 32, 3)), 0, 255).astype(np.uint8)


def encoded(image: np.ndarray[Any, Any]) -> bytes:
    """The image as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def pictures(place: str, count: int = 0) -> list[tuple[str, int, np.ndarray[Any, Any]]]:
    """(file name, class, image) of each image of `train` or `test`, sorted by name; `count` of a class."""
    return [
        (f"{place}/{name}/{number:04}.png", kind, picture(kind, number + 1000 * (place == "test")))
        for kind, name in enumerate(CLASSES)
        for number in range(count or PER_CLASS[place])
    ]


def make_class_folder(path: Path) -> Path:
    """train/CLASS/*.png, test/CLASS/*.png."""
    for place in PER_CLASS:
        for name, _, image in pictures(place):
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encoded(image))
    return path


def make_tar(path: Path, *, train: int = 0) -> Path:
    """The same in one archive."""
    with tarfile.open(path, "w") as archive:
        for place, count in (("train", train), ("test", 0)):
            for name, _, image in pictures(place, count):
                data = encoded(image)
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


def make_python_batches(path: Path) -> Path:
    """cifar-10-batches-py with one batch of training images, as Python 2 pickled it."""
    folder = path / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, place in (("data_batch_1", "train"), ("test_batch", "test")):
        found = pictures(place)
        planes = np.stack([image.transpose(2, 0, 1).reshape(-1) for _, _, image in found])
        batch = python2_pickle(planes, [kind for _, kind, _ in found])
        (folder / name).write_bytes(batch)
    return path


def python2_pickle(data: np.ndarray[Any, Any], labels: list[int]) -> bytes:
    """What cPickle of Python 2 writes for {'labels': labels, 'data': data}, protocol 2."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    array = b"".join(
        [
            b"cnumpy.core.multiarray\n_reconstruct\n",
            b"cnumpy\nndarray\n",
            b"K\x00\x85" + text(b"b") + b"\x87R",
            b"(K\x01",  # state: version, shape, dtype, order, bytes
            b"".join(b"M" + struct.pack("<H", n) for n in data.shape) + b"\x86",
            b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R",
            b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
            b"\x89" + text(data.tobytes()) + b"tb",
        ]
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"labels") + numbers + text(b"data") + array + b"u."


def python3_pickle(data: np.ndarray[Any, Any], labels: list[int]) -> bytes:
    """The same by this Python."""
    return pickle.dumps({b"labels": labels, b"data": data})
