import pytest
import torch

from cromss.weights.find import find
from cromss.weights.origins import ANY, ORIGINS
from cromss.weights.weights_file import EXPORTED, WeightsFile


def file_of(*names, container="state_dict", metadata=None, **more):
    state = {name: torch.rand(2) for name in names}
    return WeightsFile("file", None, None, {container: state, **more} if container else state, metadata or {})


@pytest.mark.parametrize(
    ("origin", "names", "container", "title", "encoders"),
    [
        (
            "cromss",
            ["net.encoder1.a", "net.encoder.a"],
            "state_dict",
            "middle fusion",
            {"s1": "net.encoder1", "s2": "net.encoder"},
        ),
        (
            "cromss",
            ["net.encoder1.a", "net.encoder.a", "net.encoder_com.a"],
            "state_dict",
            "middle fusion",
            {"s1": "net.encoder1", "s2": "net.encoder", "common": "net.encoder_com"},
        ),
        ("cromss", ["net.model2.encoder.a"], "state_dict", "late fusion", {"s2": "net.model2.encoder"}),
        ("cromss", ["net.encoder.a", "net.decoder.a"], "state_dict", "one branch", {ANY: "net.encoder"}),
        (
            "moco",
            ["module.encoder_q.a", "module.encoder_k.a"],
            "state_dict",
            "query encoder",
            {ANY: "module.encoder_q"},
        ),
        ("moco", ["module.encoder_k.a"], "state_dict", "key encoder", {ANY: "module.encoder_k"}),
        ("dino", ["module.backbone.a"], "student", "backbone", {ANY: "module.backbone"}),
        (
            "decur",
            ["module.backbone_1.a", "module.backbone_2.a"],
            "model",
            "two backbones",
            {"s1": "module.backbone_1", "s2": "module.backbone_2"},
        ),
        ("satlas", ["backbone.resnet.a", "fpn.a"], "", "backbone", {ANY: "backbone.resnet"}),
        ("imagenet", ["conv1.weight", "fc.weight"], "", "plain", {ANY: ""}),
    ],
)
def test_a_layout_is_known_by_its_keys(origin, names, container, title, encoders):
    found = find(file_of(*names, container=container), origin)
    assert found.layout.title == title
    assert {modality: parts.encoder for modality, parts in found.parts.items()} == encoders


def test_an_exported_encoder_is_known_by_its_metadata():
    found = find(file_of("stem.weight", container="", metadata={EXPORTED: "1", "band_names": "null"}), "cromss")
    assert found.layout.title == "exported"
    with pytest.raises(ValueError, match="holds no weights of cromss"):
        find(file_of("stem.weight", container=""), "cromss")


def test_classifiers_are_left_out():
    found = find(file_of("module.encoder_q.conv1.weight", "module.encoder_q.fc.0.weight"), "moco")
    assert list(found.part("module.encoder_q")) == ["conv1.weight"]


def test_what_is_no_tensor_is_no_weight():
    file = WeightsFile("file", None, None, {"state_dict": {"net.encoder.a": 3, 4: torch.rand(1)}})
    with pytest.raises(ValueError, match="its keys are state_dict, …, and cromss has net.model1.encoder.… or"):
        find(file, "cromss")


def test_no_origin_takes_the_files_of_another():
    examples = {
        "cromss": file_of("net.encoder1.conv1.weight", "net.encoder.conv1.weight"),
        "moco": file_of("module.encoder_q.conv1.weight"),
        "dino": file_of("module.backbone.conv1.weight", container="teacher"),
        "decur": file_of("module.backbone_1.conv1.weight"),
        "satlas": file_of("backbone.resnet.conv1.weight", container=""),
        "imagenet": file_of("conv1.weight", container=""),
    }
    assert examples.keys() == ORIGINS.keys()
    for origin in ORIGINS:
        for other, file in examples.items():
            if other == origin:
                find(file, origin)
            else:
                with pytest.raises(ValueError, match=f"look like those of {other}: set backbone.weights={other}"):
                    find(file, origin)
