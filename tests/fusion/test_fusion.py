import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from cromss.fusion import LateFusion, MidFusion, SingleFusion, build
from helpers.backbones import backbone_of
from helpers.golden import GOLDEN, golden_arrays

CONF = Path(__file__).resolve().parents[2] / "conf"
FORMS = [("mid", False), ("late", False), ("mid", True), ("late", True)]


def images_of(bands, side=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {modality: torch.rand(2, number, side, side, generator=generator) for modality, number in bands.items()}


def fill(net):
    """The weights of the reference arrays, see their README."""
    state = net.state_dict()
    for i, key in enumerate(sorted(state)):
        if key.endswith("num_batches_tracked"):
            continue
        shape = state[key].shape
        a = np.sin(0.37 * np.arange(state[key].numel()) + i).reshape(shape)
        if key.endswith("running_var"):
            a = 1 + 0.2 * a
        elif key.endswith("weight") and len(shape) == 4:
            a = a * np.sqrt(2 / np.prod(shape[1:]))
        elif key.endswith("weight"):
            a = 1 + 0.1 * a
        else:
            a = 0.05 * a
        state[key] = torch.from_numpy(a).float()
    net.load_state_dict(state)
    return net.eval()


@pytest.mark.parametrize("s2_bands", [13, 9])
@pytest.mark.parametrize(("kind", "common"), FORMS)
def test_keys_and_shapes_are_those_of_the_published_checkpoints(kind, common, s2_bands):
    name = f"{kind}_common" if common else kind
    published = json.loads((GOLDEN / "checkpoint_keys.json").read_text())[f"{name}_{s2_bands}B_resnet50"]
    with torch.device("meta"):
        net = build(kind, "resnet50", 2, s2_bands, 9, common)
    assert (net.backbone.encoder, net.backbone.decoder) == ("resnet50", "unet")
    ours = {f"net.{key}": list(value.shape) for key, value in net.state_dict().items()}
    assert ours == published


@pytest.mark.parametrize(("kind", "common"), FORMS)
def test_logits_agree_with_the_reference(kind, common):
    x1 = np.abs(np.sin(0.11 * np.arange(2 * 2 * 64 * 64))).reshape(2, 2, 64, 64)
    x2 = np.abs(np.sin(0.07 * np.arange(2 * 13 * 64 * 64))).reshape(2, 13, 64, 64)
    net = fill(build(kind, "resnet18", 2, 13, 9, common))
    with torch.no_grad():
        logits = net({"s1": torch.from_numpy(x1).float(), "s2": torch.from_numpy(x2).float()})
    assert tuple(logits) == net.branches == (("s1", "s2", "common") if common else ("s1", "s2"))
    golden = golden_arrays("fusion")
    for i, branch in enumerate(logits):
        expected = golden[f"{kind}{'_common' if common else ''}_logits_{i}"]
        np.testing.assert_allclose(logits[branch][:, :, ::4, ::4], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("kind", "common"), FORMS)
def test_a_branch_sees_its_own_modality_alone(kind, common):
    net = build(kind, "resnet18", 2, 3, 4, common).eval()
    images = images_of({"s1": 2, "s2": 3})
    with torch.no_grad():
        before = net(images)
        after = net({**images, "s2": images["s2"] + 1})
    assert torch.equal(before["s1"], after["s1"])
    assert not torch.allclose(before["s2"], after["s2"])
    if common:
        assert not torch.allclose(before["common"], after["common"])


def test_mid_shares_its_decoder_and_late_shares_nothing():
    images = images_of({"s1": 2, "s2": 3})
    for kind, shared in (("mid", True), ("late", False)):
        net = build(kind, "resnet18", 2, 3, 4)
        net(images)["s1"].sum().backward()
        touched = {name.rsplit(".", 1)[0] for name, value in net.named_parameters() if value.grad is not None}
        decoder = "decoder" if shared else "model2.decoder"
        encoder = "encoder." if shared else "model2.encoder."
        assert any(name.startswith(decoder) for name in touched) is shared
        assert not any(name.startswith(encoder) for name in touched)


@pytest.mark.parametrize(("modality", "number"), [("s1", 2), ("s2", 9)])
def test_single_is_a_plain_network(modality, number):
    backbone = backbone_of("resnet18", "unet")
    net = SingleFusion(backbone, modality, {"s1": 2, "s2": 9}, 4).eval()
    plain = backbone.network(number, 4).eval()
    plain.load_state_dict(net.state_dict())
    images = images_of({"s1": 2, "s2": 9})
    with torch.no_grad():
        logits = net(images)
        assert list(logits) == [modality]
        assert torch.equal(logits[modality], plain(images[modality]))


def test_unet_takes_any_size_and_others_say_which():
    unet = build("mid", "resnet18", 2, 3, 4).eval()
    with torch.no_grad():
        assert unet(images_of({"s1": 2, "s2": 3}, side=50))["s2"].shape == (2, 4, 50, 50)
    backbone = backbone_of("resnet18", "fpn")
    for kind in (MidFusion, LateFusion):
        net = kind(backbone, {"s1": 2, "s2": 3}, 4, False).eval()
        with pytest.raises(ValueError, match=r"50 x 50 px .* multiples of 32: .*dataset.crop=32"):
            net(images_of({"s1": 2, "s2": 3}, side=50))


def test_wrong_input_is_named_with_its_cure():
    net = build("late", "resnet18", 2, 3, 4)
    good = images_of({"s1": 2, "s2": 3})
    with pytest.raises(ValueError, match="s1 is missing in the batch"):
        net({"s2": good["s2"]})
    with pytest.raises(ValueError, match="built for 3 bands of s2, the images have 9"):
        net({"s1": good["s1"], "s2": images_of({"s2": 9})["s2"]})
    with pytest.raises(ValueError, match="one size"):
        net({"s1": good["s1"], "s2": images_of({"s2": 3}, side=32)["s2"]})
    with pytest.raises(ValueError, match="s1 is missing; choose fusion=single"):
        build("mid", "resnet18", 0, 3, 4)
    with pytest.raises(ValueError, match="'early' is unknown: choose one of single, mid, late"):
        build("early", "resnet18", 2, 3, 4)
    with pytest.raises(ValueError, match="sees one modality"):
        build("single", "resnet18", 2, 3, 4)
    assert build("single", "resnet18", 0, 3, 4).branches == ("s2",)


def composed(fusion):
    """The YAML of a fusion on resnet18, put together as Hydra would."""

    def load(group, name):
        node = OmegaConf.load(CONF / group / f"{name}.yaml")
        parents = [load(group, parent) for parent in node.pop("defaults", []) if parent != "_self_"]
        return OmegaConf.merge(*parents, node)

    dataset = {"band_counts": {"s1": 2, "s2": 10}, "num_classes": 5, "modality": "s2"}
    return OmegaConf.create(
        {"dataset": dataset, "backbone": load("backbone", "resnet18"), "fusion": load("fusion", fusion)}
    )


@pytest.mark.parametrize(
    ("fusion", "branches"), [("single", ("s2",)), ("early", ("common",)), ("mid", ("s1", "s2")), ("late", ("s1", "s2"))]
)
def test_the_yaml_builds_a_network(fusion, branches):
    net = instantiate(composed(fusion).fusion)
    logits = net(images_of({"s1": 2, "s2": 10}))
    assert net.branches == tuple(logits) == branches
    assert all(branch.shape == (2, 5, 64, 64) for branch in logits.values())
    parts = {branch: net.get_submodule(names.encoder) for branch, names in net.parts.items()}
    bands = {branch: next(encoder.parameters()).shape[1] for branch, encoder in parts.items()}
    assert bands == {branch: {"s1": 2, "s2": 10, "common": 12}[branch] for branch in branches}


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_the_yaml_names_its_encoder(name):
    node = OmegaConf.load(CONF / "backbone" / f"{name}.yaml")
    assert node.encoder == name
