"""Which band of an image file is which: by the names that common software writes, by position only without any name.

Known are the published names (``B4``, ``VV``) and those of SNAP (``Sigma0_VV_db``), Earth Engine (``angle``, ``QA60``),
sen2cor and SAFE (``T32UPU_20180505T103021_B04_10m``), GDAL's SENTINEL2 driver (``B4, central wavelength 665 nm``) and
the STAC common names (``red``, ``nir08``) with their usual variants. Names say nothing about units: those are judged
by the values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cromss.dataset.bands import BANDS
from cromss.io.plain import shown


class BandNames(NamedTuple):
    """The bands of a file.

    Attributes:
        names: Published names in the order of the file, without `extras`.
        indexes: Number of each of `names` in the file, from 1.
        extras: Descriptions of what the file holds besides, e.g. ``angle``.
        assumed: Whether the file names no band, so that the published order is assumed.
    """

    names: tuple[str, ...]
    indexes: tuple[int, ...]
    extras: tuple[str, ...]
    assumed: bool


def name_bands(modality: str, descriptions: Sequence[str | None]) -> BandNames:
    """Finds out which bands a file holds.

    Args:
        modality: ``"s1"`` or ``"s2"``.
        descriptions: What the file calls its bands, in its order; None or empty where it says nothing. Masks and alpha
            bands that the file marks as such are left out.

    Raises:
        ValueError: A name is unknown or occurs twice, some bands have names and others have none, or there are no
            names and another number of bands than the modality has. The message is the reason and the cure, without
            the file's name.
    """
    known = tuple(band.name for band in BANDS[modality])
    written = _without_counters([(text or "").strip() for text in descriptions])
    extras = [number for number, name in enumerate(written) if _is_extra(name)]
    kept = [number for number in range(len(written)) if number not in extras]
    found = [band_of(modality, written[number]) for number in kept]
    if "band8a" not in ("".join(_words(name)) for name in written):
        pairs = zip(kept, found, strict=True)
        found = [None if _NUMBER_OR_POSITION.fullmatch(written[n]) else name for n, name in pairs]
    assumed = not any(written[number] for number in kept)
    if assumed:
        if len(kept) != len(known):
            raise ValueError(
                f"it has {len(kept)} bands without names, and {modality} has {len(known)} ({' '.join(known)}): write "
                "these names as the band descriptions of a selection of them or of another order"
            )
        found = list(known)
    if unknown := [
        f"{shown(written[number]) or 'no name'} (band {number + 1})"
        for number, name in zip(kept, found, strict=True)
        if name is None
    ]:
        raise ValueError(
            f"it has bands that are not known as {modality}: {', '.join(unknown)}; known are {' '.join(known)} and "
            f"aliases such as {_EXAMPLES[modality]}: write these names as the band descriptions, or remove all "
            "descriptions if the bands are in this order"
        )
    names = tuple(name for name in found if name is not None)
    if twice := sorted({name for name in names if names.count(name) > 1}, key=known.index):
        called = [f"{shown(written[n])} (band {n + 1})" for n, name in zip(kept, names, strict=True) if name in twice]
        raise ValueError(
            f"it has {', '.join(twice)} several times: {', '.join(called)}; keep one band of each, of one date"
        )
    if not names:
        raise ValueError(f"it has no band of {modality}: {' '.join(known)} are expected")
    return BandNames(names, tuple(number + 1 for number in kept), tuple(written[number] for number in extras), assumed)


def band_of(modality: str, name: str) -> str | None:
    """The published name of a band, or None where a name is not known.

    Args:
        modality: ``"s1"`` or ``"s2"``.
        name: A band description, or the name of a file with one band, without its ending.
    """
    if len(name) > _LONGEST:
        return None
    return _radar_band(name) if modality == "s1" else _optical_band(name)


def band_of_file(modality: str, stem: str) -> str | None:
    """The published name of the one band that a file holds by its own name, or None where that is not known.

    Args:
        modality: ``"s1"`` or ``"s2"``.
        stem: Name of the file without its ending, e.g. ``T32UPU_20180505T103021_B04_10m`` or ``site7_B04``.
    """
    # Of one's own files the beginning is free, as long as the end is the name of a band.
    if len(stem) > _LONGEST:
        return None
    end = re.fullmatch(r".*[_-]([bB]\d{1,2}[aA]?|[vV][vVhH])(?:_\d+m)?", stem)
    return band_of(modality, stem) or (band_of(modality, end[1]) if end else None)


_LONGEST = 255
"""Characters of a name, as of a file's; a description of megabytes is not looked at."""

_EXAMPLES = {"s1": "Sigma0_VV_db or Gamma0_VH", "s2": "B04, B4_10m, red, nir08 or swir16"}

_ALIASES = {
    "B1": "coastal coastalaerosol coastalaerosols coastalblue ultrablue aerosol aerosols",
    "B2": "blue",
    "B3": "green",
    "B4": "red",
    "B5": "rededge rededge1 re1 rededge071 vegetationrededge1 vre1",
    "B6": "rededge2 re2 rededge075 vegetationrededge2 vre2",
    "B7": "rededge3 re3 rededge078 vegetationrededge3 vre3",
    "B8": "nir nir1 nirbroad broadnir widenir",
    "B8A": "nir08 nir2 nir8a nira nirnarrow narrownir nnir rededge4 re4",
    "B9": "nir09 wv watervapor watervapour",
    "B10": "cirrus swircirrus",
    "B11": "swir1 swir16",
    "B12": "swir2 swir22",
}
_VAGUE = {
    "rededge": {"B5", "B6", "B7"},
    "vegetationrededge": {"B5", "B6", "B7", "B8A"},
    "nir": {"B8", "B8A"},
    "swir": {"B10", "B11", "B12"},
}
"""Words that name one band only together with its number."""

_BY_ALIAS = {alias: band for band, aliases in _ALIASES.items() for alias in aliases.split()}

_POLARISATIONS = ("vv", "vh", "hh", "hv")

_DATE = r"(?:\d{8}(?:t\d{6,9})?|\d{2}[a-z]{3}\d{4})"
_RADAR_WORDS = re.compile(
    rf"(?:sigma|gamma|beta)(?:0|nought|naught)?|0|nought|naught|db|decibels?|linear|lin|power|intensity|amplitude|iw\d?|ew"
    rf"\d?|sm|grd[hm]?|slc|rtc|s1[abcd]?|sar|cal|tc|ml|spk|tnr|bnr|nr|orb|norm|backscatter|mean|median"
    rf"|asc(?:ending)?|desc(?:ending)?|mst|slv\d*|c?og|1s[ds][vh]|terrain|flattened|tf|\d{{3}}|{_DATE}|[0-9a-f]{{4}}|[0-9a-f]{{6}}"
)
"""What may stand beside a polarisation: calibration, product, processing steps and dates; never parts or ratios."""

_WAVELENGTH = re.compile(
    r"[,(\s]*(?:central wavelength\s*)?\b\d+(?:\.\d+)?\s?(?:nm|nanomet(?:er|re)s?)\b\)?", re.IGNORECASE
)
"""Wavelength that GDAL adds to the name."""

_OPTICAL_WORDS = re.compile(
    rf"[126]0m|(?:t|l1c_t)?\d{{2}}[a-z]{{3}}|{_DATE}|s2[abcd]?|msi|msil[12][ac]|l[12][ac]|n\d{{4}}|r\d{{3}}|toa"
    r"|boa|sr|refl|reflectance|resampled|mean|median"
)
"""What may stand beside a band: resolution, tile, date and product."""

_EXTRAS = re.compile(
    r"(?:local|projectedlocal|ellipsoid)?incidence(?:angle)?(?:fromellipsoid)?|angle|(?:p?l)?ia|inc|incangle|theta"
    r"|(?:view|sun|solar|satellite|sensor)(?:zenith|azimuth|elevation)(?:angles?|mean)*(?:b\d+a?)?"
    r"|qa(?:10|20|60)?|pixelqa|scl|sceneclassification(?:map)?|qualitysceneclassification|qualityaot|qualitywvp"
    r"|qualitycloudconfidence|qualitysnowconfidence|aot|wvp|visual|tci[rgb]?|cld|snw|cldprb|snwprb|msk[a-z]+"
    r"|clouds?(?:prob(?:ability)?|mask|s)?|clm|clp|probability|shadows?(?:mask)?|layovershadow(?:mask)?|alpha"
    r"|(?:data|valid|nodata|quality)?mask|valid|nodata|elevation|dem"
)
"""Names, without separators, of what is no band of a sensor: angles, quality layers, masks, terrain."""

_COUNTER = re.compile(r"(?:band|layer|lyr|channel|ch|image|raster|gr[ae]y|x)?[ ._-]*(?P<number>\d{1,4})", re.IGNORECASE)
"""Names that only count, which programs write where there are none."""

_NUMBER_OR_POSITION = re.compile(r"band[ ._-]*(?:9|1[0-3])", re.IGNORECASE)
"""B9, or the 9th band, which is B8A."""


def _radar_band(name: str) -> str | None:
    words = _words(name)
    found = [word for word in words if word in _POLARISATIONS]
    others = [word for word in words if word not in _POLARISATIONS]
    if len(found) != 1 or found[0] not in ("vv", "vh") or not all(_RADAR_WORDS.fullmatch(word) for word in others):
        return None
    return found[0].upper()


def _optical_band(name: str) -> str | None:
    words = [word for word in _words(_WAVELENGTH.sub(" ", name)) if not _OPTICAL_WORDS.fullmatch(word)]
    numbered = {band for word in words if (band := _numbered_band(word))}
    rest = "".join(word for word in words if not _numbered_band(word))
    named: set[str | None] = {_BY_ALIAS.get(rest) or _numbered_band(rest)} if rest else set()
    if len(numbered) == 1 and rest in _VAGUE and numbered <= _VAGUE[rest]:
        named = set(numbered)
    found = numbered | named
    return found.pop() if len(found) == 1 else None


def _numbered_band(word: str) -> str | None:
    """B4 of b4, b04 and band8a-like words."""
    match = re.fullmatch(r"(?:b|band)0?(\d{1,2}a?)", word)
    name = f"B{match[1].upper()}" if match else None
    return name if name in _ALIASES else None


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", re.sub(r"sentinel[ _-]?([12])", r"s\1", name.lower()))


def _is_extra(name: str) -> bool:
    return len(name) <= _LONGEST and _EXTRAS.fullmatch("".join(_words(name))) is not None


def _without_counters(written: Sequence[str]) -> list[str]:
    """Without names that only count the bands: ``Band 1, Band 2, …``."""
    bare = [name for name in written if not _is_extra(name)]
    numbers = [int(match["number"]) if (match := _COUNTER.fullmatch(name)) else None for name in bare]
    if numbers not in ([*range(1, len(bare) + 1)], [*range(len(bare))]):
        return list(written)
    return [name if _is_extra(name) else "" for name in written]
