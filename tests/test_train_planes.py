"""BiFSMNv2's two planes and the plain FSMN: counts, gradients, and the engine against PyTorch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from test_engine import assert_equals_oracle
from test_train_export import LABELS, features, random_net

import bifast
from bifast.errors import UnsupportedError
from bifast.format import FRONTEND_PAPER, ModelFile
from bifast.train.binarizers import BINARIZERS, Binarizer
from bifast.train.binarizers.bifsmnv2 import MIN_ALPHA, MOMENTUM, BiFsmnV2, learned_sign
from bifast.train.export.model import export_model
from bifast.train.export.parity import TOLERANCE, ParityError, check_parity
from bifast.train.export.tables import Affine, threshold_table
from bifast.train.nets import NETS, KeywordNet, NetSpec
from bifast.train.nets.layer import Layer
from bifast.train.optimizer import make_optimizer
from bifast.train.recipe import Optim, load_recipe
from bifast.train.sanity import check_recipe

torch.set_num_threads(1)

SPECS = {
    "v2": NetSpec(binarizer="bifsmnv2"),
    "v2-4-blocks": NetSpec(binarizer="bifsmnv2", blocks=4, depths=3, slopes="layer"),
    "stem": NetSpec(stem_binarizer="bifsmnv2", blocks=4, depths=3),
    "fsmn": NetSpec(name="fsmn", depths=1),
    "fsmn-v2": NetSpec(name="fsmn", depths=1, binarizer="bifsmnv2", slopes="layer"),
}


def build(spec: NetSpec, classes: int = 12) -> KeywordNet:
    torch.manual_seed(0)
    return NETS[spec.name](spec, 32, 32, classes)


def layers(net: KeywordNet) -> list[Layer]:
    return [layer for _, layer, _, _ in net.layer_table()]


@pytest.fixture(scope="module", params=SPECS.values(), ids=SPECS)
def exported(request: pytest.FixtureRequest) -> tuple[KeywordNet, ModelFile]:
    net = random_net(request.param)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, BiFsmnV2):
                module.threshold.normal_(0, 0.3, generator=generator)
                module.alpha.uniform_(0.5, 2, generator=generator)
    return net, export_model(net, LABELS, FRONTEND_PAPER, {"name": "random"})


# ---- the engine ----------------------------------------------------------------------------------------


def test_engine_equals_pytorch_at_every_depth(
    exported: tuple[KeywordNet, ModelFile], isa: str
) -> None:
    net, file = exported
    parity = check_parity(net, bifast.Model.load(file.to_bytes(), isa=isa), features(16).numpy())
    assert parity.moved == 0
    assert parity.close < TOLERANCE


def test_engine_equals_oracle_on_an_export(
    exported: tuple[KeywordNet, ModelFile], isa: str
) -> None:
    _, file = exported
    assert_equals_oracle(file, isa, features(1)[0, ..., None].numpy())


def test_engine_layers_equal_pytorch_bit_for_bit(exported: tuple[KeywordNet, ModelFile]) -> None:
    net, file = exported
    model = bifast.Model.load(file.to_bytes())
    # A clip without a value so close to a threshold that the order of the first sum decides.
    x = features(1)
    for depth, name in enumerate(net.depths):
        _, trace = model.trace(x[0].numpy()[..., None], depth=name)
        seen = {out.name: out.values[:, 0] for out in trace if not out.is_bits}
        with torch.no_grad():
            _, outputs = net.backbone(net.features(x), depth)
        exact = [b for b in outputs if net.layer_table()[0][0] != f"layer{b}.direct"]
        assert len(exact) >= 1
        for block in exact:
            got = seen.get(f"block{block}.project", seen.get(f"layer{block}.mix"))
            np.testing.assert_array_equal(got, outputs[block][0].numpy())


def test_parity_finds_a_fault_in_the_second_plane(exported: tuple[KeywordNet, ModelFile]) -> None:
    net, file = exported
    if not any(op.plane_scale for op in file.ops):
        pytest.skip("one plane")
    ops = [dataclasses.replace(op, plane_scale=1.5 * op.plane_scale) for op in file.ops]
    faulty = dataclasses.replace(file, ops=ops)
    with pytest.raises(ParityError, match="no bit of the first"):
        check_parity(net, bifast.Model.load(faulty.to_bytes()), features(4).numpy())


def test_file_has_two_planes_wherever_a_binary_layer_reads() -> None:
    file = export_model(random_net(SPECS["v2"]), LABELS, FRONTEND_PAPER, {})
    binary = [op for op in file.ops if op.code.startswith("binary")]
    assert {file.buffers[op.input].type for op in binary} == {"bits2"}
    assert all(op.plane_scale > 0 and op.flip is None for op in binary)


def test_signs_follow_the_memory_that_reads_them_at_a_depth(
    exported: tuple[KeywordNet, ModelFile],
) -> None:
    net, file = exported
    if len(net.depths) < 3 or net.blocks[0].memory.binarizer.n_planes == 1:
        pytest.skip("one depth, or signs that all change at zero")
    # At depth 0 the block after the first memory is read by the next one, at depth 1 by another.
    signs = {op.depth_mask: op.threshold for op in file.ops if op.name == "fc1"}
    assert len(set(signs.values())) == len(net.depths)
    for mask, tensor in signs.items():
        depth = mask.bit_length() - 1
        reader = net.blocks[net.kept(depth)[0]].memory.binarizer
        assert tensor is not None
        np.testing.assert_array_equal(
            file.tensors[tensor].array.astype(np.float32), reader.thresholds().numpy()
        )


def test_fused_threshold_agrees_with_a_sign_that_is_cut_elsewhere() -> None:
    rng = np.random.default_rng(0)
    scale, shift = rng.normal(size=(2, 64)).astype(np.float32)
    slope = rng.uniform(0.02, 2, 64).astype(np.float32)
    cut = rng.normal(0, 3, 64).astype(np.float32)
    affine = Affine(scale.tobytes(), shift.tobytes(), slope.tobytes(), cut.tobytes())
    thresholds, flips = threshold_table(affine, 9, "layer")
    for total in range(-9, 10):
        y = np.float32(total) * scale + shift
        expected = np.where(y >= 0, y, y * slope) >= cut
        assert np.array_equal((total >= thresholds) ^ flips.astype(bool), expected)


@pytest.mark.parametrize("name", ["fsmn", "bifsmn"])
def test_full_precision_twins_train_and_are_refused_by_name(name: str) -> None:
    net = build(NetSpec(name=name, binarizer="full", depths=1))
    assert net(features(4)).isfinite().all()
    with pytest.raises(UnsupportedError, match="layer "):
        export_model(net, LABELS, FRONTEND_PAPER, {})


# ---- the nets ------------------------------------------------------------------------------------------


def test_parameters_that_the_binarizer_adds() -> None:
    """Two thresholds for each channel that a binary layer reads, three estimators a layer."""
    plain, v2 = build(NetSpec()), build(SPECS["v2"])
    added = sum(p.numel() for p in v2.parameters()) - sum(p.numel() for p in plain.parameters())
    assert added == 2 * (16 + 32 + 8 * (128 + 128 + 256)) + 3 * 26
    # The paper's code: three thresholds, and 256 channels where the frames enter the blocks.
    assert 3 * (16 + 256 + 8 * 512) + 3 * 26 == 13_182


def test_two_planes_have_the_papers_multiply_adds_in_each() -> None:
    table = build(SPECS["v2"]).layer_table()
    for depth, macs in enumerate([5_431_296, 3_313_664, 2_254_848, 1_725_440]):
        assert sum(la.macs(at) for _, la, at, on in table if depth in on) == macs


def test_four_blocks_thin_as_the_second_papers_net() -> None:
    net = build(SPECS["v2-4-blocks"])
    assert [net.kept(d) for d in range(3)] == [(0, 1, 2, 3), (1, 3), (3,)]


def test_fsmn_has_the_papers_weights() -> None:
    """445,460 parameters at 12 classes: weights, 128 biases a layer, 12, and a slope a layer."""
    found = layers(build(NetSpec(name="fsmn", depths=1, slopes="layer")))
    weights = sum(layer.weight.numel() for layer in found)
    assert weights == 445_460 - 8 * 128 - 12 - 8
    assert len(found) == 25
    assert [layer.binarizer.binary for layer in found].count(False) == 2
    assert not found[0].binarizer.binary
    assert not found[-1].binarizer.binary


@pytest.mark.parametrize(("key", "value"), [("depths", 2), ("dropout", 0.5), ("blocks", 1)])
def test_fsmn_refuses_what_it_does_not_have(key: str, value: float) -> None:
    spec = dataclasses.replace(NetSpec(name="fsmn", depths=1), **{key: value})
    with pytest.raises(ValueError, match=f"net.{key}"):
        build(spec)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_binary_weights_take_two_values_per_output_channel(spec: NetSpec) -> None:
    for layer in layers(build(spec)):
        levels, scale = layer.binarizer.weight(layer.weight.detach())
        if layer.binarizer.binary:
            effective = levels.flatten(1) * scale[:, None]
            assert max(row.unique().numel() for row in effective) <= 2
            assert (scale > 0).all()


@pytest.mark.parametrize("recipe", ["sc11-v2", "sc11-fsmn", "sc11-fsmn-full"])
def test_recipes_build_their_nets(recipe: str) -> None:
    loaded = load_recipe(recipe, [])
    check_recipe(loaded)
    assert build(loaded.net, 11)(features(2)).shape == (2, 11)


# ---- the binarizer -------------------------------------------------------------------------------------


def test_learned_sign_has_the_gradients_of_a_clamp() -> None:
    x = torch.tensor([-2.0, -0.4, -0.0, 0.3, 0.9], requires_grad=True)
    alpha = torch.tensor(2.0, requires_grad=True)
    y = learned_sign(x, alpha)
    (y * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).sum().backward()
    assert y.tolist() == [-1, -1, 1, 1, 1]
    twin, twin_alpha = x.detach().clone().requires_grad_(), torch.tensor(2.0, requires_grad=True)
    soft = (twin_alpha * twin).clamp(-1, 1)
    (soft * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).sum().backward()
    torch.testing.assert_close(x.grad, twin.grad)
    torch.testing.assert_close(alpha.grad, twin_alpha.grad)


def test_planes_are_signs_at_the_thresholds_and_the_value_is_their_sum() -> None:
    binarizer = BiFsmnV2(2, 3).eval()
    with torch.no_grad():
        binarizer.threshold.copy_(torch.tensor([[0.5, -0.5], [0.25, -0.25]]))
        binarizer.residual_mean.fill_(0.75)
    x = torch.tensor([[0.5, -0.5], [0.4, -0.6], [1.75, 0.2], [-0.75, -1.25]])
    first, second = binarizer.signs(x)
    assert first.tolist() == [[1, 1], [-1, -1], [1, 1], [-1, -1]]
    assert second.tolist() == [[-1, -1], [1, 1], [1, -1], [1, 1]]
    torch.testing.assert_close(binarizer.activation(x), first + 0.75 * second)
    both = torch.cat([x, x], 1)  # two positions side by side
    assert torch.equal(binarizer.signs(both)[1], torch.cat([second, second], 1))


def test_worth_of_the_second_plane_follows_the_batches_and_stays_in_evaluation() -> None:
    binarizer = BiFsmnV2(4, 4)
    x = torch.randn(50, 4)
    rest = (x - binarizer.threshold[0]).detach()
    rest = (
        rest - torch.where(rest >= 0, 1.0, -1.0) + binarizer.threshold[0] - binarizer.threshold[1]
    )
    binarizer.activation(x)
    expected = 0.5 + MOMENTUM * (rest.abs().mean().item() - 0.5)
    assert binarizer.plane_scale().item() == pytest.approx(expected, rel=1e-5)
    before = binarizer.plane_scale().item()
    binarizer.eval().activation(x)
    assert binarizer.plane_scale().item() == before > 0


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_steps_over_all_depths_move_what_the_depths_share(spec: NetSpec) -> None:
    net = build(spec).train()
    optimizer = make_optimizer(net, Optim())
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    labels = torch.arange(8) % 12
    for _ in range(2):
        stream = net.features(features(8))
        losses = [
            torch.nn.functional.cross_entropy(net.backbone(stream, d)[0], labels)
            for d in range(len(net.depths))
        ]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
        net.project()
    assert all(p.isfinite().all() for p in net.parameters())
    # Batch norm and slopes of a block are private to a depth that may not run it.
    shared = {
        n: p for n, p in net.named_parameters() if ".project.norm." not in n and ".act." not in n
    }
    assert any(".binarizer." in n for n in shared) == (
        "bifsmnv2" in (spec.binarizer, spec.stem_binarizer)
    )
    assert not [n for n, p in shared.items() if torch.equal(before[n], p)]


def test_training_and_evaluation_multiply_the_same_values() -> None:
    layer = build(SPECS["v2"]).blocks[0].expand.eval()
    x = torch.randn(6, 8, 128)
    first, second = layer.binarizer.signs(x)
    levels, _ = layer.binarizer.weight(layer.weight)
    apart = (
        layer.product(first, levels) + layer.product(second, levels) * layer.binarizer.plane_scale()
    )
    torch.testing.assert_close(apart, layer.product(layer.binarizer.activation(x), levels))


def test_binarizers_parameters_learn_slowly_without_decay_and_stay_in_range() -> None:
    net = build(SPECS["v2"])
    optimizer = make_optimizer(net, Optim(lr=1e-2, weight_decay=0.1))
    own = {id(p) for m in net.modules() if isinstance(m, Binarizer) for p in m.parameters()}
    (group,) = [g for g in optimizer.param_groups if id(g["params"][0]) in own]
    assert {id(p) for p in group["params"]} == own
    assert (group["base"], group["weight_decay"]) == (pytest.approx(1e-3), 0.0)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, BiFsmnV2):
                module.alpha.fill_(-1.0)
    net.project()
    alphas = [m.alpha.min().item() for m in net.modules() if isinstance(m, BiFsmnV2)]
    assert len(alphas) == 26
    assert min(alphas) == MIN_ALPHA


@pytest.mark.parametrize(
    "name", [n for n in BINARIZERS if BINARIZERS[n].binary and not BINARIZERS[n].unsupported]
)
def test_every_binarizer_says_its_planes_and_thresholds(name: str) -> None:
    binarizer = BINARIZERS[name](6, 5).eval()
    x = torch.randn(40, 6)
    thresholds = binarizer.thresholds()
    if thresholds is None:
        thresholds = torch.zeros(binarizer.n_planes, 6)
    planes = binarizer.signs(x)
    assert thresholds.shape == (binarizer.n_planes, 6)
    assert len(planes) == binarizer.n_planes
    assert torch.equal(planes[0] > 0, x >= thresholds[0])
    if binarizer.n_planes == 2:
        assert torch.equal(planes[1] > 0, x - planes[0] >= thresholds[1])
        assert binarizer.plane_scale().item() > 0
