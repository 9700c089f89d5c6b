"""Weights that networks start from: where they come from, how files are read, checked and written."""

from typing import TYPE_CHECKING

from cromss.io.lazy import names_of

if TYPE_CHECKING:
    from cromss.weights.load import load_weights
    from cromss.weights.report import LoadReport
    from cromss.weights.weights import Weights

__all__ = ["LoadReport", "Weights", "load_weights"]

__getattr__ = names_of(__name__, {"LoadReport": "report", "Weights": "weights", "load_weights": "load"})
