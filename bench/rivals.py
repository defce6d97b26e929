"""Every model of the frontier at every depth, each called from Python as its users do, one clip a call.

A `.bifast` file and the run folder of a binary net are run by the engine. The run folder of a float net
is run by onnxruntime and by LiteRT, in FP32 and in int8. Whatever runs the net, the features are the engine's.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from peers import OnnxNet
from quantise import folded_and_int8

import bifast
from bifast import _core
from bifast.format import FrontendParams, ModelFile
from bifast.train.build import load_net
from bifast.train.data import DataFolder
from bifast.train.data.task import TASKS, Task, load_wave
from bifast.train.export.command import export_checkpoint
from bifast.train.export.onnx import export_onnx
from bifast.train.nets import KeywordNet
from bifast.train.nets.layer import Layer
from bifast.train.watch import Watcher

Array = np.ndarray[Any, np.dtype[Any]]
Known = tuple[str, str, str, FrontendParams]  # name, task, training, front-end
CALIBRATION_CLIPS = 512


@dataclass(frozen=True)
class Rival:
    """One model at one depth.

    Attributes
    ----------
    name, depth, by
        What runs, how deep, and what runs it.
    task, training
        Name of the task; recipe, seed and epochs in words.
    frontend
        Its features.
    parameters, file
        Bytes of its weights and tables, and of the file it is loaded from. A `.bifast` file counts as
        parameters with all it holds.
    features, net, clip
        [samples] -> features -> logits, and both in one.
    """

    name: str
    depth: str
    by: str
    task: str
    training: str
    frontend: FrontendParams
    parameters: int
    file: int
    features: Callable[[Array], Array]
    net: Callable[[Array], Array]
    clip: Callable[[Array], Array]

    @property
    def title(self) -> str:
        """Name and depth, and the runner where it is not the engine."""
        depth = "" if self.depth == "full" and self.by != "bifast" else f" {self.depth}"
        return f"{self.name}{depth}" + (
            "" if self.by == "bifast" else f" {self.by.removeprefix('onnxruntime ')}"
        )


def rivals_of(path: str, folder: DataFolder) -> Iterator[Rival]:
    """Yield the model of a file, of a run folder or of a shipped name, at each depth.

    Raises
    ------
    OSError, ValueError
        If it can not be read.
    """
    if not Path(path).is_dir():
        yield from _engine(bifast.Model.load(path))
        return
    net, recipe, state = load_net(Path(path))
    if any(m.binarizer.binary for m in net.modules() if isinstance(m, Layer)):
        file, _ = export_checkpoint(Path(path), name=None, data=None, watcher=Watcher())
        yield from _engine(bifast.Model.load(file.to_bytes()))
        return
    training = f"recipe {recipe.name}, seed {recipe.seed}, {state['epoch']} epochs"
    known = (recipe.name, recipe.data.task, training, recipe.frontend)
    frontend = _core.Frontend(**asdict(recipe.frontend))
    samples = recipe.frontend.window_samples
    features = training_features(TASKS[recipe.data.task], folder, frontend, samples)
    for depth in range(len(net.depths)):
        exact, small = graphs(net, depth, features)
        yield _onnx("onnxruntime FP32", net, depth, exact, known, frontend)
        yield _onnx("onnxruntime int8", net, depth, small, known, frontend)
        if importlib.util.find_spec("ai_edge_quantizer") is not None:
            yield from _litert(net, depth, exact, features, known, frontend)


def _engine(model: bifast.Model) -> Iterator[Rival]:
    data = model.to_bytes()
    frontend = ModelFile.from_bytes(data).frontend
    if frontend is None:
        raise ValueError("a model without a front-end can not be given clips")
    card = model.card

    def at(depth: str) -> Rival:
        return Rival(
            name=str(card.get("name", "?")),
            depth=depth,
            by="bifast",
            task=str(card.get("task", "?")),
            training=f"recipe {card.get('recipe')}, seed {card.get('seed')}, {card.get('epochs')} epochs",
            frontend=frontend,
            parameters=len(data),
            file=len(data),
            features=model.features,
            net=lambda features: model.run_features(features, depth=depth),
            clip=lambda wave: model.run(wave, depth=depth),
        )

    yield from map(at, model.depths)


def _litert(
    net: KeywordNet,
    depth: int,
    graph: bytes,
    features: Array,
    known: Known,
    frontend: _core.Frontend,
) -> Iterator[Rival]:
    from litert_net import LiteRtNet, Writer, in_int8

    model = Writer(graph).write()
    check_classes(net, depth, LiteRtNet(model), features)
    for by, data in (("LiteRT FP32", model), ("LiteRT int8", in_int8(model, features))):
        # LiteRT files hold little but weights: names and shapes are some per cent.
        yield _run_by(by, net, depth, LiteRtNet(data), (len(data), len(data)), known, frontend)


def _onnx(
    by: str, net: KeywordNet, depth: int, graph: bytes, known: Known, frontend: _core.Frontend
) -> Rival:
    sizes = constant_bytes(graph), len(graph)
    return _run_by(by, net, depth, OnnxNet(graph, net.classes), sizes, known, frontend)


def _run_by(
    by: str,
    net: KeywordNet,
    depth: int,
    session: Callable[[Array], Array],
    sizes: tuple[int, int],
    known: Known,
    frontend: _core.Frontend,
) -> Rival:
    name, task, training, params = known
    return Rival(
        name=name,
        depth=net.depths[depth],
        by=by,
        task=task,
        training=training,
        frontend=params,
        parameters=sizes[0],
        file=sizes[1],
        features=frontend,
        net=session,
        clip=lambda wave: session(frontend(wave)),
    )


def constant_bytes(graph: bytes) -> int:
    """Return the bytes of all constants of a graph: weights, biases, tables, scales."""
    constants = onnx.load_from_string(graph).graph.initializer
    return sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in constants)


def training_features(
    task: Task, folder: DataFolder, frontend: _core.Frontend, samples: int
) -> Array:
    """Return features [N, T, M] of training clips, evenly spread over the split."""
    examples = [e for e in task.examples(folder, "training") if e.clip]
    step = max(1, len(examples) // CALIBRATION_CLIPS)
    waves = (load_wave(e, folder, None, samples) for e in examples[::step])
    return np.stack([frontend(wave) for wave in waves if wave is not None])


def graphs(net: KeywordNet, depth: int, features: Array) -> tuple[bytes, bytes]:
    """Return a float net in FP32 and in int8, as ONNX graphs of one clip.

    Parameters
    ----------
    net, depth
        What to translate.
    features
        [N, T, M] of training clips: they give the int8 activations their ranges.

    Raises
    ------
    ValueError
        If onnxruntime names another class than PyTorch for any of the clips.
    """
    with tempfile.TemporaryDirectory() as beside:
        plain = Path(beside) / "plain.onnx"
        export_onnx(net, plain, depth=depth, batch=1)
        exact, small = folded_and_int8(plain.read_bytes(), features)
    check_classes(net, depth, OnnxNet(exact, net.classes), features)
    return exact, small


def check_classes(
    net: KeywordNet, depth: int, session: Callable[[Array], Array], features: Array
) -> None:
    """Raise ValueError if another runtime and PyTorch differ in the class of a clip."""
    guesses = np.array([np.argmax(session(clip)) for clip in features])
    with torch.no_grad():
        expected = net(torch.from_numpy(features), depth).argmax(1).numpy()
    if apart := int((guesses != expected).sum()):
        raise ValueError(f"another runtime and PyTorch differ on {apart} of {len(features)} clips")
