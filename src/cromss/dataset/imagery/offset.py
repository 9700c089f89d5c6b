"""The offset of +1000 of Sentinel-2 products since processing baseline 04.00: found, and compared with the values.

It is stated by the user, tags of the file, the product's metadata or its name. Harmonised products, whose offset was
taken off, often keep name and tags of the original: values that cannot carry the offset count more than those.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

import numpy as np

from cromss.io.plain import Limits, NotPlainError, read_file, shown

log = logging.getLogger(__name__)

OFFSET_SINCE = 4.0
"""Processing baseline from which on products carry the offset (ESA, January 2022)."""

OFFSET = 1000

LARGEST_OFFSET = 10_000
"""A reflectance of 1: a larger value is no offset."""

ASK = "set s2_offset=1000 if the values carry the offset of +1000, s2_offset=0 if not"

_METADATA = Limits(size=16 * 2**20)
"""Limits: the metadata of products have some 100 kB."""

_BELOW = 0.9
"""Share of the offset that values which carry it hardly fall below: dark pixels are noisy, not negative."""

_IMPOSSIBLE = 0.8
"""Share of the offset that a tenth of the values which carry it never fall below: a reflectance of -0.02."""

_CLOUDS = 1.3
"""B10 of at most 300 is common, and more, half of a scene long, means clouds: published values are 22 +- 51."""

_FEWEST = 100
"""Known pixels below which values prove nothing."""


class Offset(NamedTuple):
    """The value that is subtracted from S2 values.

    Attributes:
        value: The offset.
        source: Where it was found; None where the user set it, or nothing states it.
        assumed: Whether nothing states it.
    """

    value: int
    source: str | None
    assumed: bool = False


def find_offset(path: Path, tags: Iterable[Mapping[str, str]], quantised: bool, given: int | None) -> Offset:
    """The offset of a Sentinel-2 image: the setting of the user, else what the image states.

    Args:
        path: The image: a file, or a folder such as a ``.SAFE`` product.
        tags: Metadata of each of its raster files.
        quantised: Whether its values are `cromss.dataset.quantise` output, which has no offset.
        given: What the user set, or None.

    Raises:
        ValueError: Nothing states it, what states it contradicts itself or cannot be read, or an offset is given for
            quantised values.
    """
    if quantised:
        if given:
            raise ValueError(f"s2_offset={given} is meant for raw units and {path} is uint8: set s2_offset=0")
        return Offset(0, None)
    if given is not None:
        return Offset(given, None)
    found = dict.fromkeys(detect_offset(path, one) for one in tags)
    if len(offsets := {stated and stated[0] for stated in found}) > 1:
        raise ValueError(
            f"the files of {path} name different offsets ({', '.join(map(str, offsets))}): bring them to one and "
            "set s2_offset=…"
        )
    stated = next(iter(found), None)
    if stated is None:
        raise ValueError(
            f"{path} does not say whether its values carry the offset of +1000 of Sentinel-2 products since 2022 "
            f"(processing baseline 04.00): {ASK}"
        )
    if not 0 <= stated[0] <= LARGEST_OFFSET:
        raise ValueError(f"{path}: {shown(stated[1])} is no offset in [0, {LARGEST_OFFSET}]: set s2_offset=0 or 1000")
    return Offset(*stated)


def check_offset(
    path: Path, offset: Offset, names: Sequence[str], values: np.ndarray, has_setting: bool = True
) -> None:
    """Compares an offset with the values.

    Warns where the values contradict what the user set, or probably contradict metadata or what is assumed.

    Args:
        path: Name of the image in messages.
        offset: The offset to check.
        names: Published names of the K bands.
        values: ``(K, N)`` values of known pixels in raw units, from which nothing has been subtracted.
        has_setting: Whether the user has a setting for the offset, for the message.

    Raises:
        ValueError: The values clearly contradict metadata, or what is assumed where nothing states it.
    """
    if values.shape[1] < _FEWEST:
        return
    find = _missing if offset.value else _carried
    evidence, certain = find(names, values, offset.value or OFFSET)
    if not evidence:
        return
    if offset.value:
        said = f"{path}: {evidence}, as if an offset of {offset.value:+d}{_source_clause(offset)} was already taken off"
    else:
        said = f"{path}: {evidence}, as if its values carried the offset of {OFFSET:+d}, and s2_offset is 0"
        said += _source_clause(offset)
    if certain and (offset.source is not None or offset.assumed):
        raise ValueError(f"{said}: {ASK if has_setting else 'bring the file to values without it'}")
    log.warning("%s: %s", said, "set s2_offset=0 if it has" if offset.value else f"set s2_offset={OFFSET} if they do")


def _source_clause(offset: Offset) -> str:
    if offset.assumed:
        return ", as nothing states one"
    return "" if offset.source is None else f", which {offset.source} states,"


def _missing(names: Sequence[str], values: np.ndarray, offset: int) -> tuple[str, bool]:
    """Evidence against values that carry the offset, and whether nothing else explains it."""
    if "B10" in names:
        # The atmosphere absorbs nearly all of B10, so its values are about the offset.
        middle = float(np.median(values[names.index("B10")]))
        return (f"half of B10 lies below {middle:g}", True) if middle < _BELOW * offset else ("", False)
    for share, part, least, certain in ((10, "tenth", _IMPOSSIBLE, True), (1, "hundredth", _BELOW, False)):
        dark = np.percentile(values, share, axis=1)
        if (darkest := dark.min()) < least * offset:
            return f"a {part} of {names[dark.argmin()]} lies below {darkest:g}", certain
    return "", False


def _carried(names: Sequence[str], values: np.ndarray, offset: int) -> tuple[str, bool]:
    """Evidence for values that carry the offset, and whether nothing else explains it."""
    lowest = np.percentile(values, 1, axis=1)
    if (darkest := lowest.min()) < _BELOW * offset:
        return "", False
    if "B10" in names:
        position = names.index("B10")
        # Only high clouds that cover everything, which are not labelled, are bright in B10, and hardly as evenly.
        even = float(np.median(values[position])) < _CLOUDS * offset
        return f"nearly all of B10 lies above {lowest[position]:g}", even
    # Without B10 a bright desert has no dark values either, but none that end just above the offset.
    is_edge = darkest < 1.1 * offset
    return (f"its darkest band, {names[lowest.argmin()]}, begins at {darkest:g}", False) if is_edge else ("", False)


def detect_offset(path: Path, tags: Mapping[str, str]) -> tuple[int, str] | None:
    """Reads the offset that a Sentinel-2 image states.

    Args:
        path: The image: a file, or a folder such as a ``.SAFE`` product.
        tags: Metadata of its raster file.

    Returns:
        The value to subtract, and its source; None where nothing states it.

    Raises:
        ValueError: The product's metadata cannot be read, or names different offsets for its bands.
    """
    if stated := _of_tags(tags):
        return stated
    folders = [path if path.is_dir() else path.parent]
    folders += [folder for folder in folders[0].parents if folder.suffix == ".SAFE"]
    for folder in folders:
        found = [stated for file in sorted(folder.glob("MTD_MSIL*.xml")) if (stated := _of_product(file))]
        if len({offset for offset, _ in found}) > 1:
            raise ValueError(f"{folder} holds products with different offsets: set s2_offset=0 or 1000")
        if found:
            return found[0]
    # S2A_MSIL1C_20230101T103421_N0509_R108_T32TPS_...: N and the baseline, without its dot.
    for part in (path.name, *(parent.name for parent in path.absolute().parents)):
        if named := re.match(r"S2[A-D]_MSIL[12][AC]_\d{8}T\d{6}_N(\d{4})_", part):
            return _of_baseline(named[1]), f"its name, {part}"
    return None


def _of_tags(tags: Mapping[str, str]) -> tuple[int, str] | None:
    offsets = {
        f"{name}={value}": -_whole(value, f"{name}={value}")
        for name, value in tags.items()
        if re.fullmatch(r"(radio|boa)_add_offset\w*", name.lower())
    }
    if len(set(offsets.values())) > 1:
        raise ValueError(
            f"tags name different offsets for the bands ({', '.join(map(shown, offsets))}): bring them to one and set "
            "s2_offset=0"
        )
    for stated, offset in offsets.items():
        return offset, shown(stated)
    for name, value in tags.items():
        if name.lower() in ("processing_baseline", "processingbaseline", "s2:processing_baseline"):
            return _of_baseline(value), shown(f"{name}={value}")
    return None


def _of_product(file: Path) -> tuple[int, str] | None:
    try:
        texts = _elements(read_file(file, _METADATA))
    except (NotPlainError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({error}): fetch the product again, or set s2_offset=…") from error
    offsets = {_whole(text, f"{tag} in {file}") for tag, text in texts if tag in ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET")}
    if len(offsets) > 1:
        raise ValueError(f"{file} names offsets {sorted(offsets)} for its bands: bring them to one and set s2_offset=0")
    if offsets:
        return -offsets.pop(), f"offsets in {file.name}"
    baselines = [text for tag, text in texts if tag == "PROCESSING_BASELINE"]
    return (_of_baseline(baselines[0]), f"processing baseline {baselines[0]} in {file.name}") if baselines else None


def _elements(content: bytes) -> list[tuple[str, str]]:
    """Name, without namespace, and text of the elements of an XML file that hold text; NotPlainError if it is none."""
    found: list[tuple[str, str]] = []
    texts: list[list[str]] = []

    def begin(name: str, attributes: Mapping[str, str]) -> None:
        if len(texts) == _METADATA.depth:
            raise NotPlainError(f"it is nested more than {_METADATA.depth} levels deep")
        texts.append([])

    def end(name: str) -> None:
        if text := "".join(texts.pop()).strip():
            found.append((name.rpartition(":")[2], text))

    def add(text: str) -> None:
        texts[-1].append(text)

    def refuse(*_: object) -> None:
        # Entities can multiply a short file to gigabytes, and name other files.
        raise NotPlainError("it declares a document type or entities, which are refused")

    parser = expat.ParserCreate()
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = add
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise NotPlainError(f"it is not XML: {error}") from error
    return found


def _whole(text: str, where: str) -> int:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number.is_integer():
        raise ValueError(f"{shown(where)} is no whole number: set s2_offset=0 or 1000")
    return int(number)


def _of_baseline(text: str) -> int:
    """05.09, N05.09, 0509 and N0509 are one."""
    stated = re.fullmatch(r"N?(\d{1,2})\.?(\d\d)|N?(\d{1,2})\.(\d)", text.strip())
    if stated is None:
        raise ValueError(f"processing baseline {shown(text)} is no number such as 05.09: set s2_offset=0 or 1000")
    return OFFSET if float(f"{stated[1] or stated[3]}.{stated[2] or stated[4]}") >= OFFSET_SINCE else 0
