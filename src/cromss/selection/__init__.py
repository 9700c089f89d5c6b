"""Which noisy labels count, and how much: decided by what both modalities make of them."""

from cromss.selection.confidence import entangle, label_confidence, prediction_confidence
from cromss.selection.schedule import ramp
from cromss.selection.select import CrossModalSelection, NoSelection, Selection
from cromss.selection.weights import label_weights, prediction_weights

__all__ = [
    "CrossModalSelection",
    "NoSelection",
    "Selection",
    "entangle",
    "label_confidence",
    "label_weights",
    "prediction_confidence",
    "prediction_weights",
    "ramp",
]
