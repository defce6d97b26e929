"""The task `embed`: many words, and nothing of what enrolled words are measured on."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("soundfile", reason="the extra `train` is not installed")

from train_folder import COLUMNS, make_folder

from bifast.train.data import TASKS, DataFolder
from bifast.train.data.embed import kept_for_measuring
from bifast.train.data.features import task_examples
from bifast.train.recipe import load_recipe
from bifast.train.sanity import check_recipe

WAKE_WORDS = ("alexa", "computer", "jarvis", "snowboy", "smart_mirror", "view_glass")


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """Words, a wake word, and sentences of twenty speakers."""
    path = make_folder(tmp_path, ("yes", "nine", "alexa"))
    with (path / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["word"] == "alexa":
            row["kind"] = "wakeword"
    whole = {**rows[0], "kind": "speech", "word": "_sentence_", "n_samples": "48000"}
    rows += [{**whole, "speaker": f"s{n}", "name": f"sentence{n}"} for n in range(20)]
    with (path / "index.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    return DataFolder(path)


def test_wake_words_and_their_parts_are_no_labels() -> None:
    labels = TASKS["embed"].labels
    assert len(set(labels)) == len(labels) > 900
    assert not {part for word in WAKE_WORDS for part in (word, *word.split("_"))} & set(labels)
    assert not [label for label in labels if "snow" in label or "boy" in label.split("-")]


def test_no_split_holds_wake_words(folder: DataFolder) -> None:
    task = TASKS["embed"]
    for split in ("training", "validation", "testing", "extra"):
        clips = [e.clip for e in task.examples(folder, split) if e.clip is not None]
        assert "wakeword" not in {c.kind for c in clips}
    assert {e.group for e in task.examples(folder, "testing")} == {"yes", "nine"}


def test_speech_of_half_the_speakers_is_kept_for_measuring(folder: DataFolder) -> None:
    clips = folder.clips("speech", "training")
    kept = {c.speaker for c in clips if kept_for_measuring(c)}
    assert 4 < len(kept) < 16
    examples = TASKS["embed"].examples(folder, "training")
    used = {e.clip.speaker for e in examples if e.clip is not None and e.clip.kind == "speech"}
    assert used == {c.speaker for c in clips} - kept
    assert {e.label for e in examples if e.group == "sentence"} == {TASKS["embed"].unknown}


@pytest.mark.parametrize("name", ["embed", "embed-teacher"])
def test_recipe_lets_every_word_be_spoken(folder: DataFolder, name: str) -> None:
    recipe = load_recipe(name, [])
    check_recipe(recipe)
    task = TASKS[recipe.data.task]
    spec = replace(recipe.data, synthetic=1)
    made = [e for e in task_examples(task, folder, "training", spec) if e.made.startswith("synth:")]
    assert {e.label for e in made} == set(range(2, len(task.labels)))
