"""What a list of class names in the settings may be."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from cromss.config.words import Means
from cromss.dataset.classes import MOST_CLASSES, check_class_names


def _class_names(names: Any) -> Any:
    if not isinstance(names, list):
        raise ValueError(f"cannot be used: it must be a list of 2 to {MOST_CLASSES} distinct class names")
    try:
        check_class_names(names, "the list")
    except ValueError as error:
        raise ValueError(f"cannot be used: {error}") from error
    return names


Classes = Annotated[Any, AfterValidator(_class_names), Means(f"a list of 2 to {MOST_CLASSES} distinct class names")]
"""Class names, in the order of the labels."""
