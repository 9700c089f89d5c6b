"""What training minimises: segmentation losses of every branch plus consistency between the modalities."""

from cromss.loss.consistency import cross_modal_consistency
from cromss.loss.functional import cross_entropy, dice, focal, one_hot, weighted_mean
from cromss.loss.objective import Loss, Objective

__all__ = ["Loss", "Objective", "cross_entropy", "cross_modal_consistency", "dice", "focal", "one_hot", "weighted_mean"]
