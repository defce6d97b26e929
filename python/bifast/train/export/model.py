"""Write a trained net as a model file."""

from __future__ import annotations

import dataclasses
from typing import Any

from bifast.format import FrontendParams, ModelFile
from bifast.train.build import build_net
from bifast.train.export.builder import Builder
from bifast.train.nets import Net
from bifast.train.recipe import Recipe


def float_bytes(recipe: Recipe, net: Net) -> int:
    """Return the bytes of the net's plain full-precision twin: one depth, one slope a layer."""
    spec = dataclasses.replace(recipe.net, binarizer="full", depths=1, slopes="layer")
    twin = build_net(dataclasses.replace(recipe, net=spec), net.classes)
    return 4 * sum(p.numel() for p in twin.parameters())


def export_model(
    net: Net, labels: tuple[str, ...], frontend: FrontendParams, card: dict[str, Any]
) -> ModelFile:
    """Lower a net to the operations of the engine.

    Parameters
    ----------
    net
        Put in evaluation mode; its real weights and slopes are rounded to float16 in place, so
        that PyTorch and the engine compute with the same numbers.
    labels, frontend, card
        Stored in the file; a net for images has no front-end.

    Returns
    -------
    ModelFile
        Not written yet.

    Raises
    ------
    UnsupportedError
        If the engine can not run the net exactly; names the layer.
    """
    net.eval()
    net.round_tables()
    builder = Builder()
    net.wire(builder)
    return ModelFile(
        frontend if net.takes == "sounds" else None,
        labels,
        net.depths,
        tuple(builder.buffers),
        tuple(builder.tensors),
        tuple(builder.ops),
        card,
    )
