"""The keys of the dataset group: each source of locations has its own, beside those that all share."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from cromss.config.choices import (
    BAND_SUBSETS,
    MODALITIES,
    NORMALISATIONS,
    PUBLISHED_FORMATS,
    STATISTICS,
    UNITS,
)
from cromss.config.settings import (
    LITERAL,
    OPTIONAL,
    Count,
    CountOrZero,
    Means,
    NumClasses,
    Part,
    PathText,
    Seed,
    Settings,
    Share,
    part_of,
)
from cromss.config.words import OneOf
from cromss.dataset.classes import MOST_CLASSES, check_class_names
from cromss.synthetic.parameters import NoiseRates, SceneRates


def _class_names(names: Any) -> Any:
    if not isinstance(names, list):
        raise ValueError(f"cannot be used: it must be a list of 2 to {MOST_CLASSES} distinct class names")
    try:
        check_class_names(names, "the list")
    except ValueError as error:
        raise ValueError(f"cannot be used: {error}") from error
    return names


Classes = Annotated[Any, AfterValidator(_class_names), Means(f"a list of 2 to {MOST_CLASSES} distinct class names")]
"""Class names, in the order of the labels."""


def _colour(text: str) -> str:
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return text
    # Imported late: it takes long to load.
    from matplotlib.colors import is_color_like

    if not is_color_like(text):
        raise ValueError("must be a colour")
    return text


Colours = Annotated[
    list[Annotated[str, AfterValidator(_colour)]], Means("a list of colours as '#419bdf' or red, one per class")
]
Bands = Annotated[Any, OneOf(BAND_SUBSETS)]
Modality = Annotated[str, OneOf(MODALITIES)]
FileName = Annotated[str, Field(min_length=1, pattern="^[^/\\x00]+$"), Means("a file name"), LITERAL]
Noise = Annotated[float, Field(ge=0, le=100)]


class BandCounts(Settings):
    """Channels per modality."""

    s1: Count
    """Channels of Sentinel-1."""

    s2: Count
    """Channels of Sentinel-2; follows from ``dataset.bands``."""


class View(Settings):
    """How patches become batches, the same for every source."""

    reader: Part
    """Opens the data; its keys refer to those of the group."""

    modality: Modality
    """The modality that ``fusion=single`` uses."""

    bands: Bands
    """Subset of the Sentinel-2 bands."""

    band_counts: BandCounts
    """Channels per modality, for the network."""

    season: Literal["random"] | CountOrZero
    """Season of the training samples: drawn for each sample, or always this one."""

    eval_season: CountOrZero
    """Season of validation and test."""

    normalisation: Annotated[str, OneOf(NORMALISATIONS)]
    """Input of the network: uint8 / 255, standardised values, or reflectance (Sentinel-2 only)."""

    statistics: Annotated[str, OneOf(STATISTICS)]
    """Source of the mean and standard deviation per band that scale the images."""

    crop: Literal["auto"] | Count
    """Side of the crop, random in training, px; ``auto`` takes the largest multiple of 32 that fits."""

    validate_: Literal["centre", "whole"] = Field(alias="validate")
    """Part of each patch that is validated: the crop in the middle, of the size in training, or the whole patch."""

    evaluate: Literal["centre", "whole"]
    """Part of each patch that is tested: the crop in the middle, or the whole patch, with each labelled pixel."""

    flip: Share
    """Probability of a flip: horizontal, vertical or both."""

    rotate: Share
    """Probability of a rotation."""

    degrees: Annotated[float, Field(ge=0, le=180)]
    """Largest angle of a rotation, in both directions, degrees."""

    val_fraction: Annotated[float, Field(ge=0, le=0.99)]
    """Share of the locations that are held out for validation; 0 for no validation."""

    split_seed: Seed
    """Which locations are held out."""

    train_samples: Count | None
    """Number of locations to train on; null for all that are not held out."""

    samples_seed: Seed
    """Which locations ``train_samples`` draws."""

    test: Annotated[dict[str, Any] | None, Means("keys with values of dataset.reader, or null")]
    """Settings of the reader that differ for the test set; null tests on the validation split."""

    num_classes: NumClasses
    """Number of classes; follows from ``dataset.classes``."""

    classes: Classes
    """Class names, in the order of the labels."""

    colours: Colours
    """Colours of the classes in pictures and maps, one per class."""


class Nol(View):
    """SSL4EO-S12 locations with Dynamic World labels."""

    path: PathText
    """A store of ``cromss prepare``, or the folder of the three published LMDBs."""

    test_path: PathText | None
    """The same for the locations to test on; null tests on the validation split."""


class DecoderCrops(Settings):
    """Training crop per decoder, px."""

    unet: Count
    linknet: Count
    fpn: Count
    unetplusplus: Count
    manet: Count
    upernet: Count
    pspnet: Count
    deeplabv3: Count
    deeplabv3plus: Count
    pan: Count


class Downstream(View):
    """Few exact labels: tiles to train on and others to test on."""

    train_path: PathText
    """A store of ``cromss prepare``, or the published LMDB."""

    test_path: PathText | None
    """The same for the test; null tests on the validation split."""

    crops: DecoderCrops
    """Training crop per decoder, px."""


class Files(Settings):
    """File name per modality."""

    s1: FileName | None
    """File of Sentinel-1 in each folder; null where there is none."""

    s2: FileName | None
    """File of Sentinel-2 in each folder; null where there is none."""


class Units(Settings):
    """Units of the images per modality."""

    s1: Annotated[str, OneOf(UNITS["s1"])]
    """Units of Sentinel-1; ``auto`` infers them from the values."""

    s2: Annotated[str, OneOf(UNITS["s2"])]
    """Units of Sentinel-2; ``auto`` infers them from the values."""


class Folder(View):
    """GeoTIFFs, one folder per location."""

    path: PathText
    """The folder of the locations."""

    test_path: PathText | None
    """A folder of the same layout with locations to test on; null tests on the validation split."""

    files: Files
    """File name per modality."""

    labels: FileName
    """File of the labels: a class from 0, 255 where there is none."""

    truth: FileName | None
    """File of exact labels; null where there are none."""

    s2_offset: CountOrZero | None
    """What is subtracted from the Sentinel-2 values, e.g. 1000; null reads it from tags and names of the files."""

    units: Units
    """Units of the images."""


class Synthetic(View):
    """The embedded dataset."""

    cache: PathText
    """Folder in which the dataset is kept once it is generated."""

    locations: Count
    """Number of locations."""

    world: Seed
    """Seed of the landscapes."""

    size: Annotated[int, Field(ge=32, le=4096)]
    """Side of a patch, px."""

    seasons: Annotated[int, Field(ge=1, le=255)]
    """Number of seasons."""

    noise: Noise
    """Factor on all noise rates; with 0 the labels are the truth."""

    scene: SceneRates
    """What the landscapes are made of."""

    noise_rates: NoiseRates
    """How the noisy labels differ from the truth."""


class SyntheticExact(Synthetic):
    """The embedded dataset with its exact labels, and other worlds to test on."""

    test_world: Seed
    """Seed of the landscapes to test on."""

    test_locations: Count
    """Number of locations to test on."""


class PublishedSource(Settings):
    """Arguments of `cromss.dataset.open_dataset`."""

    path: PathText
    kind: Annotated[str, OneOf(PUBLISHED_FORMATS)] = OPTIONAL


FolderSource = part_of(Folder, "path", "files", "labels", "truth", "classes", "s2_offset", "units")
"""Arguments of `cromss.dataset.FolderReader`."""

SyntheticSource = part_of(
    Synthetic, "cache", "locations", "size", "seasons", "noise", "scene", "noise_rates", seed="world"
)
"""Arguments of `cromss.synthetic.open_synthetic`."""
