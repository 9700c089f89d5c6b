"""The names in `cromss.config.choices` are those of the tables, and reading them loads nothing slow."""

import subprocess
import sys

import pytest

from cromss import types
from cromss.config import choices
from cromss.dataset.bands import SUBSETS
from cromss.dataset.imagery.units import AUTO, UNITS
from cromss.dataset.own_statistics import STATISTICS
from cromss.dataset.reference_formats import FORMATS
from cromss.dataset.scaling import NORMALISATIONS
from cromss.loss import functional, objective, scope
from cromss.selection import confidence, select, weights
from cromss.smoothing import prior

TABLES = {
    "MODALITIES": types.MODALITIES,
    "BRANCHES": types.BRANCHES,
    "BAND_SUBSETS": [int(name) if name.isdigit() else name for name in SUBSETS],
    "NORMALISATIONS": NORMALISATIONS,
    "STATISTICS": STATISTICS,
    "PUBLISHED_FORMATS": FORMATS,
    "SEGMENTATION_LOSSES": objective.SEGMENTATION,
    "CONSISTENCIES": functional.CONSISTENCIES,
    "CONFIDENCES": confidence.CONFIDENCES,
    "RAMPS": select.RAMPS,
    "SCOPES": scope.SCOPES,
    "PRIORS": prior.KINDS,
}


@pytest.mark.parametrize("name", TABLES)
def test_names_are_those_of_the_table(name):
    assert list(getattr(choices, name)) == list(TABLES[name])


def test_units_and_scopes_are_those_of_both_tables():
    assert {name: list(units) for name, units in choices.UNITS.items()} == {
        name: [AUTO, *units] for name, units in UNITS.items()
    }
    assert list(choices.SCOPES) == list(weights.SCOPES)


def test_the_schema_loads_nothing_slow():
    slow = ("torch", "lightning", "rasterio", "wandb", "matplotlib", "scipy")
    code = f"import sys, cromss.config.whole; sys.exit(', '.join(n for n in {slow} if n in sys.modules) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
