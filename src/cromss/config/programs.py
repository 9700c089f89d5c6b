"""Settings of the programs beside training: what each key of ``conf/{predict,prepare,report,export}.yaml`` may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from cromss.config.classes import Classes
from cromss.config.settings import (
    AddressText,
    Count,
    CountOrZero,
    Means,
    NonNegative,
    OneOf,
    PathText,
    Positive,
    Settings,
    Share,
    Text,
)
from cromss.weights.origins import ORIGINS

PathOrNone = PathText | None
Codec = Literal["none", "zstd"]
Labels = Literal["nol", "dw", "osm", "dfc2020"]
Side = Annotated[Count | None, Means("a whole number of pixels of at least 1, or null")]


def _halvable(pixels: int | None) -> int | None:
    if pixels is not None and (pixels < 32 or pixels % 32):
        raise ValueError("must be a multiple of 32 px, which encoders can halve, or null")
    return pixels


def _in_sixths(pixels: int) -> int:
    if pixels < 6 or pixels % 6:
        raise ValueError("must be a multiple of 6: bands of 60 m cover 6 px of 10 m")
    return pixels


def _matching(pattern: str) -> Any:
    """Bounds a text to a pattern."""
    return Field(pattern=f"^(?:{pattern})$", max_length=4096)


Offset = Annotated[int | None, Field(ge=0, le=10_000), Means("a whole number, 0 or 1000, or null")]
Device = Annotated[str, _matching(r"auto|cpu|cuda(:\d{1,3})?"), Means("auto, cpu, cuda, or cuda: and a number")]
Sha256 = Annotated[str, _matching("[0-9a-fA-F]{64}"), Means("64 hexadecimal digits")] | None
HttpUrl = Annotated[str, _matching(r"https?://[^/\s]+\S*"), Means("an address that begins with http:// or https://")]


class Units(Settings):
    """Units of the values of a scene."""

    s1: Literal["auto", "db", "linear", "amplitude", "db_100", "quantised"]
    """Units of Sentinel-1; auto checks the values against the published ones."""
    s2: Literal["auto", "dn", "reflectance", "percent", "quantised"]
    """Units of Sentinel-2; auto checks the values against the published ones."""


class Predict(Settings):
    """Settings of ``python -m cromss.predict``."""

    checkpoint: PathText
    """Checkpoint of a run."""
    s1: PathOrNone
    """Sentinel-1 scene: a GeoTIFF with VV and VH in dB, or a folder with one file per band."""
    s2: PathOrNone
    """Sentinel-2 scene: a GeoTIFF, or a folder with one file per band, such as a .SAFE product."""
    out: PathText
    """The map to write."""
    s2_offset: Offset
    """Subtracted from S2 values; null takes what the metadata of the scene say."""
    units: Units
    """Units of the values."""
    align: bool
    """Whether S1 is resampled to the grid of S2 where they differ."""
    branch: Literal["s1", "s2", "common", None]
    """Branch of a network with several; null averages all that the given images feed."""
    window: Annotated[int | None, AfterValidator(_halvable), Means("a multiple of 32 px, or null")]
    """Side of a window, px; null takes the crop that the network was trained on."""
    overlap: Annotated[float, Field(ge=0, le=0.9), Means("a share of a window in [0, 0.9]")]
    """Share of a window that neighbours share at least."""
    batch_size: Count
    """Windows per forward pass."""
    device: Device
    """Where the network runs; auto takes a GPU if there is one."""
    precision: Literal["float32", "bfloat16"]
    """Type of the network's computations."""
    probabilities: bool
    """Whether to write the probabilities of all classes, too."""
    confidence: bool
    """Whether to write the probability of the predicted class, too."""
    preview: bool
    """Whether to draw scene and map side by side, too."""
    overwrite: bool
    """Whether maps at `out` are replaced."""
    progress_bar: bool
    """Whether to show the progress."""
    truth: PathOrNone
    """GeoTIFF of exact labels on the grid of the scene, by which the map is scored; null scores nothing."""
    cache_mb: Count | None
    """Memory for decoded blocks, MB; null takes what a window touches."""


class Export(Settings):
    """Settings of ``cromss export``."""

    checkpoint: AddressText
    """Checkpoint of this project or a published one: a file, or a URL."""
    out: PathText
    """The safetensors file to write."""
    modality: Literal["s1", "s2", "common"]
    """Whose encoder."""
    origin: Annotated[str, OneOf(tuple(ORIGINS))]
    """Where the checkpoint is from."""
    sha256: Sha256
    """Checksum that the checkpoint must have; null takes any."""
    overwrite: bool
    """Whether a file at `out` is replaced."""


class Report(Settings):
    """Settings of ``python -m cromss.report``."""

    table: Literal["dfc2020", "dw", "osm", None]
    """Table of the paper to compare with; null compares all runs with each other."""
    runs: PathText | Annotated[list[PathText], Field(min_length=1)]
    """Folder below which runs are, or a list of such folders."""
    format: Literal["text", "csv", "markdown", "latex"]
    """Format of a table."""
    out: PathOrNone
    """File to write, or folder for a page; null prints to the terminal."""
    overwrite: bool
    """Whether a file or a page at `out` is replaced."""
    status: PathOrNone
    """Folder of a sweep whose progress is shown instead."""
    wandb: Annotated[str, _matching(r"[^/\s]+(/[^/\s]+)?"), Means("a W&B project, [ENTITY/]PROJECT")] | None
    """W&B project for a report there."""
    sweep: PathOrNone
    """Folder or name of the sweep that the report on W&B is about."""


class Compression(Settings):
    """Codec of each field of a store."""

    s1: Codec = "none"
    """Codec of Sentinel-1 images."""
    s2: Codec = "none"
    """Codec of Sentinel-2 images."""
    labels: Codec = "none"
    """Codec of noisy labels."""
    truth: Codec = "none"
    """Codec of exact labels."""


class Reference(Settings):
    """Options of ``source=reference``."""

    kind: Labels
    """Which published LMDBs."""


class FolderFiles(Settings):
    """File name per modality."""

    s1: PathOrNone
    """File of Sentinel-1 in each folder; null where there is none."""
    s2: PathOrNone
    """File of Sentinel-2 in each folder; null where there is none."""


class Folder(Settings):
    """Options of ``source=folder``."""

    files: FolderFiles
    """File name per modality."""
    labels: PathText
    """File of the labels: a class from 0, 255 where there is none."""
    truth: PathOrNone
    """File of exact labels; null where there are none."""
    classes: Classes
    """Class names, in the order of the labels."""
    s2_offset: Offset
    """Subtracted from S2 values; null takes what tags, metadata and names of the files say."""
    units: Units
    """Units of the images."""


class Ssl4eoS12(Settings):
    """Options of ``source=ssl4eo_s12``."""

    labels: PathOrNone
    """Folder or archive of the noisy labels; null: ``labels`` in `path`."""
    ids: PathOrNone
    """CSV of the locations and their seasons; null takes all folders of labels."""
    size: Annotated[Count, AfterValidator(_in_sixths), Means("a multiple of 6")]
    """Side of a patch, px of 10 m."""
    seasons: Count
    """Number of seasons."""


class Tiles(Settings):
    """Options of ``source=dw`` and ``source=osm``."""

    cut: Side
    """Side of the patches that tiles are cut into, px; null keeps whole tiles."""
    size: Side
    """Side of the tiles, px; null takes that of the first."""


class Dfc2020(Settings):
    """Options of ``source=dfc2020``."""

    split: Literal["validation", "test"]
    """Split by the names of its publishers: validation is the training set."""
    cut: Side
    """Side of smaller patches, px; null: 256."""


class Network(Settings):
    """How servers are asked."""

    attempts: Count
    """Tries per request."""
    wait_seconds: NonNegative
    """Seconds before the second try; doubled for each further one."""
    longest_wait_seconds: NonNegative
    """Seconds that the doubling ends at."""
    requests_per_second: Positive
    """Requests per second at most."""
    timeout_seconds: Positive
    """Seconds that a server may be silent."""


class DownloadDw(Settings):
    """Options of ``action=download source=dw``."""

    tiles: PathOrNone
    """CSV of the tiles."""
    again: bool
    """Whether tiles that had no image are asked for again."""
    project: Text | None
    """Google Cloud project; null takes that of ``earthengine authenticate``."""
    url: HttpUrl
    """Address of Earth Engine."""
    days: Annotated[int, Field(ge=1, le=366)]
    """Length of the window of dates, days."""
    cloud: Annotated[float, Field(ge=0, le=100)]
    """Percent of clouds that Sentinel-2 images stay below."""


class DownloadOsm(Settings):
    """Options of ``action=download source=osm``."""

    tiles: PathOrNone
    """CSV of the tiles."""
    again: bool
    """Whether tiles that had no label are asked for again."""
    url: HttpUrl
    """Address of the WMS."""
    layer: Text
    """Layer of the WMS."""
    legend: Annotated[PathText | list[Text] | None, Means("a picture, a list of 14 colours, or null")]
    """Picture of the legend, or 14 colours; null takes the legend of the service."""
    margin: Share
    """Share of the box that is fetched beyond each side."""
    scale: Annotated[int, Field(ge=1, le=8)]
    """Pixels of the map per pixel of the tile, on a side."""
    opening: Annotated[int, Field(ge=1, le=99)]
    """Width below which areas are not marked, px."""


class Archive(Settings):
    """One archive to download."""

    url: HttpUrl
    """Address of the file."""
    sha256: Sha256 = None
    """Checksum of the file; null checks its size alone."""


class DownloadArchives(Settings):
    """Options of ``action=download source=ssl4eo_s12``."""

    select: Text
    """Shell pattern of the names to fetch."""
    archives: Annotated[list[Archive], Field(min_length=1), Means("a list of {url: ..., sha256: ...}")]
    """Files to choose from."""


class Download(Settings):
    """Options of ``action=download``."""

    tiles: PathOrNone
    """CSV of Dynamic World tiles."""
    again: bool
    """Whether tiles without an image or label are asked for again."""
    network: Network
    """How servers are asked."""
    dw: DownloadDw
    """Sentinel-1 and -2 images of the tiles."""
    osm: DownloadOsm
    """OpenStreetMap labels of the tiles."""
    ssl4eo_s12: DownloadArchives
    """Archives."""


class ExportScene(Settings):
    """Options of ``action=export``."""

    world: CountOrZero
    """Seed of the landscapes; a scene of a world that training does not use is new to every network."""
    location: CountOrZero
    """Number of the location in that world; it decides about the kind of landscape."""
    size: Annotated[int, Field(ge=32, le=4096)]
    """Pixels per side."""
    noise: Annotated[float, Field(ge=0, le=100)]
    """Factor on all noise rates of the labels; with 0 they are the truth."""


class Examples(Settings):
    """Options of ``action=examples``."""

    url: HttpUrl
    """Address of the folder that holds the files."""


class Prepare(Settings):
    """Settings of ``python -m cromss.prepare``."""

    action: Literal["convert", "plan", "verify", "stats", "download", "export", "examples"]
    """What to do."""
    source: Literal["ssl4eo_s12", "dw", "osm", "dfc2020", "reference", "folder", None]
    """What kind of data `path` holds."""
    path: Annotated[PathText | dict[str, PathText] | None, Means("a path")]
    """What to convert, verify or describe."""
    out: PathOrNone
    """The store to write, or a folder for a page or downloads."""
    quantise: bool
    """Whether raw units become uint8 as published."""
    compression: Compression
    """Codec of each field."""
    overwrite: bool
    """Whether a store at `out` is replaced."""
    workers: Annotated[Literal["auto"] | Count, Means("auto or a whole number of at least 1")]
    """Processes; auto is one per core."""
    locations_per_shard: Count
    """Locations that one worker writes at a time."""
    shard: Annotated[
        CountOrZero | Annotated[str, _matching(r"\d{1,9}/\d{1,9}")] | None,
        Means("the number of a job from 0, such as 3/64, or null"),
    ]
    """Which of several jobs this is."""
    shards: Count | None
    """Number of jobs, where `shard` does not say it."""
    retry: bool
    """Whether locations that failed are tried again."""
    accept_missing: bool
    """Whether a store without them is complete."""
    reference: Reference
    """Options of ``source=reference``."""
    folder: Folder
    """Options of ``source=folder``."""
    ssl4eo_s12: Ssl4eoS12
    """Options of ``source=ssl4eo_s12``."""
    dw: Tiles
    """Options of ``source=dw``."""
    osm: Tiles
    """Options of ``source=osm``."""
    dfc2020: Dfc2020
    """Options of ``source=dfc2020``."""
    download: Download
    """Options of ``action=download``."""
    export: ExportScene
    """Options of ``action=export``."""
    examples: Examples
    """Options of ``action=examples``."""


PROGRAMS: Mapping[str, type[Settings]] = {"predict": Predict, "prepare": Prepare, "report": Report, "export": Export}
"""Name of the file in ``conf/`` -> what its settings may be."""
