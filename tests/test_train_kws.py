"""The net `kws`: the engine gives PyTorch's very bits at every depth, and thin depths leave out blocks."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from test_train_export import LABELS, both_scores, features, random_net

from bifast.format import FRONTEND_PAPER, ModelFile
from bifast.train.export.model import export_model, float_bytes
from bifast.train.nets import NETS, KeywordNet, NetSpec
from bifast.train.recipe import Recipe

torch.set_num_threads(1)
SPECS = {
    "four blocks": NetSpec("kws", "bifsmn", depths=3, blocks=4),
    "two blocks": NetSpec("kws", "bifsmn", depths=2, blocks=2),
    "one block": NetSpec("kws", "bifsmn", depths=1, blocks=1, slopes="layer"),
    "thresholds": NetSpec("kws", "reactnet", depths=2, blocks=2),
    "two planes": NetSpec("kws", "bifsmnv2", depths=2, blocks=2),
}


@pytest.fixture(scope="module", params=SPECS.values(), ids=SPECS.keys())
def exported(request: pytest.FixtureRequest) -> tuple[KeywordNet, ModelFile]:
    net = random_net(request.param)
    return net, export_model(net, LABELS, FRONTEND_PAPER, {})


def test_engine_gives_the_bits_of_pytorch(exported: tuple[KeywordNet, ModelFile], isa: str) -> None:
    for got, expected in both_scores(*exported, isa):
        assert np.array_equal(got.view(np.uint32), expected.view(np.uint32))


def test_thin_depths_leave_out_blocks_of_both_stages() -> None:
    net = random_net(SPECS["four blocks"])
    _, blocks = net.backbone(net.features(features(2)), 1)
    assert list(blocks) == [1, 3, 5, 7]
    _, blocks = net.backbone(net.features(features(2)), 2)
    assert list(blocks) == [3, 7]


def test_every_convolution_but_three_is_binary(exported: tuple[KeywordNet, ModelFile]) -> None:
    net, file = exported
    real = {op.name for op in file.ops if op.code == "conv2d"}
    assert real == {"stem", "shortcut", "classifier"}
    assert len(file.to_bytes()) < float_bytes(Recipe("kws", net=net.spec), net) / 12


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        (NetSpec("kws", dropout=0.1), (32, 32), "net.dropout"),
        (NetSpec("kws", stem_binarizer="bifsmnv2"), (32, 32), "net.stem_binarizer"),
        (NetSpec("kws"), (32, 36), "multiples of 8, got 32 and 36"),
    ],
    ids=["dropout", "stem", "bands"],
)
def test_what_the_net_has_not_is_refused(
    spec: NetSpec, shape: tuple[int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        NETS["kws"](spec, *shape, len(LABELS))
