"""The embedded dataset: landscapes, two sensors and a land cover map that errs, all drawn from a seed.

`docs/synthetic.md` shows it beside real places and says how it is made.
"""

from cromss.dataset.synthetic.parameters import CLASSES, NoiseRates, SceneRates
from cromss.dataset.synthetic.reader import SyntheticLocation, SyntheticReader, generate_location

__all__ = ["CLASSES", "NoiseRates", "SceneRates", "SyntheticLocation", "SyntheticReader", "generate_location"]
