"""`bifast scan`: what it finds, who scans, and everything that can stop it half way."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import wave
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any

import conftest
import numpy as np
import pytest

import bifast
from bifast import archive, cli, shipped
from bifast.archive import Journal, Record

RATE = 16000
SENTENCE = conftest.read_wav(shipped.sentence())
WORDS = ("--words", "yes,no,stop")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences, a clip, silence, three broken files and one that is no sound."""
    path = tmp_path_factory.mktemp("archive")
    (path / "deep").mkdir()
    write(path / "a.wav", SENTENCE)
    write(path / "deep" / "b, 'x'.wav", np.concatenate([SENTENCE, SENTENCE[::-1]]))
    write(path / "c.wav", SENTENCE[: len(SENTENCE) // 2 + 777])  # ends inside a frame
    shutil.copy(next(p for p in shipped.sounds() if p.name.startswith("yes-")), path / "clip.wav")
    write(path / "silence.wav", np.zeros(3 * RATE, np.int16))
    write(path / "empty.wav", SENTENCE[:0])
    (path / "cut.wav").write_bytes((path / "a.wav").read_bytes()[:-7])
    (path / "nothing.wav").write_bytes(b"")
    (path / "notes.txt").write_text("no sound")
    return path


def write(path: Path, samples: conftest.Array) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def scan(*argv: str | Path) -> int:
    return cli.main(["scan", "--quiet", *WORDS, *map(str, argv)])


def start(*argv: str | Path, limit: int | None = None) -> subprocess.Popen[bytes]:
    """Scan in a process of its own, which may write no more than `limit` bytes to a file."""
    limits = "" if limit is None else f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit},) * 2); "
    code = f"import resource, sys; {limits}from bifast import cli; sys.exit(cli.main())"
    command = [sys.executable, "-c", code, "scan", "--quiet", *WORDS, *map(str, argv)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def table(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What one process writes."""
    out = tmp_path_factory.mktemp("one") / "words.csv"
    assert scan(folder, "--out", out) == 1
    return out.read_bytes()


def until(condition: Callable[[], bool]) -> None:
    """Wait for another process; a test that hangs is a failure."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("nothing happened for a minute")


# ---- what is found -------------------------------------------------------------------------------


def test_rows_are_what_listen_hears(folder: Path, table: bytes, capsys: Any) -> None:
    wanted = []
    for name in ("a.wav", "c.wav", "clip.wav", "deep/b, 'x'.wav", "silence.wav"):
        assert cli.main(["listen", str(folder / name), "--json", "--quiet", *WORDS]) == 0
        lines = map(json.loads, capsys.readouterr().out.splitlines())
        wanted += [[str(folder / name), *map(str, line.values())] for line in lines]
    head, *rows = csv.reader(table.decode().splitlines())
    assert head == ["file", "word", "score", "start", "end"]
    assert rows == wanted
    assert len(rows) >= 7


def test_broken_files_are_named_and_junk_is_counted(
    folder: Path, tmp_path: Path, capsys: Any
) -> None:
    assert scan(folder, "gone.wav", "--out", tmp_path / "words.csv") == 1
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert [line.rpartition("/")[2].partition(":")[0] for line in lines[:3]] == [
        "cut.wav",
        "empty.wav",
        "nothing.wav",
    ]
    assert "is cut" in lines[0]
    assert "without samples" in lines[1]
    assert lines[3] == "bifast scan: gone.wav: No such file or directory"
    assert "skipped 1 that are no sound" in lines[4]
    assert lines[5] == "bifast scan: 4 of 9 files failed; a later run tries them again"
    assert shown.out.splitlines()[-1].startswith("9 files, 26.4 seconds of sound, ")


def test_json_lines_and_parquet_hold_the_same(folder: Path, table: bytes, tmp_path: Path) -> None:
    wanted = [
        [row[0], row[1], *map(float, row[2:])]
        for row in list(csv.reader(table.decode().splitlines()))[1:]
    ]
    assert scan(folder, "--out", tmp_path / "words.jsonl") == 1
    lines = (tmp_path / "words.jsonl").read_text().splitlines()
    assert [list(json.loads(line).values()) for line in lines] == wanted
    parquet = pytest.importorskip("pyarrow.parquet")
    assert scan(folder, "--out", tmp_path / "words.parquet") == 1
    columns = parquet.read_table(tmp_path / "words.parquet").to_pydict()
    assert list(columns) == ["file", "word", "score", "start", "end"]
    assert [list(row) for row in zip(*columns.values(), strict=True)] == wanted


def test_names_that_are_no_text_come_out_as_they_went_in(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\n\xff.wav")
    write(tmp_path / name, SENTENCE)
    out = tmp_path / "words.csv"
    assert scan(tmp_path, "--out", out) == 0
    with out.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.reader(file))
    assert {row[0] for row in rows[1:]} == {str(tmp_path / name)}


def test_a_long_file_needs_no_more_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "long.wav", np.tile(SENTENCE, 50))
    model = bifast.Model.load("bifsmn")
    words = tuple((word, bifast.Word()) for word in model.labels)
    settings = archive.Settings(model.to_bytes(), None, words, 0.25, "eighth", None)
    archive.listen(settings).close()
    tracemalloc.start()
    record = archive.scan_file(settings, str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (record.seconds, record.error) == (round(50 * len(SENTENCE) / RATE, 4), None)
    assert len(record.heard) > 200
    assert peak < 2 << 20  # of 10 MB on the disk


# ---- who scans -----------------------------------------------------------------------------------


def test_processes_give_the_same_bytes(folder: Path, table: bytes, tmp_path: Path) -> None:
    out = tmp_path / "words.csv"
    assert scan(folder, "--out", out, "--jobs", "2") == 1
    assert out.read_bytes() == table


def test_a_cluster_of_two_workers_gives_the_same_bytes(
    folder: Path, table: bytes, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    out = tmp_path / "words.csv"
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="") as c:
        assert scan(folder, "--out", out, "--scheduler", c.scheduler_address) == 1
    assert out.read_bytes() == table


class DyingExecutor(Executor):
    """Workers that die before their first file is done."""

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(BrokenExecutor("killed"))
        return future


def test_workers_that_die_are_an_error() -> None:
    settings = archive.Settings(b"", None, (), 0.25, "full", None)
    with pytest.raises(OSError, match="a worker died, perhaps out of memory"):
        list(archive.scan_files(settings, ["a.wav"], DyingExecutor(), 4))


# ---- what stops it -------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_scan_goes_on(folder: Path, tmp_path: Path, jobs: int, capfd: Any) -> None:
    files = [folder / "a.wav", tmp_path / "pipe.wav", folder / "c.wav"]
    os.mkfifo(files[1])  # whoever opens it waits for ever
    out, journal = tmp_path / "words.csv", tmp_path / "words.csv.journal"
    process = start(*files, "--out", out, "--jobs", str(jobs))
    until(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= min(jobs + 1, 3))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert not out.exists()

    files[1].unlink()
    write(files[1], SENTENCE)
    assert scan(*files, "--out", out) == 0
    assert f"{min(jobs, 2)} of 3 files were done before" in capfd.readouterr().err
    again = tmp_path / "again.csv"
    assert scan(*files, "--out", again) == 0
    assert out.read_bytes() == again.read_bytes()


def test_a_full_disk_is_told_and_the_scan_goes_on(
    folder: Path, table: bytes, tmp_path: Path
) -> None:
    out, journal = tmp_path / "words.csv", tmp_path / "words.csv.journal"
    assert scan(folder, "--out", out) == 1
    lines = journal.read_bytes().splitlines(keepends=True)
    for path in (out, journal):
        path.unlink()
    limit = len(lines[0] + lines[1]) + 5  # the third line breaks off
    process = start(folder, "--out", out, limit=limit)
    message = process.communicate()[1].decode()
    assert process.returncode == 2
    assert f"{journal}: File too large; 1 of 8 files are done; the same command goes on" in message
    assert journal.read_bytes() == lines[0] + lines[1]
    assert not out.exists()
    assert scan(folder, "--out", out) == 1
    assert out.read_bytes() == table


def test_a_disk_full_at_the_table_keeps_the_old_one(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "words.csv"
    assert scan(folder / "a.wav", folder / "c.wav", "--out", out) == 0
    out.write_text("before")
    process = start(folder / "a.wav", folder / "c.wav", "--out", out, limit=100)
    assert b"File too large" in process.communicate()[1]
    assert process.returncode == 2
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["words.csv", "words.csv.journal"]


def records(count: int) -> list[Record]:
    heard = [archive.Heard("yes", 0.9, 1.0, 2.0)]
    return [Record(f"{n}.wav", n, n, 1.0, heard * n, None) for n in range(count)]


def test_a_journal_cut_anywhere_keeps_its_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, {"hop": 0.25}) as journal:
        for record in records(4):
            journal.add(record)
    data = path.read_bytes()
    for size in range(0, len(data) + 1, 7):
        path.write_bytes(data[:size])
        with Journal(path, {"hop": 0.25}) as journal:
            whole = data[:size].count(b"\n") - 1
            assert [journal[r.file] for r in records(max(0, whole))] == records(max(0, whole))
            for record in records(4)[max(0, whole) :]:
                journal.add(record)
        assert path.read_bytes() == data


def test_a_line_of_zeros_that_the_power_left_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, {}) as journal:
        journal.add(records(1)[0])
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(100) + b"\n")
    with Journal(path, {}) as journal:
        assert journal["0.wav"] == records(1)[0]
    assert path.read_bytes() == whole


def test_what_is_no_journal_of_this_scan_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for text in (b"letters\n", b"letters", b"[1]\n", b"\xff\n", b"{}\n"):
        path.write_bytes(text)
        with pytest.raises(
            ValueError, match="journal: expected the journal of a scan, got another"
        ):
            Journal(path, {"hop": 0.25})
        assert path.read_bytes() == text
    path.unlink()
    Journal(path, {"hop": 0.25}).__exit__(None, None, None)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"with another hop: expected 0.5, got 0.25; remove it"):
        Journal(path, {"hop": 0.5})
    assert path.read_bytes() == before


def test_two_scans_do_not_share_a_journal(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "journal", {}),
        pytest.raises(ValueError, match="another scan is writing it"),
    ):
        Journal(tmp_path / "journal", {})


def test_new_changed_and_failed_files_are_scanned_again(tmp_path: Path, capsys: Any) -> None:
    folder, out = tmp_path / "in", tmp_path / "words.csv"
    folder.mkdir()
    files = [write(folder / f"{n}.wav", SENTENCE[: RATE * 2]) for n in range(3)]
    files[2].write_bytes(b"")
    assert scan(folder, "--out", out) == 1
    write(files[1], SENTENCE)
    write(files[2], SENTENCE)
    write(folder / "3.wav", SENTENCE)
    capsys.readouterr()
    assert scan(folder, "--out", out) == 0
    assert capsys.readouterr().err == "bifast scan: 1 of 4 files were done before\n"
    rows = list(csv.reader(out.read_text().splitlines()))[1:]
    assert {Path(row[0]).name for row in rows} == {"0.wav", "1.wav", "2.wav", "3.wav"}
    files[0].unlink()
    assert scan(folder, "--out", out) == 0  # what has gone is in the table no more
    assert "0.wav" not in out.read_text()


# ---- wrong command lines -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--out", "words.txt"], "expected a name that ends with .csv, .jsonl, .parquet"),
        (["--out", "no/such/words.csv"], "its folder does not exist"),
        (["--out", "words.csv", "--depth", "ful"], "unknown depth 'ful'"),
        (["--out", "words.csv", "--words", "yess"], "unknown word 'yess'"),
        (["--out", "words.csv", "--jobs", "2", "--scheduler", "x"], "--jobs: expected none with"),
        (["-", "--out", "words.csv"], "`bifast listen -` reads stdin"),
    ],
)
def test_wrong_options_are_refused_before_any_work(
    argv: Sequence[str], message: str, folder: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert scan(folder, *argv) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_an_error(tmp_path: Path, capsys: Any) -> None:
    assert scan(tmp_path, "--out", tmp_path / "words.csv") == 2
    assert "expected sound files, found none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("package", "argv", "group"),
    [
        ("pyarrow", ["--out", "words.parquet"], "parquet"),
        ("distributed", ["--out", "words.csv", "--scheduler", "tcp://127.0.0.1:1"], "dask"),
    ],
)
def test_missing_packages_are_named(
    package: str, argv: list[str], group: str, folder: Path, tmp_path: Path, capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    assert scan(folder, *argv) == 2
    assert f"pip install 'bifast[{group}]'" in capsys.readouterr().err
