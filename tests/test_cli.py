"""The command line: what it prints, where, and the exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import model_factory
import numpy as np
import pytest
from image_nets import image_net

import bifast
from bifast import _core, audio, cli, shipped
from bifast.cli.table import format_table

CLIP = str(shipped.sounds()[0])
LONG = str(shipped.sentence())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model file with random weights."""
    path = tmp_path_factory.mktemp("model") / "random.bifast"
    model_factory.bifsmn(3).save(path)
    return str(path)


def command(*argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `python -m bifast`."""
    return subprocess.run(
        [sys.executable, "-m", "bifast", *argv], input=stdin, capture_output=True, check=False
    )


def json_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


# ---- run ----


def test_run_json_equals_classify(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", CLIP, "--model", model, "--json", "--depth", "half"]) == 0
    (line,) = json_lines(capsys)
    result = bifast.Model.load(model).classify(audio.load(CLIP, 16000), depth="half")
    assert line == {
        "file": CLIP,
        "label": result.label,
        "probability": round(result.probability, 6),
        "depth": "half",
    }


def test_run_scans_long_files_with_times(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", LONG, "--model", model, "--json", "--hop", "0.5"]) == 0
    lines = json_lines(capsys)
    scan = bifast.Model.load(model).scan(audio.load(LONG, 16000), hop=0.5)
    assert [line["label"] for line in lines] == [result.label for result in scan.results()]
    assert [line["start"] for line in lines] == [round(float(t), 4) for t in scan.times]


def test_run_table_joins_neighbouring_windows(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", LONG, "--model", model]) == 0
    lines = capsys.readouterr().out.splitlines()
    segments = bifast.Model.load(model).scan(audio.load(LONG, 16000)).segments()
    assert lines[0].split() == ["file", "time", "word", "probability", "depth"]
    assert len(lines) == 2 + len(segments)
    assert f"{segments[0].start:.2f}-{segments[0].end:.2f}" in lines[2]


def test_run_top_lists_the_likeliest(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", CLIP, "--model", model, "--json", "--top", "3"]) == 0
    (line,) = json_lines(capsys)
    top = line["top"]
    assert isinstance(top, dict)
    assert list(top.values()) == sorted(top.values(), reverse=True)
    assert next(iter(top)) == line["label"]
    assert len(top) == 3


def test_run_folder_skips_junk_and_names_what_fails(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "good.wav").write_bytes(Path(CLIP).read_bytes())
    (tmp_path / "notes.txt").write_text("junk")
    (tmp_path / ".hidden.wav").write_text("junk")
    (tmp_path / "bad.wav").write_bytes(Path(CLIP).read_bytes()[:99])
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "dangling.wav").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe.wav")  # nobody will ever write to it
    assert cli.main(["run", str(tmp_path), "--model", model, "--json"]) == 1
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    assert json.loads(line)["file"].endswith("good.wav")
    for name, reason in (
        ("bad.wav", "the file is cut"),
        ("empty.wav", "expected a sound file|no plain WAV"),
        ("dangling.wav", "No such file"),
    ):
        assert any(
            name in row and any(part in row for part in reason.split("|"))
            for row in captured.err.splitlines()
        ), captured.err
    assert "skipped 3 that are no sound" in captured.err
    assert "3 of 4 inputs failed" in captured.err


def test_run_nan_names_the_file(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.array([0.0, np.nan]), 16000, subtype="FLOAT")
    assert cli.main(["run", str(path), CLIP, "--model", model]) == 1
    captured = capsys.readouterr()
    assert f"{path}: expected finite samples, got nan at sample 1" in captured.err
    assert Path(CLIP).name in captured.out


def test_run_of_a_folder_without_sounds_is_exit_code_2(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", str(tmp_path), "--model", model]) == 2
    assert f"expected sound files, found none in {tmp_path}\n" in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("junk")
    assert cli.main(["run", str(tmp_path), "--model", model]) == 2
    assert "found none in" in (told := capsys.readouterr().err)
    assert f"skipped 1 that are no sound: {tmp_path / 'notes.txt'}" in told


def test_run_stdin_takes_files_and_raw_pcm(model: str) -> None:
    data = Path(CLIP).read_bytes()
    expected = command("run", CLIP, "--model", model, "--json").stdout.replace(
        json.dumps(CLIP).encode(), b'"-"'
    )
    assert command("run", "-", "--model", model, "--json", stdin=data).stdout == expected
    raw = command("run", "-", "--raw-rate", "16000", "--model", model, "--json", stdin=data[44:])
    assert raw.stdout == expected


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--depth", "ful"], "unknown depth 'ful': expected one of full, half"),
        (["--isa", "mmx"], "mmx"),
        (["--raw-rate", "8000"], "expected the input -"),
    ],
)
def test_run_wrong_option_is_exit_code_2(
    model: str, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", CLIP, "--model", model, *argv]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["run"],
        ["nonsense"],
        ["run", CLIP, "--hop", "0"],
        ["run", CLIP, "--hop", "nan"],
        ["run", CLIP, "--top", "-1"],
        ["run", CLIP, "--raw-rate", "1.5"],
    ],
)
def test_usage_errors_are_exit_code_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    assert stop.value.code == 2


def test_missing_model_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", CLIP, "--model", "gone.bifast"]) == 2
    assert "gone.bifast" in capsys.readouterr().err


def test_run_classifies_images_for_a_model_that_takes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="the extra `images` is not installed")
    path, folder = tmp_path / "images.bifast", tmp_path / "images"
    model_factory.layer_model("conv2d", shape=(6, 5, 3), channels=4).save(path)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    folder.mkdir()
    pillow.fromarray(pixels).save(folder / "a.png")
    (folder / "notes.txt").write_text("no image")
    assert cli.main(["run", str(folder), "--model", str(path), "--json"]) == 0
    told = capsys.readouterr()
    model = bifast.Model.load(path)
    expected = model.classify(pixels.astype(np.float32))
    assert json.loads(told.out)["label"] == expected.label
    assert json.loads(told.out)["probability"] == pytest.approx(expected.probability, abs=1e-6)
    assert "skipped 1 that are no image: " in told.err
    pillow.fromarray(pixels[:3]).save(folder / "b.png")
    assert cli.main(["run", CLIP, str(folder / "b.png"), "--model", str(path)]) == 1
    told = capsys.readouterr()
    assert "no image that can be decoded" in told.err
    assert "expected 5 x 6 pixels, got 5 x 3; cut and scale it first" in told.err
    assert cli.main(["run", "-", "--raw-rate", "8000", "--model", str(path)]) == 2
    assert "takes images, no sound" in capsys.readouterr().err
    assert cli.main(["inspect", str(path)]) == 0


def test_reader_that_goes_away_is_no_traceback(model: str) -> None:
    program = (
        "import sys; from bifast import cli; sys.stdin.read(1);"
        f"sys.exit(cli.main(['run', '--json', '--model', {model!r}, {LONG!r}, '--hop', '0.03']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(b"x")
    assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize("argv", [["run", "--json"], ["run"], ["listen", "--json"]])
def test_a_full_disk_under_the_output_is_no_fault_of_the_input(model: str, argv: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    command = [sys.executable, "-m", "bifast", *argv, "--model", model, LONG, "--hop", "0.03"]
    if argv[0] == "listen":
        command += ["--threshold", "0.01", "--smoothing", "0"]
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert result.returncode == 2
    assert result.stderr.decode() == f"bifast {argv[0]}: No space left on device\n"


# ---- the other commands ----


def test_demo_runs_from_the_package_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo"]) == 0
    out = capsys.readouterr().out
    model = bifast.Model.load(bifast.DEFAULT_MODEL)
    assert f"isa {model.isa}" in out
    for path in shipped.sounds():
        assert path.name in out
    for depth in model.depths:
        assert f"\n{depth} " in out


def test_shipped_model_hears_the_demo() -> None:
    model = bifast.Model.load(bifast.DEFAULT_MODEL)
    spoken = {path: path.name.partition("-")[0] for path in shipped.sounds()}
    assert set(spoken.values()) <= set(model.labels)
    right = sum(
        model.classify(audio.load(path, model.sample_rate)).label == word
        for path, word in spoken.items()
    )
    assert right >= 0.75 * len(spoken)


def test_demo_says_what_it_heard_wrong(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--model", model]) == 0
    out = capsys.readouterr().out
    assert out.count("wrong") == len(shipped.sounds())
    assert f"0/{len(shipped.sounds())}" in out


@pytest.mark.parametrize(
    "command",
    [["demo"], ["tune", "--positives", "x"], ["enroll", "word", "a.wav"]],
    ids=lambda c: c[0],
)
def test_a_model_of_images_is_refused_where_sound_is_wanted(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name, *rest = command
    model = ["resnet20"] if name == "tune" else ["--model", "resnet20"]
    assert cli.main([name, *model, *rest]) == 2
    assert "takes no audio: try bifast run IMAGE" in capsys.readouterr().err


def test_info_lists_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    assert cli.main(["info", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["versions"]["bifast"] == bifast.__version__
    assert report["isas"]["available"] == bifast.isas()
    assert [model["name"] for model in report["models"]] == list(bifast.models())
    for isa in bifast.isas():
        assert isa in text


def test_inspect_shows_every_layer(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", model, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    file = model_factory.bifsmn(3)
    assert [layer["name"] for layer in report["layers"]] == [op.name for op in file.ops]
    for layer in report["layers"]:
        if layer["kind"].startswith("binary"):
            assert layer["dtype"] == "bits"
            assert layer["values"] <= 2
        if layer["kind"] == "conv2d":
            assert layer["values"] > 2
    assert report["totals"]["file_bytes"] == Path(model).stat().st_size
    assert cli.main(["inspect", model]) == 0
    text = capsys.readouterr().out
    assert all(op.name in text for op in file.ops)
    assert "1-bit weights" in text
    assert "1-bit layers   26 of 28" in text


@pytest.mark.parametrize("name", bifast.models())
def test_shipped_models_are_truly_one_bit(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", name, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    binary = [layer for layer in report["layers"] if layer["kind"].startswith("binary")]
    assert binary
    assert all(layer["dtype"] == "bits" and layer["values"] <= 2 for layer in binary)
    if (
        len(bifast.Model.load(name).labels) > 1
    ):  # else it is a net without its words, which has no twin
        assert report["totals"]["times_smaller"] >= 15.5


def test_inspect_of_a_broken_file_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.bifast"
    path.write_bytes(b"\x89BIFAST\n")
    assert cli.main(["inspect", str(path)]) == 2
    assert "broken.bifast" in capsys.readouterr().err


def bench_report(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert cli.main(["bench", "--json", "--seconds", "1e-6", *argv]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def test_bench_times_every_depth_on_every_instruction_set_and_every_layer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bifast.cli.bench._peer_version", lambda: "none")
    report = bench_report(capsys)
    depths = bifast.Model.load(bifast.DEFAULT_MODEL).depths
    whats = ["front-end", *(f"{what} {d}" for d in depths for what in ("net", "clip"))]
    nets = [(isa, what) for isa in bifast.isas() for what in whats]
    rows = [(row["isa"], row["what"]) for row in report["rows"]]
    assert rows[: len(nets)] == nets
    assert {isa for isa, _ in rows[len(nets) :]} == {bifast.isas()[0]}
    layers = [what for _, what in rows[len(nets) :]]
    assert any(what.startswith("layer stem.conv1: byte_conv2d 5x5") for what in layers)
    assert all(0 < row["least_us"] <= row["median_us"] for row in report["rows"])
    assert all(row["times"] is None for row in report["rows"])
    assert report["cpu"]
    assert report["onnxruntime"] == "none"


def test_bench_compares_with_onnxruntime_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    rows = bench_report(capsys)["rows"]
    peers = {row["what"]: row["median_us"] for row in rows if row["isa"] == "onnxruntime FP32"}
    assert set(peers) == {f"net {d}" for d in bifast.Model.load(bifast.DEFAULT_MODEL).depths}
    for row in rows:
        if row["what"] in peers and row["isa"] in bifast.isas():
            assert row["times"] == pytest.approx(peers[row["what"]] / row["median_us"], abs=0.01)


@pytest.mark.parametrize("first", ["conv2d", "byte_conv2d"])
def test_bench_takes_any_model_file(
    first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "image.bifast"
    path.write_bytes(image_net(1, first=first).to_bytes())
    report = bench_report(capsys, "--model", str(path))
    assert report["model"] == str(path)
    nets = [row["isa"] for row in report["rows"] if row["what"] == "net full"]
    assert nets[: len(bifast.isas())] == bifast.isas()
    assert any(row["what"].startswith("layer ") for row in report["rows"])


def test_doctor_passes_every_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert all(kernel in out for kernel in _core.kernels())
    assert "FAILED" not in out


def test_doctor_reports_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(isa: str, index: int) -> None:
        if index == 1:
            raise RuntimeError("differs at 7")

    monkeypatch.setattr(_core, "check_kernel", fails)
    assert cli.main(["doctor"]) == 1
    assert "FAILED" in capsys.readouterr().out


@pytest.mark.parametrize("module", cli.COMMANDS, ids=lambda module: module.__name__)
def test_help_teaches_with_an_example(module: object, capsys: pytest.CaptureFixture[str]) -> None:
    name = module.__name__.rpartition(".")[2].replace("evaluate", "eval")  # type: ignore[attr-defined]
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert f"bifast {name}" in out.partition("example")[2]
    assert "exit codes" in out


def test_version_and_module_agree() -> None:
    done = command("--version")
    assert done.returncode == 0
    assert done.stdout.decode().split() == ["bifast", bifast.__version__]


def test_forced_isa_that_is_unknown_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIFAST_ISA", "mmx")
    done = command("info")
    assert done.returncode == 2
    assert b"mmx" in done.stderr


def test_table_aligns() -> None:
    text = format_table(("a", "number"), [("long", "1"), ("b", "20")], "lr")
    assert text == "a     number\n----  ------\nlong       1\nb         20"
