"""Soft labels: what the neighbourhood and the other seasons say about a pixel's class."""

from cromss.smoothing.mix import smooth_labels
from cromss.smoothing.prior import label_prior
from cromss.smoothing.smooth import LabelSmoothing, NoSmoothing, Smoothing, UniformSmoothing

__all__ = ["LabelSmoothing", "NoSmoothing", "Smoothing", "UniformSmoothing", "label_prior", "smooth_labels"]
