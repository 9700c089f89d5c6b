"""Soft labels: what the neighbourhood and the other seasons say about a pixel's class."""

from cromss.smoothing.prior import label_prior
from cromss.smoothing.smooth import LabelSmoothing, NoSmoothing, Smoothing, UniformSmoothing, smooth_labels

__all__ = ["LabelSmoothing", "NoSmoothing", "Smoothing", "UniformSmoothing", "label_prior", "smooth_labels"]
