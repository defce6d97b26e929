"""A net of PyTorch as an ONNX graph, compared with PyTorch in onnxruntime (extra `onnx`)."""

from __future__ import annotations

import inspect
import io
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bifast.atomic import write_atomic
from bifast.errors import UnsupportedError
from bifast.onnx_graph import OPSET, to_onnx
from bifast.train.export.builder import Builder
from bifast.train.export.parity import TOLERANCE, ParityError, random_features
from bifast.train.nets import Net
from bifast.train.nets.layer import Layer


def export_onnx(net: Net, path: Path, *, depth: int = 0, batch: int | None = None) -> str:
    """Write a net at one depth as an ONNX file.

    A net that says how its layers are wired becomes the graph of its operations: with bits as in the
    engine, or with real weights, batch norms folded. Any other net is traced by PyTorch.

    Parameters
    ----------
    net
        Put in evaluation mode; its real weights and slopes are rounded as for the engine if it has
        binary layers.
    path
        The file, written atomically.
    depth
        Index of the depth.
    batch
        Clips a call; None for any number.

    Returns
    -------
    str
        How the graph was made, in a few words.

    Raises
    ------
    ParityError
        If onnxruntime does not compute what PyTorch does, on random features.
    """
    net.eval()
    binary = any(m.binarizer.binary for m in net.modules() if isinstance(m, Layer))
    if binary:
        net.round_tables()
    builder = Builder(real=not binary)
    try:
        net.wire(builder)
        graph = to_onnx(builder, depth, batch=batch)
        how = "from its operations" + (", bits as in the engine" if binary else "")
    except UnsupportedError as error:
        graph = _traced(net, depth, batch)
        how = f"traced by PyTorch ({error})"
    _check(net, graph, depth, binary=binary)
    write_atomic(path, lambda beside: beside.write_bytes(graph))
    return how


class _AtDepth(nn.Module):
    """A net with its depth fixed, so that tracing sees a number and not an input."""

    def __init__(self, net: Net, depth: int) -> None:
        super().__init__()
        self.net, self.depth = net, depth

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x, self.depth)
        return out


def _traced(net: Net, depth: int, batch: int | None) -> bytes:
    """Trace a net with PyTorch's exporter that needs no further package."""
    # Older versions know no other exporter, and no such keyword.
    known = inspect.signature(torch.onnx.export).parameters
    older = {"dynamo": False} if "dynamo" in known else {}
    graph = io.BytesIO()
    clips = torch.from_numpy(random_features(net, count=batch or 2))
    with warnings.catch_warnings(), torch.no_grad():
        # About sizes, which depend on the net alone, and about the age of this exporter.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _AtDepth(net, depth).eval(),  # the exporter puts back the mode that it finds
            (clips,),
            graph,
            input_names=["features"],
            output_names=["logits"],
            dynamic_axes={"features": {0: "batch"}, "logits": {0: "batch"}} if not batch else None,
            opset_version=OPSET,
            **older,
        )
    return graph.getvalue()


def _check(net: Net, graph: bytes, depth: int, *, binary: bool) -> None:
    clips = random_features(net)
    with torch.no_grad():
        expected = net(torch.from_numpy(clips), depth).numpy()
    got = run_onnx(graph, clips)
    scale = max(1.0, float(np.abs(expected).max()))
    apart = int((np.abs(expected - got).max(1) > TOLERANCE * scale).sum())
    # A float sum before a sign may fall on either side of zero in another order.
    if apart > (len(clips) // 16 if binary else 0):
        raise ParityError(f"ONNX graph: scores of {apart} of {len(clips)} clips are not PyTorch's")


def run_onnx(graph: bytes, clips: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a graph in onnxruntime, one thread: features [N, T, M] -> logits [N, K]."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape[0]
    step = size if isinstance(size, int) else len(clips)
    parts = [
        session.run(None, {"features": clips[i : i + step]})[0] for i in range(0, len(clips), step)
    ]
    return np.concatenate(parts)
