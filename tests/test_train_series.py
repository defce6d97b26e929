"""Series of runs: their files, resuming, rows that fail or that the engine refuses, the tables."""

from __future__ import annotations

import csv
import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
for package in ("soundfile", "rich", "matplotlib"):
    pytest.importorskip(package, reason="the extra `train` is not installed")

from train_folder import make_folder

import bifast
from bifast.cli import main
from bifast.train.binarizers import BINARIZERS
from bifast.train.checkpoint import CheckpointError
from bifast.train.data import TASKS
from bifast.train.lock import lock_if_free
from bifast.train.own import load_binarizer
from bifast.train.recipe import RecipeError, load_recipe
from bifast.train.series import Row, Series, load_series, row_recipe, run_series, series_names
from bifast.train.series.outcome import Outcome
from bifast.train.series.summary import Spread, Table, collect
from bifast.train.series.table import markdown
from bifast.train.speed import net_nanoseconds
from bifast.train.watch import Watcher

SMALL = ["optim.epochs=1", "optim.batch=16", "data.variants=1", "net.depths=2"]
FILE = """
description = "two"
recipe = "sc11"
reference = "ours"
seeds = [1, 2]
[set]
optim.epochs = 7
[rows.ours]
title = "Ours"
[rows.real]
recipe = "sc11-teacher"
set.optim = { epochs = 9, lr = 1e-3 }
[rows.real.set.net]
binarizer = "pair-scale"
"""


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Leave the number of threads as it was: the command sets it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("tones"), TASKS["sc11"].labels)


class Log(Watcher):
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def run(
    series: Series, tones: Path, out: Path, *settings: str, stage: str = "all"
) -> tuple[Table, list[str]]:
    log = Log()
    table = run_series(
        series,
        tones,
        out,
        tones.parent / "cache",
        settings=[*SMALL, *settings],
        only=[row.name for row in series.rows],
        watch=lambda: log,
        stage=stage,
    )
    return table, log.said


def series_of(*rows: Row, seeds: tuple[int, ...] = (1,)) -> Series:
    return Series("s", "", seeds, rows)


OURS = Row("ours", "Ours", "sc11")
REAL = Row("real", "Real", "sc11", "ours", {"net": {"binarizer": "pair-scale"}})


def test_file_lays_row_over_series_over_recipe(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(FILE)
    series = load_series(str(path))
    assert (series.name, series.seeds) == ("two", (1, 2))
    ours, real = series.rows
    assert (ours.title, ours.reference, real.title, real.reference) == ("Ours", "", "real", "ours")
    mine, other = (row_recipe(series, row, 2, ["optim.batch=64"]) for row in series.rows)
    assert (mine.name, mine.seed, mine.optim.epochs, mine.optim.batch) == ("ours", 2, 7, 64)
    assert (other.optim.epochs, other.optim.lr, other.net.depths) == (9, 1e-3, 1)
    assert other.net.binarizer == "pair-scale"
    assert dataclasses.replace(mine.optim, epochs=30, batch=128) == load_recipe("sc11", []).optim


@pytest.mark.parametrize("name", series_names())
def test_shipped_series_is_complete(name: str) -> None:
    series = load_series(name)
    assert series.description
    before: set[str] = set()
    for row in series.rows:
        recipe = row_recipe(series, row, 1, [])
        assert not recipe.distill.teacher or recipe.distill.teacher in before
        before.add(row.name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows = 3", "at least one table"),
        ("[rows.a]", "rows.a: no recipe"),
        ('recipe = "sc11"\n[rows."a/b"]', "a name is letters"),
        ('recipe = "sc11"\nsed = [1]\n[rows.a]', "unknown key 'sed'; did you mean 'seeds'"),
        ('recipe = "sc11"\nseeds = [1, 1]\n[rows.a]', "one is given twice"),
        ('recipe = "sc11"\nseeds = ["x"]\n[rows.a]', "expected a list of whole numbers"),
        ('recipe = "sc11"\nreference = "b"\n[rows.a]', "row a: unknown reference 'b'"),
        ('recipe = "sc11"\n[rows.a]\nsit.x = 1', "unknown key 'sit'; did you mean 'set'"),
        ("seeds = = 1", "two.toml"),
    ],
)
def test_wrong_series_is_explained(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_series(str(path))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("net.binarizer=bifsm", "row ours: unknown binarizer 'bifsm'; did you mean 'bifsmn'"),
        ("optim.epoch=1", "row ours: unknown key"),
        ("optim.epochs=0", r"row ours: optim\.epochs"),
        ("distill.haar=space", r"row ours: distill\.haar"),
    ],
)
def test_wrong_row_is_refused_before_any_run(
    setting: str, message: str, tones: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=message):
        run(series_of(OURS), tones, tmp_path / "out", setting)
    assert not (tmp_path / "out").exists()


def test_series_measures_by_the_engine_or_says_why_not(tones: Path, tmp_path: Path) -> None:
    series = series_of(OURS, REAL)
    table, said = run(series, tones, tmp_path)
    assert [text for text in said if text.startswith("[")] == [
        "[1/2] ours, seed 1",
        "[2/2] real, seed 1",
    ]
    ours, real = table.rows
    assert (ours.measured_by, real.measured_by) == ("engine", "PyTorch")
    assert "layer stem.conv2: a weight scale for each pair" in real.refused
    assert set(ours.accuracy) == set(real.accuracy) == {"full", "half"}
    assert ours.one_bit == pytest.approx(98, abs=0.1)
    assert real.one_bit < 7
    assert ours.size * 10 < real.size
    assert set(ours.nanoseconds) == {"full", "half"}
    assert not real.nanoseconds
    expected = ours.accuracy["full"].mean - real.accuracy["full"].mean
    assert real.drop["full"].mean == pytest.approx(expected)
    # The engine counts what PyTorch counted at the end of training.
    told = json.loads((tmp_path / "seed1" / "ours" / "result.json").read_text())
    assert ours.accuracy["full"].mean == pytest.approx(100 * told["testing"]["full"], abs=1e-3)
    assert told["cpu_seconds"] > 0

    again, said = run(series, tones, tmp_path)
    assert said == []
    assert again == table
    more, said = run(dataclasses.replace(series, seeds=(1, 2)), tones, tmp_path)
    assert len([text for text in said if text.startswith("[")]) == 2
    assert more.rows[0].seeds == [1, 2]
    assert more.rows[1].drop["full"].deviation is not None


def test_finished_run_under_other_settings_is_refused(tones: Path, tmp_path: Path) -> None:
    run(series_of(OURS), tones, tmp_path)
    with pytest.raises(CheckpointError, match="had other settings"):
        run(series_of(OURS), tones, tmp_path, "optim.lr=0.001")


def test_row_that_fails_says_so_and_the_others_go_on(tones: Path, tmp_path: Path) -> None:
    orphan = Row("orphan", "Orphan", "sc11", "ours", {"distill": {"teacher": "none", "hed": 0.1}})
    table, _ = run(series_of(orphan, OURS), tones, tmp_path)
    assert "FileNotFoundError: no net in" in table.rows[0].errors[0]
    assert table.rows[1].seeds == [1]
    text = (tmp_path / "table.md").read_text()
    assert "| Orphan | 0 | failed | failed |" in text
    assert "- Orphan: failed, seed 1: FileNotFoundError" in text
    _, said = run(series_of(orphan, OURS), tones, tmp_path)
    assert said[0] == "[1/1] orphan, seed 1"


def test_tables_hold_mean_spread_and_paired_drop(tmp_path: Path) -> None:
    for seed, ours, real in ((1, 80.0, 84.0), (2, 90.0, 95.0)):
        for row, value in (("ours", ours), ("real", real)):
            outcome = Outcome(row, seed, measured_by="engine", accuracy={"full": value}, size=7)
            outcome.save(tmp_path / f"seed{seed}" / row)
    table = collect(series_of(OURS, REAL, Row("late", "Late", "sc11"), seeds=(1, 2, 3)), tmp_path)
    _, real, late = table.rows
    assert real.accuracy["full"] == Spread(89.5, pytest.approx(7.78, abs=0.01), 2)
    # The seeds differ by ten points, the difference between the rows by one.
    assert real.drop["full"] == Spread(-4.5, pytest.approx(0.71, abs=0.01), 2)
    assert late.seeds == []
    lines = markdown(table).splitlines()
    assert lines[3].startswith("| Real | 2 | 89.50 \u00b1 7.78 | -4.50 \u00b1 0.71 | ours |")
    assert lines[4].startswith("| Late | 0 | not run |")


def test_command_runs_a_series_and_writes_all_tables(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "two.toml", tmp_path / "out"
    file.write_text(FILE.replace("seeds = [1, 2]", "seeds = [5]"))
    settings = [part for setting in SMALL for part in ("--set", setting)]
    where = ["--data", str(tones), "--out", str(out), "--cache", str(tones.parent / "cache")]
    command = ["survey", str(file), *settings, *where, "--threads", "1", "--only", "ours"]
    assert main(command) == 0
    assert "| Ours | 1 |" in capsys.readouterr().out
    assert (out / "table.png").stat().st_size > 1000
    table = json.loads((out / "table.json").read_text())
    assert [row["seeds"] for row in table["rows"]] == [[5], []]
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert [(r["row"], r["depth"]) for r in rows] == [
        ("ours", "full"),
        ("ours", "half"),
        ("real", ""),
    ]
    assert float(rows[0]["accuracy"]) == table["rows"][0]["accuracy"]["full"]["mean"]

    assert main([*command[:-1], "our"]) == 2
    assert "did you mean 'ours'" in capsys.readouterr().err
    assert main(["survey", "released-cod"]) == 2
    assert "did you mean 'released-code'" in capsys.readouterr().err
    assert main(["survey", "--list"]) == 0
    assert "released-code" in capsys.readouterr().out


def test_training_and_measuring_are_two_calls(tones: Path, tmp_path: Path) -> None:
    series = series_of(OURS)
    table, said = run(series, tones, tmp_path, stage="measure")
    assert (said, table.rows[0].trained) == ([], [])
    table, _ = run(series, tones, tmp_path, stage="train")
    assert (table.rows[0].trained, table.rows[0].seeds) == ([1], [])
    assert "| Ours | 0 | not measured |" in (tmp_path / "table.md").read_text()
    weights = (tmp_path / "seed1" / "ours" / "final.pt").read_bytes()
    assert run(series, tones, tmp_path, stage="train")[1] == []
    table, _ = run(series, tones, tmp_path, stage="measure")
    assert table.rows[0].seeds == [1]
    assert table.rows[0].needs == "1 plane, signs at 0, a scale a channel"
    assert table.rows[0].device == "cpu"
    assert (tmp_path / "seed1" / "ours" / "final.pt").read_bytes() == weights


def test_run_of_another_process_is_left_to_it(tones: Path, tmp_path: Path) -> None:
    busy = tmp_path / "seed1" / "ours"
    busy.mkdir(parents=True)
    with lock_if_free(busy / ".lock") as free:
        assert free
        table, said = run(series_of(OURS, REAL), tones, tmp_path, stage="train")
    assert [text for text in said if text.startswith("[")] == ["[1/2] real, seed 1"]
    assert [row.trained for row in table.rows] == [[], [1]]


def test_student_waits_for_a_teacher_that_another_process_trains(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = Row("teacher", "Teacher", "sc11")
    taught = Row(
        "taught", "Taught", "sc11", changes={"distill": {"teacher": "teacher", "mse": 0.1}}
    )
    place = tmp_path / "seed1" / "teacher"
    place.mkdir(parents=True)
    with ExitStack() as stack:
        stack.enter_context(lock_if_free(place / ".lock"))

        def end_of_the_other(seconds: float) -> None:
            run(series_of(teacher), tones, tmp_path / "elsewhere", stage="train")
            for file in (tmp_path / "elsewhere" / "seed1" / "teacher").iterdir():
                file.replace(place / file.name)
            stack.close()

        monkeypatch.setattr(time, "sleep", end_of_the_other)
        table, said = run(series_of(taught, teacher), tones, tmp_path, stage="train")
    assert [row.trained for row in table.rows] == [[1], [1]]
    assert not any("FileNotFoundError" in text for text in said)


OWN = """
import torch
from bifast.train.binarizers import Binarizer
from bifast.train.binarizers.sign import sign_clip

class Halves(Binarizer):
    def activation(self, x):
        return sign_clip(x)

    def weight(self, w):
        return sign_clip(w), w.new_full((w.shape[0],), 0.5)

class Rotten(Halves):
    def activation(self, x):
        return sign_clip(x + torch.sqrt(x * 0))

class Broken(Halves):
    def weight(self, w):
        raise KeyError("weights")

number = 3
"""


def test_binarizers_of_the_users_own_are_rows_and_bad_ones_say_so(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    settings = [part for setting in SMALL for part in ("--set", setting)]
    where = ["--data", str(tones), "--out", str(tmp_path), "--cache", str(tones.parent / "cache")]
    own = [part for name in ("Rotten", "Broken", "Halves") for part in ("--with", f"{file}:{name}")]
    chosen = ["--only", "rotten,broken,halves", "--seeds", "1", "--threads", "1"]
    assert main(["survey", "survey-kws", *own, *chosen, *settings, *where]) == 1
    capsys.readouterr()
    rows = {row["name"]: row for row in json.loads((tmp_path / "table.json").read_text())["rows"]}
    assert rows["halves"]["measured_by"] == "engine"
    assert rows["halves"]["reference"] == "full"
    assert "gradient is nan at step 0 (epoch 1), from binarizer 'rotten'" in str(
        rows["rotten"]["errors"]
    )
    assert rows["broken"]["errors"] == ["seed 1: KeyError: 'weights'"]
    for place, message in (
        (f"{file}:Halfs", "no class 'Halfs'; did you mean 'Halves'"),
        (f"{file}:number", "number is no subclass of"),
        (f"{tmp_path / 'other.py'}:Halves", "there is no file"),
        ("mine", "expected FILE.py:CLASS"),
    ):
        assert main(["survey", "survey-kws", "--with", place]) == 2
        assert message in capsys.readouterr().err
    file.with_name("wrong.py").write_text("import nothing_of_that_name\nclass A: pass\n")
    assert main(["survey", "--with", f"{tmp_path / 'wrong.py'}:A"]) == 2
    assert "ModuleNotFoundError: No module named" in capsys.readouterr().err


def test_survey_has_every_binarizer_in_a_row() -> None:
    series = load_series("survey-kws")
    used = {row_recipe(series, row, 1, []).net.binarizer for row in series.rows}
    quirks = {"pair-scale", "sign-zero", "released", "released-linear", "int8"}
    own = {"halves", "rotten", "broken", "centred"}
    assert used == set(BINARIZERS.names()) - quirks - own
    assert len(used) >= 15
    assert {row.reference for row in series.rows} == {"full", ""}


def test_time_of_the_net_is_less_at_a_thinner_depth() -> None:
    model = bifast.Model.load("bifsmn")
    times = net_nanoseconds(model, model.features(np.zeros(16000, np.float32)))
    assert list(times) == list(model.depths)
    assert times["full"] > times["eighth"] > 0


def test_binarizer_of_the_documentation_works(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "adding-a-binarizer.md").read_text("utf-8")
    file = tmp_path / "page.py"
    file.write_text(text.split("```python\n")[1].split("```")[0])
    assert load_binarizer(f"{file}:Centred") == "centred"
    binarizer = BINARIZERS["centred"](4, 3)
    x, w = torch.randn(5, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    levels, scale = binarizer.weight(w)
    (binarizer.activation(x) @ (levels * scale[:, None]).t()).sum().backward()
    assert levels.abs().eq(1).all()
    assert x.grad.isfinite().all()
    assert w.grad.isfinite().all()
