"""Log-mel of one clip against the same in NumPy, PyTorch and librosa."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import peers
import pytest

from bifast import _core

# librosa and NumPy take float32 sums in another order.
TOLERANCE_DB = 1e-3
PEERS = {"Numpy": "NumPy", "Torch": "PyTorch", "Librosa": "librosa"}
# (FFT and window, hop, bands): other settings that a recipe may choose.
PRESETS = [(1024, 512, 32), (512, 512, 32), (1024, 253, 32), (512, 253, 32), (512, 253, 40)]


@pytest.fixture(scope="session")
def expected(model_file, clip):
    """float64 all the way."""
    reference = peers.NumpyLogMel(model_file.frontend)
    return reference(clip.astype(np.float64))


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.benchmark(group="front-end")
def test_bifast(benchmark, model_file, clip, expected, isa):
    frontend = _core.Frontend(**asdict(model_file.frontend), isa=isa)
    assert np.abs(frontend(clip) - expected).max() < TOLERANCE_DB
    benchmark.extra_info.update(who=f"bifast {isa}")
    benchmark(frontend, clip)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.benchmark(group="front-end")
def test_peer(benchmark, model_file, clip, expected, peer):
    pytest.importorskip(peer.lower())
    log_mel = getattr(peers, f"{peer}LogMel")(model_file.frontend)
    assert np.abs(log_mel(clip) - expected).max() < TOLERANCE_DB
    benchmark.extra_info.update(who=PEERS[peer])
    benchmark(log_mel, clip)


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize(("n_fft", "hop", "n_mels"), PRESETS)
def test_preset(benchmark, model_file, clip, n_fft, hop, n_mels, isa):
    params = replace(model_file.frontend, n_fft=n_fft, win_length=n_fft, hop=hop, n_mels=n_mels)
    frontend = _core.Frontend(**asdict(params), isa=isa)
    reference = peers.NumpyLogMel(params)(clip.astype(np.float64))
    assert np.abs(frontend(clip) - reference).max() < TOLERANCE_DB
    benchmark.group = f"front-end, FFT {n_fft}, hop {hop}, {n_mels} bands"
    benchmark.extra_info.update(who=f"bifast {isa}")
    benchmark(frontend, clip)
