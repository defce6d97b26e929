"""What bifast is measured against, each in its fastest usual form: buffers and tables made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

from bifast.format import FrontendParams

Array = np.ndarray[Any, np.dtype[np.float32]]


def mel_bands(params: FrontendParams) -> Array:
    """Triangular HTK mel bands, [n_fft / 2 + 1, n_mels]."""

    def mel(hertz: float) -> float:
        return float(2595 * np.log10(1 + hertz / 700))

    edges = np.linspace(mel(params.f_min), mel(params.f_max), params.n_mels + 2)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    bins = np.linspace(0, params.sample_rate / 2, params.n_fft // 2 + 1)[:, None]
    rising = (bins - hertz[:-2]) / np.diff(hertz)[:-1]
    falling = (hertz[2:] - bins) / np.diff(hertz)[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def window(params: FrontendParams) -> Array:
    """Periodic Hann window, [win_length]."""
    turn = 2 * np.pi * np.arange(params.win_length) / params.win_length
    return (0.5 - 0.5 * np.cos(turn)).astype(np.float32)


class NumpyLogMel:
    """The textbook: strided frames, one real FFT, a matrix product, a logarithm."""

    def __init__(self, params: FrontendParams) -> None:
        assert params.center
        assert params.win_length == params.n_fft
        self.params = params
        self.window = window(params)
        self.bands = mel_bands(params) / np.float32(params.power_divisor)

    def __call__(self, samples: Array) -> Array:
        """[samples] -> [frames, n_mels], dB."""
        params = self.params
        padded = np.pad(samples, params.n_fft // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, params.n_fft)[:: params.hop]
        spectrum = np.fft.rfft(frames * self.window)
        power = spectrum.real**2 + spectrum.imag**2
        return 10 * np.log10(np.maximum(power @ self.bands, np.float32(params.floor)))


class TorchLogMel:
    """The same in PyTorch, one thread."""

    def __init__(self, params: FrontendParams) -> None:
        import torch

        torch.set_num_threads(1)
        self.torch = torch
        self.params = params
        self.window = torch.from_numpy(window(params))
        self.bands = torch.from_numpy(mel_bands(params) / np.float32(params.power_divisor))

    def __call__(self, samples: Array) -> Array:
        """[samples] -> [frames, n_mels], dB."""
        torch, params = self.torch, self.params
        with torch.inference_mode():
            spectrum = torch.stft(
                torch.from_numpy(samples), params.n_fft, params.hop, window=self.window,
                center=True, pad_mode="reflect", return_complex=True,
            )  # fmt: skip
            power = spectrum.real**2 + spectrum.imag**2
            floored = torch.clamp(power.T @ self.bands, min=params.floor)
            result: Array = (10 * torch.log10(floored)).numpy()
            return result


class LibrosaLogMel:
    """The same in librosa."""

    def __init__(self, params: FrontendParams) -> None:
        import librosa

        self.librosa = librosa
        self.params = params

    def __call__(self, samples: Array) -> Array:
        """[samples] -> [frames, n_mels], dB."""
        params = self.params
        power = self.librosa.feature.melspectrogram(
            y=samples, sr=params.sample_rate, n_fft=params.n_fft, hop_length=params.hop,
            n_mels=params.n_mels, fmin=params.f_min, fmax=params.f_max, htk=True, norm=None,
            pad_mode="reflect",
        )  # fmt: skip
        decibels: Array = self.librosa.power_to_db(
            power / np.float32(params.power_divisor), amin=params.floor, top_db=None
        ).T
        return decibels


class OnnxNet:
    """An ONNX graph in onnxruntime: one thread, all optimisations, buffers bound once."""

    def __init__(self, graph: bytes, n_classes: int, *, optimise: bool = True) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = (
            levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
        )
        self.session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
        self.input = np.zeros(self.session.get_inputs()[0].shape, np.float32)
        self.logits = np.zeros((1, n_classes), np.float32)
        self.binding = self.session.io_binding()
        for bind, name, array in (
            (self.binding.bind_input, "features", self.input),
            (self.binding.bind_output, "logits", self.logits),
        ):
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def __call__(self, features: Array) -> Array:
        """[time, mel] or [time, mel, channels] -> [classes]; the result is overwritten next time."""
        self.input[0] = features.reshape(self.input.shape[1:])
        self.session.run_with_iobinding(self.binding)
        return self.logits[0]


def onnx_call(graph: bytes, image: Array) -> Callable[[], Any]:
    """Return a call of a graph from `image` to `logits`: one thread, buffers bound once."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input("image", image)
    binding.bind_output("logits", "cpu")
    return lambda: session.run_with_iobinding(binding)
