"""Image data: three layouts give the same images, bad files are named, crops follow their draw."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("PIL", reason="the extra `images` is not installed")

from image_folder import (
    CLASSES,
    make_class_folder,
    make_python_batches,
    make_tar,
    picture,
    pictures,
    python2_pickle,
    python3_pickle,
)

from bifast import image
from bifast.train.batches import Stock
from bifast.train.data import TASKS
from bifast.train.data.crops import Crops, crop
from bifast.train.data.features import Split
from bifast.train.data.python_batches import read_batch
from bifast.train.data.source import open_task, read_split
from bifast.train.data.spec import DataSpec
from bifast.train.recipe import RecipeError, load_recipe
from bifast.train.sanity import check_recipe

RECIPE = load_recipe("cifar10", [])


def load(path: Path, split: str, cache: Path) -> Split:
    task, source = open_task("cifar10", path)
    return read_split(source, task, split, RECIPE, cache, lambda items, title: items)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_class_folder(tmp_path_factory.mktemp("classes"))


def test_layouts_give_the_same_images(folder: Path, tmp_path: Path) -> None:
    others = [make_tar(tmp_path / "all.tar"), make_python_batches(tmp_path / "batches")]
    for split, count in (("training", 490), ("validation", 10), ("testing", 20)):
        first = load(folder, split, tmp_path)
        assert first.features.shape == (count, 1, 32, 32, 3)
        assert first.features.dtype == np.uint8
        assert np.bincount(first.labels).tolist() == [count // 10] * 10
        for other in others:
            got = load(other, split, tmp_path)
            np.testing.assert_array_equal(got.features, first.features)
            np.testing.assert_array_equal(got.labels, first.labels)


def test_every_fiftieth_image_of_a_class_is_for_validation(folder: Path, tmp_path: Path) -> None:
    names = load(folder, "validation", tmp_path).names
    assert names == [f"train/{name}/0049.png" for name in CLASSES]
    assert not set(names) & set(load(folder, "training", tmp_path).names)


def test_second_start_decodes_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(folder, "testing", tmp_path)
    monkeypatch.setattr(image, "load", None)
    np.testing.assert_array_equal(load(folder, "testing", tmp_path).features, first.features)


def test_bad_files_are_named_and_left_out(tmp_path: Path) -> None:
    from PIL import Image

    path = make_class_folder(tmp_path / "data")
    good = (path / "test/cat/0000.png").read_bytes()
    (path / "test/cat/0001.png").write_bytes(good[:100])
    (path / "test/dog/0000.png").write_bytes(b"not an image")
    Image.fromarray(np.zeros((16, 32, 3), np.uint8)).save(path / "test/dog/0001.png")
    (path / "test/zebra").mkdir()
    (path / "test/zebra/0000.png").write_bytes(good)
    (path / "README.md").write_text("not in a class")
    split = load(path, "testing", tmp_path / "cache")
    assert split.labels.size == 17
    told = "\n".join(split.broken)
    assert len(split.broken) == 4
    assert "test/cat/0001.png: no image that can be decoded: image file is truncated" in told
    assert "test/dog/0000.png: no image that can be decoded: cannot identify" in told
    assert "test/dog/0001.png: expected 32 x 32 pixels, got 32 x 16; cut and scale it first" in told
    assert "test/zebra/0000.png: class zebra is none of airplane" in told


def test_damaged_batch_is_named_and_left_out(tmp_path: Path) -> None:
    path = make_python_batches(tmp_path / "data")
    batches = path / "cifar-10-batches-py"
    (batches / "data_batch_2").write_bytes((batches / "data_batch_1").read_bytes()[:5000])
    split = load(path, "training", tmp_path / "cache")
    assert split.labels.size == 490
    assert len(split.broken) == 1
    assert "data_batch_2: no batch of 32 x 32 images" in split.broken[0]


def test_cut_archive_and_empty_folder_are_explained(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "all.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 3 + 100])
    with pytest.raises(ValueError, match=r"cut.tar is no tar archive, or is cut short"):
        load(tmp_path / "cut.tar", "testing", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no images of cifar10 for testing: expected train/CLASS"):
        load(tmp_path / "empty", "testing", tmp_path)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch pwned",)


def test_batch_runs_nothing_that_a_pickle_names(tmp_path: Path) -> None:
    data = pickle.dumps({b"labels": [0], b"data": _Evil()})
    with pytest.raises(ValueError, match="system, which no batch does"):
        read_batch(data, 32)
    assert not Path("pwned").exists()


@pytest.mark.parametrize("write", [python2_pickle, python3_pickle])
def test_batch_of_either_python_is_read(write: object) -> None:
    found = [(kind, image) for _, kind, image in pictures("test")]
    planes = np.stack([image.transpose(2, 0, 1).reshape(-1) for _, image in found])
    got, labels = read_batch(write(planes, [kind for kind, _ in found]), 32)  # type: ignore[operator]
    assert labels == [kind for kind, _ in found]
    np.testing.assert_array_equal(got, np.stack([image for _, image in found]))


def test_crop_is_a_window_of_the_padded_image_or_its_mirror() -> None:
    source = torch.from_numpy(np.stack([picture(k, 0) for k in range(10)] * 4)[:, :8, :6])
    got = crop(source, Crops(pad=2, flip=True), np.random.default_rng(0))
    assert got.shape == source.shape
    assert got.dtype == source.dtype
    padded = np.pad(source.numpy(), ((0, 0), (2, 2), (2, 2), (0, 0)))
    shifts = set()
    for cut, around in zip(got.numpy(), padded, strict=True):
        places = [
            (y, x, mirrored)
            for y in range(5)
            for x in range(5)
            for mirrored in (1, -1)
            if np.array_equal(cut, around[y : y + 8, x : x + 6][:, ::mirrored])
        ]
        assert len(places) == 1
        shifts.add(places[0])
    assert len(shifts) > 20
    assert {mirrored for _, _, mirrored in shifts} == {1, -1}


def test_crops_are_a_function_of_seed_epoch_and_step() -> None:
    labels = np.arange(10)
    features = np.stack([picture(k, 0) for k in range(10)])[:, None]
    split = Split(features, labels, np.ones(10, np.int64), [], [], list(CLASSES))
    spec = DataSpec(crops=Crops(4, flip=True))

    def drawn(seed: int, epoch: int) -> list[np.ndarray]:
        return [b.features.numpy() for b in Stock.of(split).batches(5, seed, epoch, spec)]

    np.testing.assert_array_equal(drawn(1, 3), drawn(1, 3))
    assert not np.array_equal(drawn(1, 3), drawn(1, 4))
    plain = next(iter(Stock.of(split).batches(5, 1, 3)))
    np.testing.assert_array_equal(plain.features.numpy(), features[plain.clips, 0])


def test_nets_and_tasks_of_different_kinds_are_told_apart() -> None:
    with pytest.raises(
        RecipeError, match="bifsmn takes sounds, and the examples of task cifar10 are"
    ):
        check_recipe(load_recipe("cifar10", ["net.name=bifsmn"]))
    with pytest.raises(
        RecipeError, match="resnet20 takes images, and the examples of task sc11 are"
    ):
        check_recipe(load_recipe("sc11", ["net.name=resnet20", "net.depths=1"]))
    with pytest.raises(RecipeError, match=r"crops.pad: expected 0 or more"):
        check_recipe(load_recipe("cifar10", ["data.crops.pad=-1"]))
    with pytest.raises(ValueError, match="has images, no sounds"):
        TASKS["cifar10"].examples(None, "training")  # type: ignore[arg-type]


def test_eight_bit_ends_are_for_nets_that_have_them() -> None:
    check_recipe(load_recipe("cifar10", ["net.ends=int8"]))
    check_recipe(load_recipe("sc11", ["net.ends=int8"]))
    with pytest.raises(
        RecipeError, match=r"net.ends: .* of fsmn are real; expected full, got int8"
    ):
        check_recipe(load_recipe("sc11-fsmn", ["net.ends=int8"]))
    with pytest.raises(RecipeError, match=r"net.ends: expected full or int8"):
        check_recipe(load_recipe("cifar10", ["net.ends=int4"]))


def test_archive_of_another_kind_is_explained_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "net.tar").write_bytes(b"\x89BIFAST\n" + bytes(2000))
    with pytest.raises(
        ValueError, match=r"^[^\n]*net.tar is no tar archive, or is cut short: [^\n]*$"
    ):
        load(tmp_path / "net.tar", "testing", tmp_path)
