"""What training minimises: segmentation losses of every branch plus consistency between the modalities."""

from cromss.loss.functional import cross_entropy, dice, focal, one_hot
from cromss.loss.objective import Loss, Objective

__all__ = ["Loss", "Objective", "cross_entropy", "dice", "focal", "one_hot"]
