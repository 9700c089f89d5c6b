"""Opens all rasters safely, reads their headers, and compares their grids.

A file that somebody else made is opened by the driver that it was meant for, GeoTIFF or JPEG 2000. A VRT or another
description that points elsewhere would have GDAL read other files of this computer, so one is opened only where its
user named it. No file makes GDAL reach the network: only an address that the user named is read, see `opened`.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from cromss.io.redact import redact

# Options set by `rasterio.Env` hold in one thread only, those of the environment in every thread and worker process.
# GDAL registers its drivers when the first file is opened, which is later than this import.
os.environ |= {
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
    "GDAL_SKIP": "HTTP,WMS,WCS,WMTS,OGCAPI,DAAS,EEDA,EEDAI,PLMOSAIC,STACIT,STACTA,netCDF,Zarr,MRF,GTI",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
}
for _name, _seconds in (("GDAL_HTTP_CONNECTTIMEOUT", "15"), ("GDAL_HTTP_TIMEOUT", "60")):
    os.environ.setdefault(_name, _seconds)

import rasterio  # noqa: E402
from rasterio.errors import NotGeoreferencedWarning, RasterioError  # noqa: E402
from rasterio.io import MemoryFile  # noqa: E402

# The error that is raised contains the message of GDAL.
for _name in ("rasterio._env", "rasterio._err"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

GEOTIFF = ("GTiff",)
"""For files in folders and archives."""

RASTERS = ("GTiff", "JP2OpenJPEG")
"""For scenes, and for the bands of a product as ESA delivers it."""

NAMED_BY_USER = (*RASTERS, "VRT")
"""For a file that the user named, and for those that this program wrote."""

_MAGIC = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP  ": "JP2OpenJPEG",
    b"\xffO\xffQ": "JP2OpenJPEG",
}
_HEAD = 1024
_LARGEST_VRT = 64 * 10**6

_RASTERS_BESIDE = (".msk", ".ovr")
"""Endings of files beside a raster that GDAL opens by whatever driver fits."""

_TEXTS_BESIDE = (
    ".aux.xml",
    ".aux",
    ".tfw",
    ".tifw",
    ".tiffw",
    ".jgw",
    ".j2w",
    ".wld",
    ".tab",
    ".imd",
    ".rpb",
    ".rpc",
    ".xml",
)
"""Endings, added to the name or in place of its ending, of files that GDAL reads beside a raster."""

_ADDRESS = re.compile(r"(?:/vsicurl/)?(https?):/+(.+)", re.IGNORECASE)
"""A web address, whose slashes `pathlib.Path` reduces to one."""

_IN_ARCHIVE = re.compile(r"(/vsi(?:zip|tar|gzip))/(.+)")
"""How GDAL calls members of archives."""

_ELSEWHERE = re.compile(r"(?:[a-z][a-z0-9+.-]+:/|/vsi[a-z0-9_]+(?:/|$)).*", re.IGNORECASE)
"""Addresses, and names of GDAL's virtual files."""

_POINTS_TO_NETWORK = re.compile(rb"<Source(?:Filename|Dataset)[^>]*>[^<]*(?:://|/vsi(?!zip|tar|gzip))", re.IGNORECASE)

_SAME_GRID = 1e-3
"""Pixels by which corners may differ between files on one grid: less than any resampling would show."""


class Header(NamedTuple):
    """What a raster states about itself.

    Attributes:
        bands: Number of its bands.
        dtype: Type of its first band.
        size: ``(H, W)`` in pixels.
        names: Descriptions of the bands.
        crs: Coordinate system of `transform`, or of `gcps` where these stand in its place; ``"none"`` without.
        transform: The first six numbers of the affine transform; that of the identity where there is none.
        gcps: Ground control points ``(row, column, x, y, z)`` of a file that has no transform.
    """

    bands: int
    dtype: str
    size: tuple[int, int]
    names: tuple[str | None, ...]
    crs: str
    transform: tuple[float, ...]
    gcps: tuple[tuple[float, ...], ...] = ()


@contextmanager
def opened(file: Path, drivers: Sequence[str] = GEOTIFF) -> Iterator[rasterio.DatasetReader]:
    """Opens a file to read from.

    Args:
        file: Path on this computer. With `NAMED_BY_USER` also a web address, or a member of an archive as GDAL calls
            it: ``/vsizip/``, ``/vsitar/`` or ``/vsigzip/`` and the path.
        drivers: GDAL names of the formats that it may have: `GEOTIFF`, `RASTERS` or `NAMED_BY_USER`.

    Raises:
        ValueError: It is missing, is no regular file, has another format, is damaged, or points to other files. The
            message names it.
    """
    remote = _remote_name(file) if drivers == NAMED_BY_USER else None
    driver = _driver_of(file, drivers) if remote is None else ""
    try:
        with ExitStack() as stack:
            # Patches without georeference are fine, as long as all files of a location are alike.
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            if remote is not None:
                source = stack.enter_context(_opened_remote(remote))
            elif driver == "VRT":
                _check_sources(file)
                source = stack.enter_context(rasterio.open(file, driver=driver))
            else:
                _check_beside(file)
                source = stack.enter_context(rasterio.open(file, driver=driver))
                _check_overviews(file, source)
            yield source
    except RasterioError as error:
        shown, reason = redact(remote or str(file)), redact(str(error.__cause__ or error))
        raise ValueError(f"{shown} cannot be read ({reason}): it is truncated, damaged or no GeoTIFF") from error


@contextmanager
def opened_bytes(data: bytes, where: str) -> Iterator[rasterio.DatasetReader]:
    """Opens the bytes of a GeoTIFF, such as a member of an archive; ValueError, starting with `where`, as `opened`."""
    if not any(data.startswith(magic) for magic, driver in _MAGIC.items() if driver in GEOTIFF):
        raise ValueError(f"{where} cannot be read: it is {'no GeoTIFF' if data else 'empty'}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with MemoryFile(data) as file, file.open(driver=GEOTIFF[0]) as source:
                _check_overviews(Path(where), source)
                yield source
    except RasterioError as error:
        reason = error.__cause__ or error
        raise ValueError(f"{where} cannot be read ({reason}): it is truncated, damaged or no TIFF") from error


def header_of(source: rasterio.DatasetReader) -> Header:
    """The header of an open file."""
    points, points_crs = source.gcps if source.crs is None else ((), None)
    crs = source.crs or (points_crs if points else None)
    return Header(
        bands=source.count,
        dtype=source.dtypes[0],
        size=(source.height, source.width),
        names=source.descriptions,
        crs=crs.to_string() if crs else "none",
        transform=tuple(source.transform)[:6],
        gcps=tuple((point.row, point.col, point.x, point.y, point.z) for point in points),
    )


def grid_difference(one: Header, other: Header) -> str:
    """The first difference between the grids of two files of a location, as text; empty where there is none."""
    if one.size != other.size:
        return f"size: {one.size} and {other.size} px"
    if one.crs != other.crs:
        return f"CRS: {one.crs} and {other.crs}"
    if one.gcps != other.gcps:
        return f"ground control points: {len(one.gcps)} and {len(other.gcps)}, which are not equal"
    pixel = max(abs(other.transform[0]), abs(other.transform[1]))
    reach = (max(one.size), max(one.size), 1) * 2
    shifts = [abs(a - b) * n for a, b, n in zip(one.transform, other.transform, reach, strict=True)]
    if max(shifts) > _SAME_GRID * pixel:
        return f"transform: {one.transform} and {other.transform}"
    return ""


def absent(path: Path) -> str:
    """The message for a path that does not exist."""
    if _ELSEWHERE.fullmatch(str(path)):
        address = re.sub(r"^([\w+.-]+:)/+", r"\1//", redact(str(path)))
        return f"{address} is no path on this computer: download it, and give the path of the file"
    return f"{path} does not exist: check the path"


def _remote_name(file: Path) -> str | None:
    """GDAL's name for an address or a member of an archive; None for a path."""
    if file.exists():
        return None
    name = str(file)
    if address := _ADDRESS.fullmatch(name):
        return f"/vsicurl/{address[1]}://{address[2]}"
    if (member := _IN_ARCHIVE.fullmatch(name)) and "/vsi" not in f"/{member[2]}":
        # Of the two slashes before an absolute path, `pathlib.Path` kept one.
        absolute = any(parent.is_file() for parent in Path("/", member[2], "member").parents)
        return f"{member[1]}/{'/' if absolute else ''}{member[2]}"
    return None


@contextmanager
def _opened_remote(name: str) -> Iterator[rasterio.DatasetReader]:
    """Opens an address or a member of an archive that the user named.

    Of the network this one file can be read, and nothing beside it. Once it is open it is read in any thread.
    """
    allowed = {"CPL_VSIL_CURL_ALLOWED_FILENAME": name} if name.startswith("/vsicurl/") else {}
    with rasterio.Env(**allowed, GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        is_jpeg = re.search(r"\.jp2(?:\?|$)", name, re.IGNORECASE)
        source = rasterio.open(name, driver="JP2OpenJPEG" if is_jpeg else "GTiff")
    with source:
        _check_overviews(Path(name), source)
        yield source


def _check_sources(file: Path) -> None:
    """ValueError where a VRT points into the network, which could not be read."""
    size = file.stat().st_size
    if size > _LARGEST_VRT:
        raise ValueError(f"{file} has {size / 1e6:,.0f} MB: a VRT has at most {_LARGEST_VRT // 10**6} MB")
    if _POINTS_TO_NETWORK.search(file.read_bytes()):
        raise ValueError(
            f"{file} points into the network, where only an address that is named on the command line is read: fetch "
            "these files, or give the address of the image itself"
        )


def _driver_of(file: Path, drivers: Sequence[str]) -> str:
    """Driver for a file by its first bytes, which no other driver is asked for."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise ValueError(absent(file) if _ELSEWHERE.fullmatch(str(file)) else f"{file} is missing") from error
    if not stat.S_ISREG(mode):
        raise ValueError(f"{file} is no regular file")
    try:
        with file.open("rb") as opened_file:
            head = opened_file.read(_HEAD)
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror})") from error
    driver = next((driver for magic, driver in _MAGIC.items() if head.startswith(magic)), None)
    if head.lstrip().startswith(b"<VRTDataset"):
        driver = "VRT"
    if driver is None or driver not in drivers:
        meant = " or ".join({"GTiff": "GeoTIFF", "JP2OpenJPEG": "JPEG 2000"}.get(name, name) for name in drivers)
        found = "a VRT, which points to other files" if driver == "VRT" else f"no {meant}"
        if head.startswith((b"PK\3\4", b"\x1f\x8b")):
            found = "an archive, which has to be unpacked first"
        raise ValueError(f"{file} cannot be read: it is {found}; {meant} is needed here")
    return driver


def _check_beside(file: Path) -> None:
    """ValueError where files beside a raster would block GDAL, or make it read other files."""
    # As text, since 28 names are asked for beside every file of a folder.
    bare = file.with_suffix("")
    there = [name for ending in _RASTERS_BESIDE if os.access(name := f"{file}{ending}", os.F_OK)]
    for raster in there:
        _driver_of(Path(raster), GEOTIFF)
    there = [name for ending in _TEXTS_BESIDE for one in (file, bare) if os.access(name := f"{one}{ending}", os.F_OK)]
    if other := [name for name in there if not Path(name).is_file()]:
        raise ValueError(f"{other[0]}, which belongs to {file.name}, is no regular file: remove it")


def _check_overviews(file: Path, source: rasterio.DatasetReader) -> None:
    if source.tags(ns="OVERVIEWS"):
        raise ValueError(f"{file} points to overviews in another file: remove these, e.g. by gdaladdo -clean")
