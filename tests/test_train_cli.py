"""The commands train, export and eval, from recordings to a measured model file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
for package in ("soundfile", "rich", "matplotlib"):
    pytest.importorskip(package, reason="the extra `train` is not installed")

from train_folder import make_folder
from word_folder import make_words

import bifast
from bifast.cli import main
from bifast.train import extra
from bifast.train.data import TASKS

SMALL = ["--set", "optim.epochs=1", "--set", "optim.batch=16", "--set", "data.variants=1"]


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Leave the number of threads as it was: the command sets it."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_recordings_become_a_measured_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(make_folder(tmp_path / "data", TASKS["sc11"].labels))
    run, file = str(tmp_path / "run"), str(tmp_path / "tones.bifast")
    where = ["--data", data, "--out", run, "--cache", str(tmp_path / "cache"), "--threads", "1"]
    assert main(["train", "sc11", *SMALL, *where]) == 0
    assert "accuracy on the test split: full" in capsys.readouterr().out

    assert main(["export", run, "--out", file, "--name", "tones", "--data", data]) == 0
    told = capsys.readouterr().out
    assert re.search(r"block7\.expand +binary_conv2d +8x1x256 +256x128 +bits +2 +yes", told)
    assert "times smaller than in 32-bit floats" in told
    card = bifast.Model.load(file).card
    assert card["name"] == "tones"
    assert set(card["accuracy"]) == {"full", "half", "quarter", "eighth"}

    plot = tmp_path / "confusion.png"
    assert main(["eval", file, data, "--json", "--plot", str(plot)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["clips"] == 22
    assert {d: v["accuracy"] for d, v in result["depths"].items()} == card["accuracy"]
    assert plot.stat().st_size > 1000
    assert result["trivial"] == pytest.approx(100 / 11, abs=0.01)

    assert main(["eval", file, file, data, "--json"]) == 0
    both = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [m["depths"]["full"]["accuracy"] for m in both["models"]] == [
        card["accuracy"]["full"]
    ] * 2
    same = {"spread": 0.0} | dict.fromkeys(["accuracy", "least", "most"], card["accuracy"]["half"])
    assert both["mean"]["half"] == same

    assert main(["eval", file, data]) == 0
    assert "keywords %" in capsys.readouterr().out


def test_folder_of_own_words_becomes_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_words(tmp_path / "data", ("lights on", "stop", "unknown"), 12)
    run, file = str(tmp_path / "run"), str(tmp_path / "own.bifast")
    where = ["--data", str(data), "--out", run, "--cache", str(tmp_path / "cache")]
    assert main(["train", "folder", *SMALL, *where, "--threads", "1"]) == 0
    assert main(["export", run, "--out", file, "--data", str(data)]) == 0
    assert bifast.Model.load(file).labels == ("lights on", "stop", "unknown", "silence")
    capsys.readouterr()
    assert main(["eval", file, str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["clips"] > 3

    assert main(["train", "folder", "--data", str(tmp_path)]) == 2
    assert "one folder deeper" in capsys.readouterr().err


def test_list_names_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--list"]) == 0
    assert "commands8" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["train", "comands8"], "did you mean 'commands8'"),
        (["train", "sc11", "--set", "optim.epoch=1"], "did you mean 'epochs'"),
        (["train", "sc11", "--data", "nowhere"], "no folder or archive nowhere"),
        (["export", "nowhere", "--out", "x.bifast"], "no checkpoint"),
        (["eval", "nothing.bifast", "--task", "sc11"], "nothing.bifast"),
        (["eval", "--split", "test"], "did you mean 'testing'"),
        (["eval", "bifsmn", ".", ".."], "one data folder"),
    ],
    ids=["recipe", "setting", "data", "checkpoint", "model", "split", "folders"],
)
def test_wrong_input_is_explained(
    command: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    assert message in capsys.readouterr().err


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("torch", "no_such_package"))
    with pytest.raises(bifast.UnsupportedError, match=r"no_such_package: .*bifast\[train\]"):
        extra.require()
