"""The offset of +1000 of Sentinel-2 products since processing baseline 04.00: told by metadata, never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

OFFSET_SINCE = 4.0
"""Processing baseline from which on products carry the offset (ESA, January 2022)."""

OFFSET = 1000

LARGEST_OFFSET = 10_000
"""A reflectance of 1: what is more is no offset."""


def detect_offset(path: Path, tags: Mapping[str, str]) -> tuple[int, str] | None:
    """Looks for what a Sentinel-2 scene says of its offset.

    Args:
        path: The scene: a file, or a folder such as a ``.SAFE`` product.
        tags: Metadata of its raster files.

    Returns:
        What is to be taken off the values, and where that stands; None where nothing tells.

    Raises:
        ValueError: The product's metadata cannot be read, or tells of bands with different offsets.
    """
    for name, value in tags.items():
        if re.fullmatch(r"(radio|boa)_add_offset\w*", name.lower()):
            return -_whole(value, f"{name}={value}"), f"{name}={value}"
        if name.lower() in ("processing_baseline", "processingbaseline", "s2:processing_baseline"):
            return _of_baseline(value), f"{name}={value}"
    folders = [path if path.is_dir() else path.parent]
    folders += [folder for folder in folders[0].parents if folder.suffix == ".SAFE"]
    for folder in folders:
        found = [told for file in sorted(folder.glob("MTD_MSIL*.xml")) if (told := _of_product(file))]
        if len({offset for offset, _ in found}) > 1:
            raise ValueError(f"{folder} holds products with different offsets: say s2_offset=0 or 1000")
        if found:
            return found[0]
    # S2A_MSIL1C_20230101T103421_N0509_R108_T32TPS_...: N and the baseline, without its dot.
    for part in (path.name, *(parent.name for parent in path.absolute().parents)):
        if named := re.match(r"S2[A-D]_MSIL[12][AC]_\d{8}T\d{6}_N(\d{4})_", part):
            return _of_baseline(named[1]), f"its name, {part}"
    return None


def _of_product(file: Path) -> tuple[int, str] | None:
    try:
        elements = list(ElementTree.parse(file).iter())
    except (ElementTree.ParseError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({error}): fetch the product again, or say s2_offset=…") from error
    texts = [(element.tag.rpartition("}")[2], (element.text or "").strip()) for element in elements]
    offsets = {_whole(text, f"{tag} in {file}") for tag, text in texts if tag in ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET")}
    if len(offsets) > 1:
        raise ValueError(f"{file} tells of bands with offsets {sorted(offsets)}: bring them to one and say s2_offset=0")
    if offsets:
        return -offsets.pop(), f"offsets in {file.name}"
    baselines = [text for tag, text in texts if tag == "PROCESSING_BASELINE"]
    return (_of_baseline(baselines[0]), f"processing baseline {baselines[0]} in {file.name}") if baselines else None


def _whole(text: str, where: str) -> int:
    try:
        return int(float(text))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{where}: {text!r} is no number: say s2_offset=0 or 1000") from error


def _of_baseline(text: str) -> int:
    """05.09, N05.09, 0509 and N0509 are one."""
    digits = re.sub(r"^N?(\d\d)(\d\d)$", r"\1.\2", text.strip()).lstrip("N")
    try:
        return OFFSET if float(digits) >= OFFSET_SINCE else 0
    except ValueError as error:
        raise ValueError(f"processing baseline {text!r} is no number such as 05.09: say s2_offset=0 or 1000") from error
