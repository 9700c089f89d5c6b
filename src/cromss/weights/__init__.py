"""Weights that networks start from: where they come from, how files are read, checked and written."""

from typing import TYPE_CHECKING

from cromss.io.lazy import names_of

if TYPE_CHECKING:
    from cromss.weights.export import export
    from cromss.weights.load import load_weights
    from cromss.weights.load_report import LoadReport
    from cromss.weights.start import Weights

__all__ = ["LoadReport", "Weights", "export", "load_weights"]

__getattr__ = names_of(
    __name__, {"LoadReport": "load_report", "Weights": "start", "export": "export", "load_weights": "load"}
)
