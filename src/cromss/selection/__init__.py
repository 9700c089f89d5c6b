"""Which noisy labels count, and how much: decided by what both modalities make of them."""

from cromss.selection.confidence import entangle, label_confidence, prediction_confidence
from cromss.selection.select import CrossModalSelection, NoSelection, ramp
from cromss.selection.weights import label_weights, prediction_weights

__all__ = [
    "CrossModalSelection",
    "NoSelection",
    "entangle",
    "label_confidence",
    "label_weights",
    "prediction_confidence",
    "prediction_weights",
    "ramp",
]
