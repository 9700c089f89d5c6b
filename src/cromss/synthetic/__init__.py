"""The embedded dataset: landscapes, two sensors and a land cover map that errs, all drawn from a seed.

`docs/synthetic.md` shows it beside real locations and says how it is made.
"""

from typing import TYPE_CHECKING

from cromss.io.lazy import names_of

if TYPE_CHECKING:
    from cromss.synthetic.cache import open_synthetic, open_synthetic_exact
    from cromss.synthetic.parameters import CLASSES, NoiseRates, SceneRates, World
    from cromss.synthetic.reader import SyntheticLocation, SyntheticReader, generate_location

__all__ = [
    "CLASSES",
    "NoiseRates",
    "SceneRates",
    "SyntheticLocation",
    "SyntheticReader",
    "World",
    "generate_location",
    "open_synthetic",
    "open_synthetic_exact",
]

__getattr__ = names_of(
    __name__,
    {
        "CLASSES": "parameters",
        "NoiseRates": "parameters",
        "SceneRates": "parameters",
        "SyntheticLocation": "reader",
        "SyntheticReader": "reader",
        "World": "parameters",
        "generate_location": "reader",
        "open_synthetic": "cache",
        "open_synthetic_exact": "cache",
    },
)
