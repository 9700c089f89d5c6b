"""Imports go down the layers of the house, and modules form no circle."""

import ast
from pathlib import Path

import pytest

import cromss

SOURCE = Path(cromss.__file__).parent
LAYERS = (
    "types",
    "io",
    "plotting",
    "selection smoothing loss",
    "dataset",
    "synthetic",
    "backbone",
    "fusion",
    "weights",
    "runs",
    "config",
    "trainer",
    "sweep",
    "search",
    "predict",
    "prepare",
    "report",
    "cli",
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms.split()}
# Entry points: they start what lies above them.
MODULES = {
    ".".join(("cromss", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
    if path.name != "__main__.py"
}


def imports(path):
    """Modules of the project that a file imports, also within functions and for types alone."""
    found = set()
    nodes = [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        nodes += ast.iter_child_nodes(node)
    return {name for name in found if name.split(".")[0] == "cromss"}


def room(module):
    return module.split(".")[1]


def test_every_room_has_its_layer():
    assert {room(module) for module in MODULES if module != "cromss"} == RANK.keys()


@pytest.mark.parametrize("name", RANK)
def test_a_room_imports_only_from_layers_below(name):
    upwards = [
        f"{module} imports {other}"
        for module, path in MODULES.items()
        if module != "cromss" and room(module) == name
        for other in imports(path)
        if other != "cromss" and room(other) != name and RANK[room(other)] >= RANK[name]
    ]
    assert upwards == []


def test_no_module_imports_itself_by_way_of_others():
    below = {module: imports(path) & MODULES.keys() for module, path in MODULES.items()}
    while done := {module for module, others in below.items() if not others & below.keys() - {module}}:
        below = {module: others for module, others in below.items() if module not in done}
    assert below == {}
