"""A net of each binarizer: it learns, it exports, and the engine gives its logits."""

from __future__ import annotations

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from binarized import BITS, NAMES
from test_train_export import LABELS, features, random_net
from torch import Tensor

import bifast
from bifast.errors import UnsupportedError
from bifast.format import FRONTEND_PAPER
from bifast.train.batches import Batch
from bifast.train.binarizers import BINARIZERS, Binarizer
from bifast.train.export.model import export_model
from bifast.train.export.parity import TOLERANCE, check_parity
from bifast.train.nets import NETS, KeywordNet, NetSpec
from bifast.train.objective import batch_loss
from bifast.train.optimizer import make_optimizer
from bifast.train.recipe import Optim, Recipe

torch.set_num_threads(1)


def test_net_passes_progress_on() -> None:
    net = NETS["bifsmn"](NetSpec(binarizer="irnet"), 32, 32, 3)
    net.set_progress(0.5)
    assert net.blocks[7].project.binarizer.t.item() == pytest.approx(1)
    assert net.penalty() is None
    # Schedules are functions of the epoch: no part of a checkpoint.
    assert not [name for name in net.state_dict() if name.endswith(".t")]


def moved(name: str) -> KeywordNet:
    """A small net whose binarizers' own parameters are not as at first."""
    net = random_net(NetSpec(binarizer=name, blocks=2, depths=2))
    torch.manual_seed(1)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, Binarizer):
                for parameter in module.parameters():
                    parameter.add_(0.3 * torch.rand_like(parameter))
    return net


@pytest.mark.parametrize("name", BITS)
def test_engine_equals_pytorch(name: str) -> None:
    net = moved(name)
    file = export_model(net, LABELS, FRONTEND_PAPER, {"name": name})
    parity = check_parity(net, bifast.Model.load(file.to_bytes()), features(16).numpy())
    assert parity.moved == 0
    assert parity.close < TOLERANCE


@pytest.mark.parametrize("name", [n for n in NAMES if BINARIZERS[n].unsupported])
def test_export_refuses_what_is_no_bits_and_names_layer_and_reason(name: str) -> None:
    net = moved(name)
    assert net(features(2)).isfinite().all()
    reason = re.escape(net.blocks[0].expand.binarizer.unsupported)
    with pytest.raises(UnsupportedError, match=rf"layer \S+: {reason}"):
        export_model(net, LABELS, FRONTEND_PAPER, {})


@pytest.mark.parametrize(
    ("levels", "scale", "message"),
    [(1.5, 1.0, r"a weight -?1\.5, not \+1 or -1"), (1.0, -1.0, "no positive scale")],
)
def test_binarizer_that_breaks_its_promise_is_refused_by_layer(
    levels: float, scale: float, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = moved("bnn")

    def wrong(self: Binarizer, w: Tensor) -> tuple[Tensor, Tensor]:
        return w.sign() * levels, w.new_full(w.shape[:1], scale)

    monkeypatch.setattr(type(net.blocks[0].expand.binarizer), "weight", wrong)
    with pytest.raises(
        UnsupportedError, match=rf"layer stem\.conv2: its binarizer gives {message}"
    ):
        export_model(net, LABELS, FRONTEND_PAPER, {})


@pytest.mark.parametrize("name", NAMES)
def test_net_learns_a_batch(name: str) -> None:
    """Twenty steps over the whole schedule on clips that differ in level: the loss falls."""
    torch.manual_seed(0)
    recipe = Recipe("x", net=NetSpec(binarizer=name, blocks=1, depths=1))
    net = NETS["bifsmn"](recipe.net, 32, 32, 4).train()
    optimizer = make_optimizer(net, Optim(lr=6e-3))
    labels = torch.arange(16) % 4
    batch = Batch(features(16) + 20 * labels[:, None, None], labels, None, np.arange(16))
    losses = []
    for step in range(20):
        net.set_progress(step / 20)
        loss, _ = batch_loss(net, batch, recipe.optim, recipe.distill)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        net.project()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert np.mean(losses[-4:]) < 0.8 * losses[0]
