"""Maps as cloud-optimised GeoTIFFs: written as plain bytes while the scene is processed, encoded at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import rasterio
import rasterio.shutil
from matplotlib.colors import to_rgb
from rasterio.errors import RasterioError

from cromss.dataset.geotiff import NAMED_BY_USER, Header, opened
from cromss.types import IGNORE_INDEX

NODATA = IGNORE_INDEX
"""Value of pixels without a class, in all maps."""

STEPS = 250
"""Probabilities are stored as whole steps of 1 / 250 = 0.004, so that one byte per class is enough."""


Classes = Sequence[tuple[str, str]]
"""Name and colour, ``"#rrggbb"``, of each class in the order of its number."""


class RawMap:
    """A uint8 raster that is being written: a file of plain bytes, and beside it a description that GDAL reads.

    Args:
        folder: Folder of both files.
        name: Of this map, without ending.
        header: Grid of the scene.
        bands: Names of the bands.
        classes: Name and colour of each class, for a map of classes; None for one of probabilities.
    """

    def __init__(self, folder: Path, name: str, header: Header, bands: Sequence[str], classes: Classes | None) -> None:
        self.size = header.size
        self.description = folder / f"{name}.vrt"
        self._bytes = folder / f"{name}.raw"
        self._file = os.open(self._bytes, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self._plane = header.size[0] * header.size[1]
        # At its full length from the start, so that a disk that is too small fails at once.
        os.posix_fallocate(self._file, 0, self._plane * len(bands))
        self.is_classes = classes is not None
        self.description.write_text(_vrt(self._bytes.name, header, bands, classes))

    def write(self, top: int, left: int, block: np.ndarray) -> None:
        """Writes ``(bands, h, w)`` uint8."""
        width = self.size[1]
        for band, plane in enumerate(np.ascontiguousarray(block)):
            for row, line in enumerate(plane):
                at = band * self._plane + (top + row) * width + left
                if os.pwrite(self._file, line, at) != line.size:
                    raise OSError(f"the disk of {self._bytes.parent} is full")

    def encode(self) -> Encoded:
        """Makes a cloud-optimised GeoTIFF, beside the plain bytes.

        Raises:
            OSError: The disk is full or cannot be written.
        """
        os.close(self._file)
        target = self.description.with_suffix(".tif")
        try:
            rasterio.shutil.copy(
                self.description,
                target,
                driver="COG",
                COMPRESS="DEFLATE",
                BLOCKSIZE=512,
                OVERVIEW_RESAMPLING="MODE" if self.is_classes else "AVERAGE",
                BIGTIFF="IF_SAFER",
            )
            # GDAL does not always report a full disk.
            with opened(self.description, NAMED_BY_USER) as ours, opened(target) as theirs:
                if [ours.checksum(band) for band in ours.indexes] != [theirs.checksum(band) for band in theirs.indexes]:
                    raise OSError("the written data cannot be read back, as on a full disk")
        except (RasterioError, ValueError) as error:
            raise OSError(str(error)) from error
        self._bytes.unlink()
        return Encoded(target)


@dataclass(frozen=True)
class Encoded:
    """A complete map under a temporary name."""

    file: Path

    def sync(self) -> None:
        """Writes it to the disk, which is slow; `move_to` is fast afterwards."""
        with self.file.open("rb") as file:
            os.fsync(file.fileno())

    def move_to(self, target: Path) -> None:
        """Gives the map its name; one that stands there is replaced at once."""
        # GDAL keeps the names of classes in a file beside a GeoTIFF, which cannot hold them.
        names = self.file.with_name(f"{self.file.name}.aux.xml")
        beside = target.with_name(f"{target.name}.aux.xml")
        if names.exists():
            names.replace(beside)
        else:
            # Of a map that is replaced, e.g. its statistics.
            beside.unlink(missing_ok=True)
        self.file.replace(target)


def classes_and_confidence(probs: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities as they are stored.

    Args:
        probs: ``(C, h, w)`` in [0, 1].
        valid: ``(h, w)``, False where nothing is known.

    Returns:
        uint8, all 255 where not valid: the most probable class ``(1, h, w)``, its probability ``(1, h, w)`` and all
        probabilities ``(C, h, w)`` in steps of 1 / 250.
    """
    steps = np.where(valid, np.rint(probs * STEPS), NODATA).astype(np.uint8)
    classes = np.where(valid, probs.argmax(axis=0), NODATA).astype(np.uint8)
    confidence = np.where(valid, np.rint(probs.max(axis=0) * STEPS), NODATA).astype(np.uint8)
    return classes[None], confidence[None], steps


def _vrt(file: str, header: Header, bands: Sequence[str], classes: Classes | None) -> str:
    height, width = header.size
    transform = rasterio.Affine(*header.transform)
    wkt = "" if header.crs == "none" else rasterio.crs.CRS.from_string(header.crs).to_wkt()
    grid = f"<SRS>{escape(wkt)}</SRS>" if wkt else ""
    if header.gcps:
        points = "".join(
            f'<GCP Id="{number}" Pixel="{column!r}" Line="{row!r}" X="{x!r}" Y="{y!r}" Z="{z!r}"/>'
            for number, (row, column, x, y, z) in enumerate(header.gcps, start=1)
        )
        grid = f"<GCPList Projection={quoteattr(wkt)}>{points}</GCPList>"
    elif transform != rasterio.Affine.identity():
        grid += f"<GeoTransform>{', '.join(map(repr, transform.to_gdal()))}</GeoTransform>"
    parts = "".join(
        f'<VRTRasterBand dataType="Byte" band="{number + 1}" subClass="VRTRawRasterBand">'
        f"<Description>{escape(name)}</Description>{_meaning(classes)}<NoDataValue>{NODATA}</NoDataValue>"
        f'<SourceFilename relativeToVRT="1">{file}</SourceFilename><ImageOffset>{number * height * width}</ImageOffset>'
        f"<PixelOffset>1</PixelOffset><LineOffset>{width}</LineOffset></VRTRasterBand>"
        for number, name in enumerate(bands)
    )
    return f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">{grid}{parts}</VRTDataset>'


def _meaning(classes: Classes | None) -> str:
    """What the values of a band mean."""
    if classes is None:
        return f"<Scale>{1 / STEPS}</Scale>"
    entries = "".join(
        '<Entry c1="{:d}" c2="{:d}" c3="{:d}" c4="255"/>'.format(*(round(255 * part) for part in to_rgb(colour)))
        for _, colour in classes
    )
    names = "".join(f"<Category>{escape(name)}</Category>" for name, _ in classes)
    tags = "".join(f'<MDI key="CLASS_{c}">{escape(name)}</MDI>' for c, (name, _) in enumerate(classes))
    return (
        f"<Metadata>{tags}</Metadata><ColorInterp>Palette</ColorInterp><ColorTable>{entries}</ColorTable>"
        f"<CategoryNames>{names}</CategoryNames>"
    )
