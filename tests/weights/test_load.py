import argparse
import json
import logging
import os
import shutil
import zipfile

import huggingface_hub
import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file

from cromss.fusion import LateFusion, MidFusion, SingleFusion, build
from cromss.weights import Weights, load_weights
from helpers.backbones import backbone_of
from helpers.weights_files import foreign, published, resnet_state, run_checkpoint, same

NETWORKS = {"s1": "model1", "s2": "model2", "common": "model_com"}
ENCODERS = {"s1": "encoder1", "s2": "encoder", "common": "encoder_com"}
SETTINGS = {
    "origin": "cromss",
    "path": None,
    "sha256": None,
    "cache": "nowhere",
    "modality": None,
    "load": "encoder",
    "adapt_bands": False,
}


def below(state, prefix):
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def small(kind="mid", encoder="resnet18", s2_bands=13, classes=9, common=False):
    return build(kind, encoder, 2, s2_bands, classes, common)


def single(modality="s2", bands=13, encoder="resnet18", decoder="unet", **options):
    return SingleFusion(backbone_of(encoder, decoder, **options), modality, {"s1": 2, "s2": bands}, 9)


LITTLE = smp.Unet("resnet18", encoder_weights=None, in_channels=13)
"""For what fails before it changes anything."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Thousands of small operations: threads would wait for each other more than work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def no_leftovers(tmp_path):
    """Weights are large, and pytest keeps the folders of three runs."""
    yield
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def late_resnet50():
    """A network of three branches for each number of bands, filled again and again."""
    return {bands: small("late", "resnet50", bands, common=True) for bands in (13, 9)}


@pytest.mark.parametrize("bands", [13, 9])
@pytest.mark.parametrize("kind", ["mid", "late", "mid_common", "late_common"])
def test_every_tensor_of_a_published_file_arrives(late_resnet50, tmp_path, kind, bands):
    path = tmp_path / "published.ckpt"
    # Full size once for each fusion: the others have the same names and shapes, and one number a tensor.
    state = published(f"{kind}_{bands}B_resnet50", path, whole=kind in ("mid", "late") and bands == 13)
    net = late_resnet50[bands]
    for branch in ("s1", "s2", "common")[: 3 if "common" in kind else 2]:
        late = kind.startswith("late")
        encoder = f"net.{NETWORKS[branch]}.encoder." if late else f"net.{ENCODERS[branch]}."
        rest = f"net.{NETWORKS[branch]}." if late else "net."
        report = load_weights(net, path, "cromss", load="all", modality=branch, bands=bands)
        filled = net.get_submodule(NETWORKS[branch])
        assert same(filled.encoder.state_dict(), below(state, encoder))
        assert same(filled.decoder.state_dict(), below(state, f"{rest}decoder."))
        assert same(filled.segmentation_head.state_dict(), below(state, f"{rest}segmentation_head."))
        layout = "late fusion" if late else "middle fusion"
        assert str(report) == f"all {branch}: 380 of 380 tensors from {path} (cromss, {layout}, {encoder})"
        assert (report.missing, report.unexpected, report.source_modality) == ((), (), branch)


def test_what_a_published_file_does_not_have_is_said(late_resnet50, tmp_path):
    path = tmp_path / "published.ckpt"
    published("mid_13B_resnet50", path)
    with pytest.raises(
        ValueError, match=r"middle fusion\) holds encoders of s1, s2 only, not of common: give files by branch"
    ):
        load_weights(late_resnet50[13], path, "cromss", modality="common")
    with pytest.raises(ValueError, match="13-band weights, 9-band input: set dataset.bands=13, or .*adapt_bands=true"):
        load_weights(late_resnet50[9], path, "cromss")
    with pytest.raises(ValueError, match="resnet50, the network has a resnet18: set backbone.encoder=resnet50"):
        load_weights(small(), path, "cromss")
    published("mid_9B_resnet50", path)
    net = single(bands=9, encoder="resnet50")
    with pytest.raises(
        ValueError, match="weights see B2 B3 B4 .*, the network sees B4 B3 B2 .*: set dataset.bands=9, or"
    ):
        load_weights(net, path, "cromss", bands="9_rgb_first")
    report = load_weights(net, path, "cromss", bands="9_rgb_first", adapt_bands=True)
    assert report.bands.factor == 1
    assert (report.bands.new, report.bands.left_out) == ((), ())


@pytest.mark.parametrize("origin", ["moco", "dino", "decur", "satlas", "imagenet"])
@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_an_encoder_of_every_origin(tmp_path, origin, encoder):
    path = tmp_path / "foreign.pth.tar"
    state = foreign(origin, path)
    net = single(encoder=encoder)
    report = load_weights(net, path, origin, bands=13)
    prefix = "model." if encoder.startswith("tu-") else ""
    assert same(net.encoder.state_dict(), {prefix + name: value for name, value in state.items()})
    assert f"encoder s2: 120 of 120 tensors from {path} ({origin}, " in str(report)
    assert report.unexpected == ()
    assert all(name.startswith(f"encoder.{prefix}") for name in report.loaded)
    json.dumps(report.summary())


def test_candidates_are_tried_in_order(tmp_path):
    path = tmp_path / "weights.pth"
    keys, plain = resnet_state(13, "module.encoder_k."), resnet_state(13, "module.encoder_q.")
    torch.save({"state_dict": keys}, path)
    assert load_weights(single(), path, "moco").prefix == "module.encoder_k."
    torch.save({"state_dict": keys | plain}, path)
    assert load_weights(single(), path, "moco").prefix == "module.encoder_q."
    torch.save({"student": resnet_state(13, "module.backbone.")}, path)
    assert "backbone, module.backbone." in str(load_weights(single(), path, "dino"))


def test_decur_has_an_encoder_a_modality(tmp_path):
    foreign("decur", tmp_path / "decur.pth")
    net = small()
    assert load_weights(net, tmp_path / "decur.pth", "decur", modality="s1").prefix == "module.backbone_1."
    assert load_weights(net, tmp_path / "decur.pth", "decur", modality="s2").prefix == "module.backbone_2."


def test_the_format_before_torch_1_6_and_missing_counters(tmp_path):
    path = tmp_path / "old.pth.tar"
    state = {name: value for name, value in resnet_state(13).items() if not name.endswith("num_batches_tracked")}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    net = single()
    report = load_weights(net, path, "imagenet")
    assert len(report.missing) == 20
    assert all(name.endswith("num_batches_tracked") for name in report.missing)
    assert "encoder s2: 100 of 120" in str(report)


def test_a_plain_network_of_segmentation_models(tmp_path):
    state = foreign("moco", tmp_path / "moco.pth")
    net = smp.Unet("resnet18", encoder_weights=None, in_channels=13, classes=4)
    load_weights(net, tmp_path / "moco.pth", "moco")
    assert same(net.encoder.state_dict(), state)


def test_none_does_nothing():
    net = single()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert str(load_weights(net, None, "none")) == "s2: random weights"
    assert same(net.state_dict(), before)


# This project's own checkpoints.


@pytest.fixture(scope="module")
def late_run(tmp_path_factory):
    """A network of late fusion and the checkpoint of its run."""
    net, path = small("late"), tmp_path_factory.mktemp("run") / "late.ckpt"
    run_checkpoint(net, path, dataset={"bands": 13})
    return net, path


@pytest.mark.parametrize("modality", ["s1", "s2", "common"])
@pytest.mark.parametrize(("encoder", "target"), [("resnet18", "tu-resnet18"), ("tu-resnet18", "resnet18")])
def test_a_run_on_one_branch_says_what_it_saw(tmp_path, modality, encoder, target):
    trained, net = single(modality, encoder=encoder), single(modality, encoder=target)
    run_checkpoint(trained, tmp_path / "a.ckpt", fusion={"modality": modality}, dataset={"bands": 13})
    report = load_weights(net, tmp_path / "a.ckpt", "cromss", modality=modality, bands=13)
    image = {"s1": torch.rand(1, 2, 64, 64), "s2": torch.rand(1, 13, 64, 64)}
    image = torch.cat([image["s1"], image["s2"]], dim=1) if modality == "common" else image[modality]
    with torch.no_grad():
        features = [network.eval().encoder(image)[-1] for network in (trained, net)]
    assert torch.allclose(*features, atol=1e-5)
    assert report.layout == "one branch"
    other = "s1" if modality == "s2" else "s2"
    with pytest.raises(
        ValueError, match=f"holds encoders of {modality} only, not of {other}: .*weights_modality={modality}"
    ):
        load_weights(small(), tmp_path / "a.ckpt", "cromss", modality=other)


def test_one_branch_without_a_config_is_known_by_its_channels(tmp_path):
    torch.save({"state_dict": resnet_state(2, "net.encoder.", classifier=False)}, tmp_path / "a.ckpt")
    assert load_weights(small(), tmp_path / "a.ckpt", "cromss", modality="s1").source_modality == "s1"
    with pytest.raises(ValueError, match="holds encoders of s1 only"):
        load_weights(small(), tmp_path / "a.ckpt", "cromss", modality="s2")


def test_the_other_modality_s_encoder_where_it_is_asked_for(late_run):
    (trained, path), net = late_run, small("late")
    report = load_weights(net, path, "cromss", modality="s1", source_modality="s2", bands=13, adapt_bands=True)
    assert (report.modality, report.source_modality) == ("s1", "s2")
    assert "encoder s1 from s2: 120 of 120" in str(report)
    # 13 bands' mean kernel for VV and VH, whose sum answers as the 13 did.
    kernels, original = net.model1.encoder.conv1.weight, trained.model2.encoder.conv1.weight
    assert torch.allclose(kernels.sum(dim=1), original.sum(dim=1), atol=1e-5)
    assert torch.equal(net.model1.encoder.layer4[1].conv2.weight, trained.model2.encoder.layer4[1].conv2.weight)


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_blocks_of_the_decoder_are_loaded_one_by_one(late_run, blocks):
    (trained, path), net = late_run, small("mid")
    before = {name: value.clone() for name, value in net.decoder.state_dict().items()}
    report = load_weights(net, path, "cromss", load=f"encoder+{blocks}")
    for i in range(5):
        found = below(net.decoder.state_dict(), f"blocks.{i}.")
        expected = trained.model2.decoder.state_dict() if i < blocks else before
        assert same(found, below(expected, f"blocks.{i}."))
    assert len(report.loaded) == 120 + 12 * blocks
    assert report.unexpected == ()


def test_encoder_and_decoder_without_the_head_and_with_it(late_run):
    (trained, path), net = late_run, small("late")
    head = net.model2.segmentation_head[0].weight.clone()
    load_weights(net, path, "cromss", load="encoder+decoder")
    assert same(net.model2.decoder.state_dict(), trained.model2.decoder.state_dict())
    assert torch.equal(net.model2.segmentation_head[0].weight, head)
    load_weights(net, path, "cromss", load="all")
    assert same(net.model2.state_dict(), trained.model2.state_dict())


def test_a_head_for_other_classes_is_refused_and_nothing_is_changed(late_run):
    _, path = late_run
    net = small("late", classes=8)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ValueError, match=r"head for 9 classes, the network has 8: set backbone.load=encoder\+decoder"):
        load_weights(net, path, "cromss", load="all")
    assert same(net.state_dict(), before)


@pytest.mark.parametrize(
    ("load", "message"),
    [
        ("encoder+6", r"this decoder has 5 blocks \(blocks.0, .*\): set at most encoder\+5"),
        ("encoder+0", "load='encoder.0' is unknown: choose one of encoder, encoder.N"),
        ("everything", "choose one of encoder"),
    ],
)
def test_other_amounts_are_refused(late_run, load, message):
    with pytest.raises(ValueError, match=message):
        load_weights(LITTLE, late_run[1], "cromss", load=load)


def test_only_cromss_has_decoders(tmp_path):
    foreign("moco", tmp_path / "moco.pth")
    with pytest.raises(ValueError, match="weights of moco are encoders without a decoder: set backbone.load=encoder"):
        load_weights(LITTLE, tmp_path / "moco.pth", "moco", load="encoder+decoder")


def test_another_decoder_is_refused_with_the_one_that_it_is(tmp_path):
    run_checkpoint(small(), tmp_path / "a.ckpt", backbone={"decoder": "unet"})
    with pytest.raises(ValueError, match="decoder of the network.*\n.*\n(.*\n)*.*set backbone.decoder=unet as they"):
        load_weights(single(decoder="fpn"), tmp_path / "a.ckpt", "cromss", load="encoder+decoder")


# What does not fit, and why.


def test_stages_that_the_network_does_not_have_are_unexpected(tmp_path):
    foreign("moco", tmp_path / "moco.pth")
    report = load_weights(
        single(encoder="tu-resnet18", encoder_depth=3, decoder_channels=[64, 32, 16]), tmp_path / "moco.pth", "moco"
    )
    assert len(report.loaded) == 60
    assert {name.split(".")[2] for name in report.unexpected} == {"layer3", "layer4"}
    assert "60 of the file are not used" in str(report)


def test_stages_that_the_file_does_not_have_are_an_error(tmp_path):
    trained = single(encoder="tu-resnet18", encoder_depth=3, decoder_channels=[64, 32, 16])
    run_checkpoint(trained, tmp_path / "a.ckpt", fusion={"modality": "s2"})
    with pytest.raises(
        ValueError, match="end with stage 3 .* stage 5: set backbone.encoder=tu-resnet18 .*encoder_depth=3"
    ):
        load_weights(LITTLE, tmp_path / "a.ckpt", "cromss")


@pytest.mark.parametrize(
    ("name", "encoder", "cure"),
    [
        ("resnet50", "resnet18", "backbone.encoder=resnet50"),
        ("resnet18", "resnet34", "backbone.encoder=resnet18"),
        ("resnet18", "tu-resnet50", "backbone.encoder=resnet18"),
    ],
)
def test_another_resnet_is_named(tmp_path, name, encoder, cure):
    foreign("moco", tmp_path / "moco.pth", name=name)
    with pytest.raises(ValueError, match=cure) as error:
        load_weights(single(encoder=encoder), tmp_path / "moco.pth", "moco")
    assert 3 <= str(error.value).count("    ") <= 5
    assert ": file " in str(error.value)


def test_another_architecture_is_named_by_the_file_s_config(tmp_path):
    config = {"fusion": {"modality": "s2"}, "backbone": {"encoder": "mobilenet_v2"}}
    run_checkpoint(single(encoder="mobilenet_v2"), tmp_path / "a.ckpt", **config)
    with pytest.raises(
        ValueError, match="another architecture than the network's.*: set backbone.encoder=mobilenet_v2"
    ):
        load_weights(LITTLE, tmp_path / "a.ckpt", "cromss")


@pytest.mark.parametrize("origin", ["moco", "dino", "decur", "satlas", "imagenet"])
def test_a_wrong_origin_is_named(tmp_path, origin):
    foreign(origin, tmp_path / "foreign.pth")
    with pytest.raises(
        ValueError, match=f"holds no weights of cromss; its keys look like .* {origin}: set backbone.weights={origin}"
    ):
        load_weights(LITTLE, tmp_path / "foreign.pth", "cromss")


def test_a_file_of_unknown_origin_shows_its_keys(tmp_path):
    torch.save({"state_dict": {"some.weight": torch.rand(2)}}, tmp_path / "a.pth")
    with pytest.raises(
        ValueError, match="holds no weights of moco, nor of cromss.*keys are some.weight, .*module.encoder_q"
    ):
        load_weights(LITTLE, tmp_path / "a.pth", "moco")


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    state = resnet_state(13)
    state["layer3.0.conv1.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"not finite in layer3.0.conv1.weight"):
        load_weights(LITTLE, tmp_path / "a.pth", "imagenet")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_converted(tmp_path, dtype):
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in resnet_state(13).items()}
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "a.safetensors")
    net = single()
    load_weights(net, tmp_path / "a.safetensors", "imagenet")
    assert torch.equal(net.encoder.conv1.weight, state["conv1.weight"].float())
    assert {value.dtype for value in net.parameters()} == {torch.float32}


def test_integers_in_the_place_of_weights_are_refused(tmp_path):
    state = resnet_state(13)
    state["conv1.weight"] = (state["conv1.weight"] * 100).to(torch.int8)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"holds conv1.weight as torch.int8, .* take a copy in floating point"):
        load_weights(LITTLE, tmp_path / "a.pth", "imagenet")


def test_the_projection_of_moco_and_the_head_of_dino_are_left_out(tmp_path):
    state = resnet_state(13, "module.encoder_q.") | {"module.encoder_q.fc.0.weight": torch.rand(4, 512)}
    torch.save({"state_dict": state}, tmp_path / "moco.pth")
    assert load_weights(single(), tmp_path / "moco.pth", "moco").unexpected == ()
    state = resnet_state(13, "module.backbone.") | {"module.head.mlp.0.weight": torch.rand(4, 512)}
    torch.save({"teacher": state}, tmp_path / "dino.pth")
    assert load_weights(single(), tmp_path / "dino.pth", "dino").unexpected == ()


def test_a_branch_that_the_network_does_not_have():
    with pytest.raises(ValueError, match="modality='s1' is unknown: choose one of s2"):
        load_weights(single("s2"), "nowhere.ckpt", "cromss", modality="s1")


# Reading.


class Payload:
    def __reduce__(self):
        return os.mkdir, ("payload-ran",)


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_file_that_would_run_code_is_refused(tmp_path, monkeypatch, as_zip):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "x": Payload()}, "evil.pth", _use_new_zipfile_serialization=as_zip)
    with pytest.raises(
        ValueError, match=r"evil.pth cannot be read as weights \(loading it would run code: it calls posix.mkdir"
    ):
        load_weights(LITTLE, "evil.pth", "moco")
    assert not (tmp_path / "payload-ran").exists()


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, as_zip, share):
    path = tmp_path / "cut.pth"
    torch.save({"state_dict": {"a": torch.rand(1000)}}, path, _use_new_zipfile_serialization=as_zip)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"cut.pth cannot be read as weights \(.+\): take another copy"):
        load_weights(LITTLE, path, "moco")


def test_a_flipped_byte_is_found(tmp_path):
    path = tmp_path / "flipped.pth"
    torch.save({"state_dict": {"a": torch.full((1000,), 3.25)}}, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((4,), 3.25).numpy().tobytes()) + 1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="does not match its checksum"):
        load_weights(LITTLE, path, "moco")


def test_flipped_bytes_of_the_old_format_end_in_a_value_error_or_in_weights(tmp_path):
    """Without checksums a weight may change unnoticed; nothing else may come of it than weights or a ValueError."""
    path = tmp_path / "old.pth"
    torch.save({"state_dict": {"a": torch.rand(8)}}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    refused = 0
    for position in range(0, len(whole), 3):
        content = bytearray(whole)
        content[position] ^= 0xFF
        path.write_bytes(content)
        with pytest.raises(ValueError) as error:  # noqa: PT011
            load_weights(LITTLE, path, "moco")
        refused += "cannot be read as weights" in str(error.value)
    assert refused > 50


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 and so on", b"\x80\x02.", b"12345678{..."])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "other.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"other.pth cannot be read as weights \(.+\)"):
        load_weights(LITTLE, tmp_path / "other.pth", "moco")


def test_a_torchscript_program_is_refused(tmp_path):
    torch.save({}, tmp_path / "program.pt")
    # What tells it from a file of weights; making one has become a warning.
    with zipfile.ZipFile(tmp_path / "program.pt", "a") as archive:
        archive.writestr("program/constants.pkl", b"")
    with pytest.raises(ValueError, match="it is a TorchScript program: save a state_dict instead"):
        load_weights(LITTLE, tmp_path / "program.pt", "moco")


def test_what_is_no_file_or_no_state_dict_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no file: give the path"):
        load_weights(LITTLE, tmp_path, "moco")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds a list, not weights by name"):
        load_weights(LITTLE, tmp_path / "list.pth", "moco")


def test_safetensors_are_known_by_their_content(tmp_path):
    save_file({name: value.contiguous() for name, value in resnet_state(13).items()}, tmp_path / "weights.bin")
    assert len(load_weights(single(), tmp_path / "weights.bin", "imagenet").loaded) == 120
    (tmp_path / "weights.bin").write_bytes((tmp_path / "weights.bin").read_bytes()[:-1000])
    with pytest.raises(ValueError, match="weights.bin cannot be read as weights"):
        load_weights(LITTLE, tmp_path / "weights.bin", "imagenet")


def test_a_checksum_is_checked_for_a_local_file_too(tmp_path):
    foreign("moco", tmp_path / "moco.pth")
    report = load_weights(single(), tmp_path / "moco.pth", "moco")
    load_weights(single(), tmp_path / "moco.pth", "moco", sha256=report.sha256.upper())
    with pytest.raises(ValueError, match=f"has the sha256 {report.sha256} and not backbone.weights_sha256=000"):
        load_weights(LITTLE, tmp_path / "moco.pth", "moco", sha256="0" * 64)


# ImageNet.


def test_imagenet_without_a_file_asks_the_library(monkeypatch):
    asked = []
    make = smp.encoders.get_encoder

    def get_encoder(name, in_channels, depth, weights):
        asked.append((name, in_channels, weights))
        return make(name, in_channels=in_channels, depth=depth, weights=None)

    monkeypatch.setattr(smp.encoders, "get_encoder", get_encoder)
    for encoder in ("resnet18", "tu-resnet18"):
        report = load_weights(single(bands=3, encoder=encoder), None, "imagenet", bands=3)
        assert f"120 of 120 tensors from ImageNet weights of {encoder}" in str(report)
    report = load_weights(single("s1"), None, "imagenet", modality="s1", adapt_bands=True)
    assert report.bands.new == ("VV", "VH")
    assert asked == [("resnet18", 3, "imagenet"), ("tu-resnet18", 3, True), ("resnet18", 3, "imagenet")]
    with pytest.raises(ValueError, match="3-band weights, 13-band input: set dataset.bands=3, or"):
        load_weights(single(), None, "imagenet", bands=13)


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_imagenet_without_a_network_says_what_to_do(monkeypatch, tmp_path, encoder):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=f"weights of {encoder} cannot be fetched .* backbone.weights_path=FILE"):
        load_weights(single(bands=3, encoder=encoder), None, "imagenet", bands=3)


def test_encoders_without_imagenet_weights_say_so():
    with pytest.raises(ValueError, match="weights of dpn92 cannot be fetched .*choose another encoder"):
        load_weights(single(bands=3, encoder="dpn92"), None, "imagenet", bands=3)


# The settings.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"origin": "moko"}, "backbone.weights='moko' is unknown: did you mean moco"),
        ({"origin": "x"}, "choose one of none, cromss, moco, dino, decur, satlas, imagenet"),
        ({"path": None}, "backbone.weights=cromss needs a file: set backbone.weights_path=FILE"),
        ({"origin": "none"}, "weights_path=a.ckpt with backbone.weights=none.*set backbone.weights"),
        ({"load": "encoder+"}, "load='encoder.' is unknown"),
        ({"origin": "moco", "load": "all"}, "moco are encoders without a decoder"),
        ({"modality": "s3"}, "weights_modality='s3' is unknown: choose one of s1, s2, common"),
        ({"origin": "imagenet", "path": None, "sha256": "0" * 64}, "weights_sha256 is the checksum of a file, and"),
        ({"path": {"s1": "a.ckpt"}, "sha256": "0" * 64}, "name them alike"),
    ],
)
def test_settings_are_checked_at_once(changes, message):
    with pytest.raises(ValueError, match=message):
        Weights(**(SETTINGS | {"path": "a.ckpt"} | changes))


def test_a_file_named_like_a_number_is_a_file(tmp_path, monkeypatch):
    foreign("moco", tmp_path / "2020")
    monkeypatch.chdir(tmp_path)
    (report,) = Weights(**(SETTINGS | {"origin": "moco", "path": 2020}))(single(), bands=13)
    assert len(report.loaded) == 120


def test_random_weights_report_nothing():
    assert Weights(**(SETTINGS | {"origin": "none"}))(small(), bands=13) == []


@pytest.mark.parametrize(("kind", "count"), [("mid", (120, 182)), ("late", (182, 182))])
def test_every_branch_is_filled_and_a_shared_decoder_once(late_run, kind, count):
    (trained, path), net = late_run, small(kind)
    weights = Weights(**(SETTINGS | {"path": str(path), "load": "all"}))
    reports = weights(net, bands=13)
    assert [report.modality for report in reports] == ["s1", "s2"]
    assert tuple(len(report.loaded) for report in reports) == count
    decoder = net.decoder if kind == "mid" else net.model2.decoder
    assert same(decoder.state_dict(), trained.model2.decoder.state_dict())
    encoder = net.encoder1 if kind == "mid" else net.model1.encoder
    assert same(encoder.state_dict(), trained.model1.encoder.state_dict())


def test_branches_take_files_of_their_own(tmp_path, caplog):
    for modality, bands in (("s1", 2), ("s2", 13)):
        torch.save({"state_dict": resnet_state(bands, "module.encoder_q.")}, tmp_path / f"{modality}.pth")
    paths = {modality: str(tmp_path / f"{modality}.pth") for modality in ("s1", "s2")}
    net = MidFusion(backbone_of("resnet18", "unet"), {"s1": 2, "s2": 13}, 9, common=True)
    caplog.set_level(logging.INFO)
    reports = Weights(**(SETTINGS | {"origin": "moco", "path": paths}))(net, bands=13)
    assert [report.path for report in reports] == list(paths.values())
    assert "common starts from random weights" in caplog.text
    for path in (paths, {"s3": "a.ckpt"}):
        with pytest.raises(ValueError, match="names s[13], and the network has s2"):
            Weights(**(SETTINGS | {"origin": "moco", "path": path}))(single("s2"), bands=13)
    one = Weights(**(SETTINGS | {"origin": "moco", "path": paths["s2"]}))
    with pytest.raises(
        ValueError, match="13-band weights, 2-band input: .* set a separate file for this branch, .*{s1: FILE"
    ):
        one(net, bands=13)


def test_a_file_for_two_branches_is_read_once(late_run, monkeypatch):
    from cromss.weights import load as module

    opened = []
    monkeypatch.setattr(
        module, "open_weights", lambda *a, open_weights=module.open_weights: opened.append(a) or open_weights(*a)
    )
    net = LateFusion(backbone_of("resnet18", "unet"), {"s1": 2, "s2": 13}, 9, common=False)
    Weights(**(SETTINGS | {"path": str(late_run[1])}))(net, bands=13)
    assert len(opened) == 1


def test_a_namespace_is_read_as_plain_data(tmp_path):
    content = {"state_dict": resnet_state(13, "module.encoder_q."), "args": argparse.Namespace(lr=1)}
    torch.save(content, tmp_path / "a.pth")
    assert len(load_weights(single(), tmp_path / "a.pth", "moco").loaded) == 120
