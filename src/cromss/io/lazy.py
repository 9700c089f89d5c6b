"""Names of a package that load their module when they are first used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def names_of(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Makes the ``__getattr__`` of a package, so that a module of it can be loaded without all others.

    Command lines thereby report mistakes before torch is loaded.

    Args:
        package: Its ``__name__``.
        modules: Name -> module that it comes from: of the package, or an absolute one that begins with ``cromss.``.
    """

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = modules[name]
        return getattr(import_module(module if module.startswith("cromss.") else f"{package}.{module}"), name)

    return load
