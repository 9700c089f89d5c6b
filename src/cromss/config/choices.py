"""The allowed names of settings whose tables of functions are in other packages.

Importing those packages loads torch, which takes seconds; a mistyped value is reported before that. A test makes sure
that these names equal those of the tables.
"""

from __future__ import annotations

from cromss.dataset.bands import SUBSETS

MODALITIES = ("s1", "s2")
BRANCHES = (*MODALITIES, "common")
BAND_SUBSETS = tuple(int(name) if name.isdigit() else name for name in SUBSETS)
NORMALISATIONS = ("quantise", "standardise", "reflectance")
STATISTICS = ("published", "store")
UNITS = {
    "s1": ("auto", "db", "linear", "amplitude", "db_100", "quantised"),
    "s2": ("auto", "dn", "reflectance", "percent", "quantised"),
}
PUBLISHED_FORMATS = ("nol", "dw", "osm", "dfc2020")
SEGMENTATION_LOSSES = ("ce", "dice", "focal")
CONSISTENCIES = ("ce", "kl", "mse")
CONFIDENCES = ("entropy", "gini")
RAMPS = ("exp", "linear", "none")
SCOPES = ("global", "batch")
PRIORS = ("spatiotemporal", "spatial", "temporal")
