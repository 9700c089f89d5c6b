"""Settings of the other programs: the types of the keys of ``conf/{predict,prepare,report,export}.yaml``.

What a key means, and the reason for its default, is written beside it in that file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from cromss.config.dataset import Classes, Units
from cromss.config.settings import (
    LITERAL,
    OPTIONAL,
    AddressText,
    Count,
    CountOrZero,
    Means,
    NonNegative,
    PathText,
    Positive,
    Settings,
    Share,
    Text,
    keys_of,
)
from cromss.config.whole import TRAIN
from cromss.config.words import OneOf
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
HttpUrl = Annotated[
    str, _matching(r"https?://[^/\s]+\S*"), Means("an address that begins with http:// or https://"), LITERAL
]


class Predict(Settings):
    """Settings of ``cromss predict``."""

    checkpoint: PathText
    s1: PathOrNone
    s2: PathOrNone
    out: PathText
    s2_offset: Offset
    units: Units
    align: bool
    branch: Literal["s1", "s2", "common", None]
    window: Annotated[int | None, AfterValidator(_halvable), Means("a multiple of 32 px, or null")]
    overlap: Annotated[float, Field(ge=0, le=0.9), Means("a share of a window in [0, 0.9]")]
    batch_size: Count
    device: Device
    precision: Literal["float32", "bfloat16"]
    probabilities: bool
    confidence: bool
    preview: bool
    overwrite: bool
    progress_bar: bool
    truth: PathOrNone
    cache_mb: Count | None


class Export(Settings):
    """Settings of ``cromss export``."""

    checkpoint: AddressText
    out: PathText
    modality: Literal["s1", "s2", "common"]
    origin: Annotated[str, OneOf(tuple(ORIGINS))]
    sha256: Sha256
    overwrite: bool


class Report(Settings):
    """Settings of ``cromss report``."""

    table: Literal["dfc2020", "dw", "osm", None]
    runs: PathText | Annotated[list[PathText], Field(min_length=1)]
    format: Literal["text", "csv", "markdown", "latex"]
    out: PathOrNone
    overwrite: bool
    status: PathOrNone
    wandb: Annotated[str, _matching(r"[^/\s]+(/[^/\s]+)?"), Means("a W&B project, [ENTITY/]PROJECT")] | None
    sweep: PathOrNone


class Compression(Settings):
    """Codec of each field of a store."""

    s1: Codec = "none"
    s2: Codec = "none"
    labels: Codec = "none"
    truth: Codec = "none"


class Reference(Settings):
    """Options of ``source=reference``."""

    kind: Labels


class FolderFiles(Settings):
    """File name per modality."""

    s1: PathOrNone
    s2: PathOrNone


class Folder(Settings):
    """Options of ``source=folder``."""

    files: FolderFiles
    labels: PathText
    truth: PathOrNone
    classes: Classes
    s2_offset: Offset
    units: Units


class Ssl4eoS12(Settings):
    """Options of ``source=ssl4eo_s12``."""

    labels: PathOrNone
    ids: PathOrNone
    size: Annotated[Count, AfterValidator(_in_sixths), Means("a multiple of 6")]
    seasons: Count


class Tiles(Settings):
    """Options of ``source=dw`` and ``source=osm``."""

    cut: Side
    size: Side


class Dfc2020(Settings):
    """Options of ``source=dfc2020``."""

    split: Literal["validation", "test"]
    cut: Side


class Network(Settings):
    """Options of requests to servers."""

    attempts: Count
    wait_seconds: NonNegative
    longest_wait_seconds: NonNegative
    requests_per_second: Positive
    timeout_seconds: Positive


class DownloadDw(Settings):
    """Options of ``action=download source=dw``."""

    tiles: PathOrNone
    again: bool
    project: Text | None
    url: HttpUrl
    days: Annotated[int, Field(ge=1, le=366)]
    cloud: Annotated[float, Field(ge=0, le=100)]


class DownloadOsm(Settings):
    """Options of ``action=download source=osm``."""

    tiles: PathOrNone
    again: bool
    url: HttpUrl
    layer: Text
    legend: Annotated[PathText | list[Text] | None, Means("a picture, a list of 14 colours, or null")]
    margin: Share
    scale: Annotated[int, Field(ge=1, le=8)]
    opening: Annotated[int, Field(ge=1, le=99)]


class Archive(Settings):
    """One archive to download."""

    url: HttpUrl
    sha256: Sha256 = None


class DownloadArchives(Settings):
    """Options of ``action=download source=ssl4eo_s12``."""

    select: Text
    archives: Annotated[list[Archive], Field(min_length=1), Means("a list of {url: ..., sha256: ...}")]


class Download(Settings):
    """Options of ``action=download``."""

    tiles: PathOrNone
    again: bool
    network: Network
    dw: DownloadDw
    osm: DownloadOsm
    ssl4eo_s12: DownloadArchives


class ExportScene(Settings):
    """Options of ``action=export``."""

    world: CountOrZero
    location: CountOrZero
    size: Annotated[int, Field(ge=32, le=4096)]
    noise: Annotated[float, Field(ge=0, le=100)]


class Examples(Settings):
    """Options of ``action=examples``."""

    url: HttpUrl


class ReferencePaths(Settings):
    """A published LMDB per field, for ``source=reference``."""

    s1: PathText = OPTIONAL
    s2: PathText = OPTIONAL
    labels: PathText = OPTIONAL


class Prepare(Settings):
    """Settings of ``cromss prepare``."""

    action: Literal["convert", "plan", "verify", "stats", "download", "export", "examples"]
    source: Literal["ssl4eo_s12", "dw", "osm", "dfc2020", "reference", "folder", None]
    path: Annotated[PathText | ReferencePaths | None, Means("a path")]
    out: PathOrNone
    quantise: bool
    compression: Compression
    overwrite: bool
    workers: Annotated[Literal["auto"] | Count, Means("auto or a whole number of at least 1")]
    locations_per_shard: Count
    shard: Annotated[
        CountOrZero | Annotated[str, _matching(r"\d{1,9}/\d{1,9}")] | None,
        Means("the number of a job from 0, such as 3/64, or null"),
    ]
    shards: Count | None
    retry: bool
    accept_missing: bool
    reference: Reference
    folder: Folder
    ssl4eo_s12: Ssl4eoS12
    dw: Tiles
    osm: Tiles
    dfc2020: Dfc2020
    download: Download
    export: ExportScene
    examples: Examples


PROGRAMS: Mapping[str, type[Settings]] = {"predict": Predict, "prepare": Prepare, "report": Report, "export": Export}
"""Name of the file in ``conf/`` -> the class of its settings."""


@cache
def settings_of(program: str) -> dict[str, Any]:
    """Dotted key -> annotation of all settings of a program, whatever options of its groups are chosen.

    Args:
        program: ``"train"``, or a key of `PROGRAMS`.
    """
    models = TRAIN if program == "train" else [("", PROGRAMS[program])]
    return {key: hint for prefix, model in models for key, hint, _ in keys_of(model, prefix)}
