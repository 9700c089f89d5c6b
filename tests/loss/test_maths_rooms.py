"""The maths rooms stay apart: each imports torch, the standard library, cromss.types and itself, and nothing else."""

import ast
import sys
from pathlib import Path

import pytest

import cromss

ROOMS = ("loss", "selection", "smoothing")
FILES = [path for room in ROOMS for path in sorted((Path(cromss.__file__).parent / room).glob("**/*.py"))]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def allowed(name, room):
    top = name.split(".")[0]
    own = name == "cromss.types" or name == f"cromss.{room}" or name.startswith(f"cromss.{room}.")
    return own if top == "cromss" else top == "torch" or top in sys.stdlib_module_names


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports(path):
    wrong = [name for name in imported(path) if not allowed(name, path.parent.name)]
    assert not wrong, f"{path.name} imports {wrong}"


def test_all_rooms_are_there():
    assert {path.parent.name for path in FILES} == set(ROOMS)
