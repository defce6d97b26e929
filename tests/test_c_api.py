"""The C side as a user meets it: installed, found by pkg-config, used from C99 and by bifast-run."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import wave
from pathlib import Path

import conftest
import model_factory
import numpy as np
import pytest

import bifast

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("cmake", "cc", "pkg-config")
MISSING = [name for name in NEEDED if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")


def run(*command: str | Path, **environment: str) -> str:
    """Run a program, return what it prints, fail with what it says."""
    result = subprocess.run(
        list(map(str, command)),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The core, built in build/native (where `make test` built it before) and installed."""
    build, prefix = ROOT / "build" / "native", tmp_path_factory.mktemp("installed")
    run("cmake", "-S", ROOT, "-B", build)
    run("cmake", "--build", build, "--parallel", str(os.cpu_count()))
    run("cmake", "--install", build, "--prefix", prefix)
    return prefix


@pytest.fixture(scope="module")
def model_path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "bifsmn.bifast"
    path.write_bytes(model_factory.bifsmn(0).to_bytes())
    return path


def build_example(prefix: Path, program: Path, *options: str) -> None:
    """Compile the example of the program's name as strict C99 with what pkg-config says."""
    config = next(prefix.rglob("bifast.pc")).parent
    flags = run(
        "pkg-config", "--cflags", "--libs", *options, "bifast", PKG_CONFIG_PATH=str(config)
    ).split()
    strict = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")
    run("cc", *strict, ROOT / "examples" / f"{program.name}.c", *flags, "-o", program)


def check_logits(printed: str, model_path: Path, sound: Path) -> None:
    """Compare the lines `label logit` with what Python gets."""
    model = bifast.Model.load(model_path)
    lines = [line.split() for line in printed.splitlines()]
    samples = conftest.read_wav(sound)[: model.window]
    assert [line[0] for line in lines[:-1]] == list(model.labels)
    got = np.array([line[1] for line in lines[:-1]], np.float32)
    wanted = model.run(samples)
    assert np.array_equal(got, wanted)
    assert lines[-1] == ["heard:", model.labels[int(wanted.argmax())]]


def test_c99_example_with_static_library_gives_pythons_logits(installed, model_path, tmp_path):
    static = (
        tmp_path / "static"
    )  # the same tree without the shared library, so the linker has no choice
    shutil.copytree(installed, static, symlinks=True)
    for library in static.rglob("libbifast.so*"):
        library.unlink()
    build_example(static, tmp_path / "run_wav", "--static")
    sound = conftest.SOUNDS[0]
    check_logits(run(tmp_path / "run_wav", model_path, sound), model_path, sound)


def test_c99_example_with_shared_library_gives_pythons_logits(installed, model_path, tmp_path):
    build_example(installed, tmp_path / "run_wav")
    library = next(installed.rglob("libbifast.so")).parent
    sound = conftest.SOUNDS[0]
    printed = run(tmp_path / "run_wav", model_path, sound, LD_LIBRARY_PATH=str(library))
    check_logits(printed, model_path, sound)


def test_c99_stream_example_gives_pythons_scan(installed, model_path, tmp_path):
    build_example(installed, tmp_path / "stream_pcm")
    samples = np.random.default_rng(3).integers(-3000, 3000, 16000 * 3 + 777).astype("<i2")
    result = subprocess.run(
        [tmp_path / "stream_pcm", model_path],
        input=samples.tobytes(),
        env={**os.environ, "LD_LIBRARY_PATH": str(next(installed.rglob("libbifast.so")).parent)},
        capture_output=True,
        check=True,
    )
    model = bifast.Model.load(model_path)
    scan = model.scan(samples, hop=8 * model.hop / model.sample_rate)
    lines = [line.split() for line in result.stdout.decode().splitlines()]
    assert [line[0] for line in lines] == [f"{time:.3f}" for time in scan.times]
    assert [line[1] for line in lines] == [found.label for found in scan.results()]
    got = np.array([line[2] for line in lines], np.float32)
    np.testing.assert_array_equal(got, scan.logits.max(axis=1))


def test_shared_library_exports_the_c_interface_alone(installed):
    if shutil.which("nm") is None:
        pytest.skip("needs nm")
    library = next(installed.rglob("libbifast.so"))
    lines = run("nm", "--dynamic", "--defined-only", library).splitlines()
    names = {line.split()[-1] for line in lines}
    assert "bifast_run" in names
    ours = {
        name for name in names if "bifast" in name
    }  # the C++ library adds weak names of its own
    assert {name for name in ours if not name.startswith("bifast_")} == set()


def test_bifast_run_hears_what_python_hears(installed, model_path):
    sound = conftest.SOUNDS[0]
    printed = run(installed / "bin" / "bifast-run", model_path, sound).split("\t")
    model = bifast.Model.load(model_path)
    result = model.classify(conftest.read_wav(sound)[: model.window])
    assert printed[0] == str(sound)
    assert printed[2] == result.label


def test_bifast_run_names_a_missing_file_and_fails(installed, model_path):
    program = installed / "bin" / "bifast-run"
    result = subprocess.run(
        [program, model_path, "absent.wav"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "absent.wav" in result.stderr


def test_bifast_run_scans_as_python_does(installed, model_path, tmp_path):
    samples = np.random.default_rng(3).integers(-3000, 3000, 16000 * 3 + 777).astype("<i2")
    sound = tmp_path / "long.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 16000, samples.size, "NONE", ""))
        file.writeframes(samples.tobytes())
    printed = run(installed / "bin" / "bifast-run", model_path, sound).splitlines()
    scan = bifast.Model.load(model_path).scan(samples)
    wanted = [
        f"{time:.2f} {result.label}"
        for time, result in zip(scan.times, scan.results(), strict=True)
    ]
    assert [" ".join(line.split("\t")[1:3]) for line in printed] == wanted


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_bifast_run_reads_a_streamed_file_to_its_end(installed, model_path, tmp_path, size):
    data = bytearray(conftest.SOUNDS[0].read_bytes())
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = struct.pack("<I", size)
    sound = tmp_path / "streamed.wav"
    sound.write_bytes(data)
    program = installed / "bin" / "bifast-run"
    printed = [
        run(program, model_path, file).split("\t")[1:] for file in (sound, conftest.SOUNDS[0])
    ]
    assert printed[0] == printed[1]


def test_bifast_run_refuses_a_cut_file(installed, model_path, tmp_path):
    cut = tmp_path / "cut.wav"
    cut.write_bytes(conftest.SOUNDS[0].read_bytes()[:-500])
    program = installed / "bin" / "bifast-run"
    result = subprocess.run([program, model_path, cut], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "cut.wav: expected" in result.stderr
