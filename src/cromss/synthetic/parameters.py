"""The parameters of the generator as typed records, checked once; their values and reasons stand in the YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from omegaconf import OmegaConf
from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from cromss.dataset.classes import CLASSES as LABEL_SETS
from cromss.io.plain import ENTRY, Record, first_problem

CLASSES = tuple(LABEL_SETS["dynamic_world"])
"""Dynamic World's nine classes; a label value is the position here."""

WATER, TREES, GRASS, FLOODED, CROPS, SHRUB, BUILT, BARE, SNOW = range(9)

Rate = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=100)]
Width = Annotated[float, Field(ge=3, le=1000)]


class Rates(Record):
    """Base of the records here: unknown keys are refused, as a mistyped rate would have no effect."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Self:
        """Checks nested values, plain or of a config.

        Raises:
            ValueError: A key is unknown or missing, or a value is of another type or out of its range; the message
                names the first of them.
        """
        plain = {
            key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for key, value in values.items()
        }
        try:
            return cls.model_validate(plain)
        except ValidationError as error:
            raise ValueError(
                f"synthetic dataset: {first_problem(error)} (all rates: conf/dataset/_synthetic_scene.yaml)"
            ) from error


class Biome(Rates):
    """What one kind of landscape is made of."""

    share: Weight
    """Weight with which locations draw this biome."""

    trees: Weight
    """Weight of forest in the natural cover."""

    shrub: Weight
    """Weight of shrub and scrub."""

    grass: Weight
    """Weight of grassland."""

    bare: Weight
    """Weight of bare ground."""

    conifers: Rate
    """Share of the forest that stays green in winter, in [0, 1]."""

    farm: Rate
    """Share of the land divided into parcels, in [0, 1]."""

    parcel: Width
    """Mean width of a parcel in pixels."""

    river: Rate
    """Probability of a river or stream across the location."""

    lake: Rate
    """Share of the land under lakes, in [0, 1]."""

    coast: Rate
    """Probability that the location lies at a sea shore."""

    marsh: Rate
    """Share of the shores with flooded vegetation, in [0, 1]."""

    town: Rate
    """Probability of a town."""

    town_size: Width
    """Its typical radius in pixels."""

    roads: Weight
    """Mean number of country roads."""

    warmth: Annotated[float, Field(ge=-100, le=100)]
    """Yearly mean temperature in units in which snow lies below 0."""

    swing: Weight
    """Half the difference in temperature between summer and winter."""

    green: Rate
    """Greenness of grass and shrubs in the dry or cold season relative to the best one, in [0, 1]."""

    relief: Weight
    """Height of the terrain: temperature lost per deviation of elevation, and strength of shading."""

    @model_validator(mode="after")
    def _covered(self) -> Self:
        if self.trees + self.shrub + self.grass + self.bare <= 0:
            raise ValueError("needs a positive weight for one of trees, shrub, grass, bare")
        return self


def _drawn(biomes: dict[str, Biome]) -> dict[str, Biome]:
    if not sum(biome.share for biome in biomes.values()) > 0:
        raise ValueError("needs one biome with a positive share")
    return biomes


class SceneRates(Rates):
    """How locations and their images come about."""

    biomes: Annotated[dict[str, Biome], AfterValidator(_drawn)]
    """Name of a kind of landscape -> what it is made of."""

    haze: Rate
    """Probability that a date is hazy."""

    cloud: Rate
    """Probability that a date has a cloud in the patch."""

    variation: Annotated[float, Field(ge=0, le=10)]
    """Scale of the variation of reflectance and backscatter inside a class; 1 as in real locations."""

    looks: Annotated[float, Field(ge=0.5, le=1000)]
    """Equivalent number of looks of the radar's speckle."""

    speckle_sigma: Annotated[float, Field(ge=0.1, le=5)]
    """Deviation in pixels of the radar's point response, which correlates neighbouring speckle."""

    point_spread: Annotated[list[Annotated[float, Field(ge=0, le=10)]], Field(min_length=3, max_length=3)]
    """Deviation in pixels of the optical point response of the 10 m, 20 m and 60 m bands."""


def _row(rates: dict[str, float]) -> dict[str, float]:
    for name in rates:
        if name not in CLASSES:
            raise PydanticCustomError(ENTRY, "is not the rate of one of {classes}", _none_of(name))
    if (total := sum(rates.values())) > 1:
        largest = max(rates, key=lambda name: rates[name])
        context = {"entry": largest, "total": f"{total:.12g}"}
        raise PydanticCustomError(ENTRY, "is too much: the rates of its row add up to {total}, above 1", context)
    return rates


def _of_classes(confusion: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    for truth, row in confusion.items():
        if truth not in CLASSES:
            raise PydanticCustomError(ENTRY, "is not the row of one of {classes}", _none_of(truth))
        if truth in row:
            raise PydanticCustomError(ENTRY, "holds a rate of its own class: name other classes only", {"entry": truth})
    return confusion


def _none_of(name: str) -> dict[str, Any]:
    return {"entry": name, "classes": ", ".join(CLASSES)}


class NoiseRates(Rates):
    """How noisy labels differ from the truth at noise 1."""

    confusion: Annotated[dict[str, Annotated[dict[str, Rate], AfterValidator(_row)]], AfterValidator(_of_classes)]
    """Class name -> {class name: probability that a region of the first is labelled as the second}."""

    region: Width
    """Mean size in pixels of the regions that err as a whole, outside parcels, which err parcel by parcel."""

    repeat: Rate
    """Probability that a region's fate in a season is its fate in all other seasons too."""

    haze: Annotated[float, Field(ge=0, le=10)]
    """Relative rise of the confusion on a fully hazy date."""

    lost: Rate
    """Probability that a region's small objects (houses, roads, streams) get the label of their surroundings."""

    shift: Annotated[float, Field(ge=0, le=10)]
    """Deviation in pixels by which borders are displaced, smoothly."""

    rounding: Annotated[float, Field(ge=0, le=10)]
    """Deviation in pixels of the filter that rounds corners and closes gaps."""

    unlabelled: Rate
    """Probability that a date's opaque clouds have no label."""


class World(Rates):
    """All that decides how a location looks, beside its index."""

    seed: Annotated[int, Field(ge=0)]
    """Which world."""

    size: Annotated[int, Field(ge=32)]
    """Side of a location in pixels of 10 m: a smaller one holds no structure worth the name."""

    seasons: Annotated[int, Field(ge=1)]
    """Number of dates T, evenly spread over the year from midsummer on."""

    noise: Annotated[float, Field(ge=0)]
    """Factor on all `noise_rates`: 0 gives labels equal to the truth, 1 the rates as they stand; images stay."""

    scene: SceneRates
    """Rates of the landscape, as in ``conf/dataset/_synthetic_scene.yaml``."""

    noise_rates: NoiseRates
    """Rates of the label errors, as there."""
