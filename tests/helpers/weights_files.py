"""Files of weights as others publish them, small or cheap to write."""

import argparse
import json

import timm
import torch

from helpers.golden import GOLDEN


def published(kind, path, whole=False):
    """Writes a published checkpoint, a number per tensor; `whole` writes random numbers at full size."""
    keys = json.loads((GOLDEN / "checkpoint_keys.json").read_text())[kind]
    if whole:
        state = {name: torch.rand(shape) if shape else torch.tensor(7) for name, shape in keys.items()}
    else:
        state = {
            name: torch.tensor(float(i)).expand(shape) if shape else torch.tensor(i)
            for i, (name, shape) in enumerate(keys.items())
        }
    content = {
        "epoch": 199,
        "global_step": 160_000,
        "pytorch-lightning_version": "2.0.8",
        "state_dict": state,
        "hyper_parameters": {"args": argparse.Namespace(model="unet", backbone="resnet50", lr=5e-3)},
    }
    torch.save(content, path)
    return state


def resnet_state(bands, prefix="", name="resnet18", classifier=True):
    """A plain ResNet's state dict below a prefix, its first convolution for `bands` bands."""
    state = timm.create_model(name, in_chans=bands).state_dict()
    return {prefix + name: value for name, value in state.items() if classifier or not name.startswith("fc")}


def foreign(origin, path, bands=13, name="resnet18"):
    """Writes a file of another origin and returns the encoder that lies in it."""
    state = resnet_state(bands, name=name)
    below = {
        "moco": lambda: {"state_dict": _prefixed(state, "module.encoder_q.") | {"module.queue": torch.rand(3)}},
        "dino": lambda: {
            "student": _prefixed(state, "module.head."),
            "teacher": _prefixed(state, "module.backbone."),
            "args": argparse.Namespace(arch="resnet18"),
        },
        "decur": lambda: {
            "model": _prefixed(resnet_state(2), "module.backbone_1.") | _prefixed(state, "module.backbone_2.")
        },
        "satlas": lambda: _prefixed(state, "backbone.resnet.") | {"intermediates.0.fpn.weight": torch.rand(3)},
        "imagenet": lambda: state,
    }
    torch.save(below[origin](), path)
    return {name: value for name, value in state.items() if not name.startswith("fc")}


def _prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


def run_checkpoint(net, path, **groups):
    """Writes what a run of this project saves of a network, with the given groups of its config."""
    state = {f"net.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": state | {"other.weight": torch.rand(2)}, "config": groups, "epoch": 3}, path)


def same(found, expected):
    """Whether two state dicts hold the same, name by name."""
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)
