"""The training loop: resuming after a kill, checkpoints, bad data, divergence."""

from __future__ import annotations

import csv
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("soundfile", reason="the extra `train` is not installed")
pytest.importorskip("matplotlib", reason="the extra `train` is not installed")

from train_folder import make_folder

from bifast.errors import UnsupportedError
from bifast.train import loop
from bifast.train.average import Average
from bifast.train.batches import Batch, epoch_order
from bifast.train.binarizers.bireal import BiReal
from bifast.train.build import load_net
from bifast.train.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from bifast.train.data import TASKS
from bifast.train.data.features import Split
from bifast.train.export.command import export_checkpoint
from bifast.train.loop import TrainingDivergedError, train
from bifast.train.place import Place, find_device
from bifast.train.recipe import Recipe, RecipeError, load_recipe
from bifast.train.schedule import rate_at
from bifast.train.watch import Watcher

torch.set_num_threads(1)
WORDS = TASKS["sc11"].labels
SETTINGS = ["optim.epochs=3", "optim.batch=16", "data.variants=2"]
FAST = [
    "frontend.n_fft=512",
    "frontend.win_length=512",
    "frontend.hop=253",
    "frontend.n_mels=40",
    "frontend.power_divisor=192",
]


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("tones"), WORDS)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Equal bits are promised for one thread; a command tested elsewhere may have set more."""
    torch.set_num_threads(1)


def recipe(*settings: str) -> Recipe:
    return load_recipe("sc11", [*SETTINGS, *settings])


def run(tones: Path, out: Path, chosen: Recipe, watcher: Watcher | None = None) -> dict[str, float]:
    cache = tones.parent / "cache"
    return train(chosen, tones, out, cache, resume=True, watcher=watcher or Watcher())


class Killer(Watcher):
    """Kills its own process, as hard as possible, in the middle of the second epoch."""

    def step(self, epoch: int, loss: float, accuracies: list[float]) -> None:
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def weights(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = load_checkpoint(path)["model"]
    return state


def test_run_after_a_kill_ends_with_the_same_bits(tones: Path, tmp_path: Path) -> None:
    result = run(tones, tmp_path / "whole", recipe())
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "import test_train_loop as t\n"
        "t.run(Path(sys.argv[2]), Path(sys.argv[3]), t.recipe(), t.Killer())\n"
    )
    killed = tmp_path / "killed"
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, here, str(tones), str(killed)],
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert load_checkpoint(killed / "last.pt")["epoch"] == 1
    assert run(tones, killed, recipe()) == result
    one, other = weights(tmp_path / "whole" / "final.pt"), weights(killed / "final.pt")
    assert all(torch.equal(one[name], other[name]) for name in one)
    metrics = [(tmp_path / d / "metrics.csv").read_text() for d in ("whole", "killed")]
    assert metrics[0] == metrics[1]


def test_run_folder_tells_everything(tones: Path, tmp_path: Path) -> None:
    result = run(tones, tmp_path, recipe("optim.epochs=1"))
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["recipe"]["optim"]["epochs"] == 1
    assert config["clips"] == {"training": 44, "validation": 11, "testing": 22}
    assert set(config["versions"]) >= {"python", "torch", "numpy"}
    assert (tmp_path / "metrics.csv").read_text().startswith("epoch,loss,validation_full")
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert set(result) == {"full", "half", "quarter", "eighth"}
    assert not list(tmp_path.glob(".*"))


def test_checkpoint_of_another_recipe_is_refused(tones: Path, tmp_path: Path) -> None:
    run(tones, tmp_path, recipe("optim.epochs=1"))
    with pytest.raises(CheckpointError, match="another recipe"):
        run(tones, tmp_path, recipe("optim.epochs=1", "optim.lr=0.001"))


def test_finished_net_in_the_place_of_a_checkpoint_is_refused(tones: Path, tmp_path: Path) -> None:
    run(tones, tmp_path, recipe("optim.epochs=1"))
    (tmp_path / "final.pt").replace(tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=r"last\.pt does not fit its net: 'optimizer'"):
        run(tones, tmp_path, recipe("optim.epochs=1"))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.99])
def test_truncated_checkpoint_is_refused(share: float, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"recipe": {}, "model": {"w": torch.zeros(4000)}, "labels": []})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=r"last\.pt is not a readable checkpoint"):
        load_checkpoint(path)


def test_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"recipe": {}, "model": {"w": torch.ones(4000)}, "labels": []})
    data = bytearray(path.read_bytes())
    data[data.index(torch.ones(100).numpy().tobytes()) + 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="wrong checksum"):
        load_checkpoint(path)


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Let no file grow over `room` bytes, as on a disk that is full by then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_loses_no_checkpoint(tones: Path, tmp_path: Path) -> None:
    short = recipe("optim.epochs=2")
    whole = run(tones, tmp_path / "whole", short)
    out = tmp_path / "full"

    class Filler(Watcher):
        def epoch(self, row: dict[str, float]) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

    with full_disk(resource.RLIM_INFINITY), pytest.raises(OSError, match="too large"):
        run(tones, out, short, Filler())
    assert load_checkpoint(out / "last.pt")["epoch"] == 1
    assert not list(out.glob(".*"))
    assert run(tones, out, short) == whole


@pytest.mark.parametrize("first", [1, 2], ids=["no checkpoint", "checkpoint"])
def test_divergence_names_step_clips_and_checkpoint(
    first: int, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, calls = loop.batch_loss, itertools.count()

    def nan_loss(*arguments: Any) -> tuple[Any, Any]:
        loss, hits = right(*arguments)
        return loss * (float("nan") if next(calls) >= 2 * (first - 1) else 1.0), hits

    monkeypatch.setattr(loop, "batch_loss", nan_loss)
    good = "no checkpoint yet" if first == 1 else r"last good checkpoint is .*last\.pt"
    step = 2 * (first - 1)
    with pytest.raises(TrainingDivergedError, match=rf"nan at step {step} .*wav.*{good}"):
        run(tones, tmp_path, recipe())
    told = json.loads((tmp_path / "diverged.json").read_text())
    assert told["step"] == step
    assert len(told["clips"]) == 16
    assert set(told["clips"]) <= {f"{word}/training{n}.wav" for word in WORDS for n in range(4)}


def test_infinite_gradient_stops_the_run(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = loop.batch_loss

    def steep(net: Any, *arguments: Any) -> tuple[Any, Any]:
        loss, hits = right(net, *arguments)
        return loss + torch.sqrt(net.classifier.bias[0].detach() * 0 + net.fc1.bias[0] * 0), hits

    monkeypatch.setattr(loop, "batch_loss", steep)
    with pytest.raises(TrainingDivergedError, match="gradient is nan at step 0"):
        run(tones, tmp_path, recipe())


@pytest.mark.parametrize("part", ["activation", "weight"])
def test_binarizer_whose_gradient_is_nan_is_named_with_layer_and_step(
    part: str, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = getattr(BiReal, part)

    def rotten(self: BiReal, x: torch.Tensor) -> Any:
        root = torch.sqrt(x * 0)  # 0, with an infinite derivative
        return right(self, x + root)

    def chosen(self: BiReal, x: torch.Tensor) -> Any:
        return (rotten if self.c_out == 256 else right)(self, x)  # in the expanding layers

    monkeypatch.setattr(BiReal, part, chosen)
    layer = r"blocks.\d.memory" if part == "activation" else r"blocks.\d.expand"
    with pytest.raises(
        TrainingDivergedError,
        match=rf"gradient is nan at step 0 \(epoch 1\), from binarizer 'bireal', weights of layer {layer}",
    ):
        run(tones, tmp_path, recipe("net.binarizer=bireal"))


@pytest.mark.parametrize(
    "settings",
    [["optim.ema=0.9"], ["optim.algorithm=sgd", "optim.lr=0.01"]],
    ids=["average", "sgd"],
)
def test_interrupted_run_goes_on_with_the_same_bits(
    settings: list[str], tones: Path, tmp_path: Path
) -> None:
    class Interrupter(Watcher):
        def step(self, epoch: int, loss: float, accuracies: list[float]) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    chosen = recipe("optim.epochs=2", *settings)
    run(tones, tmp_path / "whole", chosen)
    with pytest.raises(KeyboardInterrupt):
        run(tones, tmp_path / "stopped", chosen, Interrupter())
    run(tones, tmp_path / "stopped", chosen)
    one, other = (weights(tmp_path / d / "final.pt") for d in ("whole", "stopped"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_average_is_what_finishes(tones: Path, tmp_path: Path) -> None:
    run(tones, tmp_path, recipe("optim.epochs=2", "optim.ema=0.9"))
    last, final = load_checkpoint(tmp_path / "last.pt"), weights(tmp_path / "final.pt")
    name = "blocks.0.expand.weight"
    assert torch.equal(final[name], last["average"][name])
    assert not torch.equal(final[name], last["model"][name])
    # Statistics are of the averaged weights, calibrated: neither the last ones nor their average.
    statistics = "blocks.0.expand.norm.mean"
    assert not torch.equal(final[statistics], last["average"][statistics])
    assert not torch.equal(final[statistics], last["model"][statistics])


def test_average_follows_the_weights() -> None:
    net = torch.nn.BatchNorm1d(2)
    average = Average(net, 0.5)
    with torch.no_grad():
        net.weight.fill_(3.0)
        net.num_batches_tracked.fill_(7)
    average.update(net, 0)  # keeps 1 / 10 at the first step
    assert average.values["weight"].tolist() == pytest.approx([2.8, 2.8])
    assert int(average.values["num_batches_tracked"]) == 7
    average.update(net, 1000)  # keeps 0.5
    assert average.values["weight"].tolist() == pytest.approx([2.9, 2.9])
    with average.inside(net):
        assert net.weight.tolist() == pytest.approx([2.9, 2.9])
    assert net.weight.tolist() == [3.0, 3.0]


def curve(out: Path) -> list[float]:
    with (out / "metrics.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_two_processes_learn_as_one(tones: Path, tmp_path: Path) -> None:
    settings = ["net.binarizer=full", "net.depths=1", "optim.epochs=4", "optim.lr=0.001"]
    run(tones, tmp_path / "one", recipe(*settings))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "bifast", "train", "sc11", "--threads", "1", "--data", str(tones)]
    command += ["--out", str(tmp_path / "two"), "--cache", str(tones.parent / "cache")]
    for setting in (*SETTINGS, *settings):
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().count("accuracy on the test split") == 1
    # Each process normalises with its own half of the clips, here 8 of 16; the loss falls to a sixth.
    one, two = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert two == pytest.approx(one, rel=0.25)
    assert one[3] < one[0] / 5
    assert two[3] < two[0] / 5
    assert json.loads((tmp_path / "two" / "config.json").read_text())["machine"]["processes"] == 2


def test_processes_need_equal_shares(tones: Path, tmp_path: Path) -> None:
    place = Place(torch.device("cpu"), 0, 3)
    with pytest.raises(RecipeError, match="3 processes can not share 16 clips"):
        train(recipe(), tones, tmp_path, tmp_path, resume=False, watcher=Watcher(), place=place)


def test_shares_of_a_batch_are_the_batch() -> None:
    values = torch.arange(6)
    batch = Batch(values[:, None].float(), values, values.float(), values.numpy())
    parts = [batch.share(rank, 3) for rank in range(3)]
    assert sorted(torch.cat([p.labels for p in parts]).tolist()) == list(range(6))
    for part in parts:
        assert part.clips.tolist() == part.labels.tolist() == part.features[:, 0].tolist()


def test_device_is_found_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto") == find_device("cpu") == torch.device("cpu")
    with pytest.raises(UnsupportedError, match="no CUDA device; use --device cpu"):
        find_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert find_device("auto") == torch.device("cuda", 1)
    assert find_device("cpu") == torch.device("cpu")


def test_broken_clips_are_named_and_left_out(tmp_path: Path) -> None:
    said: list[str] = []

    class Listener(Watcher):
        def say(self, text: str) -> None:
            said.append(text)

    data = make_folder(tmp_path / "data", WORDS, broken=2)
    run(data, tmp_path / "run", recipe("optim.epochs=1"), Listener())
    reason = "expected a sound file, got what cannot be decoded"
    assert said[0].startswith(f"training: left out 2 clips: broken0.wav: {reason}")
    assert f"broken1.wav: {reason}" in said[0]
    left_out = json.loads((tmp_path / "run" / "config.json").read_text())["left_out"]
    assert {where: len(clips) for where, clips in left_out.items()} == {
        "data folder": 0,
        "training": 2,
        "validation": 0,
        "testing": 0,
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("yes",), "only one class"),
        (("yes", "no"), "no clips for up, down"),
        (("zero",), "no clips"),
    ],
)
def test_unusable_data_is_refused_before_any_epoch(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    data = make_folder(tmp_path / "data", words)
    with pytest.raises(ValueError, match=message):
        run(data, tmp_path / "run", recipe("optim.batch=2"))
    assert not (tmp_path / "run").exists()


def test_missing_teacher_says_how_to_train_it(tones: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"bifast train some-teacher"):
        run(tones, tmp_path / "run", recipe("distill.teacher=some-teacher", "distill.logits=0.5"))


def test_student_learns_from_a_teacher(tones: Path, tmp_path: Path) -> None:
    net = ["net.name=bifsmn-teacher", "net.binarizer=full", "net.depths=1", "optim.epochs=1"]
    run(tones, tmp_path / "teacher", recipe(*net))
    taught = recipe("optim.epochs=1", "distill.teacher=teacher", "distill.logits=0.5")
    assert set(run(tones, tmp_path / "student", taught)) >= {"full", "eighth"}


def test_run_starts_from_a_finished_one(tones: Path, tmp_path: Path) -> None:
    run(tones, tmp_path / "first", recipe("optim.epochs=1"))
    frozen = ["optim.epochs=1", "optim.init=first", "optim.lr=1e-30"]
    run(tones, tmp_path / "second", recipe(*frozen))
    one, other = (weights(tmp_path / d / "final.pt")["fc1.weight"] for d in ("first", "second"))
    assert torch.equal(one, other)
    with pytest.raises(CheckpointError, match=r"optim\.init: the weights of first do not fit"):
        run(tones, tmp_path / "third", recipe(*frozen, "net.slopes=layer"))


def test_front_end_reaches_features_net_and_model_file(tones: Path, tmp_path: Path) -> None:
    chosen = recipe("optim.epochs=1", *FAST)
    run(tones, tmp_path / "fast", chosen)
    net, _, _ = load_net(tmp_path / "fast")
    assert (net.frames, net.mels) == (64, 40)
    # Export runs the net over the features that the engine computes from the clips.
    data = str(tones)
    file, _ = export_checkpoint(tmp_path / "fast", name=None, data=data, watcher=Watcher())
    assert file.frontend == chosen.frontend
    assert file.buffers[0].shape == (64, 40, 1)


def test_net_refuses_a_front_end_that_it_can_not_take(tones: Path, tmp_path: Path) -> None:
    message = r"net bifsmn: frames and bands must be multiples of 4, got 63 and 32; change frontend"
    with pytest.raises(ValueError, match=message):
        run(tones, tmp_path / "run", recipe("frontend.hop=256"))
    assert not (tmp_path / "run").exists()


def test_teacher_with_another_front_end_is_refused(tones: Path, tmp_path: Path) -> None:
    run(tones, tmp_path / "teacher", recipe("optim.epochs=1", *FAST))
    taught = recipe("distill.teacher=teacher", "distill.logits=0.5")
    with pytest.raises(CheckpointError, match="trained with another front-end"):
        run(tones, tmp_path / "student", taught)


def test_checkpoint_from_before_the_front_end_was_a_choice_goes_on(
    tones: Path, tmp_path: Path
) -> None:
    chosen = recipe("optim.epochs=1")
    run(tones, tmp_path, chosen)
    state = load_checkpoint(tmp_path / "last.pt")
    del state["recipe"]["frontend"]
    save_checkpoint(tmp_path / "last.pt", state)
    before = weights(tmp_path / "final.pt")
    run(tones, tmp_path, chosen)
    after = weights(tmp_path / "final.pt")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_values_out_of_range_are_refused(tones: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"optim\.epochs"):
        run(tones, tmp_path, recipe("optim.epochs=0"))
    with pytest.raises(RecipeError, match=r"depth_weights: 2 weights for 4"):
        run(tones, tmp_path, recipe("optim.depth_weights=[1.0, 0.5]"))


def test_rate_rises_and_falls_to_zero() -> None:
    rates = [rate_at(step, 100, 10) for step in range(101)]
    assert rates[0] == 0.1
    assert max(rates) == rates[10] == 1.0
    assert rates[100] == 0.0
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))


def test_epoch_order_draws_repeats_with_different_variants() -> None:
    repeats = np.array([1, 2, 3, 2])
    split = Split(np.zeros((4, 3, 1, 1)), np.zeros(4, np.int64), repeats, [""] * 4, [])
    draws = np.concatenate(epoch_order(split, 2, 0, 5))
    assert np.array_equal(np.bincount(draws[:, 0]), repeats)
    assert len({tuple(d) for d in draws.tolist()}) == 8
    again = np.concatenate(epoch_order(split, 2, 0, 5))
    assert np.array_equal(draws, again)
