"""Data folders: layouts, splits, tasks; what is broken is named and left out."""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
soundfile = pytest.importorskip("soundfile", reason="the extra `train` is not installed")

from train_folder import make_folder
from word_folder import make_words, tone, write_lists, write_wav

from bifast.format import FRONTEND_PAPER
from bifast.train.data import TASKS, DataFolder, features
from bifast.train.data.cache import Arrays, cached
from bifast.train.data.commands12 import Commands12
from bifast.train.data.features import load_split, task_examples
from bifast.train.data.spec import DataSpec
from bifast.train.data.task import Example, Task, load_wave
from bifast.train.data.word_folders import which_set
from bifast.train.recipe import RecipeError, load_recipe
from bifast.train.sanity import check_recipe

SPLITS = ("training", "validation", "testing")
COMMANDS = TASKS["words20"].labels[:10]
OTHER = ("bed", "cat", "marvin", "visual")


def labels_of(task: Task, examples: list[Example]) -> Counter[str]:
    return Counter(task.labels[e.label] for e in examples)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the whole of Speech Commands: ten commands, other words, noise, lists."""
    path = make_words(tmp_path_factory.mktemp("full"), COMMANDS + OTHER, 6)
    write_lists(path)
    return path


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("down/00176480_nohash_0.wav", "training"),
        ("down/099d52ad_nohash_0.wav", "validation"),
        ("down/022cd682_nohash_0.wav", "testing"),
    ],
)
def test_split_of_a_name_is_that_of_the_published_lists(name: str, split: str) -> None:
    assert which_set(name) == split
    assert which_set(name.replace("_nohash_", "_nohash_9")) == split


def test_split_rule_gives_a_tenth_to_validation_and_testing() -> None:
    drawn = Counter(which_set(f"{n:08x}_nohash_0.wav") for n in range(5000))
    assert abs(drawn["validation"] - 500) < 80
    assert abs(drawn["testing"] - 500) < 80


def test_split_rule_agrees_with_the_index_of_real_recordings() -> None:
    from bifast.train.data import find_data

    try:
        folder = DataFolder(find_data())
    except FileNotFoundError:
        pytest.skip("no data folder; set BIFAST_DATA")
    clips = [c for c in folder.clips("keyword") if "_nohash_" in c.name]
    assert len(clips) > 1000
    assert [c.name for c in clips if which_set(c.name) != c.split] == []


def test_lists_decide_the_splits(full: Path) -> None:
    folder = DataFolder(full)
    assert folder.skipped == []
    for split, numbers in (("testing", {0, 1}), ("validation", {2}), ("training", {3, 4, 5})):
        clips = folder.clips("keyword", split, ["yes"])
        assert {int(c.speaker, 16) for c in clips} == numbers
    assert [c.name for c in folder.clips("noise")] == ["_background_noise_/hum.wav"]
    assert folder.clips("noise")[0].samples == 40000


def test_without_lists_every_split_has_every_word_and_no_speaker_twice(tmp_path: Path) -> None:
    folder = DataFolder(make_words(tmp_path, ("yes", "no"), 5))
    for word in ("yes", "no"):
        speakers = [{c.speaker for c in folder.clips("keyword", s, [word])} for s in SPLITS]
        assert all(speakers)
        assert sum(map(len, speakers)) == len(set.union(*speakers)) == 5


def test_word_of_one_speaker_is_divided_by_its_files(tmp_path: Path) -> None:
    for number in range(4):
        write_wav(tmp_path / "yes" / f"aa_nohash_{number}.wav", tone(0, number))
    folder = DataFolder(tmp_path)
    assert all(folder.clips("keyword", split) for split in SPLITS)


def test_official_protocol_has_a_tenth_of_unknown_and_silence(full: Path) -> None:
    folder, task = DataFolder(full), TASKS["commands12"]
    for split, each in (("training", 3), ("validation", 1), ("testing", 2)):
        counts = labels_of(task, task.examples(folder, split))
        assert {counts[word] for word in COMMANDS} == {each}
        assert counts["unknown"] == counts["silence"] == each
    assert task.examples(folder, "testing") == task.examples(DataFolder(full), "testing")
    silence = [e for e in task.examples(folder, "training") if e.group == "background"]
    waves = [load_wave(e, folder, None, 16000) for e in silence]
    assert all(w is not None and 0 < np.abs(w).max() < 0.6 for w in waves)


def test_papers_protocol_keeps_all_other_words_and_silence_is_zeros(full: Path) -> None:
    folder, task = DataFolder(full), TASKS["commands12-papers"]
    examples = task.examples(folder, "testing")
    counts = labels_of(task, examples)
    assert counts["unknown"] == 2 * len(OTHER)
    assert counts["silence"] == (20 + 2 * len(OTHER)) // 10
    wave = load_wave(examples[-1], folder, None, 16000)
    assert wave is not None
    assert not wave.any()


@pytest.mark.parametrize(("name", "words"), [("words20", 10), ("words30", 13), ("words35", 14)])
def test_closed_sets_drop_other_words(full: Path, name: str, words: int) -> None:
    task = TASKS[name]
    assert len(task.labels) == int(name.removeprefix("words"))
    assert len(labels_of(task, task.examples(DataFolder(full), "testing"))) == words


def test_official_test_set_is_all_testing(tmp_path: Path) -> None:
    make_words(tmp_path, (*COMMANDS, "_unknown_", "_silence_"), 2, noise=False)
    folder, task = DataFolder(tmp_path), TASKS["commands12"]
    counts = labels_of(task, task.examples(folder, "testing"))
    assert counts == dict.fromkeys(task.labels, 2)
    assert task.examples(folder, "training") == []


def test_own_words_are_the_labels(tmp_path: Path) -> None:
    make_words(tmp_path, ("stop", "lights on", "unknown"), 4)
    folder = DataFolder(tmp_path)
    task = TASKS["folder"].for_folder(folder)
    assert task.labels == ("lights on", "stop", "unknown", "silence")
    for split in SPLITS:
        assert set(labels_of(task, task.examples(folder, split))) == set(task.labels)
    known = TASKS["folder"].for_labels(("stop", "go"))
    with pytest.raises(ValueError, match=r"lights on, unknown are no labels of the model"):
        known.examples(folder, "training")


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
def test_own_sounds_may_have_any_rate_and_channels(tmp_path: Path, kind: str) -> None:
    (tmp_path / "yes").mkdir()
    wave = np.stack([tone(0, 0, 44100)] * 2, axis=1)
    soundfile.write(tmp_path / "yes" / f"a.{kind}", wave, 44100)
    folder = DataFolder(tmp_path)
    decoded = folder.wave(folder.clips("keyword")[0])
    assert decoded is not None
    assert abs(decoded.size - 16000) < 300
    assert np.abs(np.fft.rfft(decoded)).argmax() == pytest.approx(300, abs=10)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda p: None, "found no sound files"),
        (lambda p: write_wav(p / "a.wav", tone(0, 0)), "found sound files directly in it"),
        (
            lambda p: write_wav(p / "train" / "yes" / "a.wav", tone(0, 0)),
            r"one folder deeper.*train",
        ),
        (lambda p: (p / "yes").mkdir(), "found no sound files"),
        (
            lambda p: [write_wav(p / "yes" / "a.wav", tone(0, 0)), (p / LIST).touch()],
            f"has {'testing_list.txt'} alone",
        ),
        (lambda p: (p / "index.csv").write_text("file,offset\n"), "no column kind"),
        (lambda p: (p / "index.csv").write_bytes(b"\xff\xfe\x00"), "is no CSV text"),
        (lambda p: (p / "index.csv").write_text(HEADER), "lists no clips"),
        (lambda p: (p / "index.csv").write_text(HEADER + "a.bin,0"), "none of 1 rows"),
    ],
    ids=["empty", "flat", "deep", "no-files", "one-list", "columns", "text", "no-rows", "cut-row"],
)
def test_wrong_layout_is_explained(tmp_path: Path, build: object, message: str) -> None:
    build(tmp_path)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        DataFolder(tmp_path)


LIST = "testing_list.txt"
HEADER = "file,offset,length,kind,word,speaker,split,dataset,name\n"


def test_one_class_and_too_few_recordings_are_refused(tmp_path: Path) -> None:
    make_words(tmp_path, ("yes",), 3, noise=False)
    with pytest.raises(ValueError, match="only one class, yes"):
        TASKS["folder"].for_folder(DataFolder(tmp_path))
    make_words(tmp_path, ("no",), 2, noise=False)
    with pytest.raises(ValueError, match=r"too few: no \(2\)"):
        TASKS["folder"].for_folder(DataFolder(tmp_path))


def test_rows_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    make_folder(tmp_path, ("yes", "no"))
    size = (tmp_path / "all.bin").stat().st_size
    index = tmp_path / "index.csv"
    rows = index.read_text().splitlines()
    good = rows[1].split(",")

    def changed(**values: str) -> str:
        names = rows[0].split(",")
        return ",".join(values.get(n, v) for n, v in zip(names, good, strict=True))

    bad = [
        changed(offset="x"),
        changed(offset="-1"),
        changed(length="0"),
        changed(offset=str(size)),
        changed(file="gone.bin"),
        changed(rate="0"),
        rows[1][:20],
    ]
    index.write_text("\n".join(rows + bad) + "\n")
    folder = DataFolder(tmp_path)
    assert len(folder.clips("keyword")) == len(rows) - 1
    assert len(folder.skipped) == len(bad)
    assert "index.csv line 16" in folder.skipped[0]
    assert "which has" in folder.skipped[3]
    assert "there is no file 'gone.bin'" in folder.skipped[4]


def test_bad_sounds_are_counted_named_and_left_out(tmp_path: Path) -> None:
    make_words(tmp_path, ("yes", "no"), 8)
    write_lists(tmp_path)
    folder_path = tmp_path / "yes"
    (folder_path / "empty.wav").touch()
    (folder_path / "junk.wav").write_bytes(b"this is no sound at all, but more than a few bytes")
    write_wav(folder_path / "zero.wav", np.zeros(0, np.float32))
    write_wav(folder_path / "rate.wav", tone(0, 0), rate=200)
    soundfile.write(folder_path / "nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    (folder_path / "cut.wav").write_bytes((folder_path / "00000003_nohash_0.wav").read_bytes()[:30])
    folder = DataFolder(tmp_path)
    (folder_path / "00000007_nohash_0.wav").unlink()  # after it was listed
    task = TASKS["folder"].for_folder(folder)
    split = load_split(folder, task, "training", SPEC, FRONTEND_PAPER, tmp_path / "cache")
    named = sorted(text.split(": ")[0] for text in split.broken)
    bad = ["00000007_nohash_0", "cut", "empty", "junk", "nan", "rate", "zero"]
    assert named == [f"yes/{n}.wav" for n in bad]
    assert np.isfinite(split.features).all()
    assert len(split.labels) == 4 + 5 + 2  # yes, no, silence
    again = load_split(
        DataFolder(tmp_path), task, "training", SPEC, FRONTEND_PAPER, tmp_path / "c2"
    )
    assert len(again.broken) == len(bad) - 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_what_only_has_the_name_of_a_sound_file_is_named(tmp_path: Path) -> None:
    make_words(tmp_path, ("yes", "no"), 8)
    (tmp_path / "yes" / "nothing.wav").symlink_to("gone")
    (tmp_path / "yes" / "circle.wav").symlink_to("circle.wav")
    (tmp_path / "yes" / "device.wav").symlink_to(os.devnull)
    (tmp_path / "yes" / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "yes" / "pipe.wav")
    (tmp_path / "yes" / os.fsdecode(b"latin\xe4.wav")).write_bytes(b"sound")
    folder = DataFolder(tmp_path)
    names, reasons = zip(*(text.split(": ", 1) for text in folder.skipped), strict=True)
    bad = ["circle", "device", "folder", "latin\\udce4", "nothing", "pipe"]
    assert names == tuple(f"yes/{name}.wav" for name in bad)
    assert reasons[3] == "expected a name in UTF-8"
    assert len(folder.clips("keyword", words=["yes"])) == 8


def test_list_of_missing_files_is_named(tmp_path: Path) -> None:
    make_words(tmp_path, ("yes", "no"), 4)
    write_lists(tmp_path)
    (tmp_path / "yes" / "00000000_nohash_0.wav").unlink()
    [told] = DataFolder(tmp_path).skipped
    assert told == "yes/00000000_nohash_0.wav: in testing_list.txt, not in the folder"


def test_split_without_any_sound_says_why(tmp_path: Path) -> None:
    for word in ("yes", "no"):
        for number in range(3):
            path = tmp_path / word / f"{number}.wav"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"junk")
    folder = DataFolder(tmp_path)
    task = TASKS["folder"].for_folder(folder)
    with pytest.raises(ValueError, match=r"none of \d clips can be decoded; no/"):
        load_split(folder, task, "training", SPEC, FRONTEND_PAPER, tmp_path / "cache")


SPEC = DataSpec(task="folder", variants=2)


def test_cache_follows_files_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_words(tmp_path / "data", ("yes", "no"), 4)
    cache = tmp_path / "cache"

    def load(spec: DataSpec = SPEC) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
        folder = DataFolder(data)
        task = TASKS["folder"].for_folder(folder)
        return load_split(folder, task, "training", spec, FRONTEND_PAPER, cache).features

    first = load()
    monkeypatch.setattr(features, "_compute", lambda *_: pytest.fail("computed again"))
    assert np.array_equal(load(), first)
    masked = DataSpec(task="folder", variants=2, masks=features.Masks(time=2))
    assert np.array_equal(load(masked), first)
    monkeypatch.undo()
    [file] = cache.glob("*.npz")
    file.write_bytes(file.read_bytes()[:-100])  # a damaged file is computed again
    assert np.array_equal(load(), first)
    assert not np.array_equal(load(DataSpec(task="folder", variants=2, seed=1)), first)
    write_wav(data / "yes" / "00000003_nohash_0.wav", tone(5, 5, seconds=0.9))
    assert not np.array_equal(load(), first)
    assert len(list(cache.glob("*.npz"))) == 3
    assert list(cache.glob(".*")) == []


def slow(folder: Path) -> Arrays:
    import time

    with (folder / "computed").open("a") as file:
        file.write("x")
    time.sleep(0.3)
    return {"a": np.arange(1000)}


def use_cache(folder: Path) -> None:
    found = cached(folder / "x.npz", lambda: slow(folder), lambda block: block())
    assert found["a"].sum() == 499500


def test_two_trainings_at_once_compute_once(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=use_cache, args=(tmp_path,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(20)
    assert [p.exitcode for p in both] == [0, 0]
    assert (tmp_path / "computed").read_text() == "x"


def test_full_disk_names_the_file_of_the_cache(tmp_path: Path) -> None:
    def wait(block: Callable[[], None]) -> None:
        block()

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"too large.*features\.npz"):
            cached(tmp_path / "features.npz", lambda: {"a": np.zeros(9999)}, wait)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["features.lock"]


def test_few_recordings_are_filled_with_synthetic_ones(full: Path) -> None:
    folder, task = DataFolder(full), Commands12()
    spec = DataSpec(synthetic_fill=5, synthetic_only=("on",))
    examples = task_examples(task, folder, "training", spec)
    made = Counter(e.made.split(":")[1] for e in examples if e.made.startswith("synth:"))
    assert made == {word: 5 if word == "on" else 2 for word in COMMANDS}
    assert "on" not in {e.group for e in examples}
    assert "on" not in {e.group for e in task_examples(task, folder, "validation", spec)}
    assert "on" in {e.group for e in task_examples(task, folder, "testing", spec)}
    with pytest.raises(ValueError, match=r"synthetic_only: onn.*did you mean 'on'"):
        task_examples(task, folder, "training", DataSpec(synthetic_only=("onn",)))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.variants=0", "data.variants: expected >= 1"),
        ("data.augment.snr=1.5", r"data.augment.snr: expected 0 .. 1, got 1.5"),
        ("data.augment.snr_min=30", "snr_min: 30.0 is above snr_max 20.0"),
        ("data.augment.shift_max=99999", "shift_max: expected 0 .. 16000 samples"),
        ("data.masks.mel=-1", "data.masks.mel: expected 0 or more"),
    ],
)
def test_values_out_of_range_are_explained(setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        check_recipe(load_recipe("folder", [setting]))
