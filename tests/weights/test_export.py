import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from cromss.backbone import load_weights
from cromss.cli.command import checked_settings
from cromss.cli.export import run
from cromss.fusion import MidFusion, SingleFusion, build
from cromss.weights.export import export
from helpers.backbones import backbone_of
from helpers.entrypoint import ROOT
from helpers.hostile import JSON_TEXTS, json_bytes, mutations
from helpers.weights_files import foreign, published, run_checkpoint, same

TINY = {"encoder_depth": 3, "decoder_channels": [64, 32, 16]}
PYTHON = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "weights.md").read_text(), re.DOTALL)
OPTIONS = {"origin": "cromss", "sha256": None, "overwrite": False}


def metadata(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def encoder_state(module):
    """By the names of torchvision, whoever holds it."""
    state = {name.removeprefix("model."): value for name, value in module.state_dict().items()}
    return {name: value for name, value in state.items() if not name.startswith("fc")}


@pytest.fixture(autouse=True)
def no_leftovers(tmp_path):
    """Weights are large, and pytest keeps the folders of three runs."""
    yield
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A network of the default backbone and its exported S2 encoder."""
    folder = tmp_path_factory.mktemp("tiny")
    net = MidFusion(backbone_of("tu-resnet18", "unet", **TINY), {"s1": 2, "s2": 13}, 9, common=False)
    dataset = {"bands": 13, "normalisation": "standardise"}
    # Memory in another order, as training leaves it.
    net.to(memory_format=torch.channels_last)
    run_checkpoint(net, folder / "run.ckpt", dataset=dataset, backbone={"encoder": "tu-resnet18"})
    return net, folder / "run.ckpt"


def test_the_page_has_four_programs():
    # And an empty one after the import.
    assert [len(program.split("\n\n", 1)[1].splitlines()) for program in PYTHON] == [2, 2, 2, 2]


def test_the_page_s_lines_load_a_published_encoder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    published("late_13B_resnet50", "published.ckpt")
    export("published.ckpt", tmp_path / "resnet50.safetensors", "s2", **OPTIONS)
    expected = build("late", "resnet50", 2, 13, 9)
    load_weights(expected, "published.ckpt", "cromss")
    for program, name in zip(PYTHON[:2], ("network", "encoder"), strict=True):
        scope = {"smp": smp, "timm": timm}
        exec(program, scope)
        loaded = scope["network"].encoder if name == "network" else scope["encoder"]
        assert same(encoder_state(loaded), expected.model2.encoder.state_dict())
    found = metadata("resnet50.safetensors")
    assert (found["encoder"], found["modality"], found["bands"], found["normalisation"]) == (
        "resnet50",
        "s2",
        "13",
        "quantise",
    )
    assert json.loads(found["band_names"])[:3] == ["B1", "B2", "B3"]
    assert re.fullmatch("published.ckpt sha256=[0-9a-f]{64}", found["source"])


def test_the_page_s_lines_load_the_default_backbone(tiny, tmp_path, monkeypatch):
    net, checkpoint = tiny
    monkeypatch.chdir(tmp_path)
    export(str(checkpoint), tmp_path / "tiny.safetensors", "s2", **OPTIONS)
    for program, name in zip(PYTHON[2:], ("network", "encoder"), strict=True):
        scope = {"smp": smp, "timm": timm}
        exec(program, scope)
        loaded = scope["network"].encoder.model if name == "network" else scope["encoder"]
        assert same(encoder_state(loaded), encoder_state(net.encoder))
        image = torch.rand(1, 13, 64, 64)
        with torch.no_grad():
            assert torch.allclose(loaded.eval()(image)[-1], net.encoder.eval()(image)[-1], atol=1e-5)
    found = metadata("tiny.safetensors")
    assert (found["encoder"], found["normalisation"]) == ("resnet18", "standardise")


@pytest.mark.parametrize("modality", ["s1", "s2"])
def test_an_exported_encoder_is_weights_of_cromss_again(tiny, tmp_path, modality):
    net, checkpoint = tiny
    path = tmp_path / "encoder.safetensors"
    export(str(checkpoint), path, modality, **OPTIONS)
    target = SingleFusion(backbone_of("tu-resnet18", "unet", **TINY), modality, {"s1": 2, "s2": 13}, 9)
    report = load_weights(target, path, "cromss", modality=modality, bands=13)
    assert same(target.encoder.state_dict(), (net.encoder if modality == "s2" else net.encoder1).state_dict())
    assert str(report) == f"encoder {modality}: 60 of 60 tensors from {path} (cromss, exported)"
    other = "s1" if modality == "s2" else "s2"
    with pytest.raises(ValueError, match=rf"\(cromss, exported\) holds encoders of {modality} only, not of {other}"):
        load_weights(net, path, "cromss", modality=other)
    with pytest.raises(ValueError, match="holds no decoder: set backbone.load=encoder"):
        load_weights(target, path, "cromss", load="encoder+decoder", modality=modality)


def test_the_order_of_bands_travels_with_an_encoder(tmp_path):
    net = build("single", "resnet18", 0, 9, 4)
    run_checkpoint(net, tmp_path / "a.ckpt", fusion={"modality": "s2"}, dataset={"bands": "9_rgb_first"})
    export(str(tmp_path / "a.ckpt"), tmp_path / "a.safetensors", "s2", **OPTIONS)
    load_weights(net, tmp_path / "a.safetensors", "cromss", bands="9_rgb_first")
    with pytest.raises(ValueError, match="set dataset.bands=9_rgb_first, or"):
        load_weights(net, tmp_path / "a.safetensors", "cromss", bands=9)


def test_foreign_encoders_are_exported_too(tmp_path):
    state = foreign("moco", tmp_path / "moco.pth")
    found = export(str(tmp_path / "moco.pth"), tmp_path / "a.safetensors", "s2", **(OPTIONS | {"origin": "moco"}))
    assert (found["encoder"], found["normalisation"]) == ("resnet18", "unknown")
    net = build("single", "resnet18", 0, 13, 4)
    load_weights(net, tmp_path / "a.safetensors", "cromss", bands=13)
    assert same(net.encoder.state_dict(), state)


def test_nothing_is_written_over_unless_asked(tiny, tmp_path):
    _, checkpoint = tiny
    out = tmp_path / "a.safetensors"
    out.write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"a.safetensors exists: choose another out=…"):
        export(str(checkpoint), out, "s2", **OPTIONS)
    with pytest.raises(ValueError, match="not of common"):
        export(str(checkpoint), out, "common", **(OPTIONS | {"overwrite": True}))
    assert out.read_bytes() == b"precious"
    export(str(checkpoint), out, "s2", **(OPTIONS | {"overwrite": True}))
    assert metadata(out)["modality"] == "s2"
    with pytest.raises(ValueError, match="there is no folder"):
        export(str(checkpoint), tmp_path / "nowhere" / "a.safetensors", "s2", **OPTIONS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"checkpoint": None}, "checkpoint=… is missing"),
        ({"out": None}, "out=… is missing"),
        ({"modality": None}, "modality=… is missing"),
        ({"modality": "s3"}, "modality=s3 must be one of s1, s2, common"),
        ({"origin": "none"}, "origin=none must be one of cromss, moco"),
        ({"overwrite": "yes"}, "overwrite=yes must be true or false"),
        ({}, "a.ckpt does not exist"),
    ],
)
def test_mistakes_on_the_command_line(tmp_path, changes, message):
    settings = OPTIONS | {"checkpoint": str(tmp_path / "a.ckpt"), "out": str(tmp_path / "b"), "modality": "s2"}
    with pytest.raises(ValueError, match=message):
        run(checked_settings("export", settings | changes))


def test_the_command_line(tiny, tmp_path):
    _, checkpoint = tiny
    command = [
        sys.executable,
        "-m",
        "cromss",
        "export",
        f"checkpoint={checkpoint}",
        "out=a=b.safetensors",
        "modality=s1",
    ]
    environment = os.environ | {"PYTHONWARNINGS": "default", "OMP_NUM_THREADS": "1"}
    end = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert end.returncode == 0, end.stderr
    assert "Encoder written to a=b.safetensors: encoder=resnet18  modality=s1  bands=2" in end.stdout + end.stderr
    assert "Warning" not in end.stdout + end.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a=b.safetensors"]


@pytest.fixture
def exported(tiny, tmp_path):
    """An exported encoder with other metadata."""
    export(str(tiny[1]), tmp_path / "a.safetensors", "s2", **OPTIONS)
    tensors = {name: torch.zeros(64, 13, 7, 7) for name in ("conv1.weight",)}

    def call(changes):
        changed = {name: value for name, value in (metadata(tmp_path / "a.safetensors") | changes).items() if value}
        save_file(tensors, tmp_path / "b.safetensors", changed)
        return tmp_path / "b.safetensors"

    return call


def refusal(path, net, **options):
    with pytest.raises(ValueError, match="safetensors") as error:
        load_weights(net, path, "cromss", **options)
    # The list of keys of an encoder that does not fit ends with the cause.
    return str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("band_names", None),
        ("band_names", "VV"),
        ("band_names", '["B1", "Q7"]'),
        ("band_names", '{"B1": 1}'),
        ("band_names", '["B1", 3]'),
        ("band_names", '["B1", "B2"]'),
        ("modality", "text"),
        ("encoder", "a/../b"),
        ("cromss_encoder", "2"),
    ],
)
def test_metadata_that_cannot_be_is_refused_in_one_sentence(tiny, exported, key, value):
    said = refusal(exported({key: value}), tiny[0])
    assert "\n" not in said
    assert key.removeprefix("cromss_encoder") in said
    if key == "band_names" and value:
        assert "export it again" in said


@pytest.mark.parametrize("share", [37, pytest.param(1, marks=pytest.mark.slow)])
def test_metadata_of_every_form_are_read_or_refused(tiny, exported, tmp_path, share):
    document = {"band_names": ["B4", "B3", "B2"], "modality": "s2", "normalisation": "quantise", "encoder": "resnet18"}
    texts = [({"band_names": text.decode(errors="replace")}) for text in JSON_TEXTS.values()]
    for name, changed in mutations(document, tmp_path / "canary"):
        if zlib.crc32(name.encode()) % share == 0 and isinstance(changed, dict):
            names = json_bytes(changed.get("band_names"))
            plain = {key: value for key, value in changed.items() if isinstance(value, str) and value.isascii()}
            texts.append(plain | ({} if names is None else {"band_names": names.decode(errors="replace")}))
    for text in texts:
        assert refusal(exported({name: value.replace("\0", "") for name, value in text.items()}), tiny[0])
    assert not (tmp_path / "canary").exists()


def header(text, values=b""):
    return struct.pack("<Q", len(text)) + text + values


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**40) + b"{",
        header(b"{" + b'"a":{' * 5000),
        header(b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4]}}', bytes(4)),
        header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9999999]}}', bytes(4)),
        header(b'{"a":{"dtype":"X9","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
        header(b'{"a":{"dtype":"F4","shape":[8],"data_offsets":[0,4]}}', bytes(4)),
        header(b'{"a":{"dtype":"F8_E8M0","shape":[4],"data_offsets":[0,4]}}', bytes(4)),
        header(b'{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}', bytes(8)),
        header(b'{"__metadata__":{"a":3}}'),
        header(b'{"__metadata__":{"a":"\xff"}}'),
        header(b"{}"),
    ],
)
def test_headers_that_lie_are_refused(tiny, tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    said = refusal(tmp_path / "a.safetensors", tiny[0])
    assert "\n" not in said


@pytest.mark.parametrize("alias", ["run.ckpt", "../{folder}/run.ckpt", "link.ckpt", "hard.ckpt"])
def test_an_export_never_replaces_the_checkpoint_that_it_reads(tiny, tmp_path, monkeypatch, alias):
    monkeypatch.chdir(tmp_path)
    shutil.copy(tiny[1], "run.ckpt")
    Path("link.ckpt").symlink_to("run.ckpt")
    os.link("run.ckpt", "hard.ckpt")
    before = (tmp_path / "run.ckpt").read_bytes()
    settings = {"checkpoint": "run.ckpt", "out": alias.format(folder=tmp_path.name), "modality": "s2"}
    with pytest.raises(ValueError, match="is the checkpoint itself"):
        run(settings | OPTIONS | {"overwrite": True})
    assert (tmp_path / "run.ckpt").read_bytes() == before
    assert Path("link.ckpt").readlink() == Path("run.ckpt")
