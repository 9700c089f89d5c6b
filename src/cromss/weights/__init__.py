"""Weights that networks start from: where they come from, how files are read, checked and written."""

from typing import TYPE_CHECKING

from cromss.io.lazy import names_of

if TYPE_CHECKING:
    from cromss.weights.load import Weights, load_weights
    from cromss.weights.load_report import LoadReport

__all__ = ["LoadReport", "Weights", "load_weights"]

__getattr__ = names_of(__name__, {"LoadReport": "load_report", "Weights": "load", "load_weights": "load"})
