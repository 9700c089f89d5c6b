"""The rates of the generator as typed records, checked once; their values and reasons stand in the YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

CLASSES = (
    "water",
    "trees",
    "grass",
    "flooded vegetation",
    "crops",
    "shrub & scrub",
    "built area",
    "bare ground",
    "snow & ice",
)
"""Dynamic World's nine classes; a label value is the position here."""

WATER, TREES, GRASS, FLOODED, CROPS, SHRUB, BUILT, BARE, SNOW = range(9)

Record = TypeVar("Record")


def _build(kind: type[Record], values: Mapping[str, Any], where: str) -> Record:
    """A record from plain keywords; ValueError names unknown and missing keys and numbers out of range."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} must be a mapping of rates, got {values!r}")
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown, missing = sorted(map(str, set(values) - known)), sorted(known - set(values))
    if unknown or missing:
        raise ValueError(
            f"{where}: unknown keys {unknown}, missing keys {missing}; allowed are {sorted(known)} "
            "(conf/dataset/_synthetic_scene.yaml has them all)"
        )
    return kind(**values)


def _check(where: str, value: Any, low: float, high: float) -> None:
    if not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{where} = {value!r} is not a number in [{low}, {high}]")


@dataclass(frozen=True)
class Biome:
    """What one kind of landscape is made of.

    Attributes:
        share: Weight with which locations draw this biome.
        trees: Weight of forest in the natural cover; `shrub`, `grass`, `bare` likewise.
        shrub: Weight of shrub and scrub.
        grass: Weight of grassland.
        bare: Weight of bare ground.
        conifers: Share of the forest that stays green in winter, in [0, 1].
        farm: Share of the land divided into parcels, in [0, 1].
        parcel: Mean width of a parcel in pixels.
        river: Probability of a river or stream across the location.
        lake: Share of the land under lakes, in [0, 1].
        coast: Probability that the location lies at a sea shore.
        marsh: Share of the shores with flooded vegetation, in [0, 1].
        town: Probability of a town.
        town_size: Its typical radius in pixels.
        roads: Mean number of country roads.
        warmth: Yearly mean temperature in units in which snow lies below 0.
        swing: Half the difference in temperature between summer and winter.
        green: Greenness of grass and shrubs in the dry or cold season relative to the best one, in [0, 1].
        relief: Height of the terrain: temperature lost per deviation of elevation, and strength of shading.
    """

    share: float
    trees: float
    shrub: float
    grass: float
    bare: float
    conifers: float
    farm: float
    parcel: float
    river: float
    lake: float
    coast: float
    marsh: float
    town: float
    town_size: float
    roads: float
    warmth: float
    swing: float
    green: float
    relief: float

    def __post_init__(self) -> None:
        for name in ("conifers", "farm", "river", "lake", "coast", "marsh", "town", "green"):
            _check(f"biome {name}", getattr(self, name), 0, 1)
        for name in ("share", "trees", "shrub", "grass", "bare", "roads", "swing", "relief"):
            _check(f"biome {name}", getattr(self, name), 0, 100)
        _check("biome parcel", self.parcel, 3, 1000)
        _check("biome town_size", self.town_size, 3, 1000)
        _check("biome warmth", self.warmth, -100, 100)
        if self.trees + self.shrub + self.grass + self.bare <= 0:
            raise ValueError("a biome needs a positive weight for one of trees, shrub, grass, bare")


@dataclass(frozen=True)
class SceneRates:
    """How locations and their images come about.

    Attributes:
        biomes: Name -> `Biome`.
        haze: Probability that a date is hazy.
        cloud: Probability that a date has a cloud in the patch.
        variation: Scale of the variation of reflectance and backscatter inside a class; 1 as in real places.
        looks: Equivalent number of looks of the radar's speckle.
        speckle_sigma: Deviation in pixels of the radar's point response, which correlates neighbouring speckle.
        point_spread: Deviation in pixels of the optical point response of the 10 m, 20 m and 60 m bands.
    """

    biomes: Mapping[str, Any]
    haze: float
    cloud: float
    variation: float
    looks: float
    speckle_sigma: float
    point_spread: tuple[float, float, float]

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> SceneRates:
        """Checks plain nested values; ValueError says what is wrong and what is allowed."""
        rates = _build(cls, values, "scene")
        biomes = {name: _build(Biome, v, f"scene.biomes.{name}") for name, v in dict(rates.biomes).items()}
        if not sum(biome.share for biome in biomes.values()) > 0:
            raise ValueError("scene.biomes needs one biome with a positive share")
        for name in ("haze", "cloud"):
            _check(f"scene.{name}", getattr(rates, name), 0, 1)
        _check("scene.variation", rates.variation, 0, 10)
        _check("scene.looks", rates.looks, 0.5, 1000)
        _check("scene.speckle_sigma", rates.speckle_sigma, 0.1, 5)
        spread = tuple(rates.point_spread)
        if len(spread) != 3:
            raise ValueError(f"scene.point_spread = {spread} must give three deviations: 10 m, 20 m, 60 m bands")
        for value in spread:
            _check("scene.point_spread", value, 0.0, 10)
        return cls(biomes, rates.haze, rates.cloud, rates.variation, rates.looks, rates.speckle_sigma, spread)


@dataclass(frozen=True)
class NoiseRates:
    """How noisy labels differ from the truth at noise 1.

    Attributes:
        confusion: Class name -> {class name: probability that a region of the first is labelled as the second}.
        region: Mean size in pixels of the regions that err as a whole, outside parcels, which err parcel by parcel.
        repeat: Probability that a region's fate in a season is its fate in all other seasons too.
        haze: Relative rise of the confusion on a fully hazy date.
        lost: Probability that a region's small objects (houses, roads, streams) are swallowed by their surroundings.
        shift: Deviation in pixels by which borders are displaced, smoothly.
        rounding: Deviation in pixels of the filter that rounds corners and closes gaps.
        unlabelled: Probability that a date's opaque clouds have no label.
    """

    confusion: Mapping[str, Mapping[str, float]]
    region: float
    repeat: float
    haze: float
    lost: float
    shift: float
    rounding: float
    unlabelled: float

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> NoiseRates:
        """Checks plain nested values; ValueError says what is wrong and what is allowed."""
        rates = _build(cls, values, "noise_rates")
        for truth, row in rates.confusion.items():
            bad = sorted(({truth, *row}) - set(CLASSES))
            if bad:
                raise ValueError(f"noise_rates.confusion: {bad} are no classes; allowed are {CLASSES}")
            for label, rate in row.items():
                _check(f"noise_rates.confusion.{truth}.{label}", rate, 0, 1)
            if truth in row or sum(row.values()) > 1:
                raise ValueError(
                    f"noise_rates.confusion.{truth} = {dict(row)}: "
                    "name other classes only, with rates that sum to at most 1"
                )
        _check("noise_rates.region", rates.region, 3, 1000)
        for name in ("repeat", "lost", "unlabelled"):
            _check(f"noise_rates.{name}", getattr(rates, name), 0, 1)
        for name in ("haze", "shift", "rounding"):
            _check(f"noise_rates.{name}", getattr(rates, name), 0, 10)
        return rates
