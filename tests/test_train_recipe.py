"""Recipes, registries and tasks: wrong names are explained, test words are never trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from bifast.format import FRONTEND_PAPER
from bifast.train.binarizers import BINARIZERS
from bifast.train.data import TASKS
from bifast.train.data.commands8 import NEVER_TRAINED, OTHER_WORDS, WORDS
from bifast.train.data.folder import DataFolder, find_data
from bifast.train.data.task import SPLITS
from bifast.train.nets import NETS
from bifast.train.recipe import RecipeError, load_recipe, recipe_names
from bifast.train.sanity import check_recipe
from bifast.train.scoring import score


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipe_is_complete(name: str) -> None:
    recipe = load_recipe(name, [])
    check_recipe(recipe)
    assert recipe.name == name
    assert recipe.description
    assert recipe.net.name in NETS.names()
    assert recipe.net.binarizer in BINARIZERS.names()
    assert recipe.data.task in TASKS.names()
    assert not recipe.distill.teacher or recipe.distill.teacher in recipe_names()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optim.epoch=3", r"unknown key 'optim.epoch'; did you mean 'epochs'"),
        ("optim.epochs=many", r"optim.epochs: expected int, got 'many'"),
        ("optim.depth_weights=3", "expected a list"),
        ("optim=3", "optim: expected a table"),
        ("name.x=3", "'name' is not a table"),
        ("optim.epochs", "expected KEY=VALUE"),
    ],
)
def test_wrong_setting_is_explained(setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("sc11", [setting])


def test_unknown_names_are_explained(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean 'commands8'"):
        load_recipe("comands8", [])
    with pytest.raises(ValueError, match="unknown binarizer 'bifsm'; did you mean 'bifsmn'"):
        BINARIZERS["bifsm"]
    with pytest.raises(ValueError, match="registered twice"):
        BINARIZERS.register("bifsmn")(BINARIZERS["bifsmn"])
    broken = tmp_path / "broken.toml"
    broken.write_text("seed = = 3")
    with pytest.raises(RecipeError, match=r"broken\.toml"):
        load_recipe(str(broken), [])


def test_settings_reach_nested_tables() -> None:
    settings = ["optim.lr=1", "data.augment.noise=0.9", "distill.teacher=x"]
    recipe = load_recipe("sc11", settings)
    assert recipe.optim.lr == 1.0
    assert recipe.data.augment.noise == 0.9
    assert recipe.distill.teacher == "x"


def test_front_end_of_a_recipe_has_the_papers_defaults() -> None:
    assert load_recipe("sc11", []).frontend == FRONTEND_PAPER
    changed = load_recipe("sc11", ["frontend.hop=253", "frontend.center=false"]).frontend
    assert changed == replace(FRONTEND_PAPER, hop=253, center=False)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("frontend.n_fft=500", "frontend: front-end: expected n_fft a power of two"),
        (
            "frontend.n_fft=512",
            r"frontend: front-end: expected win_length in 1 \.\. n_fft, got 2048",
        ),
        ("frontend.hop=0", "expected hop >= 1"),
        ("frontend.sample_rate=8000", r"clips are 16000 samples at 16000 Hz, got \(8000, 16000\)"),
        ("frontend.window_samples=8000", "clips are 16000 samples at 16000 Hz"),
    ],
)
def test_front_end_out_of_range_is_explained(setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        check_recipe(load_recipe("sc11", [setting]))


def test_words_of_the_unknown_test_are_never_trained() -> None:
    assert not set(NEVER_TRAINED) & set(OTHER_WORDS)
    assert not set(WORDS) & set(OTHER_WORDS)
    assert not set(NEVER_TRAINED) & set(TASKS["commands8"].spoken())
    try:
        folder = DataFolder(find_data())
    except FileNotFoundError:
        pytest.skip("no data folder; set BIFAST_DATA")
    found = {s: TASKS["commands8"].examples(folder, s) for s in SPLITS}
    for split in ("training", "validation", "extra"):
        assert not {e.group for e in found[split]} & set(NEVER_TRAINED)
    unknown = {
        e.group for e in found["testing"] if e.label == TASKS["commands8"].labels.index("unknown")
    }
    assert unknown == set(NEVER_TRAINED)
    clips = [{(e.clip.file, e.clip.offset) for e in found[s] if e.clip} for s in SPLITS]
    assert not any(clips[i] & clips[j] for i in range(4) for j in range(i))


def test_scores_count_words_unknown_and_silence() -> None:
    names = ("yes", "no", "unknown", "silence")
    labels = np.array([0, 0, 1, 2, 2, 3])
    logits = np.full((6, 4), -5, np.float32)
    logits[np.arange(6), [0, 1, 1, 2, 0, 3]] = 5
    report = score(logits, labels, ["yes", "yes", "no", "dog", "on", "silence"], names)
    assert report.accuracy == pytest.approx(4 / 6)
    assert report.keyword_recall == pytest.approx(0.75)
    assert report.recalls["unknown"] == 0.5
    assert report.groups["on"] == (1, 0.0)
    assert report.confusion[0].tolist() == [1, 1, 0, 0]
    assert report.false_accepts is None
    kept = score(logits[2:], labels[2:], [""] * 4, names)
    assert kept.false_accepts == 0.5


def test_missing_data_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="on the command line, or set BIFAST_DATA"):
        find_data(tmp_path / "gone")
