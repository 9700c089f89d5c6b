"""Classes of the published label sets: their names in the order of their numbers in memory, and usual colours."""

from __future__ import annotations

from collections.abc import Mapping

from cromss.dataset.class_names import check_class_names

__all__ = ["CLASSES", "check_class_names"]

CLASSES: Mapping[str, Mapping[str, str]] = {
    # Google Dynamic World in its own colours; also the noisy labels (NoL) of SSL4EO-S12.
    "dynamic_world": {
        "water": "#419bdf",
        "trees": "#397d49",
        "grass": "#88b053",
        "flooded vegetation": "#7a87c6",
        "crops": "#e49635",
        "shrub & scrub": "#dfc35a",
        "built area": "#c4281b",
        "bare ground": "#a59b8f",
        "snow & ice": "#b39fe1",
    },
    # IEEE GRSS Data Fusion Contest 2020, in the order and the colours of Dynamic World.
    "dfc2020": {
        "water": "#419bdf",
        "forest": "#397d49",
        "grassland": "#88b053",
        "wetland": "#7a87c6",
        "cropland": "#e49635",
        "shrubland": "#dfc35a",
        "urban": "#c4281b",
        "barren": "#a59b8f",
    },
    # OpenStreetMap land use, stored code = position + 1. The legend of the reference program and the paper's figure
    # list the names in different orders: what a class is called is uncertain, numbers and scores are not.
    "osm": {
        "urban fabric": "#e6004d",
        "arable land": "#ffffa8",
        "forest": "#00a600",
        "industrial, commercial & transport": "#cc4df2",
        "artificial non-agricultural vegetation": "#ffa6ff",
        "mine, dump & construction": "#a600cc",
        "pastures": "#e6e64d",
        "permanent crops": "#f2a64d",
        "water bodies": "#00ccf2",
        "open spaces": "#cccccc",
        "shrub & herbaceous": "#a6f200",
        "wetlands": "#a6a6ff",
        "coastal wetlands": "#ccccff",
    },
}
"""Label set -> class name -> colour."""
