"""Names in configs of earlier versions -> current names; to be extended with every renaming."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

TARGETS = {
    "cromss.backbone.Weights": "cromss.weights.Weights",
    "cromss.dataset.open_synthetic": "cromss.synthetic.open_synthetic",
    "cromss.dataset.open_synthetic_exact": "cromss.synthetic.open_synthetic_exact",
}
"""``_target_`` -> its name now."""

_COPIED = {"dataset.validate": "dataset.evaluate"}
"""Current key -> the earlier key with the same meaning."""

_OPTIONS = {
    r"experiments=(dfc2020|dw|osm)_s1_([a-z-]+)": r"experiments=\1 init=s1-\2",
    r"experiments=(dfc2020|dw|osm)_s2_([a-z-]+)-(9b|13b)": r"experiments=\1 init=s2-\3-\2",
}
"""Pattern of an override -> its current form; several are separated by a space."""


def of_this_version(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config from a file, by the names of this version.

    Args:
        config: Plain and resolved, of this version or an earlier one; otherwise of unknown content.

    Returns:
        A copy where it differs. Unknown keys are unchanged.
    """
    renamed: dict[str, Any] = _renamed(config)
    for key, before in _COPIED.items():
        (group, name), (_, old) = key.split("."), before.split(".")
        node = renamed.get(group)
        if isinstance(node, dict) and old in node and name not in node:
            renamed[group] = {**node, name: node[old]}
    return renamed


def overrides_of_this_version(overrides: Sequence[str]) -> list[str]:
    """Overrides from a file, of this version or an earlier one, with the options of this version."""
    found: list[str] = []
    for override in overrides:
        now = next((re.sub(old, new, override) for old, new in _OPTIONS.items() if re.fullmatch(old, override)), None)
        found += [override] if now is None else now.split()
    return found


def _renamed(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            key: TARGETS.get(value, value) if key == "_target_" and isinstance(value, str) else _renamed(value)
            for key, value in node.items()
        }
    return [_renamed(child) for child in node] if isinstance(node, list) else node
